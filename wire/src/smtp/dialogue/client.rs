//! What the client says.

use super::{Count, Dialogue, End, Intake, Leg, Millis, Phase, Shell, Why, words};
use crate::smtp::command::{self, Chunk, Verb};
use crate::smtp::data::{Scanned, Scanner};
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
        let limit = self.settings.limits.line;
        let Some(end) = memchr(b'\n', &input[..input.len().min(limit)]) else {
            if input.len() >= limit && self.is_answered() {
                self.intake = Intake::LongLine;
                return input.len().min(limit);
            }
            return 0;
        };
        let line = &input[..=end];
        if self.command(line, now, shell) {
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

    fn is_answered(&self) -> bool {
        self.work
            .as_ref()
            .is_none_or(|work| work.tape.is_answered())
    }

    /// A command. `false`: its turn has not come.
    fn command(&mut self, line: &[u8], now: Millis, shell: &mut dyn Shell) -> bool {
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
        if self.verdict().is_some() && !self.command_after_verdict(verb, line, now, shell) {
            return true;
        }
        match verb {
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
    fn is_plain(&self, line: &[u8]) -> bool {
        let text = match line.strip_suffix(b"\r\n") {
            Some(text) => text,
            None if self.settings.bare_newline == BareNewline::Refuse => return false,
            None => &line[..line.len() - 1],
        };
        memchr2(b'\0', b'\r', text).is_none()
    }

    fn take_data(
        &mut self,
        mut scanner: Scanner,
        input: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> usize {
        if self.verdict().is_some() {
            return self.sink_data(scanner, input, now, shell);
        }
        let settings = std::sync::Arc::clone(&self.settings);
        let up = self.leg == Leg::Up;
        let work = self.work();
        if !up || !work.is_live() {
            return 0;
        }
        let mut fits = true;
        let scanned = scanner.scan(input, &mut |piece| {
            fits &= work.take_body(piece, 0, &settings, shell);
        });
        if scanner.found_bare() && self.bare_found(shell) {
            self.intake = Intake::Data(scanner);
            return match scanned {
                Scanned::More => input.len(),
                Scanned::Ended { next, .. } => {
                    self.end_sunk_body(now, shell);
                    next
                }
            };
        }
        let used = match scanned {
            Scanned::More => {
                self.intake = Intake::Data(scanner);
                input.len()
            }
            Scanned::Ended { last, next } => {
                let work = self.work();
                let whole = &input[last.start..next];
                let piece = &input[last];
                let narrow = settings.hold_back.is_some();
                // In one piece with what goes before it, where nothing has to wait.
                let together = !narrow && whole.len() == piece.len() + 3;
                if together {
                    fits &= work.body.append(piece, &settings.journal, shell);
                    work.body_sent += piece.len() as u64;
                    shell.to_server(whole);
                } else if !piece.is_empty() {
                    fits &= work.take_body(piece, 0, &settings, shell);
                }
                work.tape.push(Kind::End, b".\r\n", Span::default());
                work.tape.sent += usize::from(together);
                self.body_ended(now);
                self.advance(now, shell);
                next
            }
        };
        if !fits {
            self.count_unprotected(shell);
        }
        used
    }

    fn count_unprotected(&mut self, shell: &mut dyn Shell) {
        shell.count(Count::Unprotected);
        if let Some(record) = &mut self.work().record {
            record.unprotected = true;
        }
    }

    fn body_ended(&mut self, now: Millis) {
        self.intake = Intake::Command;
        self.server_since = now;
        if let Some(record) = &mut self.work().record {
            record.end_after = Some(now - record.began);
        }
    }

    /// A bare CR or LF was in the body. Whether that is the end of it.
    fn bare_found(&mut self, shell: &mut dyn Shell) -> bool {
        if let Some(record) = &mut self.work().record
            && !record.normalised
        {
            record.normalised = true;
            shell.count(Count::Normalised);
        }
        if self.settings.bare_newline == BareNewline::Normalise {
            return false;
        }
        self.part_hard(shell);
        self.left = Why::Failback;
        self.work().verdict = Some(words::BARE_BODY.into());
        true
    }

    fn sink_data(
        &mut self,
        mut scanner: Scanner,
        input: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> usize {
        match scanner.scan(input, &mut |_| {}) {
            Scanned::More => {
                self.intake = Intake::Data(scanner);
                input.len()
            }
            Scanned::Ended { next, .. } => {
                self.end_sunk_body(now, shell);
                next
            }
        }
    }

    /// The end of a body that nobody took: the client hears why.
    pub(super) fn end_sunk_body(&mut self, now: Millis, shell: &mut dyn Shell) {
        self.intake = Intake::Command;
        let Some(verdict) = self.work().verdict.take() else {
            return;
        };
        self.close_record(Some(&verdict), now, shell);
        self.drop_work(shell);
        if verdict.starts_with(b"421") {
            self.finish_saying(&verdict, End::NoServer, now, shell);
        } else {
            self.say(&verdict, Phase::End, shell);
        }
    }

    fn begin_chunk(&mut self, line: &[u8], now: Millis, shell: &mut dyn Shell) -> bool {
        let Some(chunk) = Chunk::parse(command::arguments(line)) else {
            if !self.is_answered() {
                return false;
            }
            // How much of what follows is body cannot be known.
            shell.count(Count::Abuse);
            self.say(words::BDAT_SYNTAX, Phase::Chunk, shell);
            self.shut(
                &words::too_much(&self.settings.name, "errors"),
                End::Abuse,
                now,
                shell,
            );
            return true;
        };
        let offered = self.promised.is_some_and(|promised| {
            promised
                .extensions
                .contains(crate::smtp::capabilities::Extension::CHUNKING)
        });
        if !offered {
            if !self.is_answered() {
                return false;
            }
            self.intake = Intake::Chunk {
                left: chunk.size,
                unwanted: true,
            };
            self.work();
            if chunk.size == 0 {
                self.end_unwanted_chunk(now, shell);
            }
            return true;
        }
        let work = self.work();
        let begin = work.body.length();
        let span = Span {
            begin,
            end: begin + chunk.size,
        };
        work.uses |= crate::smtp::capabilities::Extension::CHUNKING;
        work.tape
            .push(Kind::Chunk(chunk.last), chunk.line().as_bytes(), span);
        if let Some(record) = &mut work.record
            && record.data_after.is_none()
        {
            record.data_after = Some(now - record.began);
        }
        if chunk.size > 0 {
            self.intake = Intake::Chunk {
                left: chunk.size,
                unwanted: false,
            };
        } else if chunk.last {
            self.body_ended(now);
        }
        self.go(now, shell);
        true
    }

    fn take_chunk(
        &mut self,
        left: u64,
        unwanted: bool,
        input: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> usize {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let left = left - length as u64;
        let done = left == 0;
        if unwanted || self.verdict().is_some() {
            self.intake = Intake::Chunk {
                left,
                unwanted: true,
            };
            if done {
                self.end_unwanted_chunk(now, shell);
            }
            return length;
        }
        let settings = std::sync::Arc::clone(&self.settings);
        let up = self.leg == Leg::Up;
        let work = self.work();
        let Some(entry) = work.live_chunk().filter(|_| up) else {
            return 0;
        };
        let last = entry.kind.is_end();
        let hold = usize::from(done && last && work.holds_back(&settings));
        let fits = work.take_body(&input[..length], hold, &settings, shell);
        self.intake = Intake::Chunk { left, unwanted };
        if done {
            if last {
                self.body_ended(now);
            }
            self.intake = Intake::Command;
            self.server_since = now;
        }
        if !fits {
            self.count_unprotected(shell);
        }
        self.advance(now, shell);
        length
    }

    fn end_unwanted_chunk(&mut self, now: Millis, shell: &mut dyn Shell) {
        self.intake = Intake::Command;
        match self.verdict().map(<[u8]>::to_vec) {
            None => {
                self.say(words::NOT_OFFERED, Phase::Chunk, shell);
                self.tidy(shell);
            }
            Some(verdict) if verdict.starts_with(b"421") => {
                self.finish_saying(&verdict, End::NoServer, now, shell);
            }
            Some(verdict) => {
                self.close_record(Some(&verdict), now, shell);
                self.say(&verdict, Phase::Chunk, shell);
            }
        }
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
