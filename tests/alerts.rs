//! Alerts: incidents posted to webhooks and mailed, whatever the receivers do.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::receiver::{Received, Receiver};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order};
use testkit::{need, wait_until};

use crate::scrape::metrics;
use crate::support::{config, free_port};

/// A primary and a backup, both checked, in `be`; `more` sections stand behind.
fn pair(backend: &str, more: &str) -> Result<(Server, Server, Proxy)> {
    let (first, second) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let servers = format!(
        "option smtpchk EHLO test\n    {backend}\n    server s1 {} check\n    server s2 {} check backup",
        first.address(),
        second.address()
    );
    let text = config(free_port()?, "", &servers) + "\n" + more;
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    proxy.wait_for_status("be", "s1", "UP")?;
    Ok((first, second, proxy))
}

/// How long after the state changed the receiver had the message, in ms.
fn delay(received: &Received) -> Result<u64> {
    let opened = received.body["opened_ms"].as_u64().context("no time")?;
    Ok(received.at_ms.saturating_sub(opened))
}

fn problems(body: &Value) -> Vec<&str> {
    let problems = body["problems"].as_array().into_iter().flatten();
    problems
        .filter_map(|problem| problem["problem"].as_str())
        .collect()
}

/// The line of `show alerts` about a receiver, in words.
fn shown(proxy: &Proxy, name: &str) -> Result<Vec<String>> {
    let text = proxy.ask("show alerts")?;
    let line = text.lines().find(|line| line.contains(name));
    let words = line.with_context(|| text.clone())?.split(' ');
    Ok(words.map(str::to_owned).collect())
}

#[test]
fn a_failover_is_one_incident_whatever_flaps_and_whatever_the_receiver_answers() -> Result<()> {
    let (receiver, pages) = (Receiver::start(&[500])?, free_port()?);
    let alerts = format!(
        "alerts ops
    alert webhook http://{}/hook?x=1 header Authorization \"Bearer s3cret\"
    alert settle 3s
frontend pages
    bind {pages}
    mode http
    http-request use-service prometheus-exporter
",
        receiver.address()
    );
    let (first, _second, proxy) = pair("", &alerts)?;
    first.kill();
    let refused = receiver.wait_for(1)?;
    let took = delay(&refused)?;
    println!("a failover alert was there {took} ms after the state change");
    // The promise is 100 ms; a busy machine gets more.
    ensure!(took < 3_000, "{took} ms");
    ensure!(refused.first_line == "POST /hook?x=1 HTTP/1.1" && refused.status == 500);
    ensure!(refused.header("authorization") == Some("Bearer s3cret"));
    ensure!(refused.header("content-type") == Some("application/json"));
    let body = &refused.body;
    ensure!(
        body["status"] == "open" && body["backend"] == "be" && body["level"] == "alert",
        "{body}"
    );
    ensure!(problems(body) == ["server-down", "on-backup"], "{body}");
    ensure!(body["problems"][1]["servers"] == json!(["s2"]), "{body}");
    ensure!(
        body["title"] == "be: server s1 is DOWN, runs on backup s2",
        "{body}"
    );
    // It is told that alerts do not get through; then they do.
    proxy
        .output
        .wait_for("Alerts do not get through to webhook ops/1: it answers 500")?;
    let again = receiver.wait_for(2)?;
    let key = |received: &Received| received.header("idempotency-key").map(str::to_owned);
    ensure!(again.body == *body && key(&again) == key(&refused) && key(&again).is_some());
    proxy
        .output
        .wait_for("Alerts get through to webhook ops/1 again")?;
    ensure!(proxy.ask("show alerts")?.contains("backend be"));
    // It comes and goes; nobody hears of that until all has been well for a while.
    first.resume()?;
    proxy.wait_for_status("be", "s1", "UP")?;
    for _ in 0..5 {
        proxy.ask("set server be/s1 health down; set server be/s1 health up")?;
    }
    let over = receiver.wait_for(3)?.body;
    ensure!(
        over["status"] == "resolved" && over["incident"] == body["incident"],
        "{over}"
    );
    ensure!(over["flaps"].as_u64() >= Some(5), "{over}");
    ensure!(receiver.received().len() == 3, "{:#?}", receiver.received());
    let words = shown(&proxy, "ops/1")?;
    ensure!(words[3..8] == ["2", "0", "1", "0", "0"], "{words:?}");
    let metrics = metrics(pages, "")?;
    for line in [
        "sent_total{channel=\"webhook\",to=\"ops/1\"} 2",
        "failing{channel=\"webhook\",to=\"ops/1\"} 0",
    ] {
        ensure!(
            metrics.contains(&format!("posthouse_alert_{line}\n")),
            "{metrics}"
        );
    }
    let metrics = metrics + &proxy.ask("show alerts")? + &proxy.output.lines().join("\n");
    ensure!(
        !metrics.contains("s3cret") && !metrics.contains("/hook"),
        "{metrics}"
    );
    Ok(())
}

