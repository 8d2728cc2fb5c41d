//! XCLIENT (Postfix's XCLIENT_README): a server with `xclient` is told who the client is before it hears anything of it.
//!
//! ```text
//! 220, EHLO <the proxy>, 250 XCLIENT ..., XCLIENT ADDR=... , 220, EHLO <the client>
//! ```
//!
//! A server that does not offer it, or does not ask for the address, is none for the session: it would take the proxy for
//! the client, and let it do what the proxy may.

use super::{Count, Dialogue, Leg, Millis, Shell, Why};
use crate::smtp::reply::Reply;
use crate::smtp::xclient::{Attributes, Known};

/// What is still to be told.
#[derive(Debug)]
pub(super) struct Naming {
    /// XCLIENT lines, the next one last.
    lines: Vec<String>,
    /// They say who is logged in.
    vouches: bool,
}

impl Dialogue {
    /// Asks for what the server wants to be told.
    pub(super) fn ask_for_names(&mut self, shell: &mut dyn Shell) {
        let hello = format!("EHLO {}\r\n", self.settings.name);
        shell.to_server(hello.as_bytes());
        self.leg = Leg::Asking;
    }

    /// It has answered that.
    pub(super) fn tell_names(&mut self, reply: &Reply<'_>, now: Millis, shell: &mut dyn Shell) {
        let wanted = Attributes::of(reply);
        let Some(wanted) = wanted.filter(|wanted| wanted.contains(Attributes::ADDR)) else {
            return self.leave_untold(now, shell);
        };
        let login = self.login.as_ref().filter(|login| login.done);
        let login = login.and_then(|login| login.account());
        let known = Known {
            hello: self.hello.as_deref(),
            login,
        };
        let mut lines = wanted.lines(&shell.origin(), known);
        lines.reverse();
        let vouches = lines.iter().any(|line| line.contains(" LOGIN="));
        self.naming = Some(Box::new(Naming { lines, vouches }));
        self.leg = Leg::Naming;
        self.next_name(shell);
    }

    /// It does not want to know: somebody has to look at it.
    pub(super) fn leave_untold(&mut self, now: Millis, shell: &mut dyn Shell) {
        shell.count(Count::Untold);
        self.lose(Why::Unfit, now, shell);
    }

    /// It has taken a line.
    pub(super) fn next_name(&mut self, shell: &mut dyn Shell) {
        match self.naming.as_mut().and_then(|naming| naming.lines.pop()) {
            Some(line) => shell.to_server(line.as_bytes()),
            None => self.say_hello(shell),
        }
    }

    /// Whether the server of the leg was told who is logged in.
    pub(super) fn has_vouched(&mut self) -> bool {
        self.naming.take().is_some_and(|naming| naming.vouches)
    }
}
