//! What the sessions of one frontend have in common.

use super::shell::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;

/// What TCP sends before it waits for the first acknowledgement (RFC 6928, 2).
const FIRST_FLIGHT: u64 = 14_600;

/// Shared by all sessions; it never changes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name in the banner and in the proxy's own replies (`smtp-name`).
    pub name: Box<str>,
    /// TLS with the client.
    pub security: Security,
    /// Where a client may log in (`option smtp-auth`).
    pub auth: Auth,
    /// Whether secrets are kept as long as their session, and another server may hear them (`option smtp-replay-auth`).
    pub replay_auth: bool,
    /// Whether a server of the backend takes a login on the proxy's word (`server ... xclient`).
    pub vouches: bool,
    /// What to do about a CR or LF that stands alone.
    pub bare_newline: BareNewline,
    /// Whether a message is given to another server when its server died after the end of data: the sender would,
    /// too, and both may deliver it (`option smtp-replay-after-data`).
    pub replay_after_data: bool,
    /// How long the end of data may wait for the server's TCP to acknowledge what went before it; `None`: not at
    /// all. A loss before that moment is provably no delivery.
    pub hold_back: Option<Millis>,
    /// Bytes of a message that leave in one flight with their end, so that it need not wait for them.
    pub flight: u64,
    /// How long a move may take until the client is told (with `timeout hold`, that much longer).
    pub budget: Millis,
    /// Bounds of what a client may do.
    pub limits: Limits,
    /// Bounds of the journal of one session.
    pub journal: JournalBounds,
    /// How long each phase may take.
    pub timeouts: Timeouts,
}

/// TLS with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// None.
    None,
    /// From the first byte.
    Implicit,
    /// When the client asks for it.
    StartTls {
        /// Nothing is transferred before that.
        required: bool,
    },
}

/// Where a client may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Nowhere: AUTH is not offered.
    Never,
    /// Within TLS.
    Secured,
    /// In clear text, too.
    Anywhere,
}

/// What to do about a CR or LF that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewline {
    /// LF becomes CRLF, CR becomes a blank; neither can end a message.
    Normalise,
    /// 550 5.5.2 at the end of the message, 500 5.5.2 for a command.
    Refuse,
}

/// Bounds of what a client may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a command line with its CRLF.
    pub line: usize,
    /// Refused or unknown commands of a session; then 421 4.7.0.
    pub errors: u32,
    /// Accepted recipients of a transaction; more get 452 4.5.3.
    pub recipients: u32,
    /// Messages of a session; then 421 4.7.0.
    pub transactions: u32,
    /// Commands between two messages that deliver nothing (NOOP, RSET, VRFY ...); then 421 4.7.0.
    pub idle_commands: u32,
}

/// Bounds of the journal of one session.
#[derive(Debug, Clone, Copy)]
pub struct JournalBounds {
    /// Bytes of a body kept in memory; beyond them it goes to the spool file.
    pub memory: usize,
    /// Bytes of a body at all; beyond them the session goes on unprotected.
    pub total: u64,
    /// Bytes of commands of one transaction.
    pub envelope: usize,
}

/// How long each phase may take; RFC 5321, 4.5.3.2. What the server may take until it answers, but for
/// `client` and `block`.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The client's next command (4.5.3.2.7).
    pub client: Millis,
    /// The client's handshake behind STARTTLS.
    pub handshake: Millis,
    /// The client's next bytes of a body (4.5.3.2.5).
    pub block: Millis,
    /// The rest of a greeting, EHLO, MAIL, RCPT and all that has no time of its own (4.5.3.2.1 to .3).
    pub command: Millis,
    /// DATA (4.5.3.2.4).
    pub data: Millis,
    /// The end of data (4.5.3.2.6).
    pub end: Millis,
}

impl Settings {
    /// Whether the end of a body of that length waits for the acknowledgement of what is before it. A short one leaves
    /// as a whole: a wait would narrow nothing, and a receiver may take 40 ms for its acknowledgement.
    pub(super) fn is_narrow(&self, length: u64) -> bool {
        self.hold_back.is_some() && length > self.flight
    }

    /// Everything by default, in this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            security: Security::None,
            auth: Auth::Secured,
            replay_auth: false,
            vouches: false,
            bare_newline: BareNewline::Normalise,
            replay_after_data: false,
            hold_back: Some(10),
            flight: FIRST_FLIGHT,
            budget: 30 * SECOND,
            limits: Limits::default(),
            journal: JournalBounds::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 4096,
            errors: 20,
            recipients: 10_000,
            transactions: 1000,
            idle_commands: 100,
        }
    }
}

impl Default for JournalBounds {
    fn default() -> Self {
        Self {
            memory: 256 * 1024,
            total: 64 * 1024 * 1024,
            envelope: 1024 * 1024,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            client: 5 * MINUTE,
            handshake: 5 * MINUTE,
            block: 3 * MINUTE,
            command: 5 * MINUTE,
            data: 2 * MINUTE,
            end: 10 * MINUTE,
        }
    }
}
