//! Keywords of `defaults`, `frontend`, `backend` and `listen` that have no file of their own (CFG 4.2).

use super::{ALL, Args, BACK, DEFAULTS, FRONT, Keyword, address, bind, server};
use crate::diagnostic::Fault;
use crate::draft::{HttpKind, HttpOnly, Mode, Settings};
use crate::lint;
use crate::model::Balance;
use crate::units::Unit;

type Row = Keyword<Settings>;

macro_rules! timeout {
    ($name:literal, $sections:expr, $($field:ident).+, $doc:literal) => {
        Row::new($name, $sections, "<time>", (1, 1), |a, s| { s.$($field).+ = a.timeout()?; Ok(()) }, $doc)
    };
}

/// Keywords of proxies.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("mode", ALL, "tcp|smtp|http", (1, 1), mode, "What is relayed: bytes; or mail, which Posthouse reads, so that a session outlives its server (docs/smtp.md). `http` is for Posthouse's own pages."),
    Row::new("bind", FRONT.without(DEFAULTS), "<address>[,...] [options]", (1, super::ANY), bind::bind, "Where to listen."),
    Row::new("server", BACK.without(DEFAULTS), "<name> <address>[:<port>] [options]", (0, super::ANY), server::server, "A server."),
    Row::new("default-server", BACK, "[options]", (0, super::ANY), server::default_server, "Options of the servers that follow."),
    Row::new("default_backend", FRONT, "<name>", (1, 1), default_backend, "Where sessions go."),
    Row::new("balance", BACK, "roundrobin|static-rr|leastconn|first|source|random[(draws)]", (1, super::ANY), balance, "Who gets a session; default random."),
    timeout!("timeout connect", BACK, back.timeout_connect, "How long a server may take to accept a connection."),
    timeout!("timeout server", BACK, back.timeout_server, "How long a server may be silent."),
    timeout!("timeout client", FRONT, front.timeout_client, "How long a client may be silent."),
    timeout!("timeout queue", BACK, back.timeout_queue, "How long a session may wait for a slot; default `timeout connect`."),
    timeout!("timeout greeting", BACK, back.timeout_greeting, "Posthouse's own: how long a server that is connected and silent keeps a session that another server could have; default 5s."),
    Row::new("timeout hedge", BACK, "<time>", (1, 1), |a, s| { s.back.timeout_hedge = Some(a.time()?); Ok(()) }, "Posthouse's own: a server that is silent for so long gets a rival, and the first greeting wins; 0 is never. Without it: 300ms where servers speak first and there is another, and longer for servers that always take longer."),
    Row::new("timeout hold", BACK, "<time>", (1, 1), |a, s| { s.back.timeout_hold = Some(a.time()?); Ok(()) }, "Posthouse's own: how long a client waits for a server to come back when there is none; default 0, it is told at once; in `mode smtp` 30s."),
    Row::new("maxhold", BACK, "<number>", (1, 1), |a, s| { s.back.maxhold = a.count()?; Ok(()) }, "Posthouse's own: how many clients may wait for `timeout hold` at once; default 1000."),
    Row::new("unavailable-reply", BACK, "<text>", (1, super::ANY), unavailable_reply, "Posthouse's own: what a client hears when there is no server; `%H` is the host's name, `%ID` the session's; default `421 4.3.2 %H Service temporarily unavailable`."),
    timeout!("timeout tunnel", BACK, back.timeout_tunnel, "Replaces both once bytes flow."),
    timeout!("timeout check", BACK, back.timeout_check, "How long a check's dialogue may take once it is connected."),
    timeout!("timeout client-fin", FRONT, front.timeout_client_fin, "How long a client may be silent once one side has ended."),
    timeout!("timeout server-fin", BACK, back.timeout_server_fin, "How long a server may be silent once one side has ended."),
    timeout!("timeout client-hs", FRONT, front.timeout_client_hs, "How long a PROXY header may take; default `timeout client`."),
    Row::new("maxconn", FRONT, "<number>", (1, 1), |a, s| { s.front.maxconn = Some(a.count()?).filter(|n| *n > 0); Ok(()) }, "Sessions at once; more wait in the kernel's backlog."),
    Row::new("backlog", FRONT, "<number>", (1, 1), |a, s| { s.front.backlog = Some(a.count()?); Ok(()) }, "Connections that may wait to be accepted."),
    Row::new("fullconn", BACK, "<number>", (1, 1), |a, s| { s.back.fullconn = Some(a.count()?); Ok(()) }, "Sessions at which servers with a `minconn` may have their `maxconn`."),
    Row::new("rate-limit sessions", FRONT, "<number>", (1, 1), |a, s| { s.front.rate_limit = Some(a.count()?); Ok(()) }, "New sessions per second; more wait in the kernel's backlog."),
    Row::new("retries", BACK, "<number>", (1, 1), |a, s| { s.back.retries = Some(a.number(0..=65_535)?); Ok(()) }, "Attempts after the first, HAProxy's way; without it and without `option redispatch` every server is tried once, at once."),
    Row::new("source", BACK, "<address>[:<port>]", (1, super::ANY), source, "Connect from this address."),
    Row::new("clitcpka-cnt", FRONT, "<number>", (1, 1), |a, s| { s.client_keepalive.count = Some(a.count()?); Ok(()) }, "Probes of TCP keep-alive with clients."),
    Row::new("clitcpka-idle", FRONT, "<time>", (1, 1), |a, s| { s.client_keepalive.idle = Some(a.time_in(Unit::Seconds)?); Ok(()) }, "Time before the first probe."),
    Row::new("clitcpka-intvl", FRONT, "<time>", (1, 1), |a, s| { s.client_keepalive.interval = Some(a.time_in(Unit::Seconds)?); Ok(()) }, "Time between probes."),
    Row::new("srvtcpka-cnt", BACK, "<number>", (1, 1), |a, s| { s.server_keepalive.count = Some(a.count()?); Ok(()) }, "Probes of TCP keep-alive with servers."),
    Row::new("srvtcpka-idle", BACK, "<time>", (1, 1), |a, s| { s.server_keepalive.idle = Some(a.time_in(Unit::Seconds)?); Ok(()) }, "Time before the first probe."),
    Row::new("srvtcpka-intvl", BACK, "<time>", (1, 1), |a, s| { s.server_keepalive.interval = Some(a.time_in(Unit::Seconds)?); Ok(()) }, "Time between probes."),
    Row::new("id", ALL.without(DEFAULTS), "<number>", (1, 1), id, "The proxy's number in statistics."),
    Row::new("description", ALL.without(DEFAULTS), "<text>", (1, super::ANY), description, "Text for people."),
    Row { syntax: "<code>", args: (1, 1), ..Row::option("lint", ALL, lint, "Posthouse's own: `no lint <code>` silences a piece of advice of `-c`.") },
    Row::new("disabled", ALL, "", (0, 0), |_, s| { s.disabled = true; Ok(()) }, "Exists and does nothing."),
    Row::new("enabled", ALL, "", (0, 0), |_, s| { s.disabled = false; Ok(()) }, "Not disabled."),
];

