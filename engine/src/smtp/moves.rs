//! From one server to another: losing one, leaving one, finding the next, and the session's end.

use std::cell::RefCell;
use std::time::Duration;

use wire::smtp::{Dialogue, End, Lost, Parting, ServerId, Shell, Why};

use super::Wire;
use super::leg::{Leg, Line};
use crate::assign::{self, Wish};
use crate::clock::{Clock, Millis};
use crate::connect::Connected;
use crate::controller::Evidence;
use crate::end::{self, Cause, Ending, Phase};
use crate::health::Sight;
use crate::hold;
use crate::prelude::Client;
use crate::timer;
use crate::wait::Ticket;

/// How often a session looks whether another server is better.
const LOOK: Millis = 100;

/// Searches in a row after which a session pauses before the next.
const HASTE: u32 = 3;

/// How long a session that has a server may take to find a better one.
const PREFER: Duration = Duration::from_secs(5);

/// How long the last words to a client, and to a server, may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a search came to.
enum Found {
    Server(Connected),
    Nobody(Option<Vec<u8>>),
    /// The client has left.
    Gone,
}

impl Wire<'_> {
    /// The server's connection has ended.
    pub(super) fn lose(&mut self, dialogue: &mut Dialogue, how: Lost, now: Millis) {
        if dialogue.journal_bytes() != (0, 0) {
            // In the middle of something: a check is asked for.
            self.report(Sight::Failed);
        }
        dialogue.server_lost(how, now, self);
        if !dialogue.has_server() {
            self.release(Parting::Hard);
        }
    }

    pub(super) fn report(&self, sight: Sight) {
        if let (Some(proxy), Some(server)) = (&self.session.backend, &self.session.server) {
            let at = (proxy.index, server.index);
            self.worker.report(Evidence { at, sight });
        }
    }

    /// Health checks or an operator have a word about the session's server.
    pub(super) fn heed(&mut self, dialogue: &mut Dialogue, why: Why, now: Millis) {
        match why {
            Why::Down => dialogue.server_down(now, self),
            // A better one is there: looked at right away.
            _ => self.looked = 0,
        }
        self.flush();
    }

    /// Between transactions: whether the balance would have the session elsewhere (failback, drain, maintenance).
    pub(super) fn is_passed_over(&mut self, dialogue: &Dialogue, now: Millis) -> bool {
        if now < self.looked + LOOK || !dialogue.may_leave() {
            return false;
        }
        self.looked = now;
        let (Some(back), Some(server)) = (self.session.farm(), &self.session.server) else {
            return false;
        };
        let conf = self.session.back();
        // A stick entry that names it would bring the session back.
        let sticks = conf.is_some_and(|conf| conf.stick.iter().any(|rule| rule.match_));
        let stays = sticks && server.honours_stick();
        !stays && back.roster().selector.is_passed_over(server.index)
    }

    /// Goes to a server that is better, if one is there; else all stays as it is.
    pub(super) async fn prefer_another(&mut self, dialogue: &mut Dialogue, ticket: &Ticket<'_>) {
        let Some(old) = self.session.server.take() else {
            return;
        };
        let wish = Wish {
            avoid: vec![old.index],
            strictly: true,
            within: Some(PREFER),
        };
        let found = self.look(&wish, ticket).await;
        let now = Clock::get().now();
        let new = self.session.server.replace(old);
        match found {
            Found::Server(connected) => {
                dialogue.leave(now, self);
                self.give_seat_back();
                self.session.server = new;
                self.join(dialogue, connected, now);
            }
            Found::Nobody(_) => {
                if let (Some(back), Some(server)) = (self.session.farm(), &new) {
                    end::give_back(back, server);
                }
            }
            Found::Gone => dialogue.client_gone(now, self),
        }
        ticket.note(self.session);
        ticket.take_leave();
        self.flush();
    }

    /// Closes the server's leg.
    pub(super) fn release(&mut self, parting: Parting) {
        let Some(leg) = self.server.take() else {
            return;
        };
        self.session.server_bytes.0 += leg.taken;
        match parting {
            Parting::Done => {}
            Parting::Hard => leg.reset_on_close(),
            Parting::Polite => self.worker.spawn_parting(part(leg)),
        }
    }

    /// A session that has no server has no seat on one.
    pub(super) fn settle(&mut self, dialogue: &Dialogue, ticket: &Ticket<'_>) {
        if dialogue.has_server() || self.session.server.is_none() {
            return;
        }
        self.give_seat_back();
        ticket.note(self.session);
    }

    fn give_seat_back(&mut self) {
        let Some(server) = self.session.server.take() else {
            return;
        };
        let (to, from) = std::mem::take(&mut self.session.server_bytes);
        let totals = server.totals.at(self.worker.id);
        totals.bytes_in.add(to);
        totals.bytes_out.add(from);
        totals.redispatches.add(1);
        if let Some(back) = self.session.farm() {
            back.totals.at(self.worker.id).redispatches.add(1);
            end::give_back(back, &server);
        }
        self.session.redispatched = true;
        self.session.retries = self.session.retries.saturating_add(1);
    }

    /// Finds the server that the dialogue asks for.
    pub(super) async fn search(&mut self, dialogue: &mut Dialogue, ticket: &Ticket<'_>) {
        self.settle(dialogue, ticket);
        self.flush();
        let Some(wish) = self.wish(dialogue).await else {
            return;
        };
        let found = self.look(&wish, ticket).await;
        let now = Clock::get().now();
        match found {
            Found::Server(connected) => self.join(dialogue, connected, now),
            Found::Nobody(reply) => dialogue.no_server(reply.as_deref(), now, self),
            Found::Gone => dialogue.client_gone(now, self),
        }
        ticket.note(self.session);
        // What was said of the last server is not meant for this one.
        ticket.take_leave();
        self.flush();
    }

    /// What the dialogue asks for.
    async fn wish(&mut self, dialogue: &Dialogue) -> Option<Wish> {
        self.searches += 1;
        if self.searches > HASTE {
            // Servers that greet and fail, one after the other: not as fast as the machine can.
            let pause = 10 << self.searches.min(6);
            timer::sleep(Duration::from_millis(pause)).await;
        }
        let quest = dialogue.quest()?;
        let now = Clock::get().now();
        // Whoever has failed longest ago is asked first when nobody else is left.
        if let Some(last) = dialogue.server() {
            self.failed.retain(|server| *server != last as usize);
            self.failed.push(last as usize);
        }
        let failed = |server: &&usize| quest.avoid.contains(&(**server as ServerId));
        let avoid = self.failed.iter().filter(failed).copied().collect();
        let within = quest.until.saturating_sub(now).min(u64::from(u32::MAX));
        Some(Wish {
            avoid,
            strictly: !quest.patient,
            within: Some(Duration::from_millis(within)),
        })
    }

    async fn look(&mut self, wish: &Wish, ticket: &Ticket<'_>) -> Found {
        // Holding watches the client.
        let Some(line) = self.client.take_line() else {
            return Found::Gone;
        };
        let client = Client {
            socket: line.socket,
            early: Vec::new(),
            tls: line.tls.map(RefCell::new),
        };
        let found = tokio::select! {
            biased;
            () = hold::leaves(&client) => Found::Gone,
            found = assign::find_another(self.worker, ticket, self.session, &client, wish) => match found {
                Ok(connected) => Found::Server(connected),
                Err(vain) => Found::Nobody(self.session.back().map(|back| vain.reply(self.worker, self.session, back))),
            },
        };
        self.client.put_line(Line {
            socket: client.socket,
            tls: client.tls.map(RefCell::into_inner),
        });
        found
    }

    /// An operator has ended the session.
    pub(super) fn say_goodbye(&mut self) {
        let text = format!(
            "421 4.3.2 {} Service shutting down\r\n",
            self.session.ingress.name()
        );
        self.client.give(text.as_bytes());
        self.client.flush();
        self.client.finish();
    }

    /// The last words to the client, and how the session is told.
    pub(super) async fn finish(&mut self, ticket: &Ticket<'_>, end: End) -> Ending {
        self.flush();
        if !self.client.is_empty() {
            let client = &mut self.client;
            let flushed = async { while !client.is_empty() && client.flushed().await {} };
            // Who does not take the last words does without.
            let _ = ticket.wait(Some(FAREWELL), flushed).await;
        }
        self.client.finish();
        match end {
            End::Quit => Ending::NORMAL,
            End::ClientGone => Ending::new(Cause::Client, Phase::Data),
            End::ClientTimeout => Ending::new(Cause::ClientTimeout, Phase::Data),
            End::ServerLeft => Ending::new(Cause::Server, Phase::Data),
            End::NoServer => Ending::new(Cause::Server, Phase::Connect),
            End::Abuse | End::Injection => Ending::new(Cause::Proxy, Phase::Data),
        }
    }

    /// Everything is given back, but the seat: that is for the session's end.
    pub(super) fn leave(mut self, dialogue: &Dialogue) {
        if self.server.is_some() {
            // Ended from outside.
            self.release(Parting::Hard);
        }
        self.session.bytes_out = self.client.taken;
        self.discard_spool();
        let journals = &self.worker.process.journals;
        journals.note(self.journal as u64, 0);
        if dialogue.ended() != Some(End::Quit) {
            // What it still sends must not take the last words back.
            self.worker.spawn_parting(drain(self.client));
        }
    }
}

/// Leaves a server that was told QUIT: reads to the end, so that nothing looks lost in its log.
async fn part(mut leg: Leg) {
    let leave = async {
        while !leg.is_empty() && leg.flushed().await {}
        leg.drained().await;
    };
    let _ = timer::within(timer::sleep(FAREWELL), leave).await;
}

/// Reads what a client still sends, for a moment.
async fn drain(mut leg: Leg) {
    let limit = timer::sleep(Duration::from_secs(2));
    let _ = timer::within(limit, leg.drained()).await;
}
