//! Who may use a server that has a `maxconn`, and who waits for it (haproxy-compat 3.15).
//!
//! One per backend. A session that wants a given server waits in that server's queue; one that takes
//! any waits in the backend's. A slot that becomes free goes to the oldest of both. Pure: the owner
//! locks it, wakes those who are granted a slot, and reports every end of a session with
//! [`Slots::release`].

use std::collections::{BTreeMap, HashMap};

#[cfg(test)]
mod tests;

/// Names a session that wants a slot; the owner gives each waiting session its own.
pub type Ticket = u64;

/// The limits of one server, as its line has them; 0 is no limit (`minconn` 0: as `maxconn`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `maxconn`.
    pub maxconn: u32,
    /// `minconn`.
    pub minconn: u32,
    /// `maxqueue`.
    pub maxqueue: u32,
}

/// Whom a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// That server: by a stick entry, or because the balance algorithm chose it.
    Server(usize),
    /// Any: every server was full.
    Any,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The session has a slot on that server.
    Granted(usize),
    /// It waits, behind so many in its server's queue and in the backend's (`%sq`/`%bq`).
    Queued {
        /// Ahead of it in the server's queue.
        server: u32,
        /// Ahead of it in the backend's queue.
        backend: u32,
    },
    /// The server's queue is at its `maxqueue`.
    QueueFull,
}

/// A slot that a waiting session has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The session.
    pub ticket: Ticket,
    /// The server it got.
    pub server: usize,
}

/// How long a queue is and was at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Now (`qcur`).
    pub now: u32,
    /// At most (`qmax`).
    pub most: u32,
}

/// A queue, oldest first. Keys are arrival numbers, unique in the backend.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<u64, Ticket>,
    most: u32,
}

impl Line {
    fn len(&self) -> u32 {
        self.waiting.len() as u32
    }

    fn first(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(arrival, _)| *arrival)
    }

    fn push(&mut self, arrival: u64, ticket: Ticket) {
        self.waiting.insert(arrival, ticket);
        self.most = self.most.max(self.len());
    }

    fn depth(&self) -> Depth {
        Depth {
            now: self.len(),
            most: self.most,
        }
    }
}

#[derive(Debug)]
struct Desk {
    limits: Limits,
    /// Per cent of the limit in force while the server warms up (slowstart).
    throttle: u32,
    /// Whether it may serve the backend's queue.
    eligible: bool,
    served: u32,
    line: Line,
}

impl Desk {
    /// Of a place that nobody has.
    fn unused() -> Self {
        Self {
            eligible: false,
            ..Self::new(Limits::default())
        }
    }

    fn new(limits: Limits) -> Self {
        Self {
            limits,
            throttle: 100,
            eligible: true,
            served: 0,
            line: Line::default(),
        }
    }
}

/// The slots and queues of one backend.
#[derive(Debug)]
pub struct Slots {
    desks: Vec<Desk>,
    backend: Line,
    /// Where each waiting session stands.
    places: HashMap<Ticket, (Want, u64)>,
    fullconn: u32,
    total: u32,
    arrivals: u64,
}

impl Slots {
    /// For servers with those limits; `fullconn` is the backend's (connections at which a server with
    /// a `minconn` may have all of its `maxconn`).
    pub fn new(servers: impl IntoIterator<Item = Limits>, fullconn: u32) -> Self {
        Self {
            desks: servers.into_iter().map(Desk::new).collect(),
            backend: Line::default(),
            places: HashMap::new(),
            fullconn,
            total: 0,
            arrivals: 0,
        }
    }

    /// The sessions a server may have now; `None`: as many as come. Between `minconn` and `maxconn` it
    /// follows the backend's load; during slowstart it grows from 1.
    pub fn limit(&self, server: usize) -> Option<u32> {
        let desk = &self.desks[server];
        let Limits {
            maxconn, minconn, ..
        } = desk.limits;
        if maxconn == 0 {
            return None;
        }
        let load = u64::from(self.total) + self.places.len() as u64;
        let full = u64::from(self.fullconn);
        let limit = if minconn == 0 || minconn >= maxconn || load >= full {
            maxconn
        } else {
            // Below fullconn, so the quotient is below maxconn.
            minconn.max((load * u64::from(maxconn) / full) as u32)
        };
        let warm = u64::from(limit) * u64::from(desk.throttle) / 100;
        Some(if desk.throttle >= 100 {
            limit
        } else {
            (warm as u32).max(1)
        })
    }

    fn has_room(&self, server: usize) -> bool {
        self.limit(server)
            .is_none_or(|limit| self.desks[server].served < limit)
    }

    /// Gives a session a slot, or a place in a queue. Nobody overtakes those who wait for that server.
    pub fn acquire(&mut self, want: Want, ticket: Ticket) -> Answer {
        match want {
            Want::Server(server) => {
                let waiting = self.desks[server].line.len();
                if waiting == 0 && self.has_room(server) {
                    return self.grant(server);
                }
                let most = self.desks[server].limits.maxqueue;
                if most > 0 && waiting >= most {
                    return Answer::QueueFull;
                }
                self.enqueue(want, ticket);
                Answer::Queued {
                    server: waiting,
                    backend: 0,
                }
            }
            Want::Any => {
                let waiting = self.backend.len();
                if waiting == 0
                    && let Some(server) = self.free_for_any()
                {
                    return self.grant(server);
                }
                self.enqueue(want, ticket);
                Answer::Queued {
                    server: 0,
                    backend: waiting,
                }
            }
        }
    }

