//! One attempt to reach one server: dial, PROXY header, TLS, the client's hello where TLS passes through, and the
//! first bytes where they say that the server has the session; with `starttls` the greeting comes before TLS
//! (`upgrade.rs`).
//!
//! Made and polled by [`crate::assign`], which decides what a failure means and whether another server is asked
//! beside it.

mod greeting;
pub(crate) mod header;
mod upgrade;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use config::model::{Back, ServerAddress};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getpeername,
    socket_with, sockopt,
};
use wire::smtp::{Refusal, Upgrade};

use self::greeting::Voice;
pub(crate) use self::greeting::part;
use crate::end::{Cause, Ending, Phase};
use crate::leg::Leg;
use crate::prelude::Client;
use crate::server::Server;
use crate::session::Session;
use crate::sock;
use crate::socket::Socket;
use crate::tls::{Asked, Failure, Stream};
use crate::worker::Worker;

/// A server that answered.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) socket: Socket,
    /// TLS on it.
    pub(crate) tls: Option<Stream>,
    /// Bytes of the server that were passed on to the client already.
    pub(crate) passed: u64,
    /// Bytes of the server that the client has not taken yet; in `mode smtp` the beginning of the greeting.
    pub(crate) to_client: Vec<u8>,
    /// The part of a PROXY header that the server has not taken yet.
    pub(crate) to_server: Vec<u8>,
    /// How much it has got already of what the client said early.
    pub(crate) heard: usize,
}

/// What a server did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused, reset, unreachable, or closed before it said a word.
    Refused,
    /// The connection did not stand in time.
    Late,
    /// It is connected, and silent.
    Silent,
    /// TLS did not come about: for this reason.
    Tls(String),
    /// The same, because it does not begin where it should: STARTTLS was taken away, or something was put in.
    Tampered(Refusal),
    /// It greeted with something else than a welcome: this line.
    Unwelcome(Vec<u8>),
    /// We have no descriptors or memory; no server's fault.
    Resource,
}

impl Fault {
    /// The termination state of a session whose last attempt failed so.
    pub(crate) fn ending(&self) -> Ending {
        let cause = match self {
            Self::Refused | Self::Tls(_) | Self::Tampered(_) | Self::Unwelcome(_) => Cause::Server,
            Self::Late | Self::Silent => Cause::ServerTimeout,
            Self::Resource => Cause::Resource,
        };
        Ending::new(cause, Phase::Connect)
    }

    /// Whether the server let the time pass, from when it was asked.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Late | Self::Silent)
    }

    /// In one word, for the log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Late => "unreachable",
            Self::Silent => "silent",
            Self::Tls(_) => "tls",
            Self::Tampered(_) => "starttls",
            Self::Unwelcome(_) => "unwelcome",
            Self::Resource => "no-resource",
        }
    }
}

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The socket; `None` once it has an end, or where TLS has it.
    socket: Option<Socket>,
    stage: Stage,
    /// What is to become of it when it stands.
    tls: Option<Stream>,
    /// STARTTLS, until TLS begins; then what it has greeted with.
    upgrade: Option<Box<Upgrade>>,
    /// What the server has said so far, too little to tell what it means.
    said: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Until the connection stands; then this header is sent.
    Standing(Vec<u8>),
    /// Until the TLS handshake is over.
    Handshake(Leg),
    /// Until the server has greeted.
    Greeting,
    /// Until it is ready for TLS.
    Upgrade,
    /// The same within TLS.
    Secret(Leg),
    /// Until the server has answered the client's hello, of which it has got so much.
    Hello(Leg, usize),
}

/// What an attempt is polled with.
pub(crate) struct Scene<'s> {
    pub(crate) worker: &'s Worker,
    pub(crate) back: &'s Back,
    pub(crate) client: &'s Client,
    /// What the client said early is a hello, and goes to the server before anything is expected of it.
    pub(crate) hello: bool,
}

impl Scene<'_> {
    /// Whether a server that is connected has nothing yet.
    fn is_gated(&self) -> bool {
        self.hello || self.back.greeting.is_some()
    }

    /// What the server's first word begins with, if it is to have the session.
    fn prefix(&self) -> &[u8] {
        let greeting = self.back.greeting.as_deref().filter(|_| !self.hello);
        greeting.unwrap_or_default()
    }
}

