//! What an agent on the server says of it (CFG 5.2 `agent-check`): beside the check, and with the same say.
//!
//! Its health is 0 or 1. A server that its agent calls down stays DOWN until the agent says `up`, whatever its check
//! finds; one whose check failed is not UP because the agent says so. That the agent cannot be asked means nothing.

use wire::check::{Outcome, Status, Verdict};

use super::{Cause, Change, Claim, Detail, Health, Report, fraction};

/// The agent's side of a server's health.
#[derive(Debug)]
pub(super) struct AgentState {
    configured: bool,
    enabled: bool,
    running: bool,
    /// 0 when it said that the server is down.
    health: u32,
    status: Status,
    last: Option<Report>,
}

impl AgentState {
    pub(super) fn new(configured: bool) -> Self {
        Self {
            configured,
            enabled: configured,
            running: false,
            health: 1,
            status: Status::Initializing,
            last: None,
        }
    }

    /// Of a server that was added: switched off until somebody enables it.
    pub(super) fn added(configured: bool) -> Self {
        Self {
            enabled: false,
            ..Self::new(configured)
        }
    }

    /// It holds the server down.
    pub(super) fn objects(&self) -> bool {
        self.enabled && self.health == 0
    }
}

impl Health {
    /// The agent is asked.
    pub fn agent_started(&mut self) {
        self.agent.running = true;
    }

    /// It has answered, or has not.
    pub fn agent(&mut self, outcome: Outcome, duration_ms: u64, now: u64) -> Vec<Change> {
        self.agent.running = false;
        if !self.agent.enabled {
            return Vec::new();
        }
        let before = (self.agent.status, self.agent.health);
        let (status, verdict) = (outcome.status, outcome.status.verdict());
        let report = Report {
            outcome,
            duration_ms: Some(duration_ms),
        };
        self.agent.status = status;
        self.agent.last = Some(report.clone());
        match verdict {
            Verdict::Passed => self.agent.health = 1,
            Verdict::Failed if status == Status::L7Sts => self.agent.health = 0,
            _ => {}
        }
        let mut changes = Vec::new();
        let news = before != (self.agent.status, self.agent.health);
        if news && verdict != Verdict::Neutral {
            let health = self.agent.health;
            changes.push(Change::Checked(Detail {
                report: report.clone(),
                agent: true,
                fraction: fraction(health > 0, (health, 1), (health, 1), self.uweight),
            }));
        }
        let cause = Cause::Report(report);
        match verdict {
            Verdict::Passed => self.run_by_agent(cause, now, &mut changes),
            Verdict::Failed if status == Status::L7Sts => self.stop(cause, now, &mut changes),
            _ => {}
        }
        changes
    }

    /// `set server ... agent up|down`: what the agent would have said. `None`: it is not enabled.
    pub fn set_agent(&mut self, claim: Claim, now: u64) -> Option<Vec<Change>> {
        if !self.agent.enabled {
            return None;
        }
        let mut changes = Vec::new();
        match claim {
            Claim::Down => {
                self.agent.health = 0;
                self.stop(Cause::Cli, now, &mut changes);
            }
            Claim::Up | Claim::Stopping => {
                self.agent.health = 1;
                self.run(Cause::Cli, now, &mut changes);
            }
        }
        Some(changes)
    }

    fn run_by_agent(&mut self, cause: Cause, now: u64, changes: &mut Vec<Change>) {
        let checked_down = self.check.enabled && !self.is_passable();
        if !checked_down && self.op != super::OpState::Stopping {
            self.run(cause, now, changes);
        }
    }

    /// `enable agent` / `disable agent`. False where the server has none.
    pub fn enable_agent(&mut self, enabled: bool) -> bool {
        self.agent.enabled = enabled && self.agent.configured;
        self.agent.configured
    }

    /// Whether it is asked, in maintenance too: it may end that.
    pub fn has_agent(&self) -> bool {
        self.agent.enabled
    }

    /// `srv_agent_state`: 1 running, 2 configured, 4 enabled, 16 an agent.
    pub fn agent_state(&self) -> u8 {
        let agent = &self.agent;
        let bits = [
            (agent.running, 1),
            (agent.configured, 2 | 16),
            (agent.enabled, 4),
        ];
        bits.iter()
            .filter(|(set, _)| *set)
            .map(|(_, bits)| bits)
            .sum()
    }

    /// `agent_status`, and whether it is being asked.
    pub fn agent_status(&self) -> (Status, bool) {
        (self.agent.status, self.agent.running)
    }

    /// `agent_health`: 0 or 1.
    pub fn agent_health(&self) -> u32 {
        self.agent.health
    }

    /// What it said last.
    pub fn last_agent_report(&self) -> Option<&Report> {
        self.agent.last.as_ref()
    }
}
