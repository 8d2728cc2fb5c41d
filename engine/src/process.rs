//! What belongs to the process as a whole: its session limit and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use config::model::Global;
use tokio::sync::Notify;

use crate::clock::Millis;
use crate::counters::Gauge;
use crate::rate::Speed;
use crate::smtp::{Failures, Journals};
use crate::tls::Seats;

/// Shared by all threads.
#[derive(Debug)]
pub struct Process {
    /// Client connections now (`CurrConns`).
    pub sessions: Gauge,
    /// Client connections ever (`CumConns`).
    pub connections: AtomicU64,
    /// Connections per second.
    pub connection_rate: Speed,
    /// Sessions per second.
    pub session_rate: Speed,
    /// Bytes sent to clients (`TotalBytesOut`).
    pub bytes_out: AtomicU64,
    /// How often the limit was reached (`MaxconnReached`).
    pub maxconn_reached: AtomicU64,
    /// Times a connection could not be accepted: no descriptors, or no memory.
    pub(crate) not_accepted: AtomicU64,
    /// `maxconnrate`, `set rate-limit connections global`: connections per second; 0 is no limit.
    pub connection_limit: AtomicU32,
    /// `maxsessrate`, `set rate-limit sessions global`: sessions per second; 0 is no limit.
    pub session_limit: AtomicU32,
    /// `maxsslrate`, `set rate-limit ssl-sessions global`: TLS connections per second; 0 is no limit.
    pub ssl_limit: AtomicU32,
    /// TLS with clients.
    pub tls: TlsTotals,
    maxconn: AtomicU32,
    hard_maxconn: u32,
    stopping: AtomicBool,
    room: Notify,
    idle: Notify,
    /// What sessions in `mode smtp` keep of their messages.
    pub journals: Journals,
    /// Logins that servers refused.
    pub failed_logins: Failures,
    /// Why there is no spool, if one was wanted.
    pub spool_trouble: Option<String>,
}

/// What is counted of TLS with clients.
#[derive(Debug)]
pub struct TlsTotals {
    /// Sessions now (`CurrSslConns`).
    pub sessions: Gauge,
    /// Handshakes that came to an end (`CumSslConns`).
    pub handshakes: AtomicU64,
    /// Handshakes that failed.
    pub failures: AtomicU64,
    /// Handshakes per second (`SslRate`).
    pub rate: Speed,
    /// Full handshakes per second (`SslFrontendKeyRate`).
    pub key_rate: Speed,
    /// Connections per second that begin with TLS, while there is a limit for them.
    begun: Speed,
    /// How many there may be at once.
    pub seats: Arc<Seats>,
}

impl TlsTotals {
    fn new(most: u32) -> Self {
        Self {
            sessions: Gauge::default(),
            handshakes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            rate: Speed::default(),
            key_rate: Speed::default(),
            begun: Speed::default(),
            seats: Arc::new(Seats::new(most)),
        }
    }

    /// A client's handshake is over; the session leaves [`Self::sessions`] at its end.
    pub(crate) fn accepted(&self, resumed: bool, now: Millis) {
        self.sessions.enter();
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        self.rate.count(now);
        if !resumed {
            self.key_rate.count(now);
        }
    }

    /// How many of the last second's handshakes resumed a session, in per cent.
    pub fn reuse(&self, now: Millis) -> u32 {
        let (all, full) = (self.rate.get(now), self.key_rate.get(now));
        (all.saturating_sub(full) * 100)
            .checked_div(all)
            .unwrap_or(0)
    }

    fn forget_most(&self) {
        self.sessions.forget_most();
        self.rate.forget_most();
        self.key_rate.forget_most();
    }
}

impl Process {
    pub(crate) fn new(global: &Global, maxconn: u32, reads_mail: bool) -> Self {
        let (journals, trouble) = Journals::new(&global.smtp, reads_mail);
        Self {
            sessions: Gauge::default(),
            connections: AtomicU64::new(0),
            connection_rate: Speed::default(),
            session_rate: Speed::default(),
            bytes_out: AtomicU64::new(0),
            maxconn_reached: AtomicU64::new(0),
            not_accepted: AtomicU64::new(0),
            connection_limit: AtomicU32::new(global.maxconnrate.unwrap_or(0)),
            session_limit: AtomicU32::new(global.maxsessrate.unwrap_or(0)),
            ssl_limit: AtomicU32::new(global.maxsslrate.unwrap_or(0)),
            tls: TlsTotals::new(global.maxsslconn.unwrap_or(0)),
            maxconn: AtomicU32::new(maxconn),
            hard_maxconn: maxconn,
            stopping: AtomicBool::new(false),
            room: Notify::new(),
            idle: Notify::new(),
            journals,
            failed_logins: Failures::default(),
            spool_trouble: trouble.map(|error| {
                format!(
                    "tune.smtp.spool-dir {}: {error}",
                    global.smtp.spool_dir.display()
                )
            }),
        }
    }

    /// The most client connections at once (`Maxconn`).
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Ordering::Relaxed)
    }

    /// `set maxconn global`; zero is what the process began with. False: more than that.
    pub fn set_maxconn(&self, maxconn: u32) -> bool {
        if maxconn > self.hard_maxconn {
            return false;
        }
        let wanted = if maxconn == 0 {
            self.hard_maxconn
        } else {
            maxconn
        };
        self.maxconn.store(wanted, Ordering::Relaxed);
        self.room.notify_waiters();
        true
    }

    /// The most client connections there could ever be (`Hard_maxconn`).
    pub fn hard_maxconn(&self) -> u32 {
        self.hard_maxconn
    }

    /// Whether another connection may be taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.sessions.get() < self.maxconn()
    }

    /// A connection was taken that begins with TLS.
    pub(crate) fn begins_tls(&self, now: Millis) {
        if self.ssl_limit.load(Ordering::Relaxed) > 0 {
            self.tls.begun.count(now);
        }
    }

    /// Whether a rate is at its limit: the next connection, with TLS or without, has to wait.
    pub(crate) fn is_too_fast(&self, tls: bool, now: Millis) -> bool {
        let over = |limit: &AtomicU32, rate: &Speed| {
            let limit = limit.load(Ordering::Relaxed);
            limit > 0 && rate.get(now) >= limit
        };
        over(&self.connection_limit, &self.connection_rate)
            || over(&self.session_limit, &self.session_rate)
            || tls && over(&self.ssl_limit, &self.tls.begun)
    }

    /// Waits until a session ends.
    pub(crate) async fn room(&self) {
        let notified = self.room.notified();
        if !self.has_room() {
            self.maxconn_reached.fetch_add(1, Ordering::Relaxed);
            notified.await;
        }
    }

    /// A session has ended.
    pub(crate) fn leave(&self) {
        let left = self.sessions.leave();
        if left + 1 >= self.maxconn() {
            self.room.notify_waiters();
        }
        if left == 0 && self.is_stopping() {
            self.idle.notify_waiters();
        }
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.sessions.forget_most();
        self.connection_rate.forget_most();
        self.session_rate.forget_most();
        self.tls.forget_most();
    }

    /// Whether a soft stop has begun (`Stopping`).
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits, after [`Self::stop`], until no session is left.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            if self.sessions.get() == 0 {
                return;
            }
            idle.await;
        }
    }
}
