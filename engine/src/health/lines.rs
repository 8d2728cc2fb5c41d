//! The log lines of state changes (haproxy-compat 3.13), checked against Debian's haproxy 2.6.
//!
//! Tools match these texts; they are HAProxy's to the letter. Pure: the controller says what changed and
//! how many servers and sessions are left, and sends what comes back to the backend's log.

use std::fmt::Write;

use wire::check::Verdict;

use super::{Cause, Change, Detail, Report};

/// Syslog severity (RFC 5424 6.2.1) of these lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// No server is left.
    Emerg = 0,
    /// A server went DOWN.
    Alert = 1,
    /// Everything else.
    Notice = 5,
}

/// The server a line is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The backend's name.
    pub proxy: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// `backup`.
    pub backup: bool,
    /// `option log-health-checks`: the check is told in a line of its own.
    pub log_health_checks: bool,
}

/// How things stand after the change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// Usable servers that are not backups.
    pub actives: usize,
    /// Usable backups.
    pub backups: usize,
    /// Sessions the server has.
    pub sessions: u32,
    /// Waiting sessions that were sent elsewhere.
    pub requeued: u32,
    /// Sessions that wait for the server.
    pub queued: u32,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How grave it is.
    pub severity: Severity,
    /// Without header and end of line.
    pub text: String,
}

/// The line of a change; `None` for what is not told.
pub fn line(subject: Subject<'_>, change: &Change, standing: Standing) -> Option<Line> {
    let expected = |expected: bool| {
        if expected {
            Severity::Notice
        } else {
            Severity::Alert
        }
    };
    let (severity, text) = match change {
        Change::Checked(detail) => {
            if !subject.log_health_checks {
                return None;
            }
            (Severity::Notice, checked(subject, detail))
        }
        Change::WentDown {
            cause,
            expected: quiet,
        } => {
            let text = format!("is DOWN{}{}", why(subject, cause), left(standing));
            (expected(*quiet), about(subject, &text))
        }
        Change::WentUp { cause } => {
            let text = format!("is UP{}{}", why(subject, cause), online(standing));
            (Severity::Notice, about(subject, &text))
        }
        Change::Stopping { cause } => {
            let text = format!("is stopping{}{}", why(subject, cause), online(standing));
            (Severity::Notice, about(subject, &text))
        }
        Change::EnteredMaint {
            was_up: true,
            expected: quiet,
        } => {
            let text = format!("is going DOWN for maintenance{}", left(standing));
            (expected(*quiet), about(subject, &text))
        }
        Change::EnteredMaint { was_up: false, .. } => (
            Severity::Notice,
            about(subject, "was DOWN and now enters maintenance."),
        ),
        Change::LeftMaint { up, drained } => {
            let ready = if *drained { "DRAIN" } else { "READY" };
            let text = format!(
                "is {}/{ready} (leaving forced maintenance).",
                up_or_down(*up)
            );
            (Severity::Notice, about(subject, &text))
        }
        Change::EnteredDrain { up } => {
            let tail = if *up {
                online(standing)
            } else {
                left(standing)
            };
            (
                Severity::Notice,
                about(subject, &format!("enters drain state{tail}")),
            )
        }
        Change::LeftDrain { up } => {
            let text = format!("is {} (leaving forced drain).", up_or_down(*up));
            (Severity::Notice, about(subject, &text))
        }
        Change::StillDrained => (
            Severity::Notice,
            about(subject, "remains in forced drain mode."),
        ),
        Change::Weight | Change::CheckNow => return None,
    };
    Some(Line { severity, text })
}

/// The line when a backend's last server has gone; `listen` tells what the section is.
pub fn no_server(proxy: &str, listen: bool) -> Line {
    let kind = if listen { "proxy" } else { "backend" };
    Line {
        severity: Severity::Emerg,
        text: format!("{kind} {proxy} has no server available!"),
    }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn about(subject: Subject<'_>, rest: &str) -> String {
    let backup = if subject.backup { "Backup " } else { "" };
    format!("{backup}Server {}/{} {rest}", subject.proxy, subject.server)
}

fn checked(subject: Subject<'_>, detail: &Detail) -> String {
    let Detail {
        report,
        agent,
        fraction,
    } = detail;
    let backup = if subject.backup { "backup " } else { "" };
    let result = match report.outcome.status.verdict() {
        Verdict::Failed => "failed",
        Verdict::Conditional => "conditionally succeeded",
        Verdict::Passed | Verdict::Neutral => "succeeded",
    };
    let Subject { proxy, server, .. } = subject;
    let reason = reason(report);
    let what = if *agent { "Agent" } else { "Health" };
    format!(
        "{what} check for {backup}server {proxy}/{server} {result}{reason}, status: {fraction}."
    )
}

fn why(subject: Subject<'_>, cause: &Cause) -> String {
    match cause {
        Cause::Cli => ", changed from CLI".into(),
        Cause::Report(_) if subject.log_health_checks => String::new(),
        Cause::Report(report) => reason(report),
    }
}

/// `, reason: ..., code: ..., info: "...", check duration: ...ms`, each where there is one.
pub fn reason(report: &Report) -> String {
    let outcome = &report.outcome;
    let mut text = format!(", reason: {}", outcome.status.description());
    // Writing to a string cannot fail.
    if outcome.status.has_code() {
        let _ = write!(text, ", code: {}", outcome.code.unwrap_or(0));
    }
    if !outcome.info.is_empty() {
        let _ = write!(text, ", info: \"{}\"", escaped(&outcome.info));
    }
    if let Some(duration) = report.duration_ms {
        let _ = write!(text, ", check duration: {duration}ms");
    }
    text
}

/// Bytes that could break the line or its quotes, as `<HH>`.
pub(crate) fn escaped(info: &str) -> String {
    let mut text = String::with_capacity(info.len());
    for byte in info.bytes() {
        match byte {
            b'"' | b'<' | b'>' | 0..=0x1f | 0x7f.. => {
                let _ = write!(text, "<{byte:02X}>");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

fn servers(standing: Standing, what: &str) -> String {
    let Standing {
        actives, backups, ..
    } = standing;
    let on_backup = if actives == 0 && backups > 0 {
        " Running on backup."
    } else {
        ""
    };
    format!(". {actives} active and {backups} backup servers {what}.{on_backup}")
}

fn left(standing: Standing) -> String {
    let Standing {
        sessions,
        requeued,
        queued,
        ..
    } = standing;
    let servers = servers(standing, "left");
    format!(
        "{servers} {sessions} sessions active, {requeued} requeued, {queued} remaining in queue."
    )
}

fn online(standing: Standing) -> String {
    let Standing {
        requeued, queued, ..
    } = standing;
    let servers = servers(standing, "online");
    format!("{servers} {requeued} sessions requeued, {queued} total in queue.")
}