impl Attempt {
    /// Begins to connect.
    pub(crate) fn begin(
        scene: &Scene<'_>,
        session: &Session,
        server: &Server,
    ) -> Result<Self, Fault> {
        let socket: Socket = open(session, server, scene.back, scene.client)
            .map_err(|errno| match errno {
                Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Fault::Resource,
                _ => Fault::Refused,
            })?
            .into();
        let tls = handshake(server, scene)?;
        let upgrade = upgrade::of(session, server);
        let header = header::of_session(session, server, scene.client);
        // Where nothing is to be sent, the first byte of a server that speaks first says as well that the
        // connection stands: one wait serves both.
        let says_nothing =
            header.is_empty() && (tls.is_none() || upgrade.is_some()) && !scene.hello;
        let stage = if scene.is_gated() && says_nothing {
            Stage::Greeting
        } else {
            Stage::Standing(header)
        };
        let standing = matches!(stage, Stage::Standing(_));
        socket.watch(standing).map_err(|_| Fault::Resource)?;
        Ok(Self {
            socket: Some(socket),
            stage,
            tls,
            upgrade,
            said: Vec::new(),
        })
    }

    /// Whether the connection stands.
    pub(crate) fn stands(&self) -> bool {
        let socket = match &self.stage {
            Stage::Handshake(leg) | Stage::Secret(leg) | Stage::Hello(leg, _) => Some(leg.socket()),
            _ => self.socket.as_ref(),
        };
        socket.is_some_and(|socket| getpeername(socket).is_ok())
    }

    /// Whether the server has been silent so far, so that it is worth a polite end.
    pub(crate) fn into_silent(self) -> Option<Leg> {
        let leg = match self.stage {
            Stage::Greeting => Leg::plain(self.socket?),
            Stage::Secret(leg) => leg,
            Stage::Standing(_) | Stage::Handshake(_) | Stage::Upgrade | Stage::Hello(..) => {
                return None;
            }
        };
        getpeername(leg.socket()).is_ok().then_some(leg)
    }

