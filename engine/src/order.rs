//! Messages to a worker, and what it tells of its sessions.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::end::{Cause, Ending, Phase};
use crate::relay::Row;
use crate::server::Server;
use crate::session::{Peer, Session};
use crate::topology::Proxy;
use crate::wait::Waiting;

/// What a worker can be asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Close the listeners, all or those of one proxy; sessions go on.
    StopListening(Option<usize>),
    /// Tell what sessions there are.
    Sessions(oneshot::Sender<Vec<SessionReport>>),
    /// End some sessions.
    EndSessions { which: Which, ending: Ending },
    /// End the thread, and with it every session.
    Quit,
}

/// Which sessions are meant.
#[derive(Debug, Clone)]
pub enum Which {
    /// The one with that identity.
    One(SessionId),
    /// Those on a server: indices of the proxy and of the server in it.
    OnServer {
        /// Index of the backend's proxy.
        proxy: usize,
        /// Index of the server in it.
        server: usize,
    },
    /// Those on backup servers of a proxy.
    OnBackups {
        /// Index of the backend's proxy.
        proxy: usize,
    },
}

/// Why sessions are ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killer {
    /// `shutdown session(s)`.
    Operator,
    /// `on-marked-down shutdown-sessions`.
    MarkedDown,
    /// `on-marked-up shutdown-backup-sessions`.
    MarkedUp,
}

impl Killer {
    pub(crate) fn ending(self) -> Ending {
        let cause = match self {
            Self::Operator => Cause::Killed,
            Self::MarkedDown => Cause::Down,
            Self::MarkedUp => Cause::Up,
        };
        Ending::new(cause, Phase::Connect)
    }
}

/// Names a session: its worker and the worker's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId(pub u64);

impl SessionId {
    pub(crate) fn new(worker: usize, id: u32) -> Self {
        // Shaped like an address: that is what tools expect of `show sess`.
        Self(0x5000_0000_0000 | (worker as u64 + 1) << 36 | u64::from(id) << 4)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A session as `show sess` tells it.
#[derive(Debug, Clone)]
pub struct SessionReport {
    /// Its identity.
    pub id: SessionId,
    /// The worker's number for it.
    pub number: u32,
    /// The client's address; `None` on a unix socket.
    pub source: Option<std::net::SocketAddr>,
    /// The address the client connected to, where it is known.
    pub destination: Option<std::net::SocketAddr>,
    /// Where it was accepted.
    pub frontend: Arc<Proxy>,
    /// The place of its `bind` line in the frontend.
    pub bind: usize,
    /// Where it goes.
    pub backend: Option<Arc<Proxy>>,
    /// Who serves it, or is asked.
    pub server: Option<Arc<Server>>,
    /// When it began.
    pub began: Millis,
    /// Attempts repeated.
    pub retries: u16,
    /// Whether it was moved to another server on the way.
    pub redispatched: bool,
    /// Milliseconds until what it waits for is late; `None`: nothing, or for ever.
    pub left: Option<Millis>,
    /// The client's side and the server's; `None` while something is decided.
    pub legs: Option<[SessionLeg; 2]>,
}

/// A side of a relayed session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLeg {
    /// Its descriptor.
    pub fd: i32,
    /// Bytes that came from it.
    pub moved: u64,
    /// Bytes it has not taken yet.
    pub pending: u64,
    /// It will send no more.
    pub eof: bool,
    /// Milliseconds since something moved.
    pub idle: Millis,
    /// Milliseconds until its timeout; `None`: it has none, or is not waited for.
    pub left: Option<Millis>,
}

/// A session, wherever it is in its life.
#[derive(Debug)]
pub(crate) struct SessionView<'s> {
    stage: Stage<'s>,
}

#[derive(Debug)]
enum Stage<'s> {
    Waiting(&'s Waiting),
    Relayed(&'s Session, Option<[SessionLeg; 2]>),
}

impl<'s> SessionView<'s> {
    pub(crate) fn of_waiting(waiting: &'s Waiting) -> Self {
        Self {
            stage: Stage::Waiting(waiting),
        }
    }

    pub(crate) fn of_session(session: &'s Session) -> Self {
        Self {
            stage: Stage::Relayed(session, None),
        }
    }

    pub(crate) fn of_row(row: &'s Row, now: Millis) -> Self {
        Self {
            stage: Stage::Relayed(row.session(), Some(row.legs(now))),
        }
    }

    fn id(&self) -> u32 {
        match self.stage {
            Stage::Waiting(waiting) => waiting.id,
            Stage::Relayed(session, _) => session.id,
        }
    }

    fn server(&self) -> Option<(usize, &Server)> {
        let (backend, server) = match self.stage {
            Stage::Waiting(waiting) => (&waiting.backend, &waiting.server),
            Stage::Relayed(session, _) => (&session.backend, &session.server),
        };
        Some((backend.as_ref()?.index, server.as_deref()?))
    }

    pub(crate) fn report(&self, worker: usize, now: Millis) -> SessionReport {
        let address = |peer: Peer| match peer {
            Peer::Ip(address) => Some(address),
            Peer::Local => None,
        };
        let id = SessionId::new(worker, self.id());
        match self.stage {
            Stage::Waiting(waiting) => SessionReport {
                id,
                number: waiting.id,
                source: address(waiting.client),
                destination: None,
                frontend: Arc::clone(&waiting.ingress.proxy),
                bind: waiting.ingress.bind,
                backend: waiting.backend.clone(),
                server: waiting.server.clone(),
                began: waiting.began,
                retries: 0,
                redispatched: false,
                left: waiting.left(now),
                legs: waiting.legs(now),
            },
            Stage::Relayed(session, legs) => SessionReport {
                id,
                number: session.id,
                source: address(session.client),
                destination: session.destination,
                frontend: Arc::clone(&session.ingress.proxy),
                bind: session.ingress.bind,
                backend: session.backend.clone(),
                server: session.server.clone(),
                began: session.began,
                retries: session.retries,
                redispatched: session.redispatched,
                left: None,
                legs,
            },
        }
    }
}

impl Which {
    pub(crate) fn matches(&self, worker: usize, view: &SessionView<'_>) -> bool {
        match *self {
            Self::One(id) => SessionId::new(worker, view.id()) == id,
            Self::OnServer { proxy, server } => view
                .server()
                .is_some_and(|(at, on)| at == proxy && on.index == server),
            Self::OnBackups { proxy } => view
                .server()
                .is_some_and(|(at, on)| at == proxy && on.conf.backup),
        }
    }
}
