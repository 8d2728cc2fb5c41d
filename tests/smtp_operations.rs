//! `mode smtp` as its operators see it: failback and drains between messages, seats, a soft stop, what is told and counted,
//! and where long messages are kept.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::client::deliver;
use testkit::server::Manner;
use testkit::{pause, wait_until};

use crate::scrape::{Scrape, metrics};
use crate::smtp::{Pair, taken};
use crate::support::{free_port, told};

/// Failback happens between two messages, never inside one; a drain as well.
#[test]
fn sessions_go_to_a_better_server_between_messages() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "", "option smtpchk EHLO p", "check")?;
    pair.proxy.wait_for_status("be", "s1", "UP")?;
    pair.first.kill();
    pair.proxy.wait_for_status("be", "s1", "DOWN")?;
    let mut client = pair.client()?;
    ensure!(client.message("before")?.starts_with("250"));
    ensure!(
        client
            .command("MAIL FROM:<a@example.org>")?
            .starts_with("250")
    );
    pair.first.resume()?;
    pair.proxy.wait_for_status("be", "s1", "UP")?;
    pause(Duration::from_millis(200));
    ensure!(
        client
            .command("RCPT TO:<inbox@example.com>")?
            .starts_with("250")
    );
    ensure!(client.command("DATA")?.starts_with("354"));
    let reply = client.command("Subject: within\r\n\r\nHello.\r\n.")?;
    ensure!(reply.starts_with("250"), "{reply}");
    ensure!(taken(&pair.backup, "Subject: within") == 1);
    pause(Duration::from_millis(200));
    ensure!(client.message("after")?.starts_with("250"));
    ensure!(taken(&pair.first, "Subject: after") == 1, "it is back");
    // The other way round: drained.
    pair.proxy.ask("set server be/s1 state drain")?;
    pause(Duration::from_millis(200));
    ensure!(client.message("drained")?.starts_with("250"));
    ensure!(taken(&pair.backup, "Subject: drained") == 1);
    ensure!(pair.proxy.stat("be", "s1", "scur")? == "0");
    ensure!(pair.proxy.stat("be", "s2", "scur")? == "1");
    drop(client);
    wait_until("nothing is left", || {
        ["s1", "s2", "BACKEND"].iter().all(|row| {
            pair.proxy
                .stat("be", row, "scur")
                .is_ok_and(|count| count == "0")
        })
    })
}

/// Slots of a server with a `maxconn` are taken and given back exactly once, however often sessions move.
#[test]
fn seats_are_given_back_once() -> Result<()> {
    let dies = Manner::Dies {
        heard: 80,
        said: usize::MAX,
    };
    let pair = Pair::start(dies, "", "", "maxconn 3")?;
    let front = pair.front;
    let clients: Vec<_> = (0..20)
        .map(|number| std::thread::spawn(move || deliver(front, &format!("seat-{number}"))))
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    }
    for number in 0..20 {
        ensure!(
            pair.taken(&format!("Subject: seat-{number}")) == 1,
            "{number}"
        );
    }
    wait_until("all seats are free", || {
        ["s1", "s2", "BACKEND"].iter().all(|row| {
            let stat = |column| pair.proxy.stat("be", row, column).unwrap_or_default();
            stat("scur") == "0" && stat("qcur") == "0"
        })
    })?;
    ensure!(pair.proxy.stat("be", "s2", "smax")?.parse::<u32>()? <= 3);
    Ok(())
}

#[test]
fn operators_see_and_end_sessions() -> Result<()> {
    let pair = Pair::plain(Manner::Mail)?;
    let mut client = pair.client()?;
    ensure!(client.command("EHLO c")?.starts_with("250"));
    let sessions = pair.proxy.ask("show sess")?;
    ensure!(sessions.contains("srv=s1"), "{sessions}");
    pair.proxy.ask("shutdown sessions server be/s1")?;
    let words = String::from_utf8_lossy(&client.rest()?).into_owned();
    ensure!(words.starts_with("421 4.3.2 mx.example.net"), "{words}");
    let line = pair.logged(" fe be/s1 ")?;
    ensure!(told(&line).0.starts_with('K'), "{line}");
    Ok(())
}

