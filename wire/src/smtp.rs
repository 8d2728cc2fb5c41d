//! SMTP as a proxy sees it that lets no session fail (RFC 5321): a dialogue that can be carried on with another
//! server.
//!
//! [`Dialogue`] is one session; it is told what arrives and what time it is, and says through a [`Shell`] what is to
//! be sent. What the client has said is on a tape until it is of no matter any more; when the server dies, or says
//! that it is leaving, another one hears the tape from the beginning, and its answers to what the client has an answer
//! to already are kept from it.
//!
//! What the session has promised is never taken back: a reply is passed on only when a server has given it.

mod auth;
mod body;
mod capabilities;
mod command;
mod data;
mod dialogue;
mod record;
mod reply;
mod settings;
mod shell;
mod submit;
mod tape;
mod upgrade;
mod verdict;
mod words;
mod work;
mod xclient;

pub use auth::Mechanisms;
pub use capabilities::{Capabilities, Extension};
pub use command::{Chunk, Verb, arguments, declared_size, extensions_used};
pub use data::{Scanned, Scanner};
pub use dialogue::Dialogue;
pub use record::{Move, Outcome, Record};
pub use reply::{MAX_REPLY, NotAReply, Reply, Status};
pub use settings::{Auth, BareNewline, JournalBounds, Limits, Security, Settings, Timeouts};
pub use shell::{
    Count, End, Login, Lost, Millis, Parting, Phase, Quest, Reach, ServerId, Shell, State, Why,
};
pub use submit::{Mail, Manner, Next, Submission};
pub use upgrade::{Progress, Refusal, Upgrade};
pub(crate) use xclient::Known;
pub use xclient::{Attributes, Origin};

#[cfg(test)]
mod tests;
