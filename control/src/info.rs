//! `show info` (MGT 9.3): what the process is and does, a line per row of [`ROWS`], in HAProxy's order.
//!
//! What HAProxy counts and Posthouse does not have (TLS offload, compression, memory pools) is 0: tools
//! look for the names.

use std::fmt::Write as _;

use engine::clock::Clock;
use engine::{Plane, Proxy};
use rustix::process::{Resource, getpid, getrlimit};

use crate::Desk;

/// What a line shows.
type Value = fn(&Facts<'_>) -> String;

struct Facts<'a> {
    desk: &'a Desk,
    plane: &'a Plane,
    now: u64,
    descriptors: u64,
}

/// `show info`.
pub(crate) fn text(desk: &Desk) -> String {
    let facts = Facts {
        desk,
        plane: &desk.plane,
        now: desk.plane.now(),
        descriptors: getrlimit(Resource::Nofile).current.unwrap_or(0),
    };
    let mut out = String::new();
    for (name, value) in ROWS {
        // Shown only where it is set.
        if *name == "description" && facts.plane.topology().model.global.description.is_none() {
            continue;
        }
        let _ = writeln!(out, "{name}: {}", value(&facts));
    }
    out
}

const ZERO: Value = |_| "0".into();

#[rustfmt::skip]
const ROWS: &[(&str, Value)] = &[
    ("Name", |_| "HAProxy".into()),
    ("Version", |f| f.desk.program.version.into()),
    ("Release_date", |f| f.desk.program.release_date.into()),
    ("Nbthread", |f| f.plane.workers().to_string()),
    ("Nbproc", |_| "1".into()),
    ("Process_num", |_| "1".into()),
    ("Pid", |_| getpid().as_raw_pid().to_string()),
    ("Uptime", |f| uptime(f.now / 1000)),
    ("Uptime_sec", |f| (f.now / 1000).to_string()),
    ("Memmax_MB", ZERO),
    ("PoolAlloc_MB", ZERO),
    ("PoolUsed_MB", ZERO),
    ("PoolFailed", ZERO),
    ("Ulimit-n", |f| f.descriptors.to_string()),
    ("Maxsock", |f| f.descriptors.to_string()),
    ("Maxconn", |f| f.plane.process().maxconn().to_string()),
    ("Hard_maxconn", |f| f.plane.process().maxconn().to_string()),
    ("CurrConns", |f| f.plane.process().sessions.get().to_string()),
    ("CumConns", |f| total(&f.plane.process().connections)),
    ("CumReq", |f| total(&f.plane.process().connections)),
    ("MaxSslConns", ZERO),
    ("CurrSslConns", ZERO),
    ("CumSslConns", ZERO),
    ("Maxpipes", ZERO),
    ("PipesUsed", ZERO),
    ("PipesFree", ZERO),
    ("ConnRate", |f| f.plane.process().connection_rate.get(f.now).to_string()),
    ("ConnRateLimit", |f| f.plane.topology().model.global.maxconnrate.unwrap_or(0).to_string()),
    ("MaxConnRate", |f| f.plane.process().connection_rate.most().to_string()),
    ("SessRate", |f| f.plane.process().session_rate.get(f.now).to_string()),
    ("SessRateLimit", |f| f.plane.topology().model.global.maxsessrate.unwrap_or(0).to_string()),
    ("MaxSessRate", |f| f.plane.process().session_rate.most().to_string()),
    ("SslRate", ZERO),
    ("SslRateLimit", ZERO),
    ("MaxSslRate", ZERO),
    ("SslFrontendKeyRate", ZERO),
    ("SslFrontendMaxKeyRate", ZERO),
    ("SslFrontendSessionReuse_pct", ZERO),
    ("SslBackendKeyRate", ZERO),
    ("SslBackendMaxKeyRate", ZERO),
    ("SslCacheLookups", ZERO),
    ("SslCacheMisses", ZERO),
    ("CompressBpsIn", ZERO),
    ("CompressBpsOut", ZERO),
    ("CompressBpsRateLim", ZERO),
    ("Tasks", |f| f.plane.process().sessions.get().to_string()),
    ("Run_queue", ZERO),
    ("Idle_pct", |_| "100".into()),
    ("node", node),
    ("description", |f| f.plane.topology().model.global.description.clone().unwrap_or_default()),
    ("Stopping", |f| u8::from(f.plane.process().is_stopping()).to_string()),
    ("Jobs", |f| (u64::from(f.plane.process().sessions.get()) + listeners(f)).to_string()),
    ("Unstoppable Jobs", ZERO),
    ("Listeners", |f| listeners(f).to_string()),
    ("ActivePeers", ZERO),
    ("ConnectedPeers", ZERO),
    ("DroppedLogs", |f| f.plane.dropped_logs().to_string()),
    ("BusyPolling", ZERO),
    ("FailedResolutions", ZERO),
    ("TotalBytesOut", |f| total(&f.plane.process().bytes_out)),
    ("TotalSplicedBytesOut", ZERO),
    ("BytesOutRate", ZERO),
    ("DebugCommandsIssued", ZERO),
    ("CumRecvLogs", ZERO),
    ("Build info", |f| f.desk.program.version.into()),
    ("Memmax_bytes", ZERO),
    ("PoolAlloc_bytes", ZERO),
    ("PoolUsed_bytes", ZERO),
    ("Start_time_sec", |_| (Clock::get().wall_ms(0) / 1000).to_string()),
    ("Tainted", ZERO),
    ("TotalWarnings", ZERO),
    ("MaxconnReached", |f| total(&f.plane.process().maxconn_reached)),
    ("BootTime_ms", ZERO),
    ("Niced_tasks", ZERO),
    ("CurrStreams", |f| f.plane.process().sessions.get().to_string()),
    ("CumStreams", |f| total(&f.plane.process().connections)),
    ("BlockedTrafficWarnings", ZERO),
    ("PatternsAdded", ZERO),
    ("PatternsFreed", ZERO),
    ("NbThreadGroups", |_| "1".into()),
];

fn total(counter: &std::sync::atomic::AtomicU64) -> String {
    counter
        .load(std::sync::atomic::Ordering::Relaxed)
        .to_string()
}

/// `0d 0h00m12s`
fn uptime(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!(
        "{}d {}h{:02}m{:02}s",
        hours / 24,
        hours % 24,
        minutes % 60,
        seconds % 60
    )
}

/// `node`, by default the host's name.
fn node(facts: &Facts<'_>) -> String {
    let global = &facts.plane.topology().model.global;
    global.node.clone().unwrap_or_else(|| {
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().into_owned()
    })
}

/// Addresses listened on, those of the stats socket included.
fn listeners(facts: &Facts<'_>) -> u64 {
    let addresses = |proxy: &Proxy| {
        let conf = proxy.conf();
        let front = conf.front.as_ref().filter(|_| !conf.disabled);
        front.map_or(0, |front| front.binds.len())
    };
    let proxies = &facts.plane.topology().proxies;
    let fronts: usize = proxies.iter().map(|proxy| addresses(proxy)).sum();
    (fronts + facts.desk.sockets.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_told_as_haproxy_tells_it() {
        assert_eq!(uptime(12), "0d 0h00m12s");
        assert_eq!(uptime(90_061), "1d 1h01m01s");
    }

    #[test]
    fn no_name_twice() {
        let mut names: Vec<_> = ROWS.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
