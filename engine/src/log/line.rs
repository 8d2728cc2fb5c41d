//! The words of a session's lines (CFG 8.2; haproxy-compat 3.14).

use std::fmt::Write as _;
use std::os::fd::AsFd;

use crate::clock::Clock;
use crate::end::Ending;
use crate::order::SessionId;
use crate::session::{Peer, Session};
use crate::sock;
use crate::worker::Worker;

/// The line of `option tcplog`:
/// `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`; and behind it, where a server
/// failed the session, which and how, and the time until it had another.
pub(crate) fn tcplog(session: &Session, ending: Ending, worker: &Worker) -> String {
    let mut out = String::with_capacity(160);
    let asap = session.ingress.front().logasap;
    client_and_time(&mut out, session, session.began);
    let marks = session.marks;
    let waited = marks.assigned.map_or(-1, i64::from);
    let connect = match (marks.assigned, marks.connected) {
        (Some(assigned), Some(connected)) => i64::from(connected - assigned.min(connected)),
        _ => -1,
    };
    let plus = if asap { "+" } else { "" };
    let [cause, phase] = ending.letters();
    let frontend = session.ingress.proxy.name();
    let transport = session.transport();
    let backend = session
        .backend
        .as_ref()
        .map_or(frontend, |proxy| proxy.name());
    let server = session
        .server
        .as_ref()
        .map_or("<NOSRV>", |server| &**server.name());
    let _ = write!(
        out,
        " {frontend}{transport} {backend}/{server} {waited}/{connect}/{plus}{} {plus}{} {cause}{phase} ",
        session.age(),
        session.bytes_out,
    );
    let frontend_now = session
        .ingress
        .proxy
        .front
        .as_ref()
        .map_or(0, |front| front.sessions.get());
    let back = session.farm();
    let moved = if session.redispatched { "+" } else { "" };
    let _ = write!(
        out,
        "{}/{frontend_now}/{}/{}/{moved}{} {}/{}",
        worker.process.sessions.get(),
        back.map_or(0, |back| back.sessions.get()),
        session
            .server
            .as_ref()
            .map_or(0, |server| server.sessions.get()),
        session.retries,
        session.queued_behind.0,
        session.queued_behind.1,
    );
    if let Some(story) = &session.story {
        let lost = marks.connected.unwrap_or_else(|| session.age());
        let _ = write!(out, " tried={story} lost={lost}ms");
    }
    if session.turned_away {
        let _ = write!(out, " id={}", SessionId::new(worker.id, session.id));
    }
    out
}

/// The line at accept time, without `option tcplog`.
pub(crate) fn connect(session: &Session, socket: impl AsFd) -> String {
    let mut out = String::from("Connect from ");
    client(&mut out, session);
    out.push_str(" to ");
    match session.destination.or_else(|| sock::local_address(socket)) {
        Some(address) => {
            let _ = write!(out, "{}:{}", address.ip(), address.port());
        }
        None => {
            let _ = write!(out, "unix:{}", session.ingress.bind().id);
        }
    }
    let _ = write!(out, " ({}/TCP)", session.ingress.proxy.name());
    out
}

/// The line of a connection that never became a session.
pub(crate) fn refused(session: &Session, why: &str) -> String {
    let mut out = String::new();
    client_and_time(&mut out, session, session.began);
    let bind = session.ingress.bind();
    let _ = match &bind.name {
        Some(name) => write!(out, " {}/{name}: {why}", session.ingress.proxy.name()),
        None => write!(out, " {}/{}: {why}", session.ingress.proxy.name(), bind.id),
    };
    out
}

/// Who it is, and a moment of the session: `192.0.2.1:41234 [25/Nov/2026:10:11:12.345]`.
pub(crate) fn client_and_time(out: &mut String, session: &Session, at: u64) {
    client(out, session);
    out.push_str(" [");
    stamp(out, at);
    out.push(']');
}

fn client(out: &mut String, session: &Session) {
    let _ = match session.client {
        Peer::Ip(address) => write!(out, "{}:{}", address.ip(), address.port()),
        Peer::Local => write!(out, "unix:{}", session.ingress.bind().id),
    };
}

/// `23/Nov/2026:20:46:18.482`, local time. The second's text is made once per second and thread.
fn stamp(out: &mut String, at: u64) {
    thread_local! {
        static SECOND: std::cell::RefCell<(u64, String)> = const { std::cell::RefCell::new((0, String::new())) };
    }
    let wall = Clock::get().wall_ms(at);
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != wall / 1000 || text.is_empty() {
            *second = wall / 1000;
            *text = local(wall).strftime("%d/%b/%Y:%H:%M:%S").to_string();
        }
        let _ = write!(out, "{text}.{:03}", wall % 1000);
    });
}

/// Local time of milliseconds since 1970.
pub(super) fn local(wall_ms: u64) -> jiff::Zoned {
    let millis = i64::try_from(wall_ms).unwrap_or(0);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.to_zoned(jiff::tz::TimeZone::system())
}
