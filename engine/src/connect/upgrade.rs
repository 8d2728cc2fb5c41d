//! `server ... starttls`: from the greeting to the handshake, as [`wire::smtp::Upgrade`] says.
//!
//! It is part of the attempt: a server that falls silent here is hedged like one that does not greet, and one that
//! cannot do it has failed the session like one that refuses.

use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::SendFlags;
use wire::smtp::{Progress, Refusal, Upgrade};

use super::greeting::{self, Voice};
use super::{Attempt, Fault, Scene, Stage};
use crate::leg::Leg;
use crate::server::Server;
use crate::session::Session;

/// What a server with `starttls` needs.
pub(super) fn of(session: &Session, server: &Server) -> Option<Box<Upgrade>> {
    let secret = server.conf.tls.as_ref()?;
    (secret.starttls).then(|| Box::new(Upgrade::new(session.ingress.name())))
}

impl Attempt {
    /// Until it has greeted: what it is not welcome with is told as without TLS.
    pub(super) fn poll_welcome(
        &mut self,
        context: &mut Context<'_>,
        scene: &Scene<'_>,
    ) -> Poll<Result<(), Fault>> {
        let Some(socket) = &self.socket else {
            return Poll::Ready(Err(Fault::Refused));
        };
        let mut voice = Voice::Plain(socket);
        let greeted = greeting::poll_greeting(context, scene, &mut voice, &mut self.said);
        let (_, said) = ready!(greeted)?;
        self.stage = Stage::Upgrade;
        Poll::Ready(self.upgrade(&said))
    }

    /// Reads on until TLS may begin.
    pub(super) fn poll_upgrade(
        &mut self,
        context: &mut Context<'_>,
        scene: &Scene<'_>,
    ) -> Poll<Result<(), Fault>> {
        let Some(socket) = &self.socket else {
            return Poll::Ready(Err(Fault::Refused));
        };
        let mut scratch = scene.worker.scratch.borrow_mut();
        let read = loop {
            if ready!(socket.poll_readable(context)).is_err() {
                return Poll::Ready(Err(Fault::Resource));
            }
            match socket.recv(&mut scratch) {
                Ok(0) => return Poll::Ready(Err(Fault::Refused)),
                Ok(read) => break read,
                Err(Errno::AGAIN) => {}
                Err(_) => return Poll::Ready(Err(Fault::Refused)),
            }
        };
        Poll::Ready(self.upgrade(&scratch[..read]))
    }

    fn upgrade(&mut self, said: &[u8]) -> Result<(), Fault> {
        let (Some(upgrade), Some(socket)) = (&mut self.upgrade, &self.socket) else {
            return Err(Fault::Refused);
        };
        let progress = upgrade.take(said).map_err(|refusal| match refusal {
            Refusal::NotOffered | Refusal::Injected => Fault::Tampered(refusal),
            Refusal::Refused | Refusal::NoSmtp => Fault::Tls(refusal.to_string()),
        })?;
        match progress {
            Progress::More => Ok(()),
            // So few bytes a socket takes that has nothing else.
            Progress::Say(line) => match socket.send(line.as_bytes(), SendFlags::empty()) {
                Ok(sent) if sent == line.len() => Ok(()),
                _ => Err(Fault::Refused),
            },
            Progress::Secure => {
                let (Some(socket), Some(tls)) = (self.socket.take(), self.tls.take()) else {
                    return Err(Fault::Refused);
                };
                self.stage = Stage::Handshake(Leg::new(socket, Some(tls)));
                Ok(())
            }
        }
    }
}
