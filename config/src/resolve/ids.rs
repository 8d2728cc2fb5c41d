//! Ids of proxies, listeners and servers: the written ones, and for the others the next free number
//! (haproxy-compat 1.6).

use std::collections::HashMap;

use crate::diagnostic::{At, Fault, Report};
use crate::draft::ProxyDraft;

/// Ids in the order of what bears them. `from` is the first that is given; `taken` says that the one at an index has
/// that id already.
pub(super) fn ids(
    written: &[Option<&At<u32>>],
    from: u32,
    taken: impl Fn(u32, usize) -> String,
    report: &mut Report,
) -> Vec<u32> {
    let mut bearers: HashMap<u32, usize> = HashMap::new();
    for (index, id) in written.iter().enumerate() {
        let Some(id) = id else { continue };
        if let Some(first) = bearers.insert(id.value, index) {
            let fault = Fault::new("duplicate-id", taken(id.value, first));
            report.fault(&id.spot, fault);
        }
    }
    let mut free = (from..).filter(|id| !bearers.contains_key(id));
    let next = |id: &Option<&At<u32>>| id.map_or_else(|| free.next().unwrap_or(0), |id| id.value);
    written.iter().map(next).collect()
}

pub(super) fn of_proxies(proxies: &[ProxyDraft], report: &mut Report) -> Vec<u32> {
    let written: Vec<_> = proxies
        .iter()
        .map(|proxy| proxy.settings.id.as_ref())
        .collect();
    let taken = |id, first: usize| {
        let (kind, name) = (proxies[first].kind_name(), &proxies[first].name.value);
        format!("Custom id {id} already used by {kind} '{name}'.")
    };
    ids(&written, 2, taken, report)
}
