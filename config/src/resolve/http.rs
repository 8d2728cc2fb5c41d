//! HTTP in a mail proxy: directives are told and ignored as HAProxy does in `mode tcp`; a proxy that is
//! meant for HTTP is refused.

use super::{is_http, place, words};
use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::{HttpKind, HttpOnly, ProxyDraft};
use crate::model::Pages;

/// What a `mode http` proxy serves itself. One that would serve anything else is refused.
pub(super) fn pages(
    draft: &ProxyDraft,
    backend: Option<&ProxyDraft>,
    report: &mut Report,
) -> Option<Pages> {
    let settings = &draft.settings;
    if !is_http(draft) || settings.disabled {
        return None;
    }
    let others =
        settings.default_backend.is_some() && backend.is_none() || !settings.use_backend.is_empty();
    if others || backend.is_none() && !has_pages(draft) {
        refuse_mode(draft, report);
        return None;
    }
    let rules = &settings.tcp_request;
    if ![&rules.connection, &rules.session, &rules.content]
        .into_iter()
        .all(Vec::is_empty)
    {
        let text = format!(
            "{} '{}': 'tcp-request' rules are not supported for Posthouse's own pages.",
            draft.kind_name(),
            draft.name.value
        );
        let fault = Fault::new("not-yet", text).shape(Shape::Whole);
        report.fault(place(draft), fault.help("write 'http-request deny if ...'"));
    }
    for rule in &settings.idle_rules {
        report.fault(&rule.spot, Fault::no_effect(&rule.value));
    }
    if let Some(stats) = &settings.pages.stats
        && !stats.rules.is_empty()
        && !(stats.auth.is_empty() && stats.realm.is_none())
    {
        let text = format!(
            "proxy '{}': stats 'auth'/'realm' and 'http-request' can't be used at the same time.",
            draft.name.value
        );
        let fault = Fault::new("stats-auth", text).shape(Shape::Whole);
        report.fault(
            place(draft),
            fault.help("write 'stats http-request auth realm <realm>'"),
        );
    }
    for spot in &settings.strange_rules {
        let text = "this rule is not supported for Posthouse's own pages.";
        let fault = Fault::new("not-yet", text)
            .help("they know 'use-service prometheus-exporter', 'deny', 'allow', 'auth', 'return' and 'redirect'");
        report.fault(spot, fault);
    }
    Some(Pages {
        backend: backend.map(|backend| Box::new(backend.settings.pages.clone())),
        ..settings.pages.clone()
    })
}

/// Whether a proxy has pages of its own, and nothing else to serve.
pub(super) fn has_pages(draft: &ProxyDraft) -> bool {
    let pages = &draft.settings.pages;
    let own = pages.stats.is_some() || pages.monitor.is_some() || !pages.rules.is_empty();
    own && draft.settings.servers.is_empty()
}

/// `mode http`, in a section or in its defaults, for a proxy that would serve traffic.
fn refuse_mode(draft: &ProxyDraft, report: &mut Report) {
    let settings = &draft.settings;
    let serves = !settings.binds.is_empty() || !settings.servers.is_empty();
    if serves {
        let spot = settings
            .mode
            .as_ref()
            .map_or_else(|| place(draft), |mode| &mode.spot);
        let text = format!(
            "{} '{}': HTTP mode not supported.",
            draft.kind_name(),
            draft.name.value
        );
        let fault = Fault::new("http-mode", text).shape(Shape::Whole);
        report.fault(
            spot,
            fault.help(
                "Posthouse relays mail, and serves pages of its own ('stats enable', 'http-request use-service \
                 prometheus-exporter'): write 'mode tcp' in the section, or leave it to HAProxy",
            ),
        );
    }
}

/// What HAProxy says of each directive in a `mode tcp` proxy.
pub(super) fn tell(draft: &ProxyDraft, report: &mut Report) {
    if is_http(draft) {
        return;
    }
    let of = format!("{} '{}'", draft.kind_name(), draft.name.value);
    let mut told: Vec<&str> = Vec::new();
    for directive in &draft.settings.http {
        if told.contains(&directive.keyword) {
            continue;
        }
        told.push(directive.keyword);
        if let Some(text) = text(directive, &of) {
            report.fault(
                &directive.spot,
                Fault::warning("needs-http", text).shape(Shape::Whole),
            );
        }
    }
}

fn text(directive: &HttpOnly, of: &str) -> Option<String> {
    let keyword = directive.keyword;
    Some(match directive.kind {
        HttpKind::Rules => format!(
            "'{keyword}' {} ignored for {of} as they require HTTP mode.",
            words(directive.kind)
        ),
        HttpKind::Statement => format!(
            "'{keyword}' {} ignored for {of} as it requires HTTP mode.",
            words(directive.kind)
        ),
        HttpKind::Option => format!("'{keyword}' ignored for {of} as it requires HTTP mode."),
        HttpKind::Cookie => format!("{keyword} will be ignored for {of} (needs 'mode http')."),
        HttpKind::Hash => format!(
            "Layer 7 hash not possible for {of} (needs 'mode http'). Falling back to round robin."
        ),
        HttpKind::LogFormat => format!(
            "'{keyword}' not usable with {of} (needs 'mode http'). Falling back to 'option tcplog'."
        ),
        HttpKind::Check => format!(
            "{of} uses http-check rules without 'option httpchk', so the rules are ignored."
        ),
    })
}
