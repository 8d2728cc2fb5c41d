//! A server's health: the one state machine that checks, operators and live traffic drive.
//!
//! Owned by the controller alone, one per server. Every input returns what it changed, as [`Change`]s:
//! the controller turns them into log lines (see [`lines`]), a new selector, ended sessions. No clock and
//! no I/O; times are milliseconds of one clock. Semantics: haproxy-compat 3.2, 3.3, 3.10, 3.16.
//!
//! At the start a server is UP at once and its first failed check marks it DOWN. (HAProxy 3.4.0 begins
//! with a health of 0 where there is no `default-server` line; that slip is not reproduced.)

mod admin;
mod agent;
mod flaws;
pub mod lines;
mod live;
mod reserve;
mod status;
#[cfg(test)]
mod tests;
mod weight;

use bitflags::bitflags;
use config::model::{Failback, OnError, Server};
use wire::check::{Outcome, Status, Verdict};

use self::agent::AgentState;
use self::flaws::Flaws;
use self::live::Live;
pub use self::live::Sight;
use self::reserve::Reserve;
use self::status::fraction;
pub use self::weight::WeightError;

bitflags! {
    /// What operators and the configuration ask of a server: `srv_admin_state` of `show servers state`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct AdminBits: u8 {
        /// Forced maintenance, by an operator.
        const FMAINT = 0x01;
        /// Maintenance inherited from a tracked server.
        const IMAINT = 0x02;
        /// The configuration says `disabled`. Stays set as a reminder.
        const CMAINT = 0x04;
        /// Forced drain, by an operator.
        const FDRAIN = 0x08;
        /// Drain inherited from a tracked server.
        const IDRAIN = 0x10;
        /// Maintenance because its name does not resolve.
        const RMAINT = 0x20;
        /// Its host name was set by an operator.
        const HMAINT = 0x40;
        /// Any reason for maintenance.
        const MAINT = Self::FMAINT.bits() | Self::IMAINT.bits() | Self::RMAINT.bits();
        /// Any reason for drain.
        const DRAIN = Self::FDRAIN.bits() | Self::IDRAIN.bits();
    }
}

/// `srv_op_state` of `show servers state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OpState {
    /// DOWN.
    Stopped = 0,
    /// UP and warming up (slowstart).
    Starting = 1,
    /// UP.
    Running = 2,
    /// No new sessions but those a stick entry sends (NOLB).
    Stopping = 3,
}

/// A server's state in a word, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// Serves, if its weight is not 0.
    Up,
    /// Does not.
    Down,
    /// No new sessions but those a stick entry sends: a check said so.
    Nolb,
    /// The same: an operator said so.
    Drain,
    /// In maintenance.
    Maint,
}

/// What an operator asks (`set server <b>/<s> state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// `ready`: out of maintenance and drain.
    Ready,
    /// `drain`: no new sessions but those a stick entry sends.
    Drain,
    /// `maint`: no sessions, no checks.
    Maint,
}

/// What an operator claims (`set server <b>/<s> health`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// `up`.
    Up,
    /// `stopping`.
    Stopping,
    /// `down`.
    Down,
}

/// The result of the last check, or what live traffic said instead of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was found.
    pub outcome: Outcome,
    /// How long the check took, in ms; `None` where there was none (live traffic).
    pub duration_ms: Option<u64>,
}

/// Why a state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A check, or live traffic.
    Report(Report),
    /// An operator's claim.
    Cli,
}

/// What an input has changed, in the order it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A check's result is news: status or health are others than before (`option log-health-checks`).
    Checked(Detail),
    /// It is DOWN; sessions that wait for it go elsewhere, `on-marked-down` applies.
    WentDown {
        /// Why.
        cause: Cause,
        /// It was drained or stopping: no reason to be alarmed.
        expected: bool,
    },
    /// It is UP; `on-marked-up` applies.
    WentUp {
        /// Why.
        cause: Cause,
    },
    /// It takes no new sessions (NOLB).
    Stopping {
        /// Why.
        cause: Cause,
    },
    /// In maintenance; `on-marked-down` applies.
    EnteredMaint {
        /// It was not DOWN before.
        was_up: bool,
        /// It was drained or stopping.
        expected: bool,
    },
    /// Out of maintenance; `on-marked-up` applies when it is not drained.
    LeftMaint {
        /// It is UP.
        up: bool,
        /// It is drained now.
        drained: bool,
    },
    /// Drained.
    EnteredDrain {
        /// It is UP.
        up: bool,
    },
    /// Not drained any more.
    LeftDrain {
        /// It is UP.
        up: bool,
    },
    /// Its state changed and it is still drained.
    StillDrained,
    /// Its effective weight changed.
    Weight,
    /// A check should run now rather than when it is due.
    CheckNow,
}

