//! The attempts of one session: asked one after the other or beside each other, as the [`Plan`] says. The first
//! that answers has the session; the others are left politely, and what was seen of them is told.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use config::model::Back;

use super::farewell::Vain;
use super::plan::{Plan, Rules, Step};
use super::seat::{self, Seat};
use super::{NO_SERVER, Wish, choose, choose_fallback, choose_spare, hedge, late};
use crate::backend::Backend;
use crate::balance::{Choice, Tried};
use crate::clock::{Clock, Millis};
use crate::connect::{self, Attempt, Connected, Fault, Scene};
use crate::controller::Evidence;
use crate::end::{Ending, Phase};
use crate::health::Sight;
use crate::prelude::{Client, patience};
use crate::session::Session;
use crate::timer;
use crate::topology::Proxy;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// A server that was asked and has not answered.
#[derive(Debug)]
struct Contender<'b> {
    seat: Seat<'b>,
    attempt: Attempt,
    begun: Millis,
    /// Asked beside a silent one.
    hedge: bool,
}

impl Contender<'_> {
    fn index(&self) -> usize {
        self.seat.server().index
    }
}

/// What a wait ended with.
enum Event {
    /// The attempt at that place has its end.
    Answer(usize, Result<Connected, Fault>),
    /// The plan has something to do.
    Time,
}

/// The search for a server.
pub(super) struct Race<'b> {
    worker: &'b Rc<Worker>,
    ticket: &'b Ticket<'b>,
    client: &'b Client,
    proxy: &'b Proxy,
    back: &'b Backend,
    conf: &'b Back,
    plan: Plan,
    /// The server a stick entry names, until it was asked.
    stuck: Option<usize>,
    /// Servers that are asked when all others have failed, in this order.
    avoided: VecDeque<usize>,
    contenders: Vec<Contender<'b>>,
    /// The seat of the attempt that failed last, and how.
    failed: Option<(Seat<'b>, Fault)>,
    /// The server that was asked first.
    first: Option<usize>,
}

impl<'b> Race<'b> {
    pub(super) fn new(
        (worker, ticket, client): (&'b Rc<Worker>, &'b Ticket<'b>, &'b Client),
        (proxy, back, conf): (&'b Proxy, &'b Backend, &'b Back),
        (stuck, gated): (Option<usize>, bool),
        wish: &Wish,
    ) -> Self {
        let rules = Rules::new(conf, stuck.is_some(), gated).within(wish.within);
        let avoided = match wish.strictly {
            true => VecDeque::new(),
            false => wish.avoid.iter().copied().collect(),
        };
        Self {
            worker,
            ticket,
            client,
            proxy,
            back,
            conf,
            plan: Plan::new(rules, &wish.avoid, Clock::get().now()),
            stuck,
            avoided,
            contenders: Vec::with_capacity(1),
            failed: None,
            first: None,
        }
    }

    fn scene(&self, session: &Session) -> Scene<'b> {
        Scene {
            worker: self.worker,
            back: self.conf,
            client: self.client,
            hello: session.hello,
        }
    }

    /// Until a server has answered, or there is nobody left to ask. Where the session ends on the way, it keeps
    /// the seat of the server it was at.
    pub(super) async fn run(&mut self, session: &mut Session) -> Result<Connected, Vain> {
        let result = self.go(session).await;
        if session.server.is_none() {
            let last = self.contenders.pop().map(|contender| contender.seat);
            let last = last.or_else(|| self.failed.take().map(|(seat, _)| seat));
            session.server = last.map(Seat::keep);
        }
        result
    }

    async fn go(&mut self, session: &mut Session) -> Result<Connected, Vain> {
        loop {
            let now = Clock::get().now();
            match self.plan.next(now) {
                Step::Replace => self.replace(session).await?,
                Step::Again(server) => self.again(session, server).await?,
                Step::Hedge => self.hedge(session, now)?,
                Step::Look(server) if self.stands(server) => self.plan.stands(server),
                Step::Look(server) | Step::Abandon(server) => self.abandon(session, server, now)?,
                Step::GiveUp => return Err(self.give_up()),
                Step::Wait(until) => match self.wait(session, until).await? {
                    Event::Time => {}
                    Event::Answer(place, Ok(connected)) => {
                        self.settle(session, place);
                        return Ok(connected);
                    }
                    Event::Answer(place, Err(fault)) => self.lost(session, place, fault)?,
                },
            }
        }
    }

