//! Who gets a session: balance, backups, drain, stick entries, and what happens when a server is gone.

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, told};

/// Three servers, named s1 to s3.
struct Farm {
    servers: Vec<Server>,
    proxy: Proxy,
    front: std::net::SocketAddr,
}

impl Farm {
    /// `lines` has `@1@` to `@3@` for the servers' addresses.
    fn start(program: Program, lines: &str) -> Result<Self> {
        let servers = (0..3)
            .map(|_| Server::start(Manner::Mail))
            .collect::<Result<Vec<_>>>()?;
        let mut backend = lines.to_owned();
        for (number, server) in servers.iter().enumerate() {
            backend = backend.replace(&format!("@{}@", number + 1), &server.address().to_string());
        }
        let front = free_port()?;
        let proxy = Proxy::start(program, &config(front, "", &backend))?;
        Ok(Self {
            servers,
            proxy,
            front,
        })
    }

    /// Delivers a message and tells which server got it.
    fn deliver(&self) -> Result<usize> {
        let greeting = deliver(self.front, "x")?;
        let of = |server: &Server| greeting.contains(&format!("mail{} ", server.address().port()));
        self.servers
            .iter()
            .position(of)
            .map(|place| place + 1)
            .ok_or_else(|| anyhow::anyhow!(greeting))
    }

    fn deliveries(&self, count: usize) -> Result<Vec<usize>> {
        (0..count).map(|_| self.deliver()).collect()
    }
}

#[test]
fn round_robin_goes_around_by_weight() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "server s1 @1@ weight 1\n    server s2 @2@ weight 2\n    server s3 @3@ weight 1",
        )?;
        let mut got = farm.deliveries(8)?;
        got.sort_unstable();
        ensure!(got == [1, 1, 2, 2, 2, 2, 3, 3], "{program:?}: {got:?}");
    }
    Ok(())
}

#[test]
fn the_first_backup_takes_everything() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "server s1 @1@ check\n    server s2 @2@ backup\n    server s3 @3@ backup",
        )?;
        farm.proxy.wait_for_status("be", "s1", "UP")?;
        ensure!(farm.deliveries(3)? == [1, 1, 1], "{program:?}");
        farm.servers[0].stop();
        farm.proxy.wait_for_status("be", "s1", "DOWN")?;
        ensure!(farm.deliveries(3)? == [2, 2, 2], "{program:?}");
        farm.servers[0].resume()?;
        farm.proxy.wait_for_status("be", "s1", "UP")?;
        ensure!(farm.deliveries(2)? == [1, 1], "{program:?}");
    }
    Ok(())
}

#[test]
fn allbackups_shares_among_them() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "option allbackups\n    server s1 @1@ disabled\n    server s2 @2@ backup\n    server s3 @3@ backup",
        )?;
        let mut got = farm.deliveries(4)?;
        got.sort_unstable();
        ensure!(got == [2, 2, 3, 3], "{program:?}: {got:?}");
    }
    Ok(())
}

#[test]
fn a_drained_server_gets_nothing_new_and_keeps_what_it_has() -> Result<()> {
    for (program, word) in [
        (Program::Haproxy, "set server be/s1 state drain"),
        (Program::Posthouse, "set server be/s1 state drain"),
        (Program::Posthouse, "set server be/s1 weight 0"),
    ] {
        let farm = Farm::start(program, "server s1 @1@\n    server s2 @2@ backup")?;
        let (mut old, _) = Client::greeted(farm.front)?;
        ensure!(farm.proxy.ask(word)?.trim().is_empty());
        ensure!(farm.deliver()? == 2, "{program:?} {word}");
        ensure!(old.message("still here")?.starts_with("250"));
    }
    Ok(())
}

