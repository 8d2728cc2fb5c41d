//! `mode smtp`: the dialogue with a journal, in the place where other sessions are relayed.
//!
//! ```text
//! session.rs   prelude, route, assign           as for every session; the greeting stays here
//! smtp.rs      converse: bytes in, bytes out    -.
//! search       another server: assign again      |  until the client leaves
//! end          what is left of it                '- counters, slot, log line: exactly once
//! ```
//!
//! What is said, kept and replayed is decided by [`wire::smtp::Dialogue`], which knows no sockets. This shell
//! moves its bytes ([`leg`]), keeps its long bodies ([`spool`]), finds its servers ([`moves`]) and tells what it has
//! seen ([`counts`], [`line`]); what the dialogue asks of it is in [`shell`]. A session is one task; it has buffers only while bytes are in hand.

mod acked;
pub mod counts;
mod desk;
mod failures;
mod leg;
mod line;
mod login;
mod moves;
mod offer;
mod secure;
mod settings;
mod shell;
mod spool;
mod store;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use wire::smtp::{Dialogue, End, Lost, ServerId};
use zeroize::Zeroize;

pub use self::counts::MailCounters;
pub(crate) use self::desk::Desk;
pub use self::failures::Failures;
use self::leg::{Leg, Line, Read};
pub use self::offer::{CommonOffer, ServerOffer};
pub(crate) use self::settings::Manners;
pub use self::spool::Journals;
use self::store::{Offered, Store};
use crate::clock::{Clock, Millis};
use crate::connect::Connected;
use crate::end::Ending;
use crate::prelude::{self, Client};
use crate::session::Session;
use crate::timer;
use crate::turns;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// One read takes at most this: with twice as much a long message costs the same, with half a sixth more.
const BUFFER: usize = 128 * 1024;

/// Bytes a session may move until others have their turn.
const BUDGET: usize = 256 * 1024;

/// Replies that may wait for a client until it is not read any more.
const BACKLOG: usize = 32 * 1024;

/// How long it takes until the kernel is asked for the first time again whether the server's TCP has everything; four
/// questions later twice as long, and in the end 16 times.
const ACK_POLL: Duration = Duration::from_millis(1);

/// Talks until the session is over. The server of `opening` has greeted; it lies in a box, because what an argument
/// takes is kept until the end.
pub(crate) async fn converse(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    opening: Box<(Client, Connected)>,
) -> Ending {
    let backend = session.backend.as_ref().map(|proxy| proxy.index);
    let Some(settings) = backend.and_then(|index| session.ingress.mail.of(index)) else {
        return Ending::RESOURCE;
    };
    let (client, connected) = *opening;
    let now = Clock::get().now();
    let mut dialogue = Dialogue::new(settings, now);
    let line = Line {
        socket: client.socket,
        tls: client.tls.map(RefCell::into_inner),
    };
    let mut wire = Wire::new(worker, session, line);
    wire.join(&mut dialogue, connected, now);
    wire.hear(&mut dialogue, &client.early, now);
    drop(client.early);
    let ending = loop {
        if let Some(end) = dialogue.ended() {
            if end == End::Injection {
                let text = "Commands in clear text behind STARTTLS (injection)";
                prelude::tell_refused(wire.worker, wire.session, text);
            }
            break wire.finish(ticket, end).await;
        }
        if dialogue.quest().is_some() {
            Box::pin(wire.search(&mut dialogue, ticket)).await;
            continue;
        }
        if dialogue.wants_client_tls() {
            match Box::pin(wire.secure(&mut dialogue, ticket)).await {
                Ok(()) => continue,
                Err(ending) => break ending,
            }
        }
        if std::mem::take(&mut wire.better) {
            Box::pin(wire.prefer_another(&mut dialogue, ticket)).await;
        }
        wire.settle(&dialogue, ticket);
        match wire.wait(&mut dialogue, ticket).await {
            // Others have their turn.
            Ok(()) if std::mem::take(&mut wire.spent) => turns::next().await,
            Ok(()) => {}
            Err(Stop::Late) => dialogue.tick(Clock::get().now(), &mut wire),
            Err(Stop::Ended(ending)) => {
                wire.say_goodbye();
                break ending;
            }
        }
        wire.flush();
    };
    wire.leave(&dialogue);
    ending
}

