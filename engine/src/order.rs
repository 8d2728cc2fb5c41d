//! Messages to a worker, and what it tells of its sessions.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::end::{Cause, Ending, Phase};
use crate::relay::Row;
use crate::session::{Peer, Session};
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
    /// The client's address; `None` on a unix socket.
    pub source: Option<std::net::SocketAddr>,
    /// The frontend's name.
    pub frontend: Arc<str>,
    /// The backend's name.
    pub backend: Option<Arc<str>>,
    /// The server's name.
    pub server: Option<Arc<str>>,
    /// When it began.
    pub began: Millis,
    /// Bytes from the client and from the server; `None` while it waits for a server.
    pub bytes: Option<(u64, u64)>,
}

/// A session, wherever it is in its life.
#[derive(Debug)]
pub(crate) struct SessionView<'s> {
    stage: Stage<'s>,
}

#[derive(Debug)]
enum Stage<'s> {
    Waiting(&'s Waiting),
    Relayed(&'s Session, Option<(u64, u64)>),
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

    pub(crate) fn of_row(row: &'s Row) -> Self {
        Self {
            stage: Stage::Relayed(row.session(), Some(row.bytes())),
        }
    }

    fn id(&self) -> u32 {
        match self.stage {
            Stage::Waiting(waiting) => waiting.id,
            Stage::Relayed(session, _) => session.id,
        }
    }

    fn server(&self) -> Option<(usize, &crate::server::Server)> {
        let (backend, server) = match self.stage {
            Stage::Waiting(waiting) => (&waiting.backend, &waiting.server),
            Stage::Relayed(session, _) => (&session.backend, &session.server),
        };
        Some((backend.as_ref()?.index, server.as_deref()?))
    }

    pub(crate) fn report(&self, worker: usize) -> SessionReport {
        let (client, ingress, backend, server, began, bytes) = match self.stage {
            Stage::Waiting(w) => (w.client, &w.ingress, &w.backend, &w.server, w.began, None),
            Stage::Relayed(s, bytes) => {
                (s.client, &s.ingress, &s.backend, &s.server, s.began, bytes)
            }
        };
        SessionReport {
            id: SessionId::new(worker, self.id()),
            source: match client {
                Peer::Ip(address) => Some(address),
                Peer::Local => None,
            },
            frontend: Arc::clone(ingress.proxy.name()),
            backend: backend.as_ref().map(|proxy| Arc::clone(proxy.name())),
            server: server.as_ref().map(|server| Arc::clone(server.name())),
            began,
            bytes,
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
