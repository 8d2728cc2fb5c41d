//! Health checks: what they find, what they say, how they leave.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

fn proxy(program: Program, backend: &str) -> Result<Proxy> {
    Proxy::start(program, &config(free_port()?, "", backend))
}

const GREETING: &str =
    "option tcp-check\n    tcp-check connect\n    tcp-check expect string \"220 \"";

#[test]
fn a_server_goes_down_and_comes_back_in_haproxys_words() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let (one, two) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
        let backend = format!(
            "{GREETING}\n    server mail1 {} check\n    server mail2 {} check backup",
            one.address(),
            two.address()
        );
        let proxy = proxy(program, &backend)?;
        // Wholly up: then one check that the stop cuts short does not decide.
        testkit::wait_until("mail1 is wholly up", || {
            proxy
                .stat("be", "mail1", "check_health")
                .is_ok_and(|health| health == "4")
        })?;
        one.stop();
        let line = proxy
            .output
            .wait_for("Server be/mail1 is DOWN, reason: Layer4 connection problem, info: \"")?;
        ensure!(line.contains("Connection refused"), "{program:?}: {line}");
        ensure!(
            line.contains(" at step 1 of tcp-check (connect)"),
            "{program:?}: {line}"
        );
        ensure!(
            line.ends_with(
                "ms. 0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue."
            ),
            "{program:?}: {line}"
        );
        two.stop();
        proxy
            .output
            .wait_for("Backup Server be/mail2 is DOWN, reason: ")?;
        proxy
            .output
            .wait_for("backend be has no server available!")?;
        one.resume()?;
        let line = proxy.output.wait_for(
            "Server be/mail1 is UP, reason: Layer7 check passed, code: 0, info: \"(tcp-check)\"",
        )?;
        ensure!(
            line.ends_with(
                "1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."
            ),
            "{program:?}: {line}"
        );
    }
    Ok(())
}

#[test]
fn details_are_told_when_asked_for() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let server = Server::start(Manner::Mail)?;
        let backend = format!(
            "option log-health-checks\n    option smtpchk EHLO x.example\n    server s1 {} check",
            server.address()
        );
        let proxy = proxy(program, &backend)?;
        let line = proxy
            .output
            .wait_for("Health check for server be/s1 succeeded")?;
        ensure!(
            told(&line).starts_with(
                "Health check for server be/s1 succeeded, reason: Layer7 check passed, code: 221, info: \"2.0.0 bye\", check duration: "
            ) && line.ends_with("ms, status: 3/3 UP."),
            "{program:?}: {line}"
        );
        server.be(Manner::Greets("421 not now".into()));
        let line = proxy
            .output
            .wait_for("Health check for server be/s1 failed")?;
        ensure!(
            line.contains("reason: Layer7 wrong status, code: 421, info: \"not now\"")
                && line.ends_with("status: 2/3 UP."),
            "{program:?}: {line}"
        );
        let line = proxy.output.wait_for("Server be/s1 is DOWN")?;
        ensure!(
            told(&line).starts_with("Server be/s1 is DOWN. 0 active"),
            "{program:?}: {line}"
        );
    }
    Ok(())
}

/// `fall` failures in a row take a server down, one success in between starts over.
#[test]
fn rise_and_fall() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!(
        "{GREETING}\n    option log-health-checks\n    server s1 {} check fall 4 rise 3",
        server.address()
    );
    let proxy = proxy(Program::Posthouse, &backend)?;
    proxy.output.wait_for("status: 4/4 UP")?;
    server.be(Manner::Closes);
    for status in ["3/4 UP", "2/4 UP", "1/4 UP", "0/3 DOWN"] {
        proxy.output.wait_for(&format!("status: {status}"))?;
    }
    server.be(Manner::Mail);
    for status in ["1/3 DOWN", "2/3 DOWN"] {
        proxy.output.wait_for(&format!("status: {status}"))?;
    }
    proxy.output.wait_for("Server be/s1 is UP")?;
    Ok(())
}

/// A check leaves as a mail client does: QUIT, 221, and no reset.
#[test]
fn checks_are_polite() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let proxy = proxy(
        Program::Posthouse,
        &format!("{GREETING}\n    server s1 {} check", server.address()),
    )?;
    for number in 1..=5 {
        server.heard.wait_for(&format!("{number}: QUIT"))?;
        let end = server.heard.wait_for(&format!("{number}: <"))?;
        ensure!(end == format!("{number}: <end>"), "{end}");
    }
    proxy.wait_for_status("be", "s1", "UP")?;
    Ok(())
}

#[test]
fn a_greeting_of_several_lines_passes() -> Result<()> {
    let server = Server::start(Manner::Greets("220-wait\r\n220 go".into()))?;
    for check in [GREETING, "option smtpchk EHLO x.example"] {
        let proxy = proxy(
            Program::Posthouse,
            &format!(
                "{check}\n    option log-health-checks\n    server s1 {} check",
                server.address()
            ),
        )?;
        let line = proxy.output.wait_for("Health check for server be/s1")?;
        ensure!(line.contains("succeeded"), "{line}");
    }
    Ok(())
}

#[test]
fn checks_go_where_they_are_told() -> Result<()> {
    let (server, health) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let backend = format!(
        "{GREETING}\n    server s1 {} check port {}",
        server.address(),
        health.address().port()
    );
    let proxy = proxy(Program::Posthouse, &backend)?;
    health.heard.wait_for("3: QUIT")?;
    ensure!(server.connections() == 0);
    health.stop();
    proxy.wait_for_status("be", "s1", "DOWN")?;
    Ok(())
}

/// A server that cannot be reached by traffic is checked at once, not when its turn comes.
#[test]
fn a_refused_session_asks_for_a_check() -> Result<()> {
    let (one, two) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let front = free_port()?;
    let backend = format!(
        "{GREETING}\n    server mail1 {} check inter 60s\n    server mail2 {} check inter 60s backup",
        one.address(),
        two.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    proxy.wait_for_status("be", "mail1", "UP")?;
    testkit::wait_until("mail1 was checked", || one.connections() > 0)?;
    testkit::pause(Duration::from_millis(200));
    one.stop();
    let greeting = testkit::client::deliver(front, "moved")?;
    ensure!(
        greeting.contains(&two.address().port().to_string()),
        "{greeting}"
    );
    proxy.wait_for_status("be", "mail1", "DOWN")?;
    Ok(())
}

/// What is said behind `[WARNING]  (pid) : `: the same is on standard error and in the log.
fn told(line: &str) -> &str {
    line.split_once(") : ").map_or(line, |(_, text)| text)
}
