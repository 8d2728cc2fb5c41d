//! A frontend's counters and limits, shared by the listeners of all workers.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Notify;

use crate::clock::Millis;
use crate::counters::{Gauge, PerWorker, totals};
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
}

totals! {
    /// What workers add up for a frontend.
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
        /// Connections that ended before they were sessions: no or a bad PROXY header (`ereq`).
        request_errors,
    }
}

impl Frontend {
    pub(crate) fn new(maxconn: u32, rate_limit: u32, workers: usize) -> Self {
        Self {
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            connection_rate: Speed::default(),
            session_rate: Speed::default(),
            maxconn: AtomicU32::new(maxconn),
            rate_limit,
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

    /// Whether another session may be taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.sessions.get() < self.maxconn() && !self.is_paused()
    }

    /// Waits until a session ends, a limit is raised or the frontend is resumed.
    pub(crate) async fn room(&self) {
        let notified = self.room.notified();
        if !self.has_room() {
            notified.await;
        }
    }

    /// A session has ended. Listeners are woken only when they can have been waiting.
    pub(crate) fn leave(&self) {
        if self.sessions.leave() + 1 >= self.maxconn() {
            self.room.notify_waiters();
        }
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        self.connection_rate.forget_most();
        self.session_rate.forget_most();
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
