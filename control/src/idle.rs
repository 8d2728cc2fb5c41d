//! How much of their time the workers wait (`Idle_pct` of `show info`): from the CPU time of the process between two
//! questions, at least a second apart.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What was seen at the last question.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// When, in ms since the start, and the CPU time of the process until then.
    last: Cell<(u64, Duration)>,
    percent: Cell<Option<u32>>,
}

impl Idle {
    /// Since the question before; 100: nobody did anything. Within a second the answer stays the same.
    pub(crate) fn percent(&self, now: u64, workers: usize) -> u32 {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = Duration::try_from(used).unwrap_or_default();
        self.percent_of(now, used, workers)
    }

    fn percent_of(&self, now: u64, used: Duration, workers: usize) -> u32 {
        let (then, before) = self.last.get();
        let passed = now.saturating_sub(then);
        if let Some(percent) = self.percent.get().filter(|_| passed < 1000) {
            return percent;
        }
        let busy = used.saturating_sub(before).as_micros() / u128::from(passed.max(1)) / 10;
        let percent =
            100 - u32::try_from(busy / workers.max(1) as u128).map_or(100, |busy| busy.min(100));
        self.last.set((now, used));
        self.percent.set(Some(percent));
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_can_do_two_seconds_of_work_in_one() {
        let idle = Idle::default();
        let at = |now, used_ms| idle.percent_of(now, Duration::from_millis(used_ms), 2);
        assert_eq!(at(1_000, 500), 75);
        assert_eq!(at(1_500, 1_500), 75, "too early to tell");
        assert_eq!(at(2_000, 2_500), 0);
        assert_eq!(at(12_000, 2_500), 100);
        assert_eq!(at(13_000, 9_000), 0, "other threads work as well");
    }
}