/// The numbers of a `Health check for ...` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The check.
    pub report: Report,
    /// It was the agent's word.
    pub agent: bool,
    /// `3/3 UP`, see [`Health::fraction`].
    pub fraction: String,
}

/// The health of one server.
#[derive(Debug)]
pub struct Health {
    conf: Timing,
    op: OpState,
    admin: AdminBits,
    health: u32,
    check: CheckState,
    agent: AgentState,
    last: Option<Report>,
    live: Live,
    reserve: Reserve,
    flaws: Flaws,
    fast_once: bool,
    changed: u64,
    down_since: Option<u64>,
    down_before: u64,
    failed_checks: u64,
    down_transitions: u64,
    uweight: u32,
    iweight: u32,
    dynamic: bool,
}

/// What of the `server` line matters here, in ms.
#[derive(Debug)]
struct Timing {
    rise: u32,
    fall: u32,
    inter: u64,
    fastinter: u64,
    downinter: u64,
    slowstart: u64,
    observe: bool,
    error_limit: u32,
    on_error: OnError,
    failback: Failback,
}

#[derive(Debug, Clone, Copy)]
struct CheckState {
    configured: bool,
    enabled: bool,
    paused: bool,
    running: bool,
    status: Status,
    /// `None`: no result yet, or a check is running.
    result: Option<Verdict>,
}

impl Health {
    /// A server as its line says. `dynamic` tells whether the backend's algorithm takes any weight at
    /// run time (all but `static-rr` and `source`); `failback` when it gets sessions again after a fault.
    pub fn new(server: &Server, dynamic: bool, failback: Failback, now: u64) -> Self {
        let ms = |time: std::time::Duration| time.as_millis() as u64;
        let inter = ms(server.inter);
        let disabled = server.disabled;
        let admin = AdminBits::FMAINT | AdminBits::CMAINT;
        Self {
            conf: Timing {
                rise: server.rise.max(1),
                fall: server.fall.max(1),
                inter,
                fastinter: server.fastinter.map_or(inter, ms),
                downinter: server.downinter.map_or(inter, ms),
                slowstart: server.slowstart.map_or(0, ms),
                observe: server.observe_layer4,
                error_limit: server.error_limit.max(1),
                on_error: server.on_error,
                failback,
            },
            op: if disabled {
                OpState::Stopped
            } else {
                OpState::Running
            },
            admin: if disabled { admin } else { AdminBits::empty() },
            health: if disabled { 0 } else { server.rise.max(1) },
            check: CheckState {
                configured: server.check,
                enabled: server.check,
                paused: disabled,
                running: false,
                status: Status::Initializing,
                result: None,
            },
            agent: AgentState::new(server.agent.is_some()),
            last: None,
            live: Live::default(),
            reserve: Reserve::default(),
            flaws: Flaws::default(),
            fast_once: false,
            changed: now,
            down_since: disabled.then_some(now),
            down_before: 0,
            failed_checks: 0,
            down_transitions: 0,
            uweight: server.weight,
            iweight: server.weight,
            dynamic,
        }
    }

    /// A server that was added at run time: in maintenance, its check switched off.
    pub(crate) fn added(server: &Server, failback: Failback, now: u64) -> Self {
        let disabled = Server {
            disabled: true,
            ..server.clone()
        };
        let mut health = Self::new(&disabled, true, failback, now);
        health.admin = AdminBits::FMAINT;
        health.check.enabled = false;
        health.check.paused = false;
        health.agent = AgentState::added(server.agent.is_some());
        health
    }

    fn full(&self) -> u32 {
        self.conf.rise + self.conf.fall - 1
    }

    fn is_passable(&self) -> bool {
        self.health >= self.conf.rise
    }

    /// A check has begun.
    pub fn check_started(&mut self) {
        self.check.running = true;
        self.check.result = None;
    }

    /// A check has ended. Of one that was running when maintenance began only the result is kept.
    pub fn check(&mut self, outcome: Outcome, duration_ms: u64, now: u64) -> Vec<Change> {
        self.check.running = false;
        self.fast_once = false;
        if !self.check.enabled || self.in_maint() {
            self.check.result = Some(outcome.status.verdict());
            return Vec::new();
        }
        self.judge(
            Report {
                outcome,
                duration_ms: Some(duration_ms),
            },
            now,
        )
    }

