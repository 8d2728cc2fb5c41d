//! An event in words, and how grave it is.

use crate::health::lines;
use crate::log::Level;
use crate::topology::Proxy;
use wire::check::Flaw;

use super::{Kind, Named, ProcessState, ProxyState, Spared, Trouble, Unfit};

/// What is said of an event.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) level: Level,
    pub(super) text: String,
    /// Where standard error has other words.
    pub(super) console: Option<String>,
}

/// Servers that are named one by one; of more only the number is told.
const LISTED: usize = 3;

pub(super) fn say(proxy: Option<&Proxy>, kind: &Kind) -> Said {
    let name = proxy.map_or("", |proxy| &**proxy.name());
    let mut console = None;
    let (level, text) = match kind {
        Kind::Server {
            server,
            change,
            standing,
            ..
        } => {
            let back = proxy.and_then(|proxy| proxy.conf().back.as_ref());
            let subject = lines::Subject {
                log_health_checks: back.is_some_and(|back| back.log_health_checks),
                ..subject(name, server)
            };
            let line = lines::line(subject, change, *standing);
            line.map_or((Level::Notice, String::new()), |line| {
                (line.severity.into(), line.text)
            })
        }
        Kind::Weight { server, from, to } => {
            let text = format!(
                "{} has weight {to}, changed from {from}.",
                full(name, server)
            );
            (Level::Notice, text)
        }
        Kind::Address { server, what } => {
            let text = format!(
                "{name}/{} changed: {what} by stats socket command.",
                server.name
            );
            (Level::Warning, text)
        }
        Kind::Member { server, added } => {
            let what = if *added { "added" } else { "deleted" };
            let text = format!("{} was {what} by stats socket command.", full(name, server));
            (Level::Notice, text)
        }
        Kind::Reserve { server, why } => (Level::Notice, reserve(name, server, *why)),
        Kind::Unfit { server, why } => (Level::Alert, unfit(&full(name, server), *why)),
        Kind::Degraded { server, flaw, why } => degraded(name, server, *flaw, why),
        Kind::Backend { up, without } => {
            let listen = proxy.is_some_and(|proxy| proxy.front.is_some());
            let section = if listen { "proxy" } else { "backend" };
            if *up {
                let seconds = without.div_ceil(1000);
                let text =
                    format!("{section} {name} has a server again, after {seconds}s without.");
                (Level::Notice, text)
            } else {
                console = Some(format!("{section} '{name}' has no server available!"));
                let line = lines::no_server(name, listen);
                (line.severity.into(), line.text)
            }
        }
        Kind::Failover { from, to } => failover(name, from, to),
        Kind::Proxy(state) => (Level::Warning, proxy_state(name, *state)),
        Kind::Process(state) => {
            let word = match state {
                ProcessState::Started => "started",
                ProcessState::Stopping => "is stopping: no new connections, sessions go on",
                ProcessState::Ended => "ends",
            };
            (Level::Notice, format!("Process {word}."))
        }
        Kind::Trouble(trouble) => self::trouble(trouble),
    };
    Said {
        level,
        text,
        console,
    }
}

fn trouble(trouble: &Trouble) -> (Level, String) {
    let text = match trouble {
        Trouble::LogsDropped(lines) => {
            format!("{lines} log lines were dropped: the log is slower than what is logged.")
        }
        Trouble::NotAccepted(times) => format!(
            "Accepting connections has failed {times} times: no descriptors or memory (see 'maxconn', 'ulimit-n')."
        ),
        Trouble::AlertsFail { to, why, waiting } => {
            format!("Alerts do not get through to {to}: {why}; {waiting} waiting.")
        }
        Trouble::AlertsPass { to, lost } => {
            let text = format!("Alerts get through to {to} again; {lost} were lost.");
            return (Level::Notice, text);
        }
    };
    (Level::Warning, text)
}

fn subject<'a>(proxy: &'a str, server: &'a Named) -> lines::Subject<'a> {
    lines::Subject {
        proxy,
        server: &server.name,
        backup: server.backup,
        log_health_checks: false,
    }
}

