//! A backend at run time: its servers, the selector that chooses among them, its queue and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use config::model;

use crate::assign::Allowance;
use crate::balance::Selector;
use crate::clock::Millis;
use crate::counters::{Gauge, PerWorker, totals};
use crate::histogram::Histogram;
use crate::hold::Hold;
use crate::queue::Queue;
use crate::rate::Speed;
use crate::roster::{Roster, Servers};
use crate::server::{Server, Times};
use crate::smtp::{CommonOffer, MailCounters};
use crate::tls::Tls;

/// The half of a proxy that has servers, at run time.
#[derive(Debug)]
pub struct Backend {
    /// Sessions now, waiting ones included.
    pub sessions: Gauge,
    /// What workers counted.
    pub totals: PerWorker<BackendTotals>,
    /// Sessions per second.
    pub rate: Speed,
    /// Averages and maxima of its sessions' times.
    pub times: Times,
    /// How long sessions that a server failed took from then on until another had them.
    pub failovers: PerWorker<Histogram>,
    /// `fullconn`: what a dynamic server limit (`minconn`) is relative to.
    pub fullconn: u32,
    /// Slots of servers with a `maxconn`, and who waits for one.
    pub queue: Queue,
    /// The hedges it may still spend.
    pub(crate) hedges: Allowance,
    /// Who waits for a server to come back.
    pub hold: Hold,
    /// Its servers, and whom of them a new session gets: replaced as a whole by the controller.
    roster: ArcSwap<Roster>,
    /// What its servers answer EHLO with, as far as all of them do.
    pub offer: CommonOffer,
    /// What is counted of its mail, in `mode smtp`.
    pub mail: Option<MailCounters>,
    last_session: AtomicU64,
}

/// Who has a backend's new sessions.
#[derive(Debug)]
pub struct Share {
    /// They; nobody where none is usable.
    pub servers: Vec<Arc<Server>>,
    /// How many could have them, those that wait as backups included.
    pub usable: usize,
}

totals! {
    /// What workers add up for a backend; per server numbers are with the servers.
    pub struct BackendTotals {
        /// Sessions (`stot`).
        sessions,
        /// Bytes from clients (`bin`).
        bytes_in,
        /// Bytes to clients (`bout`).
        bytes_out,
        /// Connection attempts (`connect`).
        connects,
        /// Sessions the balance algorithm placed (`lbtot`).
        balanced,
        /// Sessions that found no server or lost their last attempt (`econ`).
        connect_errors,
        /// Sessions their server broke (`eresp`).
        response_errors,
        /// Attempts repeated (`wretr`).
        retries,
        /// Sessions moved to another server (`wredis`).
        redispatches,
        /// Sessions that were told that there is no server.
        unavailable,
        /// Sessions that waited for a server to come back.
        held,
        /// Transfers the client broke (`cli_abrt`).
        client_aborts,
        /// Transfers a server broke (`srv_abrt`).
        server_aborts,
    }
}

impl Backend {
    pub(crate) fn new(conf: &model::Back, fullconn: u32, workers: usize, tls: &Tls) -> Self {
        let servers: Vec<_> = conf
            .servers
            .iter()
            .enumerate()
            .map(|(index, server)| {
                Arc::new(Server::new(
                    server.clone(),
                    index,
                    workers,
                    conf.is_gated(),
                    tls,
                ))
            })
            .collect();
        Self {
            roster: ArcSwap::from_pointee(Roster {
                servers: Arc::new(Servers::new(servers)),
                selector: Selector::empty(),
            }),
            queue: Queue::new(conf, fullconn),
            hedges: Allowance::default(),
            hold: Hold::new(conf.maxhold),
            fullconn,
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            rate: Speed::default(),
            times: Times::default(),
            failovers: PerWorker::new(workers),
            offer: CommonOffer::default(),
            mail: conf.smtp.as_ref().map(|_| MailCounters::new(workers)),
            last_session: AtomicU64::new(0),
        }
    }

    /// Its servers, in the order they are written.
    pub fn servers(&self) -> Arc<Servers> {
        Arc::clone(&self.roster.load().servers)
    }

    /// The same with the selector that belongs to them, for a moment.
    pub(crate) fn roster(&self) -> Guard<Arc<Roster>> {
        self.roster.load()
    }

    /// Who has the new sessions.
    pub fn share(&self) -> Share {
        let roster = self.roster();
        let serves = |server: &&Arc<Server>| roster.selector.serves_any(server.index);
        Share {
            servers: roster.servers.iter().filter(serves).cloned().collect(),
            usable: roster.selector.actives() + roster.selector.backups(),
        }
    }

    pub(crate) fn set_roster(&self, roster: Roster) {
        self.roster.store(Arc::new(roster));
    }

    pub(crate) fn session_began(&self, now: Millis) {
        self.last_session.store(now + 1, Ordering::Relaxed);
    }

    /// Forgets the maxima, those of the servers included (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        self.rate.forget_most();
        self.times.forget_most();
        self.queue.forget_most();
        for server in self.servers().iter() {
            server.forget_most();
        }
    }

    /// Counts anew, its servers too (`clear counters all`).
    pub(crate) fn clear_totals(&self) {
        self.totals.clear();
        self.failovers.clear();
        self.mail.iter().for_each(MailCounters::clear);
        self.servers()
            .iter()
            .for_each(|server| server.clear_totals());
    }

    /// When its last session was assigned.
    pub fn last_session(&self) -> Option<Millis> {
        self.last_session.load(Ordering::Relaxed).checked_sub(1)
    }
}
