//! A check script at work: told what happened, it says what to do next (haproxy-compat 3.5).
//!
//! No sockets and no clock: the caller connects, sends, receives and watches the time.

use super::texts::Verdict;
use super::{Connect, Expect, Kind, Outcome, Pattern, Rule, Script, Status};

/// What the caller shall do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Close what is open and connect; without a rule it is the implicit connect.
    Connect(Option<Connect>),
    /// Send these bytes.
    Send(Vec<u8>),
    /// Wait for bytes, the end, an error or the time.
    Receive,
    /// The check is over.
    Finish(Outcome),
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The connection stands.
    Connected,
    /// It does not; the words for why.
    ConnectFailed(String),
    /// It stands, with TLS on it.
    Secured,
    /// TLS failed; the words for why.
    HandshakeFailed(String),
    /// The time is up, and TLS does not stand.
    HandshakeTimedOut,
    /// Everything was sent.
    Sent,
    /// Bytes have arrived.
    Received(&'a [u8]),
    /// The server has closed its side.
    Eof,
    /// Reading or writing failed; the words for why.
    Failed(String),
    /// The time is up.
    TimedOut,
}

/// One run of a script.
#[derive(Debug)]
pub struct Run<'s> {
    script: &'s Script,
    /// The rule at work; `None`: the implicit connect.
    at: Option<usize>,
    /// The first of the expect rules in a row that are at work.
    first_expect: usize,
    /// What the server has sent since the last connect or send.
    received: Vec<u8>,
    bufsize: usize,
    /// Whether nothing more will arrive.
    ended: bool,
    /// What the server said first, as far as it matters for a polite end.
    greeted: bool,
    quit_sent: bool,
    /// The connection has TLS.
    secured: bool,
}

impl<'s> Run<'s> {
    /// A run that has not begun. `bufsize` bounds what is kept of the server's words.
    pub fn new(script: &'s Script, bufsize: usize) -> Self {
        Self {
            script,
            at: None,
            first_expect: 0,
            received: Vec::new(),
            bufsize,
            ended: false,
            greeted: false,
            quit_sent: false,
            secured: false,
        }
    }

    /// The first thing to do.
    pub fn begin(&mut self) -> Action {
        match self.script.rules.first() {
            Some(Rule::Connect(rule)) => {
                self.at = Some(0);
                Action::Connect(Some(rule.clone()))
            }
            _ => Action::Connect(None),
        }
    }

    /// What to do after something happened.
    pub fn on(&mut self, event: Event<'_>) -> Action {
        match event {
            Event::Connected | Event::Secured | Event::Sent => {
                if !matches!(event, Event::Sent) {
                    self.secured = matches!(event, Event::Secured);
                }
                self.received.clear();
                self.ended = false;
                self.next_rule()
            }
            Event::ConnectFailed(why) => self.fail(Status::L4Con, &why),
            Event::HandshakeFailed(why) => self.fail(Status::L6Rsp, &why),
            Event::HandshakeTimedOut => self.fail(Status::L6Timeout, ""),
            Event::TimedOut => match self.rule() {
                None | Some(Rule::Connect(_)) => self.fail(Status::L4Timeout, ""),
                Some(Rule::Send(_)) => self.fail(Status::L7Timeout, ""),
                Some(Rule::Expect(expect)) => self.fail(expect.tout_status, ""),
            },
            Event::Failed(why) => match self.rule() {
                // Bytes that arrived before the error decide.
                Some(Rule::Expect(_)) if !self.received.is_empty() => self.finish_reading(),
                _ => self.fail(Status::L4Con, &why),
            },
            Event::Eof => self.finish_reading(),
            Event::Received(bytes) => {
                let room = self.bufsize.saturating_sub(self.received.len());
                self.received
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.ended |= bytes.len() >= room;
                self.greeted |= self.received.starts_with(b"220");
                // Expects in a row all see everything: with more bytes the first of them is asked again.
                if let Some(Rule::Expect(_)) = self.rule() {
                    self.at = Some(self.first_expect);
                }
                self.evaluate()
            }
        }
    }

