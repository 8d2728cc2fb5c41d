//! What the controller tells the bus of a change.

use std::sync::Arc;

use super::{At, Controller, Published};
use crate::backend::Backend;
use crate::clock::{Clock, Millis};
use crate::event::{Kind, Named, Spared, Unfit};
use crate::health::lines::Standing;
use crate::health::{Change, Health, ServerState};
use wire::check::Flaw;

/// What of a server's state is compared before and after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    state: ServerState,
    weight: u32,
    spared: bool,
    flaw: Option<Flaw>,
}

impl Before {
    pub(super) fn of(health: &Health) -> Self {
        Self {
            state: health.state(),
            weight: health.uweight(),
            spared: is_spared(health),
            flaw: health.flaw(),
        }
    }
}

/// In reserve, and would serve otherwise.
fn is_spared(health: &Health) -> bool {
    health.in_reserve() && health.is_usable()
}

impl Controller {
    /// Tells one change of a server. `requeued`: waiting sessions it sent elsewhere.
    pub(super) fn tell(&self, at: At, before: Before, change: Change, requeued: u32) {
        let proxy = &self.topology.proxies[at.0];
        let (Some(health), Some(back), Some(conf)) =
            (self.health(at), &proxy.back, &proxy.conf().back)
        else {
            return;
        };
        let now = health.state();
        let (from, to) = match change {
            Change::Weight | Change::CheckNow => return,
            Change::Checked(_) if !conf.log_health_checks => return,
            Change::Checked(_) => (before.state, before.state),
            Change::StillDrained => (now, now),
            _ => (before.state, now),
        };
        let servers = back.servers();
        let Some(server) = servers.at(at.1) else {
            return;
        };
        let state = self.backends[at.0];
        let kind = Kind::Server {
            server: self.named(at),
            from,
            to,
            change,
            standing: Standing {
                actives: state.active as usize,
                backups: state.backup as usize,
                sessions: server.sessions.get(),
                requeued,
                queued: back.queue.depth(server.index).now,
            },
        };
        self.bus.publish(Some(at.0), kind);
    }

    /// Tells what the changes were not named for: weight and reserve.
    pub(super) fn tell_side(&self, at: At, before: Before, now: Millis) {
        let Some(health) = self.health(at) else {
            return;
        };
        let server = || self.named(at);
        if health.uweight() != before.weight {
            let kind = Kind::Weight {
                server: server(),
                from: before.weight,
                to: health.uweight(),
            };
            self.bus.publish(Some(at.0), kind);
        }
        let flaw = health.flaw();
        // Who goes DOWN, or in maintenance, is not well either, and that is said by its state.
        if flaw != before.flaw && (flaw.is_some() || health.state() == before.state) {
            let report = health.last_report().filter(|_| flaw.is_some());
            let kind = Kind::Degraded {
                server: server(),
                flaw,
                why: report.map_or_else(String::new, |report| report.outcome.info.clone()),
            };
            self.bus.publish(Some(at.0), kind);
        }
        let spared = is_spared(health);
        // Who goes DOWN has left its reserve as well, and that is said by its state.
        if spared != before.spared && (spared || health.state() == before.state) {
            let kind = Kind::Reserve {
                server: server(),
                why: spared.then(|| why_spared(health, now)),
            };
            self.bus.publish(Some(at.0), kind);
        }
    }

    /// Tells what a change meant for the backend.
    pub(super) fn tell_backend(&self, proxy: usize, published: Published) {
        let publish = |kind| self.bus.publish(Some(proxy), kind);
        if let Some(turn) = published.turn {
            publish(Kind::Backend {
                up: turn.up,
                without: turn.without,
            });
        }
        if let Some((from, to)) = published.failover {
            let named = |servers: Vec<usize>| {
                let names = servers
                    .into_iter()
                    .map(|server| self.named((proxy, server)));
                names.collect()
            };
            publish(Kind::Failover {
                from: named(from),
                to: named(to),
            });
        }
    }

    /// A server's address was changed.
    pub fn tell_moved(&self, at: At, what: &str) {
        let kind = Kind::Address {
            server: self.named(at),
            what: what.to_owned(),
        };
        self.bus.publish(Some(at.0), kind);
    }

    /// A server is there, and no session can be given to it; of one server that is told once a minute.
    pub(super) fn tell_unfit(&mut self, at: At, why: Unfit) {
        const NAG: Millis = 60_000;
        let now = Clock::get().now();
        let Some(unit) = self.unit(at) else { return };
        let lately = |told: Millis| now.saturating_sub(told) < NAG;
        if unit.alarmed.is_some_and(lately) {
            return;
        }
        unit.alarmed = Some(now);
        let server = self.named(at);
        let kind = Kind::Unfit { server, why };
        self.bus.publish(Some(at.0), kind);
    }

    pub(super) fn named(&self, (proxy, server): At) -> Named {
        let back = self.topology.proxies[proxy].back.as_ref();
        let servers = back.map(Backend::servers).unwrap_or_default();
        let server = servers.at(server);
        Named {
            name: server.map_or_else(|| "?".into(), |server| Arc::clone(server.name())),
            backup: server.is_some_and(|server| server.conf.backup),
        }
    }
}

fn why_spared(health: &Health, now: Millis) -> Spared {
    let left = |end: u64| end.saturating_sub(now);
    match (health.rests_until(), health.reserve_ends()) {
        (Some(end), _) => Spared::Silence(left(end)),
        (None, Some(end)) => Spared::Failback(left(end)),
        (None, None) => Spared::Operator,
    }
}
