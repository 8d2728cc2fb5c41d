//! Frontend to backend: `use_backend`, `default_backend`, or the listen itself.

use std::sync::Arc;

use config::model::Switch;

use crate::end::{Cause, Ending, Phase};
use crate::inspect::{self, Facts};
use crate::prelude::Client;
use crate::session::Session;
use crate::topology::Proxy;
use crate::worker::Worker;

/// Chooses the session's backend and counts it in.
pub(crate) fn choose_backend(
    worker: &Worker,
    session: &mut Session,
    client: &mut Client,
) -> Result<Arc<Proxy>, Ending> {
    let no_server = Ending::new(Cause::Server, Phase::Connect);
    let switches = &session.ingress.front().switches;
    let switched = if switches.is_empty() {
        None
    } else {
        if !inspect::has_rules(&session.ingress.proxy) {
            inspect::glance(worker, client);
        }
        Switch::first(switches, &Facts::new(worker, session, client))
    };
    let proxy = match switched {
        Some(index) => worker.topology.proxies.get(index),
        None => session.ingress.backend.as_ref(),
    };
    let proxy = Arc::clone(proxy.ok_or(no_server)?);
    let back = proxy
        .back
        .as_ref()
        .filter(|_| !proxy.conf().disabled)
        .ok_or(no_server)?;
    back.sessions.enter();
    back.totals.at(worker.id).sessions.add(1);
    back.rate.count(session.began);
    session.backend = Some(Arc::clone(&proxy));
    Ok(proxy)
}
