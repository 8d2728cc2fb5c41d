//! STARTTLS with the client: when the dialogue has said 220 and nothing else is under way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wire::smtp::Dialogue;

use super::Wire;
use super::leg::Line;
use crate::clock::{Clock, Millis};
use crate::end::Ending;
use crate::leg::Leg;
use crate::prelude;
use crate::tls::{Failure, Stream};
use crate::wait::{Stop, Ticket};

impl Wire<'_> {
    /// The handshake. What the client has sent before it saw the 220 is part of it, and no TLS: nothing that was said
    /// in clear text can pass for what is said within.
    pub(super) async fn secure(
        &mut self,
        dialogue: &mut Dialogue,
        ticket: &Ticket<'_>,
    ) -> Result<(), Ending> {
        let now = Clock::get().now();
        let limit = dialogue.deadline().map(|at| at.saturating_sub(now).max(1));
        let limit = limit.map(Duration::from_millis);
        let shaken = ticket.wait(limit, self.shake()).await;
        let (now, tls) = (Clock::get().now(), &self.worker.process.tls);
        let why = match shaken {
            Ok(Ok(resumed)) => {
                tls.accepted(resumed, now);
                self.session.secured = true;
                dialogue.client_secured(now, self);
                self.flush();
                return Ok(());
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(Stop::Late) => "Timeout during SSL handshake".to_owned(),
            Err(Stop::Ended(ending)) => return Err(ending),
        };
        tls.failures.fetch_add(1, Ordering::Relaxed);
        prelude::tell_refused(self.worker, self.session, &why);
        self.part_from_client(dialogue, now);
        Ok(())
    }

    /// Whether an earlier TLS session was resumed.
    async fn shake(&mut self) -> Result<bool, Failure> {
        let closed = || Failure::Closed { silent: false };
        while !self.client.is_empty() {
            if !self.client.flushed().await {
                return Err(closed());
            }
        }
        let acceptor = self.session.ingress.starttls.clone().ok_or_else(closed)?;
        let line = self.client.take_line().ok_or_else(closed)?;
        let mut leg = Leg::plain(line.socket);
        let seat = self.worker.process.tls.seats.take()?;
        leg.upgrade(acceptor.accept()?.seated(seat)).await?;
        let (socket, tls) = leg.into_parts();
        let resumed = tls.as_ref().is_some_and(Stream::is_resumed);
        self.client.put_line(Line { socket, tls });
        Ok(resumed)
    }

    fn part_from_client(&mut self, dialogue: &mut Dialogue, now: Millis) {
        dialogue.client_gone(now, self);
        self.flush();
    }
}
