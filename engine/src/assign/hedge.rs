//! When a silent server gets a rival, and how many such attempts there may be.

use std::sync::{Mutex, PoisonError};

use config::model::Back;

use crate::backend::Backend;
use crate::clock::Millis;
use crate::server::Server;

/// `timeout hedge` where it is not written, in ms: far above what a mail server takes to greet, far below
/// what anybody notices (docs/failover.md has the measurement).
const DELAY: Millis = 300;

/// One hedge for so many sessions...
const SHARE: u64 = 10;

/// ...and so many saved up at most.
const SAVED: u64 = 32;

/// How long that server may be silent until another is asked beside it; `None`: nobody is. One that takes
/// its time as a rule (a greet pause) is given twice its usual time, where nothing is written.
pub(super) fn delay(conf: &Back, back: &Backend, server: &Server, gated: bool) -> Option<Millis> {
    if back.roster().servers.len() < 2 {
        return None;
    }
    match conf.timeout_hedge {
        Some(delay) if delay.is_zero() => None,
        Some(delay) => Some(delay.as_millis() as Millis),
        None if !gated => None,
        None => Some(DELAY.max(server.pace() * 2)),
    }
}

/// The hedges a backend may still spend, so that a slow pool is not doubled: a token bucket that its sessions fill.
/// It costs nothing until it is asked.
#[derive(Debug)]
pub(crate) struct Allowance(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: u64,
    /// The backend's sessions that were paid out.
    sessions: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self(Mutex::new(Bucket {
            tokens: SAVED,
            sessions: 0,
        }))
    }
}

impl Allowance {
    /// Takes one. False: there is none.
    pub(super) fn take(&self, back: &Backend) -> bool {
        self.spend(back.totals.ever(|totals| &totals.sessions))
    }

    fn spend(&self, sessions: u64) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = sessions.saturating_sub(bucket.sessions) / SHARE;
        bucket.sessions += earned * SHARE;
        bucket.tokens = (bucket.tokens + earned).min(SAVED);
        let some = bucket.tokens > 0;
        bucket.tokens -= u64::from(some);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_sessions_may_be_hedged() {
        let allowance = Allowance::default();
        assert_eq!((0..100).filter(|_| allowance.spend(0)).count(), 32);
        assert_eq!((1..=1000).filter(|&n| allowance.spend(n)).count(), 100);
        assert_eq!((0..100).filter(|_| allowance.spend(100_000)).count(), 32);
    }
}
