//! An event as JSON: for the event log, `show events`, webhooks and pages. The names are in `docs/alerts.md`; they
//! are added to and do not change their meaning.

use engine::Level;
use engine::event::{
    Event, Kind, Named, ProcessState, ProxyState, Refusal, Spared, Trouble, Unfit,
};
use engine::health::lines::Standing;
use engine::health::{Cause, Change, Report};
use serde::Serialize;

/// An event in one line, without its end.
pub fn json(event: &Event) -> String {
    // Strings, numbers and keys that are strings: nothing here can fail.
    serde_json::to_string(&Record::new(event)).unwrap_or_default()
}

/// `2026-11-25T02:00:00.123Z`.
pub fn utc(wall_ms: u64) -> String {
    let millis = i64::try_from(wall_ms).unwrap_or(0);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

/// Syslog's word for a level (RFC 5424 6.2.1).
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Emerg => "emerg",
        Level::Alert => "alert",
        Level::Err => "err",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Info => "info",
    }
}

#[derive(Serialize)]
struct Record<'e> {
    seq: u64,
    time: String,
    ms: u64,
    level: &'static str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<&'e str>,
    #[serde(flatten)]
    detail: Detail<'e>,
    text: &'e str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'e> {
    Server {
        server: &'e str,
        backup: bool,
        from: &'static str,
        to: &'static str,
        by: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        check: Option<Check<'e>>,
        servers: Servers,
        sessions: Sessions,
    },
    Weight {
        server: &'e str,
        backup: bool,
        from: u32,
        to: u32,
    },
    Address {
        server: &'e str,
        backup: bool,
    },
    Reserve {
        server: &'e str,
        backup: bool,
        reserve: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        for_ms: Option<u64>,
    },
    Unfit {
        server: &'e str,
        backup: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
    },
    Degraded {
        server: &'e str,
        backup: bool,
        degraded: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'static str>,
    },
    Backend {
        to: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        down_ms: Option<u64>,
    },
    Failover {
        from: Vec<&'e str>,
        to: Vec<&'e str>,
        onto_backup: bool,
    },
    State {
        to: &'static str,
    },
    Trouble {
        trouble: &'static str,
        count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'e str>,
    },
}

#[derive(Serialize)]
struct Check<'e> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    reason: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    info: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// Usable ones.
#[derive(Serialize)]
struct Servers {
    active: usize,
    backup: usize,
}

#[derive(Serialize)]
struct Sessions {
    active: u32,
    requeued: u32,
    queued: u32,
}

impl<'e> Record<'e> {
    fn new(event: &'e Event) -> Self {
        let (name, detail) = detail(&event.kind);
        Self {
            seq: event.seq,
            time: utc(event.wall_ms),
            ms: event.wall_ms,
            level: level(event.level),
            event: name,
            proxy: event.proxy.as_deref(),
            detail,
            text: &event.text,
        }
    }
}

fn detail(kind: &Kind) -> (&'static str, Detail<'_>) {
    match kind {
        Kind::Server {
            server,
            from,
            to,
            change,
            standing,
        } => {
            let (name, report) = about(change);
            let states = (from.word(), to.word());
            (name, of_server(server, states, report, standing))
        }
        Kind::Weight { server, from, to } => {
            let detail = Detail::Weight {
                server: &server.name,
                backup: server.backup,
                from: *from,
                to: *to,
            };
            ("weight", detail)
        }
        Kind::Address { server, .. } => {
            let detail = Detail::Address {
                server: &server.name,
                backup: server.backup,
            };
            ("address", detail)
        }
        Kind::Member { server, added } => {
            let detail = Detail::Address {
                server: &server.name,
                backup: server.backup,
            };
            (if *added { "added" } else { "deleted" }, detail)
        }
        Kind::Reserve { server, why } => ("reserve", reserve(server, *why)),
        Kind::Degraded { server, flaw, .. } => {
            let why = flaw.map(|flaw| flaw.name());
            ("degraded", degraded(server, why))
        }
        Kind::Backend { up, without } => {
            let detail = Detail::Backend {
                to: if *up { "UP" } else { "DOWN" },
                down_ms: up.then_some(*without),
            };
            ("backend", detail)
        }
        Kind::Failover { from, to } => {
            let detail = Detail::Failover {
                from: names(from),
                to: names(to),
                onto_backup: to.iter().any(|server| server.backup),
            };
            ("failover", detail)
        }
        Kind::Proxy(state) => (
            "proxy",
            Detail::State {
                to: section(*state),
            },
        ),
        Kind::Process(state) => (
            "process",
            Detail::State {
                to: process(*state),
            },
        ),
        Kind::Unfit { server, why } => {
            let (event, why) = unfit(*why);
            let detail = Detail::Unfit {
                server: &server.name,
                backup: server.backup,
                why,
            };
            (event, detail)
        }
        Kind::Trouble(trouble) => ("trouble", in_the_way(trouble)),
    }
}

fn section(state: ProxyState) -> &'static str {
    match state {
        ProxyState::Paused => "PAUSED",
        ProxyState::Resumed => "OPEN",
        ProxyState::Stopped { .. } => "STOP",
    }
}

fn process(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Started => "STARTED",
        ProcessState::Stopping => "STOPPING",
        ProcessState::Ended => "ENDED",
    }
}

