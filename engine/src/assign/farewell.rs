//! What a client hears that gets no server: where the protocol is known to be SMTP, a reply and a clean close; where
//! it is TLS that passes through, an alert.

use config::model::Back;

use crate::end::{Cause, Ending, Phase};
use crate::order::SessionId;
use crate::prelude::Client;
use crate::session::Session;
use crate::worker::Worker;

/// The default of `unavailable-reply` (RFC 5321, 4.2.2; RFC 3463, 3.4).
const REPLY: &str = "421 4.3.2 %H Service temporarily unavailable";

/// A search that found nobody.
#[derive(Debug)]
pub(crate) struct Vain {
    pub(crate) ending: Ending,
    /// The greeting of the last server that was reached and did not want the session.
    pub(super) words: Option<Vec<u8>>,
}

impl Vain {
    /// What the client hears.
    pub(crate) fn reply(&self, worker: &Worker, session: &Session, back: &Back) -> Vec<u8> {
        if let Some(words) = &self.words {
            return words.clone();
        }
        let text = back.unavailable_reply.as_deref().unwrap_or(REPLY);
        let id = SessionId::new(worker.id, session.id);
        let text = text.replace("%ID", &id.to_string());
        let mut reply = text.replace("%H", session.ingress.name()).into_bytes();
        reply.extend_from_slice(b"\r\n");
        reply
    }

    /// Whether a server that comes back could have helped: neither the client nor an operator ended it.
    pub(super) fn is_for_want_of_a_server(&self) -> bool {
        matches!(self.ending.cause, Cause::Server | Cause::ServerTimeout)
            && self.ending.phase == Phase::Connect
    }
}

impl From<Ending> for Vain {
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            words: None,
        }
    }
}

/// What a client hears whose hello no server answered: an alert, fatal, `internal_error` (RFC 8446, 6.2).
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// Says goodbye to a client that waits for a greeting or for the answer to its hello, unless it is the client itself
/// that left, or an operator who ended the session.
pub(super) fn say(worker: &Worker, session: &mut Session, client: &Client, vain: &Vain) {
    let ours = matches!(vain.ending.cause, Cause::Server | Cause::ServerTimeout);
    let Some(back) = session.back().filter(|_| session.is_gated() && ours) else {
        return;
    };
    let reply = match session.hello {
        true => ALERT.to_vec(),
        false => vain.reply(worker, session, back),
    };
    let sent = client.say(&reply);
    session.bytes_out += sent as u64;
    session.turned_away = true;
    if let Some(back) = session.farm() {
        back.totals.at(worker.id).unavailable.add(1);
    }
    // The end of the stream first: a close alone could take the words back.
    client.say_goodbye();
}
