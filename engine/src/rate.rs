//! Rates as HAProxy measures them: events in a sliding period, from two counters.
//!
//! A period is cut into windows. The rate is what the running window has counted plus the share of the
//! window before it that the sliding period still covers. [`Speed`] is shared by all workers and counts
//! per second; [`Window`] belongs to one owner (a stick table's entry) and takes any period.
//! Times are milliseconds of one clock, given by the caller.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the running window, the one before it, and the time left of the running one make together.
fn slide(current: u64, previous: u64, left: u64, period: u64) -> u64 {
    // A lone event a period is shown until its window has passed, not faded to nothing at once.
    if current == 0 && previous <= 1 {
        return previous;
    }
    current + previous * left / period
}

/// Events per second, counted and read by any thread without a lock.
///
/// Packed into one word: 24 bits number of the second, 20 bits count in it, 20 bits count in the one
/// before. A count stops at about a million a second.
#[derive(Debug, Default)]
pub struct Speed {
    packed: AtomicU64,
    most: AtomicU32,
}

const PERIOD: u64 = 1000;
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const SECOND_MASK: u64 = (1 << 24) - 1;
const ONE: u64 = 1 << COUNT_BITS;
/// Leaves room for threads that add at the same time.
const LIMIT: u64 = COUNT_MASK - 4096;

#[derive(Clone, Copy)]
struct Packed {
    second: u64,
    current: u64,
    previous: u64,
}

impl Packed {
    fn unpack(word: u64) -> Self {
        Self {
            second: word >> (2 * COUNT_BITS),
            current: (word >> COUNT_BITS) & COUNT_MASK,
            previous: word & COUNT_MASK,
        }
    }

    fn pack(self) -> u64 {
        self.second << (2 * COUNT_BITS) | self.current << COUNT_BITS | self.previous
    }

    /// The same as seen at a later second.
    fn at(self, second: u64) -> Self {
        match second.wrapping_sub(self.second) & SECOND_MASK {
            0 => self,
            1 => Self {
                second,
                current: 0,
                previous: self.current,
            },
            // A thread that read the clock a moment earlier than the one that turned the window.
            SECOND_MASK => self,
            _ => Self {
                second,
                current: 0,
                previous: 0,
            },
        }
    }
}

impl Speed {
    /// Counts one event.
    pub fn count(&self, now: u64) {
        let second = (now / PERIOD) & SECOND_MASK;
        let word = self.packed.load(Relaxed);
        let seen = Packed::unpack(word);
        let current = if seen.second == second {
            if seen.current < LIMIT {
                self.packed.fetch_add(ONE, Relaxed);
            }
            seen.current + 1
        } else {
            let turn = |word| {
                let mut packed = Packed::unpack(word).at(second);
                packed.current = (packed.current + 1).min(LIMIT);
                Some(packed.pack())
            };
            let before = self
                .packed
                .fetch_update(Relaxed, Relaxed, turn)
                .unwrap_or(word);
            Packed::unpack(before).at(second).current + 1
        };
        let current = current as u32;
        if current > self.most.load(Relaxed) {
            self.most.fetch_max(current, Relaxed);
        }
    }

    /// Events in the second that ends now.
    pub fn get(&self, now: u64) -> u32 {
        let packed = Packed::unpack(self.packed.load(Relaxed)).at((now / PERIOD) & SECOND_MASK);
        slide(
            packed.current,
            packed.previous,
            PERIOD - now % PERIOD,
            PERIOD,
        ) as u32
    }

    /// The most events any one second had (`rate_max` of `show stat`).
    pub fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// Forgets the maximum (`clear counters`).
    pub fn forget_most(&self) {
        self.most.store(0, Relaxed);
    }

    /// How many more events a limit per second allows now.
    pub fn room(&self, limit: u32, now: u64) -> u32 {
        limit.saturating_sub(self.get(now))
    }
}

/// Events in a sliding period of any length; the owner passes the period each time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    start: u64,
    current: u32,
    previous: u32,
}

impl Window {
    fn turn(&mut self, period: u64, now: u64) {
        let age = now.saturating_sub(self.start);
        if age >= period {
            let follows = age < 2 * period;
            self.previous = if follows { self.current } else { 0 };
            self.start = if follows { self.start + period } else { now };
            self.current = 0;
        }
    }

    /// Counts `events` and returns the rate with them. `period` in ms.
    pub fn add(&mut self, events: u32, period: u64, now: u64) -> u32 {
        self.turn(period.max(1), now);
        self.current = self.current.saturating_add(events);
        self.get(period, now)
    }

    /// Sets the rate, as `set table ... data.conn_rate` does.
    pub fn set(&mut self, events: u32, now: u64) {
        *self = Self {
            start: now,
            current: events,
            previous: 0,
        };
    }

    /// Events in the period that ends now. `period` in ms.
    pub fn get(mut self, period: u64, now: u64) -> u32 {
        let period = period.max(1);
        self.turn(period, now);
        let left = period.saturating_sub(now.saturating_sub(self.start));
        slide(self.current.into(), self.previous.into(), left, period)
            .try_into()
            .unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_its_rate() {
        let speed = Speed::default();
        for now in (0..10_000).step_by(10) {
            speed.count(now);
        }
        for now in (9_000..9_990).step_by(70) {
            let speed = speed.get(now.max(9_990));
            assert!((99..=101).contains(&speed), "{speed} at {now}");
        }
        assert_eq!(speed.most(), 100);
    }

    #[test]
    fn a_burst_fades_within_two_seconds() {
        let speed = Speed::default();
        for _ in 0..100 {
            speed.count(500);
        }
        assert_eq!(speed.get(500), 100);
        assert_eq!(speed.get(1_250), 75);
        assert_eq!(speed.get(1_999), 0);
        assert_eq!(speed.get(2_000), 0);
        assert_eq!(speed.room(30, 1_750), 5);
        speed.forget_most();
        assert_eq!(speed.most(), 0);
    }

    #[test]
    fn a_single_event_is_seen_until_its_window_has_passed() {
        let speed = Speed::default();
        speed.count(10);
        assert_eq!(speed.get(1_999), 1);
        assert_eq!(speed.get(2_000), 0);
    }

    #[test]
    fn a_late_reader_loses_nothing() {
        let speed = Speed::default();
        speed.count(1_000);
        speed.count(999);
        assert_eq!(speed.get(1_000), 2);
    }

    #[test]
    fn threads_lose_no_event() {
        let speed = Speed::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|_| speed.count(7)));
            }
        });
        assert_eq!(speed.get(7), 20_000);
    }

    #[test]
    fn counts_stop_before_they_spill_over() {
        let speed = Speed::default();
        for _ in 0..(COUNT_MASK + 10) {
            speed.count(1);
        }
        assert_eq!(u64::from(speed.get(1)), LIMIT);
    }

    #[test]
    fn a_window_slides_over_its_period() {
        let mut window = Window::default();
        assert_eq!(window.add(10, 10_000, 100_000), 10);
        assert_eq!(window.get(10_000, 109_999), 10);
        assert_eq!(window.get(10_000, 115_000), 5);
        assert_eq!(window.get(10_000, 120_000), 0);
        window.set(7, 130_000);
        assert_eq!(window.get(10_000, 130_001), 7);
    }
}