#[test]
fn what_an_operator_does_is_no_incident_and_an_end_is_told() -> Result<()> {
    let (receiver, silent) = (Receiver::start(&[])?, Receiver::start(&[0, 0, 0])?);
    let alerts = format!(
        "alerts ops
    alert webhook http://{}/
    alert webhook http://{}/ timeout 60s
",
        receiver.address(),
        silent.address()
    );
    let (first, _second, mut proxy) = pair("", &alerts)?;
    proxy.ask("set server be/s1 state drain")?;
    proxy.output.wait_for("Backend be fails over")?;
    proxy.ask("set server be/s1 state ready")?;
    proxy.output.wait_for("Backend be fails back")?;
    first.kill();
    let open = receiver.wait_for(1)?.body;
    ensure!(
        open["status"] == "open" && problems(&open).contains(&"server-down"),
        "{open}"
    );
    // The new process finds out for itself: this one says that it does not look any more. Who never answers does not
    // keep it from ending.
    let begun = Instant::now();
    proxy.signal(Signal::USR1)?;
    let last = receiver.wait_for(2)?.body;
    ensure!(
        last["status"] == "stopped" && last["incident"] == open["incident"],
        "{last}"
    );
    proxy.wait()?;
    ensure!(
        begun.elapsed() < testkit::PATIENCE / 2,
        "{:?}",
        begun.elapsed()
    );
    ensure!(receiver.received().len() == 2 && silent.received().len() == 1);
    Ok(())
}

/// TLS by OpenSSL in front of a receiver.
struct Tls(Child, u16);

