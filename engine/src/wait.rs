//! Waiting with a deadline, interruptible, without a timer or an allocation per session.
//!
//! A session that still waits for something holds a [`Ticket`]: a slot in the worker's list with its
//! deadline and its waker. The worker's heartbeat wakes those that are late; `shutdown session` and
//! `on-marked-down` wake those they end. `show sess` reads the list.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use slab::Slab;
use wire::smtp::Why;

use crate::clock::{Clock, Millis};
use crate::end::Ending;
use crate::order::SessionLeg;
use crate::server::Server;
use crate::session::{Ingress, Peer, Session};
use crate::topology::Proxy;
use crate::worker::Worker;

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The deadline has passed.
    Late,
    /// An operator or the controller ended the session.
    Ended(Ending),
}

/// A session that is not relayed yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u32,
    pub(crate) ingress: Rc<Ingress>,
    pub(crate) client: Peer,
    pub(crate) began: Millis,
    pub(crate) backend: Option<Arc<Proxy>>,
    pub(crate) server: Option<Arc<Server>>,
    /// Both sides and when each last moved, of a session that is past waiting: relayed with TLS.
    pub(crate) relayed: Option<([SessionLeg; 2], [Millis; 2])>,
    /// Bytes from the client and from the server, of a session that reads its mail.
    pub(crate) bytes: Option<(u64, u64)>,
    deadline: Option<Millis>,
    stop: Option<Stop>,
    /// Its server is to be left, if it can be (`mode smtp`).
    leave: Option<Why>,
    waker: Option<Waker>,
}

impl Waiting {
    /// Milliseconds until its deadline, where it has one.
    pub(crate) fn left(&self, now: Millis) -> Option<Millis> {
        self.deadline.map(|deadline| deadline.saturating_sub(now))
    }

    /// Its two sides, where it is relayed.
    pub(crate) fn legs(&self, now: Millis) -> Option<[SessionLeg; 2]> {
        let (mut legs, last) = self.relayed?;
        for (leg, last) in legs.iter_mut().zip(last) {
            leg.idle = now.saturating_sub(last);
        }
        Some(legs)
    }
}

/// A worker's list of them.
#[derive(Debug, Default)]
pub(crate) struct WaitingRoom(RefCell<Slab<Waiting>>);

impl WaitingRoom {
    /// Wakes those whose deadline has passed.
    pub(crate) fn sweep(&self, now: Millis) {
        self.stop_where(|waiting| {
            waiting
                .deadline
                .is_some_and(|deadline| now >= deadline)
                .then_some(Stop::Late)
        });
    }

    /// Ends those that `cause` names a reason for.
    pub(crate) fn stop_where(&self, cause: impl Fn(&Waiting) -> Option<Stop>) {
        for (_, waiting) in self.0.borrow_mut().iter_mut() {
            if let Some(stop) = cause(waiting) {
                waiting.stop = Some(stop);
                if let Some(waker) = waiting.waker.take() {
                    waker.wake();
                }
            }
        }
    }

    /// Has those who read their mail leave their server that `cause` names a reason for.
    pub(crate) fn leave_where(&self, cause: impl Fn(&Waiting) -> Option<Why>) {
        for (_, waiting) in self.0.borrow_mut().iter_mut() {
            if waiting.bytes.is_some()
                && let Some(why) = cause(waiting)
            {
                waiting.leave = Some(why);
                if let Some(waker) = waiting.waker.take() {
                    waker.wake();
                }
            }
        }
    }

    /// Calls `visit` for each.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Waiting)) {
        self.0
            .borrow()
            .iter()
            .for_each(|(_, waiting)| visit(waiting));
    }
}

/// A session's place in the list; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket<'w> {
    room: &'w WaitingRoom,
    key: usize,
}

impl<'w> Ticket<'w> {
    pub(crate) fn take(worker: &'w Worker, session: &Session) -> Self {
        let room = &worker.waiting;
        let key = room.0.borrow_mut().insert(Waiting {
            id: session.id,
            ingress: Rc::clone(&session.ingress),
            client: session.client,
            began: session.began,
            backend: None,
            server: None,
            relayed: None,
            bytes: None,
            deadline: None,
            stop: None,
            leave: None,
            waker: None,
        });
        Self { room, key }
    }

    /// Lets `show sess` and those who end sessions know where it is going.
    pub(crate) fn note(&self, session: &Session) {
        if let Some(waiting) = self.room.0.borrow_mut().get_mut(self.key) {
            waiting.client = session.client;
            waiting.backend.clone_from(&session.backend);
            waiting.server.clone_from(&session.server);
        }
    }

    /// The same for the server that is asked now.
    pub(crate) fn note_server(&self, server: &Arc<Server>) {
        self.with(|waiting| waiting.server = Some(Arc::clone(server)));
    }

    /// The same for a session that is relayed with TLS.
    pub(crate) fn note_legs(&self, legs: [SessionLeg; 2], last: [Millis; 2]) {
        self.with(|waiting| waiting.relayed = Some((legs, last)));
    }

    /// Lets `show sess` know how many bytes there were, from the client and from the server.
    pub(crate) fn note_bytes(&self, bytes: (u64, u64)) {
        self.with(|waiting| waiting.bytes = Some(bytes));
    }

    /// Why its server is to be left, if it is; told once.
    pub(crate) fn take_leave(&self) -> Option<Why> {
        self.with(|waiting| waiting.leave.take())
    }

    /// Waits for `future`, at most for `limit`. A zero limit is none, as in the configuration.
    pub(crate) async fn wait<T>(
        &self,
        limit: Option<Duration>,
        future: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let limit = limit.filter(|limit| !limit.is_zero());
        let deadline = limit.map(|limit| Clock::get().now() + limit.as_millis() as Millis);
        self.with(|waiting| waiting.deadline = deadline);
        let mut future = pin!(future);
        let result = poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            self.with(|waiting| match waiting.stop {
                Some(stop) => Poll::Ready(Err(stop)),
                None => {
                    waiting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
        self.with(|waiting| {
            waiting.deadline = None;
            waiting.waker = None;
            if let Some(Stop::Late) = waiting.stop {
                waiting.stop = None;
            }
        });
        result
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Waiting) -> T) -> T {
        // The slot is ours until the ticket is dropped.
        use_it(&mut self.room.0.borrow_mut()[self.key])
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.room.0.borrow_mut().remove(self.key);
    }
}
