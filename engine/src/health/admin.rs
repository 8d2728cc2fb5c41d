//! What operators do to a server: maintenance, drain, claims about its health, checks on and off.

use super::{Admin, AdminBits, Cause, Change, Claim, Health, OpState};

impl Health {
    /// `set server <b>/<s> state`. Drain and maintenance exclude each other, as in HAProxy.
    pub fn admin(&mut self, wanted: Admin, now: u64) -> Vec<Change> {
        let forced = AdminBits::FMAINT | AdminBits::FDRAIN;
        let admin = self.admin.difference(forced)
            | match wanted {
                Admin::Ready => AdminBits::empty(),
                Admin::Drain => AdminBits::FDRAIN,
                Admin::Maint => AdminBits::FMAINT,
            };
        // `ready` is also the word for a server that waits for it (`option failback manual`).
        let released = wanted == Admin::Ready && self.reserve.release();
        let mut changes = self.set_admin(admin, now);
        if released && changes.is_empty() {
            changes.push(Change::Weight);
        }
        changes
    }

    fn set_admin(&mut self, admin: AdminBits, now: u64) -> Vec<Change> {
        let before = std::mem::replace(&mut self.admin, admin);
        let maint = (before.intersects(AdminBits::MAINT), self.in_maint());
        let drain = (before.intersects(AdminBits::DRAIN), self.is_drained());
        match (maint, drain) {
            ((false, true), (drained, _)) => vec![self.enter_maint(drained, now)],
            ((true, false), _) => self.leave_maint(now),
            ((false, false), (false, true)) => {
                self.changed = now;
                vec![Change::EnteredDrain { up: self.is_up() }]
            }
            ((false, false), (true, false)) => {
                self.changed = now;
                vec![Change::LeftDrain { up: self.is_up() }]
            }
            _ => Vec::new(),
        }
    }

    fn enter_maint(&mut self, drained: bool, now: u64) -> Change {
        let was_up = self.op != OpState::Stopped;
        let expected = drained || self.op == OpState::Stopping;
        self.health = 0;
        self.check.paused |= self.check.enabled;
        self.live.suspect = false;
        if was_up {
            self.enter(OpState::Stopped, now);
            self.down_transitions += 1;
        }
        Change::EnteredMaint { was_up, expected }
    }

    /// UP again, and checked at once: the first failure marks it DOWN.
    fn leave_maint(&mut self, now: u64) -> Vec<Change> {
        self.rise_up(now);
        let mut changes = vec![Change::LeftMaint {
            up: true,
            drained: self.is_drained(),
        }];
        self.remind_of_drain(&mut changes);
        if self.check.enabled {
            self.check.paused = false;
            self.health = self.conf.rise;
            changes.push(Change::CheckNow);
        }
        changes
    }

    /// `set server <b>/<s> health`: holds until the next check knows better.
    pub fn set_health(&mut self, claim: Claim, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        match claim {
            Claim::Up => {
                self.health = self.full();
                self.run(Cause::Cli, now, &mut changes);
            }
            Claim::Stopping => {
                self.health = self.full();
                self.begin_stopping(Cause::Cli, now, &mut changes);
            }
            Claim::Down => {
                self.health = 0;
                self.stop(Cause::Cli, now, &mut changes);
            }
        }
        changes
    }

    /// `enable health` / `disable health`. `None` where the server has no check to switch. One that was never checked
    /// (an added server) starts as at a start: UP, and its first failed check marks it DOWN.
    pub fn enable_check(&mut self, enabled: bool) -> Option<Vec<Change>> {
        if !self.check.configured {
            return None;
        }
        let begins = enabled && !self.check.enabled && !self.in_maint();
        self.check.enabled = enabled;
        if begins && self.is_up() && !self.is_passable() {
            self.health = self.conf.rise;
        }
        Some(if begins {
            vec![Change::CheckNow]
        } else {
            Vec::new()
        })
    }
}
