//! How many connections, and the file descriptors they take (CFG 3, `maxconn`, `ulimit-n`; MGT 5).
//!
//! Called once by `main`, before anything is bound. [`plan`] is the arithmetic, pure; [`raise`] does it.

use anyhow::{Context, bail};
use config::model::{Global, Model};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::report::Report;

/// More than this is not taken unasked, however much the system would give.
const UNASKED: u64 = 1_048_576;
/// Descriptors every process has: standard streams, epoll and wake-up descriptors, log sockets.
const BASE: u64 = 24;

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// The process-wide limit of connections.
    maxconn: u32,
    /// Descriptors to ask the system for.
    descriptors: u64,
}

/// `soft`, `hard` are the system's limits, `reserved` the descriptors that carry no connection.
fn plan(global: &Global, reserved: u64, soft: u64, hard: u64) -> Plan {
    let asked = global.ulimit_n.map(u64::from);
    if let Some(maxconn) = global.maxconn {
        let needed = asked.unwrap_or_else(|| u64::from(maxconn) * 2 + reserved);
        return Plan {
            maxconn,
            descriptors: needed.max(soft),
        };
    }
    let descriptors = asked.unwrap_or_else(|| soft.max(hard).min(UNASKED));
    // Two sockets per session; a hundred sessions are promised even where that is a lie.
    let sessions = (descriptors.saturating_sub(reserved) / 2).max(100);
    Plan {
        maxconn: u32::try_from(sessions).unwrap_or(u32::MAX),
        descriptors,
    }
}

/// Descriptors needed besides those of sessions.
fn reserved(model: &Model) -> u64 {
    let threads = crate::threads(model) as u64;
    let listeners: usize = model
        .proxies
        .iter()
        .filter_map(|p| p.front.as_ref())
        .map(|front| front.binds.len())
        .sum();
    let checked = model
        .proxies
        .iter()
        .filter_map(|p| p.back.as_ref())
        .flat_map(|back| &back.servers)
        .filter(|server| server.check)
        .count();
    let admin = model.global.stats_sockets.len() as u64
        + u64::from(model.global.stats_maxconn.unwrap_or(10));
    // Every worker has a listener of its own; every checked server may be in one.
    BASE + threads * (3 + listeners as u64) + checked as u64 + admin
}

/// Decides `global.maxconn` where nobody did and raises the limits of the process to match.
pub(crate) fn raise(
    model: &mut Model,
    memory: Option<u64>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let now = getrlimit(Resource::Nofile);
    let soft = now.current.unwrap_or(u64::MAX);
    let hard = now.maximum.unwrap_or(u64::MAX);
    let plan = plan(&model.global, reserved(model), soft, hard);
    if model.global.maxconn.is_none() {
        report.notice(format!(
            "Automatically setting global.maxconn to {}.",
            plan.maxconn
        ));
        model.global.maxconn = Some(plan.maxconn);
    }
    if plan.descriptors > soft {
        let wanted = Rlimit {
            current: Some(plan.descriptors),
            maximum: Some(plan.descriptors.max(hard)),
        };
        if setrlimit(Resource::Nofile, wanted).is_err() {
            bail!(
                "[haproxy.main()] Cannot raise FD limit to {}, limit is {hard}. \
                 Lower 'maxconn' or raise the limit (LimitNOFILE= of systemd, ulimit -n).",
                plan.descriptors
            );
        }
    }
    if let Some(megabytes) = memory {
        let bytes = Some(megabytes.saturating_mul(1 << 20));
        let wanted = Rlimit {
            current: bytes,
            maximum: bytes,
        };
        setrlimit(Resource::As, wanted)
            .with_context(|| format!("[haproxy.main()] Cannot limit memory to {megabytes} MB"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(maxconn: Option<u32>, ulimit_n: Option<u32>) -> Global {
        Global {
            maxconn,
            ulimit_n,
            ..Default::default()
        }
    }

    #[test]
    fn half_of_what_the_system_gives_is_sessions() {
        let plan = plan(&global(None, None), 38, 1024, 20_000);
        assert_eq!((plan.maxconn, plan.descriptors), (9981, 20_000));
    }

    #[test]
    fn nothing_configured_is_bounded_and_never_below_a_hundred() {
        let none = global(None, None);
        assert_eq!(plan(&none, 0, 1024, u64::MAX).descriptors, UNASKED);
        assert_eq!(plan(&none, 60, 64, 64).maxconn, 100);
    }

    #[test]
    fn what_is_configured_is_asked_for() {
        assert_eq!(
            plan(&global(Some(2000), None), 50, 1024, 4096).descriptors,
            4050
        );
        assert_eq!(
            plan(&global(Some(10), None), 50, 1024, 4096).descriptors,
            1024
        );
        let both = plan(&global(Some(10), Some(3000)), 50, 1024, 4096);
        assert_eq!((both.maxconn, both.descriptors), (10, 3000));
        assert_eq!(
            plan(&global(None, Some(3000)), 50, 1024, 4096).maxconn,
            1475
        );
    }
}
