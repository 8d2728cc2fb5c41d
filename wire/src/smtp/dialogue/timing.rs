//! Time: who is waited for, for how long, and what follows when it is over.

use super::{Dialogue, End, Intake, Leg, Millis, Shell, Why, words};
use crate::smtp::tape::Kind;
use crate::smtp::work::Ack;

/// A move has time for so many servers that greet and then do not get on with EHLO, XCLIENT or AUTH.
const ATTEMPTS: Millis = 3;

/// Whose time is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The client's next command, or the next bytes of its body.
    Client,
    /// The server's next reply.
    Server,
    /// The acknowledgement that the end of data waits for.
    Acknowledgement,
    /// Another server.
    Move,
}

impl Dialogue {
    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Millis> {
        self.due().map(|(at, _)| at)
    }

    /// The time is `now`: what is late is dealt with.
    pub fn tick(&mut self, now: Millis, shell: &mut dyn Shell) {
        let Some((at, due)) = self.due() else { return };
        if now < at {
            return;
        }
        match due {
            Due::Client => self.client_late(now, shell),
            Due::Server => self.lose(Why::Silent, now, shell),
            Due::Acknowledgement => self.acknowledged(now, shell),
            Due::Move => {
                self.part_hard(shell);
                self.give_up(None, now, shell);
            }
        }
        self.resume(now, shell);
    }

    fn due(&self) -> Option<(Millis, Due)> {
        if self.over.is_some() {
            return None;
        }
        let timeouts = &self.settings.timeouts;
        let work = self.work.as_deref();
        let up = self.leg == Leg::Up;
        if up && work.is_some_and(|work| work.is_resending_body()) {
            return Some((self.server_since + timeouts.block, Due::Server));
        }
        if let Some(episode) = &self.episode
            && !(up && work.is_none_or(|work| work.is_caught_up()))
        {
            let introduced = up || !self.has_server();
            let turn = self.server_since + self.settings.budget / ATTEMPTS;
            return Some(match introduced || turn >= episode.until {
                true => (episode.until, Due::Move),
                false => (turn, Due::Server),
            });
        }
        if let Some(Ack::Asked(since)) = work.map(|work| work.ack) {
            let wait = self.settings.hold_back.unwrap_or(0);
            return Some((since + wait, Due::Acknowledgement));
        }
        let awaited = work.and_then(|work| work.tape.awaited());
        let server = match (self.leg, awaited.map(|entry| entry.kind)) {
            (Leg::Greeting | Leg::Asking | Leg::Naming | Leg::Hello | Leg::Login, _) => {
                Some(timeouts.command)
            }
            (Leg::Up, None) if self.waits_for_login() => Some(timeouts.command),
            (Leg::Up, Some(Kind::End | Kind::Chunk(_))) => Some(timeouts.end),
            (Leg::Up, Some(Kind::Data)) => Some(timeouts.data),
            (Leg::Up, Some(_)) => Some(timeouts.command),
            _ => None,
        };
        if let Some(time) = server {
            return Some((self.server_since + time, Due::Server));
        }
        if self.leg == Leg::Seeking {
            return None;
        }
        let time = match self.intake {
            Intake::Data(_) | Intake::Chunk { .. } => timeouts.block,
            Intake::Command | Intake::LongLine | Intake::Response => timeouts.client,
            Intake::Handshake => timeouts.handshake,
        };
        Some((self.client_since + time, Due::Client))
    }

    /// The client is silent: or the server does not take what the client has sent.
    fn client_late(&mut self, now: Millis, shell: &mut dyn Shell) {
        if self.has_server() && shell.server_is_stuck() {
            return self.lose(Why::Silent, now, shell);
        }
        if self.intake == Intake::Handshake {
            return self.handshake_late(now, shell);
        }
        let reply = words::timeout(&self.settings.name);
        self.shut(&reply, End::ClientTimeout, now, shell);
    }
}
