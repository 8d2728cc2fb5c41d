//! A server as workers see it: counters they add to and the few facts they need to choose it.
//!
//! Its health lives with the controller alone; what workers need of it is mirrored in [`Standing`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use config::model::{self, ServerTls};
use wire::visit::Visit;

pub use wire::visit::Step;

use crate::clock::Millis;
use crate::counters::{Gauge, PerWorker, TimeAverage, totals};
use crate::histogram::Histogram;
use crate::rate::Speed;
use crate::smtp::ServerOffer;
use crate::tls::{Connector, Seen, Tls};

/// A server of a backend.
#[derive(Debug)]
pub struct Server {
    /// Its `server` line.
    pub conf: model::Server,
    /// Its place in the backend.
    pub index: usize,
    /// Where it is now: as its line says, until an operator says otherwise.
    place: ArcSwap<Place>,
    maxconn: AtomicU32,
    /// Sessions it serves now.
    pub sessions: Gauge,
    /// How sessions with it are encrypted.
    pub(crate) tls: Option<Arc<Connector>>,
    /// The same for checks.
    pub(crate) check_tls: Option<Arc<Connector>>,
    /// What workers counted.
    pub totals: PerWorker<ServerTotals>,
    /// Sessions per second.
    pub rate: Speed,
    /// Averages and maxima of its sessions' times.
    pub times: Times,
    /// How long its greetings took; `None` where servers do not speak first.
    pub greetings: Option<PerWorker<Histogram>>,
    last_session: AtomicU64,
    /// When it last greeted a session, plus one; 0: never.
    greeted: AtomicU64,
    /// How long its greetings take: eight times the average over about the last eight, in ms.
    pace: AtomicU32,
    standing: AtomicU8,
    /// What it has answered EHLO with.
    pub offer: ServerOffer,
    /// How long the steps of the last deep check took, in ms.
    steps: ArcSwapOption<Vec<(Step, u64)>>,
}

totals! {
    /// What workers add up for a server.
    pub struct ServerTotals {
        /// Sessions given to it (`stot`).
        sessions,
        /// The same by the balance algorithm, not by a stick entry (`lbtot`).
        balanced,
        /// Connection attempts (`connect`).
        connects,
        /// Bytes from clients to it (`bin`).
        bytes_in,
        /// Bytes from it to clients (`bout`).
        bytes_out,
        /// Sessions whose connection to it failed for good (`econ`).
        connect_errors,
        /// Sessions it broke after they were established (`eresp`).
        response_errors,
        /// Attempts repeated on it (`wretr`).
        retries,
        /// Sessions moved away from it (`wredis`).
        redispatches,
        /// Attempts that were refused, reset, closed, or not accepted in time.
        refused,
        /// Attempts it was silent on until another server had answered, or `timeout greeting` had passed.
        silent,
        /// Attempts it greeted with something else than a welcome.
        unwelcome,
        /// Attempts whose TLS handshake failed.
        tls_failures,
        /// Sessions it won as the second to be asked.
        hedges_won,
        /// Sessions it was asked for beside a silent server that then answered first.
        hedges_lost,
        /// Sessions it took over from a server that failed them.
        rescued,
        /// Transfers the client broke (`cli_abrt`).
        client_aborts,
        /// Transfers the server broke (`srv_abrt`).
        server_aborts,
    }
}

/// Where a server and its check are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its address.
    pub address: model::ServerAddress,
    /// The host name it was written with.
    pub fqdn: Option<String>,
    /// `addr`, `set server ... check-addr`: where checks go.
    pub check_addr: Option<IpAddr>,
    /// `port`, `set server ... check-port`.
    pub check_port: Option<u16>,
    /// `agent-addr`: where its agent is, where it is not the server's address.
    pub agent_addr: Option<IpAddr>,
    /// `agent-port`; 0 without an agent.
    pub agent_port: u16,
    /// `agent-send`.
    pub agent_send: String,
}

/// The four times of `show stat`: queue, connect, response, total.
#[derive(Debug, Default)]
pub struct Times {
    /// `qtime`, `qtime_max`.
    pub queue: TimeAverage,
    /// `ctime`, `ctime_max`.
    pub connect: TimeAverage,
    /// `ttime`, `ttime_max`.
    pub total: TimeAverage,
}

impl Times {
    pub(crate) fn forget_most(&self) {
        for time in [&self.queue, &self.connect, &self.total] {
            time.forget_most();
        }
    }
}

/// What the controller tells workers of a server, beside the selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// Not to be used, not even by a stick entry: DOWN, in maintenance, or in reserve.
    Out = 0,
    /// Honoured by stick entries, whether or not the selector offers it.
    In = 1,
}

