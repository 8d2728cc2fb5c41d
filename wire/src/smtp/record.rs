//! What is told of a transaction when it is over: the material of one log line.

use super::shell::{Millis, ServerId, State, Why};

/// A finished transaction. Bytes are as they were on the wire and may hold anything: the log quotes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The server that had it last.
    pub server: Option<ServerId>,
    /// What followed `MAIL`, without the line's end: `FROM:<a@b.example> SIZE=100`.
    pub mail: Box<[u8]>,
    /// The name the client has logged in with, where it is known.
    pub login: Option<Box<str>>,
    /// Recipients a server accepted.
    pub accepted: u32,
    /// Recipients a server refused, and the last code.
    pub refused: u32,
    /// The code of the last refusal of a recipient; 0: none.
    pub refused_code: u16,
    /// Bytes of the body as sent to the server, without the final dot.
    pub size: u64,
    /// The first line of the last reply that decided: to the end of data, else to what failed. Without its end.
    pub reply: Box<[u8]>,
    /// Its code; 0: there is none.
    pub code: u16,
    /// What became of it.
    pub outcome: Outcome,
    /// When MAIL came, on the caller's clock.
    pub began: Millis,
    /// Milliseconds from MAIL to DATA or the first BDAT; `None`: it did not get there. The next two likewise.
    pub data_after: Option<Millis>,
    /// From MAIL to the end of data.
    pub end_after: Option<Millis>,
    /// From MAIL to its reply.
    pub reply_after: Option<Millis>,
    /// The servers it had to leave.
    pub moves: Vec<Move>,
    /// Whether the journal could not hold it.
    pub unprotected: bool,
    /// Whether bare CR or LF were made right.
    pub normalised: bool,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A server said yes to its end.
    Delivered,
    /// A server, or the proxy in its place, said no.
    Refused,
    /// RSET, EHLO or QUIT before its end.
    Abandoned,
    /// The client went away before its end.
    Cut,
    /// Its end was written, and no answer came.
    Unknown,
}

/// A server that a transaction left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where the session was.
    pub state: State,
    /// Why.
    pub why: Why,
    /// From whom.
    pub from: ServerId,
    /// From the loss until another had caught up; `None`: none did.
    pub lost: Option<Millis>,
}

impl Record {
    pub(super) fn new(began: Millis) -> Self {
        Self {
            server: None,
            mail: Box::default(),
            login: None,
            accepted: 0,
            refused: 0,
            refused_code: 0,
            size: 0,
            reply: Box::default(),
            code: 0,
            outcome: Outcome::Abandoned,
            began,
            data_after: None,
            end_after: None,
            reply_after: None,
            moves: Vec::new(),
            unprotected: false,
            normalised: false,
        }
    }

    /// The server's name for the message, as its 250 tells it: `queued as <id>` (Postfix), `id=<id>` (Exim),
    /// `Message accepted for delivery` with an id before it (Sendmail, OpenSMTPD).
    pub fn queue_id(&self) -> Option<&str> {
        if self.outcome != Outcome::Delivered {
            return None;
        }
        let text = std::str::from_utf8(&self.reply).ok()?;
        let mut before = "";
        for word in text.split_ascii_whitespace().skip(1) {
            if let Some(id) = word.strip_prefix("id=") {
                return Some(id);
            }
            match (before, word) {
                ("as", id) if text.contains("queued as") => return Some(id),
                (id, "Message") if id.len() > 5 && !id.contains('.') => return Some(id),
                _ => before = word,
            }
        }
        None
    }
}
