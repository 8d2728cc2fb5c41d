//! `show alerts`: who is told of incidents, how that goes, and what is open (Posthouse's own).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Answer, Call};
use crate::event::utc;

/// `show alerts`.
pub(super) fn show(call: &mut Call<'_>) -> Answer {
    let alerts = &call.desk.outlets.alerts;
    let mut out = String::from("# channel to place sent failed retried dropped waiting trouble\n");
    for outlet in &alerts.outlets {
        let trouble = outlet.trouble.borrow();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} {} {} {} {} {} {} {} {}",
            outlet.channel,
            outlet.name,
            outlet.place.replace(", ", ","),
            outlet.counts.sent.get(),
            outlet.counts.failed.get(),
            outlet.counts.retried.get(),
            outlet.counts.dropped.get(),
            outlet.waiting.get(),
            trouble.as_deref().unwrap_or("-"),
        );
    }
    out.push_str("# since incident subject\n");
    let mut open = BTreeMap::new();
    for watcher in &alerts.watchers {
        for (subject, id, since) in watcher.incidents.borrow().open() {
            open.insert((since, id.to_owned()), subject.to_string());
        }
    }
    for ((since, id), subject) in open {
        let _ = writeln!(out, "{} {id} {subject}", utc(since));
    }
    Ok(out)
}
