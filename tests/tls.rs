//! TLS with clients and with servers in `mode tcp`: openssl and Debian's HAProxy at the other end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Kind, Order, handshake};

use crate::support::{config, free_port};

/// A proxy that terminates TLS in front of a mail server.
pub(crate) struct Terminated {
    pub(crate) proxy: Proxy,
    pub(crate) tls: SocketAddr,
}

impl Terminated {
    pub(crate) fn start(program: Program, options: &str, server: &Server) -> Result<Self> {
        let (plain, tls) = (free_port()?, free_port()?);
        let frontend = format!("bind {tls} ssl {options}");
        let greeting = match program {
            Program::Posthouse => "option greeting\n",
            Program::Haproxy => "",
        };
        let backend = format!("{greeting}    server s1 {}", server.address());
        let proxy = Proxy::start(program, &config(plain, &frontend, &backend))?;
        Ok(Self { proxy, tls })
    }
}

#[test]
fn a_session_within_tls_is_a_session() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    let front = Terminated::start(
        Program::Posthouse,
        &format!("crt {}", file.display()),
        &server,
    )?;
    let ca = authority.ca().display().to_string();
    let checked = [
        "-CAfile",
        &ca,
        "-verify_return_error",
        "-verify_hostname",
        "mx.example.com",
    ];
    for (sessions, version) in ["-tls1_2", "-tls1_3"].into_iter().enumerate() {
        let mut client = Client::connect(front.tls, &[&checked[..], &[version]].concat())?;
        let greeting = client.line()?;
        ensure!(
            greeting.starts_with("220 "),
            "{version}: {greeting:?}\n{}\n{}",
            client.complaints.lines().join("\n"),
            front.proxy.output.lines().join("\n")
        );
        ensure!(client.command("NOOP")?.starts_with("250"));
        ensure!(client.command("QUIT")?.starts_with("221"));
        ensure!(client.line()?.is_empty(), "it goes on after QUIT");
        front
            .proxy
            .output
            .wait_for_nth(" fe~ be/s1 ", sessions + 1)?;
    }
    // A session is counted out after its line is written.
    let mut told = String::new();
    let counted = testkit::wait_until("both are counted, in and out", || {
        told = front.proxy.ask("show info").unwrap_or_default();
        let lines = ["CumSslConns: 2", "CurrSslConns: 0"];
        lines.iter().all(|line| told.contains(line))
    });
    counted.context(told)
}

#[test]
fn bytes_are_the_same_at_both_ends() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Echo)?;
    let (plain, tls) = (free_port()?, free_port()?);
    let frontend = format!("bind {tls} ssl crt {}", file.display());
    let backend = format!("server s1 {}", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(plain, &frontend, &backend))?;
    // A proxy of its own encrypts for the client: plain, TLS, plain, many records and back.
    let (outer, inner) = (free_port()?, free_port()?);
    let ca = authority.ca();
    let secured = format!(
        "server s1 {tls} ssl verify required ca-file {} verifyhost mx.example.com",
        ca.display()
    );
    let other = Proxy::start(
        Program::Posthouse,
        &config(outer, &format!("bind {inner}"), &secured),
    )?;
    let mut client = client::Client::connect(outer)?;
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let half = sent.clone();
    let begun = std::thread::spawn(move || -> Result<Vec<u8>> {
        client.send(&half)?;
        client.finish()?;
        client.rest()
    });
    let got = begun.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(
        got == sent,
        "{} of {} bytes came back",
        got.len(),
        sent.len()
    );
    other.output.wait_for(" 3000000 -- ")?;
    proxy.output.wait_for(" fe~ be/s1 ")?;
    Ok(())
}