fn full(proxy: &str, server: &Named) -> String {
    let backup = if server.backup { "Backup " } else { "" };
    format!("{backup}Server {proxy}/{}", server.name)
}

/// Why it has no sessions though it is UP.
fn unfit(server: &str, why: Unfit) -> String {
    match why {
        Unfit::StartTls(refusal) => {
            format!("{server}: {refusal}. Sessions go to others: in clear text none goes there.")
        }
        Unfit::Xclient => format!(
            "{server}: XCLIENT is not offered to the proxy, or refused. Sessions go to others: it would take the proxy for \
             each of its clients."
        ),
    }
}

fn reserve(proxy: &str, server: &Named, why: Option<Spared>) -> String {
    let seconds = |ms: u64| ms.div_ceil(1000);
    let server = full(proxy, server);
    let name = server.rsplit(' ').next().unwrap_or_default();
    match why {
        None => format!("{server} is in reserve no longer."),
        Some(Spared::Silence(rest)) => format!(
            "{server} was silent while another answered; it rests for {}s.",
            seconds(rest)
        ),
        Some(Spared::Failback(rest)) => format!(
            "{server} is kept in reserve (option failback); it serves in {}s.",
            seconds(rest)
        ),
        Some(Spared::Operator) => format!(
            "{server} is kept in reserve (option failback); 'set server {name} state ready' lets it serve."
        ),
    }
}

/// That it is not well, why, and what that means for sessions.
fn degraded(proxy: &str, server: &Named, flaw: Option<Flaw>, why: &str) -> (Level, String) {
    let server = full(proxy, server);
    let Some(flaw) = flaw else {
        return (Level::Notice, format!("{server} is degraded no longer."));
    };
    let why = why.strip_prefix("degraded: ").unwrap_or(why);
    let avoided = if flaw.hurts() {
        ". It is left alone while others serve."
    } else {
        ". It goes on serving."
    };
    let text = format!(
        "{server} is degraded ({}): {}{avoided}",
        flaw.name(),
        lines::escaped(why)
    );
    (Level::Warning, text)
}

fn failover(proxy: &str, from: &[Named], to: &[Named]) -> (Level, String) {
    let onto_backup = to.iter().any(|server| server.backup);
    let off_backup = from.iter().any(|server| server.backup);
    let (level, word) = if off_backup && !onto_backup {
        (Level::Notice, "back")
    } else {
        (Level::Alert, "over")
    };
    let text = format!(
        "Backend {proxy} fails {word}: new sessions go to {} instead of {}.",
        listed(to),
        listed(from)
    );
    (level, text)
}

/// `server mail1`, `backup server mail2`, `servers a, b, c and 4 more`.
fn listed(servers: &[Named]) -> String {
    let backup = if servers.iter().all(|server| server.backup) {
        "backup "
    } else {
        ""
    };
    let plural = if servers.len() == 1 { "" } else { "s" };
    let names: Vec<_> = servers.iter().take(LISTED).map(|s| &*s.name).collect();
    let mut text = format!("{backup}server{plural} {}", names.join(", "));
    if servers.len() > LISTED {
        text.push_str(&format!(" and {} more", servers.len() - LISTED));
    }
    text
}

fn proxy_state(name: &str, state: ProxyState) -> String {
    match state {
        ProxyState::Paused => format!("Paused frontend {name}."),
        ProxyState::Resumed => format!("Resumed frontend {name}."),
        ProxyState::Stopped { front, back } => {
            format!("Proxy {name} stopped (cumulated conns: FE: {front}, BE: {back}).")
        }
    }
}

impl From<lines::Severity> for Level {
    fn from(severity: lines::Severity) -> Self {
        match severity {
            lines::Severity::Emerg => Self::Emerg,
            lines::Severity::Alert => Self::Alert,
            lines::Severity::Notice => Self::Notice,
        }
    }
}
