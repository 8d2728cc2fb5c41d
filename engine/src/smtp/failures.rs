//! Logins that servers refused, by source and by name: how many there were in the last ten minutes.
//!
//! Two tables of hashes, of this period and of the one before; the number is what the present one has and the share of the
//! last one that ten minutes still cover. Nothing is kept of the names themselves, and the key of the hash is gone with the
//! process.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;

/// How long a failure counts.
const PERIOD: Millis = 10 * 60 * 1000;

/// Entries of a table; with more a period ends early, so that nobody can fill the memory.
const MOST: usize = 1 << 16;

/// Who has failed.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Key<'a> {
    /// An address.
    Source(IpAddr),
    /// The name that was to be logged in.
    Name(&'a str),
}

/// Failed logins of the process.
#[derive(Debug, Default)]
pub struct Failures {
    key: RandomState,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    since: Millis,
    now: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
}

impl Failures {
    /// One more.
    pub(super) fn add(&self, key: Key<'_>, now: Millis) {
        let hash = self.hash(key);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.turn(now);
        if tables.now.len() >= MOST {
            tables.next(now);
        }
        let count = tables.now.entry(hash).or_default();
        *count = count.saturating_add(1);
    }

    /// How many there were.
    pub(super) fn count(&self, key: Key<'_>, now: Millis) -> u32 {
        let hash = self.hash(key);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.turn(now);
        let of = |table: &HashMap<u64, u32>| u64::from(table.get(&hash).copied().unwrap_or(0));
        let left = (tables.since + PERIOD).saturating_sub(now);
        let share = (of(&tables.before) * left).div_ceil(PERIOD);
        u32::try_from(of(&tables.now) + share).unwrap_or(u32::MAX)
    }

    /// Servers take a name in any case.
    fn hash(&self, key: Key<'_>) -> u64 {
        match key {
            Key::Name(name) => self.key.hash_one(Key::Name(&name.to_lowercase())),
            Key::Source(_) => self.key.hash_one(key),
        }
    }
}

impl Tables {
    fn turn(&mut self, now: Millis) {
        if now >= self.since + 2 * PERIOD {
            self.now.clear();
        }
        if now >= self.since + PERIOD {
            self.next(now);
        }
    }

    fn next(&mut self, now: Millis) {
        self.before = std::mem::take(&mut self.now);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60 * 1000;

    #[test]
    fn failures_are_counted_and_forgotten() {
        let failures = Failures::default();
        let source = Key::Source(IpAddr::from([192, 0, 2, 1]));
        for at in 1..=4 {
            failures.add(source, at * MINUTE);
        }
        failures.add(Key::Name("ann"), 4 * MINUTE);
        assert_eq!(failures.count(source, 5 * MINUTE), 4);
        assert_eq!(failures.count(Key::Name("ANN"), 5 * MINUTE), 1);
        assert_eq!(failures.count(Key::Name("bob"), 5 * MINUTE), 0);
        assert_eq!(failures.count(source, 10 * MINUTE), 4);
        assert_eq!(failures.count(source, 15 * MINUTE), 2);
        assert_eq!(failures.count(source, 20 * MINUTE), 0);
        failures.add(source, 21 * MINUTE);
        assert_eq!(failures.count(source, 60 * MINUTE), 0);
    }

    #[test]
    fn nobody_can_fill_the_memory() {
        let failures = Failures::default();
        for name in 0..3 * MOST {
            failures.add(Key::Name(&name.to_string()), 1);
        }
        let tables = failures.tables.lock().unwrap();
        assert!(tables.now.len() + tables.before.len() <= 2 * MOST);
    }
}