impl Server {
    pub(crate) fn new(
        conf: model::Server,
        index: usize,
        workers: usize,
        greets: bool,
        tls: &Tls,
    ) -> Self {
        let connector = |conf: &Option<Arc<ServerTls>>| {
            conf.as_ref().and_then(|conf| tls.connector(conf)).cloned()
        };
        let agent = conf.agent.as_ref();
        let place = Place {
            address: conf.address.clone(),
            fqdn: conf.fqdn.clone(),
            check_addr: conf.check_addr,
            check_port: conf.check_port,
            agent_addr: agent.and_then(|agent| agent.addr),
            agent_port: agent.map_or(0, |agent| agent.port),
            agent_send: agent.map_or_else(String::new, |agent| agent.send.clone()),
        };
        Self {
            place: ArcSwap::from_pointee(place),
            maxconn: AtomicU32::new(conf.maxconn),
            tls: connector(&conf.tls),
            check_tls: connector(&conf.check_tls),
            conf,
            index,
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            rate: Speed::default(),
            times: Times::default(),
            greetings: greets.then(|| PerWorker::new(workers)),
            last_session: AtomicU64::new(0),
            greeted: AtomicU64::new(0),
            pace: AtomicU32::new(0),
            standing: AtomicU8::new(Standing::In as u8),
            offer: ServerOffer::default(),
            steps: ArcSwapOption::empty(),
        }
    }

    /// Where it is.
    pub fn place(&self) -> Arc<Place> {
        self.place.load_full()
    }

    /// The same for a moment, without counting a reference.
    pub(crate) fn place_now(&self) -> Guard<Arc<Place>> {
        self.place.load()
    }

    /// `set server ... addr`, `check-addr`, `check-port`: for what begins from now on.
    pub fn set_place(&self, place: Place) {
        self.place.store(Arc::new(place));
    }

    /// The most sessions it may have at once; 0 is no limit.
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Ordering::Relaxed)
    }

    pub(crate) fn set_maxconn(&self, maxconn: u32) {
        self.maxconn.store(maxconn, Ordering::Relaxed);
    }

    /// The certificate it showed last, to a session or to a check.
    pub fn certificate(&self) -> Option<Seen> {
        let seen = |connector: &Option<Arc<Connector>>| connector.as_ref().and_then(|c| c.seen());
        seen(&self.tls).or_else(|| seen(&self.check_tls))
    }

    /// How long the steps of the last deep check took, in ms; none where there was none.
    pub fn steps(&self) -> Option<Arc<Vec<(Step, u64)>>> {
        self.steps.load_full()
    }

    /// A deep check has ended.
    pub(crate) fn note_steps(&self, visit: &Visit) {
        let steps = visit.marks().iter().map(|mark| (mark.step, mark.ms));
        self.steps.store(Some(Arc::new(steps.collect())));
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.conf.name
    }

    /// Whether a stick entry that names it is honoured (haproxy-compat 3.9).
    pub(crate) fn honours_stick(&self) -> bool {
        self.standing.load(Ordering::Relaxed) == Standing::In as u8
    }

    pub(crate) fn set_standing(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Relaxed);
    }

    pub(crate) fn session_began(&self, now: Millis) {
        self.last_session.store(now + 1, Ordering::Relaxed);
    }

    /// It has greeted a session of that worker, so many ms after it was asked.
    pub(crate) fn has_greeted(&self, worker: usize, now: Millis, after: Millis) {
        if let Some(greetings) = &self.greetings {
            greetings.at(worker).add(after);
        }
        let sample = u32::try_from(after)
            .unwrap_or(u32::MAX / 16)
            .min(u32::MAX / 16);
        let pace = self.pace.load(Ordering::Relaxed);
        // Two workers may lose one sample to each other; nobody can tell.
        let next = match self.greeted.swap(now + 1, Ordering::Relaxed) {
            0 => sample * 8,
            _ => pace - pace / 8 + sample,
        };
        if next != pace {
            self.pace.store(next, Ordering::Relaxed);
        }
    }

    /// When it last greeted a session.
    pub fn greeted(&self) -> Option<Millis> {
        self.greeted.load(Ordering::Relaxed).checked_sub(1)
    }

    /// How long its greetings take lately, in ms; 0 where it never greeted.
    pub fn pace(&self) -> Millis {
        Millis::from(self.pace.load(Ordering::Relaxed) / 8)
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        self.rate.forget_most();
        self.times.forget_most();
    }

    /// Counts anew (`clear counters all`).
    pub(crate) fn clear_totals(&self) {
        self.totals.clear();
        self.greetings.iter().for_each(PerWorker::clear);
    }

    /// When its last session was assigned.
    pub fn last_session(&self) -> Option<Millis> {
        self.last_session.load(Ordering::Relaxed).checked_sub(1)
    }
}
