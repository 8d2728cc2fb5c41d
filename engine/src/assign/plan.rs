//! Which server next, when to hedge, when to give up: the decision alone, without a clock and without I/O.
//!
//! Posthouse's own way: every server once; a failed one is replaced at once, beside a silent one a second
//! is asked after the hedge time, and whoever greets first has the session. HAProxy's way, where `retries`
//! or `option redispatch` are written (haproxy-compat 3.7): `retries` more attempts, on the same server
//! after a pause unless `option redispatch` lets the session go; a silent server is hedged there as well,
//! because HAProxy has no word about it, but only where the session may go elsewhere.
//!
//! Whoever drives a plan asks it for the next [`Step`], does it, and tells it what came of it. Times are
//! milliseconds of one clock.

use config::model::{Back, Balance, Failover};

use crate::balance::Tried;
use crate::clock::Millis;

/// HAProxy's default for `retries`.
const RETRIES: u32 = 3;

/// The pause before the same server is tried again, unless `timeout connect` is shorter.
const TURN_AROUND: Millis = 1_000;

/// `timeout greeting` where it is not written. Servers that look clients up before they greet take a second
/// or two; beside one that is silent for longer another is tried.
const GREETING: Millis = 5_000;

/// How long the last server there is may be silent in `mode smtp` (RFC 5321, 4.5.3.2.1).
const PATIENCE: Millis = 300_000;

/// What the configuration says, in ms; `None` is no limit.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    way: Way,
    /// A server that is connected and silent has nothing yet.
    gated: bool,
    connect: Option<Millis>,
    greeting: Millis,
    server: Option<Millis>,
}

#[derive(Debug, Clone)]
enum Way {
    Own {
        time: Millis,
        attempts: u32,
    },
    Haproxy {
        retries: u32,
        redispatch: i32,
        /// Whether a session that nothing pins moves on at the first failure.
        free: bool,
    },
}

impl Rules {
    /// For sessions of that backend; `pinned` when a stick entry chose the server, `gated` when it has the session
    /// only once it has spoken.
    pub(super) fn new(conf: &Back, pinned: bool, gated: bool) -> Self {
        let ms = |time: std::time::Duration| time.as_millis() as Millis;
        let haproxy = Way::Haproxy {
            retries: conf.retries.unwrap_or(RETRIES),
            redispatch: conf.redispatch.unwrap_or(0),
            free: !pinned && conf.balance != Balance::Source,
        };
        let own = |time: Option<_>, attempts: Option<u32>| Way::Own {
            time: ms(time.unwrap_or(Failover::TIME)),
            attempts: attempts.unwrap_or(u32::MAX),
        };
        Self {
            way: match conf.failover {
                Some(Failover::Off) => haproxy,
                Some(Failover::On { time, attempts }) => own(time, attempts),
                None if conf.retries.is_some() || conf.redispatch.is_some() => haproxy,
                None => own(None, None),
            },
            gated,
            connect: conf.timeout_connect.map(ms),
            greeting: conf.timeout_greeting.map_or(GREETING, ms),
            server: match conf.smtp {
                Some(_) => Some(conf.timeout_server.map_or(PATIENCE, ms).min(PATIENCE)),
                None => conf.timeout_server.map(ms),
            },
        }
    }

    /// Nothing takes longer than that.
    pub(super) fn within(mut self, time: Option<std::time::Duration>) -> Self {
        let Some(most) = time.map(|time| time.as_millis() as Millis) else {
            return self;
        };
        if let Way::Own { time, .. } = &mut self.way {
            *time = most.min(*time);
        }
        for limit in [&mut self.connect, &mut self.server] {
            *limit = Some(limit.map_or(most, |limit| limit.min(most)));
        }
        self
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask another server; none of [`Plan::tried`].
    Replace,
    /// The same, beside those that are asked already: only a server that is usable and free, and only if the
    /// share of such attempts allows it. If not: [`Plan::unhedged`].
    Hedge,
    /// Ask that server once more.
    Again(usize),
    /// If the connection to that server stands, say so ([`Plan::stands`]); if not, abandon it.
    Look(usize),
    /// Its time is up: abandon it, and say so with [`Plan::failed`].
    Abandon(usize),
    /// Wait for an answer, at most until then.
    Wait(Option<Millis>),
    /// There is nobody left to ask.
    GiveUp,
}

/// An attempt that has no answer yet.
#[derive(Debug)]
struct Running {
    server: usize,
    begun: Millis,
    connected: bool,
    hedge: Option<Millis>,
}

/// The attempts of one session.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Rules,
    began: Millis,
    /// The session has had a server before.
    anew: bool,
    tried: Tried,
    running: Vec<Running>,
    attempts: u32,
    /// HAProxy's way: failures so far, and what follows the last one.
    failures: u32,
    again: Option<(usize, Millis)>,
    /// The balance has named all it has.
    exhausted: bool,
}

impl Plan {
    /// `avoid` are servers that count as tried.
    pub(super) fn new(rules: Rules, avoid: &[usize], now: Millis) -> Self {
        let mut tried = Tried::default();
        avoid.iter().for_each(|server| tried.insert(*server));
        Self {
            rules,
            began: now,
            anew: !avoid.is_empty(),
            tried,
            running: Vec::with_capacity(1),
            attempts: 0,
            failures: 0,
            again: None,
            exhausted: false,
        }
    }

