//! Timeouts that are not set: as in HAProxy a warning, because what hangs then hangs for ever.

use super::is_smtp;
use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::ProxyDraft;

/// HAProxy's advice about timeouts that are not set, in one block per proxy. `mode smtp` has RFC 5321's.
pub(super) fn warn_of_missing(draft: &ProxyDraft, report: &mut Report) {
    let settings = &draft.settings;
    let listens = draft.takes_connections() && !settings.binds.is_empty();
    let serves = draft.has_servers() && !settings.servers.is_empty();
    let relays = !is_smtp(draft);
    let missing: Vec<_> = [
        (
            listens && relays,
            settings.front.timeout_client,
            "timeout client",
        ),
        (serves, settings.back.timeout_connect, "timeout connect"),
        (
            serves && relays,
            settings.back.timeout_server,
            "timeout server",
        ),
    ]
    .into_iter()
    .filter(|(needed, time, _)| *needed && time.is_none())
    .map(|(.., name)| format!("'{name}'"))
    .collect();
    if settings.disabled || missing.is_empty() {
        return;
    }
    let text = format!(
        "missing timeouts for {} '{}'.",
        draft.kind_name(),
        draft.name.value
    );
    let help = format!(
        "a peer that hangs is waited for without end; set {}",
        missing.join(", ")
    );
    let fault = Fault::warning("missing-timeouts", text).shape(Shape::Whole);
    report.fault(&draft.name.spot, fault.help(help));
}
