//! `option ...` (CFG 4.2).

use super::{ALL, Args, BACK, FRONT, Keyword};
use crate::diagnostic::{At, Fault};
use crate::draft::{CheckOption, GreetingOption, HttpKind, HttpOnly, Settings};
use crate::keyword::Modifier;
use crate::model::{Failback, Failover, LogLines};

type Row = Keyword<Settings>;

/// An option that is one flag.
macro_rules! flag {
    ($name:literal, $sections:expr, $($field:ident).+, $doc:literal) => {
        Row::option($name, $sections, |a, s| { s.$($field).+ = a.on(); Ok(()) }, $doc)
    };
}

/// Options.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    flag!("option allbackups", BACK, back.allbackups, "Share the load among all backups, not only the first."),
    flag!("option persist", BACK, back.persist, "Follow a stick entry even to a server that is DOWN."),
    Row::ignored("option abortonclose", BACK, "Give up a session whose client has left while it waits."),
    flag!("option log-health-checks", BACK, back.log_health_checks, "Tell the details of checks."),
    flag!("option dontlognull", FRONT, front.dontlognull, "Do not log connections without a byte."),
    flag!("option dontlog-normal", FRONT, front.dontlog_normal, "Log only what went wrong."),
    flag!("option logasap", FRONT, front.logasap, "Mark times and bytes of the line as not final."),
    flag!("option log-separate-errors", FRONT, front.log_separate_errors, "Log sessions that went wrong at level err."),
    flag!("option socket-stats", FRONT, front.socket_stats, "Statistics per listener."),
    flag!("option clitcpka", FRONT, clitcpka, "TCP keep-alive with clients."),
    flag!("option srvtcpka", BACK, srvtcpka, "TCP keep-alive with servers."),
    Row::option("option tcpka", ALL, |a, s| { s.clitcpka = a.on(); s.srvtcpka = a.on(); Ok(()) }, "TCP keep-alive with both."),
    Row::not_yet("option nolinger", ALL, "Close with a reset."),
    Row { syntax: "[<interval>]", args: (0, 1), ..Row::option("option redispatch", BACK, redispatch, "Let a session go to another server when retries fail: HAProxy's way; without it and without `retries` it goes at once.") },
    Row { syntax: "[<prefix>]", args: (0, 1), ..Row::option("option greeting", BACK, greeting, "Posthouse's own: servers speak first, and a session has one when it has greeted, by default with `220`; otherwise the next is tried. Without it the check tells: `option smtpchk`, or a first `expect` of a `220`.") },
    Row::option("option tls-hello", BACK, tls_hello, "Posthouse's own: clients speak first and begin TLS, which passes through. What they say is kept, and sent to the next server where one does not answer it. Without it servers at port 465 and those with `check-ssl` and without `ssl` tell."),
    Row { syntax: "[time <time>] [attempts <number>]", args: (0, 4), ..Row::option("option failover", BACK, failover, "Posthouse's own, and its default where neither `retries` nor `option redispatch` is written: every server once, at once; for 60s, and so many attempts. `no option failover` is HAProxy's way.") },
    Row { syntax: "now|after <time>|manual", args: (0, 2), ..Row::option("option failback", BACK, failback, "Posthouse's own: when a server that was DOWN gets sessions again while others serve: as soon as it is UP, which is HAProxy's way and the default; when it was UP for so long; or when `set server ... state ready` says so.") },
    Row { syntax: "[clf]", args: (0, 1), negatable: false, ..Row::option("option tcplog", ALL, tcplog, "The long line for sessions.") },
    Row { args: (0, super::ANY), ..Row::option("option tcp-check", BACK, tcp_check, "Check servers with `tcp-check` rules.") },
    Row::option("option ssl-hello-chk", BACK, |a, s| { s.check = if a.on() { CheckOption::Hello } else { CheckOption::None }; Ok(()) }, "Check servers with a ClientHello: whoever answers it with TLS is well."),
    Row { syntax: "[HELO|EHLO <domain>]", args: (0, super::ANY), ..Row::option("option smtpchk", BACK, smtpchk, "Check servers with an SMTP dialogue.") },
    Row { syntax: "[clf]", args: (0, 1), ..Row::option("option httplog", ALL, |a, s| http(a, s, HttpKind::LogFormat), "HTTP only; falls back to `option tcplog`.") },
    Row { args: (0, 0), ..Row::option("option httpslog", ALL, |a, s| http(a, s, HttpKind::LogFormat), "HTTP only; falls back to `option tcplog`.") },
    Row { args: (0, super::ANY), ..Row::option("option forwardfor", ALL, |a, s| http(a, s, HttpKind::Option), "HTTP only.") },
    Row { args: (0, super::ANY), ..Row::option("option forwarded", ALL, |a, s| http(a, s, HttpKind::Option), "HTTP only.") },
    Row { args: (0, super::ANY), ..Row::option("option originalto", ALL, |a, s| http(a, s, HttpKind::Option), "HTTP only.") },
    Row::option("option checkcache", BACK, |a, s| http(a, s, HttpKind::Option), "HTTP only."),
    Row::option("option http-use-proxy-header", FRONT, |a, s| http(a, s, HttpKind::Option), "HTTP only."),
    Row::option("option http-buffer-request", ALL, |a, s| http(a, s, HttpKind::Option), "HTTP only."),
    Row::option("option disable-h2-upgrade", FRONT, |a, s| http(a, s, HttpKind::Option), "HTTP only."),
    Row::ignored("option contstats", FRONT, "Counters are read where they are, at any time."),
    Row::ignored("option independent-streams", ALL, "A side's timer is refreshed by what it sends or takes."),
    Row::ignored("option tcp-smart-accept", FRONT, "Without effect."),
    Row::ignored("option tcp-smart-connect", BACK, "Without effect."),
    Row::ignored("option splice-auto", ALL, "Bulk is always spliced, unless `nosplice`."),
    Row::ignored("option splice-request", ALL, "Bulk is always spliced, unless `nosplice`."),
    Row::ignored("option splice-response", ALL, "Bulk is always spliced, unless `nosplice`."),
    Row::ignored("option idle-close-on-response", FRONT, "HTTP only."),
    Row::ignored("option http-server-close", ALL, "HTTP only."),
    Row::ignored("option httpclose", ALL, "HTTP only."),
    Row::ignored("option http-keep-alive", ALL, "HTTP only."),
    Row::ignored("option http-pretend-keepalive", ALL, "HTTP only."),
    Row::ignored("option http-ignore-probes", FRONT, "HTTP only."),
    Row::ignored("option http-no-delay", ALL, "HTTP only."),
    Row::ignored("option prefer-last-server", BACK, "HTTP only."),
    Row::ignored("option accept-invalid-http-request", FRONT, "HTTP only."),
    Row::ignored("option accept-invalid-http-response", BACK, "HTTP only."),
    Row::ignored("option accept-unsafe-violations-in-http-request", FRONT, "HTTP only."),
    Row::ignored("option accept-unsafe-violations-in-http-response", BACK, "HTTP only."),
    Row::ignored("option h1-case-adjust-bogus-client", FRONT, "HTTP only."),
    Row::ignored("option h1-case-adjust-bogus-server", BACK, "HTTP only."),
    Row::ignored("option http-restrict-req-hdr-names", ALL, "HTTP only."),
    Row::ignored("option use-small-buffers", ALL, "Without effect."),
    Row::refused("option transparent", BACK, "'option transparent' is not supported", "name the servers"),
    Row::refused("option http_proxy", BACK, "'option http_proxy' is not supported any more since HAProxy 2.1", "remove it"),
    Row::not_yet("option httpchk", BACK, "Check servers with HTTP."),
    Row::not_yet("option ldap-check", BACK, "Check LDAP servers."),
    Row::not_yet("option mysql-check", BACK, "Check MySQL servers."),
    Row::not_yet("option pgsql-check", BACK, "Check PostgreSQL servers."),
    Row::not_yet("option redis-check", BACK, "Check Redis servers."),
    Row::not_yet("option spop-check", BACK, "Check SPOP agents."),
    Row::not_yet("option external-check", BACK, "Check with a program of one's own."),
];