    /// Whether neither `retries` nor `option redispatch` ask for HAProxy's way.
    pub(super) fn is_own_way(&self) -> bool {
        matches!(self.rules.way, Way::Own { .. })
    }

    /// Those not to ask (again).
    pub(super) fn tried(&self) -> &Tried {
        &self.tried
    }

    /// Whether the next server is one after a failure.
    pub(super) fn is_not_the_first(&self) -> bool {
        self.anew || self.attempts > 0
    }

    /// That server may be asked after all.
    pub(super) fn allow(&mut self, avoided: usize) {
        self.tried.remove(avoided);
    }

    /// A server was asked. It is expected to answer within `hedge`; `None`: no hedging.
    pub(super) fn began(&mut self, server: usize, hedge: Option<Millis>, now: Millis) {
        self.attempts += 1;
        self.tried.insert(server);
        let hedge = hedge.map(|hedge| now + hedge.min(self.rules.greeting));
        self.running.push(Running {
            server,
            begun: now,
            connected: false,
            hedge,
        });
    }

    /// The connection to that server stands: it has longer.
    pub(super) fn stands(&mut self, server: usize) {
        if let Some(running) = self.running.iter_mut().find(|r| r.server == server) {
            running.connected = true;
        }
    }

    /// The balance has no other server.
    pub(super) fn exhausted(&mut self) {
        self.exhausted = true;
    }

    /// There is nobody to hedge with now: asked again after as long again.
    pub(super) fn unhedged(&mut self, now: Millis) {
        if let Some(newest) = self.running.last_mut() {
            newest.hedge = newest.hedge.map(|at| at + (now - newest.begun).max(1));
        }
    }

    /// An attempt has failed. `gone`: its server is not to be used any more; `others`: there is another active one.
    pub(super) fn failed(&mut self, server: usize, gone: bool, others: bool, now: Millis) {
        self.running.retain(|running| running.server != server);
        let Way::Haproxy {
            retries,
            redispatch,
            free,
        } = self.rules.way
        else {
            return;
        };
        self.failures += 1;
        let number = self.failures;
        let due = match redispatch {
            0 => false,
            every @ 1.. => number.is_multiple_of(every.unsigned_abs()),
            from_end => number + from_end.unsigned_abs() == retries + 1,
        };
        if redispatch != 0 && (due || gone || (free && others)) {
            // Whoever failed before is asked again when its turn comes.
            self.tried = Tried::default();
            self.tried.insert(server);
            for running in &self.running {
                self.tried.insert(running.server);
            }
            self.exhausted = false;
        } else {
            let pause = self
                .rules
                .connect
                .map_or(TURN_AROUND, |limit| limit.min(TURN_AROUND));
            self.again = Some((server, now + pause));
        }
    }

    /// What to do at that time.
    pub(super) fn next(&mut self, now: Millis) -> Step {
        if let Some(step) = self.overdue(now) {
            return step;
        }
        if self.running.is_empty() {
            return self.replace(now);
        }
        let may_go = !self.exhausted && self.may_begin(now) && self.may_leave();
        let newest = self.running.last().filter(|_| may_go);
        if let Some(newest) = newest {
            if self.rules.gated && now >= newest.begun + self.rules.greeting {
                return Step::Replace;
            }
            if newest.hedge.is_some_and(|at| now >= at) {
                return Step::Hedge;
            }
        }
        let move_on = newest.into_iter().flat_map(|newest| {
            let silence = self
                .rules
                .gated
                .then_some(newest.begun + self.rules.greeting);
            [silence, newest.hedge].into_iter().flatten()
        });
        let ends = self
            .running
            .iter()
            .filter_map(|running| self.end_of(running));
        Step::Wait(move_on.chain(ends).min())
    }

    /// Until when an attempt may take. Where nothing is known of the protocol it ends when it is connected.
    fn end_of(&self, running: &Running) -> Option<Millis> {
        let limit = if running.connected {
            self.rules.server
        } else {
            self.rules.connect
        };
        limit.map(|limit| running.begun + limit)
    }

    fn overdue(&self, now: Millis) -> Option<Step> {
        let over = |r: &&Running| self.end_of(r).is_some_and(|end| now >= end);
        let late = self.running.iter().find(over)?;
        Some(if self.rules.gated && !late.connected {
            Step::Look(late.server)
        } else {
            Step::Abandon(late.server)
        })
    }

    /// Nobody is asked now: who is?
    fn replace(&mut self, now: Millis) -> Step {
        if !self.may_begin(now) {
            return Step::GiveUp;
        }
        match self.again {
            Some((_, at)) if now < at => Step::Wait(Some(at)),
            Some((server, _)) => {
                self.again = None;
                Step::Again(server)
            }
            None if self.exhausted => Step::GiveUp,
            None => Step::Replace,
        }
    }

    /// The budget.
    fn may_begin(&self, now: Millis) -> bool {
        match self.rules.way {
            Way::Own { time, attempts } => self.attempts < attempts && now < self.began + time,
            Way::Haproxy { retries, .. } => self.failures <= retries,
        }
    }

    /// Whether the session may go to a server that is not the first.
    fn may_leave(&self) -> bool {
        match self.rules.way {
            Way::Own { .. } => true,
            Way::Haproxy { redispatch, .. } => redispatch != 0,
        }
    }
}