impl Tls {
    fn start(pem: &std::path::Path, receiver: &Receiver) -> Result<Self> {
        need("socat", "socat")?;
        let port = free_port()?.port();
        let listen = format!(
            "openssl-listen:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={}",
            pem.display()
        );
        let to = format!("tcp:{}", receiver.address());
        let child = Command::new("socat")
            .args([&listen, &to])
            .stderr(Stdio::null())
            .spawn()?;
        let socat = Self(child, port);
        wait_until("socat listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        Ok(socat)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn certificates_of_receivers_are_verified() -> Result<()> {
    let authority = Authority::new()?;
    let order = |names| Order {
        names,
        ..Order::default()
    };
    let good = authority.issue("good.pem", &order(&["127.0.0.1"]))?;
    let wrong = authority.issue("wrong.pem", &order(&["mx.example.com"]))?;
    let receivers = [
        Receiver::start(&[])?,
        Receiver::start(&[])?,
        Receiver::start(&[])?,
    ];
    let tls = [
        Tls::start(&good, &receivers[0])?,
        Tls::start(&wrong, &receivers[1])?,
        Tls::start(&wrong, &receivers[2])?,
    ];
    let ca = authority.ca();
    let ca = ca.display();
    let alerts = format!(
        "alerts ops
    alert webhook https://127.0.0.1:{}/ ca-file {ca}
    alert webhook https://127.0.0.1:{}/ ca-file {ca}
    alert webhook https://127.0.0.1:{}/ verify none
",
        tls[0].1, tls[1].1, tls[2].1
    );
    let (first, _second, proxy) = pair("", &alerts)?;
    first.kill();
    for receiver in [&receivers[0], &receivers[2]] {
        ensure!(receiver.wait_for(1)?.body["status"] == "open");
    }
    let line = proxy
        .output
        .wait_for("Alerts do not get through to webhook ops/2")?;
    ensure!(line.contains("SSL handshake failure"), "{line}");
    ensure!(receivers[1].received().is_empty());
    Ok(())
}

#[test]
fn our_certificates_are_watched() -> Result<()> {
    let authority = Authority::new()?;
    let left = |days| Order {
        days: Some(days),
        ..Order::default()
    };
    let gone = Order {
        until: 2021,
        ..Order::default()
    };
    let old = authority.issue("old.pem", &gone)?;
    let soon = authority.issue("soon.pem", &left(13))?;
    let very_soon = authority.issue("very-soon.pem", &left(6))?;
    let far = authority.issue("far.pem", &left(16))?;
    let receiver = Receiver::start(&[])?;
    let alerts = format!(
        "alerts ops
    alert webhook http://{}/
    alert settle 0
frontend tls
    bind {} ssl crt {} crt {} crt {} crt {}
    default_backend be
",
        receiver.address(),
        free_port()?,
        old.display(),
        soon.display(),
        very_soon.display(),
        far.display(),
    );
    let (_first, _second, proxy) = pair("", &alerts)?;
    let mut stages = BTreeMap::new();
    for number in 1..=3 {
        let body = receiver.wait_for(number)?.body;
        let new = &body["problems"][0];
        ensure!(
            body["status"] == "open" && body["subject"] == "certificate" && new["new"] == true,
            "{body}"
        );
        stages.insert(body["certificate"].to_string(), new["stage"].to_string());
    }
    let expected = [
        (&old, "expired"),
        (&soon, "soon"),
        (&very_soon, "very-soon"),
    ]
    .map(|(file, stage)| (json!(file).to_string(), json!(stage).to_string()));
    ensure!(stages == expected.into(), "{stages:#?}");
    // One is renewed; for another the last week begins, which is news again.
    for (number, file, days, status) in [(4, &old, 90, "resolved"), (5, &soon, 5, "update")] {
        let (pem, file) = (authority.pem(&left(days))?, file.display());
        proxy.ask(&format!("set ssl cert {file} <<\n{pem}\n"))?;
        let said = proxy.ask(&format!("commit ssl cert {file}"))?;
        ensure!(said.contains("Success"), "{said}");
        let body = receiver.wait_for(number)?.body;
        ensure!(
            body["status"] == status && body["certificate"] == file.to_string(),
            "{body}"
        );
    }
    Ok(())
}

/// The lines of a mail that a server was sent in its connection of that number.
fn mail(server: &Server, number: usize) -> Vec<String> {
    let start = format!("{number}: ");
    let lines = server.heard.lines().into_iter();
    lines
        .filter_map(|line| Some(line.strip_prefix(&start)?.to_owned()))
        .collect()
}

#[test]
fn mailers_are_tried_in_turn() -> Result<()> {
    let dead = free_port()?;
    let silent = Server::start(Manner::Silent)?;
    let refusing = Server::start(Manner::Answers("MAIL".into(), "550 5.7.1 not you".into()))?;
    let plain = Server::start(Manner::Mail)?;
    let good = Server::start(Manner::Answers(
        "RCPT TO:<no@".into(),
        "550 5.1.1 who?".into(),
    ))?;
    let mailers = format!(
        "mailers relays
    timeout mail 2s
    mailer dead {dead}
    mailer silent {}
    mailer refusing {}
    mailer plain {} starttls user me password s3cret
    mailer good {}
",
        silent.address(),
        refusing.address(),
        plain.address(),
        good.address()
    );
    let email = "email-alert mailers relays
    email-alert from proxy@example.org
    email-alert to no@example.org,ops@example.org
    email-alert myhostname proxy.example.org
    email-alert level notice";
    let (first, _second, proxy) = pair(email, &mailers)?;
    first.kill();
    good.heard.wait_for("<queued>")?;
    let lines = mail(&good, 1);
    let has = |line: &str| lines.iter().any(|known| known == line);
    for line in [
        "EHLO proxy.example.org",
        "MAIL FROM:<proxy@example.org>",
        "RCPT TO:<ops@example.org>",
        "| From: <proxy@example.org>",
        "| Subject: [Posthouse Alert] be: server s1 is DOWN, runs on backup s2",
        "| Auto-Submitted: auto-generated",
    ] {
        ensure!(has(line), "{line}\n{lines:#?}");
    }
    ensure!(silent.connections() == 1 && refusing.connections() == 1);
    // No TLS, no mail, and above all no password.
    let said = mail(&plain, 1);
    ensure!(
        said.iter()
            .all(|line| line.starts_with("EHLO") || line == "<end>"),
        "{said:?}"
    );
    // What operators do is told to who wants it; those that failed are asked last.
    proxy.ask("set server be/s2 state drain")?;
    good.heard.wait_for_nth("<queued>", 2)?;
    let lines = mail(&good, 2);
    ensure!(
        lines.iter().any(|line| line.contains("is going DOWN")
            || line.contains("DRAIN")
            || line.contains("drain")),
        "{lines:#?}"
    );
    ensure!(silent.connections() == 1, "asked before one that works");
    ensure!(!proxy.output.lines().join("\n").contains("s3cret"));
    Ok(())
}

#[test]
fn postfix_takes_mail_within_tls_and_a_password() -> Result<()> {
    let lab = Lab::new()?;
    let authority = Authority::new()?;
    let address = Host::Mail2.ip().to_string();
    let pem = authority.pem(&Order {
        names: &[&address],
        ..Order::default()
    })?;
    let relay = Postfix::start_secured(&lab, Host::Mail2, &pem, ("alerts", "s3cret words"))?;
    let text = format!(
        "global
    stats socket @dir@/socket mode 600 level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
mailers relay
    mailer stranger {address}:587 starttls verify required user alerts password \"s3cret words\"
    mailer relay {address}:587 starttls ca-file {ca} user alerts password \"s3cret words\"
mailers inside
    mailer inside {address}:465 ssl ca-file {ca} user alerts password \"s3cret words\"
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    email-alert from proxy@example.com
    email-alert to ops@example.com
listen be
    bind {front}:25
    email-alert mailers relay
    server s1 {dead}:25 check inter 100ms fastinter 50ms
listen second
    bind {front}:26
    email-alert mailers inside
    server s1 {dead}:26 check inter 100ms fastinter 50ms
",
        ca = authority.ca().display(),
        front = Host::Lb.ip(),
        dead = Host::Mail1.ip(),
    );
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &text)?;
    relay.wait_for_message("be: no server is left")?;
    relay.wait_for_message("second: no server is left")?;
    let log = relay.log()?;
    ensure!(
        log.contains("TLS connection established")
            || log.contains("Trusted TLS")
            || log.contains("Anonymous TLS"),
        "{log}"
    );
    for mechanism in ["PLAIN", "LOGIN"] {
        let line = format!("sasl_method={mechanism}, sasl_username=alerts");
        ensure!(log.contains(&line), "{log}");
    }
    let message = relay.delivered().concat();
    ensure!(message.contains("Server be/s1 is DOWN"), "{message}");
    for mailers in ["mail relay", "mail inside"] {
        let words = shown(&proxy, mailers)?;
        ensure!(words[3..8] == ["1", "0", "0", "0", "0"], "{words:?}");
    }
    let said = proxy.output.lines().join("\n") + &proxy.ask("show alerts; show events buf0")?;
    ensure!(!said.contains("s3cret"), "{said}");
    Ok(())
}
