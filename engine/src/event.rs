//! What has happened, once, for everybody who tells of it: the bus of events.
//!
//! Whoever changes a state says so here, and nowhere else: the controller of servers and backends, the plane of
//! frontends and the process. The bus writes the log line itself, so that it keeps its place among the lines of
//! sessions; all others are [`Reader`]s at their own pace: the stats socket, the event log, alerts, pages. A reader
//! that is slower than [`KEPT`] events is told how many it has missed. Lives on the control thread; nothing on the
//! data path comes here.

#[cfg(test)]
mod tests;
mod text;
mod trouble;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;
use wire::check::Flaw;
pub use wire::smtp::Refusal;

use crate::clock::{Clock, Millis};
use crate::health::lines::Standing;
use crate::health::{Change, ServerState};
use crate::log::{Level, Line, LogSink, Route};
use crate::topology::Topology;

pub(crate) use self::trouble::Troubles;

/// Events the bus remembers.
pub const KEPT: usize = 4096;

/// Something that has happened.
#[derive(Debug)]
pub struct Event {
    /// Counted from 1, without gaps.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// The process's own clock.
    pub at: Millis,
    /// How grave it is.
    pub level: Level,
    /// The frontend, backend or listen it happened to; `None`: the process.
    pub proxy: Option<Arc<str>>,
    /// What it was.
    pub kind: Kind,
    /// The same in a line, as in the log.
    pub text: String,
}

/// Why a server that is there gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// With `starttls`: it does not offer it, or something was said in its place.
    StartTls(Refusal),
    /// With `xclient`: it does not offer it, or refuses it.
    Xclient,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A server's state, or news of its check with `option log-health-checks`.
    Server {
        /// Which.
        server: Named,
        /// Its state before.
        from: ServerState,
        /// Its state now. The same as before for news of checks, and reminders of a drain.
        to: ServerState,
        /// What has changed, and why.
        change: Change,
        /// How things stand now.
        standing: Standing,
    },
    /// An operator has changed a server's weight.
    Weight {
        /// Which.
        server: Named,
        /// Before.
        from: u32,
        /// Now.
        to: u32,
    },
    /// An operator has changed a server's address.
    Address {
        /// Which.
        server: Named,
        /// `IP changed from '...' to '...'`.
        what: String,
    },
    /// An operator has added or deleted a server.
    Member {
        /// Which.
        server: Named,
        /// Deleted otherwise.
        added: bool,
    },
    /// A server that is UP is left alone while others serve, or is so no longer.
    Reserve {
        /// Which.
        server: Named,
        /// `None`: no longer.
        why: Option<Spared>,
    },
    /// A server is there, and no session can be given to it.
    Unfit {
        /// Which.
        server: Named,
        /// What is wrong with it.
        why: Unfit,
    },
    /// A server that is UP is not well, or is well again: its deep check says so.
    Degraded {
        /// Which.
        server: Named,
        /// `None`: it is well again.
        flaw: Option<Flaw>,
        /// `degraded: ...`, as in `last_chk`.
        why: String,
    },
    /// A backend has no usable server, or has one again.
    Backend {
        /// Whether it has one.
        up: bool,
        /// Milliseconds it had none until now.
        without: Millis,
    },
    /// New sessions of a backend go to other servers than before: none of these had a share until now.
    Failover {
        /// Who had them.
        from: Vec<Named>,
        /// Who has them.
        to: Vec<Named>,
    },
    /// A frontend, or with a soft stop any proxy.
    Proxy(ProxyState),
    /// The process.
    Process(ProcessState),
    /// Something is in the way of the process itself.
    Trouble(Trouble),
}

/// A server's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As on its line.
    pub name: Arc<str>,
    /// `backup`.
    pub backup: bool,
}

/// Why a server is in reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spared {
    /// It was silent; it rests for so many milliseconds.
    Silence(Millis),
    /// `option failback after`: for so many milliseconds.
    Failback(Millis),
    /// `option failback manual`: until an operator says so.
    Operator,
}

/// What a frontend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyState {
    /// Does not accept for now (SIGTTOU, `disable frontend`).
    Paused,
    /// Accepts again.
    Resumed,
    /// Its listeners are closed for good.
    Stopped {
        /// Connections it has taken.
        front: u64,
        /// Sessions its servers have had.
        back: u64,
    },
}

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It serves.
    Started,
    /// A soft stop has begun.
    Stopping,
    /// It ends now.
    Ended,
}