/// The two legs, and what else a dialogue has outside of itself.
struct Wire<'s> {
    worker: &'s Rc<Worker>,
    session: &'s mut Session,
    client: Leg,
    server: Option<Leg>,
    /// In a box: few sessions have one.
    store: Option<Box<Store>>,
    /// The buffer whose bytes are looked at just now.
    offered: Offered,
    /// Octets of journal that the process's account has of this session.
    journal: usize,
    /// When it was last looked whether another server is better.
    looked: Millis,
    /// Another is.
    better: bool,
    /// What the present wait is for: until then, or for an acknowledgement.
    until: Option<Millis>,
    asks: bool,
    /// How often the kernel was asked since such a wait began.
    asked: u32,
    /// It has moved as much as one may in a turn.
    spent: bool,
    /// Searches since a client last got an answer.
    searches: u32,
    /// Servers that failed it since, in that order.
    failed: Vec<usize>,
}

impl<'s> Wire<'s> {
    fn new(worker: &'s Rc<Worker>, session: &'s mut Session, client: Line) -> Self {
        Self {
            client: Leg::new(client),
            worker,
            session,
            server: None,
            store: None,
            offered: Offered::default(),
            journal: 0,
            looked: Clock::get().now(),
            better: false,
            until: None,
            asks: false,
            asked: 0,
            spent: false,
            searches: 0,
            failed: Vec::new(),
        }
    }

    /// A server has greeted: it belongs to the session.
    fn join(&mut self, dialogue: &mut Dialogue, connected: Connected, now: Millis) {
        self.server = Some(Leg::new(Line {
            socket: connected.socket,
            tls: connected.tls,
        }));
        let server = self
            .session
            .server
            .as_ref()
            .map_or(0, |server| server.index);
        let offer = self.session.farm().and_then(|back| back.offer.get());
        self.looked = now;
        dialogue.server_ready(server as ServerId, offer, &connected.to_client, now, self);
        self.flush();
    }

    /// The client has said that.
    fn hear(&mut self, dialogue: &mut Dialogue, bytes: &[u8], now: Millis) {
        if !bytes.is_empty() {
            self.session.bytes_in += bytes.len() as u64;
            dialogue.client_bytes(bytes, now, self);
            self.flush();
        }
    }

    /// Waits until something has moved that the caller has to look at.
    async fn wait(&mut self, dialogue: &mut Dialogue, ticket: &Ticket<'_>) -> Result<(), Stop> {
        let now = Clock::get().now();
        self.asks = dialogue.wants_acknowledgement();
        let limit = dialogue
            .deadline()
            .map(|at| Duration::from_millis(at.saturating_sub(now).max(1)));
        self.until = dialogue.deadline();
        let asks = self.asks;
        self.asked = if asks { self.asked + 1 } else { 0 };
        let poll = ACK_POLL * (1 << (self.asked / 4).min(4));
        let pump = poll_fn(|context| self.pump(dialogue, ticket, context));
        if asks {
            // Too short for the heartbeat.
            let pump = timer::within(timer::sleep(poll), pump);
            return ticket.wait(limit, pump).await.map(|_| ());
        }
        ticket.wait(limit, pump).await
    }

    /// Moves bytes both ways until nothing moves (pending), or there is something to look at (ready).
    fn pump(
        &mut self,
        dialogue: &mut Dialogue,
        ticket: &Ticket<'_>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let now = Clock::get().now();
        if let Some(why) = ticket.take_leave() {
            self.heed(dialogue, why, now);
        }
        if self.is_passed_over(dialogue, now) {
            self.better = true;
            return Poll::Ready(());
        }
        let mut budget = BUDGET;
        loop {
            let turn = dialogue.quest().is_some() || dialogue.wants_client_tls();
            if dialogue.ended().is_some() || turn {
                return Poll::Ready(());
            }
            if dialogue.deadline().is_some_and(|at| now >= at) {
                dialogue.tick(now, self);
                self.flush();
                continue;
            }
            let moved = self.step(dialogue, context, now);
            if moved == 0 {
                break;
            }
            budget = budget.saturating_sub(moved);
            if budget == 0 {
                break;
            }
        }
        self.spent = budget == 0;
        let mut anew = self.spent;
        if dialogue.wants_acknowledgement() {
            if self.is_acknowledged() {
                dialogue.acknowledged(now, self);
                self.flush();
                anew = true;
            }
            anew |= !self.asks;
        }
        // Whoever waits for a deadline that has come nearer has to wait anew.
        anew |= match (dialogue.deadline(), self.until) {
            (Some(new), Some(old)) => new < old,
            (new, _) => new.is_some(),
        };
        if anew {
            return Poll::Ready(());
        }
        ticket.note_bytes((self.session.bytes_in, self.client.taken));
        Poll::Pending
    }

