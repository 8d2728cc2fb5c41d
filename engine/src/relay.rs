//! The relay table: sessions that are only bytes any more.
//!
//! A worker owns one. A session enters with two connected sockets and leaves when both directions have
//! ended, a timeout fires, somebody resets or an operator ends it; whoever takes it out hands it to
//! [`crate::end`]. In between it is a row: two descriptors, a few flags, no task, no timer, no buffer
//! unless the receiver is slower than the sender.
//!
//! Rows are driven by the worker's poller ([`crate::poller`]): a socket that was waited for by a task before
//! is known to it already, and what was reported of it is not lost at the hand-over.

mod end;
mod pipe;
mod pump;
mod row;

use std::collections::VecDeque;

use slab::Slab;

pub(crate) use self::end::Legs;
use self::pipe::PipePool;
use self::pump::Tools;
pub(crate) use self::row::{Outcome, Row, Side, later};
use crate::clock::Millis;
use crate::end::Ending;
use crate::session::Session;

/// One read takes at most this; it is sent on before the next read.
const SCRATCH: usize = 64 * 1024;

/// Rows that go on in one turn without an event.
const BULK: usize = 4;

/// A worker's relayed sessions.
pub(crate) struct Relay {
    rows: Slab<Row>,
    /// Places of rows that go on in the next turn: there is more than the budget of the last allowed.
    again: VecDeque<u32>,
    tools: Tools,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Relay {
    pub(crate) fn new(splice: bool) -> Self {
        Self {
            rows: Slab::new(),
            again: VecDeque::new(),
            tools: Tools {
                scratch: vec![0; SCRATCH],
                pipes: PipePool::new(splice),
                now: 0,
            },
        }
    }

    /// Takes a session over. `legs.greeting` was read from the server and is not sent yet.
    pub(crate) fn enter(
        &mut self,
        session: Session,
        legs: Legs,
        now: Millis,
    ) -> Result<(), Box<Session>> {
        let entry = self.rows.vacant_entry();
        let place = entry.key() as u32;
        let mut row = Row::new(session, legs, now);
        match row.take_sockets(place) {
            Ok(told) => row.queued = told,
            Err(_) => return Err(Box::new(row.into_session())),
        }
        if row.queued {
            self.again.push_back(place);
        }
        entry.insert(row);
        Ok(())
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, now: Millis) {
        self.tools.now = now as u32;
    }

    /// Something was reported of the row at that place. Bulk waits until sessions with a few bytes had their turn.
    pub(crate) fn told(&mut self, place: u32, ended: &mut Vec<(Session, Ending)>) {
        match self.rows.get_mut(place as usize) {
            Some(row) if row.is_bulk() => {
                if !std::mem::replace(&mut row.queued, true) {
                    self.again.push_back(place);
                }
            }
            _ => self.step(place, ended),
        }
    }

    /// Whether there are rows that go on without an event.
    pub(crate) fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// Lets some of them go on.
    pub(crate) fn go_on(&mut self, ended: &mut Vec<(Session, Ending)>) {
        for _ in 0..self.again.len().min(BULK) {
            if let Some(place) = self.again.pop_front() {
                self.step(place, ended);
            }
        }
    }

    /// Moves what there is. To do so at a place that another row has got meanwhile does no harm.
    fn step(&mut self, place: u32, ended: &mut Vec<(Session, Ending)>) {
        let Some(row) = self.rows.get_mut(place as usize) else {
            return;
        };
        row.queued = false;
        match row.pump(&mut self.tools) {
            Outcome::Idle => {}
            Outcome::Again => {
                row.queued = true;
                self.again.push_back(place);
            }
            Outcome::Ended(ending) => self.leave(place as usize, ending, ended),
        }
    }

    fn leave(&mut self, slot: usize, ending: Ending, ended: &mut Vec<(Session, Ending)>) {
        let mut row = self.rows.remove(slot);
        row.recycle(&mut self.tools.pipes);
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
