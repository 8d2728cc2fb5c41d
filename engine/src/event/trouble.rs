//! What hinders the process itself, from counters that others keep.

use std::sync::atomic::Ordering;

use crate::clock::{Clock, Millis};
use crate::process::Process;

use super::{Bus, Kind, Trouble};

/// How long a trouble that goes on is not told again, in ms.
const NAG: Millis = 60_000;

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    logs: Count,
    accepts: Count,
}

#[derive(Debug, Default)]
struct Count {
    known: u64,
    told: Option<Millis>,
}

impl Troubles {
    /// Tells what is new. Called about once a second.
    pub(crate) fn look(&mut self, bus: &Bus, dropped_logs: u64, process: &Process) {
        let now = Clock::get().now();
        let not_accepted = process.not_accepted.load(Ordering::Relaxed);
        let logs = self.logs.news(dropped_logs, now).map(Trouble::LogsDropped);
        let accepts = self.accepts.news(not_accepted, now);
        let accepts = accepts.map(Trouble::NotAccepted);
        for trouble in logs.into_iter().chain(accepts) {
            bus.publish(None, Kind::Trouble(trouble));
        }
    }
}

impl Count {
    /// How many are new, when it is time to say so.
    fn news(&mut self, count: u64, now: Millis) -> Option<u64> {
        let lately = self.told.is_some_and(|at| now.saturating_sub(at) < NAG);
        if count <= self.known || lately {
            return None;
        }
        self.told = Some(now);
        Some(count - std::mem::replace(&mut self.known, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_that_goes_on_is_told_once_a_minute() {
        let mut count = Count::default();
        assert_eq!(count.news(0, 0), None);
        assert_eq!(count.news(3, 1_000), Some(3));
        assert_eq!(count.news(9, 2_000), None);
        assert_eq!(count.news(9, 61_000), Some(6));
        assert_eq!(count.news(9, 200_000), None);
    }
}