    /// The first server, or the next after a failure; beside a silent one only if it has room at once.
    async fn replace(&mut self, session: &mut Session) -> Result<(), Ending> {
        let stuck = self.stuck.take();
        let choice = match stuck {
            Some(server) => Choice::Server(server),
            None if self.plan.is_not_the_first() => {
                choose_fallback(session, self.back, self.plan.tried())
            }
            None => match choose(session, self.back, &Tried::default()) {
                // All are DOWN: one of them may have come back since its last check.
                Choice::None if self.plan.is_own_way() => {
                    choose_fallback(session, self.back, &Tried::default())
                }
                choice => choice,
            },
        };
        if choice == Choice::None && self.plan.is_not_the_first() {
            match self.avoided.pop_front() {
                Some(server) => self.plan.allow(server),
                None => self.plan.exhausted(),
            }
            return Ok(());
        }
        if !self.contenders.is_empty() {
            let free = match choice {
                Choice::Server(server) => seat::at_once(self.worker, session, self.back, server),
                Choice::Full | Choice::None => None,
            };
            match free {
                Some(seat) => return self.begin(session, seat, false),
                None => self.plan.exhausted(),
            }
            return Ok(());
        }
        self.vacate(session);
        let pinned = stuck.is_some();
        let seat = seat::wait(self.worker, self.ticket, session, self.back, choice, pinned).await?;
        self.begin(session, seat, false)
    }

    /// The server whose attempt failed last, once more (HAProxy's way).
    async fn again(&mut self, session: &mut Session, server: usize) -> Result<(), Ending> {
        let kept = self.failed.take().map(|(seat, _)| seat);
        let seat = match kept.filter(|seat| seat.server().index == server) {
            Some(seat) => seat,
            None => {
                let choice = Choice::Server(server);
                seat::wait(self.worker, self.ticket, session, self.back, choice, false).await?
            }
        };
        session.retries = session.retries.saturating_add(1);
        self.back.totals.at(self.worker.id).retries.add(1);
        seat.server().totals.at(self.worker.id).retries.add(1);
        self.begin(session, seat, false)
    }

    /// A rival for a silent server, if there is one and it is allowed.
    fn hedge(&mut self, session: &mut Session, now: Millis) -> Result<(), Ending> {
        let spare = choose_spare(session, self.back, self.plan.tried());
        // Beside a server that is known to be in trouble everybody may; else only so many.
        let known = self
            .contenders
            .iter()
            .all(|c| !c.seat.server().honours_stick());
        let seat = spare
            .filter(|_| known || self.back.hedges.take(self.back))
            .and_then(|server| seat::at_once(self.worker, session, self.back, server));
        match seat {
            Some(seat) => self.begin(session, seat, true),
            None => {
                self.plan.unhedged(now);
                Ok(())
            }
        }
    }

    fn begin(&mut self, session: &mut Session, seat: Seat<'b>, hedge: bool) -> Result<(), Ending> {
        let now = Clock::get().now();
        let server = seat.server();
        let index = server.index;
        self.first.get_or_insert(index);
        server.totals.at(self.worker.id).connects.add(1);
        self.back.totals.at(self.worker.id).connects.add(1);
        self.plan.began(
            index,
            hedge::delay(self.conf, self.back, server, session.is_gated()),
            now,
        );
        self.ticket.note_server(server);
        match Attempt::begin(&self.scene(session), session, server) {
            Ok(attempt) => {
                self.contenders.push(Contender {
                    seat,
                    attempt,
                    begun: now,
                    hedge,
                });
                Ok(())
            }
            Err(fault) => self.failed(session, seat, fault, now),
        }
    }

    /// Polls whom was asked, oldest first; until one has its end, or the plan has something to do.
    async fn wait(&mut self, session: &Session, until: Option<Millis>) -> Result<Event, Ending> {
        let scene = self.scene(session);
        let contenders = &mut self.contenders;
        let answer = poll_fn(|context| {
            for (place, contender) in contenders.iter_mut().enumerate() {
                if let Poll::Ready(result) = contender.attempt.poll(context, &scene) {
                    return Poll::Ready(Event::Answer(place, result));
                }
            }
            Poll::Pending
        });
        let timed = async {
            match until {
                None => answer.await,
                Some(until) => {
                    let timed = timer::within(timer::sleep_until(until), answer).await;
                    timed.unwrap_or(Event::Time)
                }
            }
        };
        match self.ticket.wait(patience(session), timed).await {
            Ok(event) => Ok(event),
            Err(Stop::Ended(ending)) => Err(ending),
            Err(Stop::Late) => Err(late(session, Phase::Connect)),
        }
    }

    fn place_of(&self, server: usize) -> Option<usize> {
        self.contenders.iter().position(|c| c.index() == server)
    }

    fn stands(&self, server: usize) -> bool {
        self.place_of(server)
            .is_some_and(|place| self.contenders[place].attempt.stands())
    }

    fn abandon(&mut self, session: &mut Session, server: usize, now: Millis) -> Result<(), Ending> {
        let Some(place) = self.place_of(server) else {
            self.plan.failed(server, true, false, now);
            return Ok(());
        };
        let fault = if self.contenders[place].attempt.stands() {
            Fault::Silent
        } else {
            Fault::Late
        };
        self.lost(session, place, fault)
    }

