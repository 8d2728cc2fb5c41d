//! The deep check: how far it goes, what a degraded server is, and that nobody hears the password.

use std::fs;

use anyhow::{Result, ensure};
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order};
use testkit::wait_until;

use crate::support::{config, free_port};

const DEEP: &str = "option smtpchk-deep probe.example.org
    smtp-check require size
    smtp-check rcpt postmaster@example.com";

/// Waits until a column of `be/s1` is that.
fn wait(proxy: &Proxy, column: &str, value: &str) -> Result<()> {
    let mut last = String::new();
    wait_until(&format!("{column} of s1 is {value}"), || {
        last = proxy.stat("be", "s1", column).unwrap_or_default();
        last == value
    })
    .map_err(|error| error.context(format!("it is '{last}'")))
}

#[test]
fn it_asks_for_a_recipient_and_takes_its_leave() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!("{DEEP}\n    server s1 {} check", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(free_port()?, "", &backend))?;
    for line in [
        "EHLO probe.example.org",
        "MAIL FROM:<>",
        "RCPT TO:<postmaster@example.com>",
        "RSET",
        "QUIT",
        "<end>",
    ] {
        server.heard.wait_for(&format!("2: {line}"))?;
    }
    ensure!(
        !server
            .heard
            .lines()
            .iter()
            .any(|line| line.contains("DATA"))
    );
    proxy.wait_for_status("be", "s1", "UP")?;
    ensure!(proxy.stat("be", "s1", "check_status")?.ends_with("L7OK"));
    ensure!(proxy.stat("be", "s1", "check_code")? == "221");
    // What it does not offer, or refuses, takes it down.
    server.be(Manner::Answers("RCPT".into(), "550 5.1.1 nobody".into()));
    proxy.wait_for_status("be", "s1", "DOWN")?;
    let told = proxy.output.wait_for("Server be/s1 is DOWN")?;
    ensure!(
        told.contains("Layer7 wrong status, code: 550, info: \"rcpt: 550 5.1.1 nobody\""),
        "{told}"
    );
    server.be(Manner::Answers("EHLO".into(), "250 here".into()));
    wait(&proxy, "last_chk", "SIZE is not offered")?;
    server.be(Manner::Mail);
    proxy.wait_for_status("be", "s1", "UP")
}

/// No room for mail: UP for HAProxy's tools, degraded for ours, and left alone while another serves.
#[test]
fn a_server_without_room_is_the_last_choice() -> Result<()> {
    let (one, two) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let front = free_port()?;
    let backend = format!(
        "{DEEP}\n    server s1 {} check\n    server s2 {} check backup",
        one.address(),
        two.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    wait(&proxy, "ph_degraded", "0")?;
    let fields = |proxy: &Proxy| -> Result<usize> {
        let state = proxy.ask("show servers state be")?;
        let line = state.lines().find(|line| line.contains(" s1 "));
        Ok(line.map_or(0, |line| line.split(' ').count()))
    };
    let before = fields(&proxy)?;
    one.be(Manner::Answers("RCPT".into(), "452 4.3.1 full".into()));
    wait(&proxy, "ph_degraded", "1")?;
    ensure!(proxy.status("be", "s1")? == "UP", "HAProxy's word stays");
    wait(&proxy, "last_chk", "degraded: rcpt: 452 4.3.1 full")?;
    ensure!(fields(&proxy)? == before && before > 10);
    proxy.output.wait_for(
        "Server be/s1 is degraded (space): rcpt: 452 4.3.1 full. It is left alone while others serve.",
    )?;
    let greeting = testkit::client::deliver(front, "elsewhere")?;
    ensure!(
        greeting.contains(&two.address().port().to_string()),
        "{greeting}"
    );
    let events = proxy.ask("show events buf0")?;
    ensure!(events.contains("is degraded (space)"), "{events}");
    // The only one left, it serves: it may have room for small mail, and says for itself if not.
    two.stop();
    proxy.wait_for_status("be", "s2", "DOWN")?;
    let greeting = testkit::client::deliver(front, "here after all");
    ensure!(greeting.is_err(), "it says 452 itself");
    ensure!(one.heard.lines().iter().any(|line| line.contains("RCPT")));
    one.be(Manner::Mail);
    proxy
        .output
        .wait_for("Server be/s1 is degraded no longer.")?;
    testkit::client::deliver(front, "well again")?;
    Ok(())
}

/// The password comes from a file, is said where it should be, and is seen nowhere else.
#[test]
fn it_logs_in_and_keeps_the_secret() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let file = directory.path().join("secret");
    fs::write(&file, "h1dden word\n")?;
    let offer = "250-here\r\n250-SIZE\r\n250 AUTH PLAIN";
    let server = Server::start(Manner::Answers("EHLO".into(), offer.into()))?;
    let backend = |clear: &str| {
        format!(
            "option smtpchk-deep\n    option log-health-checks\n    smtp-check auth watch file {} {clear}\n    server s1 {} check",
            file.display(),
            server.address()
        )
    };
    let text = config(free_port()?, "", &backend("in-clear"));
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    // NUL watch NUL password.
    server
        .heard
        .wait_for("AUTH PLAIN AHdhdGNoAGgxZGRlbiB3b3Jk")?;
    proxy.wait_for_status("be", "s1", "UP")?;
    for command in [
        "show stat",
        "show servers state",
        "show info",
        "show events",
    ] {
        let answer = proxy.ask(command)?;
        ensure!(!answer.contains("h1dden") && !answer.contains("AGgxZGRlbiB3b3Jk"));
    }
    let said = proxy.output.lines().join("\n");
    ensure!(
        !said.contains("h1dden") && !said.contains("AHdhdGNo"),
        "{said}"
    );
    // Not in clear unless that is asked for.
    let wrong = directory.path().join("wrong.cfg");
    fs::write(
        &wrong,
        config(free_port()?, "", &backend("")).replace("@dir@", "/nowhere"),
    )?;
    let output = Program::Posthouse
        .command()?
        .arg("-c")
        .arg("-f")
        .arg(&wrong)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("would log in without TLS"),
        "{said}"
    );
    Ok(())
}