fn redispatch(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.back.redispatch = Some(match args.modifier {
        Modifier::No => 0,
        // HAProxy's own: at the last retry.
        Modifier::None if args.peek().is_none() => -1,
        Modifier::None => args.number(-1000..=1000)?,
        Modifier::Default => {
            settings.back.redispatch = None;
            return Ok(());
        }
    });
    Ok(())
}

fn failover(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.back.failover = match args.modifier {
        Modifier::No => Some(Failover::Off),
        Modifier::Default => None,
        Modifier::None => {
            let (mut time, mut attempts) = (None, None);
            while let Some(word) = args.next() {
                match word.text.as_str() {
                    "time" => time = Some(args.time()?),
                    "attempts" => attempts = Some(args.number(1..=1000)?),
                    other => {
                        let text = format!("'option failover' does not know '{other}'.");
                        return Err(Fault::new("bad-choice", text)
                            .on(&word.span)
                            .help("it takes 'time <time>' and 'attempts <number>'"));
                    }
                }
            }
            Some(Failover::On { time, attempts })
        }
    };
    Ok(())
}

fn failback(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    if !matches!(args.modifier, Modifier::None) {
        settings.back.failback = Failback::Now;
        return Ok(());
    }
    let word = args.word()?;
    settings.back.failback = match word.text.as_str() {
        "now" => Failback::Now,
        "after" => Failback::After(args.time()?),
        "manual" => Failback::Manual,
        other => {
            let text = format!("'option failback' does not know '{other}'.");
            return Err(Fault::new("bad-choice", text)
                .on(&word.span)
                .help("it is 'now', 'after <time>' or 'manual'"));
        }
    };
    args.end()
}

