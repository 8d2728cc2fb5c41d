//! Stick rules: the server a client had before, and remembering the one it got (haproxy-compat 3.9).

use crate::clock::Clock;
use crate::prelude::Client;
use crate::sample;
use crate::session::Session;
use crate::stick::Key;
use crate::topology::Proxy;
use crate::worker::Worker;

/// The server that a `stick on` or `stick match` rule names, if it may be used. First rule that does wins.
pub(super) fn remembered(
    worker: &Worker,
    session: &Session,
    client: &Client,
    proxy: &Proxy,
) -> Option<usize> {
    let (conf, back) = (proxy.conf().back.as_ref()?, proxy.back.as_ref()?);
    let servers = &back.roster().servers;
    conf.stick
        .iter()
        .filter(|rule| rule.match_)
        .find_map(|rule| {
            let table = worker.topology.proxies.get(rule.table)?.table.as_ref()?;
            let value = sample::evaluate(&rule.expression, session, client)?;
            let key = Key::cast(&value, table.key_type())?;
            let entry = table.touch(&key, Clock::get().now())?;
            let named = |server: &&std::sync::Arc<crate::server::Server>| {
                entry.server_key.as_deref() == Some(&*table.server_key(&server.conf))
            };
            let server = servers.iter().find(named).or_else(|| {
                servers
                    .iter()
                    .find(|server| Some(server.conf.id) == entry.server_id)
            })?;
            (server.honours_stick() || conf.persist).then_some(server.index)
        })
}

/// Writes the server really used into the tables of `stick on` and `stick store-request` rules.
pub(super) fn remember(worker: &Worker, session: &Session, client: &Client, proxy: &Proxy) {
    let (Some(conf), Some(server)) = (proxy.conf().back.as_ref(), &session.server) else {
        return;
    };
    if server.conf.non_stick {
        return;
    }
    for rule in conf.stick.iter().filter(|rule| rule.store) {
        let store = || {
            let table = worker.topology.proxies.get(rule.table)?.table.as_ref()?;
            let value = sample::evaluate(&rule.expression, session, client)?;
            let key = Key::cast(&value, table.key_type())?;
            table.store_server(
                key,
                server.conf.id,
                &table.server_key(&server.conf),
                Clock::get().now(),
            );
            Some(())
        };
        // No key, nothing to remember: an IPv6 client in an IPv4 table.
        let _ = store();
    }
}
