//! A row: one relayed session.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use super::end::{End, Legs};
use super::pipe::PipePool;
use super::pump::{self, Flow, SPLICE_AFTER, Tools};
use crate::clock::Millis;
use crate::end::Ending;
use crate::order::SessionLeg;
use crate::session::Session;

/// The two sides of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who connected to us.
    Client = 0,
    /// Whom we connected to.
    Server = 1,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a pump leaves behind.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing to do until an event comes.
    Idle,
    /// The budget of this turn is used up and bytes are left.
    Again,
    /// The session is over.
    Ended(Ending),
}

/// A relayed session.
#[derive(Debug)]
pub(crate) struct Row {
    session: Session,
    ends: [End; 2],
    /// It has a place in the line of those that go on without an event.
    pub(super) queued: bool,
}

impl Row {
    pub(super) fn new(session: Session, legs: Legs, now: Millis) -> Self {
        let now = now as u32;
        let mut server = End::new(legs.server, legs.to_server, now);
        server.moved = legs.already_out + legs.to_client.len() as u64;
        let mut client = End::new(legs.client, legs.to_client, now);
        client.moved = session.early_bytes_in;
        Self {
            session,
            ends: [client, server],
            queued: false,
        }
    }

    /// From now on what happens at its sockets is told to that place. True: something was told already, or waits to be
    /// sent.
    pub(super) fn take_sockets(&self, place: u32) -> std::io::Result<bool> {
        let mut told = false;
        for end in &self.ends {
            told |= end.socket.give_to_row(place)? | end.pending.is_some();
        }
        Ok(told)
    }

    /// Whether it carries so much that others go first.
    pub(super) fn is_bulk(&self) -> bool {
        self.ends.iter().any(|end| end.moved >= SPLICE_AFTER)
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Its sides, for `show sess`.
    pub(crate) fn legs(&self, now: Millis) -> [SessionLeg; 2] {
        [Side::Client, Side::Server].map(|side| {
            let end = &self.ends[side as usize];
            let idle = Millis::from((now as u32).wrapping_sub(end.last));
            let limit = self.limit(side).filter(|_| self.is_awaited(side));
            SessionLeg {
                fd: end.socket.as_fd().as_raw_fd(),
                moved: end.moved,
                pending: end.pending.as_ref().map_or(0, |pending| pending.left()),
                eof: end.eof,
                idle,
                left: limit.map(|limit| (limit.as_millis() as Millis).saturating_sub(idle)),
            }
        })
    }

    /// The session with its byte counts; the sockets close.
    pub(super) fn into_session(self) -> Session {
        let mut session = self.session;
        session.bytes_in = self.ends[0].moved;
        session.bytes_out = self.ends[1].moved;
        session
    }

    /// Gives pipes back.
    pub(super) fn recycle(&mut self, pipes: &mut PipePool) {
        for end in &mut self.ends {
            if let Some(pipe) = end.pending.take().and_then(|pending| pending.pipe) {
                pipes.give(pipe);
            }
        }
    }

    /// Moves bytes both ways as far as they go.
    pub(super) fn pump(&mut self, tools: &mut Tools) -> Outcome {
        let mut again = false;
        for from in [Side::Server, Side::Client] {
            let to = from.other();
            let [client, server] = &mut self.ends;
            let (source, sink) = match from {
                Side::Client => (client, server),
                Side::Server => (server, client),
            };
            match pump::pump(source, sink, tools) {
                Flow::Idle => {}
                Flow::Again => again = true,
                Flow::Blocked if sink.socket.report_room().is_ok() => {}
                Flow::Blocked => return Outcome::Ended(Ending::RESOURCE),
                Flow::SourceBroken => return Outcome::Ended(Ending::broken(from)),
                Flow::SinkBroken => return Outcome::Ended(Ending::broken(to)),
            }
        }
        let [client, server] = &self.ends;
        let done = |end: &End, other: &End| end.eof && other.pending.is_none();
        if done(client, server) && done(server, client) {
            return Outcome::Ended(Ending::NORMAL);
        }
        if again { Outcome::Again } else { Outcome::Idle }
    }

    /// Which timeout has fired, if one has (haproxy-compat 3.11): a side is late when bytes are expected
    /// from it, or wait to be taken by it, and nothing moved for its time.
    pub(super) fn late(&self, now: u32) -> Option<Ending> {
        let overdue = |side: Side| {
            let end = &self.ends[side as usize];
            let limit = self.limit(side).filter(|_| self.is_awaited(side))?;
            let idle = Duration::from_millis(u64::from(now.wrapping_sub(end.last)));
            idle.checked_sub(limit)
        };
        later(overdue(Side::Client), overdue(Side::Server))
    }

    /// Bytes are expected from that side, or wait to be taken by it.
    fn is_awaited(&self, side: Side) -> bool {
        let (end, other) = (&self.ends[side as usize], &self.ends[side.other() as usize]);
        end.pending.is_some() || (!end.eof && other.pending.is_none())
    }

    fn limit(&self, side: Side) -> Option<Duration> {
        let half_closed = self.ends.iter().any(|end| end.eof);
        self.session.limits(side).now(half_closed)
    }
}

/// Who is late: the one that is more so.
pub(crate) fn later(client: Option<Duration>, server: Option<Duration>) -> Option<Ending> {
    match (client, server) {
        (None, None) => None,
        (Some(client), Some(server)) if server > client => Some(Ending::late(Side::Server)),
        (Some(_), _) => Some(Ending::late(Side::Client)),
        (None, Some(_)) => Some(Ending::late(Side::Server)),
    }
}
