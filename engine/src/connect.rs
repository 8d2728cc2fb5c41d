//! One attempt to reach one server: dial, PROXY header, and the first bytes where a server speaks first.
//!
//! Called by [`crate::assign`], which decides what a failure means. The socket is watched by the runtime
//! only here; it leaves through `into_inner` before the relay takes it.

mod greeting;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use config::model::{Back, ProxyVersion, ServerAddress};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, send,
    socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wire::proxy::{self, Addresses};

use crate::end::{Cause, Ending, Phase};
use crate::prelude::{Client, patience};
use crate::server::Server;
use crate::session::{Peer, Session};
use crate::sock;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// A server that answered.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) socket: OwnedFd,
    /// Bytes of the server that were passed on to the client already.
    pub(crate) passed: u64,
    /// Bytes of the server that the client has not taken yet.
    pub(crate) to_client: Vec<u8>,
    /// The part of a PROXY header that the server has not taken yet.
    pub(crate) to_server: Vec<u8>,
}

impl Connected {
    /// A server that has not said anything yet.
    fn silent(socket: OwnedFd, to_server: Vec<u8>) -> Self {
        Self {
            socket,
            passed: 0,
            to_client: Vec::new(),
            to_server,
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server's fault: another attempt may succeed.
    Server(Fault),
    /// The session is over.
    Over(Ending),
}

/// What a server did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused, reset, unreachable, or closed before it said a word.
    Refused,
    /// `timeout connect` has passed.
    Late,
    /// `timeout greeting` has passed: it is connected, and silent.
    Silent,
    /// It greeted with something else than a welcome: this line.
    Unwelcome(Vec<u8>),
}

impl Fault {
    /// The termination state of a session whose last attempt failed so.
    pub(crate) fn ending(&self) -> Ending {
        let cause = match self {
            Self::Refused | Self::Unwelcome(_) => Cause::Server,
            Self::Late | Self::Silent => Cause::ServerTimeout,
        };
        Ending::new(cause, Phase::Connect)
    }
}

/// Tries a server once. `another` tells whether the session could go to another one: asked only when this
/// one is connected and silent.
pub(crate) async fn dial(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &Session,
    server: &Server,
    client: &Client,
    another: impl Fn() -> bool,
) -> Result<Connected, Failure> {
    let Some(back) = session.back() else {
        return Err(Failure::Over(Ending::RESOURCE));
    };
    let begun = Instant::now();
    let socket = open(session, server, back, client).map_err(|errno| match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
            Failure::Over(Ending::RESOURCE)
        }
        _ => Failure::Server(Fault::Refused),
    })?;
    let header = proxy_header(session, server, client);
    let gate = back.greeting.as_deref();
    // Where nothing is to be sent, the first byte of a server that speaks first says as well that the
    // connection stands: one wait serves both.
    let connected = if gate.is_none() || !header.is_empty() {
        stand(ticket, session, back, socket, header).await?
    } else {
        Connected::silent(socket, Vec::new())
    };
    // A header that a fresh socket does not take at once is the relay's to finish, without a gate.
    let Some(prefix) = gate.filter(|_| connected.to_server.is_empty()) else {
        return Ok(connected);
    };
    let watched = watch(connected.socket, Interest::READABLE)?;
    let watched = (watched, begun);
    greeting::await_greeting(worker, ticket, (back, prefix), watched, client, another).await
}

fn watch(socket: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Failure> {
    sock::watch(socket, interest).map_err(|_| Failure::Over(Ending::RESOURCE))
}

/// Waits until the connection stands, and sends the header.
async fn stand(
    ticket: &Ticket<'_>,
    session: &Session,
    back: &Back,
    socket: OwnedFd,
    header: Vec<u8>,
) -> Result<Connected, Failure> {
    let patience = patience(session);
    let limit = shorter(back.timeout_connect, patience);
    let watched = watch(socket, Interest::WRITABLE)?;
    match ticket.wait(limit, watched.writable()).await {
        Ok(ready) => {
            drop(ready);
            established(watched.into_inner(), header).map_err(Failure::Server)
        }
        Err(Stop::Ended(ending)) => Err(Failure::Over(ending)),
        // Whose time was the shorter is up.
        Err(Stop::Late) if limit == patience => Err(Failure::Over(Ending::new(
            Cause::ClientTimeout,
            Phase::Connect,
        ))),
        Err(Stop::Late) => Err(Failure::Server(Fault::Late)),
    }
}

/// A socket that is on its way to the server.
fn open(
    session: &Session,
    server: &Server,
    back: &Back,
    client: &Client,
) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let in_progress = |result| match result {
        Err(Errno::INPROGRESS) => Ok(()),
        other => other,
    };
    let address = match &server.conf.address {
        ServerAddress::Ip(address) => *address,
        ServerAddress::IpRelative(ip, offset) => {
            let port = destination(session, client).map_or(0, |address| i32::from(address.port()));
            let port = u16::try_from(port + offset).map_err(|_| Errno::INVAL)?;
            SocketAddr::new(*ip, port)
        }
        ServerAddress::Unix(path) => {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            in_progress(connect(&socket, &SocketAddrUnix::new(path.as_path())?))?;
            return Ok(socket);
        }
        ServerAddress::Abstract(name) => {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            in_progress(connect(&socket, &SocketAddrUnix::new_abstract_name(name)?))?;
            return Ok(socket);
        }
    };
    let socket = socket_with(sock::family(address), SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(keepalive) = &back.keepalive {
        sock::keep_alive(&socket, keepalive);
    }
    if let Some(limit) = server.conf.tcp_ut {
        sockopt::set_tcp_user_timeout(&socket, sock::millis(limit))?;
    }
    if let Some(source) = server.conf.source.or(back.source) {
        bind(&socket, &source)?;
    }
    in_progress(connect(&socket, &address))?;
    Ok(socket)
}

/// A connection that is writable: it stands, or its error is waiting. The header goes first.
fn established(socket: OwnedFd, header: Vec<u8>) -> Result<Connected, Fault> {
    if !matches!(sockopt::socket_error(&socket), Ok(Ok(()))) {
        return Err(Fault::Refused);
    }
    let mut to_server = header;
    if !to_server.is_empty() {
        match send(&socket, &to_server, SendFlags::NOSIGNAL) {
            Ok(sent) => drop(to_server.drain(..sent)),
            Err(Errno::AGAIN) => {}
            Err(_) => return Err(Fault::Refused),
        }
    }
    Ok(Connected::silent(socket, to_server))
}

/// The PROXY header for this server; empty where it takes none.
fn proxy_header(session: &Session, server: &Server, client: &Client) -> Vec<u8> {
    let mut header = Vec::new();
    let Some(version) = server.conf.send_proxy else {
        return header;
    };
    let addresses = match (session.client, destination(session, client)) {
        (Peer::Ip(source), Some(destination)) => Some(Addresses {
            source,
            destination,
        }),
        _ => None,
    };
    match version {
        ProxyVersion::V1 => proxy::encode_v1(addresses.as_ref(), &mut header),
        ProxyVersion::V2 => proxy::encode_v2(addresses.as_ref(), &mut header),
    }
    header
}

/// The address the client connected to.
pub(crate) fn destination(session: &Session, client: &Client) -> Option<SocketAddr> {
    session
        .destination
        .or_else(|| sock::local_address(&client.socket))
}

/// The shorter of two limits; zero and `None` are no limit.
fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    [a, b]
        .into_iter()
        .flatten()
        .filter(|limit| !limit.is_zero())
        .min()
}