    fn lost(&mut self, session: &mut Session, place: usize, fault: Fault) -> Result<(), Ending> {
        let Contender { seat, begun, .. } = self.contenders.remove(place);
        self.failed(session, seat, fault, begun)
    }

    /// An attempt that was begun then has failed: counted, told, and the plan knows.
    fn failed(
        &mut self,
        session: &mut Session,
        seat: Seat<'b>,
        fault: Fault,
        begun: Millis,
    ) -> Result<(), Ending> {
        if fault == Fault::Resource {
            return Err(Ending::RESOURCE);
        }
        let now = Clock::get().now();
        let server = seat.server();
        let totals = server.totals.at(self.worker.id);
        match fault {
            Fault::Silent => totals.silent.add(1),
            Fault::Unwelcome(_) => totals.unwelcome.add(1),
            Fault::Tls(_) | Fault::Tampered(_) => totals.tls_failures.add(1),
            Fault::Refused | Fault::Late | Fault::Resource => totals.refused.add(1),
        }
        let since = if fault.is_silence() { begun } else { now };
        session.tell_story(server.name(), fault.word(), since);
        let sight = match fault {
            Fault::Tampered(refusal) => Sight::Tampered(refusal),
            _ => Sight::Failed,
        };
        self.report(server.index, sight);
        let others = self.back.roster().selector.actives() > 1;
        let gone = !server.honours_stick();
        self.plan.failed(server.index, gone, others, now);
        self.failed = Some((seat, fault));
        Ok(())
    }

    /// Gives the seat of the last failed attempt up: the session goes to another server.
    fn vacate(&mut self, session: &mut Session) {
        if let Some((seat, _)) = self.failed.take() {
            self.count_move(session, &seat);
        }
    }

    fn count_move(&self, session: &mut Session, seat: &Seat<'_>) {
        seat.server().totals.at(self.worker.id).redispatches.add(1);
        self.back.totals.at(self.worker.id).redispatches.add(1);
        session.redispatched = true;
        session.retries = session.retries.saturating_add(1);
    }

    /// The contender at that place has answered: it has the session.
    fn settle(&mut self, session: &mut Session, place: usize) {
        let now = Clock::get().now();
        let winner = self.contenders.remove(place);
        let server = winner.seat.server();
        let totals = server.totals.at(self.worker.id);
        if session.is_gated() {
            server.has_greeted(self.worker.id, now, now - winner.begun);
        }
        totals.hedges_won.add(u64::from(winner.hedge));
        totals
            .rescued
            .add(u64::from(self.first != Some(server.index)));
        if server.conf.observe_layer4 {
            self.report(server.index, Sight::Answered);
        }
        for loser in std::mem::take(&mut self.contenders) {
            self.part(session, loser, winner.begun, now);
        }
        if let Some(ms) = session.failing_for() {
            self.back.failovers.at(self.worker.id).add(ms);
        }
        self.vacate(session);
        session.marks.connected = Some(session.age());
        session.server = Some(winner.seat.keep());
    }

    /// Leaves a server that was still silent when another answered. Whoever was asked earlier than that one was
    /// too slow, and is in trouble if nobody else has heard of it since (in the millisecond in which both were asked
    /// is not since).
    fn part(&self, session: &mut Session, loser: Contender<'_>, winner_begun: Millis, now: Millis) {
        let server = loser.seat.server();
        let totals = server.totals.at(self.worker.id);
        if loser.begun <= winner_begun && !loser.hedge || loser.begun < winner_begun {
            totals.silent.add(1);
            session.tell_story(server.name(), Fault::Silent.word(), loser.begun);
            self.count_move(session, &loser.seat);
            if server.greeted().is_none_or(|at| at <= loser.begun) {
                let for_ms = now - loser.begun;
                self.report(server.index, Sight::Silent { for_ms });
            }
        } else {
            totals.hedges_lost.add(1);
        }
        if let Some(socket) = loser.attempt.into_silent() {
            self.worker.spawn_parting(connect::part(socket));
        }
    }

    fn report(&self, server: usize, sight: Sight) {
        self.worker.report(Evidence {
            at: (self.proxy.index, server),
            sight,
        });
    }

    /// Everybody has failed. The client hears what the last one said, if that had a voice.
    fn give_up(&self) -> Vain {
        let totals = self.back.totals.at(self.worker.id);
        totals.connect_errors.add(1);
        let Some((seat, fault)) = &self.failed else {
            return NO_SERVER.into();
        };
        seat.server()
            .totals
            .at(self.worker.id)
            .connect_errors
            .add(1);
        Vain {
            ending: fault.ending(),
            words: match fault {
                Fault::Unwelcome(line) => Some(line.clone()),
                _ => None,
            },
        }
    }
}
