//! The one writer of server states.
//!
//! Checks, operators and live traffic tell it what they saw or want; [`Health`] says what that changes;
//! and the controller lets the change be seen: a new selector for workers, log lines, sessions to end. It
//! lives on the control thread and is never borrowed across an await.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use wire::check::Outcome;

use crate::balance::{Candidate, Selector};
use crate::clock::{Clock, Millis};
use crate::health::lines::{self, Severity};
use crate::health::{Admin, Change, Claim, Health, OpState, WeightError};
use crate::log::{Level, Line, LogSink, Route};
use crate::order::{Killer, Which};
use crate::plane::is_dynamic;
use crate::schedule;
use crate::server::Standing;
use crate::topology::{Proxy, Topology};

/// Names a server: index of its proxy, index in it.
pub type At = (usize, usize);

/// What a session saw of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    pub(crate) at: At,
    /// Whether the connection succeeded.
    pub(crate) success: bool,
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

    /// Takes the counts of a new selector in; tells whether the last server has just gone.
    fn update(&mut self, selector: &Selector, now: Millis) -> bool {
        let was_up = self.up;
        self.active = selector.actives() as u32;
        self.backup = selector.backups() as u32;
        self.up = self.active + self.backup > 0;
        if was_up == self.up {
            return false;
        }
        if self.up {
            self.down_before += now.saturating_sub(self.last_change);
        } else {
            self.down_transitions += 1;
        }
        self.last_change = now;
        was_up
    }
}

/// A server's state and the way to its check task.
#[derive(Debug)]
struct Unit {
    health: Health,
    wake: Rc<Notify>,
}

/// The states of all servers.
#[derive(Debug)]
pub struct Controller {
    topology: Arc<Topology>,
    log: LogSink,
    units: Vec<Vec<Unit>>,
    backends: Vec<BackendState>,
    endings: Vec<(Which, Killer)>,
    endings_wake: Rc<Notify>,
}

impl Controller {
    pub(crate) fn new(topology: &Arc<Topology>, log: LogSink) -> Self {
        let now = Clock::get().now();
        let units = topology
            .proxies
            .iter()
            .map(|proxy| {
                let Some(conf) = &proxy.conf().back else {
                    return Vec::new();
                };
                let dynamic = is_dynamic(conf.balance);
                let unit = |server| Unit {
                    health: Health::new(server, dynamic, now),
                    wake: Rc::new(Notify::new()),
                };
                conf.servers.iter().map(unit).collect()
            })
            .collect();
        let mut controller = Self {
            topology: Arc::clone(topology),
            log,
            units,
            backends: vec![
                BackendState {
                    up: true,
                    ..BackendState::default()
                };
                topology.proxies.len()
            ],
            endings: Vec::new(),
            endings_wake: Rc::new(Notify::new()),
        };
        for proxy in 0..topology.proxies.len() {
            controller.publish(proxy, now);
            controller.backends[proxy].last_change = now;
        }
        controller
    }

    /// A server's state.
    pub fn health(&self, (proxy, server): At) -> Option<&Health> {
        self.units.get(proxy)?.get(server).map(|unit| &unit.health)
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
        self.unit(at)
            .is_some_and(|unit| unit.health.enable_check(enabled))
    }

    /// What wakes the check task of a server before its time.
    pub(crate) fn wake(&self, (proxy, server): At) -> Rc<Notify> {
        Rc::clone(&self.units[proxy][server].wake)
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
        self.change(at, |health, now| health.check(outcome, took, now));
        let pause = self.health(at).map_or(0, Health::next_interval);
        schedule::spread(
            Duration::from_millis(pause),
            self.topology.model.global.spread_checks,
        )
    }

    /// A session has connected a server, or has not.
    pub(crate) fn evidence(&mut self, evidence: &Evidence) {
        self.change(evidence.at, |health, now| {
            health.evidence(evidence.success, now)
        });
    }

    /// Time passes: servers that warm up gain weight.
    pub(crate) fn tick(&mut self) {
        for proxy in 0..self.units.len() {
            for server in 0..self.units[proxy].len() {
                self.change((proxy, server), Health::tick);
            }
        }
    }

    /// Rings when sessions are to be ended.
    pub(crate) fn endings_wake(&self) -> Rc<Notify> {
        Rc::clone(&self.endings_wake)
    }

    /// Which sessions are to be ended since it was last asked.
    pub(crate) fn take_endings(&mut self) -> Vec<(Which, Killer)> {
        std::mem::take(&mut self.endings)
    }

    fn unit(&mut self, (proxy, server): At) -> Option<&mut Unit> {
        self.units.get_mut(proxy)?.get_mut(server)
    }

    /// The one funnel for every change of a server's state.
    fn change(&mut self, at: At, input: impl FnOnce(&mut Health, Millis) -> Vec<Change>) {
        let now = Clock::get().now();
        let Some(unit) = self.unit(at) else { return };
        let changes = input(&mut unit.health, now);
        if changes.is_empty() {
            return;
        }
        let silent = |change: &Change| matches!(change, Change::Checked(_) | Change::CheckNow);
        let last_gone = !changes.iter().all(silent) && self.publish(at.0, now);
        for change in &changes {
            let requeued = self.follow_up(at, change);
            self.tell(at, change, requeued, now);
        }
        if last_gone {
            self.tell_no_server(at.0, now);
        }
    }

