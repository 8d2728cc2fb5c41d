//! The queue of a backend at run time: [`Slots`] behind a lock, and a way to wake each who waits.
//!
//! A backend none of whose servers has a `maxconn` has no queue, and no lock is ever taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use config::model;
use tokio::sync::oneshot;

use crate::balance::Load;
use crate::server::Server;
use crate::slots::{Answer, Depth, Grant, Limits, Slots, Ticket, Want};

/// Who may use which server now, and who waits.
#[derive(Debug)]
pub struct Queue {
    core: OnceLock<Mutex<Core>>,
    /// Of the server at each place.
    limits: Mutex<Vec<Limits>>,
    fullconn: u32,
}

#[derive(Debug)]
struct Core {
    slots: Slots,
    waiting: HashMap<Ticket, oneshot::Sender<Call>>,
    tickets: Ticket,
}

/// What a waiting session is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// It has a slot on that server.
    Slot(usize),
    /// Its server went away: choose again.
    Again,
}

/// What became of a session that wants a slot.
#[derive(Debug)]
pub(crate) enum Entry<'q> {
    /// It has one, on that server.
    Slot(usize),
    /// The server's queue is at `maxqueue`.
    Full,
    /// It waits.
    Wait(Place<'q>),
}

/// A place in a queue; given back when dropped, with the slot it may have got unseen.
#[derive(Debug)]
pub(crate) struct Place<'q> {
    queue: &'q Mutex<Core>,
    ticket: Ticket,
    call: oneshot::Receiver<Call>,
    /// How many are ahead: in the server's queue, and in the backend's.
    pub(crate) behind: (u32, u32),
}

impl Queue {
    pub(crate) fn new(conf: &model::Back, fullconn: u32) -> Self {
        let queue = Self {
            core: OnceLock::new(),
            limits: Mutex::new(conf.servers.iter().map(limits).collect()),
            fullconn,
        };
        if conf.servers.iter().any(|server| server.maxconn > 0) {
            queue.begin();
        }
        queue
    }

    /// Begins to count slots.
    fn begin(&self) -> &Mutex<Core> {
        self.core.get_or_init(|| {
            Mutex::new(Core {
                slots: Slots::new(lock(&self.limits).iter().copied(), self.fullconn),
                waiting: HashMap::new(),
                tickets: 0,
            })
        })
    }

    fn core(&self) -> Option<&Mutex<Core>> {
        self.core.get()
    }

    /// The same where no server had a limit so far: sessions of before are counted.
    fn begin_late(&self, servers: &[Arc<Server>]) -> &Mutex<Core> {
        if let Some(core) = self.core() {
            return core;
        }
        let core = self.begin();
        let mut slots = lock(core);
        for server in servers {
            slots.slots.adopt(server.index, server.sessions.get());
        }
        // Who may serve those that wait is told next.
        slots.slots.nobody_is_eligible();
        drop(slots);
        core
    }

    /// `set maxconn server`.
    pub(crate) fn set_maxconn(&self, servers: &[Arc<Server>], server: &Server, maxconn: u32) {
        let mut core = lock(self.begin_late(servers));
        core.slots.set_maxconn(server.index, maxconn);
        server.set_maxconn(maxconn);
        let grant = core.slots.next(server.index);
        core.pass_on(server.index, grant);
    }

    /// A server is about to be added; it serves nobody yet.
    pub(crate) fn add(&self, servers: &[Arc<Server>], server: &Server) {
        let limits = limits(&server.conf);
        let mut all = lock(&self.limits);
        if all.len() <= server.index {
            all.resize(server.index + 1, Limits::default());
        }
        all[server.index] = limits;
        drop(all);
        if self.core().is_some() || limits.maxconn > 0 {
            let mut core = lock(self.begin_late(servers));
            core.slots.open(server.index, limits);
        }
    }

