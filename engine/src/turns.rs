//! When a worker runs its relay table: as soon as the runtime reports it, and before the runtime waits.
//!
//! Before it waits, a worker lets others run. Under load the peers' answers are there when it comes back: one turn
//! serves several sessions, nobody had to be woken, and the runtime need not be asked. Where that brings nothing
//! (a lone session, whose peer needs its time on another core) or costs too much (others keep the core for long),
//! the worker waits at once.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::Interest;

use crate::clock::Clock;
use crate::sock;
use crate::worker::Worker;

/// For how long turns follow each other before the runtime looks after its other tasks, new sessions among them, in
/// microseconds.
const STRETCH: u64 = 400;

thread_local! {
    /// The worker of this thread, for the runtime's hook.
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// Lets [`before_wait`] find the worker of this thread.
pub(crate) fn adopt(worker: &Rc<Worker>) {
    WORKER.set(Some(Rc::clone(worker)));
}

/// Runs the relay table whenever its epoll instance has something.
pub(crate) async fn run(worker: Rc<Worker>, epoll: OwnedFd) {
    let Ok(watched) = sock::watch(epoll, Interest::READABLE) else {
        return;
    };
    loop {
        tokio::select! {
            biased;
            ready = watched.readable() => match ready {
                // Nothing is lost: the turn that follows takes all there is, or says that there is more.
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return,
            },
            () = worker.more.notified() => {}
        }
        if worker.turn().more {
            worker.more.notify_one();
            tokio::task::yield_now().await;
        }
    }
}

/// What the runtime of a worker does before it waits.
pub(crate) fn before_wait() {
    WORKER.with_borrow(|worker| {
        let Some(worker) = worker else { return };
        let mut breather = worker.breather.borrow_mut();
        let mut from = Clock::get().micros();
        let end = from + STRETCH;
        while from < end && breather.is_due(from) {
            std::thread::yield_now();
            let to = Clock::get().micros();
            let turn = worker.turn();
            breather.note(turn.events, from, to);
            if turn.more {
                worker.more.notify_one();
            }
            if turn.more || turn.events == 0 {
                break;
            }
            from = Clock::get().micros();
        }
        worker.log.flush();
    });
}

/// Whether it is worth while to let others run before waiting.
#[derive(Debug)]
pub(crate) struct Breather {
    /// Rises when it brought something, falls when it did not; at zero it is left.
    worth: u8,
    /// How often it was left.
    left: u8,
    /// Until when it is left because others took long (microseconds of the process).
    rest: u64,
}

impl Breather {
    const MOST: u8 = 8;

    /// One in so many is tried all the same: times change.
    const PROBE: u8 = 32;

    /// What others may take for each socket that has something afterwards, in microseconds. Longer: the core is
    /// theirs, and a session would wait for them each time.
    const LONG: u64 = 100;

    /// What that may add to the time of sessions: a part in so many.
    const SHARE: u64 = 20;

    fn is_due(&mut self, now: u64) -> bool {
        if now < self.rest {
            return false;
        }
        if self.worth == 0 {
            self.left = (self.left + 1) % Self::PROBE;
        }
        self.worth > 0 || self.left == 0
    }

    fn note(&mut self, found: usize, from: u64, to: u64) {
        let took = to - from;
        if took > Self::LONG * (found as u64 + 1) {
            self.rest = to + took * Self::SHARE;
        }
        self.worth = if found > 0 {
            (self.worth + 2).min(Self::MOST)
        } else {
            self.worth.saturating_sub(1)
        };
    }
}

impl Default for Breather {
    fn default() -> Self {
        Self {
            worth: Self::MOST,
            left: 0,
            rest: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_nothing_is_left_and_probed_now_and_then() {
        let mut breather = Breather::default();
        let mut tried = |found: usize| {
            (0..320)
                .filter(|_| {
                    let due = breather.is_due(0);
                    if due {
                        breather.note(found, 0, 1);
                    }
                    due
                })
                .count()
        };
        assert_eq!(tried(0), 8 + 312 / 32);
        assert!(tried(1) > 280);
        assert_eq!(tried(1), 320);
    }

    #[test]
    fn who_was_kept_waiting_long_does_not_ask_again_soon() {
        let mut breather = Breather::default();
        breather.note(3, 0, 4_000);
        assert!(!breather.is_due(83_999));
        assert!(breather.is_due(84_000));
    }
}
