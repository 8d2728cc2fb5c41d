//! Which server a session gets, and what happens when that server does not answer.
//!
//! Stick entry, then the balance algorithm, then a slot if the server has a `maxconn`; then
//! [`crate::connect`] tries it. On a failure [`Attempts`] says what is next: by default the next server, at
//! once; where `retries` or `option redispatch` are written, HAProxy's way (haproxy-compat 3.7).

mod attempts;
mod farewell;
mod stick;

use std::sync::Arc;
use std::time::Duration;

use self::attempts::{Attempts, Next, Rest};
use self::farewell::Vain;
use crate::backend::Backend;
use crate::balance::{Choice, Pick, Selector, Tried};
use crate::connect::{self, Connected, Failure, Fault};
use crate::controller::Evidence;
use crate::end::{Cause, Ending, Phase};
use crate::prelude::{Client, patience};
use crate::queue::{Call, Entry};
use crate::relay::Legs;
use crate::session::{Peer, Session};
use crate::topology::Proxy;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// No server was found, or the last one failed.
const NO_SERVER: Ending = Ending::new(Cause::Server, Phase::Connect);

/// Finds a server, connects it and remembers it; or tells the client that there is none.
pub(crate) async fn find_server(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: Client,
) -> Result<Legs, Ending> {
    match search(worker, ticket, session, &client).await {
        Ok(connected) => Ok(legs(client, connected)),
        Err(vain) => {
            farewell::say(session, &client, &vain);
            Err(vain.ending)
        }
    }
}

async fn search(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: &Client,
) -> Result<Connected, Vain> {
    let proxy = Arc::clone(session.backend.as_ref().ok_or(NO_SERVER)?);
    let (Some(back), Some(conf)) = (&proxy.back, &proxy.conf().back) else {
        return Err(NO_SERVER.into());
    };
    let stuck = stick::remembered(worker, session, client, &proxy);
    let mut attempts = Attempts::new(conf, stuck.is_some());
    let mut choice = Some(match stuck {
        Some(server) => Choice::Server(server),
        None => match choose(session, back, &Tried::default()) {
            // All are DOWN: one of them may have come back since its last check.
            Choice::None if attempts.is_own_way() => {
                choose_fallback(session, back, &Tried::default())
            }
            choice => choice,
        },
    });
    loop {
        if let Some(choice) = choice.take() {
            occupy(
                worker,
                ticket,
                session,
                (&proxy, back),
                choice,
                attempts.pinned(),
            )
            .await?;
        }
        let fault = match reach(worker, ticket, session, (&proxy, back), client, &attempts).await {
            Ok(connected) => {
                stick::remember(worker, session, client, &proxy);
                return Ok(connected);
            }
            Err(Failure::Over(ending)) => return Err(ending.into()),
            Err(Failure::Server(fault)) => fault,
        };
        match attempts.after_failure(session, back) {
            Next::GiveUp => return Err(give_up(worker, session, back, fault)),
            Next::Same { pause } => {
                rest(ticket, session, pause).await?;
                count_retry(worker, session, back);
            }
            Next::Another { tried } => match choose_fallback(session, back, tried) {
                Choice::None => return Err(give_up(worker, session, back, fault)),
                other => {
                    vacate(worker, session, back);
                    choice = Some(other);
                }
            },
        }
    }
}

fn legs(client: Client, connected: Connected) -> Legs {
    let mut to_server = connected.to_server;
    to_server.extend_from_slice(&client.early);
    Legs {
        client: client.socket,
        server: connected.socket,
        to_client: connected.to_client,
        to_server,
        already_out: connected.passed,
    }
}

/// The balance algorithm's word.
fn choose(session: &Session, back: &Backend, tried: &Tried) -> Choice {
    ask(session, back, tried, Selector::choose)
}

/// Whom to try after a failure: other actives, backups in order, and as the last resort anything that is
/// not in maintenance.
fn choose_fallback(session: &Session, back: &Backend, tried: &Tried) -> Choice {
    ask(session, back, tried, Selector::fallback)
}

