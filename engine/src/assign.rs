//! Which server a session gets, and what happens when that server does not answer.
//!
//! Stick entry, then the balance algorithm, then a slot if the server has a `maxconn`; then
//! [`crate::connect`] tries it. [`plan`] says what is next when it fails or is silent, [`race`] does it. Where
//! there is nobody at all the client may wait ([`crate::hold`]), and hears a reply at the end ([`farewell`]).

pub(crate) mod farewell;
mod hedge;
mod plan;
#[cfg(test)]
mod plan_tests;
mod race;
mod seat;
mod stick;
mod story;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::farewell::Vain;
pub(crate) use self::hedge::Allowance;
use self::race::Race;
pub(crate) use self::story::Story;
use crate::backend::Backend;
use crate::balance::{Choice, Load, Pick, Selector, Tried};
use crate::connect::Connected;
use crate::end::{self, Cause, Ending, Phase};
use crate::hold;
use crate::prelude::{Client, patience};
use crate::relay::Legs;
use crate::session::{Peer, Session};
use crate::wait::Ticket;
use crate::worker::Worker;

/// No server was found, or the last one failed.
const NO_SERVER: Ending = Ending::new(Cause::Server, Phase::Connect);

/// Finds a server, connects it and remembers it; or tells the client that there is none.
pub(crate) async fn find_server(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: &Client,
) -> Result<Connected, Ending> {
    let searched = search_and_hold(worker, ticket, session, client, &Wish::default()).await;
    searched.map_err(|vain| {
        farewell::say(worker, session, client, &vain);
        vain.ending
    })
}

/// Finds a server for a session that has had one. What is said to the client when there is none is the caller's.
pub(crate) async fn find_another(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: &Client,
    wish: &Wish,
) -> Result<Connected, Vain> {
    let marks = session.marks;
    let searched = search_and_hold(worker, ticket, session, client, wish).await;
    session.marks = marks;
    searched
}

/// What a search is to heed that is not a session's first.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Servers that are asked when all others have failed, in this order.
    pub(crate) avoid: Vec<usize>,
    /// They are not asked at all, and nobody is waited for: the session has a server.
    pub(crate) strictly: bool,
    /// How long it may take.
    pub(crate) within: Option<Duration>,
}

/// Searches; and as long as there is nobody, waits with those who came before, where `timeout hold` says so.
async fn search_and_hold(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: &Client,
    wish: &Wish,
) -> Result<Connected, Vain> {
    let proxy = Arc::clone(session.backend.as_ref().ok_or(NO_SERVER)?);
    let (Some(back), Some(conf)) = (&proxy.back, &proxy.conf().back) else {
        return Err(NO_SERVER.into());
    };
    let Some(limit) = conf.timeout_hold.filter(|_| !wish.strictly) else {
        return search(worker, ticket, session, client, wish).await;
    };
    let limit = wish.within.map_or(limit, |within| within.min(limit));
    let mut turn = hold::Turn::new(worker, &back.hold, limit);
    if back.hold.is_busy() {
        // Nobody overtakes those who wait already.
        turn.wait(ticket, session, client).await?;
    }
    loop {
        let vain = match search(worker, ticket, session, client, wish).await {
            Err(vain) if vain.is_for_want_of_a_server() => vain,
            other => return other,
        };
        if let Some(server) = session.server.take() {
            end::give_back(back, &server);
        }
        if !turn.wait(ticket, session, client).await? {
            return Err(vain);
        }
    }
}

async fn search(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    client: &Client,
    wish: &Wish,
) -> Result<Connected, Vain> {
    let proxy = Arc::clone(session.backend.as_ref().ok_or(NO_SERVER)?);
    let (Some(back), Some(conf)) = (&proxy.back, &proxy.conf().back) else {
        return Err(NO_SERVER.into());
    };
    let stuck = stick::remembered(worker, session, client, &proxy);
    let stuck = stuck.filter(|server| !wish.avoid.contains(server));
    let mut race = Race::new(
        (worker, ticket, client),
        (&proxy, back, conf),
        (stuck, session.is_gated()),
        wish,
    );
    let connected = race.run(session).await?;
    stick::remember(worker, session, client, &proxy);
    Ok(connected)
}

/// The two sockets of a session that is relayed.
pub(crate) fn legs(client: Client, connected: Connected) -> Legs {
    let mut to_server = connected.to_server;
    to_server.extend_from_slice(&client.early[connected.heard..]);
    Legs {
        client: client.socket,
        client_tls: client.tls.map(RefCell::into_inner),
        server: connected.socket,
        server_tls: connected.tls,
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

/// Whom to ask beside a silent server.
fn choose_spare(session: &Session, back: &Backend, tried: &Tried) -> Option<usize> {
    ask(session, back, tried, Selector::spare)
}

fn ask<T>(
    session: &Session,
    back: &Backend,
    tried: &Tried,
    question: fn(&Selector, &Pick<'_>) -> T,
) -> T {
    let source = match session.client {
        Peer::Ip(address) => Some(address.ip()),
        Peer::Local => None,
    };
    let roster = back.roster();
    let loads = |place: usize| {
        let server = roster.servers.at(place);
        server.map_or_else(Load::default, |server| back.queue.load(server))
    };
    question(
        &roster.selector,
        &Pick {
            source,
            loads: &loads,
            tried,
        },
    )
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
