//! The line of a transaction: one per message, beside the session's own.
//!
//! ```text
//! 192.0.2.1:41234 [25/Nov/2026:10:11:12.345] mx mail/mail2 mail id=0x500010000010 delivered from=<a@example.org>
//!   rcpt=2/1:550 size=1234 code=250 queue=4bXyZ times=3/20/45 moves=mail1:S6:reset:120ms reply="250 2.0.0 Ok: queued as 4bXyZ"
//! ```

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use wire::smtp::{Login, Outcome, Record};

use super::counts::{outcome_name, reason_name, state_name};
use crate::backend::Backend;
use crate::clock::{Clock, Millis};
use crate::log::{Level, Line, Route, line};
use crate::order::SessionId;
use crate::session::Session;
use crate::worker::Worker;

/// Writes it, where somebody reads it.
pub(super) fn tell(worker: &Worker, session: &Session, record: &Record) {
    let front = session.ingress.front();
    let logger = &session.ingress.proxy.logger;
    let normal = record.outcome == Outcome::Delivered && record.moves.is_empty();
    if !logger.is_on() || (front.dontlog_normal && normal) {
        return;
    }
    let wrong = front.log_separate_errors && record.outcome != Outcome::Delivered;
    worker.log.push(Line {
        route: Route::Proxy(Arc::clone(logger)),
        level: if wrong { Level::Err } else { Level::Info },
        at: session.began + u64::from(session.age()),
        text: text(worker, session, record),
    });
}

fn text(worker: &Worker, session: &Session, record: &Record) -> String {
    let hide = session
        .ingress
        .front()
        .smtp
        .as_ref()
        .is_some_and(|smtp| smtp.hash_addresses);
    let servers = session.farm().map(Backend::servers);
    let name = |server: u32| -> &str {
        let server = servers
            .as_ref()
            .and_then(|servers| servers.at(server as usize));
        server.map_or("<NOSRV>", |server| &**server.name())
    };
    let (from, parameters) = sender(&record.mail);
    let server = record.server.map_or("<NOSRV>", name);
    let mut out = head(worker, session, record.began, server, "mail");
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        " {} from=<{}> rcpt={}",
        outcome_name(record.outcome),
        word(from, hide),
        record.accepted,
    );
    if record.refused > 0 {
        let _ = write!(out, "/{}:{}", record.refused, record.refused_code);
    }
    if let Some(login) = &record.login {
        let _ = write!(out, " login={}", word(login.as_bytes(), hide));
    }
    let _ = write!(out, " size={}", record.size);
    if !parameters.is_empty() {
        let _ = write!(out, " with=\"{}\"", shown(parameters, hide));
    }
    let _ = write!(out, " code={}", record.code);
    if let Some(id) = record.queue_id() {
        let _ = write!(out, " queue={}", shown(id.as_bytes(), false));
    }
    let time = |after: Option<u64>| after.map_or(-1, |ms| ms as i64);
    let _ = write!(
        out,
        " times={}/{}/{}",
        time(record.data_after),
        time(record.end_after),
        time(record.reply_after)
    );
    for (place, step) in record.moves.iter().enumerate() {
        let comma = if place == 0 { " moves=" } else { "," };
        let (from, state, why) = (
            name(step.from),
            state_name(step.state),
            reason_name(step.why),
        );
        let _ = write!(out, "{comma}{from}:{state}:{why}");
        if let Some(lost) = step.lost {
            let _ = write!(out, ":{lost}ms");
        }
    }
    for (flag, word) in [
        (record.unprotected, " unprotected"),
        (record.normalised, " normalised"),
    ] {
        if flag {
            out.push_str(word);
        }
    }
    let _ = write!(out, " reply=\"{}\"", shown(&record.reply, hide));
    out
}

