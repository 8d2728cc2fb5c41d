//! `posthouse_*`: what HAProxy cannot know, caused and counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::wait_until;

use crate::scrape::{Scrape, metrics};
use crate::support::{config, free_port};

/// Two servers that greet, the second a backup, and the metrics of both.
struct Pair {
    first: Server,
    backup: Server,
    front: SocketAddr,
    pages: SocketAddr,
    proxy: Proxy,
}

impl Pair {
    fn start(first: Manner, backup: Manner, backend: &str) -> Result<Self> {
        let (first, backup) = (Server::start(first)?, Server::start(backup)?);
        let (front, pages) = (free_port()?, free_port()?);
        let backend = format!(
            "option greeting\n    {backend}\n    server s1 {}\n    server s2 {} backup

frontend pages
    mode http
    no log
    bind {pages}
    http-request use-service prometheus-exporter",
            first.address(),
            backup.address()
        );
        let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
        Ok(Self {
            first,
            backup,
            front,
            pages,
            proxy,
        })
    }

    fn scrape(&self) -> Result<Scrape> {
        Ok(Scrape::parse(&metrics(self.pages, "")?))
    }
}

fn of_server(name: &str, server: &str) -> String {
    format!("posthouse_server_{name}{{proxy=\"be\",server=\"{server}\"}}")
}

fn of_backend(name: &str) -> String {
    format!("posthouse_backend_{name}{{proxy=\"be\"}}")
}

/// Each way to fail, its counter, and how long the session was without a server at least.
#[test]
fn failures_are_counted_and_how_long_they_took() -> Result<()> {
    let refuses = "421 4.3.2 leaving".to_owned();
    for (first, counter, at_least) in [
        (Manner::Closes, "attempts_refused_total", 0.05),
        (Manner::Greets(refuses), "attempts_unwelcome_total", 0.05),
        (Manner::Silent, "attempts_silent_total", 0.3),
    ] {
        let slow = Manner::GreetsAfter(Duration::from_millis(60));
        let pair = Pair::start(first, slow, "")?;
        let before = pair.scrape()?;
        ensure!(before.value(&of_backend("failover_seconds_count"))? == 0.0);
        deliver(pair.front, counter)?;
        let after = pair.scrape()?;
        for (sample, value) in [
            (of_server(counter, "s1"), 1.0),
            (of_server("sessions_rescued_total", "s2"), 1.0),
            (of_server("greeting_seconds_count", "s1"), 0.0),
            (of_server("greeting_seconds_count", "s2"), 1.0),
            (of_backend("failover_seconds_count"), 1.0),
            (of_backend("sessions_unavailable_total"), 0.0),
        ] {
            let found = after.value(&sample)?;
            ensure!(found == value, "{counter}: {sample} is {found}");
        }
        let took = after.value(&of_backend("failover_seconds_sum"))?;
        ensure!((at_least..5.0).contains(&took), "{counter}: {took} s");
        let greeting = after.value(&of_server("greeting_seconds_sum", "s2"))?;
        ensure!((0.05..5.0).contains(&greeting), "{counter}: {greeting} s");
        let bucket = |bound: &str| {
            let labels = format!("{{proxy=\"be\",server=\"s2\",le=\"{bound}\"}}");
            after.value(&format!("posthouse_server_greeting_seconds_bucket{labels}"))
        };
        ensure!(bucket("0.05")? == 0.0 && bucket("30")? == 1.0 && bucket("+Inf")? == 1.0);
        ensure!(after.kinds["posthouse_server_greeting_seconds"] == "histogram");
    }
    Ok(())
}

