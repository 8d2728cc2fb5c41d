//! Timers of a worker: a list of its own thread, looked at when it waits.
//!
//! Few things need one. What has no hurry waits with a deadline that the heartbeat looks at ([`crate::wait`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{Clock, Millis};

thread_local! {
    static SLEEPERS: RefCell<BTreeMap<(Millis, u32), Waker>> = const { RefCell::new(BTreeMap::new()) };
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// Waits until then, to the millisecond.
#[derive(Debug)]
pub(crate) struct Sleep {
    until: Millis,
    /// Its place among those of the same millisecond, once it is in the list.
    number: Option<u32>,
}

/// Waits at least so long.
pub(crate) fn sleep(time: Duration) -> Sleep {
    // The millisecond that has begun does not count.
    let time = time.as_millis() as Millis;
    sleep_until(Clock::get().now() + time + u64::from(time > 0))
}

pub(crate) fn sleep_until(until: Millis) -> Sleep {
    Sleep {
        until,
        number: None,
    }
}

/// `future`'s outcome, if it comes by then.
pub(crate) async fn within<T>(limit: Sleep, future: impl Future<Output = T>) -> Option<T> {
    let (mut limit, mut future) = (limit, pin!(future));
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = future.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        Pin::new(&mut limit).poll(context).map(|()| None)
    })
    .await
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Clock::get().now() >= self.until {
            self.leave();
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            NUMBER.set(NUMBER.get().wrapping_add(1));
            NUMBER.get()
        });
        SLEEPERS.with_borrow_mut(|sleepers| {
            let waker = sleepers.entry((self.until, number));
            waker
                .and_modify(|waker| waker.clone_from(context.waker()))
                .or_insert_with(|| context.waker().clone());
        });
        Poll::Pending
    }
}

impl Sleep {
    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            // At the very end of a thread there may be no list any more.
            let _ =
                SLEEPERS.try_with(|sleepers| sleepers.borrow_mut().remove(&(self.until, number)));
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

/// When the next one is due.
pub(crate) fn next() -> Option<Millis> {
    SLEEPERS.with_borrow(|sleepers| sleepers.keys().next().map(|(until, _)| *until))
}

/// Wakes those that are due.
pub(crate) fn wake(now: Millis) {
    while let Some(waker) = SLEEPERS.with_borrow_mut(|sleepers| {
        let first = sleepers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }) {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_due_is_woken_and_who_has_left_is_not() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let now = Clock::get().now();
        let mut sleeps =
            [1_000_000, 1_000_000, 2_000_000, 3_000_000].map(|ms| sleep_until(now + ms));
        for sleep in &mut sleeps {
            assert!(Pin::new(&mut *sleep).poll(&mut context).is_pending());
            assert!(Pin::new(sleep).poll(&mut context).is_pending());
        }
        let [first, _second, third, _fourth] = sleeps;
        drop(first);
        assert_eq!(next(), Some(now + 1_000_000));
        wake(now + 999_999);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        wake(now + 1_000_000);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        drop(third);
        wake(now + 2_500_000);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(next(), Some(now + 3_000_000));
    }

    #[test]
    fn what_is_over_already_does_not_wait() {
        let mut context = Context::from_waker(Waker::noop());
        let now = Clock::get().now();
        let mut future = pin!(within(sleep_until(now), std::future::pending::<()>()));
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(None));
        let mut future = pin!(within(sleep(Duration::from_secs(9)), std::future::ready(5)));
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(Some(5)));
        assert_eq!(next(), None);
    }
}
