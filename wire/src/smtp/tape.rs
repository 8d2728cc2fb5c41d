//! The journal's commands: what the client has said in this transaction, and how far the server has got with it.
//!
//! Three cursors run along one list of commands. On a server that had the session from its beginning `heard` equals
//! `told`; on one that took it over, the first two start at 0 again, and what it answers is kept from the client
//! until `heard` has reached `told`. So a replay is no mode of its own: it is the same list, read again.
//!
//! ```text
//!   MAIL   RCPT   RCPT   DATA
//!    |      |      |      '-- sent:  the next command to send
//!    |      |      '--------- told:  the next whose reply the client waits for
//!    |      '---------------- heard: the next whose reply is awaited from this server
//! ```

use super::shell::Phase;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Its line in the tape's bytes.
    begin: u32,
    end: u32,
    /// Of a chunk: where it lies in the body.
    pub(super) chunk: Span,
}

/// A part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// What a command is to a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// EHLO (`true`) or HELO, new on this tape. The one that counts is kept apart, beyond transactions.
    Hello(bool),
    Mail,
    Rcpt,
    Data,
    /// A chunk, and whether it is the last.
    Chunk(bool),
    /// The end of data.
    End,
    Rset,
    Quit,
    /// Answered, and nothing that another server would have to hear: refused, or without effect.
    Void,
    Other,
}

impl Kind {
    /// Whether others may be sent behind it before it is answered (RFC 2920, 3.1).
    pub(super) fn opens(self) -> bool {
        matches!(
            self,
            Self::Mail | Self::Rcpt | Self::Rset | Self::Chunk(false) | Self::Void
        )
    }

    /// Whether it may be sent while others are unanswered.
    fn joins(self) -> bool {
        self.opens() || matches!(self, Self::Data | Self::Chunk(true))
    }

    /// Whether its reply decides about the message.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::End | Self::Chunk(true))
    }

    pub(super) fn phase(self) -> Phase {
        match self {
            Self::Hello(_) => Phase::Hello,
            Self::Mail => Phase::Mail,
            Self::Rcpt => Phase::Rcpt,
            Self::Data => Phase::Data,
            Self::End | Self::Chunk(true) => Phase::End,
            Self::Chunk(false) => Phase::Chunk,
            Self::Rset | Self::Quit | Self::Void | Self::Other => Phase::Other,
        }
    }
}

/// The list and its cursors.
#[derive(Debug, Default)]
pub(super) struct Tape {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    pub(super) sent: usize,
    pub(super) heard: usize,
    pub(super) told: usize,
}

impl Tape {
    pub(super) fn push(&mut self, kind: Kind, line: &[u8], chunk: Span) {
        let begin = self.bytes.len() as u32;
        self.bytes.extend_from_slice(line);
        let end = self.bytes.len() as u32;
        self.entries.push(Entry {
            kind,
            begin,
            end,
            chunk,
        });
    }

    pub(super) fn get(&self, index: usize) -> Option<Entry> {
        self.entries.get(index).copied()
    }

    /// Whether a command of some kind is on it.
    pub(super) fn any(&self, wanted: impl Fn(Kind) -> bool) -> bool {
        self.entries.iter().any(|entry| wanted(entry.kind))
    }

    pub(super) fn last_kind(&self) -> Option<Kind> {
        self.last().map(|entry| entry.kind)
    }

    pub(super) fn last(&self) -> Option<Entry> {
        self.entries.last().copied()
    }

    /// What this server was sent last.
    pub(super) fn last_sent(&self) -> Option<Kind> {
        let last = self.sent.checked_sub(1)?;
        self.get(last).map(|entry| entry.kind)
    }

    pub(super) fn line(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.begin as usize..entry.end as usize]
    }

    /// Bytes of commands kept.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Whether every command is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.told == self.entries.len()
    }

    /// Commands whose reply the client waits for.
    pub(super) fn unanswered(&self) -> usize {
        self.entries.len() - self.told
    }

    /// What the commands without a reply are.
    pub(super) fn unanswered_phases(&self) -> Vec<Phase> {
        let unanswered = self.entries[self.told..].iter();
        unanswered.map(|entry| entry.kind.phase()).collect()
    }

    /// Whether a command of some kind has no reply yet.
    pub(super) fn any_unanswered(&self, wanted: impl Fn(Kind) -> bool) -> bool {
        self.entries[self.told..]
            .iter()
            .any(|entry| wanted(entry.kind))
    }

    /// Whether the next command to send is the last there is.
    pub(super) fn is_sending_last(&self) -> bool {
        self.sent + 1 == self.entries.len()
    }

    /// Whether this server has heard nothing that it has not answered.
    pub(super) fn is_drained(&self) -> bool {
        self.heard == self.sent
    }

    /// The command whose reply is next on this server.
    pub(super) fn awaited(&self) -> Option<Entry> {
        (self.heard < self.sent)
            .then(|| self.get(self.heard))
            .flatten()
    }

    /// Skips what needs no sending, and says what is to be sent now, if it may be.
    pub(super) fn due(&mut self, pipelining: bool) -> Option<Entry> {
        while self.get(self.sent)?.kind == Kind::Void && self.sent < self.told {
            if self.is_drained() {
                self.heard += 1;
            }
            self.sent += 1;
        }
        let next = self.get(self.sent)?;
        let before = self.sent.checked_sub(1).and_then(|at| self.get(at));
        let opened = pipelining && before.is_none_or(|entry| entry.kind.opens());
        // A server that takes over must have taken every recipient again before it gets a byte of the body.
        let body = matches!(next.kind, Kind::Data | Kind::Chunk(_));
        let behind = body && self.heard < self.told;
        let free = opened && next.kind.joins() && !behind;
        (free || self.is_drained()).then_some(next)
    }

    /// The awaited command was answered, and the client needs no word about it.
    pub(super) fn hear(&mut self) {
        self.heard += 1;
        while self.heard < self.sent
            && self.heard < self.told
            && self.get(self.heard).is_some_and(|e| e.kind == Kind::Void)
        {
            self.heard += 1;
        }
    }

    /// The command at `told` was answered to the client. One that another server need not hear becomes void.
    pub(super) fn tell(&mut self, keep: bool) {
        if !keep && let Some(entry) = self.entries.get_mut(self.told) {
            entry.kind = Kind::Void;
        }
        self.told += 1;
    }

    /// What was answered so far is of no matter to another server.
    pub(super) fn void_answered(&mut self) {
        let told = self.told;
        for entry in &mut self.entries[..told] {
            entry.kind = Kind::Void;
        }
    }

    /// Forgets answered commands at the end that no other server needs to hear.
    pub(super) fn trim(&mut self) {
        while self.is_answered()
            && let Some(last) = self.last()
            && last.kind == Kind::Void
        {
            self.entries.pop();
            self.bytes.truncate(last.begin as usize);
            self.told -= 1;
            self.sent = self.sent.min(self.told);
            self.heard = self.heard.min(self.told);
        }
    }

    /// Another server: everything is to be said again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.heard = 0;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