fn ask(
    session: &Session,
    back: &Backend,
    tried: &Tried,
    question: fn(&Selector, &Pick<'_>) -> Choice,
) -> Choice {
    let source = match session.client {
        Peer::Ip(address) => Some(address.ip()),
        Peer::Local => None,
    };
    let loads = |server: usize| back.queue.load(&back.servers[server]);
    question(
        &back.selector.load(),
        &Pick {
            source,
            loads: &loads,
            tried,
        },
    )
}

/// Takes a slot on a server, waiting for one for `timeout queue` if need be.
async fn occupy(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    (proxy, back): (&Proxy, &Backend),
    mut choice: Choice,
    pinned: bool,
) -> Result<(), Ending> {
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
        let conf = proxy.conf().back.as_ref();
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
    let server = &back.servers[server];
    server.sessions.enter();
    server.rate.count(session.began);
    server.session_began(session.began);
    back.session_began(session.began);
    server.totals.at(worker.id).sessions.add(1);
    if !pinned {
        server.totals.at(worker.id).balanced.add(1);
        back.totals.at(worker.id).balanced.add(1);
    }
    session.server = Some(Arc::clone(server));
    session.marks.assigned = Some(session.age());
    ticket.note(session);
    Ok(())
}

/// Gives a server up whose attempt failed; the session goes on to another.
fn vacate(worker: &Worker, session: &mut Session, back: &Backend) {
    let Some(server) = session.server.take() else {
        return;
    };
    server.totals.at(worker.id).redispatches.add(1);
    back.totals.at(worker.id).redispatches.add(1);
    session.redispatched = true;
    session.retries = session.retries.saturating_add(1);
    server.sessions.leave();
    back.queue.release(&server);
}

fn count_retry(worker: &Worker, session: &mut Session, back: &Backend) {
    session.retries = session.retries.saturating_add(1);
    back.totals.at(worker.id).retries.add(1);
    if let Some(server) = &session.server {
        server.totals.at(worker.id).retries.add(1);
    }
}

fn give_up(worker: &Worker, session: &Session, back: &Backend, fault: Fault) -> Vain {
    back.totals.at(worker.id).connect_errors.add(1);
    if let Some(server) = &session.server {
        server.totals.at(worker.id).connect_errors.add(1);
    }
    Vain {
        ending: fault.ending(),
        words: match fault {
            Fault::Unwelcome(line) => Some(line),
            _ => None,
        },
    }
}

/// One attempt on the session's server, counted and told to the controller.
async fn reach(
    worker: &Worker,
    ticket: &Ticket<'_>,
    session: &mut Session,
    (proxy, back): (&Proxy, &Backend),
    client: &Client,
    attempts: &Attempts,
) -> Result<Connected, Failure> {
    let Some(server) = session.server.clone() else {
        return Err(Failure::Over(NO_SERVER));
    };
    server.totals.at(worker.id).connects.add(1);
    back.totals.at(worker.id).connects.add(1);
    let another = || match attempts.rest(server.index) {
        Rest::Some => true,
        Rest::None => false,
        Rest::Among(tried) => choose_fallback(session, back, &tried) != Choice::None,
    };
    let result = connect::dial(worker, ticket, session, &server, client, another).await;
    if result.is_ok() {
        session.marks.connected = Some(session.age());
    }
    // A failure is always worth knowing; a success only to who observes.
    let success = match &result {
        Ok(_) => server.conf.observe_layer4.then_some(true),
        Err(Failure::Server(_)) => Some(false),
        Err(Failure::Over(_)) => None,
    };
    if let Some(success) = success {
        worker.report(Evidence {
            at: (proxy.index, server.index),
            success,
        });
    }
    result
}

/// The pause before the same server is tried again.
async fn rest(ticket: &Ticket<'_>, session: &Session, pause: Duration) -> Result<(), Ending> {
    let patience = patience(session).unwrap_or(Duration::MAX);
    match ticket
        .wait(Some(pause.min(patience)), std::future::pending::<()>())
        .await
    {
        Err(Stop::Ended(ending)) => Err(ending),
        _ if patience <= pause => Err(late(session, Phase::Connect)),
        _ => Ok(()),
    }
}

/// Whose time is up while nothing is connected: the client's, or the server's (or queue's).
fn late(session: &Session, phase: Phase) -> Ending {
    let client = patience(session).is_some_and(|left| left <= Duration::from_millis(1));
    Ending::new(
        if client {
            Cause::ClientTimeout
        } else {
            Cause::ServerTimeout
        },
        phase,
    )
}
