//! What the sessions of a frontend have in common, as the dialogue takes it.

use std::sync::Arc;
use std::time::Duration;

use config::model::{BareLf, Front, Model, Proxy, SmtpAuth, SmtpLimits, TlsStart};
use wire::smtp::{Auth, BareNewline, JournalBounds, Limits, Security, Settings, Timeouts};

use crate::clock::Millis;
use crate::host;

/// How long the end of a long message waits for TCP where nothing is written. Without a loss it is over a round trip
/// after the last byte has left, so this bounds only what is stuck.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// The settings of a bind's sessions, by the backend they go to; none where they are not in `mode smtp`.
#[derive(Debug)]
pub(crate) struct Manners(Vec<(usize, Arc<Settings>)>);

impl Manners {
    /// For a bind whose TLS begins so, of that frontend, whose sessions go to these backends.
    pub(crate) fn new(
        model: &Model,
        front: &Proxy,
        backends: impl Iterator<Item = usize>,
        start: Option<TlsStart>,
    ) -> Self {
        let mut all = Vec::new();
        for index in backends {
            let back = model.proxies.get(index);
            let settings = back.and_then(|back| settings(model, front, back, start));
            all.extend(settings.map(|settings| (index, settings)));
        }
        Self(all)
    }

    /// Whether mail is read.
    pub(crate) fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// Of sessions that go to that backend.
    pub(crate) fn of(&self, backend: usize) -> Option<Arc<Settings>> {
        let found = self.0.iter().find(|(index, _)| *index == backend);
        found.map(|(_, settings)| Arc::clone(settings))
    }

    /// In whose name clients are spoken to.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.first().map(|(_, settings)| &*settings.name)
    }
}

fn settings(
    model: &Model,
    front: &Proxy,
    back: &Proxy,
    start: Option<TlsStart>,
) -> Option<Arc<Settings>> {
    let (front, back) = (front.front.as_ref()?, back.back.as_ref()?);
    let (told, servers) = (front.smtp.as_ref()?, back.smtp.as_ref()?);
    let tuning = &model.global.smtp;
    let wait = tuning.ack_wait.unwrap_or(ACK_WAIT);
    Some(Arc::new(Settings {
        security: match start {
            None => Security::None,
            Some(TlsStart::AtOnce) => Security::Implicit,
            Some(TlsStart::OnRequest { required }) => Security::StartTls { required },
        },
        auth: match told.auth {
            SmtpAuth::Tls => Auth::Secured,
            SmtpAuth::Always => Auth::Anywhere,
            SmtpAuth::Never => Auth::Never,
        },
        replay_auth: servers.replay_auth,
        vouches: back.servers.iter().any(|server| server.xclient),
        bare_newline: match told.bare_lf {
            BareLf::Normalise => BareNewline::Normalise,
            BareLf::Reject => BareNewline::Refuse,
        },
        replay_after_data: servers.replay_after_data,
        hold_back: (!wait.is_zero()).then_some(millis(wait)),
        budget: millis(servers.failover),
        limits: limits(&told.limits),
        journal: JournalBounds {
            memory: usize::try_from(tuning.journal_memory)
                .unwrap_or(usize::MAX)
                .min(MOST_COPIED),
            total: tuning.journal_size,
            ..JournalBounds::default()
        },
        timeouts: timeouts(front, back.timeout_server),
        ..Settings::new(told.name.as_deref().unwrap_or_else(|| host::name()))
    }))
}

/// Of a body that is copied; what follows is kept where it was read to.
const MOST_COPIED: usize = 128 << 10;

fn limits(told: &SmtpLimits) -> Limits {
    // No client comes near the largest number there is.
    let most = |limit: u32| if limit == 0 { u32::MAX } else { limit };
    Limits {
        line: match told.command_line {
            0 => 64 * 1024,
            octets => octets as usize,
        },
        errors: most(told.errors),
        recipients: most(told.recipients),
        transactions: most(told.transactions),
        ..Limits::default()
    }
}

/// RFC 5321's patience, bounded by `timeout client` and `timeout server` where they are written.
fn timeouts(front: &Front, server: Option<Duration>) -> Timeouts {
    let client = front.timeout_client;
    let handshake = front.timeout_client_hs.or(client);
    let bound =
        |limit: Option<Duration>| limit.filter(|l| !l.is_zero()).map_or(Millis::MAX, millis);
    let (client, server, handshake) = (bound(client), bound(server), bound(handshake));
    let most = Timeouts::default();
    Timeouts {
        client: most.client.min(client),
        handshake: most.handshake.min(handshake),
        block: most.block.min(client),
        command: most.command.min(server),
        data: most.data.min(server),
        end: most.end.min(server),
    }
}

fn millis(time: Duration) -> Millis {
    time.as_millis() as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_bounds_what_the_standard_asks_for() {
        let ten = Some(Duration::from_secs(10));
        let front = |client| Front {
            timeout_client: client,
            ..Front::default()
        };
        let short = timeouts(&front(ten), None);
        assert_eq!(
            (short.client, short.block, short.end),
            (10_000, 10_000, 600_000)
        );
        let long = timeouts(&front(None), Some(Duration::from_secs(3600)));
        assert_eq!(
            (long.command, long.data, long.end),
            (300_000, 120_000, 600_000)
        );
        assert_eq!(timeouts(&front(None), ten).end, 10_000);
    }
}
