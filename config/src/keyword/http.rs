//! Directives that need HTTP, as HAProxy treats them in a `mode tcp` proxy: told, and without effect.

use super::{ALL, Args, BACK, FRONT, Keyword};
use crate::acl;
use crate::diagnostic::Fault;
use crate::draft::{HttpKind, Settings};
use crate::keyword::page::{self, tell};
use crate::keyword::rules;
use crate::units::Unit;

type Row = Keyword<Settings>;

const DOC: &str = "HTTP only.";

macro_rules! told {
    ($name:literal, $sections:expr, $kind:ident) => {
        Row {
            negatable: false,
            ..Row::new(
                $name,
                $sections,
                "...",
                (0, super::ANY),
                |a, s| {
                    tell(a, s, HttpKind::$kind);
                    Ok(())
                },
                DOC,
            )
        }
    };
}

/// Directives of HTTP.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { negatable: false, ..Row::new("http-request", ALL, "<action> [if|unless <condition>]", (1, super::ANY), page::http_request, "In `mode http`: `use-service prometheus-exporter`, `deny`, `allow`, `auth`, `return`, `redirect`; told and ignored in `mode tcp`.") },
    Row::new("acl", ALL, "<name> <fetch> [flags] <value>...", (1, super::ANY), define, "A named condition, for the rules that follow."),
    told!("http-response", ALL, Rules),
    told!("http-after-response", ALL, Rules),
    Row { negatable: false, ..Row::new("redirect", ALL, "location|prefix|scheme <to> [code <code>] [if|unless <condition>]", (2, super::ANY), page::redirect, "In `mode http`; told and ignored in `mode tcp`.") },
    told!("http-check", BACK, Check),
    Row { negatable: false, ..Row::new("stats", ALL, "enable|uri|auth|realm|refresh|admin|scope|http-request|hide-version|show-version|show-legends|show-node|show-desc ...", (1, super::ANY), stats, "In `mode http`: the page of statistics; told and ignored in `mode tcp`.") },
    Row::new("monitor-uri", FRONT, "<uri>", (1, 1), page::monitor_uri, "In `mode http`: says 200 there, or 503 with `monitor fail`; told and ignored in `mode tcp`."),
    told!("capture cookie", FRONT, Statement),
    told!("cookie", BACK, Cookie),
    Row::ignored("timeout http-request", ALL, DOC),
    Row::ignored("timeout http-keep-alive", ALL, DOC),
    Row::ignored("timeout tarpit", ALL, DOC),
    Row::ignored("errorfile", ALL, DOC),
    Row::ignored("errorfiles", ALL, DOC),
    Row::ignored("errorloc", ALL, DOC),
    Row::ignored("errorloc302", ALL, DOC),
    Row::ignored("errorloc303", ALL, DOC),
    Row::ignored("http-error", ALL, DOC),
    Row::ignored("http-reuse", BACK, DOC),
    Row::ignored("http-send-name-header", BACK, DOC),
    Row::ignored("compression", ALL, DOC),
    Row::ignored("capture request header", FRONT, DOC),
    Row::ignored("capture response header", FRONT, DOC),
    Row::ignored("unique-id-header", FRONT, DOC),
    Row::ignored("retry-on", BACK, "Posthouse retries what never reached a server, and nothing else."),
    Row::ignored("max-keep-alive-queue", BACK, DOC),
    Row::new("monitor fail", FRONT, "if|unless <condition>", (2, super::ANY), page::monitor_fail, "When `monitor-uri` says 503, for example `if { nbsrv(mail) lt 1 }`."),
    Row::refused("use-fcgi-app", BACK, "there is no FastCGI in Posthouse", "remove it"),
];

fn define(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    rules::named_only(args)?;
    acl::define(args, &mut settings.acls)
}

/// `stats ...`: any of them switches the page on, as in HAProxy.
fn stats(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    tell(args, settings, HttpKind::Statement);
    let word = args.word()?;
    if word.text == "http-request" {
        return page::stats_http_request(args, settings);
    }
    if word.text == "admin" {
        let condition = page::condition(args, settings)?;
        settings
            .pages
            .stats
            .get_or_insert_default()
            .admin
            .push(condition);
        return Ok(());
    }
    let page = settings.pages.stats.get_or_insert_default();
    match word.text.as_str() {
        "enable" => {}
        "uri" => page.uri = args.text()?,
        "auth" => {
            let login = args.text()?;
            if !login.contains(':') {
                return Err(Fault::new(
                    "bad-login",
                    "'stats auth' expects 'user:password'.",
                ));
            }
            page.auth.push(login);
        }
        "realm" => page.realm = Some(args.text()?),
        "refresh" => page.refresh = Some(args.time_in(Unit::Seconds)?),
        "hide-version" => page.hide_version = true,
        "show-version" => page.hide_version = false,
        "show-legends" => page.show_legends = true,
        "show-node" => {
            page.show_node = true;
            args.next();
        }
        "show-desc" => {
            let words: Vec<_> = std::iter::from_fn(|| args.next()).collect();
            let words: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
            page.show_desc = Some(words.join(" "));
        }
        "scope" => page.scope.push(args.text()?),
        // There are no modules, and `maxconn` and `timeout` belong to the stats socket.
        "show-modules" | "maxconn" | "timeout" => while args.next().is_some() {},
        other => {
            let text = format!("'stats {other}' is not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text).on(&word.span));
        }
    }
    args.end()
}
