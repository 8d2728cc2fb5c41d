//! The one writer of server states.
//!
//! Checks, operators and live traffic tell it what they saw or want; [`Health`] says what that changes;
//! and the controller lets the change be seen: a new selector for workers, events, sessions to end. It
//! lives on the control thread and is never borrowed across an await.

mod agent;
mod member;
mod tell;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wire::check::Outcome;

pub use self::member::Refused;
use crate::backend::Backend;
use crate::balance::{Candidate, Selector};
use crate::clock::{Clock, Millis};
use crate::event::{Bus, Unfit};
use crate::health::{Admin, Change, Claim, Health, OpState, Sight, WeightError};
use crate::order::{Killer, Which};
use crate::plane::is_dynamic;
use crate::roster::{Places, Roster, Servers};
use crate::schedule;
use crate::server::Standing;
use crate::topology::Topology;

use self::tell::Before;

/// Names a server: index of its proxy, index in it.
pub type At = (usize, usize);

/// What a session saw of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    pub(crate) at: At,
    pub(crate) sight: Sight,
}

/// A backend as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackendState {
    /// Whether any server is usable.
    pub up: bool,
    /// Usable servers that are not backups.
    pub active: u32,
    /// Usable backups.
    pub backup: u32,
    /// When it last went up or down.
    pub last_change: Millis,
    /// Times it went down.
    pub down_transitions: u64,
    down_before: Millis,
}

impl BackendState {
    /// Milliseconds without a usable server so far.
    pub fn downtime(&self, now: Millis) -> Millis {
        let current = if self.up {
            0
        } else {
            now.saturating_sub(self.last_change)
        };
        self.down_before + current
    }

    /// Takes the usable servers in; tells whether it has just gone up or down.
    fn update(&mut self, candidates: &[Candidate], now: Millis) -> Option<Turn> {
        let was_up = self.up;
        let usable = |backup: bool| {
            let counted = |c: &&Candidate| c.usable && c.weight > 0 && c.backup == backup;
            candidates.iter().filter(counted).count() as u32
        };
        self.active = usable(false);
        self.backup = usable(true);
        self.up = self.active + self.backup > 0;
        if was_up == self.up {
            return None;
        }
        let lasted = now.saturating_sub(self.last_change);
        let without = if self.up { lasted } else { 0 };
        self.down_before += without;
        self.down_transitions += u64::from(was_up);
        self.last_change = now;
        Some(Turn {
            up: self.up,
            without,
        })
    }
}

/// A backend has gone up or down.
#[derive(Debug, Clone, Copy)]
struct Turn {
    up: bool,
    /// Milliseconds it was down.
    without: Millis,
}

/// What a new selector meant for the backend.
#[derive(Debug, Default)]
struct Published {
    turn: Option<Turn>,
    /// New sessions go to others: by place in the backend, those of before and those of now.
    failover: Option<(Vec<usize>, Vec<usize>)>,
}

/// A server's state and the way to its check task.
#[derive(Debug)]
struct Unit {
    health: Health,
    wake: Rc<Notify>,
    /// Ends what runs for it when it is deleted.
    tasks: Vec<AbortHandle>,
    /// When an alarm about its STARTTLS was last given.
    alarmed: Option<Millis>,
}

impl Unit {
    fn new(health: Health) -> Self {
        Self {
            health,
            wake: Rc::new(Notify::new()),
            tasks: Vec::new(),
            alarmed: None,
        }
    }
}

/// The states of all servers.
#[derive(Debug)]
pub struct Controller {
    topology: Arc<Topology>,
    bus: Rc<Bus>,
    /// By proxy and place.
    units: Vec<Vec<Option<Unit>>>,
    places: Vec<Places>,
    backends: Vec<BackendState>,
    /// Who had the new sessions of each backend last, while anybody had.
    served: Vec<Vec<usize>>,
    endings: Vec<(Which, Killer)>,
    wake: Rc<Notify>,
}

