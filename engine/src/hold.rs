//! Clients that wait for a server to come back (`timeout hold`), first in first out.
//!
//! When a backend has a usable server again, they are let go a few at first and twice as many with each step, so
//! that a server that just came back is not flooded. Whoever finds it gone again keeps its place. Nobody who
//! comes meanwhile overtakes them. A client that leaves is forgotten at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::sync::{Notify, oneshot};

use crate::clock::{Clock, Millis};
use crate::end::{Cause, Ending, Phase};
use crate::prelude::Client;
use crate::session::Session;
use crate::socket::Socket;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// How long a step of the ramp takes.
pub(crate) const STEP: Duration = Duration::from_millis(50);

/// How many the first step lets go.
const FIRST: usize = 4;

/// Those who wait for a backend.
#[derive(Debug)]
pub struct Hold {
    most: usize,
    waiting: AtomicUsize,
    line: Mutex<Line>,
    occupied: Notify,
}

#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
    arrivals: u64,
    /// Somebody who was let go is back.
    returned: bool,
}

impl Hold {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: most as usize,
            waiting: AtomicUsize::new(0),
            line: Mutex::default(),
            occupied: Notify::new(),
        }
    }

    /// Whether anybody waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A panic in between leaves a line that is still a line.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the line: the old one for who was there before. `None`: there are too many.
    fn enter(&self, before: Option<u64>) -> Option<Place<'_>> {
        let mut line = self.line();
        if line.waiting.len() >= self.most {
            return None;
        }
        line.returned |= before.is_some();
        let arrival = before.unwrap_or_else(|| {
            line.arrivals += 1;
            line.arrivals
        });
        let (caller, call) = oneshot::channel();
        line.waiting.insert(arrival, caller);
        self.waiting.store(line.waiting.len(), Ordering::Relaxed);
        self.occupied.notify_one();
        Some(Place {
            hold: self,
            arrival,
            call,
        })
    }

    /// Lets the first ones go; true when one who was let go before has come back.
    fn release(&self, count: usize) -> bool {
        let mut line = self.line();
        for _ in 0..count {
            let Some((_, caller)) = line.waiting.pop_first() else {
                break;
            };
            // Who has left meanwhile gives its turn to nobody: the next step is near.
            let _ = caller.send(());
        }
        self.waiting.store(line.waiting.len(), Ordering::Relaxed);
        std::mem::take(&mut line.returned)
    }

    /// Lets those who wait go while `up` says that there is a server: the ramp. Never returns.
    pub(crate) async fn ramp(&self, up: impl Fn() -> bool) {
        let mut count = FIRST;
        loop {
            if !self.is_busy() {
                count = FIRST;
                self.occupied.notified().await;
                continue;
            }
            if up() {
                count = if self.release(count) {
                    FIRST
                } else {
                    count * 2
                };
            } else {
                count = FIRST;
            }
            tokio::time::sleep(STEP).await;
        }
    }
}

/// A place in the line; given back when dropped.
#[derive(Debug)]
struct Place<'h> {
    hold: &'h Hold,
    arrival: u64,
    call: oneshot::Receiver<()>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.hold.line();
        line.waiting.remove(&self.arrival);
        self.hold
            .waiting
            .store(line.waiting.len(), Ordering::Relaxed);
    }
}

/// One session's waiting, which may take several turns.
#[derive(Debug)]
pub(crate) struct Turn<'h> {
    worker: &'h Worker,
    hold: &'h Hold,
    limit: Duration,
    arrival: Option<u64>,
    until: Option<Millis>,
}

impl<'h> Turn<'h> {
    pub(crate) fn new(worker: &'h Worker, hold: &'h Hold, limit: Duration) -> Self {
        Self {
            worker,
            hold,
            limit,
            arrival: None,
            until: None,
        }
    }

    /// Waits until there may be a server. False: the time is up, or too many wait.
    pub(crate) async fn wait(
        &mut self,
        ticket: &Ticket<'_>,
        session: &Session,
        client: &Client,
    ) -> Result<bool, Ending> {
        let now = Clock::get().now();
        let until = *self
            .until
            .get_or_insert(now + self.limit.as_millis() as Millis);
        let left = Duration::from_millis(until.saturating_sub(now));
        let Some(mut place) = self.hold.enter(self.arrival).filter(|_| !left.is_zero()) else {
            return Ok(false);
        };
        if self.arrival.replace(place.arrival).is_none()
            && let Some(back) = session.farm()
        {
            back.totals.at(self.worker.id).held.add(1);
        }
        let mut gone = pin!(leaves(client));
        let called = poll_fn(|context| {
            if Pin::new(&mut place.call).poll(context).is_ready() {
                return Poll::Ready(true);
            }
            gone.as_mut().poll(context).map(|()| false)
        });
        match ticket.wait(Some(left), called).await {
            Ok(true) => Ok(true),
            Ok(false) => Err(Ending::new(Cause::Client, Phase::Queue)),
            Err(Stop::Ended(ending)) => Err(ending),
            Err(Stop::Late) => Ok(false),
        }
    }
}

/// Waits until a client has left. One that talks before it was greeted has not.
pub(crate) async fn leaves(client: &Client) {
    let left = Left(&client.socket);
    loop {
        if poll_fn(|context| left.0.poll_readable(context))
            .await
            .is_err()
        {
            return std::future::pending().await;
        }
        let mut byte = [0; 1];
        match recv(left.0, &mut byte[..], RecvFlags::PEEK) {
            Ok((0, _)) => return,
            Err(error) if error != rustix::io::Errno::AGAIN => return,
            _ if left.0.state().hangup => return,
            _ => left.0.is_drained(),
        }
    }
}

/// What was only looked at is there for whoever comes next.
struct Left<'s>(&'s Socket);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.is_readable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(place: &mut Place<'_>) -> bool {
        place.call.try_recv().is_ok()
    }

    #[test]
    fn first_in_first_out_and_who_comes_back_keeps_its_place() {
        let hold = Hold::new(3);
        let mut places: Vec<_> = (0..3).filter_map(|_| hold.enter(None)).collect();
        assert!(hold.enter(None).is_none(), "there is room for three");
        assert!(!hold.release(1));
        let calls: Vec<_> = places.iter_mut().map(called).collect();
        assert_eq!(calls, [true, false, false]);
        let first = places.remove(0).arrival;
        let mut back = hold.enter(Some(first)).expect("room");
        let mut last = hold.enter(None);
        assert!(last.is_none(), "room for three");
        drop(places.remove(0));
        last = hold.enter(None);
        assert!(hold.release(1), "one has come back: the ramp begins anew");
        assert!(called(&mut back) && !called(&mut places[0]));
        assert!(!hold.release(9));
        assert!(called(&mut places[0]) && last.is_some_and(|mut last| called(&mut last)));
        assert!(!hold.is_busy());
    }
}
