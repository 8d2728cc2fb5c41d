//! How long something took, as a distribution: what a histogram of Prometheus is made of.
//!
//! Workers count, each for itself; a reader sums. The bounds suit mail: a greeting takes a millisecond on a quiet
//! network, seconds behind a greet pause, and thirty are as good as never.

use crate::clock::Millis;
use crate::counters::{PerWorker, Total, Totals};

/// Upper bounds of the buckets, in ms; what took longer than the last has a bucket of its own.
pub const BOUNDS: [Millis; 14] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// One worker's counts.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many took at most the bound at that place, and longer than the one before.
    buckets: [Total; BUCKETS],
    sum_ms: Total,
}

impl Histogram {
    pub(crate) fn add(&self, ms: Millis) {
        let place = BOUNDS.partition_point(|bound| *bound < ms);
        self.buckets[place].add(1);
        self.sum_ms.add(ms);
    }
}

impl Totals for Histogram {
    fn each(&self, visit: &mut dyn FnMut(&Total)) {
        self.buckets.iter().for_each(&mut *visit);
        visit(&self.sum_ms);
    }
}

/// The counts of all workers at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// How many took at most the bound at that place of [`BOUNDS`]; the last: all there are.
    pub within: [u64; BUCKETS],
    /// How long they took together.
    pub sum_ms: Millis,
}

impl PerWorker<Histogram> {
    /// Their sum.
    pub fn distribution(&self) -> Distribution {
        let mut all = 0;
        let within = std::array::from_fn(|place| {
            all += self.sum(|part| &part.buckets[place]);
            all
        });
        Distribution {
            within,
            sum_ms: self.sum(|part| &part.sum_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_from_bound_to_bound() {
        let workers: PerWorker<Histogram> = PerWorker::new(2);
        for (worker, ms) in [(0, 0), (0, 1), (1, 2), (1, 300), (0, 30_000), (1, 90_000)] {
            workers.at(worker).add(ms);
        }
        let found = workers.distribution();
        let within = |ms| {
            let place = BOUNDS.iter().position(|bound| *bound == ms);
            found.within[place.expect("a bound")]
        };
        assert_eq!((within(1), within(2), within(250)), (2, 3, 3));
        assert_eq!((within(500), within(30_000)), (4, 5));
        assert_eq!((found.within[BUCKETS - 1], found.sum_ms), (6, 120_303));
        workers.clear();
        assert_eq!(workers.distribution().within, [0; BUCKETS]);
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
