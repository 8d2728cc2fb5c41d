//! `bind` and its options (CFG 4.2, 5.1), which `stats socket` shares.

use super::{Args, BIND, Keyword, Sections, address, follow_options, tls};
use crate::diagnostic::Fault;
use crate::draft::{BindDraft, Settings};
use crate::model::{Level, Owner, TlsStart, TlsVersion, V6};

type Row = Keyword<BindDraft>;

/// Options of `bind` and `stats socket`.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("name", BIND, "<name>", (1, 1), |a, b| { b.bind.name = Some(a.text()?.into()); Ok(()) }, "The listener's name in statistics and logs."),
    Row::new("id", BIND, "<number>", (1, 1), id, "The listener's number in statistics."),
    Row::new("accept-proxy", BIND, "", (0, 0), |_, b| { b.bind.accept_proxy = true; Ok(()) }, "Clients begin with a PROXY header, version 1 or 2."),
    Row::new("backlog", BIND, "<number>", (1, 1), |a, b| { b.bind.backlog = Some(a.count()?); Ok(()) }, "Connections that may wait to be accepted."),
    Row::new("maxconn", BIND, "<number>", (1, 1), |a, b| { b.bind.maxconn = Some(a.count()?).filter(|most| *most > 0); Ok(()) }, "Connections of this listener at once; 0 is no limit."),
    Row::new("interface", BIND, "<name>", (1, 1), |a, b| { b.bind.interface = Some(a.text()?); Ok(()) }, "Only what arrives on that interface."),
    Row::new("transparent", BIND, "", (0, 0), |_, b| { b.bind.transparent = true; Ok(()) }, "Bind an address that is not this host's."),
    Row::new("v4v6", BIND, "", (0, 0), |_, b| { b.bind.v6 = Some(V6::Both); Ok(()) }, "IPv4 and IPv6 on one socket."),
    Row::new("v6only", BIND, "", (0, 0), |_, b| { b.bind.v6 = Some(V6::Only); Ok(()) }, "IPv6 alone."),
    Row::new("defer-accept", BIND, "", (0, 0), |_, b| { b.bind.defer_accept = true; Ok(()) }, "Wait for the client's first bytes; not applied: harmful in front of mail servers, which speak first."),
    Row::new("mss", BIND, "<bytes>", (1, 1), |a, b| { b.bind.mss = Some(a.number(1..=65_535)?); Ok(()) }, "Largest TCP segment."),
    Row::new("tcp-ut", BIND, "<time>", (1, 1), |a, b| { b.bind.tcp_ut = a.timeout()?; Ok(()) }, "TCP user timeout."),
    Row::new("mode", BIND, "<octal>", (1, 1), |a, b| { b.bind.permissions.mode = Some(mode(a)?); Ok(()) }, "Mode of a unix socket."),
    Row::new("user", BIND, "<name>", (1, 1), |a, b| { b.bind.permissions.user = Some(Owner::Name(a.text()?)); Ok(()) }, "Owner of a unix socket."),
    Row::new("group", BIND, "<name>", (1, 1), |a, b| { b.bind.permissions.group = Some(Owner::Name(a.text()?)); Ok(()) }, "Group of a unix socket."),
    Row::new("uid", BIND, "<number>", (1, 1), |a, b| { b.bind.permissions.user = Some(Owner::Id(a.count()?)); Ok(()) }, "Owner of a unix socket, by number."),
    Row::new("gid", BIND, "<number>", (1, 1), |a, b| { b.bind.permissions.group = Some(Owner::Id(a.count()?)); Ok(()) }, "Group of a unix socket, by number."),
    Row::new("level", BIND, "user|operator|admin", (1, 1), level, "What a stats socket allows."),
    Row::new("expose-fd", BIND, "listeners", (1, 1), |a, b| { a.choice(&[("listeners", ())])?; b.expose_fd = true; Ok(()) }, "Accepted; listeners are not handed out yet."),
    Row { args: (1, 1), ..Row::ignored("nice", BIND, "Priority; without effect.") },
    Row { args: (1, 1), ..Row::ignored("thread", BIND, "Which threads listen; all do.") },
    Row { args: (1, 1), ..Row::ignored("shards", BIND, "Sockets per address; each thread has its own.") },
    Row { args: (1, 1), ..Row::ignored("severity-output", BIND, "Severity in answers of the stats socket; without effect.") },
    Row { args: (1, 1), ..Row::ignored("guid-prefix", BIND, "Without effect.") },
    Row::not_yet("tfo", BIND, "TCP fast open."),
    Row::not_yet("namespace", BIND, "A network namespace."),
    Row::new("ssl", BIND, "", (0, 0), |a, b| { b.ssl = Some(a.spot()); Ok(()) }, "TLS with clients."),
    Row::new("starttls", BIND, "[required]", (0, 1), starttls, "`mode smtp`: TLS when the client asks for it; `required`: no mail and no login before."),
    Row::new("crt", BIND, "<file|directory>", (1, 1), |a, b| { b.tls.crt.push(a.text()?.into()); Ok(()) }, "Certificate, chain and key, in one file or with the key in `<file>.key`; of several the first is the default, others are found by their names."),
    Row::new("crt-list", BIND, "<file>", (1, 1), |a, b| { b.tls.crt_list.push(a.text()?.into()); Ok(()) }, "A file that lists such files, each with the names it is for."),
    Row::new("verify", BIND, "none|optional|required", (1, 1), |a, b| { b.tls.verify = tls::client_verify(a)?; Ok(()) }, "Whether clients show a certificate."),
    Row::new("ca-file", BIND, "<file>|@system-ca", (1, 1), |a, b| { b.tls.ca = Some(tls::authorities(a)?); Ok(()) }, "Who may have issued it."),
    Row::new("crl-file", BIND, "<file>", (1, 1), |a, b| { b.tls.crl = Some(a.text()?.into()); Ok(()) }, "Which of them are revoked."),
    Row::new("ciphers", BIND, "<list>", (1, 1), |a, b| tls::ciphers(a, &mut b.tls.rules), "Suites of TLS 1.2; what is not available is told."),
    Row::new("ciphersuites", BIND, "<list>", (1, 1), |a, b| tls::ciphersuites(a, &mut b.tls.rules), "Suites of TLS 1.3."),
    Row::new("curves", BIND, "<list>", (1, 1), |a, b| tls::curves(a, &mut b.tls.rules), "Groups of the key exchange."),
    Row::new("ecdhe", BIND, "<curve>", (1, 1), |a, b| tls::curves(a, &mut b.tls.rules), "The same for one."),
    Row::new("alpn", BIND, "<protocol>,...", (1, 1), |a, b| tls::alpn(a, &mut b.tls.rules), "Protocols within TLS; a client that asks for others alone is refused."),
    Row::new("ssl-min-ver", BIND, "TLSv1.2|TLSv1.3", (1, 1), |a, b| tls::min(a, &mut b.tls.rules), "Lowest version; nothing below TLSv1.2 is offered."),
    Row::new("ssl-max-ver", BIND, "TLSv1.2|TLSv1.3", (1, 1), |a, b| tls::max(a, &mut b.tls.rules), "Highest version."),
    Row::new("force-tlsv12", BIND, "", (0, 0), |a, b| tls::only(a, &mut b.tls.rules, TlsVersion::V12, TlsVersion::V12), "TLS 1.2 alone."),
    Row::new("force-tlsv13", BIND, "", (0, 0), |a, b| tls::only(a, &mut b.tls.rules, TlsVersion::V13, TlsVersion::V13), "TLS 1.3 alone."),
    Row::new("no-tlsv12", BIND, "", (0, 0), |a, b| tls::only(a, &mut b.tls.rules, TlsVersion::V13, TlsVersion::V13), "Not TLS 1.2."),
    Row::new("no-tlsv13", BIND, "", (0, 0), |a, b| tls::only(a, &mut b.tls.rules, TlsVersion::V12, TlsVersion::V12), "Not TLS 1.3."),
    Row::new("no-sslv3", BIND, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("no-tlsv10", BIND, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("no-tlsv11", BIND, "", (0, 0), |_, _| Ok(()), "It never is."),
    Row::new("no-tls-tickets", BIND, "", (0, 0), |_, b| { b.tls.rules.no_tickets = true; Ok(()) }, "Sessions are resumed by the process's memory alone."),
    Row::new("strict-sni", BIND, "", (0, 0), |_, b| { b.tls.strict_sni = true; Ok(()) }, "Who asks for no name or for one that no certificate has gets none, instead of the default one."),
    Row::ignored("prefer-client-ciphers", BIND, "The client's order; ours is kept."),
    Row::not_yet("ca-verify-file", BIND, "More authorities, not told to clients."),
    Row::not_yet("ca-ignore-err", BIND, "Errors of authorities to be ignored."),
    Row::not_yet("crt-ignore-err", BIND, "Errors of certificates to be ignored."),
    Row::not_yet("sigalgs", BIND, "Signature algorithms."),
    Row::not_yet("client-sigalgs", BIND, "Signature algorithms of clients."),
    Row::not_yet("tls-ticket-keys", BIND, "Keys of session tickets, from a file."),
    Row::not_yet("generate-certificates", BIND, "Certificates made as they are asked for."),
    Row::refused("allow-0rtt", BIND, "early data can be replayed by anybody who has seen it", "remove it"),
    Row::not_yet("accept-netscaler-cip", BIND, "NetScaler's header."),
    Row::not_yet("cc", BIND, "TCP congestion control."),
    Row::refused("process", BIND, "'process' is not supported any more since HAProxy 3.4", "remove it"),
    Row::refused("proto", BIND, "there is no HTTP in Posthouse", "remove it"),
];

/// `bind <address>[,...] [options]`.
pub(crate) fn bind(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let word = args.word()?;
    let addresses = address::bind(&word.text, args.resolver).map_err(|text| {
        Fault::new("bad-address", format!("'bind' : {text}."))
            .on(&word.span)
            .help("write [address]:port, or unix@/path, abns@name, fd@number")
    })?;
    let mut draft = BindDraft::new(args.spot().at(), addresses);
    options(args, &mut draft)?;
    settings.binds.push(draft);
    Ok(())
}

/// The options that fill the rest of the line.
pub(crate) fn options(args: &mut Args<'_>, draft: &mut BindDraft) -> Result<(), Fault> {
    const LIST: Sections = BIND;
    follow_options(ROWS, LIST, args, draft)
}

/// An octal mode.
pub(crate) fn mode(args: &mut Args<'_>) -> Result<u32, Fault> {
    let word = args.word()?;
    u32::from_str_radix(&word.text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| {
            Fault::new(
                "bad-mode",
                format!(
                    "'mode' : missing or invalid mode '{}' (octal integer expected).",
                    word.text
                ),
            )
            .on(&word.span)
        })
}

fn id(args: &mut Args<'_>, draft: &mut BindDraft) -> Result<(), Fault> {
    let word = args.peek();
    let number = args.number(1..=i32::MAX as u32)?;
    draft.id = word.map(|word| args.placed(number, word));
    Ok(())
}

fn starttls(args: &mut Args<'_>, draft: &mut BindDraft) -> Result<(), Fault> {
    draft.starttls = Some(args.spot());
    draft.tls.start = TlsStart::OnRequest {
        required: args.take("required"),
    };
    Ok(())
}

fn level(args: &mut Args<'_>, draft: &mut BindDraft) -> Result<(), Fault> {
    let levels = [
        ("user", Level::User),
        ("operator", Level::Operator),
        ("admin", Level::Admin),
    ];
    draft.level = Some(args.choice(&levels)?);
    Ok(())
}
