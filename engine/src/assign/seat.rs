//! A place on a server: counted when taken, given back when dropped, to the next who waits for one if somebody
//! does.

use std::sync::Arc;

use super::{NO_SERVER, choose, late};
use crate::backend::Backend;
use crate::balance::{Choice, Tried};
use crate::end::{Cause, Ending, Phase};
use crate::prelude::patience;
use crate::queue::{Call, Entry};
use crate::server::Server;
use crate::session::Session;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// A session's place on a server, while it is not settled where it goes.
#[derive(Debug)]
pub(super) struct Seat<'b> {
    back: &'b Backend,
    /// `None` once the session has it for good.
    server: Option<Arc<Server>>,
}

impl<'b> Seat<'b> {
    fn take(worker: &Worker, back: &'b Backend, server: usize, began: u64, pinned: bool) -> Self {
        let server = &back.servers[server];
        server.sessions.enter();
        server.rate.count(began);
        server.session_began(began);
        back.session_began(began);
        server.totals.at(worker.id).sessions.add(1);
        if !pinned {
            server.totals.at(worker.id).balanced.add(1);
            back.totals.at(worker.id).balanced.add(1);
        }
        Self {
            back,
            server: Some(Arc::clone(server)),
        }
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_deref().unwrap_or(&self.back.servers[0])
    }

    /// The session has it for good, and gives it back at its end.
    pub(super) fn keep(mut self) -> Option<Arc<Server>> {
        self.server.take()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.sessions.leave();
            self.back.queue.release(&server);
        }
    }
}

/// A seat on that server if one is free.
pub(super) fn at_once<'b>(
    worker: &Worker,
    session: &Session,
    back: &'b Backend,
    server: usize,
) -> Option<Seat<'b>> {
    match back.queue.enter(Some(server)) {
        Entry::Slot(server) => Some(Seat::take(worker, back, server, session.began, false)),
        // The place in the queue is given back as it is dropped.
        Entry::Full | Entry::Wait(_) => None,
    }
}

/// A seat as chosen, waiting for one for `timeout queue` if need be.
pub(super) async fn wait<'b>(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    back: &'b Backend,
    mut choice: Choice,
    pinned: bool,
) -> Result<Seat<'b>, Ending> {
    let server = loop {
        let wanted = match choice {
            Choice::None => {
                back.totals.at(worker.id).connect_errors.add(1);
                return Err(NO_SERVER);
            }
            Choice::Server(server) => Some(server),
            Choice::Full => None,
        };
        let mut place = match back.queue.enter(wanted) {
            Entry::Slot(server) => break server,
            // A pinned session whose server's queue is full goes nowhere else (haproxy-compat 3.15); any
            // other waits for whoever is free first.
            Entry::Full if pinned => return Err(Ending::new(Cause::Server, Phase::Queue)),
            Entry::Full if wanted.is_some() => {
                choice = Choice::Full;
                continue;
            }
            Entry::Full => return Err(NO_SERVER),
            Entry::Wait(place) => place,
        };
        session.queued_behind = place.behind;
        let conf = session.back();
        let limit = conf.and_then(|conf| conf.timeout_queue.or(conf.timeout_connect));
        let limits = [limit, patience(session)].into_iter().flatten();
        match ticket
            .wait(
                limits.filter(|limit| !limit.is_zero()).min(),
                place.called(),
            )
            .await
        {
            Ok(Call::Slot(server)) => break server,
            Ok(Call::Again) => choice = choose(session, back, &Tried::default()),
            Err(Stop::Ended(ending)) => return Err(ending),
            Err(Stop::Late) => return Err(late(session, Phase::Queue)),
        }
    };
    session.marks.assigned = Some(session.age());
    Ok(Seat::take(worker, back, server, session.began, pinned))
}