/// A soft stop lets sessions go on, and carries them over still.
#[test]
fn a_soft_stop_waits_and_moves() -> Result<()> {
    let mut pair = Pair::plain(Manner::Mail)?;
    let mut client = pair.client()?;
    for command in [
        "EHLO c",
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<inbox@example.com>",
    ] {
        ensure!(client.command(command)?.starts_with("250"), "{command}");
    }
    pair.proxy.signal(rustix::process::Signal::USR1)?;
    pair.proxy.output.wait_for("Proxy fe stopped")?;
    pair.first.kill();
    ensure!(client.command("DATA")?.starts_with("354"));
    ensure!(
        client
            .command("Subject: last\r\n\r\nHello.\r\n.")?
            .starts_with("250")
    );
    ensure!(client.command("QUIT")?.starts_with("221"));
    pair.proxy.wait()?;
    ensure!(taken(&pair.backup, "Subject: last") == 1);
    Ok(())
}

/// What is told: the line of a message, and hashes in place of addresses.
#[test]
fn addresses_can_be_hidden() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "option smtp-hash-addresses", "", "")?;
    deliver(pair.front, "secret")?;
    let line = pair.logged(" mail id=")?;
    ensure!(
        !line.contains("example.org") && line.contains("delivered from=<"),
        "{line}"
    );
    Ok(())
}

/// A long message spills into the spool, and is replayed from there; one that outgrows all bounds goes unprotected.
#[test]
fn long_messages_are_kept_in_the_spool() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "", "timeout smtp-failover 5s", "")?;
    // Dies late in a message of 3 MB.
    pair.first.be(Manner::Dies {
        heard: 2_500_000,
        said: usize::MAX,
    });
    let mut client = pair.client()?;
    for command in [
        "EHLO c",
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<inbox@example.com>",
    ] {
        ensure!(client.command(command)?.starts_with("250"), "{command}");
    }
    ensure!(client.command("DATA")?.starts_with("354"));
    let mut body = String::from("Subject: long\r\n\r\n");
    for number in 0..40_000 {
        body += &format!("{number:06} {}\r\n", "x".repeat(68));
    }
    // The end comes after the death: what the kernel had of it would be in doubt.
    let (first, rest) = body.split_at(2_600_000);
    client.send(first)?;
    pair.first.heard.wait_for("<died>")?;
    client.send(rest)?;
    let reply = client.command(".")?;
    ensure!(reply.starts_with("250"), "{reply}");
    ensure!(taken(&pair.backup, "Subject: long") == 1);
    let lines = pair.backup.heard.lines();
    let kept = lines
        .iter()
        .filter_map(|line| line.split(": | ").nth(1))
        .collect::<Vec<_>>();
    ensure!(kept.join("\r\n") + "\r\n" == body, "the body is the same");
    let line = pair.logged(" delivered ")?;
    ensure!(line.contains("moves=s1:S6:"), "{line}");
    Ok(())
}

/// What is counted: replies, messages, moves and how long they took.
#[test]
fn mail_is_counted() -> Result<()> {
    let pages = free_port()?;
    let frontend = format!(
        "default_backend be

frontend pages
    mode http
    no log
    bind {pages}
    http-request use-service prometheus-exporter

frontend other"
    );
    let pair = Pair::start(Manner::Mail, &frontend, "", "")?;
    deliver(pair.front, "counted")?;
    let mut client = pair.client()?;
    ensure!(client.command("EHLO c")?.starts_with("250"));
    ensure!(
        client
            .command("MAIL FROM:<a@example.org>")?
            .starts_with("250")
    );
    pair.first.kill();
    ensure!(
        client
            .command("RCPT TO:<b@example.org>")?
            .starts_with("250")
    );
    ensure!(client.command("RSET")?.starts_with("250"));
    ensure!(client.command("QUIT")?.starts_with("221"));
    pair.logged(" abandoned ")?;
    let scrape = Scrape::parse(&metrics(pages, "")?);
    for (sample, value) in [
        (
            "transactions_total{proxy=\"be\",outcome=\"delivered\"}",
            1.0,
        ),
        (
            "transactions_total{proxy=\"be\",outcome=\"abandoned\"}",
            1.0,
        ),
        (
            "replies_total{proxy=\"be\",phase=\"mail\",class=\"2xx\"}",
            2.0,
        ),
        (
            "replies_total{proxy=\"be\",phase=\"data\",class=\"3xx\"}",
            1.0,
        ),
        ("moves_total{proxy=\"be\",state=\"S5\"}", 1.0),
        ("moves_for_total{proxy=\"be\",reason=\"closed\"}", 1.0),
        ("move_seconds_count{proxy=\"be\"}", 1.0),
        ("recipients_total{proxy=\"be\"}", 2.0),
        ("outcome_unknown_total{proxy=\"be\"}", 0.0),
        ("journal_memory_bytes", 0.0),
    ] {
        let found = scrape.value(&format!("posthouse_smtp_{sample}"))?;
        ensure!(found == value, "{sample}: {found}");
    }
    Ok(())
}
