//! `mode smtp`: what it means for a proxy, and whether those that work together agree.

use super::{is_smtp, place};
use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::{GreetingOption, Mode, ProxyDraft};

/// What servers greet with: in `mode smtp` with `220` (RFC 5321, 3.1), whatever the check is.
pub(super) fn greeting(draft: &ProxyDraft, report: &mut Report) -> Option<Vec<u8>> {
    let bad = match &draft.settings.greeting {
        GreetingOption::Inferred => None,
        GreetingOption::Off => Some("'no option greeting' cannot be"),
        GreetingOption::Prefix(prefix) if prefix.starts_with(b"220") => {
            return Some(prefix.clone());
        }
        GreetingOption::Prefix(_) => Some("'option greeting' must begin with 220"),
    };
    if let Some(what) = bad {
        let text = format!(
            "{} '{}': {what} in mode smtp: mail servers speak first.",
            draft.kind_name(),
            draft.name.value
        );
        report.fault(
            place(draft),
            Fault::new("smtp-greeting", text)
                .shape(Shape::Whole)
                .help("remove the line, or write 'mode tcp'"),
        );
    }
    Some(b"220".to_vec())
}

/// A frontend and its backend read the same protocol, or neither reads any.
pub(super) fn agree(front: &ProxyDraft, back: &ProxyDraft, switched: bool, report: &mut Report) {
    if is_smtp(front) == is_smtp(back) {
        return;
    }
    let name = |draft: &ProxyDraft| if is_smtp(draft) { "smtp" } else { "tcp" };
    let text = format!(
        "{} '{}' in mode {} tries to use incompatible {} '{}' in mode {} {}.",
        front.kind_name(),
        front.name.value,
        name(front),
        back.kind_name(),
        back.name.value,
        name(back),
        match switched {
            true => "in a 'use_backend' rule",
            false => "as its default backend",
        },
    );
    let spot = match &front.settings.default_backend {
        Some(name) => &name.spot,
        None => place(front),
    };
    report.fault(
        spot,
        Fault::new("mode-mismatch", text)
            .shape(Shape::Whole)
            .help("write 'mode smtp' in both, or in neither"),
    );
}

/// Keywords of `mode smtp` in a section that is in another mode.
pub(super) fn tell(draft: &ProxyDraft, report: &mut Report) {
    if is_smtp(draft) {
        return;
    }
    for (keyword, spot) in &draft.settings.smtp.written {
        let text = format!(
            "'{keyword}' ignored for {} '{}' as it requires 'mode smtp'.",
            draft.kind_name(),
            draft.name.value
        );
        report.fault(spot, Fault::warning("needs-smtp", text).shape(Shape::Whole));
    }
}

/// What has no effect where every command is read.
pub(super) fn tell_of_tunnel(draft: &ProxyDraft, report: &mut Report) {
    let mode = draft.settings.mode.as_ref();
    let Some(mode) = mode.filter(|mode| mode.value == Mode::Smtp) else {
        return;
    };
    if draft.has_servers() && draft.settings.back.timeout_tunnel.is_some() {
        let text = format!(
            "'timeout tunnel' ignored for {} '{}': in mode smtp 'timeout client' and 'timeout server' hold to the end.",
            draft.kind_name(),
            draft.name.value
        );
        report.fault(
            &mode.spot,
            Fault::warning("smtp-tunnel", text).shape(Shape::Whole),
        );
    }
}
