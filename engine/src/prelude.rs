//! What comes before a backend is chosen: the counters of a new session, the PROXY header, TLS.
//!
//! The handshake comes before a server is looked for: who cannot do it costs no server anything, and the name the
//! client asks for is known when the backend is chosen.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use config::model::LogLines;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, shutdown};
use wire::proxy::{self, Header, Parsed};

use crate::clock::Clock;
use crate::end::{Cause, Ending, Phase};
use crate::inspect;
use crate::leg::Leg;
use crate::log::{Level, Line, Route, line};
use crate::session::{Peer, Session, Told};
use crate::socket::Socket;
use crate::tls::{Acceptor, Failure, Stream};
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// The client's socket, TLS on it where there is any, and what was read beyond a PROXY header.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) early: Vec<u8>,
    /// In a cell, because whoever brings a greeting may say it.
    pub(crate) tls: Option<RefCell<Stream>>,
}

impl Client {
    /// Says something to the client at once; how much of it is gone comes back. TLS takes all it is given.
    pub(crate) fn say(&self, words: &[u8]) -> usize {
        match &self.tls {
            // An error here is the client's: the relay's first read of it will tell.
            None => self.socket.send(words, SendFlags::empty()).unwrap_or(0),
            Some(tls) => {
                let mut tls = tls.borrow_mut();
                tls.write(&self.socket, words).unwrap_or(0)
            }
        }
    }

    /// Says that no more will come.
    pub(crate) fn say_goodbye(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = tls.borrow_mut();
            tls.say_goodbye();
            let _ = tls.flush(&self.socket);
        }
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// The name the client asked for.
    pub(crate) fn server_name(&self) -> Option<String> {
        let tls = self.tls.as_ref()?.borrow();
        tls.server_name().map(str::to_owned)
    }
}

/// Turns an accepted connection into a session.
pub(crate) async fn receive(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    socket: Socket,
) -> Result<Client, Ending> {
    let mut client = Client {
        socket,
        early: Vec::new(),
        tls: None,
    };
    inspect::admit_connection(worker, session, &client)?;
    if session.ingress.bind().accept_proxy {
        client = accept_proxy(worker, ticket, session, client).await?;
        ticket.note(session);
    }
    if let Some(acceptor) = session.ingress.tls.clone() {
        client = accept_tls(worker, ticket, session, client, &acceptor).await?;
    }
    inspect::admit_session(worker, session, &client)?;
    if let Some(front) = &session.ingress.proxy.front {
        let bind = session.ingress.bind;
        front.count(worker.id, bind, |totals| &totals.sessions, 1);
        front.session_rate.count(session.began);
    }
    worker.process.session_rate.count(session.began);
    if session.ingress.front().log_lines == LogLines::Connect
        && session.ingress.proxy.logger.is_on()
    {
        log(
            worker,
            session,
            Level::Info,
            line::connect(session, &client.socket),
        );
    }
    Ok(client)
}

/// Reads the header that `accept-proxy` asks for (haproxy-proxy-protocol, section 2). It may come in
/// pieces; it must come within `timeout client-hs`, by default `timeout client`.
async fn accept_proxy(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    mut client: Client,
) -> Result<Client, Ending> {
    let front = session.ingress.front();
    let limit = front.timeout_client_hs.or(front.timeout_client);
    let read = ticket.wait(limit, read_header(worker, client.socket)).await;
    let (socket, header, told, early) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(refusal)) => return Err(refuse(worker, session, refusal)),
        Err(Stop::Late) => return Err(refuse(worker, session, Refusal::late())),
        Err(Stop::Ended(ending)) => return Err(ending),
    };
    client.socket = socket;
    if let Header::Proxied(addresses) = header {
        session.client = Peer::Ip(addresses.source);
        session.destination = Some(addresses.destination);
    }
    session.told = told;
    client.early = early;
    Ok(client)
}

