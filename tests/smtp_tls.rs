//! TLS in `mode smtp`: on both legs, and a session within it outlives its server all the same.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use testkit::client;
use testkit::cut::Cut;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order};

use crate::support::{config, free_port};

/// Two mail servers behind TLS, the second a backup, and a proxy that speaks TLS on both legs.
pub(crate) struct Pair {
    pub(crate) first: Server,
    pub(crate) backup: Server,
    pub(crate) proxy: Proxy,
    pub(crate) authority: Authority,
    how: String,
    /// Plain, and with TLS.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// The servers, behind TLS.
    pub(crate) at: [SocketAddr; 2],
    /// The cable to the first.
    pub(crate) cable: Cut,
}

/// A listener that puts TLS before a server.
fn wrapped(name: &str, at: SocketAddr, how: &str, crt: &Path, server: &Server) -> String {
    let mode = if how == "ssl" { "tcp" } else { "smtp" };
    format!(
        "\nlisten {name}\n    mode {mode}\n    bind {at} {how} crt {}\n    server s {}\n    timeout hold 1ms\n",
        crt.display(),
        server.address()
    )
}

impl Pair {
    /// `how` TLS begins on both legs, and the names on the servers' certificates.
    pub(crate) fn start(how: &str, names: [&str; 2]) -> Result<Self> {
        Self::start_with(how, names, "")
    }

    /// The same, and what else the `server` lines say.
    pub(crate) fn start_with(how: &str, names: [&str; 2], more: &str) -> Result<Self> {
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
            "{how} ca-file {} verifyhost mail.example.com {more}",
            authority.ca().display()
        );
        let frontend = format!(
            "smtp-name mx.example.net\n    bind {tls} {how} crt {}",
            own.display()
        );
        let cable = Cut::start(at1)?;
        let backend = format!(
            "option smtp-replay-auth\n    server s1 {} {secret}\n    server s2 {at2} {secret} backup",
            cable.address()
        );
        let mut text = config(plain, &frontend, &backend).replace("mode tcp", "mode smtp");
        text += &wrapped("t1", at1, how, &theirs[0], &first);
        text += &wrapped("t2", at2, how, &theirs[1], &backup);
        Ok(Self {
            first,
            backup,
            proxy: Proxy::start(Program::Posthouse, &text)?,
            authority,
            how: how.to_owned(),
            plain,
            tls,
            at: [at1, at2],
            cable,
        })
    }

    fn client(&self) -> Result<Client> {
        let ca = self.authority.ca().display().to_string();
        let checked = ["-CAfile", &ca, "-verify_return_error"];
        if self.how == "starttls" {
            return Client::connect(self.tls, &[&checked[..], &["-starttls", "smtp"]].concat());
        }
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
    let deaths = 0..steps.len();
    let all = deaths.flat_map(|death| [("ssl", death), ("starttls", death)]);
    for (how, dies_before) in all {
        let pair = Pair::start(how, ["mail.example.com"; 2])?;
        let mut client = pair.client()?;
        for (place, (step, expected)) in steps.into_iter().enumerate() {
            if place == dies_before {
                pair.first.kill();
                // What stands before it has to be gone too: until then it takes an end of data nobody answers.
                if how == "ssl" {
                    pair.proxy.output.wait_for(" t1~ t1/s ")?;
                }
            }
            let reply = client.command(step)?;
            ensure!(
                reply.starts_with(expected),
                "{how}, {dies_before}, {step}: {reply:?}"
            );
        }
        ensure!(client.line()?.is_empty(), "it goes on after QUIT");
        let (name, server) = if dies_before < 5 {
            ("s2", &pair.backup)
        } else {
            ("s1", &pair.first)
        };
        server.heard.wait_for("Subject: within tls")?;
        let line = format!(" fe~ be/{name} mail id=");
        pair.proxy.output.wait_for(&line)?;
    }
    Ok(())
}

/// A body of many records, in both directions of TLS, and through the journal of a server that dies.
#[test]
fn a_large_message_passes_within_tls() -> Result<()> {
    let pair = Pair::start("ssl", ["mail.example.com"; 2])?;
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
    for how in ["ssl", "starttls"] {
        let pair = Pair::start(how, ["other.example.com", "mail.example.com"])?;
        client::deliver(pair.plain, "certificates")?;
        pair.backup.heard.wait_for("Subject: certificates")?;
        let line = pair.proxy.output.wait_for(" tried=s1:tls:")?;
        ensure!(line.contains(" be/s2 "), "{line}");
        let heard = pair.first.heard.lines();
        ensure!(heard.iter().all(|line| !line.contains("MAIL")), "{heard:?}");
    }
    Ok(())
}