/// The event's name, and what is wrong.
fn unfit(why: Unfit) -> (&'static str, Option<&'static str>) {
    match why {
        Unfit::StartTls(refusal) => ("starttls", Some(refused_tls(refusal))),
        Unfit::Xclient => ("xclient", None),
    }
}

fn refused_tls(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotOffered => "not-offered",
        Refusal::Refused => "refused",
        Refusal::Injected => "injected",
        Refusal::NoSmtp => "no-smtp",
    }
}

fn of_server<'e>(
    server: &'e Named,
    (from, to): (&'static str, &'static str),
    report: Option<&'e Report>,
    standing: &Standing,
) -> Detail<'e> {
    Detail::Server {
        server: &server.name,
        backup: server.backup,
        from,
        to,
        by: match report {
            None => "operator",
            Some(report) if report.duration_ms.is_none() => "traffic",
            Some(_) => "check",
        },
        check: report.map(check),
        servers: Servers {
            active: standing.actives,
            backup: standing.backups,
        },
        sessions: Sessions {
            active: standing.sessions,
            requeued: standing.requeued,
            queued: standing.queued,
        },
    }
}

/// What a server's change is called, and what found it out; `None`: an operator.
fn about(change: &Change) -> (&'static str, Option<&Report>) {
    let cause = match change {
        Change::Checked(detail) => return ("check", Some(&detail.report)),
        Change::StillDrained => return ("still-drained", None),
        Change::WentDown { cause, .. } | Change::WentUp { cause } | Change::Stopping { cause } => {
            cause
        }
        _ => return ("server", None),
    };
    match cause {
        Cause::Report(report) => ("server", Some(report)),
        Cause::Cli => ("server", None),
    }
}

fn check(report: &Report) -> Check<'_> {
    let outcome = &report.outcome;
    Check {
        status: outcome.status.name(),
        code: outcome.code,
        reason: outcome.status.description(),
        info: &outcome.info,
        duration_ms: report.duration_ms,
    }
}

fn reserve(server: &Named, why: Option<Spared>) -> Detail<'_> {
    let (why, for_ms) = match why {
        None => (None, None),
        Some(Spared::Silence(rest)) => (Some("silence"), Some(rest)),
        Some(Spared::Failback(rest)) => (Some("failback"), Some(rest)),
        Some(Spared::Operator) => (Some("failback"), None),
    };
    Detail::Reserve {
        server: &server.name,
        backup: server.backup,
        reserve: why.is_some(),
        why,
        for_ms,
    }
}

fn degraded<'e>(server: &'e Named, why: Option<&'static str>) -> Detail<'e> {
    Detail::Degraded {
        server: &server.name,
        backup: server.backup,
        degraded: why.is_some(),
        why,
    }
}

fn in_the_way(trouble: &Trouble) -> Detail<'_> {
    let (trouble, count, to) = match trouble {
        Trouble::LogsDropped(lines) => ("logs-dropped", *lines, None),
        Trouble::NotAccepted(times) => ("not-accepted", *times, None),
        Trouble::AlertsFail { to, waiting, .. } => ("alerts-fail", *waiting, Some(&**to)),
        Trouble::AlertsPass { to, lost } => ("alerts-pass", *lost, Some(&**to)),
    };
    Detail::Trouble { trouble, count, to }
}

fn names(servers: &[Named]) -> Vec<&str> {
    servers.iter().map(|server| &*server.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        Event {
            seq: 7,
            wall_ms: 1_764_000_000_123,
            at: 12,
            level: Level::Alert,
            proxy: Some("mail".into()),
            kind,
            text: "Words, \"quoted\".".into(),
        }
    }

    fn named(name: &str) -> Named {
        Named {
            name: name.into(),
            backup: name.starts_with('b'),
        }
    }

    #[test]
    fn a_failover_in_a_line() {
        let line = json(&event(Kind::Failover {
            from: vec![named("m1"), named("m2")],
            to: vec![named("b1")],
        }));
        assert_eq!(
            line,
            r#"{"seq":7,"time":"2025-11-24T16:00:00.123Z","ms":1764000000123,"level":"alert","event":"failover","proxy":"mail","from":["m1","m2"],"to":["b1"],"onto_backup":true,"text":"Words, \"quoted\"."}"#
        );
    }

    #[test]
    fn a_server_with_what_its_check_found() {
        let report = Report {
            outcome: wire::check::Outcome {
                status: wire::check::Status::L7Sts,
                code: Some(421),
                info: "421 no\u{7}w".into(),
                flaw: None,
            },
            duration_ms: Some(3),
        };
        let line = json(&event(Kind::Server {
            server: named("m1"),
            from: engine::health::ServerState::Up,
            to: engine::health::ServerState::Down,
            change: Change::WentDown {
                cause: Cause::Report(report),
                expected: false,
            },
            standing: Standing::default(),
        }));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["by"], "check");
        assert_eq!(read["check"]["status"], "L7STS");
        assert_eq!(read["check"]["code"], 421);
        assert_eq!(read["check"]["info"], "421 no\u{7}w");
        assert_eq!((&read["from"], &read["to"]), (&"UP".into(), &"DOWN".into()));
        assert!(!line.contains('\n'));
    }
}
