//! TLS with the client: STARTTLS (RFC 3207), and what is refused until then.
//!
//! The legs are independent: what the server's leg has is the shell's business, before a session has a server.

use super::{Count, Dialogue, End, Intake, Millis, Phase, Shell, words};
use crate::smtp::command::{self, Verb};
use crate::smtp::settings::Security;

impl Dialogue {
    /// Whether the client's leg is to be encrypted now: when everything said is written, and nothing more was read. The
    /// outcome is told by [`Self::client_secured`] or [`Self::client_gone`].
    pub fn wants_client_tls(&self) -> bool {
        self.intake == Intake::Handshake && self.over.is_none()
    }

    /// TLS with the client stands. What it has said before is forgotten (RFC 3207, 4.2): anybody could have said it.
    pub fn client_secured(&mut self, now: Millis, shell: &mut dyn Shell) {
        if !self.wants_client_tls() {
            return;
        }
        self.intake = Intake::Command;
        self.secured = true;
        self.hello = None;
        self.promised = None;
        self.login = None;
        self.client_since = now;
        self.resume(now, shell);
    }

    /// Whether the client can still be offered STARTTLS.
    pub(super) fn offers_tls(&self) -> bool {
        !self.secured && matches!(self.settings.security, Security::StartTls { .. })
    }

    /// Whether it has to come first (`starttls required`).
    pub(super) fn needs_tls(&self) -> bool {
        !self.secured && self.settings.security == Security::StartTls { required: true }
    }

    /// What is said to a command whose time has not come.
    pub(super) fn too_early(&self, verb: Verb) -> Option<&'static [u8]> {
        let transfers = matches!(verb, Verb::Mail | Verb::Auth);
        let harmless = matches!(
            verb,
            Verb::Ehlo | Verb::Helo | Verb::StartTls | Verb::Rset | Verb::Quit | Verb::Noop
        );
        // Others have an answer of their own.
        let refused = matches!(verb, Verb::Refused | Verb::Foreign | Verb::Bdat);
        if self.needs_tls() && !harmless && !refused {
            return Some(words::TLS_FIRST);
        }
        // What was said in clear text counts no more.
        let forgotten = self.offered_tls() && self.secured && self.hello.is_none();
        (forgotten && transfers).then_some(words::HELLO_FIRST)
    }

    fn offered_tls(&self) -> bool {
        matches!(self.settings.security, Security::StartTls { .. })
    }

    /// STARTTLS. `more`: something came behind it, before it could be answered.
    pub(super) fn start_tls(
        &mut self,
        line: &[u8],
        more: bool,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        let in_mail = self.work.as_ref().is_some_and(|work| work.record.is_some());
        let refusal = if self.secured {
            words::TLS_ALREADY
        } else if !self.offered_tls() {
            words::REFUSED
        } else if !command::arguments(line).is_empty() {
            words::NO_PARAMETERS
        } else if self.is_logged_in() {
            // The server could not forget it.
            words::LOGGED_IN
        } else if in_mail {
            words::IN_MAIL
        } else if more {
            // Whoever put it there wants it to be taken for what is said within TLS (CVE-2011-0411).
            shell.count(Count::Injection);
            let reply = words::injected(&self.settings.name);
            return self.finish_saying(reply.as_bytes(), End::Injection, now, shell);
        } else {
            self.say(words::TLS_READY, Phase::Other, shell);
            self.drop_work(shell);
            self.intake = Intake::Handshake;
            return;
        };
        self.say(refusal, Phase::Other, shell);
    }

    /// The client does not get on with its handshake.
    pub(super) fn handshake_late(&mut self, now: Millis, shell: &mut dyn Shell) {
        self.finish(End::ClientTimeout, now, shell);
    }
}
