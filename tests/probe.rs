//! `posthouse probe`: what it finds at servers that are well, and at those that are not.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::Program;
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order};

/// Exit code, standard output and standard error.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// What stands behind these words at the begin of a line of a server, and the way out.
    fn of(&self, server: &str, what: &str) -> Result<String> {
        let blocks = self.out.split("\n  server ");
        let mut blocks = blocks.filter(|block| block.split(' ').next() == Some(server));
        let block = blocks.next();
        let block = block.with_context(|| format!("no {server}:\n{}{}", self.out, self.err))?;
        let lines: Vec<_> = block.lines().map(str::trim_start).collect();
        let at = lines.iter().position(|line| line.starts_with(what));
        let at = at.with_context(|| format!("no {what} of {server}:\n{}", self.out))?;
        let help = lines.get(at + 1).filter(|line| line.starts_with("way out"));
        let words = lines[at].split_whitespace().chain(help.copied());
        Ok(words.skip(1).collect::<Vec<_>>().join(" "))
    }

    /// The same for each server and line, which must contain those words.
    fn has(&self, all: &[(&str, &str, &str)]) -> Result<()> {
        for (server, what, words) in all {
            let said = self.of(server, what)?;
            ensure!(
                said.contains(words),
                "{server} {what}: {said}\nnot: {words}"
            );
        }
        Ok(())
    }
}

fn run(mut command: Command, text: &str, arguments: &[&str]) -> Result<Said> {
    let directory = tempfile::TempDir::new()?;
    let file = directory.path().join("haproxy.cfg");
    fs::write(&file, text)?;
    command.arg("probe").arg("-f").arg(&file).args(arguments);
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        code: output.status.code().context("no exit code")?,
        out: text(&output.stdout),
        err: text(&output.stderr),
    })
}

fn probe(text: &str, arguments: &[&str]) -> Result<Said> {
    run(Command::new(Program::Posthouse.path()?), text, arguments)
}

/// Backends with these names, lines and servers.
fn backends(all: &[(&str, &str, &[String])]) -> String {
    let head = "defaults\n    mode tcp\n    timeout connect 5s\n    timeout server 10m\n";
    let mut text = head.to_owned();
    for (name, lines, servers) in all {
        text += &format!("backend {name}\n    {lines}\n");
        for server in *servers {
            text += &format!("    server {server}\n");
        }
    }
    text
}

const WELL: &[(&str, &str, &str)] = &[
    ("well", "connect", "from 192.168.1.1"),
    ("well", "PROXY", "not sent, and not waited for"),
    ("well", "greeting", "220 mail1.example.com ESMTP"),
    ("well", "EHLO", "SIZE 10240000"),
    (
        "well",
        "STARTTLS",
        "ok TLS 1.3, certificate of mail1.example.com, ",
    ),
    ("well", "XCLIENT", "offered: NAME ADDR"),
    ("well", "relay", "ok refused to strangers: 554 5.7.1"),
    (
        "told",
        "PROXY",
        "ok v2 taken; the client it was told is 192.0.2.1",
    ),
    ("six", "connect", "from fd00:1::1"),
    (
        "six",
        "PROXY",
        "ok v2 taken; the client it was told is 2001:db8::1",
    ),
    ("six", "relay", "ok refused"),
    ("told", "XCLIENT", "not offered"),
    ("told", "relay", "ok refused"),
    ("smtps", "TLS", "verified for mail1.example.com"),
    ("smtps", "relay", "ok refused"),
    ("strict", "relay", "ok refused to strangers: 554 5.7.1"),
    ("verified", "STARTTLS", "verified for mail1.example.com"),
    (
        "introduced",
        "XCLIENT",
        "ok taken; the client it was told is 192.0.2.1",
    ),
    ("introduced", "relay", "ok refused"),
];

const SICK: &[(&str, &str, &str)] = &[
    (
        "open",
        "relay",
        "ERROR open relay: takes mail of <probe@sender.invalid> for <probe@recipient.invalid> (250 2.1.5 Ok) because it takes the proxy (192.168.1.1) for the client",
    ),
    ("open", "relay", "or take 192.168.1.1 out of what it trusts"),
    ("open-to-all", "PROXY", "ok v1 taken"),
    ("open-to-all", "relay", "of the client 192.0.2.1 as well"),
    (
        "waits",
        "PROXY",
        "ERROR the server waits for a PROXY header",
    ),
    ("waits", "relay", "ok refused"),
    (
        "waits-not",
        "PROXY",
        "ERROR v2 is sent, and the server does not take it",
    ),
    ("waits-not", "relay", "ok refused"),
    (
        "old-unverified",
        "STARTTLS",
        "warning TLS 1.3, certificate of mail1.example.com, expired",
    ),
    ("ancient", "STARTTLS", "warning offered, and fails: "),
    ("ancient", "relay", "ok refused"),
    ("down", "connect", "ERROR connection refused"),
    (
        "misnamed",
        "STARTTLS",
        "not verified (certificate has another name): sessions with it fail",
    ),
    (
        "misnamed",
        "STARTTLS",
        "(mail9.example.com); it has mail1.example.com",
    ),
    (
        "strange",
        "STARTTLS",
        "not verified (certificate of an unknown issuer)",
    ),
    (
        "old",
        "STARTTLS",
        "ERROR TLS 1.3, certificate of mail1.example.com, expired",
    ),
    ("old", "STARTTLS", "way out: renew it"),
    ("bare", "STARTTLS", "ERROR not offered"),
    (
        "trusting",
        "relay",
        "way out: tell it the client: 'xclient' on the server's line; or",
    ),
    ("unbelieving", "XCLIENT", "ERROR not offered to the proxy"),
    (
        "unbelieving",
        "XCLIENT",
        "add 192.168.1.1 to 'smtpd_authorized_xclient_hosts'",
    ),
];

