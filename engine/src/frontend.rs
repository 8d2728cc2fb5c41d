//! A frontend's counters and limits, shared by the listeners of all workers.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use config::model;
use tokio::sync::Notify;

use crate::clock::Millis;
use crate::counters::{Gauge, PerWorker, Total, totals};
use crate::rate::Speed;

/// The half of a proxy that takes connections, at run time.
#[derive(Debug)]
pub struct Frontend {
    /// Sessions now.
    pub sessions: Gauge,
    /// What workers counted.
    pub totals: PerWorker<FrontendTotals>,
    /// Connections per second, before the connection rules.
    pub connection_rate: Speed,
    /// Sessions per second.
    pub session_rate: Speed,
    maxconn: AtomicU32,
    /// `rate-limit sessions`, per second; 0 is no limit.
    rate_limit: u32,
    paused: AtomicBool,
    stopped: AtomicBool,
    /// Wakes listeners that wait for room.
    room: Notify,
    /// A listener's own counts, where `option socket-stats` or a `maxconn` of its own asks for them; in the
    /// order of the binds.
    listeners: Vec<Option<Listening>>,
}

/// One of the frontend's listeners.
#[derive(Debug)]
pub struct Listening {
    /// Sessions now.
    pub sessions: Gauge,
    /// What workers counted.
    pub totals: PerWorker<FrontendTotals>,
    /// The most sessions it takes at once; `None`: as many as the frontend.
    pub maxconn: Option<u32>,
}

impl Listening {
    fn new(front: &model::Front, bind: &model::Bind, workers: usize) -> Option<Self> {
        (front.socket_stats || bind.maxconn.is_some()).then(|| Self {
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            maxconn: bind.maxconn,
        })
    }

    /// Whether it may take another session.
    pub fn has_room(&self) -> bool {
        self.maxconn.is_none_or(|most| self.sessions.get() < most)
    }
}

totals! {
    /// What workers add up for a frontend, and for a listener.
    pub struct FrontendTotals {
        /// Connections accepted (`conn_tot`).
        connections,
        /// Sessions (`stot`).
        sessions,
        /// Bytes from clients (`bin`).
        bytes_in,
        /// Bytes to clients (`bout`).
        bytes_out,
        /// Connections refused by a rule (`dcon`).
        denied_connections,
        /// Sessions refused by a rule (`dses`).
        denied_sessions,
        /// Sessions that `tcp-request content` rules rejected (`dreq`).
        denied_requests,
        /// Connections that ended before they were sessions: no or a bad PROXY header (`ereq`).
        request_errors,
    }
}

impl Frontend {
    pub(crate) fn new(conf: &model::Front, maxconn: u32, workers: usize) -> Self {
        let listeners = conf.binds.iter();
        Self {
            listeners: listeners
                .map(|bind| Listening::new(conf, bind, workers))
                .collect(),
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            connection_rate: Speed::default(),
            session_rate: Speed::default(),
            maxconn: AtomicU32::new(conf.maxconn.unwrap_or(maxconn)),
            rate_limit: conf.rate_limit.unwrap_or(0),
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// The most sessions it takes at once (`slim`).
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Ordering::Relaxed)
    }

    /// `set maxconn frontend`.
    pub fn set_maxconn(&self, maxconn: u32) {
        self.maxconn.store(maxconn, Ordering::Relaxed);
        self.room.notify_waiters();
    }

    /// Whether its listeners were closed for good.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Notes that its listeners are closed. False: they were.
    pub(crate) fn stop(&self) -> bool {
        !self.stopped.swap(true, Ordering::Relaxed)
    }

    /// Whether `rate-limit sessions` lets no other session in now.
    pub(crate) fn is_too_fast(&self, now: Millis) -> bool {
        self.rate_limit > 0 && self.session_rate.get(now) >= self.rate_limit
    }

    /// The counts of the listener at that place, if it has some of its own.
    pub fn listener(&self, bind: usize) -> Option<&Listening> {
        self.listeners.get(bind)?.as_ref()
    }

    /// Whether another session may be taken now, by any of its listeners.
    pub fn has_room(&self) -> bool {
        self.sessions.get() < self.maxconn() && !self.is_paused()
    }

    /// The same by that listener.
    pub(crate) fn has_room_at(&self, bind: usize) -> bool {
        self.has_room() && self.listener(bind).is_none_or(Listening::has_room)
    }

    /// Waits until a session ends, a limit is raised or the frontend is resumed.
    pub(crate) async fn room_at(&self, bind: usize) {
        let notified = self.room.notified();
        if !self.has_room_at(bind) {
            notified.await;
        }
    }

    /// A connection has come to that listener.
    pub(crate) fn enter(&self, worker: usize, bind: usize, now: Millis) {
        self.sessions.enter();
        if let Some(listener) = self.listener(bind) {
            listener.sessions.enter();
        }
        self.count(worker, bind, |totals| &totals.connections, 1);
        self.connection_rate.count(now);
    }

    /// A connection of that listener has ended. Listeners are woken only when they can have been waiting.
    pub(crate) fn leave(&self, bind: usize) {
        let mut full = self.sessions.leave() + 1 >= self.maxconn();
        if let Some(listener) = self.listener(bind) {
            full |= !listener.has_room();
            listener.sessions.leave();
        }
        if full {
            self.room.notify_waiters();
        }
    }

    /// Adds to a total of the frontend, and of that listener.
    pub(crate) fn count(
        &self,
        worker: usize,
        bind: usize,
        field: impl Fn(&FrontendTotals) -> &Total,
        n: u64,
    ) {
        field(self.totals.at(worker)).add(n);
        if let Some(listener) = self.listener(bind) {
            field(listener.totals.at(worker)).add(n);
        }
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        for listener in self.listeners.iter().flatten() {
            listener.sessions.forget_most();
        }
        self.connection_rate.forget_most();
        self.session_rate.forget_most();
    }

    /// Counts anew (`clear counters all`).
    pub(crate) fn clear_totals(&self) {
        self.totals.clear();
        for listener in self.listeners.iter().flatten() {
            listener.totals.clear();
        }
    }

    /// Whether SIGTTOU or `disable frontend` stopped it from accepting.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Stops or resumes accepting; connections wait in the kernel's backlog meanwhile.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        if !paused {
            self.room.notify_waiters();
        }
    }
}