/// Writes the line of a login that came to nothing, so that whoever watches logs can see who tries names and passwords:
///
/// ```text
/// 192.0.2.1:41234 [25/Nov/2026:10:11:12.345] submission~ mail/mail2 login id=0x500010000010 refused mechanism=PLAIN login=ann
///   code=535 reply="535 5.7.8 Error: authentication failed"
/// ```
pub(super) fn tell_login(worker: &Worker, session: &Session, login: &Login<'_>, outcome: &str) {
    let front = session.ingress.front();
    let logger = &session.ingress.proxy.logger;
    if !logger.is_on() {
        return;
    }
    let hide = front.smtp.as_ref().is_some_and(|smtp| smtp.hash_addresses);
    let server = session.server.as_ref();
    let server = server.map_or("<NOSRV>", |server| server.name());
    let mut text = head(worker, session, Clock::get().now(), server, "login");
    // Writing to a string cannot fail.
    let _ = write!(text, " {outcome}");
    if !login.mechanism.is_empty() {
        let _ = write!(text, " mechanism={}", login.mechanism);
    }
    if let Some(name) = login.name {
        let _ = write!(text, " login={}", word(name.as_bytes(), hide));
    }
    if login.code != 0 {
        let _ = write!(
            text,
            " code={} reply=\"{}\"",
            login.code,
            shown(login.reply, hide)
        );
    }
    let level = match front.log_separate_errors {
        true => Level::Err,
        false => Level::Info,
    };
    worker.log.push(Line {
        route: Route::Proxy(Arc::clone(logger)),
        level,
        at: session.began + u64::from(session.age()),
        text,
    });
}

/// Who, when and where, and what the line is about.
fn head(worker: &Worker, session: &Session, at: Millis, server: &str, what: &str) -> String {
    let mut out = String::with_capacity(256);
    line::client_and_time(&mut out, session, at);
    let backend = session.backend.as_ref();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        " {}{} {}/{server} {what} id={}",
        session.ingress.proxy.name(),
        session.transport(),
        backend.map_or("", |proxy| &**proxy.name()),
        SessionId::new(worker.id, session.id),
    );
    out
}

/// The address of `FROM:<...> <parameters>`, and the parameters.
fn sender(mail: &[u8]) -> (&[u8], &[u8]) {
    let begin = mail.iter().position(|byte| *byte == b'<');
    // A quoted local part may contain anything, a bracket too: the last one ends the address.
    let end = mail.iter().rposition(|byte| *byte == b'>');
    match (begin, end) {
        (Some(begin), Some(end)) if begin < end => {
            (&mail[begin + 1..end], mail[end + 1..].trim_ascii())
        }
        _ => (mail, &[]),
    }
}

/// Printable, on one line, and without what would end a quoted value; addresses hashed if they are to be.
fn shown(bytes: &[u8], hide: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    if hide {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"<>,;:\"()".contains(byte);
        for word in bytes.split_inclusive(ends) {
            let last = word.last().filter(|byte| ends(byte));
            let text = &word[..word.len() - usize::from(last.is_some())];
            if text.contains(&b'@') {
                let _ = write!(out, "{:016x}", KEY.hash_one(text.to_ascii_lowercase()));
            } else {
                escape(&mut out, text);
            }
            escape(&mut out, &word[text.len()..]);
        }
    } else {
        escape(&mut out, bytes);
    }
    out
}

/// The same as one word: who chooses a name must not be able to go on with the line.
fn word(name: &[u8], hide: bool) -> String {
    shown(name, hide).replace(' ', "\\x20")
}

/// Nobody outside can tell whether a hash is an address's; the key is gone with the process.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_told_from_its_parameters() {
        let parts = |mail: &'static str| sender(mail.as_bytes());
        assert_eq!(parts("FROM:<a@b> SIZE=1"), (&b"a@b"[..], &b"SIZE=1"[..]));
        assert_eq!(parts("FROM:<>"), (&b""[..], &b""[..]));
        assert_eq!(parts("FROM:<\"a>b\"@c>"), (&b"\"a>b\"@c"[..], &b""[..]));
        assert_eq!(parts("FROM:oops"), (&b"FROM:oops"[..], &b""[..]));
    }

    #[test]
    fn nothing_ends_a_line_or_a_value() {
        assert_eq!(shown(b"a\"b\r\n\xffc", false), "a\\\"b\\x0d\\x0a\\xffc");
        let forged = "ann code=535 reply=\"\" 192.0.2.9:1";
        assert_eq!(
            word(forged.as_bytes(), false),
            r#"ann\x20code=535\x20reply=\"\"\x20192.0.2.9:1"#
        );
    }

    #[test]
    fn hidden_addresses_are_equal_where_they_were_and_unreadable() {
        let reply = shown(b"250 2.1.5 <A@example.org>... ok", true);
        assert!(!reply.contains("example"), "{reply}");
        assert!(
            reply.starts_with("250 2.1.5 <") && reply.ends_with(">... ok"),
            "{reply}"
        );
        let hash = shown(b"a@example.org", true);
        assert!(reply.contains(&hash), "{reply} {hash}");
        assert_ne!(hash, shown(b"b@example.org", true));
    }
}