/// A proxy with STARTTLS to servers that speak clear text.
fn offers(options: &str, server: &Server) -> Result<(Proxy, SocketAddr, Authority)> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let (plain, front) = (free_port()?, free_port()?);
    let frontend = format!("bind {front} {options} crt {}", crt.display());
    let backend = format!("server s1 {}", server.address());
    let text = config(plain, &frontend, &backend).replace("mode tcp", "mode smtp");
    Ok((Proxy::start(Program::Posthouse, &text)?, front, authority))
}

/// Commands in clear text behind STARTTLS: in one piece with it, or in the place of the handshake. None is obeyed, and
/// the log tells of each.
#[test]
fn what_a_client_says_behind_starttls_is_never_obeyed() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (proxy, front, _authority) = offers("starttls", &server)?;
    let injected = "RSET\r\nMAIL FROM:<evil@example.org>\r\n";
    for together in [true, false] {
        let (mut client, _) = client::Client::greeted(front)?;
        let offer = client.command("EHLO c")?;
        ensure!(offer == "250 STARTTLS", "{offer}");
        if together {
            client.send(format!("STARTTLS\r\n{injected}"))?;
            let reply = client.line()?;
            ensure!(reply.starts_with("421 4.7.0"), "{reply}");
        } else {
            ensure!(client.command("STARTTLS")?.starts_with("220"));
            client.send(injected)?;
        }
        // An alert of TLS or nothing: no reply.
        let rest = client.rest().unwrap_or_default();
        ensure!(!rest.windows(3).any(|three| three == b"250"), "{rest:?}");
    }
    proxy.output.wait_for("SSL handshake failure")?;
    proxy.output.wait_for("clear text behind STARTTLS")?;
    let heard = server.heard.lines();
    ensure!(heard.iter().all(|line| !line.contains("evil")), "{heard:?}");
    Ok(())
}

/// `starttls required`: to a client in clear text nothing is done, whatever it tries.
#[test]
fn where_tls_is_required_mail_waits_for_it() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (_proxy, front, authority) = offers("starttls required", &server)?;
    let (mut client, _) = client::Client::greeted(front)?;
    client.command("EHLO c")?;
    for command in ["MAIL FROM:<a@b.example>", "AUTH PLAIN AGEAYg==", "VRFY x"] {
        let reply = client.command(command)?;
        ensure!(reply.starts_with("530 5.7.0"), "{command}: {reply}");
    }
    let ca = authority.ca().display().to_string();
    let starttls = ["-CAfile", &ca, "-verify_return_error", "-starttls", "smtp"];
    let mut client = Client::connect(front, &starttls)?;
    ensure!(client.reply("EHLO c")?.starts_with("250 "));
    ensure!(client.reply("STARTTLS")?.starts_with("503"));
    ensure!(client.reply("MAIL FROM:<a@b.example>")?.starts_with("250"));
    Ok(())
}

/// A server that offers no STARTTLS, or has something to say before it is asked, gets no session; an alarm is given.
#[test]
fn a_server_is_never_spoken_to_in_clear_text_instead() -> Result<()> {
    let offer = "250-here\r\n250 STARTTLS";
    let cases = [
        (Manner::Mail, "STARTTLS is not offered"),
        (
            Manner::Answers("EHLO".into(), format!("{offer}\r\n220 go")),
            "an answer came before it was asked for",
        ),
    ];
    for (manner, alarm) in cases {
        let pair = Pair::start("starttls", ["mail.example.com"; 2])?;
        let odd = Server::start(manner)?;
        let front = free_port()?;
        let backend = format!(
            "server odd {} starttls verify none\n    server good {} starttls verify none backup",
            odd.address(),
            pair.at[1],
        );
        let text = config(front, "", &backend).replace("mode tcp", "mode smtp");
        let proxy = Proxy::start(Program::Posthouse, &text)?;
        client::deliver(front, "never in clear")?;
        pair.backup.heard.wait_for("Subject: never in clear")?;
        proxy.output.wait_for(" tried=odd:starttls:")?;
        proxy.output.wait_for(&format!("Server be/odd: {alarm}"))?;
        let heard = odd.heard.lines();
        ensure!(heard.iter().all(|line| !line.contains("MAIL")), "{heard:?}");
    }
    Ok(())
}

/// What is said behind the 220, in one piece with it, is injected.
#[test]
fn what_a_server_says_behind_its_220_ends_the_attempt() -> Result<()> {
    let pair = Pair::start("starttls", ["mail.example.com"; 2])?;
    let injecting = Server::start(Manner::Says(
        b"220 mail ESMTP\r\n250-mail\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n".to_vec(),
    ))?;
    let front = free_port()?;
    let backend = format!(
        "server odd {} starttls verify none\n    server good {} starttls verify none backup",
        injecting.address(),
        pair.at[1],
    );
    let text = config(front, "", &backend).replace("mode tcp", "mode smtp");
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    client::deliver(front, "behind the 220")?;
    pair.backup.heard.wait_for("Subject: behind the 220")?;
    proxy.output.wait_for(" tried=odd:starttls:")?;
    Ok(())
}
