//! What the client says behind DATA and BDAT: where it ends, to whom it goes, and that it is kept.

use std::sync::Arc;

use super::{Count, Dialogue, End, Intake, Leg, Millis, Phase, Shell, Why, words};
use crate::smtp::Extension;
use crate::smtp::command::{self, Chunk};
use crate::smtp::data::{Scanned, Scanner};
use crate::smtp::settings::BareNewline;
use crate::smtp::tape::{Kind, Span};

impl Dialogue {
    pub(super) fn take_data(
        &mut self,
        mut scanner: Scanner,
        input: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> usize {
        if self.verdict().is_some() {
            return self.sink_data(scanner, input, now, shell);
        }
        let settings = Arc::clone(&self.settings);
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
                let narrow = settings.is_narrow(work.body.length() + piece.len() as u64);
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

    pub(super) fn begin_chunk(&mut self, line: &[u8], now: Millis, shell: &mut dyn Shell) -> bool {
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
        let offered = self
            .promised
            .is_some_and(|promised| promised.extensions.contains(Extension::CHUNKING))
            && !self.needs_tls();
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
        work.uses |= Extension::CHUNKING;
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

    pub(super) fn take_chunk(
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
        let settings = Arc::clone(&self.settings);
        let up = self.leg == Leg::Up;
        let work = self.work();
        let Some(entry) = work.live_chunk().filter(|_| up) else {
            return 0;
        };
        let last = entry.kind.is_end();
        let hold = usize::from(done && last && work.holds_back(entry.chunk.end, &settings));
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
                let refusal = match self.needs_tls() {
                    true => words::TLS_FIRST,
                    false => words::NOT_OFFERED,
                };
                self.say(refusal, Phase::Chunk, shell);
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
}
