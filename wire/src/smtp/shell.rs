//! What a dialogue asks of the shell that does its I/O, and what it tells it.

use super::capabilities::Capabilities;
use super::record::Record;
use super::xclient::Origin;

/// Milliseconds of the caller's monotonic clock.
pub type Millis = u64;

/// Names a server of the backend; the shell chooses the numbers.
pub type ServerId = u32;

/// The shell's side of a session. Every method is called from within an input of the dialogue and must not
/// call back into it: what goes wrong inside (a write fails, say) is reported as an input of its own afterwards.
///
/// Bytes are handed out once and in order. The shell writes what the socket takes and queues the rest; while the queue
/// towards one side is not empty it stops reading from the other (see [`super::Dialogue::reads_client`]).
pub trait Shell {
    /// Bytes for the client.
    fn to_client(&mut self, bytes: &[u8]);

    /// Bytes for the server. Bodies are slices of the very input, so that they can go out without a copy; the shell
    /// may write at once or gather what one input brings.
    fn to_server(&mut self, bytes: &[u8]);

    /// The same, and what was kept of them until they went out is overwritten.
    fn secret_to_server(&mut self, bytes: &[u8]) {
        self.to_server(bytes);
    }

    /// The server's leg is given up, as `parting` says. [`Parting::Done`]: close it. [`Parting::Polite`]: write what
    /// is queued, then close without a reset. [`Parting::Hard`]: forget what is queued and close; what the server
    /// has is not a whole message.
    fn release_server(&mut self, parting: Parting);

    /// Whether the process-wide bound leaves room for `more` bytes of journal in memory; if not, the body goes to
    /// the spool file. The current use of a session is [`super::Dialogue::journal_bytes`]; the shell keeps the sum.
    fn permits(&mut self, more: usize) -> bool;

    /// Appends to the session's spool file (unlinked, made at the first call). `false`: a bound or the disk
    /// does not allow it; the session goes on unprotected.
    fn spool(&mut self, bytes: &[u8]) -> bool;

    /// Sends `length` bytes of the spool file from offset `at` to the server. At most 64 KiB are asked for at once; the
    /// next piece only after [`super::Dialogue::written`]. `false`: they cannot be read.
    fn unspool(&mut self, at: u64, length: usize) -> bool;

    /// Whether bytes for the server have been waiting since the last [`super::Dialogue::written`] or longer: it does
    /// not read. Asked only when a time is over, to tell a silent client from a stuck server.
    fn server_is_stuck(&mut self) -> bool;

    /// The spool file is not needed any more (this message is over); offsets start at 0 again.
    fn discard_spool(&mut self);

    /// How the server of the leg is reached. Asked when it has greeted.
    fn reach(&self) -> Reach;

    /// Whom the proxy speaks for; asked for a server that is told (XCLIENT).
    fn origin(&self) -> Origin;

    /// Whether a client may log in, or has failed too often: as seen from its address, and, when it has told one, by
    /// its name.
    fn may_log_in(&mut self, name: Option<&str>) -> bool;

    /// A server has said yes or no to a login.
    fn login(&mut self, login: &Login<'_>);

    /// What a server's reply to EHLO offered, for the snapshot of what all servers of the backend offer.
    fn learned(&mut self, server: ServerId, offer: Capabilities);

    /// A transaction has ended: one log line.
    fn record(&mut self, record: Box<Record>);

    /// Something to count.
    fn count(&mut self, what: Count);
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// It is told by XCLIENT who the client is, and hears nothing before.
    pub xclient: bool,
    /// Within TLS, and it has shown who it is: secrets of an earlier login may be sent to it.
    pub verified: bool,
}

/// The outcome of a login, as a log and a limit take it. Never a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// `PLAIN`, `LOGIN` ...
    pub mechanism: &'a str,
    /// The name that was told, where the mechanism tells one.
    pub name: Option<&'a str>,
    /// The server's code: 235, 535, 454 ...
    pub code: u16,
    /// The first line of its reply, without its end.
    pub reply: &'a [u8],
}