/// The TLS handshake, within `timeout client-hs`, by default `timeout client`.
async fn accept_tls(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    mut client: Client,
    acceptor: &Arc<Acceptor>,
) -> Result<Client, Ending> {
    let front = session.ingress.front();
    let limit = front.timeout_client_hs.or(front.timeout_client);
    let shake = async {
        let mut leg = Leg::plain(client.socket);
        let seat = worker.process.tls.seats.take()?;
        let mut tls = acceptor.accept()?.seated(seat);
        tls.feed(&std::mem::take(&mut client.early));
        leg.upgrade(tls).await?;
        Ok::<_, Failure>(leg.into_parts())
    };
    match ticket.wait(limit, shake).await {
        Ok(Ok((socket, tls))) => {
            let resumed = tls.as_ref().is_some_and(Stream::is_resumed);
            worker.process.tls.accepted(resumed, Clock::get().now());
            session.secured = true;
            client.socket = socket;
            client.tls = tls.map(RefCell::new);
            Ok(client)
        }
        Ok(Err(failure)) => {
            worker.process.tls.failures.fetch_add(1, Ordering::Relaxed);
            Err(refuse(worker, session, failure.into()))
        }
        Err(Stop::Late) => {
            worker.process.tls.failures.fetch_add(1, Ordering::Relaxed);
            let text = "Timeout during SSL handshake".into();
            Err(refuse(worker, session, Refusal { text, null: false }))
        }
        Err(Stop::Ended(ending)) => Err(ending),
    }
}

/// Why there is no session; nothing was sent.
struct Refusal {
    text: String,
    /// The client said nothing at all: `option dontlognull` keeps this out of the log.
    null: bool,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            text: failure.to_string(),
            null: matches!(failure, Failure::Closed { silent: true }),
        }
    }
}

impl Refusal {
    fn late() -> Self {
        Self {
            text: "Timeout while waiting for PROXY protocol header".into(),
            null: true,
        }
    }

    fn closed(null: bool) -> Self {
        Self {
            text: "Connection closed while waiting for PROXY protocol header".into(),
            null,
        }
    }
}

async fn read_header(
    worker: &Worker,
    socket: Socket,
) -> Result<(Socket, Header, Option<Box<Told>>, Vec<u8>), Refusal> {
    let unwatchable = |error: std::io::Error| Refusal {
        text: error.to_string(),
        null: false,
    };
    let mut got = Vec::new();
    loop {
        poll_fn(|context| socket.poll_readable(context))
            .await
            .map_err(unwatchable)?;
        let mut scratch = worker.scratch.borrow_mut();
        match socket.recv(&mut scratch) {
            Ok(0) => return Err(Refusal::closed(got.is_empty())),
            Ok(read) => got.extend_from_slice(&scratch[..read]),
            Err(Errno::AGAIN) => continue,
            Err(_) => return Err(Refusal::closed(got.is_empty())),
        }
        drop(scratch);
        match proxy::parse(&got) {
            Ok(Parsed::Incomplete) => {}
            Ok(Parsed::Complete { header, length }) => {
                let early = got.split_off(length);
                let told = proxy::authority(&got).map(|name| {
                    let authority = name.to_owned();
                    Box::new(Told { authority })
                });
                return Ok((socket, header, told, early));
            }
            Err(error) => {
                return Err(Refusal {
                    text: error.to_string(),
                    null: false,
                });
            }
        }
    }
}

/// Tells why a session within which TLS was to begin ends.
pub(crate) fn tell_refused(worker: &Worker, session: &Session, text: &str) {
    if session.ingress.proxy.logger.is_on() {
        log(worker, session, Level::Err, line::refused(session, text));
    }
}

/// Counts and tells a connection that never was a session. The socket is already closed.
fn refuse(worker: &Worker, session: &Session, refusal: Refusal) -> Ending {
    let front = session.ingress.front();
    if let Some(counters) = &session.ingress.proxy.front {
        let bind = session.ingress.bind;
        counters.count(worker.id, bind, |totals| &totals.request_errors, 1);
    }
    if session.ingress.proxy.logger.is_on() && !(refusal.null && front.dontlognull) {
        let level = if front.log_separate_errors {
            Level::Err
        } else {
            Level::Info
        };
        log(
            worker,
            session,
            level,
            line::refused(session, &refusal.text),
        );
    }
    Ending::new(Cause::Proxy, Phase::Before)
}

fn log(worker: &Worker, session: &Session, level: Level, text: String) {
    worker.log.push(Line {
        route: Route::Proxy(Arc::clone(&session.ingress.proxy.logger)),
        level,
        at: session.began + u64::from(session.age()),
        text,
    });
}

/// The time a client still has while its server is chosen and connected: `timeout client` runs from
/// the start (haproxy-compat 3.7). A client that waits for a greeting, or for the answer to its hello, has
/// nothing to say, and is not hurried.
pub(crate) fn patience(session: &Session) -> Option<Duration> {
    if session.is_gated() {
        return None;
    }
    let limit = session
        .ingress
        .front()
        .timeout_client
        .filter(|limit| !limit.is_zero())?;
    let left = limit.saturating_sub(Duration::from_millis(u64::from(session.age())));
    Some(left.max(Duration::from_millis(1)))
}