#[test]
fn versions_and_ciphers_are_those_of_the_line() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue(
        "mx.pem",
        &Order {
            kind: Kind::Rsa,
            ..Order::default()
        },
    )?;
    let server = Server::start(Manner::Mail)?;
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("ssl-min-ver TLSv1.3", &["-tls1_2"], None),
        ("ssl-min-ver TLSv1.3", &[], Some("TLSv1.3")),
        ("ssl-max-ver TLSv1.2", &[], Some("TLSv1.2")),
        ("ssl-max-ver TLSv1.2", &["-tls1_3"], None),
        ("", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (
            "ciphers ECDHE-RSA-AES128-GCM-SHA256",
            &["-tls1_2"],
            Some("ECDHE-RSA-AES128-GCM-SHA256"),
        ),
        (
            "ciphers HIGH:!AES",
            &["-tls1_2"],
            Some("ECDHE-RSA-CHACHA20-POLY1305"),
        ),
        (
            "ciphersuites TLS_AES_128_GCM_SHA256",
            &["-tls1_3"],
            Some("TLS_AES_128_GCM_SHA256"),
        ),
        (
            "curves P-384",
            &["-tls1_3"],
            Some("ECDH, secp384r1, 384 bits"),
        ),
        ("curves P-384", &["-tls1_3", "-curves", "X25519"], None),
    ];
    for (options, arguments, expected) in cases {
        let line = format!("crt {} {options}", file.display());
        let front = Terminated::start(Program::Posthouse, &line, &server)?;
        let said = handshake(front.tls, arguments)?;
        match expected {
            Some(word) => ensure!(said.contains(word), "{options} {arguments:?}: {said}"),
            None => {
                ensure!(
                    said.contains("Cipher is (NONE)"),
                    "{options} {arguments:?}: {said}"
                );
                front
                    .proxy
                    .output
                    .wait_for("fe/2: SSL handshake failure (")?;
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_no_handshake_ends_in_one_line_and_costs_no_server() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    let (plain, tls) = (free_port()?, free_port()?);
    let frontend = format!(
        "timeout client-hs 700ms\n    bind {tls} ssl crt {}",
        file.display()
    );
    let backend = format!("option greeting\n    server s1 {}", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(plain, &frontend, &backend))?;
    let huge = {
        let mut hello = vec![0x16, 3, 1, 0x40, 0x00, 1, 0, 0xff, 0xff];
        hello.resize(5 + 0x4000, 0);
        hello.repeat(6)
    };
    for (bytes, told) in [
        (
            &b"EHLO plain.example.com\r\n"[..],
            "SSL handshake failure (not TLS, or broken)",
        ),
        (
            &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0][..],
            "SSL handshake failure (",
        ),
        (&huge, "SSL handshake failure ("),
    ] {
        let mut client = client::Client::connect(tls)?;
        client.send(bytes)?;
        proxy.output.wait_for(&format!("fe/2: {told}"))?;
        // An alert, perhaps; nothing that is not TLS.
        let rest = client.rest().unwrap_or_default();
        ensure!(rest.first().is_none_or(|first| *first == 0x15), "{rest:?}");
    }
    // Half a handshake, then silence; and half a handshake, then gone.
    let mut silent = client::Client::connect(tls)?;
    silent.send([0x16, 3, 1])?;
    proxy
        .output
        .wait_for("fe/2: Timeout during SSL handshake")?;
    let mut gone = client::Client::connect(tls)?;
    gone.send([0x16, 3, 1])?;
    drop(gone);
    proxy
        .output
        .wait_for("fe/2: Connection closed during SSL handshake")?;
    ensure!(server.connections() == 0, "a server was asked");
    ensure!(
        client::deliver(plain, "x").is_ok(),
        "the plain port suffered"
    );
    Ok(())
}

#[test]
fn sessions_are_resumed_by_every_worker() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    for (options, version) in [
        ("", "-tls1_3"),
        ("", "-tls1_2"),
        ("no-tls-tickets", "-tls1_2"),
    ] {
        let line = format!("crt {} {options}", file.display());
        let front = Terminated::start(Program::Posthouse, &line, &server)?;
        let kept = authority.directory().join("session").display().to_string();
        handshake(front.tls, &[version, "-sess_out", &kept, "-ign_eof"])?;
        let mut resumed = 0;
        for _ in 0..8 {
            let said = handshake(front.tls, &[version, "-sess_in", &kept])?;
            resumed += usize::from(said.contains("Reused, "));
        }
        // Each connection comes to a worker of the kernel's choice.
        ensure!(resumed == 8, "{options} {version}: {resumed} of 8");
    }
    Ok(())
}

#[test]
fn checks_speak_tls() -> Result<()> {
    let authority = Authority::new()?;
    let good = authority.issue("good.pem", &Order::default())?;
    let mail = Server::start(Manner::Mail)?;
    let secured = Terminated::start(Program::Haproxy, &format!("crt {}", good.display()), &mail)?;
    let ca = authority.ca().display().to_string();
    let front = free_port()?;
    let backend = format!("server s1 {} ssl verify none check inter 50ms", secured.tls);
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    // 31 December 2090, whatever the day is.
    testkit::wait_until("the certificate was seen", || {
        proxy
            .stat("be", "s1", "ph_cert_expiry")
            .is_ok_and(|at| at == "3818361600")
    })?;
    let cases = [
        (
            "option smtpchk",
            format!("ssl ca-file {ca} verifyhost mx.example.com check"),
            "L7OK",
        ),
        ("", format!("ssl ca-file {ca} check"), "L6OK"),
        (
            "",
            format!("ssl ca-file {ca} verifyhost wrong.example.com check"),
            "L6RSP",
        ),
        ("", "check".to_owned(), "L4OK"),
        ("", "check check-ssl verify none".to_owned(), "L6OK"),
        ("", format!("ssl ca-file {ca} check no-check-ssl"), "L4OK"),
        (
            "option tcp-check\n    tcp-check connect ssl",
            "check verify none".to_owned(),
            "L6OK",
        ),
        (
            "option tcp-check\n    tcp-check connect ssl sni wrong.example.com",
            format!("check ca-file {ca}"),
            "L6RSP",
        ),
    ];
    for (option, words, status) in cases {
        let front = free_port()?;
        let backend = format!("{option}\n    server s1 {} {words}", secured.tls);
        let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
        testkit::wait_until(&format!("{option} {words}: {status}"), || {
            proxy
                .stat("be", "s1", "check_status")
                .is_ok_and(|now| now == status)
        })?;
    }
    Ok(())
}

#[test]
fn an_idle_session_within_tls_times_out_and_can_be_ended() -> Result<()> {
    let authority = Authority::new()?;
    let file = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    let front = Terminated::start(
        Program::Posthouse,
        &format!("crt {}\n    timeout client 600ms", file.display()),
        &server,
    )?;
    let mut client = Client::connect(front.tls, &[])?;
    ensure!(client.line()?.starts_with("220 "));
    testkit::pause(Duration::from_millis(300));
    ensure!(client.command("NOOP")?.starts_with("250"));
    front.proxy.output.wait_for(" cD ")?;
    let mut client = Client::connect(front.tls, &[])?;
    ensure!(client.line()?.starts_with("220 "));
    let listed = front.proxy.ask("show sess")?;
    ensure!(
        listed.contains("fe=fe") && listed.contains("srv=s1"),
        "{listed}"
    );
    front.proxy.ask("shutdown sessions server be/s1")?;
    ensure!(client.line()?.is_empty(), "it goes on");
    front.proxy.output.wait_for(" KC ")?;
    Ok(())
}
