//! Rules on connections, sessions and what clients say first (`tcp-request`), and the hello of TLS that passes
//! through. What is read here is kept in [`Client::early`], for the server.
//!
//! Called by [`crate::prelude`] and [`crate::session`]; a session without rules comes by and pays nothing.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::acl::{Answer, Request, Said};
use config::model::TcpRule;
use rustix::net::sockopt;
use wire::hello::{self, Seen};

use crate::clock::{Clock, Millis};
use crate::connect;
use crate::counters::Total;
use crate::end::{Cause, Ending, Phase};
use crate::frontend::FrontendTotals;
use crate::leg::Leg;
use crate::prelude::{Client, patience};
use crate::session::{Peer, Session};
use crate::topology::Proxy;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// How long a client that should begin TLS is waited for, where no `inspect-delay` says so, before a server is asked
/// without its hello.
const HELLO: Duration = Duration::from_secs(5);

/// Bytes taken at once.
const PIECE: usize = 2048;

/// What conditions may ask of a session.
pub(crate) struct Facts<'f> {
    worker: &'f Worker,
    session: &'f Session,
    client: &'f Client,
    /// More of what the client says is waited for.
    goes_on: bool,
}

impl<'f> Facts<'f> {
    /// As they are; nothing more is waited for.
    pub(crate) fn new(worker: &'f Worker, session: &'f Session, client: &'f Client) -> Self {
        Self {
            worker,
            session,
            client,
            goes_on: false,
        }
    }
}

impl Request for Facts<'_> {
    fn source(&self) -> Option<SocketAddr> {
        match self.session.client {
            Peer::Ip(address) => Some(address),
            Peer::Local => None,
        }
    }

    fn destination(&self) -> Option<SocketAddr> {
        connect::destination(self.session, self.client)
    }

    fn usable_servers(&self, backend: &str) -> u64 {
        let proxy = self.worker.topology.find(backend);
        let counted = proxy.and_then(|proxy| {
            let (back, conf) = (proxy.back.as_ref()?, proxy.conf().back.as_ref()?);
            let roster = back.roster();
            let [actives, backups] =
                [roster.selector.actives(), roster.selector.backups()].map(|n| n as u32);
            Some(conf.in_use(actives, backups))
        });
        u64::from(counted.unwrap_or(0))
    }

    fn said(&self) -> Said<'_> {
        Said {
            bytes: &self.client.early,
            goes_on: self.goes_on,
        }
    }

    fn tls(&self) -> Option<Option<String>> {
        self.client.tls.as_ref()?;
        Some(self.client.server_name())
    }
}

/// `tcp-request connection`: who is rejected gets a reset, before anything is read.
pub(crate) fn admit_connection(
    worker: &Worker,
    session: &Session,
    client: &Client,
) -> Result<(), Ending> {
    let rules = &session.ingress.proxy.conf().tcp_request.connection;
    admit(worker, session, client, rules, |totals| {
        &totals.denied_connections
    })
    .inspect_err(|_| {
        let _ = sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO));
    })
}

/// `tcp-request session`: behind PROXY header and TLS.
pub(crate) fn admit_session(
    worker: &Worker,
    session: &Session,
    client: &Client,
) -> Result<(), Ending> {
    let rules = &session.ingress.proxy.conf().tcp_request.session;
    admit(worker, session, client, rules, |totals| {
        &totals.denied_sessions
    })
}

fn admit(
    worker: &Worker,
    session: &Session,
    client: &Client,
    rules: &[TcpRule],
    total: impl Fn(&FrontendTotals) -> &Total,
) -> Result<(), Ending> {
    if rules.is_empty()
        || TcpRule::first(rules, &Facts::new(worker, session, client)) == Answer::Yes
    {
        return Ok(());
    }
    count(worker, session, total);
    Err(Ending::new(Cause::Proxy, Phase::Before))
}

fn count(worker: &Worker, session: &Session, total: impl Fn(&FrontendTotals) -> &Total) {
    if let Some(front) = &session.ingress.proxy.front {
        front.count(worker.id, session.ingress.bind, total, 1);
    }
}

/// Whether a proxy has rules on what clients say.
pub(crate) fn has_rules(proxy: &Proxy) -> bool {
    !proxy.conf().tcp_request.content.is_empty()
}

