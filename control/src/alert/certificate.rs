//! How long certificates are good: ours, and those that servers showed last.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::{Plane, Topology};

use super::incident::Subject;

/// How few days are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Less than 14.
    Soon,
    /// Less than 7.
    VerySoon,
    /// None.
    Expired,
}

const DAY: i64 = 86_400;

/// A certificate, and when it ends.
#[derive(Debug)]
pub(crate) struct Expiry {
    pub(crate) subject: Subject,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
    pub(crate) stage: Option<Stage>,
    days: i64,
}

impl Expiry {
    /// `now` in seconds since 1970.
    pub(crate) fn new(subject: Subject, not_after: i64, now: i64) -> Self {
        let left = not_after - now;
        let stage = match left {
            ..0 => Some(Stage::Expired),
            _ if left < 7 * DAY => Some(Stage::VerySoon),
            _ if left < 14 * DAY => Some(Stage::Soon),
            _ => None,
        };
        Self {
            subject,
            not_after,
            stage,
            days: left.div_euclid(DAY),
        }
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        let whose = match &self.subject {
            Subject::Certificate(file) => format!("The certificate in {file}"),
            Subject::ServerCertificate { backend, server } => {
                format!("The certificate of server {backend}/{server}")
            }
            Subject::Backend(name) => format!("A certificate of {name}"),
        };
        match self.days {
            ..0 => format!("{whose} has expired."),
            0 => format!("{whose} has less than a day left."),
            1 => format!("{whose} has 1 day left."),
            days => format!("{whose} has {days} days left."),
        }
    }
}

/// All that are known now.
pub(crate) fn all(plane: &Plane) -> Vec<Expiry> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let topology: &Topology = plane.topology();
    let mut all = Vec::new();
    for entry in topology.tls.store.iter() {
        let file = entry.path.display().to_string();
        let subject = Subject::Certificate(file.into());
        all.push(Expiry::new(subject, entry.current().leaf.not_after, now));
    }
    for proxy in &topology.proxies {
        let servers = proxy.back.iter().flat_map(|back| {
            let servers = back.servers();
            servers.iter().cloned().collect::<Vec<_>>()
        });
        for server in servers {
            let Some(seen) = server.certificate() else {
                continue;
            };
            let subject = Subject::ServerCertificate {
                backend: std::sync::Arc::clone(proxy.name()),
                server: std::sync::Arc::clone(server.name()),
            };
            all.push(Expiry::new(subject, seen.leaf.not_after, now));
        }
    }
    all
}
