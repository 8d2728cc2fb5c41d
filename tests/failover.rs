//! From one server to the next: hedges, live evidence, hold, failback, and what is told of them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{pause, wait_until};

use crate::support::{config, free_port, told};

/// Two servers, the second a backup.
struct Pair {
    first: Server,
    backup: Server,
    proxy: Proxy,
    front: std::net::SocketAddr,
}

impl Pair {
    fn start(first: Manner, backend: &str, options: &str) -> Result<Self> {
        let (first, backup) = (Server::start(first)?, Server::start(Manner::Mail)?);
        let front = free_port()?;
        let backend = format!(
            "{backend}\n    server s1 {} {options}\n    server s2 {} {options} backup",
            first.address(),
            backup.address()
        );
        let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
        Ok(Self {
            first,
            backup,
            proxy,
            front,
        })
    }

    fn stat(&self, server: &str, column: &str) -> Result<u64> {
        Ok(self.proxy.stat("be", server, column)?.parse().unwrap_or(0))
    }

    /// What `show stat` must say: row, column, number.
    fn counts(&self, expected: &[(&str, &str, u64)]) -> Result<()> {
        for (server, column, number) in expected {
            let found = self.stat(server, column)?;
            ensure!(
                found == *number,
                "{column} of {server}: {found}, not {number}"
            );
        }
        Ok(())
    }

    fn took(&self, mark: &str) -> Result<Duration> {
        let begun = Instant::now();
        deliver(self.front, mark)?;
        Ok(begun.elapsed())
    }

    fn by_the_backup(&self, mark: &str) -> Result<bool> {
        let name = format!("mail{} ", self.backup.address().port());
        Ok(deliver(self.front, mark)?.contains(&name))
    }
}

#[test]
fn a_silent_server_gets_a_rival_and_rests() -> Result<()> {
    let pair = Pair::start(Manner::Silent, "option greeting", "")?;
    let took = pair.took("hedged")?;
    ensure!(took >= Duration::from_millis(300), "{took:?}");
    let line = pair.proxy.output.wait_for(" fe be/s2 ")?;
    ensure!(
        line.contains(" tried=s1:silent:") && line.contains(" lost="),
        "{line}"
    );
    ensure!(told(&line).0 == "--" && line.contains("/+1 "), "{line}");
    pair.counts(&[
        ("s1", "ph_silent", 1),
        ("s2", "ph_hedges_won", 1),
        ("s2", "ph_rescued", 1),
        ("BACKEND", "ph_silent", 1),
    ])?;
    // It rests: who comes then does not find out again.
    let asked = |mark: &str| -> Result<bool> {
        let before = pair.first.connections();
        deliver(pair.front, mark)?;
        Ok(pair.first.connections() > before)
    };
    wait_until("a session goes past it", || {
        asked("at once").is_ok_and(|asked| !asked)
    })?;
    // Then it is tried again, because nothing checks it.
    wait_until("it was tried again", || {
        asked("again").is_ok_and(|asked| asked)
    })
}

#[test]
fn who_is_slow_and_first_keeps_the_session_and_the_rival_hears_quit() -> Result<()> {
    let pair = Pair::start(
        Manner::GreetsAfter(Duration::from_millis(1_000)),
        "option greeting\n    timeout hedge 100ms",
        "",
    )?;
    pair.backup
        .be(Manner::GreetsAfter(Duration::from_millis(2_500)));
    let (mut client, greeting) = Client::greeted(pair.front)?;
    ensure!(
        greeting.contains(&format!("mail{} ", pair.first.address().port())),
        "{greeting}"
    );
    client.command("QUIT")?;
    pair.backup.heard.wait_for("1: QUIT")?;
    pair.backup.heard.wait_for("1: <end>")?;
    pair.counts(&[("s2", "ph_hedges_lost", 1), ("s1", "ph_silent", 0)])?;
    Ok(())
}

#[test]
fn hedging_can_be_switched_off() -> Result<()> {
    let backend = "option greeting\n    timeout hedge 0\n    timeout greeting 900ms";
    let pair = Pair::start(Manner::Silent, backend, "")?;
    let took = pair.took("late")?;
    ensure!(took >= Duration::from_millis(900), "{took:?}");
    pair.counts(&[("s2", "ph_hedges_won", 0), ("s2", "ph_rescued", 1)])?;
    Ok(())
}

