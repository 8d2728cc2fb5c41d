//! The relay table: sessions that are only bytes any more.
//!
//! A worker owns one. A session enters with two connected sockets and leaves when both directions have
//! ended, a timeout fires, somebody resets or an operator ends it; whoever takes it out hands it to
//! [`crate::end`]. In between it is a row: two descriptors, a few flags, no task, no timer, no buffer
//! unless the receiver is slower than the sender.
//!
//! Rows are driven by an epoll instance of their own, edge triggered. Adding a socket reports what is
//! already pending, so nothing is lost at the hand-over. A row's generation is part of its token:
//! events of a row that has left in the same batch fail the check.

mod end;
mod pipe;
mod pump;
mod row;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;

pub(crate) use self::end::Legs;
use self::pipe::PipePool;
use self::pump::Tools;
pub(crate) use self::row::{Outcome, Row, Side, later};
use crate::clock::Millis;
use crate::end::Ending;
use crate::session::Session;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// One read takes at most this; it is sent on before the next read.
const SCRATCH: usize = 64 * 1024;

/// A worker's relayed sessions.
pub(crate) struct Relay {
    epoll: OwnedFd,
    rows: Slab<Row>,
    /// Rows whose budget of a turn is used up; they go on in the next.
    again: VecDeque<Token>,
    events: Vec<epoll::Event>,
    tools: Tools,
    generation: u32,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// Names a row's side in the kernel: generation, slot, side.
#[derive(Debug, Clone, Copy)]
struct Token(u64);

impl Token {
    fn new(generation: u32, slot: usize, side: Side) -> Self {
        Self(u64::from(generation) << 32 | (slot as u64) << 1 | side as u64)
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn slot(self) -> usize {
        (self.0 as u32 >> 1) as usize
    }

    fn side(self) -> Side {
        if self.0 & 1 == 0 {
            Side::Client
        } else {
            Side::Server
        }
    }
}

/// What a turn did, and what it leaves to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Sockets that had something.
    pub(crate) events: usize,
    /// More events or bytes are there: run again after others had their turn. If not, there is nothing to do until
    /// the kernel reports something.
    pub(crate) more: bool,
}

impl Relay {
    pub(crate) fn new(splice: bool) -> std::io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            rows: Slab::new(),
            again: VecDeque::new(),
            events: Vec::with_capacity(BATCH),
            tools: Tools {
                scratch: vec![0; SCRATCH],
                pipes: PipePool::new(splice),
                now: 0,
            },
            generation: 0,
        })
    }

    /// The epoll descriptor: readable when a row has something to do.
    pub(crate) fn descriptor(&self) -> std::io::Result<OwnedFd> {
        self.epoll.as_fd().try_clone_to_owned()
    }

    /// Takes a session over. `legs.greeting` was read from the server and is not sent yet.
    pub(crate) fn enter(
        &mut self,
        session: Session,
        legs: Legs,
        now: Millis,
    ) -> Result<(), Box<Session>> {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.rows.vacant_entry();
        let slot = entry.key();
        let row = Row::new(session, legs, self.generation, now);
        for side in [Side::Client, Side::Server] {
            let token = Token::new(self.generation, slot, side);
            if watch(&self.epoll, row.socket(side), token, row.wants_out(side)).is_err() {
                return Err(Box::new(row.into_session()));
            }
        }
        entry.insert(row);
        Ok(())
    }

    /// Handles what the kernel reports, once. Sessions that ended are appended to `ended`.
    pub(crate) fn turn(&mut self, now: Millis, ended: &mut Vec<(Session, Ending)>) -> Turn {
        self.tools.now = now as u32;
        let waited = self.again.len();
        for _ in 0..waited {
            if let Some(token) = self.again.pop_front() {
                self.step(token, EventFlags::empty(), ended);
            }
        }
        self.events.clear();
        let zero = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let events = rustix::buffer::spare_capacity(&mut self.events);
        if let Err(error) = epoll::wait(&self.epoll, events, Some(&zero)) {
            debug_assert_eq!(error, Errno::INTR);
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.step(Token(event.data.u64()), event.flags, ended);
        }
        let full = events.len() == events.capacity();
        let turn = Turn {
            events: waited + events.len(),
            more: full || !self.again.is_empty(),
        };
        self.events = events;
        turn
    }

    fn step(&mut self, token: Token, flags: EventFlags, ended: &mut Vec<(Session, Ending)>) {
        let slot = token.slot();
        let Some(row) = self.rows.get_mut(slot) else {
            return;
        };
        if row.generation() != token.generation() {
            return;
        }
        row.note(token.side(), flags);
        match row.pump(&mut self.tools) {
            Outcome::Idle => {}
            Outcome::Again => self.again.push_back(token),
            Outcome::Blocked(side) => {
                let token = Token::new(row.generation(), slot, side);
                if rewatch(&self.epoll, row.socket(side), token).is_ok() {
                    row.watched_out(side);
                } else {
                    self.leave(slot, Ending::RESOURCE, ended);
                }
            }
            Outcome::Ended(ending) => self.leave(slot, ending, ended),
        }
    }

    fn leave(&mut self, slot: usize, ending: Ending, ended: &mut Vec<(Session, Ending)>) {
        let mut row = self.rows.remove(slot);
        row.recycle(&mut self.tools.pipes);
        // Closing the descriptors, here, takes them out of epoll.
        ended.push((row.into_session(), ending));
        if self.rows.is_empty() {
            self.rows.shrink_to_fit();
        }
    }

    /// Ends every row that is late. Called about once a second, more often for short timeouts.
    pub(crate) fn sweep(&mut self, now: Millis, ended: &mut Vec<(Session, Ending)>) {
        self.leave_where(ended, |row| row.late(now as u32));
    }

    /// Ends the rows that `cause` names an ending for (an operator's or the controller's wish).
    pub(crate) fn end_where(
        &mut self,
        ended: &mut Vec<(Session, Ending)>,
        cause: impl Fn(&Session) -> Option<Ending>,
    ) {
        self.leave_where(ended, |row| cause(row.session()));
    }

    fn leave_where(
        &mut self,
        ended: &mut Vec<(Session, Ending)>,
        ending: impl Fn(&Row) -> Option<Ending>,
    ) {
        let late: Vec<_> = self
            .rows
            .iter()
            .filter_map(|(slot, row)| Some((slot, ending(row)?)))
            .collect();
        for (slot, ending) in late {
            self.leave(slot, ending, ended);
        }
    }

    /// Every relayed session, for `show sess`.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|(_, row)| row)
    }
}

fn watch(epoll: &OwnedFd, socket: BorrowedFd<'_>, token: Token, out: bool) -> Result<(), Errno> {
    let mut flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    flags.set(EventFlags::OUT, out);
    epoll::add(epoll, socket, EventData::new_u64(token.0), flags)
}

/// Asks for writability too. Once asked for it stays: it costs an event only after a full send buffer.
fn rewatch(epoll: &OwnedFd, socket: BorrowedFd<'_>, token: Token) -> Result<(), Errno> {
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::modify(epoll, socket, EventData::new_u64(token.0), flags)
}