fn mode(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    let mode = match word.text.as_str() {
        "tcp" => Mode::Tcp,
        "http" => Mode::Http,
        "smtp" => Mode::Smtp,
        later @ ("log" | "spop" | "haterm") => {
            let text = format!("'mode {later}' is not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text).on(&word.span));
        }
        "health" => {
            let text = "'mode health' doesn't exist anymore.";
            return Err(Fault::new("refused", text)
                .on(&word.span)
                .help("use 'mode tcp'"));
        }
        other => {
            let text = format!("unknown proxy mode '{other}'.");
            return Err(Fault::new("bad-choice", text)
                .on(&word.span)
                .help("use 'mode tcp', or 'mode smtp'"));
        }
    };
    settings.mode = Some(args.placed(mode, word));
    Ok(())
}

fn default_backend(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    settings.default_backend = Some(args.placed(word.text.clone(), word));
    Ok(())
}

fn id(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.peek();
    let number = args.number(1..=i32::MAX as u32)?;
    settings.id = word.map(|word| args.placed(number, word));
    Ok(())
}

fn description(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let words: Vec<_> = std::iter::from_fn(|| args.next())
        .map(|word| word.text.as_str())
        .collect();
    settings.description = Some(words.join(" "));
    Ok(())
}

fn lint(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    let Some(code) = lint::codes().find(|code| **code == word.text) else {
        let hint = super::suggest::hint(&word.text, lint::codes());
        let text = format!("'lint' does not know '{}'{hint}", word.text);
        let all = lint::codes().collect::<Vec<_>>().join(", ");
        return Err(Fault::new("bad-choice", text)
            .on(&word.span)
            .help(format!("it is one of {all}")));
    };
    settings.no_lint.retain(|other| *other != code);
    if !args.on() {
        settings.no_lint.push(code);
    }
    Ok(())
}

/// A reply line as RFC 5321, 4.2 has them: a code that says no, and at most 512 octets.
fn unavailable_reply(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let first = args.word()?;
    let mut text = first.text.clone();
    while let Some(word) = args.next() {
        text.push(' ');
        text.push_str(&word.text);
    }
    let bad = |why: &str| {
        Err(
            Fault::new("bad-reply", format!("'unavailable-reply' {why}"))
                .on(&first.span)
                .help("write it like '421 4.3.2 %H Service temporarily unavailable'"),
        )
    };
    let (code, rest) = text.as_bytes().split_at(text.len().min(3));
    if !matches!(code, [b'4' | b'5', b'0'..=b'5', b'0'..=b'9']) || !rest.starts_with(b" ") {
        return bad("must begin with a reply code of 4xx or 5xx and a space.");
    }
    if !text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return bad("takes printable ASCII alone.");
    }
    if text.len() > 400 {
        return bad("is longer than 400 octets; with names in it a reply may have 512.");
    }
    settings.back.unavailable_reply = Some(text);
    Ok(())
}