/// A greet pause on both: after the first session the proxy knows the pace.
#[test]
fn a_slow_pool_is_not_doubled() -> Result<()> {
    let slow = |ms| Manner::GreetsAfter(Duration::from_millis(ms));
    let pair = Pair::start(slow(700), "option greeting", "")?;
    pair.backup.be(slow(2_500));
    for number in 0..4 {
        ensure!(!pair.by_the_backup(&format!("slow {number}"))?, "{number}");
    }
    // One more where the machine was slow as well.
    let hedges = pair.backup.connections();
    ensure!(
        hedges <= 2,
        "{hedges} of 4 sessions asked the backup as well"
    );
    pair.counts(&[("s1", "ph_reserve", 0)])
}

#[test]
fn a_silent_server_is_down_within_a_hedge_time_of_the_first_session_it_failed() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "option smtpchk", "check inter 60s")?;
    // A check that passes now would be a sign of life.
    pair.proxy.wait_for_first_check("be", "s1")?;
    pair.took("well")?;
    pair.first.be(Manner::Silent);
    pair.took("hedged")?;
    let line = pair.proxy.output.wait_for("Server be/s1 is DOWN")?;
    // Not by the check that was asked for: that is patient for 10 s.
    ensure!(
        line.contains("reason: Health analyze, info: \"No greeting for "),
        "{line}"
    );
    pair.counts(&[("s1", "ph_silent", 1), ("s1", "chkdown", 1)])
}

#[test]
fn a_dead_server_is_down_after_the_first_session_it_refused() -> Result<()> {
    let pair = Pair::start(
        Manner::Mail,
        "option smtpchk",
        "check inter 60s fastinter 60s",
    )?;
    pair.proxy.wait_for_first_check("be", "s1")?;
    pair.took("well")?;
    pair.first.stop();
    pair.took("moved")?;
    // Three checks have failed since, and by the clock there was none.
    pair.proxy.wait_for_status("be", "s1", "DOWN")?;
    pair.counts(&[("s1", "chkfail", 3)])
}

/// Half of the attempts fail, of sessions and of checks: every session is served, and the state does not flap.
#[test]
fn a_server_that_fails_every_second_attempt_does_not_flap() -> Result<()> {
    for manner in [Manner::Closes, Manner::Resets, Manner::Silent] {
        let manner = Manner::EverySecond(Box::new(manner));
        let backend = "option smtpchk\n    timeout hedge 100ms\n    timeout check 200ms";
        let pair = Pair::start(manner, backend, "check inter 200ms")?;
        for number in 0..60 {
            // Less than `timeout greeting`.
            let took = pair.took(&format!("half {number}"))?;
            ensure!(took < Duration::from_secs(5), "{took:?}");
            pause(Duration::from_millis(30));
        }
        let downs = pair.stat("s1", "chkdown")?;
        ensure!(downs <= 1, "DOWN {downs} times");
    }
    Ok(())
}

#[test]
fn the_reply_of_an_unavailable_service_is_the_operators() -> Result<()> {
    let backend = "option greeting\n    unavailable-reply 451 4.3.0 %H is closed, ask for %ID";
    let pair = Pair::start(Manner::Closes, backend, "")?;
    pair.backup.be(Manner::Closes);
    let words = String::from_utf8(Client::connect(pair.front)?.rest()?)?;
    ensure!(
        words.starts_with("451 4.3.0 ") && words.contains(" is closed, ask for 0x"),
        "{words:?}"
    );
    let id = words
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned();
    let line = pair.proxy.output.wait_for(&format!(" id={id}"))?;
    ensure!(
        line.contains(" tried=s1:refused:") && line.contains(",s2:refused:"),
        "{line}"
    );
    pair.counts(&[("BACKEND", "ph_unavailable", 1)])
}

#[test]
fn the_budget_of_attempts_holds() -> Result<()> {
    let pair = Pair::start(
        Manner::Closes,
        "option greeting\n    option failover attempts 1",
        "",
    )?;
    let words = Client::connect(pair.front)?.rest()?;
    ensure!(words.starts_with(b"421 "), "{}", words.escape_ascii());
    ensure!(pair.backup.connections() == 0);
    Ok(())
}