/// A Postfix that is well on 25, 465, 10025 and 2503; on the others something is wrong.
fn postfix<'l>(lab: &'l Lab, authority: &Authority) -> Result<Postfix<'l>> {
    let order = |until| Order {
        names: &["mail1.example.com"],
        until,
        ..Order::default()
    };
    let old = authority.issue("old.pem", &order(2025))?;
    let (old, lb) = (old.display(), Host::Lb.ip());
    let master = format!(
        "465  inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
2501 inet n - n - - smtpd -o mynetworks={lb}/32
2502 inet n - n - - smtpd -o mynetworks=0.0.0.0/0 -o smtpd_upstream_proxy_protocol=haproxy
2503 inet n - n - - smtpd -o smtpd_sender_restrictions=reject_unknown_sender_domain
2504 inet n - n - - smtpd -o smtpd_tls_cert_file={old} -o smtpd_tls_key_file={old}
2506 inet n - n - - smtpd -o smtpd_tls_protocols=TLSv1
2507 inet n - n - - smtpd -o smtpd_authorized_xclient_hosts=
2505 inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=chunking,starttls
"
    );
    let own = authority.issue("own.pem", &order(2090))?;
    let own = own.display();
    let main = format!(
        "smtpd_tls_cert_file = {own}
smtpd_tls_key_file = {own}
smtpd_tls_security_level = may
smtpd_authorized_xclient_hosts = {lb}
"
    );
    Postfix::start_with(lab, Host::Mail1, &main, &master)
}

#[test]
fn postfix_well_and_not() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let lab = Lab::new()?;
    let postfix = postfix(&lab, &authority)?;
    let binary = Program::Posthouse.path()?;
    let ask = |text: &str| {
        let command = lab.command(Host::Lb, &binary.to_string_lossy());
        run(command, text, &[])
    };
    let server = |name: &str, port: u16, words: &str| {
        format!("{name} {} {words}", SocketAddr::new(Host::Mail1.ip(), port))
    };
    let by = |how: &str, authority: &Authority, words: &str| {
        let ca = authority.ca();
        format!("{how} verify required ca-file {} {words}", ca.display())
    };
    let named = "verifyhost mail1.example.com";
    let plain = [
        server("well", 25, ""),
        server("told", 10025, "send-proxy-v2"),
        server("smtps", 465, &by("ssl", &authority, named)),
        server("strict", 2503, ""),
        format!("six [{}]:10025 send-proxy-v2", Host::Mail1.ipv6()),
    ];
    let within = [
        server("verified", 25, &by("starttls", &authority, named)),
        // Its mynetworks has the proxy, and it is told of somebody else.
        server("introduced", 2501, "xclient"),
    ];
    let text = backends(&[("plain", "", &plain), ("within", "mode smtp", &within)]);
    let well = ask(&text)?;
    well.has(WELL)?;
    ensure!(
        well.code == 0 && well.err.is_empty(),
        "{}{}",
        well.out,
        well.err
    );
    ensure!(
        well.out.contains("XCLIENT: not on told, six"),
        "{}",
        well.out
    );
    ensure!(
        well.out
            .ends_with("\n7 servers asked: no errors, no warnings\n")
    );
    let plain = [
        server("open", 2501, ""),
        server("open-to-all", 2502, "send-proxy"),
        server("waits", 10025, ""),
        server("waits-not", 25, "send-proxy-v2"),
        server("old-unverified", 2504, ""),
        server("ancient", 2506, ""),
        server("down", 2599, ""),
    ];
    let within = [
        server(
            "misnamed",
            25,
            &by("starttls", &authority, "verifyhost mail9.example.com"),
        ),
        server("strange", 25, &by("starttls", &stranger, "")),
        server("old", 2504, &by("starttls", &authority, "")),
        server("bare", 2505, &by("starttls", &authority, "")),
        server("unbelieving", 2507, "xclient"),
        server("trusting", 2501, ""),
    ];
    let text = backends(&[("plain", "", &plain), ("within", "mode smtp", &within)]);
    let sick = ask(&text)?;
    sick.has(SICK)?;
    ensure!(sick.code == 1, "{}{}", sick.out, sick.err);
    ensure!(sick.out.contains("CHUNKING: not on bare"), "{}", sick.out);
    ensure!(
        sick.out
            .ends_with("\n13 servers asked: 11 errors, 2 warnings\n")
    );
    ensure!(postfix.delivered().is_empty(), "{}", postfix.log()?);
    Ok(())
}