    /// A goodbye the dialogue has room for: the server greeted as a mail server does, and the script did not
    /// say QUIT itself.
    pub fn polite_end(&self) -> Option<&'static [u8]> {
        (self.greeted && !self.quit_sent && !self.ended).then_some(b"QUIT\r\n")
    }

    fn rule(&self) -> Option<&'s Rule> {
        self.script.rules.get(self.at?)
    }

    fn next_rule(&mut self) -> Action {
        let next = self.at.map_or(0, |at| at + 1);
        match self.script.rules.get(next) {
            None => Action::Finish(self.passed()),
            Some(rule) => {
                if !matches!(self.rule(), Some(Rule::Expect(_))) {
                    self.first_expect = next;
                }
                self.at = Some(next);
                match rule {
                    Rule::Connect(connect) => Action::Connect(Some(connect.clone())),
                    Rule::Send(send) => {
                        self.quit_sent |= send.data.to_ascii_uppercase().starts_with(b"QUIT");
                        Action::Send(send.data.clone())
                    }
                    // What is there already may do; before the first byte there is nothing to judge.
                    Rule::Expect(_) if self.received.is_empty() && !self.ended => Action::Receive,
                    Rule::Expect(_) => self.evaluate(),
                }
            }
        }
    }

    fn finish_reading(&mut self) -> Action {
        self.ended = true;
        match self.rule() {
            Some(Rule::Expect(_)) => self.evaluate(),
            _ => self.next_rule(),
        }
    }

    /// Judges the expect rule at work, and those that follow it, on what has arrived.
    fn evaluate(&mut self) -> Action {
        let Some(Rule::Expect(expect)) = self.rule() else {
            return Action::Receive;
        };
        if self.received.is_empty() && self.ended {
            let text = format!("TCPCHK got an empty response at step {}", self.step());
            return self.fail_with(expect.error_status, self.commented(text));
        }
        let enough = expect
            .min_recv
            .is_none_or(|least| self.received.len() >= least);
        if !enough && !self.ended {
            return Action::Receive;
        }
        let found = expect.pattern.found_in(&self.received);
        if found != expect.negate {
            // A pattern that must be absent is only known to be when no more can come.
            if expect.negate && expect.min_recv.is_none() && !self.ended {
                return Action::Receive;
            }
            return self.next_rule();
        }
        if found || self.ended || expect.min_recv.is_some() {
            return self.mismatch(expect);
        }
        Action::Receive
    }

    fn mismatch(&self, expect: &Expect) -> Action {
        if self.script.kind == Kind::Smtp {
            return self.fail_with(expect.error_status, self.first_line(expect.error_status));
        }
        if let Some(text) = &expect.on_error {
            return self.fail_with(expect.error_status, text.clone());
        }
        let verb = if expect.negate {
            "matched unwanted content"
        } else {
            "did not match content"
        };
        let text = format!(
            "TCPCHK {verb}{} at step {}",
            expect.pattern.shown(),
            self.step()
        );
        self.fail_with(expect.error_status, self.commented(text))
    }

    /// What an SMTP check shows of a reply: the text behind its code, or the whole line where the reply is
    /// no reply.
    fn first_line(&self, status: Status) -> String {
        let mut lines = self
            .received
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let line = match status {
            Status::L7Rsp => lines.next(),
            // The last line of the reply: the first without a hyphen behind its code.
            _ => lines
                .find(|line| line.get(3) != Some(&b'-'))
                .map(|line| line.get(4..).unwrap_or(b"")),
        };
        String::from_utf8_lossy(line.unwrap_or(b"").trim_ascii_end()).into_owned()
    }

    fn code(&self) -> Option<u16> {
        let digits = self.received.get(..3)?;
        std::str::from_utf8(digits)
            .ok()?
            .parse()
            .ok()
            .filter(|_| self.script.kind == Kind::Smtp)
    }

    /// The outcome of a script whose last rule is through: the last step decides.
    fn passed(&self) -> Outcome {
        let (status, info) = match (self.script.kind, self.rule()) {
            (Kind::Smtp, _) => (Status::L7Ok, self.first_line(Status::L7Ok)),
            (_, None) => (self.connected(), String::new()),
            (_, Some(Rule::Connect(_))) => (self.connected(), "(tcp-check)".into()),
            (_, Some(Rule::Send(_))) => (Status::L7Ok, "(tcp-check)".into()),
            (_, Some(Rule::Expect(expect))) => {
                let text = expect
                    .on_success
                    .clone()
                    .unwrap_or_else(|| "(tcp-check)".into());
                (expect.ok_status, text)
            }
        };
        Outcome {
            status,
            code: self.code(),
            info,
            flaw: None,
        }
    }

    /// The status of a connection that stands.
    fn connected(&self) -> Status {
        if self.secured {
            Status::L6Ok
        } else {
            Status::L4Ok
        }
    }

    /// A failure that is no mismatch: `<why> at step N of tcp-check (connect port 25)`.
    fn fail(&self, status: Status, why: &str) -> Action {
        if self.script.kind != Kind::TcpCheck {
            return self.fail_with(status, why.to_owned());
        }
        let Some(rule) = self.rule() else {
            return self.fail_with(
                status,
                format!("{why} at initial connection step of tcp-check"),
            );
        };
        let (what, comment) = match rule {
            Rule::Connect(connect) => {
                let port = connect
                    .port
                    .map(|port| format!(" port {port}"))
                    .unwrap_or_default();
                (format!("connect{port}"), &connect.comment)
            }
            Rule::Send(send) => ("send".to_owned(), &send.comment),
            Rule::Expect(expect) => (
                format!(
                    "expect {}{}",
                    expect.pattern.kind(),
                    expect.pattern.quoted()
                ),
                &expect.comment,
            ),
        };
        let mut text = format!("{why} at step {} of tcp-check ({what})", self.step());
        if let Some(comment) = comment {
            text.push_str(&format!(" comment: '{comment}'"));
        }
        self.fail_with(status, text)
    }

    fn fail_with(&self, status: Status, info: String) -> Action {
        let code = if status.verdict() == Verdict::Failed && status.has_code() {
            self.code()
        } else {
            None
        };
        Action::Finish(Outcome {
            status,
            code,
            info,
            flaw: None,
        })
    }

    fn commented(&self, mut text: String) -> String {
        if let Some(Rule::Expect(Expect {
            comment: Some(comment),
            ..
        })) = self.rule()
        {
            text.push_str(&format!(" comment: {comment}"));
        }
        text
    }

    /// The number of the rule at work: 1 for the first, whether or not it is a connect.
    fn step(&self) -> usize {
        self.at.map_or(0, |at| at + 1)
    }
}

impl Pattern {
    fn found_in(&self, received: &[u8]) -> bool {
        match self {
            Self::String(text) | Self::Binary(text) => {
                memchr::memmem::find(received, text).is_some()
            }
            // HAProxy's expressions stop at a zero byte.
            Self::Regex(regex) => {
                regex.is_match(received.split(|byte| *byte == 0).next().unwrap_or(received))
            }
            Self::RegexBinary(regex) => regex.is_match(hex(received).as_bytes()),
        }
    }

    /// How a mismatch shows it.
    fn shown(&self) -> String {
        match self {
            Self::String(text) => format!(" '{}'", String::from_utf8_lossy(text)),
            Self::Regex(_) => " (regex)".into(),
            Self::Binary(_) => " (binary)".into(),
            Self::RegexBinary(_) => " (binary regex)".into(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Regex(_) => "rstring",
            Self::Binary(_) => "binary",
            Self::RegexBinary(_) => "rbinary",
        }
    }

    fn quoted(&self) -> String {
        match self {
            Self::String(text) => format!(" '{}'", String::from_utf8_lossy(text)),
            Self::Regex(_) | Self::Binary(_) | Self::RegexBinary(_) => String::new(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests;