/// The article's wish: a client that moved to the backup stays there while its entry lives, although the
/// primary is back.
#[test]
fn a_stick_entry_follows_to_the_backup_and_stays() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "stick-table type ip size 10k expire 30m\n    stick on src\n    server s1 @1@ check\n    server s2 @2@ check backup",
        )?;
        farm.proxy.wait_for_status("be", "s1", "UP")?;
        ensure!(farm.deliver()? == 1);
        let table = farm.proxy.ask("show table be")?;
        ensure!(
            table.contains("key=127.0.0.1 ") && table.contains("server_id=1"),
            "{program:?}: {table}"
        );
        farm.servers[0].stop();
        farm.proxy.wait_for_status("be", "s1", "DOWN")?;
        ensure!(farm.deliver()? == 2);
        farm.servers[0].resume()?;
        farm.proxy.wait_for_status("be", "s1", "UP")?;
        ensure!(farm.deliveries(2)? == [2, 2], "{program:?}");
        farm.proxy.ask("clear table be")?;
        ensure!(farm.deliver()? == 1, "{program:?}");
    }
    Ok(())
}

#[test]
fn a_stick_entry_expires() -> Result<()> {
    let farm = Farm::start(
        Program::Posthouse,
        "stick-table type ip size 10k expire 500ms\n    stick on src\n    server s1 @1@\n    server s2 @2@ backup",
    )?;
    farm.proxy.ask("disable server be/s1")?;
    ensure!(farm.deliver()? == 2);
    farm.proxy.ask("enable server be/s1")?;
    ensure!(farm.deliver()? == 2);
    testkit::pause(std::time::Duration::from_millis(700));
    ensure!(farm.deliver()? == 1);
    Ok(())
}

/// No session fails while one server lives, although no check has noticed anything yet.
#[test]
fn a_refused_session_moves_on_at_once() -> Result<()> {
    let farm = Farm::start(
        Program::Posthouse,
        "server s1 @1@\n    server s2 @2@\n    server s3 @3@ backup",
    )?;
    farm.servers[0].stop();
    farm.servers[1].stop();
    let begun = std::time::Instant::now();
    ensure!(farm.deliveries(4)? == [3, 3, 3, 3]);
    ensure!(begun.elapsed().as_millis() < 1000, "{:?}", begun.elapsed());
    let line = farm.proxy.output.wait_for("be/s3")?;
    ensure!(line.contains("/+2 "), "two moves: {line}");
    Ok(())
}

/// Where the configuration asks for HAProxy's way it gets it: the same server, a second apart.
#[test]
fn retries_as_written() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "retries 1\n    server s1 @1@\n    server s2 @2@ backup",
        )?;
        farm.servers[0].stop();
        let begun = std::time::Instant::now();
        ensure!(Client::connect(farm.front)?.rest()?.is_empty());
        let took = begun.elapsed().as_millis();
        ensure!((900..3000).contains(&took), "{program:?}: {took} ms");
        let line = farm.proxy.output.wait_for(" be/s1 ")?;
        ensure!(
            told(&line).0 == "SC" && line.contains("/1 0/0"),
            "{program:?}: {line}"
        );
    }
    Ok(())
}

#[test]
fn redispatch_as_written() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(
            program,
            "option redispatch\n    server s1 @1@\n    server s2 @2@",
        )?;
        farm.servers[0].stop();
        ensure!(farm.deliveries(3)? == [2, 2, 2], "{program:?}");
    }
    Ok(())
}

/// Without any server a client is let go at once, and the log says why.
#[test]
fn nobody_there() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let farm = Farm::start(program, "server s1 @1@ disabled")?;
        ensure!(Client::connect(farm.front)?.rest()?.is_empty());
        let line = farm.proxy.output.wait_for("be/<NOSRV>")?;
        ensure!(
            told(&line).0 == "SC" && line.contains(" -1/-1/"),
            "{program:?}: {line}"
        );
    }
    Ok(())
}

#[test]
fn sessions_end_when_their_server_is_marked_down() -> Result<()> {
    let farm = Farm::start(
        Program::Posthouse,
        "server s1 @1@ check on-marked-down shutdown-sessions\n    server s2 @2@ backup",
    )?;
    farm.proxy.wait_for_status("be", "s1", "UP")?;
    let (mut client, _) = Client::greeted(farm.front)?;
    farm.servers[0].stop();
    ensure!(client.rest()?.is_empty());
    let line = farm.proxy.output.wait_for(" fe be/s1 ")?;
    ensure!(told(&line).0.starts_with('D'), "{line}");
    Ok(())
}