#[test]
fn hedges_are_counted_on_both_sides() -> Result<()> {
    let slow = Manner::GreetsAfter(Duration::from_millis(600));
    let pair = Pair::start(slow, Manner::Mail, "timeout hedge 100ms")?;
    deliver(pair.front, "won")?;
    let scrape = pair.scrape()?;
    ensure!(scrape.value(&of_server("hedges_won_total", "s2"))? == 1.0);
    ensure!(scrape.value(&of_server("hedges_lost_total", "s2"))? == 0.0);
    drop(pair);
    let slow = Manner::GreetsAfter(Duration::from_millis(400));
    let slower = Manner::GreetsAfter(Duration::from_secs(3));
    let pair = Pair::start(slow, slower, "timeout hedge 100ms")?;
    deliver(pair.front, "lost")?;
    let scrape = pair.scrape()?;
    ensure!(scrape.value(&of_server("hedges_lost_total", "s2"))? == 1.0);
    ensure!(scrape.value(&of_server("hedges_won_total", "s2"))? == 0.0);
    // The first answered after all: nothing failed.
    ensure!(scrape.value(&of_backend("failover_seconds_count"))? == 0.0);
    Ok(())
}

#[test]
fn who_waits_and_who_is_turned_away() -> Result<()> {
    let pair = Pair::start(Manner::Mail, Manner::Mail, "timeout hold 10s")?;
    pair.first.stop();
    pair.backup.stop();
    let mut held = Client::connect(pair.front)?;
    wait_until("the client is held", || {
        let scrape = pair.scrape();
        let holding = scrape.and_then(|scrape| scrape.value(&of_backend("sessions_holding")));
        holding.is_ok_and(|holding| holding == 1.0)
    })?;
    pair.backup.resume()?;
    ensure!(held.line()?.starts_with("220"));
    let scrape = pair.scrape()?;
    ensure!(scrape.value(&of_backend("sessions_held_total"))? == 1.0);
    ensure!(scrape.value(&of_backend("sessions_holding"))? == 0.0);
    // The time it was held is part of the failover.
    ensure!(scrape.value(&of_backend("failover_seconds_count"))? == 1.0);
    drop(pair);

    let pair = Pair::start(Manner::Closes, Manner::Closes, "")?;
    ensure!(Client::connect(pair.front)?.line()?.starts_with("421"));
    let scrape = pair.scrape()?;
    ensure!(scrape.value(&of_backend("sessions_unavailable_total"))? == 1.0);
    ensure!(scrape.value(&of_backend("failover_seconds_count"))? == 0.0);
    Ok(())
}

/// The filters hold for what is ours as well, and `clear counters all` clears it.
#[test]
fn filters_and_clearing_hold_for_them() -> Result<()> {
    let pair = Pair::start(Manner::Mail, Manner::Mail, "")?;
    deliver(pair.front, "counted")?;
    let names = |query: &str| -> Result<Vec<String>> {
        let scrape = Scrape::parse(&metrics(pair.pages, query)?);
        Ok(scrape.kinds.into_keys().collect())
    };
    let servers = names("?scope=server")?;
    ensure!(
        servers
            .iter()
            .any(|name| name == "posthouse_server_greeting_seconds")
    );
    ensure!(!servers.iter().any(|name| name.contains("_backend_")));
    let backends = names("?scope=backend")?;
    ensure!(
        backends
            .iter()
            .any(|name| name == "posthouse_backend_failover_seconds")
    );
    let only = "posthouse_server_greeting_seconds";
    ensure!(names(&format!("?metrics={only}"))? == [only]);
    ensure!(!names(&format!("?metrics=-{only}"))?.contains(&only.to_owned()));
    pair.proxy.ask("disable server be/s2")?;
    let quiet = metrics(pair.pages, "?no-maint")?;
    ensure!(quiet.contains("_count{proxy=\"be\",server=\"s1\"} 1"));
    ensure!(!quiet.contains("server=\"s2\""), "{quiet}");
    ensure!(quiet.contains("haproxy_backend_agg_server_status{proxy=\"be\",state=\"MAINT\"} 1"));
    pair.proxy.ask("clear counters all")?;
    let cleared = pair.scrape()?;
    ensure!(cleared.value(&of_server("greeting_seconds_count", "s1"))? == 0.0);
    Ok(())
}
