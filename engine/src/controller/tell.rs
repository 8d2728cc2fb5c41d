//! What the controller says of a change: to the backend's log and to standard error.

use std::sync::Arc;

use super::{At, Controller};
use crate::clock::{Clock, Millis};
use crate::health::Change;
use crate::health::lines::{self, Severity};
use crate::log::{Level, Line, Route};
use crate::topology::Proxy;

impl Controller {
    /// Writes what a change is worth saying, to the backend's log and to standard error.
    pub(super) fn tell(&self, (proxy, server): At, change: &Change, requeued: u32, now: Millis) {
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
        if matches!(change, Change::WentUp { .. }) {
            self.tell_reserve(proxy_ref, (proxy, server.index), now);
        }
    }

    /// `option failback`: it is UP, and why it has no sessions.
    fn tell_reserve(&self, proxy: &Proxy, at: At, now: Millis) {
        let (Some(health), Some(back)) = (self.health(at), &proxy.back) else {
            return;
        };
        let name = format!("{}/{}", proxy.name(), back.servers[at.1].name());
        let until = match health.reserve_ends() {
            _ if health.awaits_operator() => {
                format!("'set server {name} state ready' lets it serve")
            }
            Some(end) => format!("it serves in {}s", end.saturating_sub(now).div_ceil(1000)),
            None => return,
        };
        let text = format!("Server {name} is kept in reserve (option failback); {until}.");
        self.say(proxy, Level::Notice, text, now);
    }

    /// A server's address was changed.
    pub fn tell_moved(&self, at: At, what: &str) {
        let proxy = &self.topology.proxies[at.0];
        let Some(back) = &proxy.back else { return };
        let name = back.servers[at.1].name();
        let text = format!(
            "{}/{name} changed: {what} by stats socket command.",
            proxy.name()
        );
        self.say(proxy, Level::Warning, text, Clock::get().now());
    }

    pub(super) fn tell_no_server(&self, proxy: usize, now: Millis) {
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
