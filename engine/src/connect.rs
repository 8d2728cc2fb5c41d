//! One attempt to reach one server: dial, PROXY header, and the first bytes where a server speaks first.
//!
//! Called by [`crate::assign`], which decides what a failure means. The socket is watched by the runtime
//! only here; it leaves through `into_inner` before the relay takes it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use config::model::{Back, ProxyVersion, ServerAddress};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    getpeername, recv, send, socket_with, sockopt,
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

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server's fault: another attempt may succeed.
    Server(Fault),
    /// The session is over.
    Over(Ending),
}

/// What a server did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused, reset, unreachable, or closed before it said a word.
    Refused,
    /// `timeout connect` has passed.
    Late,
}

impl Fault {
    /// The termination state of a session whose last attempt failed so.
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::Refused => Ending::new(Cause::Server, Phase::Connect),
            Self::Late => Ending::new(Cause::ServerTimeout, Phase::Connect),
        }
    }
}

/// Tries a server once.
pub(crate) async fn dial(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &Session,
    server: &Server,
    client: &Client,
) -> Result<Connected, Failure> {
    let Some(back) = session.back() else {
        return Err(Failure::Over(Ending::RESOURCE));
    };
    let socket = open(session, server, back, client).map_err(|errno| match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
            Failure::Over(Ending::RESOURCE)
        }
        _ => Failure::Server(Fault::Refused),
    })?;
    let header = proxy_header(session, server, client);
    let speaks_first = session
        .backend
        .as_ref()
        .and_then(|proxy| proxy.back.as_ref())
        .is_some_and(|back| back.speaks_first);
    // With a header to send we must know that the connection stands; otherwise a server that speaks
    // first says so with its first byte, and one wait serves both.
    let interest = if speaks_first && header.is_empty() {
        Interest::READABLE
    } else {
        Interest::WRITABLE
    };
    let limit = shorter(back.timeout_connect, patience(session));
    let watched = sock::watch(socket, interest).map_err(|_| Failure::Over(Ending::RESOURCE))?;
    let stop = if interest.is_readable() {
        match ticket
            .wait(limit, first_bytes(worker, &watched, client))
            .await
        {
            Ok(first) => {
                let (passed, to_client) = first.map_err(Failure::Server)?;
                let socket = watched.into_inner();
                return Ok(Connected {
                    socket,
                    passed,
                    to_client,
                    to_server: Vec::new(),
                });
            }
            Err(stop) => stop,
        }
    } else {
        match ticket.wait(limit, watched.writable()).await {
            Ok(ready) => {
                drop(ready);
                return established(watched.into_inner(), header).map_err(Failure::Server);
            }
            Err(stop) => stop,
        }
    };
    stopped(stop, session, back, watched.into_inner())
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

/// Waits for what the server says first and passes it on at once: one read tells success, refusal and
/// the greeting.
async fn first_bytes(
    worker: &Worker,
    watched: &AsyncFd<OwnedFd>,
    client: &Client,
) -> Result<(u64, Vec<u8>), Fault> {
    loop {
        let mut ready = watched.readable().await.map_err(|_| Fault::Refused)?;
        let mut scratch = worker.scratch.borrow_mut();
        match recv(watched, &mut scratch[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(Fault::Refused),
            Ok((read, _)) => {
                let bytes = &scratch[..read];
                // An error here is the client's: the relay's first read of it will tell.
                let sent = send(&client.socket, bytes, SendFlags::NOSIGNAL).unwrap_or(0);
                return Ok((sent as u64, bytes[sent..].to_vec()));
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Fault::Refused),
        }
    }
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
    Ok(Connected {
        socket,
        passed: 0,
        to_client: Vec::new(),
        to_server,
    })
}

/// A wait that ended early. A server that is connected and has not spoken yet is nobody's failure: the
/// relay goes on waiting, under the timeouts of a session.
fn stopped(
    stop: Stop,
    session: &Session,
    back: &Back,
    socket: OwnedFd,
) -> Result<Connected, Failure> {
    let Stop::Late = stop else {
        let Stop::Ended(ending) = stop else {
            return Err(Failure::Over(Ending::RESOURCE));
        };
        return Err(Failure::Over(ending));
    };
    let connected = getpeername(&socket).is_ok();
    let client_late = session.ingress.front().timeout_client.is_some_and(|limit| {
        !limit.is_zero() && u128::from(session.age()) + 1 >= limit.as_millis()
    });
    let connect_late = back.timeout_connect.is_some_and(|limit| !limit.is_zero());
    match (client_late, connected) {
        (true, true) => Err(Failure::Over(Ending::new(
            Cause::ClientTimeout,
            Phase::Data,
        ))),
        (true, false) => Err(Failure::Over(Ending::new(
            Cause::ClientTimeout,
            Phase::Connect,
        ))),
        (false, true) => Ok(Connected {
            socket,
            passed: 0,
            to_client: Vec::new(),
            to_server: Vec::new(),
        }),
        (false, false) if connect_late => Err(Failure::Server(Fault::Late)),
        (false, false) => Err(Failure::Server(Fault::Refused)),
    }
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