/// Answers RCPT so.
fn refuses(words: &str) -> Result<Server> {
    Server::start(Manner::Answers("RCPT".into(), words.into()))
}

fn line(name: &str, server: &Server) -> String {
    format!("{name} {}", server.address())
}

const SMTP: &str = "option smtpchk EHLO x";

/// Servers that say what nobody expects.
#[test]
fn odd_servers() -> Result<()> {
    let says = |words: &str| Server::start(Manner::Says(words.into()));
    let words = [
        "220 here\r\n",
        "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
        "220 go\r\n250 injected\r\n",
    ];
    let words = words.map(|words| words.as_bytes().to_vec());
    let injects = Server::start(Manner::Recites(words.into()))?;
    let (open, silent) = (Server::start(Manner::Mail)?, Server::start(Manner::Silent)?);
    let (babbles, imap) = (says("SSH-2.0-x\r\n")?, says("* OK ready\r\n")?);
    let unwilling = Server::start(Manner::Greets("554 5.7.1 not you".into()))?;
    let (later, well) = (refuses("450 4.2.0 later")?, refuses("550 no relay")?);
    let mail = [
        line("open", &open),
        line("babbles", &babbles),
        line("unwilling", &unwilling),
        line("injects", &injects),
        line("later", &later),
        line("well", &well),
        line("off", &open) + " disabled",
    ];
    let text = backends(&[
        ("mail", SMTP, &mail),
        ("mute", SMTP, &[line("silent", &silent)]),
        ("other", "", &[line("imap", &imap)]),
        (
            "meant",
            "option smtpchk\n    no lint open-relay",
            &[line("smarthost", &open)],
        ),
    ]);
    let all = probe(&text, &["mail", "other", "meant"])?;
    all.has(&[
        (
            "open",
            "relay",
            "because it takes the proxy (127.0.0.1) for the client",
        ),
        ("babbles", "greeting", "ERROR not SMTP: SSH-2.0-x"),
        ("unwilling", "greeting", "ERROR refuses: 554 5.7.1 not you"),
        (
            "injects",
            "STARTTLS",
            "ERROR something in clear stood behind the answer",
        ),
        (
            "later",
            "relay",
            "warning not known, refused for another reason: 450 4.2.0 later",
        ),
        ("well", "relay", "ok refused to strangers: 550 no relay"),
        ("off", "disabled", "not asked (--all does)"),
        ("imap", "greeting", "- not SMTP: * OK ready"),
        (
            "smarthost",
            "relay",
            "'no lint open-relay' says that this is meant",
        ),
    ])?;
    ensure!(all.code == 1, "{}{}", all.out, all.err);
    let mute = probe(&text, &["mute", "--timeout", "1"])?;
    mute.has(&[("silent", "greeting", "ERROR nothing within 1 s")])?;
    ensure!(
        mute.code == 1 && silent.connections() == 2,
        "with a header as well"
    );
    // What is said is what was promised, and the farewell is waited for.
    let said = open.heard.lines();
    let said = said.iter().filter_map(|line| line.strip_prefix("1: "));
    let said: Vec<_> = said.skip(1).collect();
    let promised = [
        "MAIL FROM:<probe@sender.invalid>",
        "RCPT TO:<probe@recipient.invalid>",
        "RSET",
        "QUIT",
        "<end>",
    ];
    ensure!(said == promised, "{said:?}");
    ensure!(open.connections() == 1, "it stands in two sections");
    Ok(())
}

#[test]
fn it_says_what_it_is_asked_for() -> Result<()> {
    let (open, well) = (Server::start(Manner::Mail)?, refuses("550 no relay")?);
    let servers = [line("well", &well), line("off", &open) + " disabled"];
    let text = backends(&[("be", SMTP, &servers)]);
    let words = [
        "-q",
        "be/well",
        "--from",
        "me@example.org",
        "--helo",
        "me.example.org",
    ];
    let quiet = probe(&text, &words)?;
    ensure!((quiet.code, &*quiet.out) == (0, ""), "{}", quiet.out);
    well.heard.wait_for("1: EHLO me.example.org")?;
    well.heard.wait_for("1: MAIL FROM:<me@example.org>")?;
    let json = probe(&text, &["--json", "--all"])?;
    let value: Value = serde_json::from_str(&json.out)?;
    ensure!(
        json.code == 1 && value["errors"] == 1 && value["asked"] == 2,
        "{}",
        json.out
    );
    let findings = value["servers"][1]["findings"].as_array();
    let mut relay = findings
        .into_iter()
        .flatten()
        .filter(|it| it["what"] == "relay");
    ensure!(
        relay.next().is_some_and(|it| it["level"] == "error"),
        "{}",
        json.out
    );
    // What is no configuration, what is no server, what is no flag.
    ensure!(probe("global\n nonsense\n", &[])?.code == 1);
    for words in ["be/nobody", "--nonsense"] {
        let wrong = probe(&text, &[words])?;
        ensure!(
            wrong.code == 2 && wrong.err.contains(words),
            "{}",
            wrong.err
        );
    }
    Ok(())
}
