//! What a client hears that gets no server: where the protocol is known to be SMTP, a reply and a clean close.

use std::sync::OnceLock;

use rustix::net::{SendFlags, Shutdown, send, shutdown};

use crate::end::{Cause, Ending};
use crate::prelude::Client;
use crate::session::Session;

/// A search that found nobody.
#[derive(Debug)]
pub(super) struct Vain {
    pub(super) ending: Ending,
    /// The greeting of the last server that was reached and did not want the session.
    pub(super) words: Option<Vec<u8>>,
}

impl From<Ending> for Vain {
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            words: None,
        }
    }
}

/// Says goodbye to a client that waits for a greeting, unless it is the client itself that left, or an
/// operator who ended the session.
pub(super) fn say(session: &mut Session, client: &Client, vain: &Vain) {
    let gated = session.back().is_some_and(|back| back.greeting.is_some());
    let ours = matches!(vain.ending.cause, Cause::Server | Cause::ServerTimeout);
    if !gated || !ours {
        return;
    }
    let words = vain.words.as_deref().unwrap_or_else(|| unavailable());
    let sent = send(&client.socket, words, SendFlags::NOSIGNAL).unwrap_or(0);
    session.bytes_out += sent as u64;
    // The end of the stream first: a close alone could take the words back.
    let _ = shutdown(&client.socket, Shutdown::Write);
}

/// `421 4.3.2 <name> Service temporarily unavailable` (RFC 5321, 4.2.2; RFC 3463, 3.4).
fn unavailable() -> &'static [u8] {
    static LINE: OnceLock<Vec<u8>> = OnceLock::new();
    LINE.get_or_init(|| {
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy().into_owned();
        format!("421 4.3.2 {name} Service temporarily unavailable\r\n").into_bytes()
    })
}