/// Words behind the algorithm are ignored, as HAProxy does.
fn balance(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    let (name, inner) = word.text.split_once('(').unwrap_or((&word.text, ""));
    settings.back.balance = match name {
        "roundrobin" => Balance::RoundRobin,
        "static-rr" => Balance::StaticRoundRobin,
        "leastconn" => Balance::LeastConn,
        "first" => Balance::First,
        "source" => Balance::Source,
        "random" => {
            let draws = inner.trim_end_matches(')');
            let draws = if draws.is_empty() {
                Ok(2)
            } else {
                draws.parse()
            };
            Balance::Random(draws.ok().filter(|draws| *draws > 0).ok_or_else(|| {
                Fault::new(
                    "bad-number",
                    "random : the number of draws must be at least 1.",
                )
                .on(&word.span)
            })?)
        }
        "uri" | "url_param" | "hdr" => {
            settings.http.push(HttpOnly {
                spot: args.spot(),
                keyword: "balance",
                kind: HttpKind::Hash,
            });
            Balance::RoundRobin
        }
        "hash" | "rdp-cookie" | "sticky" | "log-hash" => {
            let text = format!("'balance {name}' is not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text).on(&word.span));
        }
        other => {
            let known = [
                "roundrobin",
                "static-rr",
                "leastconn",
                "first",
                "source",
                "random",
            ];
            let hint = super::suggest::hint(other, known.into_iter());
            let text = format!("balance : unknown algorithm '{other}'{hint}");
            return Err(Fault::new("bad-choice", text).on(&word.span));
        }
    };
    Ok(())
}

fn source(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    let found = address::socket(&word.text, 0, args.resolver)
        .map_err(|text| Fault::new("bad-address", format!("'source' : {text}.")).on(&word.span))?;
    settings.back.source = Some(found);
    if let Some(more) = args.next() {
        let text = format!(
            "'source ... {}' is not supported by Posthouse yet.",
            more.text
        );
        return Err(Fault::new("not-yet", text).on(&more.span));
    }
    Ok(())
}
