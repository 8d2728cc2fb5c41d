//! The greeting gate: a session has a server when the server has greeted, and nobody notices the others.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, told};

/// A first choice of some manner, and a backup that is well.
struct Pair {
    first: Server,
    backup: Server,
    proxy: Proxy,
    front: std::net::SocketAddr,
}

impl Pair {
    fn start(first: Manner, frontend: &str, backend: &str, options: &str) -> Result<Self> {
        let (first, backup) = (Server::start(first)?, Server::start(Manner::Mail)?);
        let front = free_port()?;
        let backend = format!(
            "{backend}\n    server s1 {} {options}\n    server s2 {} {options} backup",
            first.address(),
            backup.address()
        );
        let proxy = Proxy::start(Program::Posthouse, &config(front, frontend, &backend))?;
        Ok(Self {
            first,
            backup,
            proxy,
            front,
        })
    }

    /// Delivers a message; the backup must have got it. Returns how long the whole took.
    fn delivered_by_the_backup(&self) -> Result<Duration> {
        let begun = Instant::now();
        let greeting = deliver(self.front, "x")?;
        let name = format!("mail{} ", self.backup.address().port());
        ensure!(greeting.contains(&name), "{greeting}");
        ensure!(self.first.connections() > 0, "the first was not even tried");
        self.proxy.output.wait_for(" fe be/s2 ")?;
        Ok(begun.elapsed())
    }
}

#[test]
fn who_does_not_greet_is_passed_over_at_once() -> Result<()> {
    for manner in [
        Manner::Closes,
        Manner::Resets,
        Manner::Greets("421 4.3.2 leaving".into()),
        Manner::Greets("554-no\r\n554 not for you".into()),
        Manner::Says(b"SSH-2.0-x\r\n".to_vec()),
    ] {
        let pair = Pair::start(manner, "", "option greeting", "")?;
        let took = pair.delivered_by_the_backup()?;
        ensure!(took < Duration::from_secs(2), "{took:?}");
    }
    Ok(())
}

#[test]
fn who_is_silent_is_left_after_timeout_greeting() -> Result<()> {
    for options in ["", "send-proxy"] {
        let backend = "option greeting\n    timeout greeting 300ms";
        let pair = Pair::start(Manner::Silent, "", backend, options)?;
        if options.is_empty() {
            let took = pair.delivered_by_the_backup()?;
            ensure!(took >= Duration::from_millis(300), "{took:?}");
        } else {
            // The backup does not know PROXY headers: a greeting is all it has to give.
            ensure!(Client::greeted(pair.front)?.1.starts_with("220 "));
        }
    }
    Ok(())
}

/// `timeout client` is for clients that have something to say.
#[test]
fn a_client_that_waits_is_not_hurried() -> Result<()> {
    let backend = "option smtpchk\n    timeout greeting 800ms";
    let pair = Pair::start(Manner::Silent, "timeout client 200ms", backend, "")?;
    let (_, greeting) = Client::greeted(pair.front)?;
    ensure!(greeting.starts_with("220 "), "{greeting}");
    Ok(())
}

#[test]
fn a_teaser_is_a_greeting() -> Result<()> {
    let teaser = Manner::Says(b"220-wait a moment\r\n".to_vec());
    let pair = Pair::start(teaser, "", "option greeting", "")?;
    let mut client = Client::connect(pair.front)?;
    ensure!(client.line()?.starts_with("220-wait"));
    ensure!(pair.backup.connections() == 0);
    Ok(())
}

#[test]
fn the_last_word_goes_to_the_client_when_nobody_welcomes_it() -> Result<()> {
    let pair = Pair::start(
        Manner::Greets("421 first".into()),
        "",
        "option greeting",
        "",
    )?;
    pair.backup
        .be(Manner::Greets("554-no service\r\n554 here".into()));
    let mut client = Client::connect(pair.front)?;
    let words = client.rest()?;
    ensure!(words == b"554 no service\r\n", "{}", words.escape_ascii());
    let line = pair.proxy.output.wait_for(" fe be/s2 ")?;
    ensure!(told(&line).0 == "SC", "{line}");
    Ok(())
}

#[test]
fn without_a_server_the_client_hears_421() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "", "option smtpchk", "check")?;
    for (server, name) in [(&pair.first, "s1"), (&pair.backup, "s2")] {
        server.stop();
        pair.proxy.wait_for_status("be", name, "DOWN")?;
    }
    let mut client = Client::connect(pair.front)?;
    let words = String::from_utf8(client.rest()?)?;
    ensure!(
        words.starts_with("421 4.3.2 ") && words.ends_with(" Service temporarily unavailable\r\n"),
        "{words:?}"
    );
    Ok(())
}

/// One that is DOWN by its checks may be well again: when all are, they are tried once.
#[test]
fn when_all_are_down_they_are_tried() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "", "option greeting", "")?;
    for name in ["s1", "s2"] {
        pair.proxy
            .ask(&format!("set server be/{name} health down"))?;
        pair.proxy.wait_for_status("be", name, "DOWN")?;
    }
    deliver(pair.front, "against all odds")?;
    pair.proxy.ask("set server be/s1 state maint")?;
    pair.first.stop();
    deliver(pair.front, "to the one that is not in maintenance")?;
    pair.proxy.ask("set server be/s2 state maint")?;
    let words = Client::connect(pair.front)?.rest()?;
    ensure!(words.starts_with(b"421 4.3.2 "), "{}", words.escape_ascii());
    Ok(())
}

/// The only one there is gets the time a session gives a server.
#[test]
fn the_last_one_is_waited_for() -> Result<()> {
    let server = Server::start(Manner::Silent)?;
    let front = free_port()?;
    let backend = format!(
        "option greeting\n    timeout greeting 100ms\n    timeout server 700ms\n    server s1 {}",
        server.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let begun = Instant::now();
    let words = Client::connect(front)?.rest()?;
    ensure!(words.starts_with(b"421 4.3.2 "), "{}", words.escape_ascii());
    ensure!(begun.elapsed() >= Duration::from_millis(700));
    let line = proxy.output.wait_for(" fe be/s1 ")?;
    ensure!(told(&line).0 == "sC", "{line}");
    Ok(())
}

#[test]
fn the_gate_can_be_opened_for_good() -> Result<()> {
    let backend = "option smtpchk\n    no option greeting\n    timeout greeting 100ms";
    let pair = Pair::start(Manner::Silent, "", backend, "")?;
    let mut client = Client::connect(pair.front)?;
    ensure!(client.hears_nothing_for(Duration::from_millis(800))?);
    ensure!(pair.backup.connections() == 0);
    Ok(())
}
