//! The log lines of state changes (haproxy-compat 3.13), checked against Debian's haproxy 2.6.
//!
//! Tools match these texts; they are HAProxy's to the letter. Pure: the controller says what changed and
//! how many servers and sessions are left, and sends what comes back to the backend's log.

use std::fmt::Write;

use wire::check::Verdict;

use super::{Cause, Change, Report};
use crate::log::Level;

/// What a line tells beside the change.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// `backup`.
    pub is_backup: bool,
    /// `option log-health-checks`: the check is told in a line of its own.
    pub log_health_checks: bool,
    /// How things stand after the change.
    pub counts: Counts,
}

/// How many are left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Usable servers that are not backups.
    pub active: u32,
    /// Usable backups.
    pub backup: u32,
    /// Sessions the server has.
    pub sessions: u32,
    /// Waiting sessions that were sent elsewhere.
    pub requeued: u32,
    /// Sessions that wait for the server.
    pub queued: u32,
}

/// The line of a change; `None` for what is not told.
pub fn line(change: &Change, scene: &Scene<'_>) -> Option<(Level, String)> {
    let expected = |expected: bool| if expected { Level::Notice } else { Level::Alert };
    let told = match change {
        Change::Checked(detail) => {
            if !scene.log_health_checks {
                return None;
            }
            (Level::Notice, checked(scene, &detail.report, &detail.fraction))
        }
        Change::WentDown { cause, expected: quiet } => {
            let text = format!("is DOWN{}{}", why(scene, cause), left(scene.counts));
            (expected(*quiet), about(scene, &text))
        }
        Change::WentUp { cause } => {
            let text = format!("is UP{}{}", why(scene, cause), online(scene.counts));
            (Level::Notice, about(scene, &text))
        }
        Change::Stopping { cause } => {
            let text = format!("is stopping{}{}", why(scene, cause), online(scene.counts));
            (Level::Notice, about(scene, &text))
        }
        Change::EnteredMaint { was_up: true, expected: quiet } => {
            let text = format!("is going DOWN for maintenance{}", left(scene.counts));
            (expected(*quiet), about(scene, &text))
        }
        Change::EnteredMaint { was_up: false, .. } => {
            (Level::Notice, about(scene, "was DOWN and now enters maintenance."))
        }
        Change::LeftMaint { up, drained } => {
            let ready = if *drained { "DRAIN" } else { "READY" };
            let text = format!("is {}/{ready} (leaving forced maintenance).", up_or_down(*up));
            (Level::Notice, about(scene, &text))
        }
        Change::EnteredDrain { up } => {
            let tail = if *up { online(scene.counts) } else { left(scene.counts) };
            (Level::Notice, about(scene, &format!("enters drain state{tail}")))
        }
        Change::LeftDrain { up } => {
            let text = format!("is {} (leaving forced drain).", up_or_down(*up));
            (Level::Notice, about(scene, &text))
        }
        Change::StillDrained => {
            (Level::Notice, about(scene, "remains in forced drain mode."))
        }
        Change::Weight | Change::CheckNow => return None,
    };
    Some(told)
}

fn up_or_down(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn about(scene: &Scene<'_>, rest: &str) -> String {
    let backup = if scene.is_backup { "Backup " } else { "" };
    format!("{backup}Server {}/{} {rest}", scene.backend, scene.server)
}

fn checked(scene: &Scene<'_>, report: &Report, fraction: &str) -> String {
    let backup = if scene.is_backup { "backup " } else { "" };
    let result = match report.outcome.status.verdict() {
        Verdict::Failed => "failed",
        Verdict::Conditional => "conditionally succeeded",
        Verdict::Passed | Verdict::Neutral => "succeeded",
    };
    let Scene { backend, server, .. } = scene;
    let reason = reason(report);
    format!("Health check for {backup}server {backend}/{server} {result}{reason}, status: {fraction}.")
}

fn why(scene: &Scene<'_>, cause: &Cause) -> String {
    match cause {
        Cause::Cli => ", changed from CLI".into(),
        Cause::Report(_) if scene.log_health_checks => String::new(),
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
fn escaped(info: &str) -> String {
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

fn servers(counts: Counts, what: &str) -> String {
    let Counts { active, backup, .. } = counts;
    let on_backup = if active == 0 && backup > 0 { " Running on backup." } else { "" };
    format!(". {active} active and {backup} backup servers {what}.{on_backup}")
}

fn left(counts: Counts) -> String {
    let Counts { sessions, requeued, queued, .. } = counts;
    let servers = servers(counts, "left");
    format!("{servers} {sessions} sessions active, {requeued} requeued, {queued} remaining in queue.")
}

fn online(counts: Counts) -> String {
    let Counts { requeued, queued, .. } = counts;
    let servers = servers(counts, "online");
    format!("{servers} {requeued} sessions requeued, {queued} total in queue.")
}
