//! Totals and gauges.
//!
//! A **total** belongs to one worker, which alone adds to it; a snapshot sums over the workers. A
//! **gauge** counts what exists now and is shared, because limits and leastconn read it.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crossbeam_utils::CachePadded;

/// A number that one thread adds to and any thread may read.
#[derive(Debug, Default)]
pub struct Total {
    all: AtomicU64,
    /// What there was when it was cleared: the one who adds need not know.
    before: AtomicU64,
}

impl Total {
    /// Adds without a locked instruction: the owner is the only writer.
    pub(crate) fn add(&self, n: u64) {
        let all = self.all.load(Relaxed);
        self.all.store(all.wrapping_add(n), Relaxed);
    }

    /// What was added since it was cleared.
    pub fn get(&self) -> u64 {
        self.all
            .load(Relaxed)
            .wrapping_sub(self.before.load(Relaxed))
    }

    /// What was added ever.
    pub(crate) fn ever(&self) -> u64 {
        self.all.load(Relaxed)
    }

    /// Begins anew (`clear counters all`).
    fn clear(&self) {
        self.before.store(self.ever(), Relaxed);
    }
}

/// Totals that are cleared together.
pub trait Totals: Default {
    /// Visits each.
    fn each(&self, visit: &mut dyn FnMut(&Total));
}

/// A struct of totals, each documented, that can be visited.
macro_rules! totals {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$doc])* pub $field: $crate::counters::Total,)*
        }

        impl $crate::counters::Totals for $name {
            fn each(&self, visit: &mut dyn FnMut(&$crate::counters::Total)) {
                $(visit(&self.$field);)*
            }
        }
    };
}
pub(crate) use totals;

impl<T: Totals> PerWorker<T> {
    /// Begins anew (`clear counters all`).
    pub(crate) fn clear(&self) {
        for part in &self.0 {
            part.each(&mut |total| total.clear());
        }
    }
}

/// One `T` per worker, each on its own cache lines.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[CachePadded<T>]>);

impl<T: Default> PerWorker<T> {
    pub(crate) fn new(workers: usize) -> Self {
        Self(
            (0..workers.max(1))
                .map(|_| CachePadded::default())
                .collect(),
        )
    }

    /// The worker's own part.
    pub(crate) fn at(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()]
    }

    /// The sum of one field over all workers, cleared or not.
    pub(crate) fn ever(&self, field: impl Fn(&T) -> &Total) -> u64 {
        self.0.iter().map(|part| field(part).ever()).sum()
    }

    /// The sum of one field over all workers.
    pub fn sum(&self, field: impl Fn(&T) -> &Total) -> u64 {
        self.0.iter().map(|part| field(part).get()).sum()
    }
}

/// How many there are now, and the most there ever were.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU32,
    most: AtomicU32,
}

impl Gauge {
    /// One more; returns how many there are with it.
    pub(crate) fn enter(&self) -> u32 {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        if now > self.most.load(Relaxed) {
            self.most.fetch_max(now, Relaxed);
        }
        now
    }

    /// One less; returns how many are left.
    pub(crate) fn leave(&self) -> u32 {
        self.now.fetch_sub(1, Release) - 1
    }

    /// How many there are. What was counted of those who have left can be seen.
    pub fn get(&self) -> u32 {
        self.now.load(Acquire)
    }

    /// The most there ever were at once.
    pub fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// Forgets the maximum (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.most.store(self.get(), Relaxed);
    }
}

/// The average over about the last 1024 sessions, and the maximum, of a time in milliseconds
/// (`qtime`, `ctime`, `ttime` of `show stat`).
#[derive(Debug, Default)]
pub struct TimeAverage {
    /// The average times 1024. Two workers may lose one sample to each other; nobody can tell.
    sum: AtomicU64,
    max: AtomicU64,
}

impl TimeAverage {
    const WINDOW: u64 = 1024;

    pub(crate) fn add(&self, ms: u64) {
        let sum = self.sum.load(Relaxed);
        self.sum
            .store(sum - sum.div_ceil(Self::WINDOW) + ms, Relaxed);
        self.max.fetch_max(ms, Relaxed);
    }

    /// The average in milliseconds, rounded up as HAProxy rounds it.
    pub fn average(&self) -> u64 {
        self.sum.load(Relaxed).div_ceil(Self::WINDOW)
    }

    /// The longest in milliseconds.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Forgets the longest (`clear counters`).
    pub(crate) fn forget_most(&self) {
        self.max.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_remembers_its_most() {
        let gauge = Gauge::default();
        gauge.enter();
        gauge.enter();
        gauge.leave();
        assert_eq!((gauge.get(), gauge.most()), (1, 2));
        gauge.forget_most();
        assert_eq!(gauge.most(), 1);
    }

    #[test]
    fn totals_sum_over_workers() {
        let totals: PerWorker<Total> = PerWorker::new(2);
        totals.at(0).add(3);
        totals.at(1).add(4);
        assert_eq!(totals.sum(|total| total), 7);
    }

    #[test]
    fn an_average_follows_a_steady_value() {
        let time = TimeAverage::default();
        for _ in 0..20_000 {
            time.add(40);
        }
        assert!((39..=40).contains(&time.average()), "{}", time.average());
        assert_eq!(time.max(), 40);
    }
}
