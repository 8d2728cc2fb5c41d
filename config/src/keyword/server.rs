//! `server` and `default-server` with their options (CFG 5.2).

use std::sync::Arc;

use super::{Args, DEFAULT_SERVER, Keyword, SERVER, SERVERS, address, follow_options, tls};
use crate::diagnostic::{Fault, Shape};
use crate::draft::{InitAddr, ServerDraft, Settings, check_name};
use crate::model::{OnError, ProxyOptions, TlsRules, TlsVersion};

type Row = Keyword<ServerDraft>;

/// Options of `server` and `default-server`.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("check", SERVERS, "", (0, 0), |_, s| { s.server.check = true; Ok(()) }, "Check the server's health."),
    Row::new("no-check", SERVERS, "", (0, 0), |_, s| { s.server.check = false; Ok(()) }, "Do not."),
    Row::new("backup", SERVERS, "", (0, 0), |_, s| { s.server.backup = true; Ok(()) }, "Only when no other server is usable."),
    Row::new("no-backup", SERVERS, "", (0, 0), |_, s| { s.server.backup = false; Ok(()) }, "Like any other."),
    Row::new("disabled", SERVERS, "", (0, 0), |_, s| { s.server.disabled = true; Ok(()) }, "In maintenance from the start."),
    Row::new("enabled", SERVERS, "", (0, 0), |_, s| { s.server.disabled = false; Ok(()) }, "Not in maintenance."),
    Row::new("inter", SERVERS, "<time>", (1, 1), |a, s| { s.server.inter = positive(a)?; Ok(()) }, "Time between checks; default 2s. Without `timeout check` also the time one may take."),
    Row::new("fastinter", SERVERS, "<time>", (1, 1), |a, s| { s.server.fastinter = Some(positive(a)?); Ok(()) }, "The same while the state is in doubt."),
    Row::new("downinter", SERVERS, "<time>", (1, 1), |a, s| { s.server.downinter = Some(positive(a)?); Ok(()) }, "The same while the server is DOWN."),
    Row::new("rise", SERVERS, "<number>", (1, 1), |a, s| { s.server.rise = a.number(1..=i32::MAX as u32)?; Ok(()) }, "Checks to pass before it is UP; default 2."),
    Row::new("fall", SERVERS, "<number>", (1, 1), |a, s| { s.server.fall = a.number(1..=i32::MAX as u32)?; Ok(()) }, "Checks to fail before it is DOWN; default 3."),
    Row::new("port", SERVERS, "<port>", (1, 1), |a, s| { s.server.check_port = Some(a.number(1..=65_535)?); Ok(()) }, "Port of checks."),
    Row::new("addr", SERVERS, "<address>", (1, 1), addr, "Address of checks."),
    Row::new("agent-check", SERVERS, "", (0, 0), |_, s| { s.agent.check = true; Ok(()) }, "Ask an agent on the server how it is; needs `agent-port`."),
    Row::new("no-agent-check", SERVERS, "", (0, 0), |_, s| { s.agent.check = false; Ok(()) }, "No agent."),
    Row::new("agent-port", SERVERS, "<port>", (1, 1), |a, s| { s.agent.port = Some(a.number(1..=65_535)?); Ok(()) }, "The agent's port."),
    Row::new("agent-addr", SERVERS, "<address>", (1, 1), |a, s| { s.agent.addr = Some(host(a)?); Ok(()) }, "The agent's address; default the server's."),
    Row::new("agent-inter", SERVERS, "<time>", (1, 1), |a, s| { s.agent.inter = Some(positive(a)?); Ok(()) }, "Time between its answers; default 2s."),
    Row::new("agent-send", SERVERS, "<text>", (1, 1), |a, s| { s.agent.send = a.word()?.text.clone(); Ok(()) }, "What it is sent first."),
    Row::new("weight", SERVERS, "<0..256>", (1, 1), |a, s| { s.server.weight = a.number(0..=256)?; Ok(()) }, "Share of the load; default 1."),
    Row::new("maxconn", SERVERS, "<number>", (1, 1), |a, s| { s.server.maxconn = a.count()?; Ok(()) }, "Sessions at once; more wait."),
    Row::new("minconn", SERVERS, "<number>", (1, 1), |a, s| { s.server.minconn = a.count()?; Ok(()) }, "The same under little load."),
    Row::new("maxqueue", SERVERS, "<number>", (1, 1), |a, s| { s.server.maxqueue = a.count()?; Ok(()) }, "Sessions that may wait."),
    Row::new("id", SERVER, "<number>", (1, 1), id, "The server's number in statistics."),
    Row::new("send-proxy", SERVERS, "", (0, 0), |_, s| { s.proxy.v1 = true; Ok(()) }, "Tell the client's address with a PROXY header."),
    Row::new("send-proxy-v2", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = true; Ok(()) }, "The same in binary; it has precedence."),
    Row::new("send-proxy-v2-ssl", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = true; s.proxy.options.ssl = true; Ok(()) }, "The same, and whether the client has TLS, and which."),
    Row::new("send-proxy-v2-ssl-cn", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = true; s.proxy.options.ssl = true; s.proxy.options.common_name = true; Ok(()) }, "The same, and the common name of its certificate."),
    Row::new("proxy-v2-options", SERVERS, "{ssl|cert-cn|cert-key|cert-sig|ssl-cipher|authority|crc32c|unique-id},...", (1, 1), proxy_options, "More in a PROXY header of version 2; `unique-id` is empty, as there is no `unique-id-format`."),
    Row::new("no-send-proxy", SERVERS, "", (0, 0), |_, s| { s.proxy.v1 = false; Ok(()) }, "No PROXY header in text."),
    Row::new("no-send-proxy-v2", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = false; Ok(()) }, "None in binary."),
    Row::new("no-send-proxy-v2-ssl", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = false; s.proxy.options.ssl = false; Ok(()) }, "None with TLS."),
    Row::new("no-send-proxy-v2-ssl-cn", SERVERS, "", (0, 0), |_, s| { s.proxy.v2 = false; s.proxy.options.ssl = false; s.proxy.options.common_name = false; Ok(()) }, "None with TLS and a name."),
    Row::new("xclient", SERVERS, "", (0, 0), |a, s| { s.xclient = Some(a.spot()); Ok(()) }, "`mode smtp`: tell the client's address and login by XCLIENT; a server that does not offer it to the proxy gets no session."),
    Row::new("no-xclient", SERVERS, "", (0, 0), |_, s| { s.xclient = None; Ok(()) }, "No XCLIENT."),
    Row::new("check-send-proxy", SERVERS, "", (0, 0), |_, s| { s.check_send_proxy = true; Ok(()) }, "Checks send a PROXY header too, wherever they go."),
    Row::new("no-check-send-proxy", SERVERS, "", (0, 0), |_, s| { s.check_send_proxy = false; Ok(()) }, "Not."),
    Row::new("on-marked-down", SERVERS, "shutdown-sessions", (1, 1), |a, s| { a.choice(&[("shutdown-sessions", ())])?; s.server.on_marked_down_shutdown = true; Ok(()) }, "End its sessions when it goes DOWN."),
    Row::new("on-marked-up", SERVERS, "shutdown-backup-sessions", (1, 1), |a, s| { a.choice(&[("shutdown-backup-sessions", ())])?; s.server.on_marked_up_shutdown_backups = true; Ok(()) }, "End sessions on backups when it comes UP."),
    Row::new("observe", SERVERS, "layer4", (1, 1), observe, "Count failed connections of live traffic as `on-error` says."),
    Row::new("error-limit", SERVERS, "<number>", (1, 1), |a, s| { s.server.error_limit = a.number(1..=i32::MAX as u32)?; Ok(()) }, "How many in a row; default 10."),
    Row::new("on-error", SERVERS, "fastinter|fail-check|sudden-death|mark-down", (1, 1), on_error, "What they mean; default fail-check."),
    Row::new("non-stick", SERVERS, "", (0, 0), |_, s| { s.server.non_stick = true; Ok(()) }, "Never remembered in a stick table."),
    Row::new("stick", SERVERS, "", (0, 0), |_, s| { s.server.non_stick = false; Ok(()) }, "Remembered."),
    Row::new("slowstart", SERVERS, "<time>", (1, 1), |a, s| { s.server.slowstart = a.timeout()?; Ok(()) }, "Take up load over this time after DOWN."),
    Row::new("tcp-ut", SERVERS, "<time>", (1, 1), |a, s| { s.server.tcp_ut = a.timeout()?; Ok(()) }, "TCP user timeout."),
    Row::new("source", SERVERS, "<address>[:<port>]", (1, 1), source, "Connect from this address."),
    Row::new("init-addr", SERVERS, "{last|libc|none|<ip>},...", (1, 1), init_addr, "What helps when a name has no address at the start."),
    Row::new("cookie", SERVERS, "<value>", (1, 1), cookie, "HTTP only; told and without effect."),
    Row { args: (1, 1), ..Row::ignored("pool-max-conn", SERVERS, "HTTP only.") },
    Row { args: (1, 1), ..Row::ignored("pool-purge-delay", SERVERS, "HTTP only.") },
    Row { args: (1, 1), ..Row::ignored("pool-low-conn", SERVERS, "HTTP only.") },
    Row { args: (1, 1), ..Row::ignored("max-reuse", SERVERS, "HTTP only.") },
    Row { args: (1, 1), ..Row::ignored("ws", SERVERS, "HTTP only.") },
    Row { args: (1, 1), ..Row::ignored("guid", SERVER, "Without effect.") },
    Row { args: (1, 1), ..Row::ignored("resolve-prefer", SERVERS, "Without effect while names are only resolved at the start.") },
    Row::refused("redir", SERVERS, "'redir' needs HTTP", "remove it"),
    Row::not_yet("init-state", SERVERS, "The state at the start."),
    Row::not_yet("track", SERVERS, "Follow another server's state."),
    Row::not_yet("set-proxy-v2-tlv-fmt", SERVERS, "More in the PROXY header."),
    Row::not_yet("resolvers", SERVERS, "Resolve names again and again."),
    Row::not_yet("resolve-net", SERVERS, "Which addresses to prefer."),
    Row::not_yet("resolve-opts", SERVERS, "How names are resolved."),
    Row::not_yet("healthcheck", SERVERS, "A check section by name."),
    Row::not_yet("tfo", SERVERS, "TCP fast open."),
    Row::not_yet("namespace", SERVERS, "A network namespace."),
    Row::not_yet("socks4", SERVERS, "Connect through a SOCKS proxy."),
    Row::new("ssl", SERVERS, "", (0, 0), |_, s| { s.ssl = true; Ok(()) }, "TLS with the server."),
    Row::new("no-ssl", SERVERS, "", (0, 0), |_, s| { s.ssl = false; Ok(()) }, "No TLS."),
    Row::new("starttls", SERVERS, "", (0, 0), |a, s| { s.starttls = Some(a.spot()); Ok(()) }, "`mode smtp`: TLS by STARTTLS; a server that does not offer it gets no session."),
    Row::new("no-starttls", SERVERS, "", (0, 0), |_, s| { s.starttls = None; Ok(()) }, "No STARTTLS."),
    Row::new("check-ssl", SERVERS, "", (0, 0), |_, s| { s.check_ssl = Some(true); Ok(()) }, "TLS in checks; `ssl` alone does it where checks go where sessions go."),
    Row::new("no-check-ssl", SERVERS, "", (0, 0), |_, s| { s.check_ssl = Some(false); Ok(()) }, "No TLS in checks."),
    Row::new("check-sni", SERVERS, "<name>", (1, 1), |a, s| { s.check_sni = Some(a.text()?); Ok(()) }, "The name checks ask for; default that of `sni str(...)`."),
    Row::new("check-alpn", SERVERS, "<protocol>,...", (1, 1), check_alpn, "Protocols within TLS, for checks."),
    Row::new("verify", SERVERS, "none|required", (1, 1), |a, s| { s.verify = Some(tls::server_verify(a)?); Ok(()) }, "Whether the server's certificate must be good; default required."),
    Row::new("verifyhost", SERVERS, "<name>", (1, 1), |a, s| { s.tls.verifyhost = Some(a.text()?); Ok(()) }, "The name it must have; default the one of `sni`, and without both any."),
    Row::new("no-verifyhost", SERVERS, "", (0, 0), |_, s| { s.tls.verifyhost = None; Ok(()) }, "Any."),
    Row::new("ca-file", SERVERS, "<file>|@system-ca", (1, 1), |a, s| { s.tls.ca = Some(tls::authorities(a)?); Ok(()) }, "Who may have issued it."),
    Row::new("crl-file", SERVERS, "<file>", (1, 1), |a, s| { s.tls.crl = Some(a.text()?.into()); Ok(()) }, "Which are revoked."),
    Row::new("crt", SERVERS, "<file>", (1, 1), |a, s| { s.tls.crt = Some(a.text()?.into()); Ok(()) }, "Our own certificate and key."),
    Row::new("sni", SERVERS, "str(<name>)|ssl_fc_sni", (1, 1), |a, s| { s.tls.sni = Some(tls::sni(a)?); Ok(()) }, "The name to ask for."),
    Row::new("alpn", SERVERS, "<protocol>,...", (1, 1), |a, s| tls::alpn(a, &mut s.tls.rules), "Protocols within TLS."),
    Row::new("ciphers", SERVERS, "<list>", (1, 1), |a, s| tls::ciphers(a, &mut s.tls.rules), "Suites of TLS 1.2; what is not available is told."),
    Row::new("ciphersuites", SERVERS, "<list>", (1, 1), |a, s| tls::ciphersuites(a, &mut s.tls.rules), "Suites of TLS 1.3."),
    Row::new("curves", SERVERS, "<list>", (1, 1), |a, s| tls::curves(a, &mut s.tls.rules), "Groups of the key exchange."),
    Row::new("ssl-min-ver", SERVERS, "TLSv1.2|TLSv1.3", (1, 1), |a, s| tls::min(a, &mut s.tls.rules), "Lowest version."),
    Row::new("ssl-max-ver", SERVERS, "TLSv1.2|TLSv1.3", (1, 1), |a, s| tls::max(a, &mut s.tls.rules), "Highest version."),
    Row::new("force-tlsv12", SERVERS, "", (0, 0), |a, s| tls::only(a, &mut s.tls.rules, TlsVersion::V12, TlsVersion::V12), "TLS 1.2 alone."),
    Row::new("force-tlsv13", SERVERS, "", (0, 0), |a, s| tls::only(a, &mut s.tls.rules, TlsVersion::V13, TlsVersion::V13), "TLS 1.3 alone."),
    Row::new("no-tlsv12", SERVERS, "", (0, 0), |a, s| tls::only(a, &mut s.tls.rules, TlsVersion::V13, TlsVersion::V13), "Not TLS 1.2."),
    Row::new("no-tlsv13", SERVERS, "", (0, 0), |a, s| tls::only(a, &mut s.tls.rules, TlsVersion::V12, TlsVersion::V12), "Not TLS 1.3."),
    Row::new("no-sslv3", SERVERS, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("no-tlsv10", SERVERS, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("no-tlsv11", SERVERS, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("ssl-reuse", SERVERS, "", (0, 0), |_, s| { s.tls.no_reuse = false; Ok(()) }, "Resume sessions, the default."),
    Row::new("no-ssl-reuse", SERVERS, "", (0, 0), |_, s| { s.tls.no_reuse = true; Ok(()) }, "Do not."),
    Row::new("tls-tickets", SERVERS, "", (0, 0), |_, s| { s.tls.rules.no_tickets = false; Ok(()) }, "Resume them by tickets, the default."),
    Row::new("no-tls-tickets", SERVERS, "", (0, 0), |_, s| { s.tls.rules.no_tickets = true; Ok(()) }, "Do not."),
    Row::not_yet("check-via-socks4", SERVERS, "Checks through a SOCKS proxy."),
    Row::not_yet("sigalgs", SERVERS, "Signature algorithms."),
    Row::not_yet("client-sigalgs", SERVERS, "Signature algorithms of our certificate."),
    Row::refused("allow-0rtt", SERVERS, "early data can be replayed by anybody who has seen it", "remove it"),
];

/// `server <name> <address> [options]`.
pub(crate) fn server(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let line = |fault: Fault| fault.shape(Shape::ServerLine);
    let name = args.word().map_err(|_| line(needs_both()))?;
    check_name(&name.text).map_err(|c| {
        let text = format!(
            "character '{c}' is not permitted in server name '{}'.",
            name.text
        );
        line(Fault::new("bad-name", text).on(&name.span))
    })?;
    let target = args.word().map_err(|_| line(needs_both()))?;
    let full = format!("{}/{}", args.proxy, name.text);
    let of_server = |fault: Fault| fault.shape(Shape::Server(full.clone()));
    let parsed = address::server(&target.text).map_err(|text| {
        of_server(Fault::new("bad-address", format!("{text}.")).on(&target.span))
    })?;
    let mut draft = settings.default_server.clone();
    draft.server.at = args.spot().at();
    let text: Arc<str> = name.text.as_str().into();
    draft.server.name = Arc::clone(&text);
    draft.name = Some(args.placed(text, name));
    draft.target = Some(args.placed(parsed, target));
    follow_options(ROWS, SERVER, args, &mut draft).map_err(of_server)?;
    settings.servers.push(draft);
    Ok(())
}

fn needs_both() -> Fault {
    Fault::new(
        "missing-argument",
        "'server' expects <name> and <addr>[:<port>] as arguments.",
    )
    .help("server mail1 192.0.2.1:25 check")
}

/// `default-server [options]`: adds to what was said before.
pub(crate) fn default_server(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    follow_options(ROWS, DEFAULT_SERVER, args, &mut settings.default_server)
        .map_err(|fault| fault.shape(Shape::ServerLine))
}

fn positive(args: &mut Args<'_>) -> Result<std::time::Duration, Fault> {
    let word = args.peek();
    let time = args.time()?;
    if !time.is_zero() {
        return Ok(time);
    }
    let fault = Fault::new(
        "bad-time",
        format!("invalid value 0 for argument '{}' of server.", args.keyword),
    );
    Err(match word {
        Some(word) => fault.on(&word.span),
        None => fault,
    })
}

fn id(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let word = args.peek();
    let number = args.number(1..=i32::MAX as u32)?;
    draft.id = word.map(|word| args.placed(number, word));
    Ok(())
}

fn addr(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    draft.server.check_addr = Some(host(args)?);
    Ok(())
}

fn host(args: &mut Args<'_>) -> Result<std::net::IpAddr, Fault> {
    let word = args.word()?;
    let found = address::host(&word.text, args.resolver);
    let named = |text| Fault::new("bad-address", format!("'{}' : {text}", args.keyword));
    found.map_err(|text| named(text).on(&word.span))
}

fn source(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let word = args.word()?;
    let found = address::socket(&word.text, 0, args.resolver);
    draft.server.source =
        Some(found.map_err(|text| {
            Fault::new("bad-address", format!("'source' : {text}")).on(&word.span)
        })?);
    if let Some(more) = args
        .peek()
        .filter(|word| ["usesrc", "interface"].contains(&word.text.as_str()))
    {
        let text = format!(
            "'source ... {}' is not supported by Posthouse yet.",
            more.text
        );
        return Err(Fault::new("not-yet", text).on(&more.span));
    }
    Ok(())
}

/// A name that `proxy-v2-options` takes, and what that asks for.
type ProxyOption = (&'static str, fn(&mut ProxyOptions));

const PROXY_OPTIONS: &[ProxyOption] = &[
    ("ssl", |options| options.ssl = true),
    ("cert-cn", |options| {
        (options.ssl, options.common_name) = (true, true)
    }),
    ("cert-key", |options| {
        (options.ssl, options.key) = (true, true)
    }),
    ("cert-sig", |options| {
        (options.ssl, options.signature) = (true, true)
    }),
    ("ssl-cipher", |options| {
        (options.ssl, options.cipher) = (true, true)
    }),
    ("authority", |options| options.authority = true),
    ("crc32c", |options| options.crc32c = true),
    ("unique-id", |options| options.unique_id = true),
];

fn proxy_options(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let word = args.word()?;
    for name in word.text.split(',') {
        let Some((_, set)) = PROXY_OPTIONS.iter().find(|(known, _)| *known == name) else {
            let text = format!("'{name}' : proxy v2 option not implemented.");
            let known: Vec<_> = PROXY_OPTIONS.iter().map(|(name, _)| *name).collect();
            let help = format!("there are {}", known.join(", "));
            return Err(Fault::new("bad-choice", text).on(&word.span).help(help));
        };
        set(&mut draft.proxy.options);
    }
    Ok(())
}

fn observe(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let word = args.peek();
    if args.choice(&[("layer4", true), ("layer7", false)])? {
        draft.server.observe_layer4 = true;
        return Ok(());
    }
    let fault = Fault::new("observe-layer7", "'layer7' can only be used in mode http.")
        .help("use 'observe layer4'");
    Err(match word {
        Some(word) => fault.on(&word.span),
        None => fault,
    })
}

fn on_error(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    draft.server.on_error = args.choice(&[
        ("fastinter", OnError::FastInter),
        ("fail-check", OnError::FailCheck),
        ("sudden-death", OnError::SuddenDeath),
        ("mark-down", OnError::MarkDown),
    ])?;
    Ok(())
}

fn init_addr(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let word = args.word()?;
    draft.init_addr = InitAddr::Resolve;
    for method in word.text.split(',') {
        match method {
            "last" | "libc" => {}
            "none" => draft.init_addr = InitAddr::None,
            address => {
                let ip = address.parse().map_err(|_| {
                    let text = format!("'init-addr' : unknown init-addr method '{address}'.");
                    Fault::new("bad-choice", text).on(&word.span)
                })?;
                draft.init_addr = InitAddr::Fixed(ip);
            }
        }
    }
    Ok(())
}

fn cookie(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    args.word()?;
    draft.cookie = Some(args.spot());
    Ok(())
}

fn check_alpn(args: &mut Args<'_>, draft: &mut ServerDraft) -> Result<(), Fault> {
    let mut rules = TlsRules::default();
    tls::alpn(args, &mut rules)?;
    draft.check_alpn = Some(rules.alpn);
    Ok(())
}
