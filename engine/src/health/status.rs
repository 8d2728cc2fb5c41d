//! A server's health as `show stat`, `show servers state` and the log tell it.

use wire::check::{Status, Verdict};

use super::{AdminBits, Health, OpState, Report, ServerState};

impl ServerState {
    /// As `show stat` says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::Nolb => "NOLB",
            Self::Drain => "DRAIN",
            Self::Maint => "MAINT",
        }
    }
}

impl Health {
    /// In a word.
    pub fn state(&self) -> ServerState {
        match self.op {
            _ if self.in_maint() => ServerState::Maint,
            OpState::Stopped => ServerState::Down,
            OpState::Stopping => ServerState::Nolb,
            _ if self.is_drained() => ServerState::Drain,
            OpState::Starting | OpState::Running => ServerState::Up,
        }
    }

    /// UP, NOLB included: not marked DOWN and not in maintenance.
    pub fn is_up(&self) -> bool {
        self.op != OpState::Stopped
    }

    /// May be given new sessions by the balance algorithm, if its weight is not 0.
    pub fn is_usable(&self) -> bool {
        matches!(self.op, OpState::Running | OpState::Starting)
            && !self.in_maint()
            && !self.is_drained()
    }

    /// In maintenance, for whatever reason.
    pub fn in_maint(&self) -> bool {
        self.admin.intersects(AdminBits::MAINT)
    }

    /// Drained, for whatever reason.
    pub fn is_drained(&self) -> bool {
        self.admin.intersects(AdminBits::DRAIN)
    }

    /// `srv_op_state`.
    pub fn op(&self) -> OpState {
        self.op
    }

    /// `srv_admin_state`.
    pub fn admin_bits(&self) -> AdminBits {
        self.admin
    }

    /// `srv_check_health`, 0 to rise + fall - 1.
    pub fn health(&self) -> u32 {
        self.health
    }

    /// Whether checks are to run: configured, not switched off, not in maintenance.
    pub fn wants_checks(&self) -> bool {
        self.check.enabled && !self.in_maint()
    }

    /// Whether a check is running.
    pub fn is_checking(&self) -> bool {
        self.check.running
    }

    /// Whether its check is switched on (`show stat` leaves the check's columns empty otherwise).
    pub fn has_check(&self) -> bool {
        self.check.enabled
    }

    /// `srv_check_status`.
    pub fn check_status(&self) -> Status {
        self.check.status
    }

    /// `srv_check_result`: 0 before the first check and while one runs.
    pub fn check_result(&self) -> u8 {
        self.check.result.map_or(0, Verdict::number)
    }

    /// `srv_check_state`: 1 running, 2 configured, 4 enabled, 8 paused.
    pub fn check_state(&self) -> u8 {
        let check = &self.check;
        [check.running, check.configured, check.enabled, check.paused]
            .into_iter()
            .zip([1, 2, 4, 8])
            .map(|(set, bit)| if set { bit } else { 0 })
            .sum()
    }

    /// The last check, or the live evidence that stood in for one.
    pub fn last_report(&self) -> Option<&Report> {
        self.last.as_ref()
    }

    /// When its state changed last.
    pub fn last_change(&self) -> u64 {
        self.changed
    }

    /// Milliseconds it was DOWN or in maintenance so far.
    pub fn downtime(&self, now: u64) -> u64 {
        self.down_before + self.down_since.map_or(0, |since| now.saturating_sub(since))
    }

    /// `chkfail`: failed checks while it was not wholly DOWN.
    pub fn failed_checks(&self) -> u64 {
        self.failed_checks
    }

    /// `chkdown`: times it went from UP to DOWN or maintenance.
    pub fn down_transitions(&self) -> u64 {
        self.down_transitions
    }

    /// `rise`, `fall` and health: the columns 67 to 69.
    pub fn rise_fall(&self) -> (u32, u32) {
        (self.conf.rise, self.conf.fall)
    }

    /// The `status` column of `show stat`.
    pub fn status_text(&self) -> String {
        if self.in_maint() {
            return "MAINT".into();
        }
        let checked = self.check.enabled;
        let in_transit = checked && self.health < self.full();
        let (word, fraction) = match self.op {
            OpState::Stopped if self.agent.objects() => ("DOWN (agent)", None),
            OpState::Stopped if checked && self.health > 0 => {
                ("DOWN", Some((self.health, self.conf.rise)))
            }
            OpState::Stopped => ("DOWN", None),
            OpState::Stopping => ("NOLB", in_transit.then(|| self.above_rise())),
            _ if self.is_drained() && self.has_agent() => ("DRAIN (agent)", None),
            _ if self.is_drained() => ("DRAIN", in_transit.then(|| self.above_rise())),
            _ if !checked => ("no check", None),
            _ => ("UP", in_transit.then(|| self.above_rise())),
        };
        match fraction {
            Some((part, whole)) => format!("{word} {part}/{whole}"),
            None => word.into(),
        }
    }

    fn above_rise(&self) -> (u32, u32) {
        (
            (self.health + 1).saturating_sub(self.conf.rise),
            self.conf.fall,
        )
    }

    /// `3/3 UP`, `1/2 DOWN`: the end of a `Health check for ...` line.
    pub fn fraction(&self) -> String {
        let below = (self.health, self.conf.rise);
        fraction(self.is_passable(), self.above_rise(), below, self.uweight)
    }

    /// Counts anew (`clear counters all`).
    pub(crate) fn clear_counters(&mut self) {
        self.failed_checks = 0;
        self.down_transitions = 0;
    }
}

/// `3/3 UP`, of whom UP means the first of the two pairs and DOWN the second.
pub(super) fn fraction(up: bool, above: (u32, u32), below: (u32, u32), weight: u32) -> String {
    let ((part, whole), word) = match (up, weight) {
        (true, 0) => (above, "DRAIN"),
        (true, _) => (above, "UP"),
        (false, _) => (below, "DOWN"),
    };
    format!("{part}/{whole} {word}")
}
