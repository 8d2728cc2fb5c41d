//! A visit to a mail server that delivers nothing: the dialogue of the deep check and of `posthouse probe`.
//!
//! Greeting, EHLO, STARTTLS (RFC 3207), AUTH (RFC 4954), MAIL and RCPT, RSET, QUIT: a [`Plan`] says which of them. DATA
//! is never said. [`Visit`] is told what has happened and says what to do next; what it leaves behind are
//! [`Mark`]s, one for each step, with the time it took and how it ended. Whether that is good or bad is for others to
//! say: [`crate::check`] and the probe.

mod offer;
mod secret;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

pub use offer::Offer;
pub use secret::Secret;
pub use walk::{Action, Event, Visit};

use crate::smtp::{Origin, Reply, Status};

/// What is to be said on a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The name in EHLO.
    pub hello: String,
    /// TLS comes before the greeting, as on port 465.
    pub tls: bool,
    /// Whether to ask for STARTTLS.
    pub starttls: StartTls,
    /// Of whom XCLIENT tells; where it is not offered the visit ends.
    pub origin: Option<Origin>,
    /// Who logs in.
    pub login: Option<Login>,
    /// What is asked with MAIL and RCPT, one after the other until one is accepted.
    pub envelopes: Vec<Envelope>,
}

/// Whether to ask for STARTTLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartTls {
    /// No.
    #[default]
    No,
    /// Where it is offered; where that is refused the visit goes on without.
    IfOffered,
    /// Yes; without it the visit ends.
    Required,
}

/// Who logs in, by PLAIN or LOGIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Even where the connection is not encrypted.
    pub in_clear: bool,
}

/// A sender and a recipient, without angle brackets; an empty sender is `<>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub sender: String,
    /// RCPT TO.
    pub recipient: Option<String>,
}

/// A step of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The connection, with its PROXY header.
    Connect,
    /// TLS before the greeting.
    Tls,
    /// The greeting.
    Greeting,
    /// EHLO.
    Hello,
    /// The answer to STARTTLS.
    StartTls,
    /// The handshake that follows it.
    Handshake,
    /// EHLO within TLS.
    HelloAgain,
    /// XCLIENT.
    Xclient,
    /// EHLO behind it, when the server begins anew.
    HelloAfter,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Tls,
        Self::Greeting,
        Self::Hello,
        Self::StartTls,
        Self::Handshake,
        Self::HelloAgain,
        Self::Xclient,
        Self::HelloAfter,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Reset,
        Self::Quit,
    ];

    /// What it is called in messages and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Hello => "ehlo",
            Self::StartTls => "starttls",
            Self::Handshake => "handshake",
            Self::HelloAgain => "ehlo-tls",
            Self::Xclient => "xclient",
            Self::HelloAfter => "ehlo-xclient",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Reset => "rset",
            Self::Quit => "quit",
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub step: Step,
    /// How long it took, in ms.
    pub ms: u64,
    /// What came of it.
    pub end: End,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The connection, or TLS on it, stands.
    Done,
    /// The server has answered.
    Said(Said),
    /// It has not, in time.
    Silent,
    /// The connection is gone, or never came to be; the words for why.
    Broken(String),
    /// TLS came to nothing; the words for why.
    NoTls(String),
    /// What it said is not SMTP; the beginning of it.
    Garbage(String),
    /// It does not offer what was to be asked for.
    NotOffered,
    /// A password was not said, because the connection is not encrypted.
    Withheld,
    /// Something in clear stood behind its answer to STARTTLS (CVE-2011-0411).
    Injected,
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The code.
    pub code: u16,
    /// The enhanced status behind it.
    pub status: Option<Status>,
    /// Its last line, code and all: as text that stays on its line.
    pub text: String,
}

impl Said {
    fn new(reply: &Reply<'_>) -> Self {
        let last = reply.bytes.trim_ascii_end();
        let start = memchr::memrchr(b'\n', last).map_or(0, |at| at + 1);
        Self {
            code: reply.code,
            status: reply.status(),
            text: shown(&last[start..]),
        }
    }

    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether it is a no for good.
    pub fn is_no(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Said(said) => f.write_str(&said.text),
            Self::Silent => f.write_str("no answer in time"),
            Self::Broken(why) | Self::NoTls(why) => f.write_str(why),
            Self::Garbage(text) => write!(f, "not SMTP: {text}"),
            Self::NotOffered => f.write_str("not offered"),
            Self::Withheld => f.write_str("the password is not said in clear"),
            Self::Injected => f.write_str("something in clear stood behind the answer to STARTTLS"),
        }
    }
}

/// Text of the server's that is short and stays on its line.
fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(bytes);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.trim_end().chars().take(LONGEST).map(plain).collect()
}