fn greeting(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.greeting = match args.modifier {
        Modifier::No => GreetingOption::Off,
        Modifier::Default => GreetingOption::Inferred,
        Modifier::None => GreetingOption::Prefix(match args.next() {
            Some(word) => word.text.clone().into_bytes(),
            None => b"220".to_vec(),
        }),
    };
    Ok(())
}

fn tls_hello(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let spot = args.spot();
    settings.tls_hello = match args.modifier {
        Modifier::No => Some(At { value: false, spot }),
        Modifier::None => Some(At { value: true, spot }),
        Modifier::Default => None,
    };
    Ok(())
}

fn tcplog(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.front.log_lines = if args.take("clf") {
        LogLines::TcpClf
    } else {
        LogLines::Tcp
    };
    if settings.front.log_lines == LogLines::TcpClf {
        return Err(Fault::new(
            "not-yet",
            "'option tcplog clf' is not supported by Posthouse yet.",
        )
        .help("use 'option tcplog'"));
    }
    args.end()?;
    settings.log_format = Some(args.spot());
    Ok(())
}

fn tcp_check(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.check = if args.on() {
        CheckOption::Tcp
    } else {
        CheckOption::None
    };
    Ok(())
}

/// An unknown greeting, or one without a domain, is `HELO localhost`, as in HAProxy (CFG 4.2).
fn smtpchk(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    if !args.on() {
        settings.check = CheckOption::None;
        return Ok(());
    }
    let hello = match (args.next(), args.next()) {
        (Some(verb), Some(domain)) if ["HELO", "EHLO"].contains(&verb.text.as_str()) => {
            if domain.text.contains(['\r', '\n']) {
                return Err(Fault::new("bad-name", "a domain has no line ends").on(&domain.span));
            }
            format!("{} {}", verb.text, domain.text)
        }
        (None, _) => "HELO localhost".to_owned(),
        (Some(verb), _) => {
            let text = "'option smtpchk' needs 'HELO <domain>' or 'EHLO <domain>'; 'HELO localhost' is said instead.";
            args.warn(Fault::warning("smtpchk-hello", text).on(&verb.span));
            "HELO localhost".to_owned()
        }
    };
    settings.check = CheckOption::Smtp(hello);
    Ok(())
}

fn http(args: &Args<'_>, settings: &mut Settings, kind: HttpKind) -> Result<(), Fault> {
    settings.http.retain(|other| other.keyword != args.keyword);
    if args.on() {
        settings.http.push(HttpOnly {
            spot: args.spot(),
            keyword: args.keyword,
            kind,
        });
        if kind == HttpKind::LogFormat {
            settings.front.log_lines = LogLines::Tcp;
            settings.log_format = Some(args.spot());
        }
    }
    Ok(())
}
