//! `posthouse_alert_*`: how alerts get through, for each receiver.

use super::metrics::{Kind, Metric, Shape, metric};
use super::write::{Shown, Writer, escaped};
use crate::alert::Outlet;
use crate::outlets::Running;

const PREFIX: &str = "posthouse_alert";

/// A number of a receiver.
type One = fn(&Outlet) -> u64;

#[rustfmt::skip]
const METRICS: &[(Metric, One)] = &[
    (own("sent_total", Kind::Counter, "Messages the receiver has taken."), |o| o.counts.sent.get()),
    (own("failed_total", Kind::Counter, "Messages given up: refused for good, or not taken for an hour."), |o| o.counts.failed.get()),
    (own("retried_total", Kind::Counter, "Failed attempts after which the message is tried again."), |o| o.counts.retried.get()),
    (own("dropped_total", Kind::Counter, "Messages that gave way to newer ones in a full queue."), |o| o.counts.dropped.get()),
    (own("waiting", Kind::Gauge, "Messages that wait for the receiver."), |o| o.waiting.get() as u64),
    (own("failing", Kind::Gauge, "Whether the last attempt failed."), |o| u64::from(o.trouble.borrow().is_some())),
];

const fn own(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    metric(name, kind, "-", Shape::Plain, help)
}

/// Where there are any receivers.
pub(super) fn receivers(out: &mut Writer<'_>, outlets: &Running) {
    let outlets = &outlets.alerts.outlets;
    for (metric, value) in METRICS {
        if outlets.is_empty() || !out.head(PREFIX, metric) {
            continue;
        }
        for outlet in outlets {
            let to = escaped(&outlet.name);
            let labels = format!("channel=\"{}\",to=\"{to}\"", outlet.channel);
            out.sample(&labels, Shown::Number(value(outlet)));
        }
    }
}
