//! TLS in `mode smtp`: on both legs, and a session within it outlives its server all the same.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use testkit::client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order};

use crate::support::{config, free_port};

/// Two mail servers behind TLS, the second a backup, and a proxy that speaks TLS on both legs.
struct Pair {
    first: Server,
    backup: Server,
    proxy: Proxy,
    authority: Authority,
    /// Plain, and TLS from the first byte.
    plain: SocketAddr,
    tls: SocketAddr,
}

/// A listener in `mode tcp` that puts TLS before a server.
fn wrapped(name: &str, at: SocketAddr, crt: &Path, server: &Server) -> String {
    format!(
        "\nlisten {name}\n    mode tcp\n    bind {at} ssl crt {}\n    server s {}\n",
        crt.display(),
        server.address()
    )
}

impl Pair {
    fn start(names: [&str; 2]) -> Result<Self> {
        let authority = Authority::new()?;
        let issue = |file: &str, name: &str| {
            let names = [name];
            authority.issue(
                file,
                &Order {
                    names: &names,
                    ..Order::default()
                },
            )
        };
        let own = issue("mx.pem", "mx.example.com")?;
        let theirs = [issue("s1.pem", names[0])?, issue("s2.pem", names[1])?];
        let (first, backup) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
        let (plain, tls, at1, at2) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let secret = format!(
            "ssl ca-file {} verifyhost mail.example.com",
            authority.ca().display()
        );
        let frontend = format!(
            "smtp-name mx.example.net\n    bind {tls} ssl crt {}",
            own.display()
        );
        let backend = format!("server s1 {at1} {secret}\n    server s2 {at2} {secret} backup");
        let mut text = config(plain, &frontend, &backend).replace("mode tcp", "mode smtp");
        text += &wrapped("t1", at1, &theirs[0], &first);
        text += &wrapped("t2", at2, &theirs[1], &backup);
        Ok(Self {
            first,
            backup,
            proxy: Proxy::start(Program::Posthouse, &text)?,
            authority,
            plain,
            tls,
        })
    }

    fn client(&self) -> Result<Client> {
        let ca = self.authority.ca().display().to_string();
        let checked = ["-CAfile", &ca, "-verify_return_error"];
        let mut client = Client::connect(self.tls, &checked)?;
        let greeting = client.line()?;
        ensure!(greeting == "220 mx.example.net ESMTP", "{greeting}");
        Ok(client)
    }
}

const BODY: &str = "Subject: within tls\r\n\r\nHello.\r\n.";

/// Every step of a session, from TLS to TLS; the server is killed before each of them in turn.
#[test]
fn a_session_within_tls_outlives_its_server() -> Result<()> {
    let steps = [
        ("HELO client.example.org", "250"),
        ("MAIL FROM:<a@example.org>", "250"),
        ("RCPT TO:<inbox@example.com>", "250"),
        ("DATA", "354"),
        (BODY, "250"),
        ("QUIT", "221"),
    ];
    for dies_before in 0..steps.len() {
        let pair = Pair::start(["mail.example.com"; 2])?;
        let mut client = pair.client()?;
        for (place, (step, expected)) in steps.into_iter().enumerate() {
            if place == dies_before {
                pair.first.kill();
            }
            let reply = client.command(step)?;
            ensure!(
                reply.starts_with(expected),
                "{dies_before}, {step}: {reply:?}"
            );
        }
        ensure!(client.line()?.is_empty(), "it goes on after QUIT");
        let server = if dies_before < 5 {
            &pair.backup
        } else {
            &pair.first
        };
        server.heard.wait_for("Subject: within tls")?;
        let line = pair.proxy.output.wait_for(" delivered ")?;
        ensure!(line.contains(" fe~ "), "{line}");
    }
    Ok(())
}

/// A body of many records, in both directions of TLS, and through the journal of a server that dies.
#[test]
fn a_large_message_passes_within_tls() -> Result<()> {
    let pair = Pair::start(["mail.example.com"; 2])?;
    let line = "x".repeat(70) + "\r\n";
    let mut client = pair.client()?;
    for command in [
        "HELO c",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<i@example.com>",
    ] {
        ensure!(client.command(command)?.starts_with("250"));
    }
    ensure!(client.command("DATA")?.starts_with("354"));
    client.send(line.repeat(20_000).as_bytes())?;
    pair.first.kill();
    client.send(line.repeat(20_000).as_bytes())?;
    ensure!(client.command("Subject: large\r\n.")?.starts_with("250"));
    pair.backup.heard.wait_for("Subject: large")?;
    let all = pair.backup.heard.lines();
    let bodies = all.iter().filter(|heard| heard.ends_with("xxxxxx"));
    ensure!(bodies.count() == 40_000);
    Ok(())
}

/// A server that shows another's certificate is as good as down, and the log says why.
#[test]
fn a_wrong_certificate_is_no_server() -> Result<()> {
    let pair = Pair::start(["other.example.com", "mail.example.com"])?;
    client::deliver(pair.plain, "certificates")?;
    pair.backup.heard.wait_for("Subject: certificates")?;
    let line = pair.proxy.output.wait_for(" tried=s1:tls:")?;
    ensure!(line.contains(" be/s2 "), "{line}");
    let told = pair.proxy.ask("show stat")?;
    let row = told.lines().find(|row| row.starts_with("be,s1,"));
    row.context("no row")?;
    ensure!(pair.first.heard.lines().iter().all(|l| !l.contains("MAIL")));
    Ok(())
}
