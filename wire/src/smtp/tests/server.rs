//! A mail server as the standard has it, written for being obvious: what it took stays known when it dies.

use std::cell::RefCell;
use std::rc::Rc;

/// A message that a server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) mail: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// All that servers have taken, whoever died since.
pub(crate) type Mailbox = Rc<RefCell<Vec<Delivery>>>;

/// How a server answers what it does not simply accept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mood {
    pub(crate) pipelining: bool,
    /// Command number at which it says 421 4.3.2 and closes.
    pub(crate) leaves_at: Option<usize>,
    /// What it says to the end of data instead of 250, once.
    pub(crate) end: Option<&'static str>,
    /// Recipients it refuses, by a letter in their address.
    pub(crate) refuses: Option<char>,
    /// It takes mail only from who is logged in: ann, by her password or by XCLIENT.
    pub(crate) auth: bool,
    /// It takes nothing until it was told for whom.
    pub(crate) xclient: bool,
}

#[derive(Debug)]
enum Mode {
    Command,
    Data,
    /// AUTH LOGIN: how much of it is there.
    Login(usize),
    Chunk {
        left: usize,
        last: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Server {
    mood: Mood,
    mailbox: Mailbox,
    input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    mode: Mode,
    mail: Option<String>,
    recipients: Vec<String>,
    body: Vec<u8>,
    commands: usize,
    named: bool,
    logged_in: bool,
    pub(crate) closed: bool,
    /// Commands that no correct session would send.
    pub(crate) nonsense: Vec<String>,
}

impl Server {
    pub(crate) fn new(mood: Mood, mailbox: &Mailbox) -> Self {
        Self {
            mood,
            mailbox: Rc::clone(mailbox),
            input: Vec::new(),
            output: b"220-wait\r\n220 model\r\n".to_vec(),
            mode: Mode::Command,
            mail: None,
            recipients: Vec::new(),
            body: Vec::new(),
            commands: 0,
            named: false,
            logged_in: false,
            closed: false,
            nonsense: Vec::new(),
        }
    }

    /// Takes bytes, one after the other.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.closed {
                return;
            }
            self.input.push(byte);
            self.step();
        }
    }

    fn step(&mut self) {
        match self.mode {
            Mode::Command if self.input.ends_with(b"\r\n") => {
                let line = std::mem::take(&mut self.input);
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.command(&line);
            }
            Mode::Data if self.input == b".\r\n" || self.input.ends_with(b"\r\n.\r\n") => {
                let mut body = std::mem::take(&mut self.input);
                body.truncate(body.len() - 3);
                self.body = body;
                self.mode = Mode::Command;
                self.end();
            }
            Mode::Login(step) if self.input.ends_with(b"\r\n") => {
                let line = std::mem::take(&mut self.input);
                self.login(step, &line);
            }
            Mode::Chunk { left, last } if self.input.len() == left => self.chunk(last),
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn command(&mut self, line: &str) {
        self.commands += 1;
        if self.mood.leaves_at == Some(self.commands) {
            self.say("421 4.3.2 leaving");
            self.closed = true;
            return;
        }
        let (verb, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
        match verb {
            "EHLO" => self.offer(),
            "XCLIENT" | "AUTH" => self.identify(line, verb, rest),
            "MAIL" if self.mood.auth && !self.logged_in || self.mood.xclient && !self.named => {
                self.nonsense.push(line.to_owned());
            }
            "MAIL" if self.mail.is_none() => {
                self.mail = Some(rest.to_owned());
                self.say(&format!("250 2.1.0 {rest}"));
            }
            "RCPT" if self.mail.is_some() => {
                if self
                    .mood
                    .refuses
                    .is_some_and(|letter| rest.contains(letter))
                {
                    return self.say(&format!("550 5.1.1 {rest}"));
                }
                self.recipients.push(rest.to_owned());
                self.say(&format!("250 2.1.5 {rest}"));
            }
            "DATA" if !self.recipients.is_empty() => {
                self.mode = Mode::Data;
                self.say("354 go on");
            }
            "DATA" if self.mail.is_some() => self.say("554 5.5.1 no valid recipients"),
            "BDAT" => {
                let mut words = rest.split_whitespace();
                let left = words
                    .next()
                    .and_then(|size| size.parse().ok())
                    .expect("a size");
                let last = words.next() == Some("LAST");
                self.mode = Mode::Chunk { left, last };
                if left == 0 {
                    self.chunk(last);
                }
            }
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 reset");
            }
            "NOOP" => self.say("250 2.0.0 noop"),
            "QUIT" => {
                self.say("221 2.0.0 bye");
                self.closed = true;
            }
            // MAIL was refused, and what was pipelined behind it comes.
            "RCPT" | "DATA" if self.mail.is_none() => self.say("503 5.5.1 no MAIL"),
            _ => {
                self.nonsense.push(line.to_owned());
                self.say("500 5.5.1 what");
            }
        }
    }

    /// What follows EHLO.
    fn offer(&mut self) {
        self.reset();
        let mood = &self.mood;
        let offers = [
            (true, "250-model\r\n"),
            (mood.pipelining, "250-PIPELINING\r\n"),
            (mood.auth, "250-AUTH PLAIN LOGIN\r\n"),
            (
                mood.xclient && !self.named,
                "250-XCLIENT ADDR LOGIN HELO\r\n",
            ),
            (true, "250-8BITMIME\r\n250 CHUNKING"),
        ];
        let offers = offers.iter().filter(|(is, _)| *is);
        let text: String = offers.map(|(_, line)| *line).collect();
        self.say(&text);
    }

    /// XCLIENT and AUTH.
    fn identify(&mut self, line: &str, verb: &str, rest: &str) {
        let may_log_in = self.mood.auth && !self.logged_in;
        match (verb, rest) {
            ("XCLIENT", told) if self.mood.xclient && told.starts_with(" ADDR=192.0.2.7") => {
                self.named = true;
                self.logged_in = told.contains(" LOGIN=ann");
                self.reset();
                self.say("220 model");
            }
            ("AUTH", " PLAIN AGFubgBzZWNyZXQ=") if may_log_in => {
                self.logged_in = true;
                self.say("235 2.7.0 yes");
            }
            ("AUTH", " LOGIN") if may_log_in => {
                self.mode = Mode::Login(0);
                self.say("334 VXNlcm5hbWU6");
            }
            _ => self.nonsense.push(line.to_owned()),
        }
    }

    fn login(&mut self, step: usize, line: &[u8]) {
        if line != [&b"YW5u\r\n"[..], b"c2VjcmV0\r\n"][step] {
            let line = String::from_utf8_lossy(line).into_owned();
            self.nonsense.push(line);
        }
        if step == 0 {
            self.mode = Mode::Login(1);
            return self.say("334 UGFzc3dvcmQ6");
        }
        self.mode = Mode::Command;
        self.logged_in = true;
        self.say("235 2.7.0 yes");
    }

    fn chunk(&mut self, last: bool) {
        let bytes = std::mem::take(&mut self.input);
        self.mode = Mode::Command;
        if self.recipients.is_empty() {
            return self.say("503 5.5.1 no recipients");
        }
        self.body.extend_from_slice(&bytes);
        if last {
            self.end();
        } else {
            self.say("250 2.0.0 chunk");
        }
    }

    fn end(&mut self) {
        if let Some(reply) = self.mood.end.take() {
            self.reset();
            self.closed = reply.starts_with("421");
            return self.say(reply);
        }
        let mail = self.mail.take().expect("a message has a sender");
        self.say(&format!("250 2.0.0 queued{mail}"));
        self.mailbox.borrow_mut().push(Delivery {
            mail,
            recipients: std::mem::take(&mut self.recipients),
            body: std::mem::take(&mut self.body),
        });
        self.reset();
    }

    fn reset(&mut self) {
        self.mail = None;
        self.recipients.clear();
        self.body.clear();
    }
}
