use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn queue(maxconn: u32) -> Queue {
    let limits = Limits {
        maxconn,
        minconn: 0,
        maxqueue: 0,
    };
    let queue = Queue {
        core: OnceLock::new(),
        limits: Mutex::new(vec![limits]),
        fullconn: 100,
    };
    queue.begin();
    queue
}

fn wait(entry: Entry<'_>) -> Place<'_> {
    match entry {
        Entry::Wait(place) => place,
        other => panic!("expected to wait, got {other:?}"),
    }
}

fn poll(place: &mut Place<'_>) -> Poll<Call> {
    pin!(place.called()).poll(&mut Context::from_waker(Waker::noop()))
}

fn release(queue: &Queue) {
    let core = queue.core().expect("a queue");
    let mut core = lock(core);
    let grant = core.slots.release(0);
    core.pass_on(0, grant);
}

fn served(queue: &Queue) -> u32 {
    lock(queue.core().expect("a queue")).slots.served(0)
}

#[test]
fn slots_go_to_the_oldest_and_skip_who_has_gone() {
    let queue = queue(1);
    assert!(matches!(queue.enter(Some(0)), Entry::Slot(0)));
    let mut first = wait(queue.enter(Some(0)));
    let gone = wait(queue.enter(Some(0)));
    let mut last = wait(queue.enter(None));
    assert_eq!(
        (poll(&mut first), poll(&mut last)),
        (Poll::Pending, Poll::Pending)
    );
    drop(gone);
    release(&queue);
    assert_eq!(
        (poll(&mut first), poll(&mut last)),
        (Poll::Ready(Call::Slot(0)), Poll::Pending)
    );
    drop(first);
    release(&queue);
    assert_eq!(poll(&mut last), Poll::Ready(Call::Slot(0)));
    drop(last);
    assert_eq!((served(&queue), queue.waiting()), (1, 0));
}

#[test]
fn a_slot_granted_to_who_leaves_at_that_moment_is_not_lost() {
    let queue = queue(1);
    assert!(matches!(queue.enter(Some(0)), Entry::Slot(0)));
    let place = wait(queue.enter(Some(0)));
    let mut next = wait(queue.enter(Some(0)));
    release(&queue);
    drop(place);
    assert_eq!(poll(&mut next), Poll::Ready(Call::Slot(0)));
    drop(next);
    release(&queue);
    assert_eq!(served(&queue), 0);
}

#[test]
fn who_waits_for_a_server_that_goes_asks_again() {
    let queue = queue(1);
    assert!(matches!(queue.enter(Some(0)), Entry::Slot(0)));
    let mut place = wait(queue.enter(Some(0)));
    assert_eq!(queue.requeue(0), 1);
    assert_eq!(poll(&mut place), Poll::Ready(Call::Again));
}
