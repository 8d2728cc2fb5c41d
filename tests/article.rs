//! The article's configuration, whole and unchanged, in front of two real Postfix.

use anyhow::{Result, ensure};
use testkit::client::deliver;
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::{need, run};

/// Only the stats socket's directory is the test's own.
fn configuration() -> String {
    include_str!("../examples/article.cfg").replace("/var/run/haproxy/admin.sock", "@dir@/socket")
}

#[test]
fn mail_is_delivered_through_the_death_and_return_of_the_primary() -> Result<()> {
    let lab = Lab::new()?;
    let (mail1, mail2) = (
        Postfix::start(&lab, Host::Mail1)?,
        Postfix::start(&lab, Host::Mail2)?,
    );
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &configuration())?;
    let inbound = (Host::Lb.ip(), 25).into();
    let submission = (Host::Lb.ip(), 587).into();
    let send = |to, mark: &str| lab.on(Host::Client, || deliver(to, mark));
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    proxy.wait_for_status("submission_servers", "mail1", "UP")?;

    for number in 0..10 {
        send(inbound, &format!("before-25-{number}"))?;
        send(submission, &format!("before-587-{number}"))?;
    }
    ensure!(mail2.delivered().is_empty());
    mail1.wait_for_message("before-587-9")?;

    mail1.kill()?;
    // No waiting for a check: a session that starts now must not fail.
    for number in 0..10 {
        send(inbound, &format!("dead-25-{number}"))?;
        send(submission, &format!("dead-587-{number}"))?;
    }
    mail2.wait_for_message("dead-587-9")?;
    proxy.wait_for_status("mail_servers", "mail1", "DOWN")?;
    proxy.wait_for_status("submission_servers", "mail1", "DOWN")?;

    mail1.resume()?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    proxy.wait_for_status("submission_servers", "mail1", "UP")?;
    ensure!(
        send(inbound, "after-25")?.contains("mail1"),
        "port 25 goes back at once"
    );
    ensure!(
        send(submission, "after-587")?.contains("mail2"),
        "the stick entry keeps 587 on mail2"
    );
    let table = proxy.ask("show table submission_servers")?;
    ensure!(
        table.contains("# table: submission_servers, type: ip, size:10240, used:1"),
        "{table}"
    );
    ensure!(table.contains("server_id=2 server_key=mail2"), "{table}");

    // Every message once, none lost.
    mail1.wait_for_message("after-25")?;
    mail2.wait_for_message("after-587")?;
    ensure!(
        mail1.delivered().len() == 21,
        "mail1 has {}",
        mail1.delivered().len()
    );
    ensure!(
        mail2.delivered().len() == 21,
        "mail2 has {}",
        mail2.delivered().len()
    );
    Ok(())
}

#[test]
fn swaks_delivers() -> Result<()> {
    need("swaks", "swaks")?;
    let lab = Lab::new()?;
    let mail1 = Postfix::start(&lab, Host::Mail1)?;
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &configuration())?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    let server = Host::Lb.ip().to_string();
    let said = run(lab.command(Host::Client, "swaks").args([
        "--server",
        &server,
        "--from",
        "a@example.org",
        "--to",
        "inbox@example.com",
        "--header",
        "Subject: by swaks",
    ]))?;
    ensure!(said.contains("<-  250 2.0.0 Ok: queued"), "{said}");
    mail1.wait_for_message("by swaks")
}

/// What Postfix thinks of a minute of checks of every kind: nothing worth a warning.
#[test]
fn checks_leave_no_trace_but_connections() -> Result<()> {
    let lab = Lab::new()?;
    let mail1 = Postfix::start(&lab, Host::Mail1)?;
    let article = configuration().replace(":25 check", ":25 check inter 500ms");
    let more = "
listen smtpchk
    bind *:2525
    mode tcp
    timeout connect 5s
    timeout client 5m
    timeout server 10m
    option smtpchk EHLO proxy.example.com
    server mail1 192.168.1.10:587 check inter 500ms

listen behind-proxy-header
    bind *:2526
    mode tcp
    timeout connect 5s
    timeout client 5m
    timeout server 10m
    option tcp-check
    tcp-check connect port 10025
    tcp-check expect string \"220 \"
    server mail1 192.168.1.10:10025 check inter 500ms send-proxy
";
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &(article + more))?;
    testkit::pause(std::time::Duration::from_secs(60));
    for backend in ["mail_servers", "smtpchk", "behind-proxy-header"] {
        ensure!(proxy.status(backend, "mail1")? == "UP", "{backend}");
        ensure!(proxy.stat(backend, "mail1", "chkfail")? == "0", "{backend}");
    }
    // The test's own first look at the port is from another address.
    let log = mail1.log()?;
    let of_checks: Vec<_> = log
        .lines()
        .filter(|line| line.contains("[192.168.1.1]"))
        .collect();
    let ends = of_checks
        .iter()
        .filter(|line| line.contains(" disconnect from "))
        .count();
    ensure!(ends > 300, "{ends} checks in a minute");
    for line in of_checks {
        ensure!(
            line.contains(" connect from ") || line.contains(" quit=1 commands="),
            "{line}"
        );
    }
    Ok(())
}

/// What the article gets wrong is told with `-c`, and stays advice under `-dW`.
#[test]
fn advice_is_no_warning() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let file = directory.path().join("article.cfg");
    std::fs::write(&file, include_str!("../examples/article.cfg"))?;
    let output = Program::Posthouse
        .command()?
        .args(["-c", "-V", "-dW", "-f"])
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    for code in [
        "server-timeout",
        "client-timeout",
        "check-without-quit",
        "open-relay",
        "sticky-failback",
    ] {
        ensure!(said.contains(&format!("advice ({code})")), "{code}: {said}");
    }
    ensure!(!said.contains("[WARNING]"), "{said}");
    Ok(())
}