/// All are gone; twenty clients wait, one of them leaves; then a server is back.
#[test]
fn held_clients_are_served_in_their_order_when_a_server_returns() -> Result<()> {
    let pair = Pair::start(
        Manner::Mail,
        "option smtpchk\n    timeout hold 60s\n    maxhold 20",
        "check",
    )?;
    for (server, name) in [(&pair.first, "s1"), (&pair.backup, "s2")] {
        server.stop();
        pair.proxy.wait_for_status("be", name, "DOWN")?;
    }
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(Client::connect(pair.front)?);
        wait_until("it is held", || {
            pair.stat("BACKEND", "ph_holding")
                .is_ok_and(|held| held == number + 1)
        })?;
    }
    let told = Client::connect(pair.front)?.rest()?;
    ensure!(
        told.starts_with(b"421 4.3.2 "),
        "one too many: {}",
        told.escape_ascii()
    );
    drop(clients.remove(7));
    wait_until("who has left is forgotten", || {
        pair.stat("BACKEND", "ph_holding")
            .is_ok_and(|held| held == 19)
    })?;
    let before = pair.first.connections();
    pair.first.resume()?;
    for client in &mut clients {
        ensure!(client.line()?.starts_with("220 "));
    }
    for client in &mut clients {
        client.message("held")?;
        client.command("QUIT")?;
    }
    pair.counts(&[("BACKEND", "ph_held", 20)])?;
    ensure!(pair.first.connections() > before);
    deliver(pair.front, "afterwards")?;
    Ok(())
}

#[test]
fn who_is_held_in_vain_is_told() -> Result<()> {
    let pair = Pair::start(
        Manner::Closes,
        "option greeting\n    timeout hold 600ms",
        "",
    )?;
    pair.backup.be(Manner::Closes);
    let begun = Instant::now();
    let words = Client::connect(pair.front)?.rest()?;
    ensure!(words.starts_with(b"421 4.3.2 "), "{}", words.escape_ascii());
    ensure!(
        begun.elapsed() >= Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    // It was tried again meanwhile, at the pace of the ramp.
    ensure!(
        (2..40).contains(&pair.first.connections()),
        "{}",
        pair.first.connections()
    );
    Ok(())
}

fn fall_and_rise(pair: &Pair) -> Result<()> {
    pair.proxy.wait_for_status("be", "s1", "UP")?;
    pair.first.stop();
    pair.proxy.wait_for_status("be", "s1", "DOWN")?;
    pair.first.resume()?;
    pair.proxy.wait_for_status("be", "s1", "UP")
}

#[test]
fn failback_after_a_while() -> Result<()> {
    let pair = Pair::start(
        Manner::Mail,
        "option smtpchk\n    option failback after 4s",
        "check",
    )?;
    ensure!(!pair.by_the_backup("before")?);
    fall_and_rise(&pair)?;
    ensure!(pair.by_the_backup("not yet")?);
    pair.proxy
        .output
        .wait_for("Server be/s1 is kept in reserve (option failback); it serves in 4s.")?;
    wait_until("it serves again", || {
        pair.by_the_backup("now?").is_ok_and(|backup| !backup)
    })
}

#[test]
fn failback_by_hand_and_in_need() -> Result<()> {
    let pair = Pair::start(
        Manner::Mail,
        "option smtpchk\n    option failback manual",
        "check",
    )?;
    fall_and_rise(&pair)?;
    pair.proxy
        .output
        .wait_for("'set server be/s1 state ready' lets it serve")?;
    // A session in flight is never touched by what comes.
    let (mut client, _) = Client::greeted(pair.front)?;
    pause(Duration::from_millis(500));
    ensure!(pair.by_the_backup("it waits")?);
    pair.proxy.ask("set server be/s1 state ready")?;
    ensure!(!pair.by_the_backup("it serves")?);
    fall_and_rise(&pair)?;
    ensure!(pair.by_the_backup("it waits again")?);
    client.message("still there")?;
    pair.backup.stop();
    ensure!(!pair.by_the_backup("need knows no order")?);
    Ok(())
}

/// 6 s of greet pause pass a check that has no time of its own.
#[test]
fn a_check_waits_for_a_greet_pause() -> Result<()> {
    let slow = Manner::GreetsAfter(Duration::from_secs(6));
    let pair = Pair::start(slow, "option smtpchk", "check inter 1s fall 1")?;
    pair.first.heard.wait_for("1: QUIT")?;
    pair.proxy.wait_for_status("be", "s1", "UP")?;
    pair.counts(&[("s1", "chkfail", 0)])
}

/// A server that expects a PROXY header gets it from a check with a `tcp-check connect` of its own, too.
#[test]
fn an_explicit_check_connect_sends_the_proxy_header() -> Result<()> {
    let backend = "option tcp-check\n    tcp-check connect\n    tcp-check expect string 220";
    let pair = Pair::start(Manner::Mail, backend, "check send-proxy")?;
    pair.first.heard.wait_for("1: PROXY TCP4 ")?;
    Ok(())
}