impl Controller {
    pub(crate) fn new(topology: &Arc<Topology>, bus: Rc<Bus>) -> Self {
        let now = Clock::get().now();
        let units: Vec<Vec<_>> = topology
            .proxies
            .iter()
            .map(|proxy| {
                let Some(conf) = &proxy.conf().back else {
                    return Vec::new();
                };
                let dynamic = is_dynamic(conf.balance);
                let health = |server| Health::new(server, dynamic, conf.failback, now);
                let servers = conf.servers.iter();
                servers.map(|s| Some(Unit::new(health(s)))).collect()
            })
            .collect();
        let places = units.iter().map(|units| Places::new(units.len())).collect();
        let mut controller = Self {
            topology: Arc::clone(topology),
            bus,
            units,
            places,
            backends: vec![
                BackendState {
                    up: true,
                    ..BackendState::default()
                };
                topology.proxies.len()
            ],
            served: vec![Vec::new(); topology.proxies.len()],
            endings: Vec::new(),
            wake: Rc::new(Notify::new()),
        };
        for proxy in 0..topology.proxies.len() {
            controller.publish(proxy, now);
            controller.backends[proxy].last_change = now;
        }
        controller
    }

    /// A server's state.
    pub fn health(&self, (proxy, server): At) -> Option<&Health> {
        Some(&self.units.get(proxy)?.get(server)?.as_ref()?.health)
    }

    /// A backend's state, by index of its proxy.
    pub fn backend(&self, proxy: usize) -> BackendState {
        self.backends.get(proxy).copied().unwrap_or_default()
    }

    /// `set server <b>/<s> state`.
    pub fn admin(&mut self, at: At, wanted: Admin) {
        self.change(at, |health, now| health.admin(wanted, now));
    }

    /// `set server <b>/<s> health`.
    pub fn set_health(&mut self, at: At, claim: Claim) {
        self.change(at, |health, now| health.set_health(claim, now));
    }

