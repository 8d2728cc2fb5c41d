//! `maxconn` of servers and frontends, and the queue.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

#[test]
fn a_full_server_serves_in_order_of_arrival() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {} maxconn 1", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let (mut first, _) = Client::greeted(front)?;
    let mut waiting = Vec::new();
    for ahead in 0..3 {
        waiting.push(Client::connect(front)?);
        let queued = (ahead + 1).to_string();
        testkit::wait_until("it waits", || {
            proxy
                .stat("be", "BACKEND", "qcur")
                .is_ok_and(|now| now == queued)
        })?;
    }
    first.command("QUIT")?;
    drop(first);
    let mut place = 0;
    while !waiting.is_empty() {
        // Its slot is free when it has closed, at the end of this round.
        let mut now = waiting.remove(0);
        let greeting = now.line()?;
        ensure!(greeting.starts_with("220"), "{greeting:?} at {place}");
        for other in &mut waiting {
            ensure!(
                other.hears_nothing_for(Duration::from_millis(50))?,
                "overtaken at {place}"
            );
        }
        now.command("QUIT")?;
        place += 1;
    }
    ensure!(proxy.stat("be", "s1", "smax")? == "1");
    Ok(())
}

#[test]
fn a_saturated_primary_does_not_spill_to_the_backup() -> Result<()> {
    let (primary, backup) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let front = free_port()?;
    let backend = format!(
        "server s1 {} maxconn 1\n    server s2 {} backup",
        primary.address(),
        backup.address()
    );
    let _proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let (mut first, _) = Client::greeted(front)?;
    let mut second = Client::connect(front)?;
    ensure!(second.hears_nothing_for(Duration::from_millis(300))?);
    ensure!(backup.connections() == 0);
    first.command("QUIT")?;
    drop(first);
    ensure!(second.line()?.starts_with("220"));
    Ok(())
}

#[test]
fn a_full_frontend_leaves_clients_in_the_backlog() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {}", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(front, "maxconn 2", &backend))?;
    let (mut first, _) = Client::greeted(front)?;
    let (_second, _) = Client::greeted(front)?;
    let mut third = Client::connect(front)?;
    ensure!(third.hears_nothing_for(Duration::from_millis(300))?);
    ensure!(proxy.stat("fe", "FRONTEND", "scur")? == "2");
    first.command("QUIT")?;
    drop(first);
    ensure!(third.line()?.starts_with("220"));
    Ok(())
}

/// Who waits for a server that goes away is served by another.
#[test]
fn a_queue_moves_on_when_its_server_goes() -> Result<()> {
    let (primary, backup) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let front = free_port()?;
    let backend = format!(
        "server s1 {} maxconn 1\n    server s2 {} backup",
        primary.address(),
        backup.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let (_first, _) = Client::greeted(front)?;
    let mut second = Client::connect(front)?;
    testkit::wait_until("it waits", || {
        proxy.stat("be", "s1", "qcur").is_ok_and(|now| now == "1")
            || proxy
                .stat("be", "BACKEND", "qcur")
                .is_ok_and(|now| now == "1")
    })?;
    proxy.ask("set server be/s1 state maint")?;
    let greeting = second.line()?;
    ensure!(
        greeting.contains(&backup.address().port().to_string()),
        "{greeting}"
    );
    Ok(())
}