    /// Lets workers see a backend's servers as they are now. True: the last usable one has just gone.
    fn publish(&mut self, proxy: usize, now: Millis) -> bool {
        let topology = Arc::clone(&self.topology);
        let proxy_ref = &topology.proxies[proxy];
        let (Some(back), Some(conf)) = (&proxy_ref.back, &proxy_ref.conf().back) else {
            return false;
        };
        let candidates: Vec<_> = self.units[proxy]
            .iter()
            .zip(&back.servers)
            .map(|(unit, server)| Candidate {
                index: server.index,
                id: server.conf.id,
                usable: unit.health.is_usable(),
                backup: server.conf.backup,
                weight: unit.health.effective_weight(now),
                last_resort: !unit.health.in_maint(),
            })
            .collect();
        let selector = Selector::new(&candidates, conf.balance, conf.allbackups);
        for (unit, server) in self.units[proxy].iter().zip(&back.servers) {
            let out = unit.health.op() == OpState::Stopped;
            server.set_standing(if out { Standing::Out } else { Standing::In });
        }
        let eligible: Vec<_> = back
            .servers
            .iter()
            .map(|server| selector.serves_any(server.index))
            .collect();
        let last_gone = self.backends[proxy].update(&selector, now);
        back.selector.store(Arc::new(selector));
        for (server, eligible) in eligible.into_iter().enumerate() {
            let warmth = self.units[proxy][server]
                .health
                .throttle(now)
                .unwrap_or(100);
            back.queue.adjust(server, eligible, warmth);
        }
        if last_gone {
            back.queue.requeue_all();
        }
        last_gone
    }

    /// What a change means for sessions; returns how many were sent to wait elsewhere.
    fn follow_up(&mut self, at: At, change: &Change) -> u32 {
        let (proxy, server) = at;
        let Some(back) = &self.topology.proxies[proxy].back else {
            return 0;
        };
        let conf = &back.servers[server].conf;
        let (down, up) = (
            conf.on_marked_down_shutdown,
            conf.on_marked_up_shutdown_backups,
        );
        match change {
            Change::WentDown { .. } | Change::EnteredMaint { .. } => {
                if down {
                    self.endings
                        .push((Which::OnServer { proxy, server }, Killer::MarkedDown));
                    self.endings_wake.notify_one();
                }
                back.queue.requeue(server)
            }
            Change::EnteredDrain { .. } => back.queue.requeue(server),
            Change::WentUp { .. } | Change::LeftMaint { drained: false, .. } => {
                let serves = self.units[proxy][server].health.uweight() > 0 && !conf.backup;
                if up && serves {
                    self.endings
                        .push((Which::OnBackups { proxy }, Killer::MarkedUp));
                    self.endings_wake.notify_one();
                }
                0
            }
            Change::CheckNow => {
                self.units[proxy][server].wake.notify_one();
                0
            }
            _ => 0,
        }
    }

    /// Writes what a change is worth saying, to the backend's log and to standard error.
    fn tell(&self, (proxy, server): At, change: &Change, requeued: u32, now: Millis) {
        let proxy_ref = &self.topology.proxies[proxy];
        let (Some(back), Some(conf)) = (&proxy_ref.back, &proxy_ref.conf().back) else {
            return;
        };
        let server = &back.servers[server];
        let state = self.backends[proxy];
        let subject = lines::Subject {
            proxy: proxy_ref.name(),
            server: server.name(),
            backup: server.conf.backup,
            log_health_checks: conf.log_health_checks,
        };
        let standing = lines::Standing {
            actives: state.active as usize,
            backups: state.backup as usize,
            sessions: server.sessions.get(),
            requeued,
            queued: back.queue.depth(server.index).now,
        };
        if let Some(line) = lines::line(subject, change, standing) {
            self.say(proxy_ref, line.severity.into(), line.text, now);
        }
    }

    fn tell_no_server(&self, proxy: usize, now: Millis) {
        let proxy = &self.topology.proxies[proxy];
        let listen = proxy.front.is_some();
        let line = lines::no_server(proxy.name(), listen);
        self.log_line(proxy, line.severity.into(), line.text, now);
        let kind = if listen { "proxy" } else { "backend" };
        let text = format!("{kind} '{}' has no server available!", proxy.name());
        self.console(Level::Emerg, text, now);
    }

    fn say(&self, proxy: &Proxy, level: Level, text: String, now: Millis) {
        self.log_line(proxy, level, text.clone(), now);
        // Standard error knows alerts, warnings and notices; what is said of a server is a warning.
        self.console(Level::Warning, text, now);
    }

    fn log_line(&self, proxy: &Proxy, level: Level, text: String, at: Millis) {
        if proxy.logger.is_on() {
            let route = Route::Proxy(Arc::clone(&proxy.logger));
            self.log.send(vec![Line {
                route,
                level,
                at,
                text,
            }]);
        }
    }

    fn console(&self, level: Level, text: String, at: Millis) {
        self.log.send(vec![Line {
            route: Route::Console,
            level,
            at,
            text,
        }]);
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Emerg => Self::Emerg,
            Severity::Alert => Self::Alert,
            Severity::Notice => Self::Notice,
        }
    }
}
