//! The end of a session: told, counted and given back, exactly once.
//!
//! Whoever holds a [`Session`] when it ends calls [`finish`]; the session is consumed. An [`Ending`] is
//! HAProxy's termination state, cause x phase (CFG 8.5).

use std::sync::atomic::Ordering;

use crate::backend::Backend;
use crate::log::{Level, Line, Route, line};
use crate::relay::Side;
use crate::server::Server;
use crate::session::Session;
use crate::worker::Worker;

/// Why and where a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) cause: Cause,
    pub(crate) phase: Phase,
}

/// Who ended it; the first letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cause {
    /// Both sides said so.
    Normal = b'-',
    /// The client reset or left.
    Client = b'C',
    /// The server reset, refused or vanished.
    Server = b'S',
    /// The client was silent for too long.
    ClientTimeout = b'c',
    /// The server was silent for too long.
    ServerTimeout = b's',
    /// A rule of ours.
    Proxy = b'P',
    /// Out of a resource: descriptors, memory.
    Resource = b'R',
    /// The server was marked DOWN (`on-marked-down shutdown-sessions`).
    Down = b'D',
    /// A better server came UP (`on-marked-up shutdown-backup-sessions`).
    Up = b'U',
    /// An operator.
    Killed = b'K',
}

/// Where it was; the second letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nowhere special.
    Done = b'-',
    /// Before there was a session: PROXY header, TLS. What is told of it is told there.
    Before = b'B',
    /// Before there was a backend.
    Request = b'R',
    /// Waiting for a slot.
    Queue = b'Q',
    /// Connecting to a server.
    Connect = b'C',
    /// Relaying.
    Data = b'D',
}

impl Ending {
    /// Both sides have said all they had to say.
    pub(crate) const NORMAL: Self = Self::new(Cause::Normal, Phase::Done);
    /// No descriptors or memory.
    pub(crate) const RESOURCE: Self = Self::new(Cause::Resource, Phase::Connect);

    pub(crate) const fn new(cause: Cause, phase: Phase) -> Self {
        Self { cause, phase }
    }

    /// A side reset while relayed.
    pub(crate) const fn broken(side: Side) -> Self {
        match side {
            Side::Client => Self::new(Cause::Client, Phase::Data),
            Side::Server => Self::new(Cause::Server, Phase::Data),
        }
    }

    /// A side was silent for too long while relayed.
    pub(crate) const fn late(side: Side) -> Self {
        match side {
            Side::Client => Self::new(Cause::ClientTimeout, Phase::Data),
            Side::Server => Self::new(Cause::ServerTimeout, Phase::Data),
        }
    }

    /// The two letters.
    pub(crate) fn letters(self) -> [char; 2] {
        [self.cause as u8 as char, self.phase as u8 as char]
    }

    /// Whether `option dontlog-normal` would drop its line.
    pub(crate) fn is_normal(self) -> bool {
        self.cause == Cause::Normal
    }
}

/// Counts the end, gives the slot back and writes the log line.
pub(crate) fn finish(worker: &Worker, session: Session, ending: Ending) {
    count(worker, &session, ending);
    leave_server(&session);
    // Whoever reads its line finds it gone.
    if session.secured {
        worker.process.tls.sessions.leave();
    }
    if !is_told_early(&session) {
        tell(worker, &session, ending);
    }
    if let Some(front) = &session.ingress.proxy.front {
        front.leave(session.ingress.bind);
    }
    worker.process.leave();
}

/// `option logasap`: a session is told when its server is connected, with what is known by then.
pub(crate) fn tell_early(worker: &Worker, session: &Session) {
    if is_told_early(session) {
        tell(worker, session, Ending::NORMAL);
    }
}

/// Whether the line of a session is written when its server is connected, and not at its end.
fn is_told_early(session: &Session) -> bool {
    session.marks.connected.is_some() && session.ingress.front().logasap
}

fn count(worker: &Worker, session: &Session, ending: Ending) {
    let total_ms = u64::from(session.age());
    if let Some(front) = &session.ingress.proxy.front {
        let (id, bind) = (worker.id, session.ingress.bind);
        front.count(id, bind, |totals| &totals.bytes_in, session.bytes_in);
        front.count(id, bind, |totals| &totals.bytes_out, session.bytes_out);
    }
    worker
        .process
        .bytes_out
        .fetch_add(session.bytes_out, Ordering::Relaxed);
    let Some(back) = session.farm() else {
        return;
    };
    let in_data = ending.phase == Phase::Data;
    let totals = back.totals.at(worker.id);
    totals.bytes_in.add(session.bytes_in);
    totals.bytes_out.add(session.bytes_out);
    let client_broke = matches!(ending.cause, Cause::Client | Cause::ClientTimeout) && in_data;
    let server_broke = matches!(ending.cause, Cause::Server | Cause::ServerTimeout) && in_data;
    totals.client_aborts.add(u64::from(client_broke));
    totals.server_aborts.add(u64::from(server_broke));
    if let Some(connected) = session.marks.connected {
        let assigned = session.marks.assigned.unwrap_or(0);
        let times = [
            &back.times,
            session.server.as_ref().map_or(&back.times, |s| &s.times),
        ];
        let distinct = if session.server.is_some() { 2 } else { 1 };
        for times in &times[..distinct] {
            times.queue.add(u64::from(assigned));
            times
                .connect
                .add(u64::from(connected - assigned.min(connected)));
            times.total.add(total_ms);
        }
    }
    if let Some(server) = &session.server {
        let totals = server.totals.at(worker.id);
        let (bytes_in, bytes_out) = session.bytes_of_server();
        totals.bytes_in.add(bytes_in);
        totals.bytes_out.add(bytes_out);
        totals.client_aborts.add(u64::from(client_broke));
        totals.server_aborts.add(u64::from(server_broke));
    }
}

/// Gives the server's slot back.
fn leave_server(session: &Session) {
    let Some(back) = session.farm() else {
        return;
    };
    if let Some(server) = &session.server {
        give_back(back, server);
    }
    back.sessions.leave();
}

/// Gives a slot of a server back, to the next who waits for one if somebody does.
pub(crate) fn give_back(back: &Backend, server: &Server) {
    server.sessions.leave();
    back.queue.release(server.index);
}

fn tell(worker: &Worker, session: &Session, ending: Ending) {
    let front = session.ingress.front();
    let logger = &session.ingress.proxy.logger;
    let wanted = logger.is_on()
        && front.log_lines != config::model::LogLines::Connect
        && !(front.dontlog_normal && ending.is_normal())
        && !(front.dontlognull && session.bytes_in == 0)
        && ending.phase != Phase::Before;
    if !wanted {
        return;
    }
    let separate = front.log_separate_errors && !ending.is_normal();
    worker.log.push(Line {
        route: Route::Proxy(std::sync::Arc::clone(logger)),
        level: if separate { Level::Err } else { Level::Info },
        at: session.began + u64::from(session.age()),
        text: line::tcplog(session, ending, worker),
    });
}
