//! A worker's turns: what the kernel reports, what tasks make of it, and the wait for more.
//!
//! A turn serves rows with a few bytes first, then tasks (new sessions and greetings among them), then bulk. All wait in
//! one place, the thread's poller; whoever wakes a task from another thread rings the bell there.
//!
//! A turn is the cheaper the more it serves, so a worker does not push in ([`stand_back`]): it has its turn when those
//! who speak to it have said what they had to say. Where that is little, it lets others run before it waits: the answer
//! is there when it comes back, and nobody had to be woken. Where that brings nothing (the peer needs its time on
//! another core) or costs too much (others keep the core for long), the worker waits at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::getpriority_process;
use thread_priority::NormalThreadSchedulePolicy::{Batch, Other};
use thread_priority::ThreadPriority::Crossplatform;
use thread_priority::ThreadSchedulePolicy::Normal;
use thread_priority::{set_thread_priority_and_policy, thread_native_id, thread_schedule_policy};
use tokio::task::LocalSet;

use crate::clock::Clock;
use crate::worker::Worker;
use crate::{poller, timer};

thread_local! {
    /// It is a worker's thread.
    static HAS_TURNS: Cell<bool> = const { Cell::new(false) };

    /// Those who go on in the next turn.
    static PATIENT: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Wakes a worker that waits; rung by wakers, and silent while it is awake.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicBool,
    asleep: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    /// Gives this thread its poller, and a bell to it.
    ///
    /// # Errors
    /// The system has no room for them.
    pub(crate) fn hang() -> std::io::Result<Arc<Self>> {
        poller::adopt()?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        poller::hear(&event)?;
        Ok(Arc::new(Self {
            rung: AtomicBool::new(true),
            asleep: AtomicBool::new(false),
            event,
        }))
    }
}

// Who rings has left its mark before it looks whether the worker sleeps, and the worker says that it does before it
// looks for marks: one of the two sees the other.
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) && self.asleep.load(Ordering::SeqCst) {
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}

/// Has this thread take nobody's core when it is woken (`SCHED_BATCH`, sched(7)); its share of time stays the same.
///
/// That saves half of the context switches of a busy worker. Where an operator has chosen something else, or the system
/// refuses it, all stays as it is.
pub(crate) fn stand_back() {
    if let (Ok(Normal(Other)), Ok(nice)) = (thread_schedule_policy(), getpriority_process(None)) {
        // Both can only be set together: this is the same niceness in the words of the crate.
        let as_now = (0..=u8::MAX).find_map(|value| {
            let priority = Crossplatform(value.try_into().ok()?);
            let same = priority.to_posix(Normal(Batch)).ok()? == nice;
            same.then_some(priority)
        });
        let _ = as_now.map(|priority| {
            set_thread_priority_and_policy(thread_native_id(), priority, Normal(Batch))
        });
    }
}

/// Lets everybody else have a turn first: the task goes on when the kernel was asked again.
pub(crate) async fn next() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        wake_in_next(context.waker());
        Poll::Pending
    })
    .await;
}

/// Has a task woken in the next turn, behind all for whom something has come; on a thread without turns by its
/// runtime.
pub(crate) fn wake_in_next(waker: &Waker) {
    if HAS_TURNS.get() {
        PATIENT.with_borrow_mut(|patient| patient.push(waker.clone()));
    } else {
        waker.wake_by_ref();
    }
}

/// Runs a worker until `life` is over.
pub(crate) fn run(worker: &Worker, bell: &Arc<Bell>, life: impl Future<Output = ()>) {
    let tasks = LocalSet::new();
    let waker = Waker::from(Arc::clone(bell));
    let mut context = Context::from_waker(&waker);
    let mut life = pin!(tasks.run_until(life));
    let mut breather = Breather::default();
    HAS_TURNS.set(true);
    loop {
        if bell.rung.swap(false, Ordering::SeqCst) && life.as_mut().poll(&mut context).is_ready() {
            return;
        }
        worker.go_on();
        worker.log.flush();
        let patient = PATIENT.with_borrow(|patient| !patient.is_empty());
        if patient || worker.has_more() || bell.rung.load(Ordering::SeqCst) {
            turn(worker, bell, Some(Duration::ZERO));
            continue;
        }
        let from = Clock::get().micros();
        if breather.is_due(from) {
            std::thread::yield_now();
            let to = Clock::get().micros();
            let found = turn(worker, bell, Some(Duration::ZERO));
            breather.note(found, from, to);
            breather.count(found);
            if found > 0 {
                continue;
            }
        }
        bell.asleep.store(true, Ordering::SeqCst);
        let patience = match bell.rung.load(Ordering::SeqCst) {
            true => Some(Duration::ZERO),
            false => timer::next()
                .map(|due| Duration::from_millis(due.saturating_sub(Clock::get().now()))),
        };
        breather.count(turn(worker, bell, patience));
    }
}

/// Handles what the kernel reports, once; how much that was.
fn turn(worker: &Worker, bell: &Bell, patience: Option<Duration>) -> usize {
    let events = poller::wait(patience);
    bell.asleep.store(false, Ordering::SeqCst);
    let now = Clock::get().now();
    let found = events.len();
    worker.heed(&events, now);
    poller::keep(events);
    timer::wake(now);
    PATIENT.take().into_iter().for_each(Waker::wake);
    found
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
    /// Sockets that had something, in eighths of a turn on average.
    company: usize,
}

impl Breather {
    const MOST: u8 = 8;

    /// Where a turn serves more sockets than that, the next will as well.
    const FEW: usize = 2;

    /// One in so many is tried all the same: times change.
    const PROBE: u8 = 32;

    /// What others may take for each socket that has something afterwards, in microseconds. Longer: the core is
    /// theirs, and a session would wait for them each time.
    const LONG: u64 = 100;

    /// What that may add to the time of sessions: a part in so many.
    const SHARE: u64 = 20;

    fn is_due(&mut self, now: u64) -> bool {
        if now < self.rest || self.company > Self::FEW * 8 {
            return false;
        }
        if self.worth == 0 {
            self.left = (self.left + 1) % Self::PROBE;
        }
        self.worth > 0 || self.left == 0
    }

    /// A turn has found so many sockets that had something.
    fn count(&mut self, found: usize) {
        self.company = self.company - self.company / 8 + found;
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
            company: 0,
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
    fn in_company_nobody_is_waited_for() {
        let mut breather = Breather::default();
        (0..100).for_each(|_| breather.count(2));
        assert!(breather.is_due(0));
        (0..100).for_each(|_| breather.count(3));
        assert!(!breather.is_due(0));
        (0..10).for_each(|_| breather.count(0));
        assert!(breather.is_due(0));
    }

    #[test]
    fn a_thread_that_stands_back_keeps_its_share() {
        let before = getpriority_process(None).unwrap();
        let stood = std::thread::spawn(move || {
            stand_back();
            (thread_schedule_policy().ok(), getpriority_process(None))
        });
        let (policy, nice) = stood.join().unwrap();
        assert_eq!((policy, nice), (Some(Normal(Batch)), Ok(before)));
    }

    #[test]
    fn who_was_kept_waiting_long_does_not_ask_again_soon() {
        let mut breather = Breather::default();
        breather.note(3, 0, 4_000);
        assert!(!breather.is_due(83_999));
        assert!(breather.is_due(84_000));
    }
}
