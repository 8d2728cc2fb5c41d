//! Rules of Posthouse's own pages: `http-request`, `stats http-request`, `redirect`, `monitor` (CFG 4.2, 4.4).

use super::Args;
use crate::acl::{self, Condition};
use crate::diagnostic::{At, Fault};
use crate::draft::{HttpKind, HttpOnly, Settings};
use crate::model::{PageAction, PageRule, RedirectTo};

/// What `http-request` may do that changes nothing for a page.
const IDLE: &[&str] = &[
    "set-log-level",
    "set-header",
    "add-header",
    "del-header",
    "replace-header",
    "set-var",
    "unset-var",
    "capture",
    "set-nice",
    "set-tos",
    "set-mark",
    "set-fc-mark",
    "set-fc-tos",
];

/// `http-request`: what Posthouse's pages need of it; the rest is an error where it would be served.
pub(super) fn http_request(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    tell(args, settings, HttpKind::Rules);
    let word = args.word()?;
    // `set-var(txn.x)`.
    let name = word.text.split('(').next().unwrap_or_default();
    if IDLE.contains(&name) {
        let idle = At {
            value: format!("http-request {name}"),
            spot: args.spot(),
        };
        settings.idle_rules.push(idle);
        while args.next().is_some() {}
        return Ok(());
    }
    match action(name, args)? {
        Some(action) => {
            let rule = rule(action, args, settings)?;
            settings.pages.rules.push(rule);
        }
        None => {
            settings.strange_rules.push(args.spot());
            while args.next().is_some() {}
        }
    }
    Ok(())
}

/// `stats http-request auth|allow|deny`.
pub(super) fn stats_http_request(
    args: &mut Args<'_>,
    settings: &mut Settings,
) -> Result<(), Fault> {
    let word = args.word()?;
    let known = ["auth", "allow", "deny"].contains(&word.text.as_str());
    let Some(action) = action(&word.text, args)?.filter(|_| known) else {
        let text = "'stats http-request' expects 'auth', 'allow' or 'deny'.";
        return Err(Fault::new("unknown-action", text).on(&word.span));
    };
    let rule = rule(action, args, settings)?;
    settings
        .pages
        .stats
        .get_or_insert_default()
        .rules
        .push(rule);
    Ok(())
}

/// `redirect`.
pub(super) fn redirect(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    tell(args, settings, HttpKind::Rules);
    match action("redirect", args)? {
        Some(action) => {
            let rule = rule(action, args, settings)?;
            settings.pages.redirects.push(rule);
        }
        None => {
            settings.strange_rules.push(args.spot());
            while args.next().is_some() {}
        }
    }
    Ok(())
}

/// `monitor-uri`.
pub(super) fn monitor_uri(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    tell(args, settings, HttpKind::Statement);
    settings.pages.monitor = Some(args.text()?);
    args.end()
}

/// `monitor fail`.
pub(super) fn monitor_fail(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    tell(args, settings, HttpKind::Statement);
    let condition = condition(args, settings)?.ok_or_else(|| {
        Fault::new(
            "bad-condition",
            "'monitor fail' expects 'if' or 'unless' and a condition.",
        )
    })?;
    settings.pages.monitor_fails.push(condition);
    Ok(())
}

/// A condition, whose userlists and backends are looked for when everything is read.
pub(super) fn condition(
    args: &mut Args<'_>,
    settings: &mut Settings,
) -> Result<Option<Condition>, Fault> {
    let condition = acl::condition(args, &settings.acls)?;
    if let Some(condition) = &condition {
        let at = |name: &str| At {
            value: name.to_owned(),
            spot: args.spot(),
        };
        settings.named_lists.extend(condition.userlists().map(at));
        settings.named_backends.extend(condition.backends().map(at));
    }
    Ok(condition)
}

fn rule(
    action: PageAction,
    args: &mut Args<'_>,
    settings: &mut Settings,
) -> Result<PageRule, Fault> {
    let condition = condition(args, settings)?;
    Ok(PageRule { action, condition })
}

/// The action of that name, up to its condition. `None`: the pages do not know it.
fn action(name: &str, args: &mut Args<'_>) -> Result<Option<PageAction>, Fault> {
    Ok(Some(match name {
        "use-service" if args.take("prometheus-exporter") => PageAction::Metrics,
        "allow" => PageAction::Allow,
        "auth" => {
            let realm = args.take("realm").then(|| args.text()).transpose()?;
            PageAction::Auth(realm)
        }
        "deny" => {
            let given = args.take("deny_status") || args.take("status");
            let status = if given { args.number(200..=599)? } else { 403 };
            PageAction::Deny(status)
        }
        "return" => return answer(args),
        "redirect" => return redirection(args),
        _ => return Ok(None),
    }))
}

/// `return [status <code>] [content-type <type>] [string <text>]`.
fn answer(args: &mut Args<'_>) -> Result<Option<PageAction>, Fault> {
    let (mut status, mut kind, mut text) = (200, None, String::new());
    while let Some(word) = args.peek() {
        match word.text.as_str() {
            "if" | "unless" => break,
            "status" => {
                args.next();
                status = args.number(200..=599)?;
            }
            "content-type" => {
                args.next();
                kind = Some(args.text()?);
            }
            "string" | "lf-string" => {
                args.next();
                text = args.text()?;
                if word.text == "lf-string" && text.contains('%') {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(PageAction::Return { status, kind, text }))
}

/// `redirect location|prefix|scheme <to> [code <code>]`.
fn redirection(args: &mut Args<'_>) -> Result<Option<PageAction>, Fault> {
    let (mut status, mut to) = (302, None);
    while let Some(word) = args.peek() {
        let make: fn(String) -> RedirectTo = match word.text.as_str() {
            "if" | "unless" => break,
            "code" => {
                args.next();
                status = args.number(301..=308)?;
                continue;
            }
            "location" => RedirectTo::Location,
            "prefix" => RedirectTo::Prefix,
            "scheme" => RedirectTo::Scheme,
            _ => return Ok(None),
        };
        args.next();
        let text = args.text()?;
        if text.contains("%[") {
            return Ok(None);
        }
        to = Some(make(text));
    }
    let expects = || {
        Fault::new(
            "missing-argument",
            "'redirect' expects 'location', 'prefix' or 'scheme'.",
        )
    };
    let to = to.ok_or_else(expects)?;
    Ok(Some(PageAction::Redirect { status, to }))
}

pub(super) fn tell(args: &Args<'_>, settings: &mut Settings, kind: HttpKind) {
    settings.http.push(HttpOnly {
        spot: args.spot(),
        keyword: args.keyword,
        kind,
    });
}
