//! What the client says: its commands. Bodies are in `bodies.rs`.

use super::login::{LONGEST, is_auth};
use super::{Count, Dialogue, End, Intake, Leg, Millis, Phase, Shell, words};
use crate::smtp::command::{self, Chunk, Verb};
use crate::smtp::settings::BareNewline;
use crate::smtp::tape::{Kind, Span};
use memchr::{memchr, memchr2};

/// Commands that may be unanswered at once; a client that sends more has to wait.
const MAX_UNANSWERED: usize = 256;

impl Dialogue {
    /// Deals with as much of `input` as can be dealt with now; how much that was.
    pub(super) fn take(&mut self, input: &[u8], now: Millis, shell: &mut dyn Shell) -> usize {
        let mut at = 0;
        while self.over.is_none() && at < input.len() {
            let rest = &input[at..];
            let used = match self.intake {
                Intake::Command => self.take_command(rest, now, shell),
                Intake::LongLine => self.take_long_line(rest, shell),
                Intake::Response => self.take_response(rest, now, shell),
                Intake::Handshake => 0,
                Intake::Data(scanner) => self.take_data(scanner, rest, now, shell),
                Intake::Chunk { left, unwanted } => {
                    self.take_chunk(left, unwanted, rest, now, shell)
                }
            };
            if used == 0 {
                break;
            }
            at += used;
        }
        if self.over.is_some() { input.len() } else { at }
    }

    fn take_command(&mut self, input: &[u8], now: Millis, shell: &mut dyn Shell) -> usize {
        if !self.greeted || !self.may_push() {
            return 0;
        }
        let mut limit = self.settings.limits.line;
        if is_auth(input) {
            limit = limit.max(LONGEST);
        }
        let Some(end) = memchr(b'\n', &input[..input.len().min(limit)]) else {
            if input.len() >= limit && self.is_answered() {
                self.intake = Intake::LongLine;
                return input.len().min(limit);
            }
            return 0;
        };
        let line = &input[..=end];
        if self.command(line, input.len() > line.len(), now, shell) {
            line.len()
        } else {
            0
        }
    }

    fn take_long_line(&mut self, input: &[u8], shell: &mut dyn Shell) -> usize {
        let Some(end) = memchr(b'\n', input) else {
            return input.len();
        };
        self.intake = Intake::Command;
        self.say(words::LONG_LINE, Phase::Other, shell);
        end + 1
    }

    /// Whether the last command leaves room for one behind it.
    fn may_push(&self) -> bool {
        self.work.as_ref().is_none_or(|work| {
            let tape = &work.tape;
            tape.is_answered()
                || tape.last_kind().is_some_and(Kind::opens) && tape.unanswered() < MAX_UNANSWERED
        })
    }

    pub(super) fn is_answered(&self) -> bool {
        self.work
            .as_ref()
            .is_none_or(|work| work.tape.is_answered())
    }

    /// A command; `more`: and something behind it. `false`: its turn has not come.
    fn command(&mut self, line: &[u8], more: bool, now: Millis, shell: &mut dyn Shell) -> bool {
        let verb = Verb::of(line);
        let passes = matches!(
            verb,
            Verb::Mail | Verb::Rcpt | Verb::Rset | Verb::Data | Verb::Bdat
        );
        if !(passes && self.is_plain(line) && self.verdict().is_none() || self.is_answered()) {
            return false;
        }
        if self.errors >= self.settings.limits.errors {
            self.shut(
                &words::too_much(&self.settings.name, "errors"),
                End::Abuse,
                now,
                shell,
            );
            return true;
        }
        if !self.is_plain(line) {
            self.say(words::BAD_LINE, Phase::Other, shell);
            return true;
        }
        if !command::is_named(line) {
            self.say(words::NO_COMMAND, Phase::Other, shell);
            return true;
        }
        if verb != Verb::Quit
            && let Some(reply) = self.lost_login()
        {
            self.finish_saying(reply.as_bytes(), End::NoServer, now, shell);
            return true;
        }
        if self.verdict().is_some() && !self.command_after_verdict(verb, line, now, shell) {
            return true;
        }
        if let Some(refusal) = self.too_early(verb) {
            if !self.is_answered() {
                return false;
            }
            self.say(refusal, Phase::Other, shell);
            return true;
        }
        match verb {
            Verb::StartTls => self.start_tls(line, more, now, shell),
            Verb::Auth => self.start_login(line, now, shell),
            Verb::Refused => self.say(words::REFUSED, Phase::Other, shell),
            Verb::Foreign => {
                shell.count(Count::Abuse);
                self.finish_saying(words::FOREIGN, End::Abuse, now, shell);
            }
            Verb::Quit if self.leg != Leg::Up => {
                let goodbye = words::goodbye(&self.settings.name);
                self.finish_saying(goodbye.as_bytes(), End::Quit, now, shell);
            }
            Verb::Bdat => return self.begin_chunk(line, now, shell),
            Verb::Rcpt if !self.has_room_for(line) => {
                if !self.is_answered() {
                    return false;
                }
                self.say(words::RECIPIENTS, Phase::Rcpt, shell);
            }
            _ => return self.push_command(verb, line, now, shell),
        }
        true
    }