/// How a server is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// It has answered QUIT or said 421: nothing more will come, and nothing is queued for it.
    Done,
    /// A QUIT is the last thing queued for it; what it answers is of no matter.
    Polite,
    /// In the middle of something.
    Hard,
}

/// The states of a session as the replay matrix names them (docs/failover.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No server has greeted yet.
    S0,
    /// After the greeting.
    S1,
    /// After EHLO or HELO.
    S2,
    /// Logged in, and no message yet.
    S4,
    /// MAIL or RCPT given.
    S5,
    /// Inside DATA or BDAT, before its end.
    S6,
    /// The same, with a body that the journal does not hold.
    S6Unprotected,
    /// The end of data is written, its reply is missing.
    S7,
    /// The end of data was answered with a temporary failure.
    S8,
    /// Between two transactions.
    S9,
}

/// Why a server was left, or another is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The session has just begun.
    First,
    /// It closed the connection.
    Closed,
    /// The connection broke: reset, unreachable, an error.
    Reset,
    /// It did not answer in time.
    Silent,
    /// Health checks or an operator say that it is not to be relied on.
    Down,
    /// It said that it is leaving: 421, or a failure of its own.
    Leaving,
    /// It said that it has no room for more connections.
    Busy,
    /// What it offers is less than what was promised to the client.
    Unfit,
    /// What it said is no SMTP, or an answer nobody asked for.
    Nonsense,
    /// A better server is there and the session was between transactions.
    Failback,
}

/// How a server was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It ended its side.
    Closed,
    /// Reset, or any error.
    Reset,
    /// TCP gave up waiting.
    TimedOut,
}

/// Another server is wanted. The shell runs its race and answers with [`super::Dialogue::server_ready`] or
/// [`super::Dialogue::no_server`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quest<'a> {
    /// What became of the last one.
    pub why: Why,
    /// Servers that have failed this session just now: to be asked last, or not at all when `patient` is false.
    pub avoid: &'a [ServerId],
    /// Whether to hold the client until a server is back. If not, the client can hear an answer that a server gave,
    /// and nobody but an untried server is worth asking.
    pub patient: bool,
    /// When the dialogue gives up on its own.
    pub until: Millis,
}

/// How the session ended. What is queued for the client is still to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// QUIT, or the client closed between commands.
    Quit,
    /// The client went away in the middle.
    ClientGone,
    /// The client was silent for too long.
    ClientTimeout,
    /// The server's 421 was passed on.
    ServerLeft,
    /// There is no server.
    NoServer,
    /// The client has broken a limit or the protocol.
    Abuse,
    /// Something was said in clear text behind STARTTLS.
    Injection,
}

/// Where in the dialogue a reply stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// EHLO or HELO.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of data, or the last chunk.
    End,
    /// A chunk before the last.
    Chunk,
    /// RSET, NOOP, VRFY and everything else.
    Other,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A reply went to the client: its first digit, and what it answers.
    Reply {
        /// 2, 3, 4 or 5.
        class: u8,
        /// What it answers.
        phase: Phase,
    },
    /// Another server has taken over and is where its predecessor was.
    Moved {
        /// Where the session was.
        state: State,
        /// Why it left.
        why: Why,
        /// From the loss to the catching up.
        lost: Millis,
    },
    /// The client had to be told of a failure that a server's loss caused.
    NotMoved {
        /// Where the session was.
        state: State,
        /// Why it could not stay.
        why: Why,
    },
    /// A message outgrew the journal.
    Unprotected,
    /// A server died with a whole message, and nobody knows whether it took it.
    OutcomeUnknown,
    /// A message with bare CR or LF was made right.
    Normalised,
    /// The client spoke before the greeting.
    EarlyTalker,
    /// The client broke a limit or the protocol.
    Abuse,
    /// Something was said in clear text behind a client's STARTTLS.
    Injection,
    /// A server does not want to be told who the client is (XCLIENT).
    Untold,
}
