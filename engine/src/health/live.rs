//! What live traffic says of a server, and how far it is believed.
//!
//! A failed attempt asks for a check at once, and while that one and its followers fail they run one right
//! after the other: a dead server is DOWN after `fall` of them, not after `fall` intervals. A silent attempt
//! that another server had to help out puts the server in reserve at once (see [`super::reserve`]); when
//! nothing has been heard of it for as long again, from sessions or from the check that was asked for, it is
//! DOWN. What has come back from that is not hurried again until it has been UP for a while: a server that
//! fails now and then is left to the ordinary checks, and its sessions to the next server.

use config::model::OnError;
use wire::check::{Outcome, Status};
use wire::smtp::Refusal;

use super::{Change, Health, OpState, Report};

/// Live failures ask for a check at once, but not more often than this, in ms.
const HURRY: u64 = 100;

/// What live traffic has marked DOWN must be UP for so long until live traffic may do so again, in ms.
const STEADY: u64 = 30_000;

/// What a session saw of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It answered.
    Answered,
    /// It refused, reset, closed, did not answer in time, or greeted with something else than a welcome.
    Failed,
    /// It was silent for so many ms; another answered meanwhile.
    Silent {
        /// Milliseconds.
        for_ms: u64,
    },
    /// STARTTLS did not come about, and somebody in between may be the reason.
    Tampered(Refusal),
    /// It does not take XCLIENT.
    Untold,
}

/// What is held against a server.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// In a row, for `error-limit`.
    errors: u32,
    /// A live failure was seen and no check has passed since: checks follow each other at once.
    pub(super) suspect: bool,
    hurried: Option<u64>,
    /// Since when nothing was heard of it, and for how long a session had waited by then.
    silent: Option<(u64, u64)>,
    /// It was marked DOWN by a hurried check or by silence.
    struck_down: bool,
}

impl Live {
    /// The checks have failed; `down` when that takes the server DOWN.
    pub(super) fn check_failed(&mut self, down: bool) {
        if down {
            self.struck_down = self.suspect;
            self.suspect = false;
        }
    }

    /// A sign of life of the checks.
    pub(super) fn check_passed(&mut self) {
        self.errors = 0;
        self.suspect = false;
        self.silent = None;
    }
}

impl Health {
    /// Live traffic: what a session saw of the server. With `observe layer4`, `error-limit` failures in a row
    /// count as `on-error` says, as HAProxy's do; the rest holds whether or not it is set.
    pub fn evidence(&mut self, sight: Sight, now: u64) -> Vec<Change> {
        if self.in_maint() {
            return Vec::new();
        }
        if sight == Sight::Answered {
            self.live.errors = 0;
            return Vec::new();
        }
        let mut changes = Vec::new();
        if let Sight::Silent { for_ms } = sight {
            if self.op == OpState::Stopped {
                return changes;
            }
            if self.reserve.penalize(now) {
                changes.push(Change::Weight);
            }
            if self.check.enabled {
                self.live.silent.get_or_insert((now, for_ms));
            }
        }
        if !self.check.enabled {
            return changes;
        }
        if self.conf.observe {
            self.live.errors += 1;
            if self.live.errors >= self.conf.error_limit {
                changes.extend(self.too_many_errors(now));
            }
        }
        if self.op == OpState::Stopped || self.is_damped(now) {
            return changes;
        }
        let hurried = self.live.hurried;
        let lately = hurried.is_some_and(|at| now.saturating_sub(at) < HURRY);
        if !self.live.suspect && !lately {
            self.live.suspect = true;
            self.live.hurried = Some(now);
            changes.push(Change::CheckNow);
        }
        changes
    }

    /// Whether it came back so lately from what live traffic had done to it that it is not done again.
    fn is_damped(&self, now: u64) -> bool {
        self.live.struck_down && now.saturating_sub(self.changed) < STEADY
    }

    /// A session was greeted at that time: what was held against the server before is void. It does not
    /// raise the health, because a check may look deeper than a greeting.
    pub fn greeted(&mut self, at: u64) {
        if self.live.hurried.is_some_and(|hurried| at > hurried) {
            self.live.suspect = false;
        }
        if self.live.silent.is_some_and(|(since, _)| at > since) {
            self.live.silent = None;
        }
    }

    /// When a silence that was reported must have ended, or the server is DOWN.
    pub fn silence_ends(&self) -> Option<u64> {
        self.live.silent.map(|(since, patience)| since + patience)
    }

    /// Time is up for a silent server.
    pub fn judge_silence(&mut self, now: u64) -> Vec<Change> {
        let Some((since, patience)) = self.live.silent else {
            return Vec::new();
        };
        if now < since + patience || self.op == OpState::Stopped || !self.check.enabled {
            return Vec::new();
        }
        self.live.silent = None;
        if self.is_damped(now) {
            return Vec::new();
        }
        self.live.suspect = true;
        self.health = self.health.min(self.conf.rise);
        let silence = now.saturating_sub(since) + patience;
        let info = format!("No greeting for {silence}ms, in live traffic and in a check");
        self.judge(analysis(info), now)
    }

    fn too_many_errors(&mut self, now: u64) -> Vec<Change> {
        let errors = std::mem::take(&mut self.live.errors);
        self.fast_once = true;
        let rise = self.conf.rise;
        match self.conf.on_error {
            OnError::FastInter => return Vec::new(),
            OnError::FailCheck => {}
            OnError::SuddenDeath => self.health = self.health.min(rise + 1),
            OnError::MarkDown => self.health = self.health.min(rise),
        }
        let info = format!(
            "Detected {errors} consecutive errors, last one was: L4 unsuccessful connection"
        );
        self.judge(analysis(info), now)
    }
}

/// A report without a check.
fn analysis(info: String) -> Report {
    Report {
        outcome: Outcome {
            status: Status::Hana,
            code: None,
            info,
            flaw: None,
        },
        duration_ms: None,
    }
}
