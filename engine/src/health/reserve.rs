//! Reserve: a server that is UP and left alone while others serve.
//!
//! For two reasons. It came back from a fault, and `option failback` says when it may have sessions again. Or
//! a session found it silent: then it rests for a moment, and longer each time it happens again, so that one
//! session finds out what otherwise each would. Sessions in flight are never touched, and where all usable
//! servers are in reserve nobody is.

use config::model::Failback;

use super::{Health, Timing};

/// The first rest of a silent server, in ms; each further one is twice as long.
const FIRST_REST: u64 = 1_000;

/// The longest rest, in ms. Who has not been silent for so long after a rest begins anew.
const LONGEST_REST: u64 = 60_000;

/// Until when, and why.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// `option failback`: until then; `u64::MAX` is until an operator says so.
    returning: Option<u64>,
    /// Silence: until then, and how long this rest is.
    resting: Option<u64>,
    rest: u64,
    rested: u64,
}

impl Reserve {
    /// It is UP again.
    pub(super) fn came_back(&mut self, conf: &Timing, now: u64) {
        self.resting = None;
        self.returning = match conf.failback {
            Failback::Now => None,
            Failback::After(pause) => Some(now + pause.as_millis() as u64),
            Failback::Manual => Some(u64::MAX),
        };
    }

    /// A session found it silent. True: it was not resting yet.
    pub(super) fn penalize(&mut self, now: u64) -> bool {
        if self.resting.is_some() {
            return false;
        }
        let anew = now.saturating_sub(self.rested) > LONGEST_REST;
        self.rest = if anew || self.rest == 0 {
            FIRST_REST
        } else {
            (self.rest * 2).min(LONGEST_REST)
        };
        self.rested = now + self.rest;
        self.resting = Some(self.rested);
        true
    }

    /// Ends what has lasted long enough. True: something has.
    pub(super) fn end(&mut self, now: u64) -> bool {
        let over = |until: &mut u64| now >= *until;
        self.resting.take_if(over).is_some() | self.returning.take_if(over).is_some()
    }

    /// An operator says that it may serve. True: it was kept from it.
    pub(super) fn release(&mut self) -> bool {
        self.resting.take().is_some() | self.returning.take().is_some()
    }
}

impl Health {
    /// Whether it is left alone while others serve.
    pub fn in_reserve(&self) -> bool {
        self.reserve.returning.is_some() || self.reserve.resting.is_some()
    }

    /// When it is to be asked again whether it is in reserve; `None`: it is not, or waits for an operator.
    pub fn reserve_ends(&self) -> Option<u64> {
        let ends = [self.reserve.returning, self.reserve.resting];
        ends.into_iter()
            .flatten()
            .filter(|until| *until < u64::MAX)
            .min()
    }

    /// Until when it rests because a session found it silent.
    pub fn rests_until(&self) -> Option<u64> {
        self.reserve.resting
    }
}