    /// `set server <b>/<s> weight`: a number or a percentage.
    ///
    /// # Errors
    /// The text is no weight, or the balance algorithm cannot change it.
    pub fn set_weight(&mut self, at: At, weight: &str) -> Result<(), WeightError> {
        let mut refused = None;
        self.change(at, |health, _| match health.set_weight(weight) {
            Ok(changes) => changes,
            Err(error) => {
                refused = Some(error);
                Vec::new()
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// `enable health`, `disable health`. False where the server has no check.
    pub fn enable_check(&mut self, at: At, enabled: bool) -> bool {
        let mut has_one = false;
        self.change(at, |health, _| {
            let changes = health.enable_check(enabled);
            has_one = changes.is_some();
            changes.unwrap_or_default()
        });
        has_one
    }

    /// Counts anew (`clear counters all`).
    pub(crate) fn clear_counters(&mut self) {
        for unit in self.units.iter_mut().flatten().flatten() {
            unit.health.clear_counters();
        }
        for backend in &mut self.backends {
            backend.down_transitions = 0;
        }
    }

    /// What wakes the check task of a server before its time.
    pub(crate) fn wake_of_check(&self, (proxy, server): At) -> Rc<Notify> {
        let unit = self
            .units
            .get(proxy)
            .and_then(|units| units.get(server)?.as_ref());
        unit.map(|unit| Rc::clone(&unit.wake)).unwrap_or_default()
    }

    /// A check is about to run. False: not now.
    pub(crate) fn check_begins(&mut self, at: At) -> bool {
        let Some(unit) = self.unit(at) else {
            return false;
        };
        if unit.health.wants_checks() {
            unit.health.check_started();
        }
        unit.health.wants_checks()
    }

    /// A check has ended; returns the pause before the next.
    pub(crate) fn check_ended(&mut self, at: At, outcome: Outcome, took: Duration) -> Duration {
        let took = took.as_millis() as u64;
        self.heed_greetings(at);
        self.change(at, |health, now| health.check(outcome, took, now));
        let pause = self.health(at).map_or(0, Health::next_interval);
        schedule::spread(
            Duration::from_millis(pause),
            self.topology.model.global.spread_checks,
        )
    }

    /// A session has reached a server, or has not.
    pub(crate) fn evidence(&mut self, evidence: &Evidence) {
        self.heed_greetings(evidence.at);
        match evidence.sight {
            Sight::Tampered(refusal) => self.tell_unfit(evidence.at, Unfit::StartTls(refusal)),
            Sight::Untold => self.tell_unfit(evidence.at, Unfit::Xclient),
            _ => {}
        }
        self.change(evidence.at, |health, now| {
            health.evidence(evidence.sight, now)
        });
        let health = self.health(evidence.at);
        if health.is_some_and(|health| {
            health
                .silence_ends()
                .or_else(|| health.reserve_ends())
                .is_some()
        }) {
            self.wake.notify_one();
        }
    }

    /// Lets a server's health know when it last greeted a session.
    fn heed_greetings(&mut self, (proxy, server): At) {
        let back = self.topology.proxies[proxy].back.as_ref();
        let greeted = back.and_then(|back| back.servers().at(server)?.greeted());
        if let (Some(at), Some(unit)) = (greeted, self.unit((proxy, server))) {
            unit.health.greeted(at);
        }
    }

    /// Time passes: servers that warm up gain weight, a reserve or a silence ends.
    pub(crate) fn tick(&mut self) {
        for proxy in 0..self.units.len() {
            for server in 0..self.units[proxy].len() {
                let at = (proxy, server);
                let Some(health) = self.health(at) else {
                    continue;
                };
                if health.silence_ends().is_some() {
                    self.heed_greetings(at);
                    self.change(at, Health::judge_silence);
                }
                self.change(at, Health::tick);
            }
        }
    }

    /// When the next silence or reserve ends.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let ends = |unit: &Unit| [unit.health.silence_ends(), unit.health.reserve_ends()];
        let units = self.units.iter().flatten().flatten();
        units.flat_map(ends).flatten().min()
    }

    /// Rings when there is something to do by the clock, or sessions to end.
    pub(crate) fn wake_of_clock(&self) -> Rc<Notify> {
        Rc::clone(&self.wake)
    }

    /// Which sessions are to be ended since it was last asked.
    pub(crate) fn take_endings(&mut self) -> Vec<(Which, Killer)> {
        std::mem::take(&mut self.endings)
    }

    fn unit(&mut self, (proxy, server): At) -> Option<&mut Unit> {
        self.units.get_mut(proxy)?.get_mut(server)?.as_mut()
    }

    /// The one funnel for every change of a server's state.
    fn change(&mut self, at: At, input: impl FnOnce(&mut Health, Millis) -> Vec<Change>) {
        let now = Clock::get().now();
        let Some(unit) = self.unit(at) else { return };
        let before = Before::of(&unit.health);
        let changes = input(&mut unit.health, now);
        if changes.is_empty() {
            return;
        }
        let silent = |change: &Change| matches!(change, Change::Checked(_) | Change::CheckNow);
        let published = if changes.iter().all(silent) {
            Published::default()
        } else {
            self.publish(at.0, now)
        };
        for change in changes {
            let requeued = self.follow_up(at, &change);
            self.tell(at, before, change, requeued);
        }
        self.tell_side(at, before, now);
        self.tell_backend(at.0, published);
    }

    /// Lets workers see a backend's servers as they are now.
    fn publish(&mut self, proxy: usize, now: Millis) -> Published {
        let back = self.topology.proxies[proxy].back.as_ref();
        let servers = back.map(Backend::servers).unwrap_or_default();
        self.publish_servers(proxy, servers, now)
    }

    /// The same with other servers than before.
    fn publish_servers(&mut self, proxy: usize, servers: Arc<Servers>, now: Millis) -> Published {
        let topology = Arc::clone(&self.topology);
        let proxy_ref = &topology.proxies[proxy];
        let (Some(back), Some(conf)) = (&proxy_ref.back, &proxy_ref.conf().back) else {
            return Published::default();
        };
        let mut candidates = Vec::with_capacity(servers.len());
        let mut warmth = Vec::with_capacity(servers.len());
        for server in servers.iter() {
            // Who is listed has a state.
            let Some(health) = self.health((proxy, server.index)) else {
                continue;
            };
            candidates.push(Candidate {
                index: server.index,
                id: server.conf.id,
                usable: health.is_usable(),
                backup: server.conf.backup,
                weight: health.effective_weight(now),
                reserve: health.in_reserve() || health.is_avoided(),
                last_resort: !health.in_maint(),
            });
            warmth.push(health.throttle(now).unwrap_or(100));
        }
        // Who is in reserve is left alone while others serve; where there are no others, nobody is.
        let serving = |c: &Candidate| c.usable && c.weight > 0 && !c.reserve;
        if !candidates.iter().any(serving) {
            candidates.iter_mut().for_each(|c| c.reserve = false);
        }
        let selector = Selector::new(&candidates, conf.balance, conf.allbackups);
        for (server, candidate) in servers.iter().zip(&candidates) {
            let stopped = self
                .health((proxy, server.index))
                .is_none_or(|health| health.op() == OpState::Stopped);
            let out = stopped || candidate.reserve;
            server.set_standing(if out { Standing::Out } else { Standing::In });
        }
        let places = servers.iter().map(|server| server.index);
        let serving: Vec<_> = places.filter(|&place| selector.serves_any(place)).collect();
        let turn = self.backends[proxy].update(&candidates, now);
        let shown = Arc::clone(&servers);
        back.set_roster(Roster { servers, selector });
        back.refresh_offer();
        for (server, warmth) in shown.iter().zip(warmth) {
            let eligible = serving.contains(&server.index);
            back.queue.adjust(server.index, eligible, warmth);
        }
        let failover = self.serve(proxy, serving);
        if turn.is_some_and(|turn| !turn.up) {
            back.queue.requeue_all();
        }
        Published { turn, failover }
    }

    /// Notes who has a backend's new sessions from now on. Some: none of them had before.
    fn serve(&mut self, proxy: usize, now: Vec<usize>) -> Option<(Vec<usize>, Vec<usize>)> {
        if now.is_empty() {
            return None;
        }
        let before = std::mem::replace(&mut self.served[proxy], now);
        let now = &self.served[proxy];
        let others = !before.is_empty() && !now.iter().any(|server| before.contains(server));
        others.then(|| (before, now.clone()))
    }

    /// What a change means for sessions; returns how many were sent to wait elsewhere.
    fn follow_up(&mut self, at: At, change: &Change) -> u32 {
        let (proxy, server) = at;
        let Some(back) = &self.topology.proxies[proxy].back else {
            return 0;
        };
        let servers = back.servers();
        let (Some(conf), Some(unit)) = (
            servers.at(server).map(|server| &server.conf),
            self.units[proxy].get(server).and_then(Option::as_ref),
        ) else {
            return 0;
        };
        let reads_mail = back.mail.is_some();
        let (down, up) = (
            conf.on_marked_down_shutdown,
            conf.on_marked_up_shutdown_backups,
        );
        match change {
            Change::WentDown { .. } | Change::EnteredMaint { .. } => {
                // Who reads its mail is not ended but carried over, where that is safe.
                let moved = reads_mail && matches!(change, Change::WentDown { .. });
                if down || moved {
                    self.endings
                        .push((Which::OnServer { proxy, server }, Killer::MarkedDown));
                    self.wake.notify_one();
                }
                back.queue.requeue(server)
            }
            Change::EnteredDrain { .. } => back.queue.requeue(server),
            Change::WentUp { .. } | Change::LeftMaint { drained: false, .. } => {
                let serves = unit.health.uweight() > 0 && !conf.backup;
                if up && serves {
                    self.endings
                        .push((Which::OnBackups { proxy }, Killer::MarkedUp));
                    self.wake.notify_one();
                }
                0
            }
            Change::CheckNow => {
                unit.wake.notify_one();
                0
            }
            _ => 0,
        }
    }
}
