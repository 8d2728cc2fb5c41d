//! Directives that need HTTP, as HAProxy treats them in a `mode tcp` proxy: told, and without effect.

use super::{ALL, Args, BACK, FRONT, Keyword};
use crate::diagnostic::Fault;
use crate::draft::{HttpKind, HttpOnly, Settings};

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
                |a, s| tell(a, s, HttpKind::$kind),
                DOC,
            )
        }
    };
}

/// Directives of HTTP.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    told!("http-request", ALL, Rules),
    told!("http-response", ALL, Rules),
    told!("http-after-response", ALL, Rules),
    told!("redirect", ALL, Rules),
    told!("http-check", BACK, Check),
    told!("stats", ALL, Statement),
    told!("monitor-uri", FRONT, Statement),
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
    Row::ignored("monitor fail", FRONT, DOC),
    Row::refused("use-fcgi-app", BACK, "there is no FastCGI in Posthouse", "remove it"),
];

fn tell(args: &Args<'_>, settings: &mut Settings, kind: HttpKind) -> Result<(), Fault> {
    settings.http.push(HttpOnly {
        spot: args.spot(),
        keyword: args.keyword,
        kind,
    });
    Ok(())
}
