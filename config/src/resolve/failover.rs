//! Two ways of going from server to server, of which one can hold.

use crate::diagnostic::{Fault, Report, Severity, Shape};
use crate::draft::ProxyDraft;
use crate::model::Failover;

/// `option failover` beside HAProxy's keywords: which of them holds. No warning, because `retries` may come from
/// `defaults` that other sections need.
pub(super) fn tell_of_both_ways(draft: &ProxyDraft, report: &mut Report) {
    let back = &draft.settings.back;
    let written = back.retries.is_some() || back.redispatch.is_some();
    if !written || !matches!(back.failover, Some(Failover::On { .. })) {
        return;
    }
    let text = format!(
        "{} '{}': 'option failover' takes the place of 'retries' and 'option redispatch'.",
        draft.kind_name(),
        draft.name.value
    );
    let mut fault = Fault::new("failover-retries", text).shape(Shape::Whole);
    fault.severity = Severity::Notice;
    report.fault(&draft.name.spot, fault);
}