/// `tcp-request content` of a proxy: listens until the rules know enough, or `inspect-delay` is over.
pub(crate) async fn content(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    mut client: Client,
    proxy: &Arc<Proxy>,
) -> Result<Client, Ending> {
    let rules = &proxy.conf().tcp_request;
    let until = rules.inspect_delay.map(deadline);
    let mut goes_on = until.is_some();
    if !goes_on {
        glance(worker, &mut client);
    }
    loop {
        let facts = Facts {
            goes_on,
            ..Facts::new(worker, session, &client)
        };
        match (TcpRule::first(&rules.content, &facts), until) {
            (Answer::Yes, _) => return Ok(client),
            (Answer::Unknown, Some(until)) if goes_on => {
                (client, goes_on) = listen(worker, ticket, session, client, until).await?;
            }
            (Answer::No | Answer::Unknown, _) => {
                session.bytes_in = client.early.len() as u64;
                // As in HAProxy also for the rules of a backend.
                count(worker, session, |totals| &totals.denied_requests);
                client.say_goodbye();
                return Err(Ending::new(Cause::Proxy, Phase::Request));
            }
        }
    }
}

/// Whether the client's hello is to be known: its backend's servers wait for one, or it was read by rules.
pub(crate) fn wants_hello(session: &Session, client: &Client) -> bool {
    let wanted = session.back().map_or(Some(false), |back| match back.smtp {
        Some(_) => Some(false),
        None => back.tls_hello,
    });
    client.tls.is_none() && wanted.unwrap_or(!client.early.is_empty())
}

/// Listens until the client has said its hello, or something else; notes whether it may be sent to one server after
/// the other. What comes with early data may not: that could be done twice (RFC 8446, 8).
pub(crate) async fn hello(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    mut client: Client,
) -> Result<Client, Ending> {
    let delay = session.ingress.proxy.conf().tcp_request.inspect_delay;
    let until = deadline(delay.unwrap_or(HELLO));
    let mut goes_on = session
        .back()
        .is_some_and(|back| back.tls_hello == Some(true));
    while goes_on && hello::parse(&client.early) == Seen::More {
        (client, goes_on) = listen(worker, ticket, session, client, until).await?;
    }
    session.hello = match hello::parse(&client.early) {
        Seen::This(hello) => !hello.early_data,
        Seen::More | Seen::Other => false,
    };
    Ok(client)
}

fn deadline(delay: Duration) -> Millis {
    Clock::get().now() + delay.as_millis() as Millis
}

/// Takes what the client has said already, where nobody waits for it.
pub(crate) fn glance(worker: &Worker, client: &mut Client) {
    let mut scratch = worker.scratch.borrow_mut();
    let room = worker.topology.model.global.bufsize.min(scratch.len());
    let room = room.saturating_sub(client.early.len());
    if client.tls.is_none()
        && let Ok(read) = client.socket.recv(&mut scratch[..room])
    {
        client.early.extend_from_slice(&scratch[..read]);
    }
}

/// Reads once what the client says. False: no more will come, or the time is over, or there is no room for more.
async fn listen(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &Session,
    mut client: Client,
    until: Millis,
) -> Result<(Client, bool), Ending> {
    let have = client.early.len();
    let room = worker.topology.model.global.bufsize.saturating_sub(have);
    let left = until.saturating_sub(Clock::get().now());
    if room == 0 || left == 0 {
        return Ok((client, false));
    }
    let limits = [Some(Duration::from_millis(left)), patience(session)];
    let mut leg = Leg::new(client.socket, client.tls.map(RefCell::into_inner));
    client.early.resize(have + room.min(PIECE), 0);
    let limit = limits.into_iter().flatten().min();
    let read = ticket
        .wait(limit, leg.read(&mut client.early[have..]))
        .await;
    let (socket, tls) = leg.into_parts();
    let read = match read {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => return Err(Ending::new(Cause::Client, Phase::Request)),
        Err(Stop::Late) => 0,
        Err(Stop::Ended(ending)) => return Err(ending),
    };
    client.early.truncate(have + read);
    let client = Client {
        socket,
        tls: tls.map(RefCell::new),
        ..client
    };
    Ok((client, read > 0))
}
