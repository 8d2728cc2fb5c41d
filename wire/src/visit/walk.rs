//! The visit itself: from connect to QUIT.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{End, Login, Mark, Offer, Plan, Said, StartTls, Step};
use crate::smtp::{Known, Reply};

/// What the caller shall do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect.
    Connect,
    /// TLS on the connection.
    Secure,
    /// Send these bytes. They may hold a password.
    Send(Vec<u8>),
    /// Wait for bytes, the end, an error or the time.
    Receive,
    /// The visit is over: close.
    Finish,
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The connection stands.
    Connected,
    /// TLS stands on it.
    Secured,
    /// TLS came to nothing; the words for why.
    NotSecured(String),
    /// All was sent.
    Sent,
    /// Bytes have arrived.
    Received(&'a [u8]),
    /// The connection is gone, or never came to be; the words for why.
    Broken(String),
    /// The step's time is up.
    TimedOut,
}

/// A visit under way. Times are milliseconds of one clock, told with each event.
#[derive(Debug)]
pub struct Visit {
    plan: Plan,
    step: Step,
    /// When the step began.
    since: u64,
    /// What the server has said and nobody has read yet.
    heard: Vec<u8>,
    marks: Vec<Mark>,
    offer: Option<Offer>,
    offer_in_tls: Option<Offer>,
    offer_after: Option<Offer>,
    /// Lines of XCLIENT that are still to be said, the last one first.
    introductions: Vec<String>,
    secured: bool,
    /// Answers the login is waiting for that are not its end: what to say to each.
    challenges: Vec<Vec<u8>>,
    /// The envelope at work.
    envelope: usize,
}

impl Visit {
    /// One that has not begun.
    pub fn new(plan: Plan, now: u64) -> Self {
        Self {
            plan,
            step: Step::Connect,
            since: now,
            heard: Vec::new(),
            marks: Vec::new(),
            offer: None,
            offer_in_tls: None,
            offer_after: None,
            introductions: Vec::new(),
            secured: false,
            challenges: Vec::new(),
            envelope: 0,
        }
    }