/// What hinders the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// So many log lines were dropped, because the log could not keep up.
    LogsDropped(u64),
    /// So many connections could not be accepted: no descriptors, or no memory.
    NotAccepted(u64),
    /// Alerts do not get through.
    AlertsFail {
        /// To whom: `webhook ops/1`, `mailers relay`.
        to: Arc<str>,
        /// Why.
        why: String,
        /// How many wait.
        waiting: u64,
    },
    /// They do again.
    AlertsPass {
        /// To whom.
        to: Arc<str>,
        /// How many were given up meanwhile.
        lost: u64,
    },
}

impl Kind {
    /// Whether it is a line of the log; the others are for who asks.
    fn is_logged(&self) -> bool {
        !matches!(
            self,
            Self::Weight { .. } | Self::Backend { up: true, .. } | Self::Process(_)
        )
    }
}

/// The bus.
#[derive(Debug)]
pub struct Bus {
    topology: Arc<Topology>,
    log: LogSink,
    kept: RefCell<VecDeque<Arc<Event>>>,
    /// The last event's number.
    latest: watch::Sender<u64>,
}

impl Bus {
    pub(crate) fn new(topology: &Arc<Topology>, log: LogSink) -> Rc<Self> {
        Rc::new(Self {
            topology: Arc::clone(topology),
            log,
            kept: RefCell::default(),
            latest: watch::Sender::new(0),
        })
    }

    /// Tells what has happened, to that proxy or to the process.
    pub(crate) fn publish(&self, proxy: Option<usize>, kind: Kind) {
        let at = Clock::get().now();
        let proxy = proxy.map(|index| &self.topology.proxies[index]);
        let said = text::say(proxy.map(|proxy| &**proxy), &kind);
        let line = |route, level, text| Line {
            route,
            level,
            at,
            text,
        };
        let mut lines = Vec::new();
        if kind.is_logged() {
            if let Some(proxy) = proxy.filter(|proxy| proxy.logger.is_on()) {
                let route = Route::Proxy(Arc::clone(&proxy.logger));
                lines.push(line(route, said.level, said.text.clone()));
            }
            // Standard error knows alerts, warnings and notices; what is said of a server is a warning.
            let level = match said.level {
                Level::Emerg => Level::Emerg,
                _ => Level::Warning,
            };
            let text = said.console.unwrap_or_else(|| said.text.clone());
            lines.push(line(Route::Console, level, text));
        }
        self.log.send(lines);
        let seq = self.total() + 1;
        let mut kept = self.kept.borrow_mut();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Event {
            seq,
            wall_ms: Clock::get().wall_ms(at),
            at,
            level: said.level,
            proxy: proxy.map(|proxy| Arc::clone(proxy.name())),
            kind,
            text: said.text,
        }));
        drop(kept);
        self.latest.send_replace(seq);
    }

    /// How many events there were so far.
    pub fn total(&self) -> u64 {
        *self.latest.borrow()
    }

    /// Reads what is kept and then what comes; `from_now`: only what comes.
    pub fn read(self: &Rc<Self>, from_now: bool) -> Reader {
        let latest = self.latest.subscribe();
        let next = if from_now { *latest.borrow() + 1 } else { 1 };
        let first = self.kept.borrow().front().map_or(1, |event| event.seq);
        Reader {
            bus: Rc::clone(self),
            latest,
            // What has passed before anybody asked was not missed.
            next: next.max(first),
        }
    }
}

/// Somebody who reads events.
#[derive(Debug)]
pub struct Reader {
    bus: Rc<Bus>,
    latest: watch::Receiver<u64>,
    next: u64,
}

/// An event, as a reader sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// So many before it have passed unread.
    pub missed: u64,
    /// What has happened.
    pub event: Arc<Event>,
}

impl Reader {
    /// The next event, if it has happened already.
    pub fn try_next(&mut self) -> Option<Seen> {
        let kept = self.bus.kept.borrow();
        let first = kept.front()?.seq;
        let missed = first.saturating_sub(self.next);
        let next = self.next.max(first);
        let event = Arc::clone(kept.get((next - first) as usize)?);
        self.next = next + 1;
        Some(Seen { missed, event })
    }

    /// The next event; cancel safe.
    pub async fn next(&mut self) -> Seen {
        loop {
            self.latest.mark_unchanged();
            if let Some(seen) = self.try_next() {
                return seen;
            }
            // The bus is ours as well: it does not go away meanwhile.
            let _ = self.latest.changed().await;
        }
    }
}