/// STARTTLS with Postfix: a good certificate, one that ends soon, a wrong name, an unknown issuer; and a real 550.
#[test]
fn starttls_and_recipients_with_postfix() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let pem = authority.issue(
        "mail1.pem",
        &Order {
            names: &["mail1.example.com"],
            until: 2027,
            ..Order::default()
        },
    )?;
    let lab = Lab::new()?;
    let main = format!("smtpd_tls_cert_file = {}\n", pem.display());
    let master = "2501 inet n - n - - smtpd -o smtpd_tls_security_level=may\n";
    let postfix = Postfix::start_with(&lab, Host::Mail1, &main, master)?;
    let at = std::net::SocketAddr::new(Host::Mail1.ip(), 2501);
    let (inbox, own) = ("inbox@example.com", "mail1.example.com");
    let mut text = config(free_port()?, "", &format!("server s1 {at}"));
    for (backend, lines, name, ca) in [
        (
            "good",
            "inbox@example.com\n    smtp-check certificate 0",
            own,
            &authority,
        ),
        (
            "soon",
            "inbox@example.com\n    smtp-check certificate 3650",
            own,
            &authority,
        ),
        ("named", inbox, "mail9.example.com", &authority),
        ("strange", inbox, own, &other),
        ("foreign", "somebody@example.org", own, &authority),
        ("expected", "somebody@example.org code 554", own, &authority),
    ] {
        text += &format!(
            "\nbackend {backend}\n    option smtpchk-deep lb.example.com\n    smtp-check starttls\n    smtp-check rcpt {lines}\n    server s1 {at} check verifyhost {name} ca-file {}\n",
            ca.ca().display()
        );
    }
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &text)?;
    let wait = |backend: &str, column: &str, value: &str| {
        let mut last = String::new();
        wait_until(&format!("{column} of {backend} has {value}"), || {
            last = proxy.stat(backend, "s1", column).unwrap_or_default();
            last.contains(value)
        })
        .map_err(|error| {
            let said = proxy.stat(backend, "s1", "last_chk").unwrap_or_default();
            error.context(format!("it is '{last}': {said}"))
        })
    };
    wait("good", "check_status", "L7OK")?;
    wait("expected", "check_status", "L7OK")?;
    for (backend, said) in [
        ("soon", "degraded: its certificate has "),
        (
            "named",
            "handshake: SSL handshake failure (certificate has another name)",
        ),
        ("strange", "certificate of an unknown issuer"),
        ("foreign", "rcpt: 554 5.7.1"),
    ] {
        wait(backend, "last_chk", said)?;
    }
    for backend in ["named", "strange", "foreign"] {
        proxy.wait_for_status(backend, "s1", "DOWN")?;
    }
    ensure!(proxy.status("soon", "s1")? == "UP" && proxy.stat("soon", "s1", "ph_degraded")? == "1");
    ensure!(proxy.stat("good", "s1", "ph_degraded")? == "0");
    ensure!(!proxy.stat("good", "s1", "ph_cert_days")?.is_empty());
    ensure!(postfix.delivered().is_empty(), "nothing is delivered");
    // What fails at the handshake cannot be polite; what passes is.
    let log = postfix.log()?;
    ensure!(
        log.contains("disconnect from") && log.contains("rset=1"),
        "{log}"
    );
    Ok(())
}
