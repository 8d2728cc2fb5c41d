//! `show info` (MGT 9.3): what the process is and does, a line per row of [`ROWS`], in HAProxy's order.
//!
//! What HAProxy counts and Posthouse does not have (TLS offload, compression, memory pools) is 0: tools
//! look for the names.

use std::fmt::Write as _;

use engine::clock::Clock;
use engine::{Plane, Proxy};
use rustix::process::{Resource, getpid, getrlimit};

use crate::typed::{self, Tag};
use crate::{Desk, describe};

/// What a line shows.
type Value = fn(&Facts<'_>) -> String;

struct Facts<'a> {
    desk: &'a Desk,
    plane: &'a Plane,
    now: u64,
    descriptors: u64,
}

impl<'a> Facts<'a> {
    fn of(desk: &'a Desk) -> Self {
        Self {
            desk,
            plane: &desk.plane,
            now: desk.plane.now(),
            descriptors: getrlimit(Resource::Nofile).current.unwrap_or(0),
        }
    }
}

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Name: value`.
    Plain,
    /// `<place>.<name>.<process>:<tags>:<type>:<value>`.
    Typed,
    /// An array of objects.
    Json,
}

/// Names and values, for metrics and pages.
pub(crate) fn values(desk: &Desk) -> Vec<(&'static str, String)> {
    let facts = Facts::of(desk);
    let described = facts.plane.topology().model.global.description.is_some();
    ROWS.iter()
        .filter(|(name, ..)| *name != "description" || described)
        .map(|(name, _, value)| (*name, value(&facts)))
        .collect()
}

/// The names of all lines.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, ..)| *name)
}

/// `show info`. With `desc` a line ends with what it is; with `float` times are told to the microsecond.
pub(crate) fn text(desk: &Desk, form: Form, desc: bool, float: bool) -> String {
    let facts = Facts::of(desk);
    // Shown only where it is set.
    let described = facts.plane.topology().model.global.description.is_some();
    let rows = ROWS
        .iter()
        .enumerate()
        .filter(|(_, (name, ..))| *name != "description" || described)
        .map(|(place, (name, tag, value))| match (float, *name) {
            (true, "Uptime_sec") => {
                let micros = Clock::get().micros();
                let value = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                (place, *name, Tag("MDP:flt"), value)
            }
            _ => (place, *name, Tag(tag), value(&facts)),
        });
    match form {
        Form::Plain => rows.fold(String::new(), |mut out, (_, name, _, value)| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name}: {value}{}", describe::suffix(desc, name));
            out
        }),
        Form::Typed => rows.fold(String::new(), |mut out, (place, name, tag, value)| {
            let (tag, desc) = (tag.text(), describe::suffix(desc, name));
            let _ = writeln!(out, "{place}.{name}.1:{tag}:{value}{desc}");
            out
        }),
        Form::Json => {
            let values = rows.map(|(place, name, tag, value)| {
                let value = if tag.text().ends_with(":str") {
                    typed::string(&value)
                } else {
                    value
                };
                tag.json("", place, name, &value)
            });
            format!("[{}]\n", typed::join(values))
        }
    }
}

/// Whether the line of that name holds text.
pub(crate) fn is_text(name: &str) -> bool {
    ROWS.iter()
        .any(|(known, tag, _)| *known == name && tag.ends_with(":str"))
}

const ZERO: Value = |_| "0".into();

#[rustfmt::skip]
const ROWS: &[(&str, &str, Value)] = &[
    ("Name", "POS:str", |_| "HAProxy".into()),
    ("Version", "POS:str", |f| f.desk.program.version.into()),
    ("Release_date", "POS:str", |f| f.desk.program.release_date.into()),
    ("Nbthread", "CGS:u32", |f| f.plane.workers().to_string()),
    ("Nbproc", "CGS:u32", |_| "1".into()),
    ("Process_num", "KGP:u32", |_| "1".into()),
    ("Pid", "SGP:u32", |_| getpid().as_raw_pid().to_string()),
    ("Uptime", "MDP:str", |f| uptime(f.now / 1000)),
    ("Uptime_sec", "MDP:u32", |f| (f.now / 1000).to_string()),
    ("Memmax_MB", "CLP:u32", ZERO),
    ("PoolAlloc_MB", "MGP:u32", ZERO),
    ("PoolUsed_MB", "MGP:u32", ZERO),
    ("PoolFailed", "MCP:u32", ZERO),
    ("Ulimit-n", "CLP:u32", |f| f.descriptors.to_string()),
    ("Maxsock", "CLP:u32", |f| f.descriptors.to_string()),
    ("Maxconn", "CLP:u32", |f| f.plane.process().maxconn().to_string()),
    ("Hard_maxconn", "CLP:u32", |f| f.plane.process().hard_maxconn().to_string()),
    ("CurrConns", "MGP:u32", |f| f.plane.process().sessions.get().to_string()),
    ("CumConns", "MCP:u32", |f| total(&f.plane.process().connections)),
    ("CumReq", "MCP:u32", |f| total(&f.plane.process().connections)),
    ("MaxSslConns", "MMP:u32", |f| f.plane.process().tls.seats.most.to_string()),
    ("CurrSslConns", "MGP:u32", |f| f.plane.process().tls.sessions.get().to_string()),
    ("CumSslConns", "MCP:u32", |f| total(&f.plane.process().tls.handshakes)),
    ("Maxpipes", "CLP:u32", ZERO),
    ("PipesUsed", "MGP:u32", ZERO),
    ("PipesFree", "MGP:u32", ZERO),
    ("ConnRate", "MRP:u32", |f| f.plane.process().connection_rate.get(f.now).to_string()),
    ("ConnRateLimit", "CLP:u32", |f| limit(&f.plane.process().connection_limit)),
    ("MaxConnRate", "MMP:u32", |f| f.plane.process().connection_rate.most().to_string()),
    ("SessRate", "MRP:u32", |f| f.plane.process().session_rate.get(f.now).to_string()),
    ("SessRateLimit", "CLP:u32", |f| limit(&f.plane.process().session_limit)),
    ("MaxSessRate", "MRP:u32", |f| f.plane.process().session_rate.most().to_string()),
    ("SslRate", "MRP:u32", |f| f.plane.process().tls.rate.get(f.now).to_string()),
    ("SslRateLimit", "CLP:u32", |f| limit(&f.plane.process().ssl_limit)),
    ("MaxSslRate", "MMP:u32", |f| f.plane.process().tls.rate.most().to_string()),
    ("SslFrontendKeyRate", "MGP:u32", |f| f.plane.process().tls.key_rate.get(f.now).to_string()),
    ("SslFrontendMaxKeyRate", "MMP:u32", |f| f.plane.process().tls.key_rate.most().to_string()),
    ("SslFrontendSessionReuse_pct", "MGP:u32", |f| f.plane.process().tls.reuse(f.now).to_string()),
    ("SslBackendKeyRate", "MRP:u32", ZERO),
    ("SslBackendMaxKeyRate", "MMP:u32", ZERO),
    ("SslCacheLookups", "MCP:u32", ZERO),
    ("SslCacheMisses", "MCP:u32", ZERO),
    ("CompressBpsIn", "MRP:u32", ZERO),
    ("CompressBpsOut", "MRP:u32", ZERO),
    ("CompressBpsRateLim", "CLP:u32", ZERO),
    ("Tasks", "MGP:u32", |f| f.plane.process().sessions.get().to_string()),
    ("Run_queue", "MGP:u32", ZERO),
    ("Idle_pct", "MaP:u32", |f| f.desk.idle.percent(f.now, f.plane.workers()).to_string()),
    ("node", "COS:str", node),
    ("description", "COS:str", |f| f.plane.topology().model.global.description.clone().unwrap_or_default()),
    ("Stopping", "MGP:u32", |f| u8::from(f.plane.process().is_stopping()).to_string()),
    ("Jobs", "MGP:u32", |f| (u64::from(f.plane.process().sessions.get()) + listeners(f)).to_string()),
    ("Unstoppable Jobs", "MGP:u32", ZERO),
    ("Listeners", "MGP:u32", |f| listeners(f).to_string()),
    ("ActivePeers", "MGP:u32", ZERO),
    ("ConnectedPeers", "MGP:u32", ZERO),
    ("DroppedLogs", "MGP:u32", |f| f.plane.dropped_logs().to_string()),
    ("BusyPolling", "MGP:u32", ZERO),
    ("FailedResolutions", "MGP:u32", ZERO),
    ("TotalBytesOut", "MGP:u64", |f| total(&f.plane.process().bytes_out)),
    ("TotalSplicedBytesOut", "MGP:u64", ZERO),
    ("BytesOutRate", "MRP:u64", ZERO),
    ("DebugCommandsIssued", "MGP:u32", ZERO),
    ("CumRecvLogs", "MCP:u32", ZERO),
    ("Build info", "POS:str", |f| f.desk.program.version.into()),
    ("Memmax_bytes", "CLP:u32", ZERO),
    ("PoolAlloc_bytes", "MGP:u64", ZERO),
    ("PoolUsed_bytes", "MGP:u64", ZERO),
    ("Start_time_sec", "MDP:u32", |_| (Clock::get().wall_ms(0) / 1000).to_string()),
    ("Tainted", "SGP:str", ZERO),
    ("TotalWarnings", "MCP:u32", ZERO),
    ("MaxconnReached", "MCP:u32", |f| total(&f.plane.process().maxconn_reached)),
    ("BootTime_ms", "MDP:u32", ZERO),
    ("Niced_tasks", "MGP:u32", ZERO),
    ("CurrStreams", "MGP:u32", |f| f.plane.process().sessions.get().to_string()),
    ("CumStreams", "MCP:u64", |f| total(&f.plane.process().connections)),
    ("BlockedTrafficWarnings", "MCP:u32", ZERO),
    ("PatternsAdded", "MCP:u64", ZERO),
    ("PatternsFreed", "MCP:u64", ZERO),
    ("NbThreadGroups", "CGS:u32", |_| "1".into()),
];

fn total(counter: &std::sync::atomic::AtomicU64) -> String {
    counter
        .load(std::sync::atomic::Ordering::Relaxed)
        .to_string()
}

fn limit(limit: &std::sync::atomic::AtomicU32) -> String {
    limit.load(std::sync::atomic::Ordering::Relaxed).to_string()
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
        let mut names: Vec<_> = ROWS.iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
