//! What waits to be told, and when it is tried again. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use engine::clock::Millis;

/// So many may wait; the oldest makes room.
pub(super) const ROOM: usize = 100;
/// For how long a message is tried.
const PATIENCE: Millis = 60 * 60 * 1000;
/// The first pause; each is twice the one before.
const FIRST_PAUSE: Millis = 1_000;
/// The longest of our own.
const LONGEST_PAUSE: Millis = 60_000;
/// The longest that a receiver may ask for.
const LONGEST_ASKED: Millis = 600_000;

/// Why it was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: String,
    /// Another time will be no better.
    pub(super) forever: bool,
    /// Not before so long.
    pub(super) after: Option<Duration>,
}

impl Refused {
    pub(super) fn for_now(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            forever: false,
            after: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue<P> {
    waiting: VecDeque<(P, Millis)>,
    /// In a row.
    failures: u32,
    /// Not before.
    next: Millis,
}

impl<P> Queue<P> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            failures: 0,
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a message; true when another had to go for it.
    pub(super) fn push(&mut self, parcel: P, now: Millis) -> bool {
        let full = self.waiting.len() >= ROOM;
        if full {
            self.waiting.pop_front();
        }
        self.waiting.push_back((parcel, now));
        full
    }

    /// When the next is due.
    pub(super) fn due(&self) -> Option<Millis> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// The next, which comes back by [`Self::again`] or does not.
    pub(super) fn take(&mut self) -> Option<(P, Millis)> {
        self.waiting.pop_front()
    }

    /// It was taken. True: the ones before were not.
    pub(super) fn taken(&mut self) -> bool {
        self.next = 0;
        std::mem::take(&mut self.failures) > 0
    }

    /// It was not taken. `chance` is from 0 to 1. False: it is given up.
    pub(super) fn again(
        &mut self,
        (parcel, since): (P, Millis),
        refused: &Refused,
        now: Millis,
        chance: f64,
    ) -> bool {
        if refused.forever {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let asked = refused.after.map_or(0, |after| after.as_millis() as Millis);
        let pause = pause(self.failures, chance).max(asked.min(LONGEST_ASKED));
        self.next = now + pause;
        if self.next > since + PATIENCE {
            return false;
        }
        self.waiting.push_front((parcel, since));
        true
    }
}

/// After so many failures: doubled each time, and up to a half less, so that a crowd does not come back as one.
fn pause(failures: u32, chance: f64) -> Millis {
    let doubled = FIRST_PAUSE << (failures.saturating_sub(1)).min(10);
    let most = doubled.min(LONGEST_PAUSE);
    most - (most as f64 / 2.0 * chance.clamp(0.0, 1.0)) as Millis
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_to_a_minute() {
        let pauses: Vec<_> = (1..9).map(|failures| pause(failures, 0.0)).collect();
        let expected = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
        assert_eq!(pauses, expected);
        assert_eq!((pause(1, 1.0), pause(u32::MAX, 1.0)), (500, 30_000));
    }

    #[test]
    fn a_message_is_tried_for_an_hour_and_not_beside_others() {
        let mut queue = Queue::new();
        queue.push('a', 0);
        queue.push('b', 0);
        let refused = Refused::for_now("no");
        let (mut now, mut tries) = (0, 0);
        loop {
            let parcel = queue.take().unwrap();
            assert_eq!(parcel.0, 'a');
            tries += 1;
            if !queue.again(parcel, &refused, now, 0.0) {
                break;
            }
            now = queue.due().unwrap();
        }
        assert!(
            (60..70).contains(&tries) && now <= PATIENCE,
            "{tries} {now}"
        );
        assert_eq!(queue.take().unwrap().0, 'b');
        assert!(queue.taken() && !queue.taken());
    }

    #[test]
    fn receivers_may_ask_for_time_and_refuse_for_good() {
        let mut queue = Queue::new();
        let busy = Refused {
            after: Some(Duration::from_secs(30)),
            ..Refused::for_now("busy")
        };
        assert!(queue.again(('a', 0), &busy, 0, 0.5));
        assert_eq!(queue.due(), Some(30_000));
        let never = Refused {
            forever: true,
            ..busy
        };
        assert!(!queue.again(('b', 0), &never, 0, 0.5));
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        #[test]
        fn what_waits_is_bounded_and_in_order(steps in proptest::collection::vec(0..4u8, 0..600)) {
            let (mut queue, mut next, mut last) = (Queue::new(), 0_u32, None);
            for step in steps {
                match step {
                    0..3 => {
                        queue.push(next, 0);
                        next += 1;
                    }
                    _ => if let Some((parcel, _)) = queue.take() {
                        prop_assert!(last.is_none_or(|last| last < parcel));
                        last = Some(parcel);
                    }
                }
                prop_assert!(queue.len() <= ROOM);
            }
        }
    }
}