    /// The heart: one integer goes up and down, and the state follows it.
    fn judge(&mut self, report: Report, now: u64) -> Vec<Change> {
        let before = (self.check.status, self.health);
        self.check.status = report.outcome.status;
        let verdict = report.outcome.status.verdict();
        self.check.result = Some(verdict);
        let mut failed_to_nothing = false;
        match verdict {
            Verdict::Failed => {
                if self.health > 0 {
                    self.failed_checks += 1;
                    self.health -= 1;
                    if !self.is_passable() {
                        self.health = 0;
                    }
                }
                failed_to_nothing = self.health == 0;
                self.live.check_failed(failed_to_nothing);
            }
            Verdict::Passed | Verdict::Conditional => {
                self.health = (self.health + 1).min(self.full());
                if self.is_passable() {
                    self.health = self.full();
                }
                self.live.check_passed();
            }
            Verdict::Neutral => {}
        }
        self.last = Some(report.clone());
        let mut changes = Vec::new();
        if verdict == Verdict::Passed && self.flaws.found(report.outcome.flaw, self.conf.rise) {
            changes.push(Change::Weight);
        }
        if before != (self.check.status, self.health) {
            let detail = Detail {
                report: report.clone(),
                agent: false,
                fraction: self.fraction(),
            };
            changes.push(Change::Checked(detail));
        }
        let cause = Cause::Report(report);
        match verdict {
            Verdict::Failed if failed_to_nothing => self.stop(cause, now, &mut changes),
            Verdict::Passed if self.is_passable() && !self.agent.objects() => {
                self.run(cause, now, &mut changes);
            }
            Verdict::Conditional if self.is_passable() && !self.agent.objects() => {
                self.begin_stopping(cause, now, &mut changes);
            }
            _ => {}
        }
        changes
    }

    fn stop(&mut self, cause: Cause, now: u64, changes: &mut Vec<Change>) {
        if self.op == OpState::Stopped || self.in_maint() {
            return;
        }
        let expected = self.op == OpState::Stopping || self.is_drained();
        self.enter(OpState::Stopped, now);
        self.down_transitions += 1;
        changes.push(Change::WentDown { cause, expected });
        self.remind_of_drain(changes);
    }

    fn run(&mut self, cause: Cause, now: u64, changes: &mut Vec<Change>) {
        if matches!(self.op, OpState::Running | OpState::Starting) || self.in_maint() {
            return;
        }
        self.rise_up(now);
        self.reserve.came_back(&self.conf, now);
        changes.push(Change::WentUp { cause });
        self.remind_of_drain(changes);
    }

    fn begin_stopping(&mut self, cause: Cause, now: u64, changes: &mut Vec<Change>) {
        if self.op == OpState::Stopping || self.in_maint() {
            return;
        }
        self.enter(OpState::Stopping, now);
        changes.push(Change::Stopping { cause });
        self.remind_of_drain(changes);
    }

    /// UP: at once, or warming up where it comes from DOWN and `slowstart` is set.
    fn rise_up(&mut self, now: u64) {
        let warm = self.op == OpState::Stopped && self.conf.slowstart > 0;
        self.enter(
            if warm {
                OpState::Starting
            } else {
                OpState::Running
            },
            now,
        );
    }

    fn enter(&mut self, op: OpState, now: u64) {
        self.changed = now;
        match (op, self.down_since) {
            (OpState::Stopped, None) => self.down_since = Some(now),
            (OpState::Starting | OpState::Running | OpState::Stopping, Some(since)) => {
                self.down_before += now.saturating_sub(since);
                self.down_since = None;
            }
            _ => {}
        }
        self.op = op;
    }

    fn remind_of_drain(&self, changes: &mut Vec<Change>) {
        if self.is_drained() {
            changes.push(Change::StillDrained);
        }
    }

    /// Time passes: a warming server gains weight, one in reserve is used again. Called about as often as
    /// [`Health::warm_up_step`] says, and when [`Health::reserve_ends`].
    pub fn tick(&mut self, now: u64) -> Vec<Change> {
        if self.reserve.end(now) {
            return vec![Change::Weight];
        }
        if self.op != OpState::Starting {
            return Vec::new();
        }
        if now.saturating_sub(self.changed) >= self.conf.slowstart {
            self.op = OpState::Running;
        }
        vec![Change::Weight]
    }

    /// Milliseconds until the next check, counted from the end of the last one (haproxy-compat 3.3).
    pub fn next_interval(&self) -> u64 {
        if self.live.suspect && !self.check.running {
            0
        } else if self.fast_once {
            self.conf.fastinter
        } else if self.health == self.full() {
            self.conf.inter
        } else if self.op == OpState::Stopped && self.health == 0 {
            self.conf.downinter
        } else {
            self.conf.fastinter
        }
    }
}
