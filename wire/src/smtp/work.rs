//! A transaction at work: its journal, and what is to be sent to the server next.

use super::body::Body;
use super::capabilities::Extension;
use super::command;
use super::record::{Move, Record};
use super::settings::Settings;
use super::shell::{Millis, Shell, State};
use super::tape::{Entry, Kind, Tape};

/// What there is between a command and the moment nothing of it matters any more. An idle session has none.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) tape: Tape,
    pub(super) body: Body,
    /// Bytes of the body this server was sent.
    pub(super) body_sent: u64,
    /// The chunk at the tape's `sent` has had its line sent, but not all of its bytes.
    pub(super) chunk_open: bool,
    /// There is one from the moment MAIL was accepted.
    pub(super) record: Option<Box<Record>>,
    /// Servers that were left before that.
    pub(super) moved: Vec<Move>,
    pub(super) mail_at: Millis,
    /// What the transaction asks of a server.
    pub(super) uses: Extension,
    pub(super) declared: u64,
    pub(super) ack: Ack,
    /// A piece of the journal is on its way; the next follows when it is written.
    pub(super) waits_written: bool,
    /// No server can have this transaction any more: what the client hears until it begins anew.
    pub(super) verdict: Option<Box<[u8]>>,
    /// A chunk was refused: the message is not what the client meant, and no other server may get it.
    pub(super) spoiled: bool,
}

/// Whether the server's TCP has acknowledged what goes before the end of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ack {
    #[default]
    NotAsked,
    Asked(Millis),
    Done,
}

impl Work {
    /// Whether the end of a body of that length waits: for the answers to what goes before it, and for its
    /// acknowledgement by TCP. A server that dies before that moment has not got the message.
    pub(super) fn holds_back(&self, length: u64, settings: &Settings) -> bool {
        let acknowledged = !settings.is_narrow(length) || self.ack == Ack::Done;
        self.body.is_whole() && !(self.tape.is_drained() && acknowledged)
    }

    /// MAIL is answered: from here on there is something to tell.
    pub(super) fn begin_record(&mut self, mail: Entry) {
        if self.record.is_none() {
            let mut record = Record::new(self.mail_at);
            record.mail = command::arguments(self.tape.line(mail)).into();
            record.moves = std::mem::take(&mut self.moved);
            self.record = Some(Box::new(record));
        }
    }

    /// Another server: from the beginning.
    pub(super) fn rewind(&mut self) {
        self.tape.rewind();
        self.body_sent = 0;
        self.chunk_open = false;
        self.waits_written = false;
        self.ack = Ack::NotAsked;
    }

    /// Whether this server is where the client is: it has answered all that the client knows of, and has the
    /// body as far as it is here.
    pub(super) fn is_caught_up(&self) -> bool {
        self.tape.heard >= self.tape.told && self.body_sent == self.body.length()
    }

    /// Whether this server would take what it is sent next for a command: not for a part of a message whose end waits.
    pub(super) fn server_listens(&self) -> bool {
        let within = self.tape.last_sent() == Some(Kind::Data) || self.chunk_open;
        self.tape.is_drained() && !within
    }

    /// Whether what the client sends of a body can go to the server at once.
    pub(super) fn is_live(&self) -> bool {
        self.is_caught_up() && self.tape.is_drained() && !self.waits_written
    }

    /// The chunk that the client is sending, when its bytes can go to the server at once.
    pub(super) fn live_chunk(&self) -> Option<Entry> {
        let open = self.chunk_open && !self.waits_written && self.tape.is_sending_last();
        let live = open && self.body_sent == self.body.length();
        self.tape.last().filter(|_| live)
    }

    /// Whether the server is getting what of the body another one had before it.
    pub(super) fn is_resending_body(&self) -> bool {
        self.waits_written && self.body_sent < self.body.length()
    }

    /// Whether the server has had the end of data, and the client waits for the answer.
    pub(super) fn end_is_out(&self) -> bool {
        let tape = &self.tape;
        (tape.told..tape.sent).any(|at| tape.get(at).is_some_and(|entry| entry.kind.is_end()))
    }

    /// Where in the matrix a transaction is; `None`: there is none.
    pub(super) fn state(&self) -> Option<State> {
        if self.end_is_out() {
            return Some(State::S7);
        }
        let body = self
            .tape
            .any(|kind| matches!(kind, Kind::Data | Kind::Chunk(_) | Kind::End));
        if body && !self.body.is_whole() {
            return Some(State::S6Unprotected);
        }
        if body && self.record.is_some() {
            return Some(State::S6);
        }
        self.record.is_some().then_some(State::S5)
    }

