//! AUTH (RFC 4954): what the client says to log in, and how a server that takes over gets to know of it.
//!
//! The proxy passes both sides' lines on and judges none. It is carried over to another server in one of two ways: the
//! proxy vouches for the client (XCLIENT, `naming.rs`), or the client's own lines are said again, where the operator
//! has allowed that they are kept. Otherwise the client hears 421 and begins anew; 535 is said by servers only, or
//! it would ask its user for a password that was right.

use super::{Count, Dialogue, End, Intake, Leg, Millis, Phase, Shell, Why, words};
use crate::smtp::auth::{Exchange, Mechanisms};
use crate::smtp::command;
use crate::smtp::reply::Reply;
use crate::smtp::settings::{Auth, Security};
use crate::smtp::shell::Login;
use memchr::memchr;

/// RFC 4954, 4: a line of the exchange has at most so many octets with its CRLF.
pub(super) const LONGEST: usize = 12_288;

impl Dialogue {
    /// Whether what the client says now is, or holds, a secret: the shell overwrites it when it has been dealt with.
    pub fn hears_secrets(&self) -> bool {
        // The beginning of a line that is not whole yet waits there.
        is_auth(&self.inbox) || self.is_logging_in()
    }

    /// The same when that is what it says next.
    pub fn would_hear_a_secret(&self, bytes: &[u8]) -> bool {
        is_auth(bytes) || self.hears_secrets()
    }

    pub(super) fn is_logging_in(&self) -> bool {
        self.login.as_ref().is_some_and(|login| !login.done)
    }

    /// Whether AUTH may be used on this leg, as it is now.
    pub(super) fn may_use_auth(&self) -> bool {
        match self.settings.auth {
            Auth::Never => false,
            Auth::Secured => self.secured,
            Auth::Anywhere => true,
        }
    }

