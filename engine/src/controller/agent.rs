//! What agents say, and operators in their place (`set server ... agent`, `enable agent`).

use std::time::Duration;

use wire::agent::{Admin as Asked, Answer};
use wire::check::Status;

use super::{At, Controller};
use crate::check::agent::Heard;
use crate::health::{Admin, Claim};
use crate::schedule;

/// What is said of a limit that is no number.
const GARBAGE: &str = "maxconn string empty or preceded by garbage";

impl Controller {
    /// An agent is about to be asked. False: not now.
    pub(crate) fn agent_begins(&mut self, at: At) -> bool {
        let Some(unit) = self.unit(at).filter(|unit| unit.health.has_agent()) else {
            return false;
        };
        unit.health.agent_started();
        true
    }

    /// An agent was asked; returns the pause until the next time.
    pub(crate) fn agent_ended(
        &mut self,
        at: At,
        heard: &Heard,
        took: Duration,
        inter: Duration,
    ) -> Duration {
        let before = self.health(at).map(|health| health.agent_status().0);
        let warning = match heard {
            Heard::Line(answer) => self.obey_agent(at, answer),
            Heard::CutShort(_) | Heard::Failed(_) => None,
        };
        let before = before.unwrap_or(Status::Initializing);
        let outcome = heard.outcome(before, warning.as_deref());
        let took = took.as_millis() as u64;
        self.change(at, |health, now| health.agent(outcome, took, now));
        schedule::spread(inter, self.topology.model.global.spread_checks)
    }

    /// Does what an agent asks for beside its word on health; returns why something was not done. Of one that was
    /// switched off meanwhile nothing is obeyed.
    fn obey_agent(&mut self, at: At, answer: &Answer) -> Option<String> {
        if !self.health(at)?.has_agent() {
            return None;
        }
        if let Some(asked) = answer.admin {
            let wanted = match asked {
                Asked::Ready => Admin::Ready,
                Asked::Drain => Admin::Drain,
                Asked::Maint => Admin::Maint,
            };
            self.admin(at, wanted);
        }
        let mut warning = None;
        if let Some(weight) = &answer.weight {
            warning = self
                .set_weight(at, weight)
                .err()
                .map(|error| error.to_string());
        }
        if let Some(maxconn) = &answer.maxconn {
            match maxconn.parse() {
                Ok(maxconn) if self.maxconn(at) == Some(maxconn) => {}
                Ok(maxconn) => self.set_maxconn(at, maxconn),
                Err(_) => {
                    warning.get_or_insert_with(|| GARBAGE.to_owned());
                }
            }
        }
        warning
    }

    fn maxconn(&self, (proxy, place): At) -> Option<u32> {
        let back = self.topology.proxies.get(proxy)?.back.as_ref()?;
        Some(back.servers().at(place)?.maxconn())
    }

    /// `set server <b>/<s> agent up|down`. False: it is not asked.
    pub fn set_agent(&mut self, at: At, claim: Claim) -> bool {
        let mut enabled = false;
        self.change(at, |health, now| {
            let changes = health.set_agent(claim, now);
            enabled = changes.is_some();
            changes.unwrap_or_default()
        });
        enabled
    }

    /// `enable agent`, `disable agent`. False where the server has none.
    pub fn enable_agent(&mut self, at: At, enabled: bool) -> bool {
        self.unit(at)
            .is_some_and(|unit| unit.health.enable_agent(enabled))
    }
}
