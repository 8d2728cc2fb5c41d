//! The relay of sessions with TLS on a leg. They stay async: a task each, and buffers only while bytes are in hand.
//!
//! A session comes here instead of entering the relay table, and lives by the same rules: half-closed sides,
//! timeouts, endings (`relay/row.rs`). It keeps its ticket, by which it is listed and ended from outside.

use std::future::poll_fn;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::clock::{Clock, Millis};
use crate::end::Ending;
use crate::leg::Leg;
use crate::order::SessionLeg;
use crate::relay::{Legs, Side, later};
use crate::session::Session;
use crate::turns;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// Bytes moved in one direction before others get their turn.
const BUDGET: usize = 256 * 1024;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// What the receiver has not taken yet.
    pending: Vec<u8>,
    /// The sender will send no more.
    eof: bool,
    /// The receiver knows it.
    shut: bool,
    moved: u64,
}

/// A side that broke.
struct Broken(Side);

/// Both sides and both directions.
struct Pair<'w> {
    worker: &'w Worker,
    client: Leg,
    server: Leg,
    /// From the client, and from the server.
    ways: [Way; 2],
    /// When each side last sent or took bytes.
    last: [Millis; 2],
}

/// Moves bytes until both directions have ended, somebody breaks, is late, or is ended from outside.
pub(crate) async fn relay(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    legs: Legs,
) -> Ending {
    let mut pair = Pair::new(worker, session, legs);
    ticket.note(session);
    let ending = loop {
        pair.tell(ticket);
        let limit = pair.patience(session);
        match ticket.wait(limit, pair.run(ticket)).await {
            Ok(Ok(())) => break Ending::NORMAL,
            Ok(Err(Broken(side))) => break Ending::broken(side),
            Err(Stop::Ended(ending)) => break ending,
            // Bytes may have moved since the deadline was set.
            Err(Stop::Late) => match pair.late(session) {
                Some(ending) => break ending,
                None => continue,
            },
        }
    };
    [session.bytes_in, session.bytes_out] = pair.moved();
    ending
}

impl<'w> Pair<'w> {
    fn new(worker: &'w Worker, session: &Session, legs: Legs) -> Self {
        let now = Clock::get().now();
        let moved = legs.already_out + legs.to_client.len() as u64;
        let way = |pending, moved| Way {
            pending,
            moved,
            ..Way::default()
        };
        Self {
            worker,
            client: Leg::new(legs.client, legs.client_tls),
            server: Leg::new(legs.server, legs.server_tls),
            ways: [
                way(legs.to_server, session.early_bytes_in),
                way(legs.to_client, moved),
            ],
            last: [now; 2],
        }
    }

    fn moved(&self) -> [u64; 2] {
        [self.ways[0].moved, self.ways[1].moved]
    }

    fn tell(&self, ticket: &Ticket<'_>) {
        let leg = |side: Side| {
            let (own, other) = (&self.ways[side as usize], &self.ways[side.other() as usize]);
            let leg = match side {
                Side::Client => &self.client,
                Side::Server => &self.server,
            };
            SessionLeg {
                fd: leg.socket().as_fd().as_raw_fd(),
                moved: own.moved,
                pending: other.pending.len() as u64,
                eof: own.eof,
                idle: 0,
                left: None,
            }
        };
        ticket.note_legs([leg(Side::Client), leg(Side::Server)], self.last);
    }

    /// Until the end.
    async fn run(&mut self, ticket: &Ticket<'_>) -> Result<(), Broken> {
        poll_fn(|context| {
            let before = self.moved();
            let server = self.poll_way(context, Side::Server);
            let client = self.poll_way(context, Side::Client);
            if before != self.moved() {
                self.tell(ticket);
            }
            match (server, client) {
                (Poll::Ready(Err(broken)), _) | (_, Poll::Ready(Err(broken))) => {
                    Poll::Ready(Err(broken))
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Moves what comes from that side as far as it goes; ready when no more will come.
    fn poll_way(&mut self, context: &mut Context<'_>, from: Side) -> Poll<Result<(), Broken>> {
        let (source, sink) = match from {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        let way = &mut self.ways[from as usize];
        let [source_broken, sink_broken] = [from, from.other()].map(|side| move |_| Broken(side));
        let mut budget = BUDGET;
        loop {
            if !way.pending.is_empty() {
                let sent = ready!(sink.poll_write(context, &way.pending)).map_err(sink_broken)?;
                self.last[from.other() as usize] = Clock::get().now();
                way.pending.drain(..sent);
                if way.pending.is_empty() {
                    way.pending = Vec::new();
                }
                continue;
            }
            if way.eof {
                if !way.shut {
                    // Whoever has gone already needs no goodbye.
                    let _ = ready!(sink.poll_shutdown(context));
                    way.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            if budget == 0 {
                turns::wake_in_next(context.waker());
                return Poll::Pending;
            }
            let mut scratch = self.worker.scratch.borrow_mut();
            let Poll::Ready(read) = source.poll_read(context, &mut scratch) else {
                let _ = sink.poll_flush(context).map_err(sink_broken)?;
                return Poll::Pending;
            };
            let read = read.map_err(source_broken)?;
            way.eof = read == 0;
            way.moved += read as u64;
            budget = budget.saturating_sub(read);
            self.last[from as usize] = Clock::get().now();
            if read > 0 {
                let bytes = &scratch[..read];
                let sent = match sink.poll_write(context, bytes).map_err(sink_broken)? {
                    Poll::Ready(sent) => sent,
                    Poll::Pending => 0,
                };
                way.pending = bytes[sent..].to_vec();
            }
        }
    }

    /// How much longer nothing may happen; a zero is none, so it is at least a millisecond.
    fn patience(&self, session: &Session) -> Option<Duration> {
        let left = |side| {
            let (limit, idle) = self.limit(session, side)?;
            Some(limit.saturating_sub(idle).max(Duration::from_millis(1)))
        };
        [Side::Client, Side::Server]
            .into_iter()
            .filter_map(left)
            .min()
    }

    /// The limit of a side that something is waited for from, and for how long it has been.
    fn limit(&self, session: &Session, side: Side) -> Option<(Duration, Duration)> {
        let (own, other) = (&self.ways[side as usize], &self.ways[side.other() as usize]);
        let waited_for = !other.pending.is_empty() || (!own.eof && own.pending.is_empty());
        let half_closed = own.eof || other.eof;
        let limit = session
            .limits(side)
            .now(half_closed)
            .filter(|_| waited_for)?;
        let idle = Clock::get().now().saturating_sub(self.last[side as usize]);
        Some((limit, Duration::from_millis(idle)))
    }

    fn late(&self, session: &Session) -> Option<Ending> {
        let over = |side| {
            let (limit, idle) = self.limit(session, side)?;
            idle.checked_sub(limit)
        };
        later(over(Side::Client), over(Side::Server))
    }
}