    /// Sends what may be sent now. Whether anything was.
    pub(super) fn advance(
        &mut self,
        pipelining: bool,
        settings: &Settings,
        now: Millis,
        shell: &mut dyn Shell,
    ) -> Result<bool, Unreadable> {
        let mut sent = false;
        while !self.waits_written {
            let step = if self.chunk_open {
                self.send_chunk(settings, now, shell)?
            } else {
                self.send_next(pipelining, settings, now, shell)?
            };
            if !step {
                break;
            }
            sent = true;
        }
        Ok(sent)
    }

    fn send_next(
        &mut self,
        pipelining: bool,
        settings: &Settings,
        now: Millis,
        shell: &mut dyn Shell,
    ) -> Result<bool, Unreadable> {
        let Some(entry) = self.tape.due(pipelining) else {
            // Within the body of DATA: what the last server had, this one gets.
            let behind = self.tape.is_drained() && self.tape.last_kind() == Some(Kind::Data);
            return if behind {
                self.send_body(self.body.length(), shell)
            } else {
                Ok(false)
            };
        };
        match entry.kind {
            Kind::End => {
                if self.body_sent < self.body.length() {
                    return self.send_body(self.body.length(), shell);
                }
                if self.must_wait(self.body.length(), settings, now) {
                    return Ok(false);
                }
            }
            Kind::Chunk(last) => {
                let empty = entry.chunk.begin == entry.chunk.end;
                // Before an empty one there is nothing that an answer would not acknowledge.
                if last && empty && !self.tape.is_drained() {
                    return Ok(false);
                }
                shell.to_server(self.tape.line(entry));
                if empty {
                    self.tape.sent += 1;
                } else {
                    self.chunk_open = true;
                }
                return Ok(true);
            }
            _ => {}
        }
        shell.to_server(self.tape.line(entry));
        self.tape.sent += 1;
        Ok(true)
    }

    /// The bytes of the chunk whose line was sent, as far as they are here. The very last waits for its moment.
    fn send_chunk(
        &mut self,
        settings: &Settings,
        now: Millis,
        shell: &mut dyn Shell,
    ) -> Result<bool, Unreadable> {
        let Some(entry) = self.tape.get(self.tape.sent) else {
            return Ok(false);
        };
        let end = entry.chunk.end;
        let held = entry.kind.is_end() && self.holds_back(end, settings);
        let here = self.body.length().min(if held { end - 1 } else { end });
        let mut sent = false;
        if self.body_sent < here {
            sent = self.send_body(here, shell)?;
        } else if held && self.body.length() == end && self.must_wait(end, settings, now) {
            return Ok(false);
        }
        if self.body_sent == end {
            self.chunk_open = false;
            self.tape.sent += 1;
            sent = true;
        }
        Ok(sent)
    }

    fn must_wait(&mut self, length: u64, settings: &Settings, now: Millis) -> bool {
        let wait = self.holds_back(length, settings);
        if wait && self.ack == Ack::NotAsked && self.tape.is_drained() {
            self.ack = Ack::Asked(now);
        }
        wait
    }

    fn send_body(&mut self, to: u64, shell: &mut dyn Shell) -> Result<bool, Unreadable> {
        if self.body_sent >= to {
            return Ok(false);
        }
        self.body_sent = self
            .body
            .send(self.body_sent, to, shell)
            .ok_or(Unreadable)?;
        self.waits_written = true;
        Ok(true)
    }

    /// Takes a piece of the body and, as this server is not behind, passes it on. `false`: the journal is full.
    pub(super) fn take_body(
        &mut self,
        piece: &[u8],
        hold: usize,
        settings: &Settings,
        shell: &mut dyn Shell,
    ) -> bool {
        let fits = self.body.append(piece, &settings.journal, shell);
        let hold = if self.body.is_whole() { hold } else { 0 };
        let now = &piece[..piece.len() - hold];
        if !now.is_empty() {
            shell.to_server(now);
        }
        self.body_sent += now.len() as u64;
        fits
    }
}

/// The journal could not be read back.
#[derive(Debug)]
pub(super) struct Unreadable;
