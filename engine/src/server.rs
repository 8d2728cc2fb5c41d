//! A server as workers see it: counters they add to and the few facts they need to choose it.
//!
//! Its health lives with the controller alone; what workers need of it is mirrored in [`Standing`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use config::model;

use crate::clock::Millis;
use crate::counters::{Gauge, PerWorker, TimeAverage, Total};
use crate::rate::Speed;

/// A server of a backend.
#[derive(Debug)]
pub struct Server {
    /// Its `server` line.
    pub conf: model::Server,
    /// Its place in the backend.
    pub index: usize,
    /// Sessions it serves now.
    pub sessions: Gauge,
    /// What workers counted.
    pub totals: PerWorker<ServerTotals>,
    /// Sessions per second.
    pub rate: Speed,
    /// Averages and maxima of its sessions' times.
    pub times: Times,
    last_session: AtomicU64,
    /// When it last greeted a session, plus one; 0: never.
    greeted: AtomicU64,
    /// How long its greetings take: eight times the average over about the last eight, in ms.
    pace: AtomicU32,
    standing: AtomicU8,
}

/// What workers add up for a server.
#[derive(Debug, Default)]
pub struct ServerTotals {
    /// Sessions given to it (`stot`).
    pub sessions: Total,
    /// The same by the balance algorithm, not by a stick entry (`lbtot`).
    pub balanced: Total,
    /// Connection attempts (`connect`).
    pub connects: Total,
    /// Bytes from clients to it (`bin`).
    pub bytes_in: Total,
    /// Bytes from it to clients (`bout`).
    pub bytes_out: Total,
    /// Sessions whose connection to it failed for good (`econ`).
    pub connect_errors: Total,
    /// Sessions it broke after they were established (`eresp`).
    pub response_errors: Total,
    /// Attempts repeated on it (`wretr`).
    pub retries: Total,
    /// Sessions moved away from it (`wredis`).
    pub redispatches: Total,
    /// Attempts that were refused, reset, closed, or not accepted in time.
    pub refused: Total,
    /// Attempts it was silent on until another server had answered, or `timeout greeting` had passed.
    pub silent: Total,
    /// Attempts it greeted with something else than a welcome.
    pub unwelcome: Total,
    /// Sessions it won as the second to be asked.
    pub hedges_won: Total,
    /// Sessions it was asked for beside a silent server that then answered first.
    pub hedges_lost: Total,
    /// Sessions it took over from a server that failed them.
    pub rescued: Total,
    /// Transfers the client broke (`cli_abrt`).
    pub client_aborts: Total,
    /// Transfers the server broke (`srv_abrt`).
    pub server_aborts: Total,
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
    pub(crate) fn new(conf: model::Server, index: usize, workers: usize) -> Self {
        Self {
            conf,
            index,
            sessions: Gauge::default(),
            totals: PerWorker::new(workers),
            rate: Speed::default(),
            times: Times::default(),
            last_session: AtomicU64::new(0),
            greeted: AtomicU64::new(0),
            pace: AtomicU32::new(0),
            standing: AtomicU8::new(Standing::In as u8),
        }
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

    /// It has greeted a session, so many ms after it was asked.
    pub(crate) fn has_greeted(&self, now: Millis, after: Millis) {
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
    pub(crate) fn greeted(&self) -> Option<Millis> {
        self.greeted.load(Ordering::Relaxed).checked_sub(1)
    }

    /// How long its greetings take lately, in ms.
    pub fn pace(&self) -> Millis {
        Millis::from(self.pace.load(Ordering::Relaxed) / 8)
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        self.rate.forget_most();
        self.times.forget_most();
    }

    /// When its last session was assigned.
    pub fn last_session(&self) -> Option<Millis> {
        self.last_session.load(Ordering::Relaxed).checked_sub(1)
    }
}
