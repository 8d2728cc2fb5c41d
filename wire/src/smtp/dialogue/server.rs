//! What the server says.

use super::{Capabilities, Dialogue, End, Intake, Leg, Millis, Shell, Why, words};
use crate::smtp::Count;
use crate::smtp::auth::Mechanisms;
use crate::smtp::command::Verb;
use crate::smtp::data::Scanner;
use crate::smtp::record::Outcome;
use crate::smtp::reply::Reply;
use crate::smtp::tape::{Entry, Kind};
use crate::smtp::verdict::{self, Fault};

impl Dialogue {
    /// Cuts replies out of what has come.
    pub(super) fn take_replies(&mut self, bytes: &[u8], now: Millis, shell: &mut dyn Shell) {
        if !self.has_server() {
            return;
        }
        let kept = std::mem::take(&mut self.replies);
        let joined;
        let input = if kept.is_empty() {
            bytes
        } else {
            joined = [&kept, bytes].concat();
            &joined
        };
        let mut at = 0;
        while self.has_server() && at < input.len() && !self.reply_is_early() {
            match Reply::first(&input[at..]) {
                Ok(Some(reply)) => {
                    at += reply.bytes.len();
                    self.server_since = now;
                    self.reply(&reply, now, shell);
                }
                Ok(None) => break,
                Err(_) => self.lose(Why::Nonsense, now, shell),
            }
        }
        if self.has_server() && at < input.len() {
            self.replies = input[at..].to_vec();
        }
    }

    /// A chunk is answered before it is sent: the reply waits, or a next one would be taken for its answer.
    pub(super) fn reply_is_early(&self) -> bool {
        self.leg == Leg::Up
            && self
                .work
                .as_ref()
                .is_some_and(|work| work.chunk_open && work.tape.is_drained())
    }

    fn reply(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        self.server_has_left = matches!(reply.code, 221 | 421);
        match self.leg {
            Leg::Greeting if reply.code == 220 => self.server_greeted(now, shell),
            Leg::Asking if reply.class() == 2 => self.tell_names(reply, now, shell),
            Leg::Naming if reply.class() == 2 => self.next_name(shell),
            Leg::Hello if reply.class() == 2 => self.hello_again(reply, now, shell),
            Leg::Login => self.login_repeated(reply, now, shell),
            Leg::Asking | Leg::Naming if reply.code != 421 => self.leave_untold(now, shell),
            Leg::Greeting | Leg::Asking | Leg::Naming | Leg::Hello => {
                self.lose(Why::Leaving, now, shell);
            }
            Leg::Up => self.answer(reply, now, shell),
            Leg::None | Leg::Seeking => {}
        }
        self.advance(now, shell);
        self.note_caught_up(now, shell);
    }

    fn server_greeted(&mut self, now: Millis, shell: &mut dyn Shell) {
        if !self.greeted {
            self.greeted = true;
            self.client_since = now;
            shell.to_client(words::banner(&self.settings.name).as_bytes());
        }
        if shell.reach().xclient {
            self.ask_for_names(shell);
        } else {
            self.say_hello(shell);
        }
    }

    /// The client's EHLO, where it has said one.
    pub(super) fn say_hello(&mut self, shell: &mut dyn Shell) {
        match &self.hello {
            Some(hello) => {
                shell.to_server(hello);
                self.leg = Leg::Hello;
            }
            None => {
                self.naming = None;
                self.leg = Leg::Up;
            }
        }
    }

    /// A server that takes over has answered the client's EHLO.
    fn hello_again(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        self.learn(reply, shell);
        let vouched = self.has_vouched();
        let logged_in = self.is_logged_in();
        let keeps = self.promised.is_none_or(|mut promised| {
            if logged_in {
                promised.auth = Mechanisms::empty();
            }
            self.offer.keeps(promised)
        });
        let serves = self.work.as_ref().is_none_or(|work| {
            self.offer
                .serves(work.uses, work.declared.max(work.body.length()))
        });
        self.leg = Leg::Up;
        if keeps && serves {
            self.take_up_login(vouched, now, shell);
        } else {
            self.lose(Why::Unfit, now, shell);
        }
    }