    /// The step at work.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What was done so far.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The last mark of that step.
    pub fn mark(&self, step: Step) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.step == step)
    }

    /// What was offered: before TLS, and within.
    pub fn offers(&self) -> (Option<&Offer>, Option<&Offer>) {
        (self.offer.as_ref(), self.offer_in_tls.as_ref())
    }

    /// What was offered last.
    pub fn offer(&self) -> Option<&Offer> {
        let before = self.offer_in_tls.as_ref().or(self.offer.as_ref());
        self.offer_after.as_ref().or(before)
    }

    /// Whether the connection is encrypted.
    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// What to do after something happened.
    pub fn on(&mut self, event: Event<'_>, now: u64) -> Action {
        match event {
            Event::Connected => {
                self.leave(End::Done, now);
                if self.plan.tls {
                    self.enter(Step::Tls, Action::Secure)
                } else {
                    self.enter(Step::Greeting, Action::Receive)
                }
            }
            Event::Secured => {
                self.leave(End::Done, now);
                self.secured = true;
                if self.step == Step::Tls {
                    self.enter(Step::Greeting, Action::Receive)
                } else {
                    self.say(Step::HelloAgain, &format!("EHLO {}", self.plan.hello))
                }
            }
            Event::NotSecured(why) => self.give_up(End::NoTls(why), now),
            Event::Sent => self.read(now),
            Event::Received(bytes) => {
                self.heard.extend_from_slice(bytes);
                self.read(now)
            }
            Event::Broken(why) => self.give_up(End::Broken(why), now),
            Event::TimedOut => self.give_up(End::Silent, now),
        }
    }

    /// Reads an answer, if there is a whole one.
    fn read(&mut self, now: u64) -> Action {
        let heard = std::mem::take(&mut self.heard);
        match Reply::first(&heard) {
            Ok(None) => {
                self.heard = heard;
                Action::Receive
            }
            Err(_) => self.give_up(End::Garbage(super::shown(&heard)), now),
            Ok(Some(reply)) => {
                self.heard = heard[reply.bytes.len()..].to_vec();
                self.answered(&reply, now)
            }
        }
    }

    fn answered(&mut self, reply: &Reply<'_>, now: u64) -> Action {
        let said = Said::new(reply);
        let yes = said.is_yes();
        if self.step == Step::Auth && said.code == 334 && !self.challenges.is_empty() {
            return Action::Send(self.challenges.remove(0));
        }
        if self.step == Step::StartTls && said.code == 220 && !self.heard.is_empty() {
            return self.give_up(End::Injected, now);
        }
        self.leave(End::Said(said), now);
        match self.step {
            Step::Greeting if reply.code == 220 => {
                self.say(Step::Hello, &format!("EHLO {}", self.plan.hello))
            }
            Step::Hello if yes => {
                let offer = Offer::new(reply);
                let offered = offer.has("STARTTLS");
                self.offer = Some(offer);
                match self.plan.starttls {
                    StartTls::IfOffered | StartTls::Required if offered => {
                        self.say(Step::StartTls, "STARTTLS")
                    }
                    StartTls::Required => {
                        self.enter(Step::StartTls, Action::Receive);
                        self.leave(End::NotOffered, now);
                        self.quit()
                    }
                    StartTls::No | StartTls::IfOffered => self.introduce(now),
                }
            }
            Step::StartTls if reply.code == 220 => self.enter(Step::Handshake, Action::Secure),
            Step::StartTls if self.plan.starttls == StartTls::IfOffered => self.introduce(now),
            Step::HelloAgain if yes => {
                self.offer_in_tls = Some(Offer::new(reply));
                self.introduce(now)
            }
            Step::Xclient if reply.code == 220 => match self.introductions.pop() {
                Some(line) => self.say(Step::Xclient, line.trim_end()),
                None => self.say(Step::HelloAfter, &format!("EHLO {}", self.plan.hello)),
            },
            Step::HelloAfter if yes => {
                self.offer_after = Some(Offer::new(reply));
                self.log_in(now)
            }
            Step::Auth if yes => self.ask(),
            Step::Mail if yes => match self.envelope().and_then(|it| it.recipient.clone()) {
                Some(recipient) => self.say(Step::Rcpt, &format!("RCPT TO:<{recipient}>")),
                None => self.settle(),
            },
            Step::Rcpt if yes => self.settle(),
            Step::Mail | Step::Rcpt => {
                self.envelope += 1;
                self.say(Step::Reset, "RSET")
            }
            Step::Reset => self.ask(),
            // An answer that ends the visit, or the one to QUIT.
            Step::Quit => Action::Finish,
            _ => self.quit(),
        }
    }

    /// XCLIENT, where the server is told of a client.
    fn introduce(&mut self, now: u64) -> Action {
        let Some(origin) = self.plan.origin else {
            return self.log_in(now);
        };
        let told = self.offer().and_then(Offer::attributes);
        let lines = told.map(|told| told.lines(&origin, Known::default()));
        self.introductions = lines.unwrap_or_default();
        self.introductions.reverse();
        match self.introductions.pop() {
            Some(line) => self.say(Step::Xclient, line.trim_end()),
            None => {
                self.step = Step::Xclient;
                self.leave(End::NotOffered, now);
                self.quit()
            }
        }
    }

    /// AUTH, where somebody logs in.
    fn log_in(&mut self, now: u64) -> Action {
        let Some(login) = self.plan.login.clone() else {
            return self.ask();
        };
        self.step = Step::Auth;
        if !self.secured && !login.in_clear {
            self.leave(End::Withheld, now);
            return self.quit();
        }
        let mechanisms = self.offer().map(Offer::mechanisms).unwrap_or_default();
        let has = |name: &str| mechanisms.iter().any(|own| own == name);
        if has("PLAIN") {
            self.challenges = Vec::new();
            self.say(Step::Auth, &format!("AUTH PLAIN {}", plain(&login)))
        } else if has("LOGIN") {
            let line = |text: &str| format!("{}\r\n", STANDARD.encode(text)).into_bytes();
            self.challenges = vec![line(&login.user), line(login.password.reveal())];
            self.say(Step::Auth, "AUTH LOGIN")
        } else {
            self.leave(End::NotOffered, now);
            self.quit()
        }
    }

    /// The envelope at work, or the end.
    fn ask(&mut self) -> Action {
        match self.envelope() {
            Some(envelope) => {
                let line = format!("MAIL FROM:<{}>", envelope.sender);
                self.say(Step::Mail, &line)
            }
            None => self.quit(),
        }
    }

    /// One was accepted: no other is asked.
    fn settle(&mut self) -> Action {
        self.envelope = self.plan.envelopes.len();
        self.say(Step::Reset, "RSET")
    }

    fn envelope(&self) -> Option<&super::Envelope> {
        self.plan.envelopes.get(self.envelope)
    }

    fn quit(&mut self) -> Action {
        // Whoever has said 421 has closed already.
        let closing = matches!(self.marks.last(), Some(Mark { end: End::Said(said), .. }) if said.code == 421);
        if closing {
            return Action::Finish;
        }
        self.say(Step::Quit, "QUIT")
    }

    fn say(&mut self, step: Step, line: &str) -> Action {
        self.enter(step, Action::Send(format!("{line}\r\n").into_bytes()))
    }

    fn enter(&mut self, step: Step, action: Action) -> Action {
        self.step = step;
        action
    }

    /// The step is over; the next begins now.
    fn leave(&mut self, end: End, now: u64) {
        self.marks.push(Mark {
            step: self.step,
            ms: now.saturating_sub(self.since),
            end,
        });
        self.since = now;
    }

    /// The step is over, and so is the visit: nobody listens any more.
    fn give_up(&mut self, end: End, now: u64) -> Action {
        self.leave(end, now);
        Action::Finish
    }
}

/// The initial response of PLAIN (RFC 4616).
fn plain(login: &Login) -> String {
    STANDARD.encode(format!("\0{}\0{}", login.user, login.password.reveal()))
}