    /// A slot on that server, or on any.
    pub(crate) fn enter(&self, wanted: Option<usize>) -> Entry<'_> {
        let Some(queue) = self.core() else {
            return wanted.map_or(Entry::Full, Entry::Slot);
        };
        let mut core = lock(queue);
        core.tickets += 1;
        let ticket = core.tickets;
        match core
            .slots
            .acquire(wanted.map_or(Want::Any, Want::Server), ticket)
        {
            Answer::Granted(server) => Entry::Slot(server),
            Answer::QueueFull => Entry::Full,
            Answer::Queued { server, backend } => {
                let (caller, call) = oneshot::channel();
                core.waiting.insert(ticket, caller);
                Entry::Wait(Place {
                    queue,
                    ticket,
                    call,
                    behind: (server, backend),
                })
            }
        }
    }

    /// A session on that server has ended: the next one gets its slot.
    pub(crate) fn release(&self, server: usize) {
        if let Some(queue) = self.core() {
            let mut core = lock(queue);
            let grant = core.slots.release(server);
            core.pass_on(server, grant);
        }
    }

    /// The controller's word on a server: whether it serves the backend's queue, and how warm it is, in
    /// per cent. Slots that are free with it go to those who wait.
    pub(crate) fn adjust(&self, server: usize, eligible: bool, warmth: u32) {
        if let Some(queue) = self.core() {
            let mut core = lock(queue);
            core.slots.set_eligible(server, eligible);
            core.slots.set_throttle(server, warmth);
            let grant = core.slots.next(server);
            core.pass_on(server, grant);
        }
    }

    /// Sends those who wait for a server away to choose again; returns how many.
    pub(crate) fn requeue(&self, server: usize) -> u32 {
        let Some(queue) = self.core() else { return 0 };
        let mut core = lock(queue);
        let tickets = core.slots.requeue(server);
        let count = tickets.len() as u32;
        core.call_again(tickets);
        count
    }

    /// The same for those who wait for any server, when none is left.
    pub(crate) fn requeue_all(&self) {
        if let Some(queue) = self.core() {
            let mut core = lock(queue);
            let tickets = core.slots.requeue_backend();
            core.call_again(tickets);
        }
    }

    /// How busy a server is.
    pub(crate) fn load(&self, server: &Server) -> Load {
        let served = server.sessions.get();
        match self.core() {
            None => Load {
                served,
                queued: 0,
                maxconn: 0,
            },
            Some(queue) => {
                let core = lock(queue);
                Load {
                    served: core.slots.served(server.index),
                    queued: core.slots.depth(server.index).now,
                    maxconn: core.slots.limit(server.index).unwrap_or(0),
                }
            }
        }
    }

    /// The queue of a server (`qcur`, `qmax`).
    pub fn depth(&self, server: usize) -> Depth {
        self.core()
            .map_or_else(Depth::default, |queue| lock(queue).slots.depth(server))
    }

    /// The queue of the backend alone.
    pub fn backend_depth(&self) -> Depth {
        self.core()
            .map_or_else(Depth::default, |queue| lock(queue).slots.backend_depth())
    }

    /// Everybody who waits, in all queues of the backend.
    pub fn waiting(&self) -> u32 {
        self.core().map_or(0, |queue| lock(queue).slots.waiting())
    }

    /// Forgets the maxima (`clear counters`).
    pub(crate) fn forget_most(&self) {
        if let Some(queue) = self.core() {
            lock(queue).slots.forget_most();
        }
    }
}

impl Core {
    /// Hands granted slots over. One that nobody takes any more goes to the next.
    fn pass_on(&mut self, server: usize, first: Option<Grant>) {
        let mut grant = first;
        while let Some(Grant { ticket, server: on }) = grant {
            let taken = self
                .waiting
                .remove(&ticket)
                .is_some_and(|caller| caller.send(Call::Slot(on)).is_ok());
            grant = if taken {
                self.slots.next(server)
            } else {
                self.slots.release(on)
            };
        }
    }

    fn call_again(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if let Some(caller) = self.waiting.remove(&ticket) {
                // Who has gone meanwhile does not ask again.
                let _ = caller.send(Call::Again);
            }
        }
    }
}

impl Place<'_> {
    /// Waits to be called.
    pub(crate) async fn called(&mut self) -> Call {
        (&mut self.call).await.unwrap_or(Call::Again)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut core = lock(self.queue);
        core.waiting.remove(&self.ticket);
        if core.slots.cancel(self.ticket) {
            return;
        }
        // Called, and perhaps not heard: a slot that was granted must not be lost.
        if let Ok(Call::Slot(server)) = self.call.try_recv() {
            let grant = core.slots.release(server);
            core.pass_on(server, grant);
        }
    }
}

fn limits(server: &model::Server) -> Limits {
    Limits {
        maxconn: server.maxconn,
        minconn: server.minconn,
        maxqueue: server.maxqueue,
    }
}

/// A panic elsewhere leaves counters at worst one off; sessions go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
