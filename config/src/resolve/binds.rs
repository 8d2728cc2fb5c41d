//! Listeners: a `bind` line has one for each of its addresses.

use super::ids::ids;
use super::{is_smtp, tls};
use crate::diagnostic::Report;
use crate::draft::ProxyDraft;
use crate::model::{Bind, Global};

pub(super) fn binds(draft: &ProxyDraft, global: &Global, report: &mut Report) -> Vec<Bind> {
    let smtp = is_smtp(draft);
    let lines = &draft.settings.binds;
    // The id of a line is its first address's.
    let written = lines.iter().flat_map(|line| {
        let addresses = 0..line.addresses.len();
        addresses.map(|place| line.id.as_ref().filter(|_| place == 0))
    });
    let taken = |id, _| format!("custom id {id} already used by another listener.");
    let ids = ids(&written.collect::<Vec<_>>(), 1, taken, report);
    let mut ids = ids.into_iter();
    let mut binds = Vec::new();
    for line in lines {
        let tls = tls::bind(line, smtp, &global.tls, report);
        for (address, id) in line.addresses.iter().zip(&mut ids) {
            let mut bind = Bind {
                address: address.clone(),
                id,
                tls: tls.clone(),
                ..line.bind.clone()
            };
            let (own, common) = (&mut bind.permissions, &global.unix_bind);
            own.mode = own.mode.or(common.mode);
            own.user = own.user.take().or_else(|| common.user.clone());
            own.group = own.group.take().or_else(|| common.group.clone());
            binds.push(bind);
        }
    }
    binds
}