    fn push_command(
        &mut self,
        verb: Verb,
        line: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> bool {
        let kind = match verb {
            Verb::Ehlo => Kind::Hello(true),
            Verb::Helo => Kind::Hello(false),
            Verb::Mail => Kind::Mail,
            Verb::Rcpt => Kind::Rcpt,
            Verb::Data => Kind::Data,
            Verb::Rset => Kind::Rset,
            Verb::Quit => Kind::Quit,
            _ => Kind::Other,
        };
        if matches!(kind, Kind::Rset | Kind::Other | Kind::Hello(_)) {
            self.idle_commands += 1;
            if self.idle_commands > self.settings.limits.idle_commands {
                self.shut(
                    &words::too_much(&self.settings.name, "commands"),
                    End::Abuse,
                    now,
                    shell,
                );
                return true;
            }
        }
        if kind == Kind::Mail && self.transactions >= self.settings.limits.transactions {
            if !self.is_answered() {
                return false;
            }
            self.shut(
                &words::too_much(&self.settings.name, "messages"),
                End::Abuse,
                now,
                shell,
            );
            return true;
        }
        let work = self.work();
        match kind {
            Kind::Mail => {
                work.mail_at = now;
                work.uses |= command::extensions_used(line);
                work.declared = command::declared_size(line).unwrap_or(0);
            }
            Kind::Rcpt => work.uses |= command::extensions_used(line),
            _ => {}
        }
        match line.strip_suffix(b"\r\n") {
            Some(_) => work.tape.push(kind, line, Span::default()),
            None => {
                let line = [&line[..line.len() - 1], b"\r\n"].concat();
                work.tape.push(kind, &line, Span::default());
            }
        }
        self.go(now, shell);
        true
    }

    /// Something is to be sent: to the server there is, or to one that has to be found.
    pub(super) fn go(&mut self, now: Millis, shell: &mut dyn Shell) {
        if self.leg == Leg::None {
            self.seek(self.left, now);
        }
        self.advance(now, shell);
    }

    /// Whether the transaction has room for another recipient.
    fn has_room_for(&self, line: &[u8]) -> bool {
        let Some(work) = &self.work else { return true };
        let accepted = work.record.as_ref().map_or(0, |record| record.accepted);
        accepted.saturating_add(work.tape.unanswered() as u32) < self.settings.limits.recipients
            && work.tape.size() + line.len() <= self.settings.journal.envelope
    }

    pub(super) fn verdict(&self) -> Option<&[u8]> {
        self.work.as_ref()?.verdict.as_deref()
    }

    /// A command in a transaction that no server can have any more. Whether it is to be dealt with as any other.
    fn command_after_verdict(
        &mut self,
        verb: Verb,
        line: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> bool {
        let phase = match verb {
            Verb::Rcpt => Phase::Rcpt,
            Verb::Data => Phase::Data,
            Verb::Bdat => match Chunk::parse(command::arguments(line)) {
                Some(Chunk { size: 0, .. }) => Phase::End,
                Some(Chunk { size, .. }) => {
                    self.intake = Intake::Chunk {
                        left: size,
                        unwanted: true,
                    };
                    return false;
                }
                None => return true,
            },
            Verb::Mail | Verb::Rset | Verb::Ehlo | Verb::Helo | Verb::Quit => {
                self.close_record(None, now, shell);
                self.drop_work(shell);
                return true;
            }
            _ => return true,
        };
        if let Some(verdict) = self.verdict().map(<[u8]>::to_vec) {
            self.say(&verdict, phase, shell);
        }
        false
    }

    /// Whether a line has no NUL, and no CR or LF but at its end (LF alone will do, unless it is refused).
    pub(super) fn is_plain(&self, line: &[u8]) -> bool {
        let text = match line.strip_suffix(b"\r\n") {
            Some(text) => text,
            None if self.settings.bare_newline == BareNewline::Refuse => return false,
            None => &line[..line.len() - 1],
        };
        memchr2(b'\0', b'\r', text).is_none()
    }

    /// Says a last word in the proxy's own name.
    pub(super) fn shut(&mut self, reply: &str, end: End, now: Millis, shell: &mut dyn Shell) {
        if end == End::Abuse {
            shell.count(Count::Abuse);
        }
        self.finish_saying(reply.as_bytes(), end, now, shell);
    }

    pub(super) fn finish_saying(
        &mut self,
        reply: &[u8],
        end: End,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        self.say(reply, Phase::Other, shell);
        self.finish(end, now, shell);
    }
}