    fn learn(&mut self, reply: &Reply<'_>, shell: &mut dyn Shell) {
        self.offer = Capabilities::of(reply);
        // What it tells those it knows, or after HELO, is not what others are told.
        let extended = |hello: &[u8]| Verb::of(hello) == Verb::Ehlo;
        let general = !self.is_logged_in() && self.hello.as_deref().is_some_and(extended);
        if let Some(server) = self.server.filter(|_| general) {
            shell.learned(server, self.offer);
        }
    }

    fn answer(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        if self.login.as_ref().is_some_and(|login| login.is_awaited()) {
            return self.login_answered(reply, now, shell);
        }
        let awaited = self
            .work
            .as_ref()
            .and_then(|work| Some((work.tape.awaited()?, work.tape.heard < work.tape.told)));
        match awaited {
            None => self.unasked(reply, now, shell),
            Some((entry, true)) => self.answered_again(entry, reply, now, shell),
            Some((entry, false)) => self.answered(entry, reply, now, shell),
        }
    }

    /// A server that takes over has answered what the client has an answer to already.
    fn answered_again(
        &mut self,
        entry: Entry,
        reply: &Reply<'_>,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        let same = match entry.kind {
            Kind::Data => reply.code == 354,
            _ => reply.class() == 2,
        };
        if same {
            self.work().tape.hear();
        } else if reply.code == 421 {
            self.lose(Why::Leaving, now, shell);
        } else {
            self.spoil(words::TRY_AGAIN, now, shell);
        }
    }

    fn answered(&mut self, entry: Entry, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let fault = verdict::fault(entry.kind, reply);
        if let Some(fault) = fault
            && self.may_move_for(fault, entry.kind)
        {
            self.leave_for(fault, reply, now, shell);
            return;
        }
        self.pass(entry, reply, now, shell);
        if reply.code == 421 {
            self.finish(End::ServerLeft, now, shell);
        } else if entry.kind == Kind::Quit {
            self.finish(End::Quit, now, shell);
        }
    }

    /// The client hears it.
    pub(super) fn pass(
        &mut self,
        entry: Entry,
        reply: &Reply<'_>,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        match entry.kind {
            Kind::Hello(extended) if reply.class() == 2 => {
                self.welcome(entry, extended, reply, shell);
            }
            _ => shell.to_client(reply.bytes),
        }
        let class = reply.class();
        self.errors += u32::from(class == 5);
        shell.count(Count::Reply {
            class,
            phase: entry.kind.phase(),
        });
        self.client_since = now;
        let work = self.work();
        work.tape.hear();
        let yes = class == 2;
        match entry.kind {
            Kind::Mail if yes => {
                work.begin_record(entry);
                work.tape.tell(true);
            }
            Kind::Mail => {
                work.tape.tell(false);
                if work.record.is_none() {
                    work.begin_record(entry);
                    self.close_record(Some(reply.bytes), now, shell);
                }
            }
            Kind::Rcpt => {
                if let Some(record) = &mut work.record {
                    if yes {
                        record.accepted += 1;
                    } else {
                        record.refused += 1;
                        record.refused_code = reply.code;
                    }
                }
                work.tape.tell(yes);
            }
            Kind::Data => {
                work.tape.tell(reply.code == 354);
                if reply.code == 354 {
                    self.intake = Intake::Data(Scanner::default());
                    if let Some(record) = &mut self.work().record {
                        record.data_after = Some(now - record.began);
                    }
                }
            }
            Kind::Chunk(false) => {
                work.tape.tell(yes);
                work.spoiled |= !yes;
            }
            Kind::End | Kind::Chunk(true) => {
                work.tape.tell(false);
                self.close_record(Some(reply.bytes), now, shell);
                self.drop_work(shell);
                self.transactions += 1;
                self.idle_commands = 0;
            }
            Kind::Rset | Kind::Hello(_) if yes => {
                work.tape.tell(false);
                work.tape.void_answered();
                work.body.forget(shell);
                self.close_record(None, now, shell);
                self.forget_transaction();
            }
            _ => work.tape.tell(false),
        }
        self.note_answered();
        self.tidy(shell);
    }

    /// The reply to EHLO or HELO, as the client hears it.
    fn welcome(&mut self, entry: Entry, extended: bool, reply: &Reply<'_>, shell: &mut dyn Shell) {
        let line = self.work().tape.line(entry).into();
        self.hello = Some(line);
        if !extended {
            self.offer = Capabilities::default();
            self.promised = Some(Capabilities::default());
            let told = Capabilities::default().filter(reply, &self.settings.name, false);
            return shell.to_client(&told);
        }
        self.learn(reply, shell);
        let mut promised = self
            .common
            .map_or(self.offer, |common| common.common(self.offer));
        if !self.may_use_auth() {
            promised.auth = Mechanisms::empty();
        }
        self.promised = Some(promised);
        let starttls = self.offers_tls();
        shell.to_client(&promised.filter(reply, &self.settings.name, starttls));
    }

    /// Nobody has asked the server anything.
    fn unasked(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let leaving = verdict::fault(Kind::Other, reply) == Some(Fault::Leaving);
        if leaving {
            return self.lose(Why::Leaving, now, shell);
        }
        let body = self.is_in_body();
        if body && reply.class() >= 4 {
            // It has judged the message before its end.
            self.part_hard(shell);
            self.left = Why::Failback;
            self.work().verdict = Some(reply.bytes.into());
        } else if reply.code == 421 {
            self.say(reply.bytes, super::Phase::Other, shell);
            self.finish(End::ServerLeft, now, shell);
        } else {
            self.lose(Why::Nonsense, now, shell);
        }
    }

    /// Ends the transaction's record. `reply` decided it; without one it was given up.
    pub(super) fn close_record(
        &mut self,
        reply: Option<&[u8]>,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        let server = self.server;
        let login = self.login.as_ref().filter(|login| login.done);
        let login = login.and_then(|login| login.login());
        let cut = self.over == Some(End::ClientGone);
        let Some(work) = &mut self.work else { return };
        let Some(mut record) = work.record.take() else {
            return;
        };
        record.server = server;
        record.login = login.map(Into::into);
        record.size = work.body.length();
        record.outcome = if cut {
            Outcome::Cut
        } else {
            Outcome::Abandoned
        };
        if let Some(bytes) = reply
            && let Ok(Some(reply)) = Reply::first(bytes)
        {
            record.reply = reply.first_line().into();
            record.code = reply.code;
            record.reply_after = Some(now - record.began);
            record.outcome = match reply.class() {
                2 => Outcome::Delivered,
                _ if bytes == words::UNKNOWN => Outcome::Unknown,
                _ => Outcome::Refused,
            };
        }
        shell.record(record);
    }

    /// What a transaction has asked for is of no matter to the next.
    fn forget_transaction(&mut self) {
        if let Some(work) = &mut self.work {
            work.uses = crate::smtp::capabilities::Extension::empty();
            work.declared = 0;
            work.spoiled = false;
            work.body = crate::smtp::body::Body::default();
            work.body_sent = 0;
        }
    }

    /// Frees what an idle session does not need.
    pub(super) fn tidy(&mut self, shell: &mut dyn Shell) {
        let Some(work) = &mut self.work else { return };
        work.tape.trim();
        if work.tape.is_empty() && work.record.is_none() && work.verdict.is_none() {
            self.drop_work(shell);
        }
    }
}