    /// Goes on as far as it can. A greeting is passed on to the client at once.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        scene: &Scene<'_>,
    ) -> Poll<Result<Connected, Fault>> {
        loop {
            match &mut self.stage {
                Stage::Standing(header) => {
                    let Some(socket) = &self.socket else {
                        return Poll::Ready(Err(Fault::Refused));
                    };
                    // Whatever the poll says, an error is waiting at the socket.
                    drop(ready!(socket.poll_writable(context)));
                    let left = established(socket, std::mem::take(header))?;
                    if !left.is_empty() && scene.back.smtp.is_some() {
                        return Poll::Ready(Err(Fault::Refused));
                    } else if !left.is_empty() && (self.tls.is_some() || scene.hello) {
                        self.stage = Stage::Standing(left);
                        continue;
                    }
                    let secret = self.tls.is_some() && self.upgrade.is_none();
                    let listens = scene.is_gated() && !scene.hello;
                    if listens && left.is_empty() && !secret {
                        self.stage = Stage::Greeting;
                        continue;
                    }
                    let Some(socket) = self.socket.take() else {
                        continue;
                    };
                    if let Some(tls) = self.tls.take_if(|_| secret) {
                        self.stage = Stage::Handshake(Leg::new(socket, Some(tls)));
                    } else if scene.hello {
                        self.stage = Stage::Hello(Leg::plain(socket), 0);
                    } else {
                        // A header that a fresh socket does not take at once is the relay's to finish, without a
                        // gate.
                        return Poll::Ready(Ok(Connected::new(socket, None, left)));
                    }
                }
                Stage::Handshake(leg) => {
                    let done = ready!(leg.poll_handshake(context));
                    done.map_err(|failure| Fault::Tls(failure.to_string()))?;
                    let Stage::Handshake(leg) = std::mem::replace(&mut self.stage, Stage::Greeting)
                    else {
                        continue;
                    };
                    let greeting = self.upgrade.take().map(|upgrade| upgrade.into_greeting());
                    if !scene.is_gated() || greeting.is_some() {
                        let (socket, tls) = leg.into_parts();
                        return Poll::Ready(Ok(Connected {
                            to_client: greeting.unwrap_or_default(),
                            ..Connected::new(socket, tls, Vec::new())
                        }));
                    }
                    self.stage = match scene.hello {
                        true => Stage::Hello(leg, 0),
                        false => Stage::Secret(leg),
                    };
                }
                Stage::Hello(leg, heard) => {
                    let early = &scene.client.early;
                    while *heard < early.len() {
                        // A server may answer before it has heard all.
                        match leg.poll_write(context, &early[*heard..]) {
                            Poll::Ready(Ok(taken)) => *heard += taken,
                            Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Refused)),
                            Poll::Pending => break,
                        }
                    }
                    if let Poll::Ready(Err(_)) = leg.poll_flush(context) {
                        return Poll::Ready(Err(Fault::Refused));
                    }
                    return self.poll_greeting(context, scene);
                }
                Stage::Greeting if self.upgrade.is_some() => {
                    ready!(self.poll_welcome(context, scene))?;
                }
                Stage::Upgrade => ready!(self.poll_upgrade(context, scene))?,
                Stage::Greeting | Stage::Secret(_) => return self.poll_greeting(context, scene),
            }
        }
    }

    /// Until a server that speaks first has greeted.
    fn poll_greeting(
        &mut self,
        context: &mut Context<'_>,
        scene: &Scene<'_>,
    ) -> Poll<Result<Connected, Fault>> {
        let mut voice = match (&mut self.stage, &self.socket) {
            (Stage::Secret(leg) | Stage::Hello(leg, _), _) => Voice::Secret(leg),
            (_, Some(socket)) => Voice::Plain(socket),
            (_, None) => return Poll::Ready(Err(Fault::Refused)),
        };
        let greeted = greeting::poll_greeting(context, scene, &mut voice, &mut self.said);
        let (passed, to_client) = ready!(greeted)?;
        let ((socket, tls), heard) = match std::mem::replace(&mut self.stage, Stage::Greeting) {
            Stage::Secret(leg) => (leg.into_parts(), 0),
            Stage::Hello(leg, heard) => (leg.into_parts(), heard),
            _ => match self.socket.take() {
                Some(socket) => ((socket, None), 0),
                None => return Poll::Ready(Err(Fault::Refused)),
            },
        };
        Poll::Ready(Ok(Connected {
            passed,
            to_client,
            heard,
            ..Connected::new(socket, tls, Vec::new())
        }))
    }
}

impl Connected {
    fn new(socket: Socket, tls: Option<Stream>, to_server: Vec<u8>) -> Self {
        Self {
            socket,
            tls,
            passed: 0,
            to_client: Vec::new(),
            to_server,
            heard: 0,
        }
    }
}

/// What a server with `ssl` is spoken to with.
fn handshake(server: &Server, scene: &Scene<'_>) -> Result<Option<Stream>, Fault> {
    let Some(connector) = &server.tls else {
        return Ok(None);
    };
    let seat = scene.worker.process.tls.seats.take();
    let seat = seat.map_err(|_| Fault::Resource)?;
    let name = scene.client.server_name();
    let place = server.place_now();
    let tls = connector.connect(&place.address, name.as_deref(), &Asked::default());
    tls.map(|tls| Some(tls.seated(seat)))
        .map_err(|failure: Failure| Fault::Tls(failure.to_string()))
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
    let place = server.place_now();
    let address = match &place.address {
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

/// A connection that is writable: it stands, or its error is waiting. The header goes first; what of it the
/// socket has not taken comes back.
fn established(socket: &Socket, mut header: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if !matches!(sockopt::socket_error(socket), Ok(Ok(()))) {
        return Err(Fault::Refused);
    }
    if !header.is_empty() {
        match socket.send(&header, SendFlags::empty()) {
            Ok(sent) => drop(header.drain(..sent)),
            Err(_) => return Err(Fault::Refused),
        }
    }
    Ok(header)
}

/// The address the client connected to.
pub(crate) fn destination(session: &Session, client: &Client) -> Option<SocketAddr> {
    session
        .destination
        .or_else(|| sock::local_address(&client.socket))
}