    /// Whether the client waits for an answer to what it has said to log in.
    pub(super) fn waits_for_login(&self) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| login.is_waited_for())
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.login.as_ref().is_some_and(|login| login.done)
    }

    /// Whether another server can have the session without the client's help.
    pub(super) fn carries_login(&self) -> bool {
        self.login.as_ref().is_none_or(|login| {
            let vouched = login.done && self.settings.vouches && login.account().is_some();
            vouched || login.is_replayable()
        })
    }

    /// AUTH.
    pub(super) fn start_login(&mut self, line: &[u8], now: Millis, shell: &mut dyn Shell) {
        let name = command::arguments(line);
        let end = memchr(b' ', name).unwrap_or(name.len());
        let mechanism = Mechanisms::named(&name[..end]);
        let promised = self.promised.map_or(Mechanisms::empty(), |all| all.auth);
        let in_mail = self.work.is_some();
        let refusal = if self.settings.auth == Auth::Never {
            words::REFUSED
        } else if !self.may_use_auth() {
            match self.settings.security {
                Security::StartTls { .. } => words::TLS_FOR_AUTH,
                _ => words::REFUSED,
            }
        } else if self.hello.is_none() {
            words::HELLO_FIRST
        } else if self.is_logged_in() {
            words::LOGGED_IN
        } else if in_mail {
            words::IN_MAIL
        } else if promised.is_empty() {
            words::REFUSED
        } else if mechanism.is_empty() || !promised.contains(mechanism) {
            words::NO_MECHANISM
        } else {
            self.intake = Intake::Response;
            self.login = Some(Box::new(Exchange::new(mechanism, &normal(line))));
            return self.go_on_with_login(now, shell);
        };
        self.say(refusal, Phase::Auth, shell);
    }

    /// The client's answer to a challenge.
    pub(super) fn take_response(
        &mut self,
        input: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) -> usize {
        let Some(login) = &mut self.login else {
            self.intake = Intake::Command;
            return 0;
        };
        if login.is_waited_for() {
            return 0;
        }
        let endless = login.is_endless();
        let most = input.len().min(LONGEST);
        let end = memchr(b'\n', &input[..most]);
        if end.is_none() && input.len() < LONGEST {
            return 0;
        }
        let line = end.map_or(input, |end| &input[..=end]);
        if end.is_none() || endless || !self.is_plain(line) {
            let reply = words::bad_response(&self.settings.name);
            self.shut(&reply, End::Abuse, now, shell);
            return line.len();
        }
        if let Some(login) = &mut self.login {
            login.add(&normal(line));
        }
        self.go_on_with_login(now, shell);
        line.len()
    }

    /// The client has said something for the server, unless it has failed too often.
    fn go_on_with_login(&mut self, now: Millis, shell: &mut dyn Shell) {
        let Some(login) = &self.login else { return };
        if login.spoiled {
            return self.fail_login(words::AUTH_LATER, shell);
        }
        if !shell.may_log_in(login.login()) {
            let reply = words::too_many_logins(&self.settings.name);
            return self.shut(&reply, End::Abuse, now, shell);
        }
        self.go(now, shell);
    }

    /// Sends the line that is due, if one is.
    pub(super) fn advance_login(&mut self, now: Millis, shell: &mut dyn Shell) {
        let Some(login) = &mut self.login else { return };
        if let Some(line) = login.due() {
            shell.secret_to_server(line);
            login.sent += 1;
            self.server_since = now;
        }
    }

    /// The server has answered what the client waits for.
    pub(super) fn login_answered(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let leaves = reply.code == 421;
        // It says that it is the problem itself; or it has had enough of whoever guesses, who is to ask one other at most.
        if (leaves || reply.code == 454) && self.leave_in_login(reply, now, shell) {
            return;
        }
        if leaves && !self.carries_login() {
            return self.lose(Why::Leaving, now, shell);
        }
        self.pass_login(reply, now, shell);
        if leaves {
            self.finish(End::ServerLeft, now, shell);
        }
    }

    /// The client hears it.
    pub(super) fn pass_login(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let Some(login) = &mut self.login else { return };
        shell.to_client(reply.bytes);
        shell.count(Count::Reply {
            class: reply.class(),
            phase: Phase::Auth,
        });
        self.client_since = now;
        login.heard += 1;
        login.told += 1;
        if reply.code != 334 {
            shell.login(&Login {
                mechanism: login.mechanism(),
                name: login.login(),
                code: reply.code,
                reply: reply.first_line(),
            });
            self.intake = Intake::Command;
            if reply.class() == 2 {
                login.succeed(self.settings.replay_auth);
            } else {
                self.errors += u32::from(reply.class() == 5);
                self.login = None;
            }
        }
        self.note_answered();
    }

    /// The exchange fails for a reason that is not the client's; it may try again.
    pub(super) fn fail_login(&mut self, reply: &[u8], shell: &mut dyn Shell) {
        self.login = None;
        self.episode = None;
        self.intake = Intake::Command;
        self.say(reply, Phase::Auth, shell);
    }

    /// This server has answered the client's EHLO in place of another, which had let the client in, or was about to.
    pub(super) fn take_up_login(&mut self, vouched: bool, now: Millis, shell: &mut dyn Shell) {
        let Some(login) = &mut self.login else { return };
        if login.done && vouched {
            return login.skip();
        }
        if login.told == 0 && !login.done {
            return;
        }
        // What the client is saying just now goes where it says everything else; what it has said before is kept for
        // it, and told to none but those it was meant for.
        let trusted = !login.done || shell.reach().verified;
        if !(login.is_replayable() && trusted) {
            return self.lose(Why::Unfit, now, shell);
        }
        self.leg = Leg::Login;
        self.advance_login(now, shell);
    }

    /// A server that takes over has answered a line of the login.
    pub(super) fn login_repeated(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let Some(login) = &mut self.login else { return };
        if login.repeats(reply.code) {
            if login.is_caught_up() {
                self.leg = Leg::Up;
            } else {
                self.advance_login(now, shell);
            }
        } else if reply.code == 421 {
            self.lose(Why::Leaving, now, shell);
        } else if reply.class() == 4 {
            self.lose(Why::Unfit, now, shell);
        } else {
            self.lose_login(now, shell);
        }
    }

    /// A server does not take what another has taken: no other is asked, or they would see an attack.
    fn lose_login(&mut self, now: Millis, shell: &mut dyn Shell) {
        if let Some(login) = &mut self.login {
            login.spoiled = true;
        }
        let reply = words::login_lost(&self.settings.name);
        self.part_hard(shell);
        self.give_up(Some(reply.as_bytes()), now, shell);
    }

    /// What a client hears whose login is lost: to whatever it says, but QUIT.
    pub(super) fn lost_login(&self) -> Option<String> {
        let lost = self.login.as_ref().is_some_and(|login| login.spoiled);
        lost.then(|| words::login_lost(&self.settings.name))
    }
}

/// Whether that is AUTH, as far as it is there.
pub(super) fn is_auth(line: &[u8]) -> bool {
    line.get(..4)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"))
}

/// A line with CRLF at its end.
fn normal(line: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let text = line.trim_ascii_end();
    let mut normal = Vec::with_capacity(text.len() + 2);
    normal.extend_from_slice(text);
    normal.extend_from_slice(b"\r\n");
    zeroize::Zeroizing::new(normal)
}
