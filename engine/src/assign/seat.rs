//! A place on a server: counted when taken, given back when dropped, to the next who waits for one if somebody
//! does.

use std::sync::Arc;

use super::{NO_SERVER, choose, late};
use crate::backend::Backend;
use crate::balance::{Choice, Tried};
use crate::end::{self, Cause, Ending, Phase};
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
    server: Arc<Server>,
    /// The session has it for good.
    kept: bool,
}

impl<'b> Seat<'b> {
    /// `None`: the server was deleted meanwhile.
    fn take(
        worker: &Worker,
        back: &'b Backend,
        place: usize,
        began: u64,
        pinned: bool,
    ) -> Option<Self> {
        let roster = back.roster();
        let server = roster.servers.at(place)?;
        server.sessions.enter();
        server.rate.count(began);
        server.session_began(began);
        back.session_began(began);
        server.totals.at(worker.id).sessions.add(1);
        if !pinned {
            server.totals.at(worker.id).balanced.add(1);
            back.totals.at(worker.id).balanced.add(1);
        }
        Some(Self {
            back,
            server: Arc::clone(server),
            kept: false,
        })
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The session has it for good, and gives it back at its end.
    pub(super) fn keep(mut self) -> Arc<Server> {
        self.kept = true;
        Arc::clone(&self.server)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.kept {
            end::give_back(self.back, &self.server);
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
        Entry::Slot(place) => seated(worker, session, back, place, false),
        // The place in the queue is given back as it is dropped.
        Entry::Full | Entry::Wait(_) => None,
    }
}

/// The slot is held: a seat makes use of it, or it goes back.
fn seated<'b>(
    worker: &Worker,
    session: &Session,
    back: &'b Backend,
    place: usize,
    pinned: bool,
) -> Option<Seat<'b>> {
    let seat = Seat::take(worker, back, place, session.began, pinned);
    if seat.is_none() {
        back.queue.release(place);
    }
    seat
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
    let seat = loop {
        let wanted = match choice {
            Choice::None => {
                back.totals.at(worker.id).connect_errors.add(1);
                return Err(NO_SERVER);
            }
            Choice::Server(server) => Some(server),
            Choice::Full => None,
        };
        let mut place = match back.queue.enter(wanted) {
            Entry::Slot(place) => match seated(worker, session, back, place, pinned) {
                Some(seat) => break seat,
                None => {
                    choice = choose(session, back, &Tried::default());
                    continue;
                }
            },
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
            Ok(Call::Slot(server)) => match seated(worker, session, back, server, pinned) {
                Some(seat) => break seat,
                None => choice = choose(session, back, &Tried::default()),
            },
            Ok(Call::Again) => choice = choose(session, back, &Tried::default()),
            Err(Stop::Ended(ending)) => return Err(ending),
            Err(Stop::Late) => return Err(late(session, Phase::Queue)),
        }
    };
    session.marks.assigned = Some(session.age());
    Ok(seat)
}