    fn free_for_any(&self) -> Option<usize> {
        let free = |&server: &usize| {
            let desk = &self.desks[server];
            desk.eligible && desk.line.len() == 0 && self.has_room(server)
        };
        (0..self.desks.len())
            .filter(free)
            .min_by_key(|&server| self.desks[server].served)
    }

    fn grant(&mut self, server: usize) -> Answer {
        self.desks[server].served += 1;
        self.total += 1;
        Answer::Granted(server)
    }

    fn enqueue(&mut self, want: Want, ticket: Ticket) {
        self.arrivals += 1;
        let line = match want {
            Want::Server(server) => &mut self.desks[server].line,
            Want::Any => &mut self.backend,
        };
        line.push(self.arrivals, ticket);
        self.places.insert(ticket, (want, self.arrivals));
    }

    /// A session on that server has ended. Returns who gets its slot.
    ///
    /// With `minconn`, more than one may get in when the limit has grown: [`Slots::next`] tells.
    pub fn release(&mut self, server: usize) -> Option<Grant> {
        let desk = &mut self.desks[server];
        desk.served = desk.served.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        self.next(server)
    }

    /// Gives a free slot of that server to who waits longest for it; `None` when there is no slot or
    /// nobody. Asked again and again after a server came UP or its limit was raised.
    pub fn next(&mut self, server: usize) -> Option<Grant> {
        if !self.has_room(server) {
            return None;
        }
        let desk = &self.desks[server];
        let own = desk.line.first();
        let any = self.backend.first().filter(|_| desk.eligible);
        let from_own = match (own, any) {
            (Some(own), Some(any)) => own < any,
            (own, None) => own.is_some(),
            (None, Some(_)) => false,
        };
        let line = if from_own {
            &mut self.desks[server].line
        } else {
            &mut self.backend
        };
        let arrival = if from_own { own? } else { any? };
        let ticket = line.waiting.remove(&arrival)?;
        self.places.remove(&ticket);
        self.grant(server);
        Some(Grant { ticket, server })
    }

    /// A waiting session gave up. False when it does not wait (any more): it may have a slot by now.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let Some((want, arrival)) = self.places.remove(&ticket) else {
            return false;
        };
        let line = match want {
            Want::Server(server) => &mut self.desks[server].line,
            Want::Any => &mut self.backend,
        };
        line.waiting.remove(&arrival).is_some()
    }

    /// Empties a server's queue when it goes DOWN; those sessions ask again, oldest first. Their number
    /// is `N requeued` of the log line.
    pub fn requeue(&mut self, server: usize) -> Vec<Ticket> {
        let waiting = std::mem::take(&mut self.desks[server].line.waiting);
        self.forget(waiting)
    }

    /// Empties the backend's queue when no server is left.
    pub fn requeue_backend(&mut self) -> Vec<Ticket> {
        let waiting = std::mem::take(&mut self.backend.waiting);
        self.forget(waiting)
    }

    fn forget(&mut self, waiting: BTreeMap<u64, Ticket>) -> Vec<Ticket> {
        let tickets: Vec<_> = waiting.into_values().collect();
        for ticket in &tickets {
            self.places.remove(ticket);
        }
        tickets
    }

    /// Whether that server may serve the backend's queue: it is usable, and not a backup that stands by.
    pub fn set_eligible(&mut self, server: usize, eligible: bool) {
        self.desks[server].eligible = eligible;
    }

    /// The same of none.
    pub fn nobody_is_eligible(&mut self) {
        for desk in &mut self.desks {
            desk.eligible = false;
        }
    }

    /// The share of its limit a warming server may use, in per cent (slowstart).
    pub fn set_throttle(&mut self, server: usize, percent: u32) {
        self.desks[server].throttle = percent.min(100);
    }

    /// A server is added at that place; who had it before has no session and nobody waits for it.
    pub fn open(&mut self, server: usize, limits: Limits) {
        while self.desks.len() <= server {
            self.desks.push(Desk::unused());
        }
        self.desks[server] = Desk {
            limits,
            ..Desk::unused()
        };
    }

    /// Sessions that began before slots were counted.
    pub fn adopt(&mut self, server: usize, sessions: u32) {
        self.desks[server].served += sessions;
        self.total += sessions;
    }

    /// `set maxconn server`.
    pub fn set_maxconn(&mut self, server: usize, maxconn: u32) {
        self.desks[server].limits.maxconn = maxconn;
    }

    /// Sessions that server has now.
    pub fn served(&self, server: usize) -> u32 {
        self.desks[server].served
    }

    /// The queue of that server.
    pub fn depth(&self, server: usize) -> Depth {
        self.desks[server].line.depth()
    }

    /// The backend's own queue: those who take any server.
    pub fn backend_depth(&self) -> Depth {
        self.backend.depth()
    }

    /// Everybody who waits, in all queues.
    pub fn waiting(&self) -> u32 {
        self.places.len() as u32
    }

    /// Forgets the maxima (`clear counters`).
    pub fn forget_most(&mut self) {
        self.backend.most = self.backend.len();
        for desk in &mut self.desks {
            desk.line.most = desk.line.len();
        }
    }
}