    /// One step in each direction; how much has moved.
    fn step(&mut self, dialogue: &mut Dialogue, context: &mut Context<'_>, now: Millis) -> usize {
        let mut moved = 0;
        if self.client.poll_flush(context).is_ready() {
            moved += 1;
        }
        if let Some(server) = &mut self.server {
            if server.poll_flush(context).is_ready() {
                moved += 1;
            }
            if server.is_empty() && dialogue.wants_written() {
                dialogue.written(now, self);
                self.flush();
                moved += 1;
            }
        }
        moved += self.read_server(dialogue, context, now);
        if dialogue.ended().is_none() {
            moved += self.read_client(dialogue, context, now);
        }
        self.note_journal(dialogue);
        moved
    }

    fn read_server(
        &mut self,
        dialogue: &mut Dialogue,
        context: &mut Context<'_>,
        now: Millis,
    ) -> usize {
        // What the client does not take is not read from the server.
        if self.client.queued() > BACKLOG {
            return 0;
        }
        let Some(server) = &mut self.server else {
            return 0;
        };
        let mut scratch = self.worker.scratch.borrow_mut();
        let read = server.read(context, &mut scratch[..]);
        match read {
            Read::Nothing => return 0,
            Read::Some(read) => {
                // The dialogue may ask for the worker's things.
                let worker = Rc::clone(self.worker);
                drop(scratch);
                let bytes = std::mem::take(&mut *worker.scratch.borrow_mut());
                self.session.server_bytes.1 += read as u64;
                dialogue.server_bytes(&bytes[..read], now, self);
                *worker.scratch.borrow_mut() = bytes;
            }
            Read::End => {
                drop(scratch);
                self.lose(dialogue, Lost::Closed, now);
            }
            Read::Broken(errno) => {
                drop(scratch);
                let how = match errno {
                    Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH => Lost::TimedOut,
                    _ => Lost::Reset,
                };
                self.lose(dialogue, how, now);
            }
        }
        self.flush();
        1
    }

    fn read_client(
        &mut self,
        dialogue: &mut Dialogue,
        context: &mut Context<'_>,
        now: Millis,
    ) -> usize {
        let server_waits = self
            .server
            .as_ref()
            .is_some_and(|server| !server.is_empty());
        if !dialogue.reads_client() || server_waits || self.client.queued() > BACKLOG {
            return 0;
        }
        let mut buffer = self.worker.mail.take();
        let read = self.client.read(context, &mut buffer);
        let moved = match read {
            Read::Nothing => 0,
            Read::Some(read) => {
                self.session.bytes_in += read as u64;
                let mut secret = dialogue.would_hear_a_secret(&buffer[..read]);
                self.offered = Offered::new(&buffer);
                dialogue.client_bytes(&buffer[..read], now, self);
                self.offered = Offered::default();
                secret |= dialogue.hears_secrets();
                if secret {
                    buffer[..read].zeroize();
                }
                read
            }
            Read::End => {
                dialogue.client_end(now, self);
                1
            }
            Read::Broken(_) => {
                dialogue.client_gone(now, self);
                1
            }
        };
        let left = match &mut self.store {
            Some(store) => store.adopt(buffer),
            None => Some(buffer),
        };
        if let Some(buffer) = left {
            self.worker.mail.give(buffer);
        }
        if moved > 0 {
            self.flush();
        }
        moved
    }

    /// Sends what the dialogue has handed out.
    fn flush(&mut self) {
        self.client.flush();
        if let Some(server) = &mut self.server {
            server.flush();
        }
    }

    fn is_acknowledged(&self) -> bool {
        let server = self.server.as_ref();
        server
            .is_some_and(|leg| leg.is_empty() && leg.fd().is_some_and(|fd| acked::nearly_all(&fd)))
    }

    /// Keeps the process's account of journals, roughly while a message passes and exactly in the end.
    fn note_journal(&mut self, dialogue: &Dialogue) {
        const ROUGHLY: usize = 4096;
        let (now, _) = dialogue.journal_bytes();
        if now.abs_diff(self.journal) >= ROUGHLY || (now == 0 && self.journal > 0) {
            let journals = &self.worker.process.journals;
            journals.note(self.journal as u64, now as u64);
            self.journal = now;
        }
    }
}
