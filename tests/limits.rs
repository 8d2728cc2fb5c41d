//! `maxconn` of servers and frontends, and the queue.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{self, Authority, Order};

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

/// A proxy with TLS at both ends of `listen` sections, and limits of the process for it. Clients with TLS come to `tls`,
/// those without to `plain`, and get a server within TLS.
struct Limited {
    proxy: Proxy,
    tls: SocketAddr,
    plain: SocketAddr,
    _server: Server,
    _authority: Authority,
}

impl Limited {
    fn start(program: Program, limit: &str) -> Result<Self> {
        let (authority, server) = (Authority::new()?, Server::start(Manner::Mail)?);
        let crt = authority.issue("mx.pem", &Order::default())?;
        let (tls, plain) = (free_port()?, free_port()?);
        let bind = format!("bind {tls} ssl crt {}", crt.display());
        let more =
            format!("\nlisten both\n    bind {plain}\n    server s1 {tls} ssl verify none\n");
        let backend = format!("server s1 {}", server.address());
        let text = config(free_port()?, &bind, &backend) + &more;
        let text = text.replace("maxconn 2000", &format!("maxconn 2000\n    {limit}"));
        Ok(Self {
            proxy: Proxy::start(program, &text)?,
            tls,
            plain,
            _server: server,
            _authority: authority,
        })
    }

    fn client(&self) -> Result<(tls::Client, String)> {
        let mut client = tls::Client::connect(self.tls, &[])?;
        let greeting = client.line().unwrap_or_default();
        Ok((client, greeting))
    }

    fn info(&self, name: &str) -> Result<String> {
        let info = self.proxy.ask("show info")?;
        let mut lines = info.lines();
        let line = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
        Ok(line.unwrap_or("missing").to_owned())
    }
}

/// HAProxy 2.6 lets the third client hang.
#[test]
fn one_tls_connection_too_many_is_closed() -> Result<()> {
    let scene = Limited::start(Program::Posthouse, "maxsslconn 2")?;
    let (mut first, greeting) = scene.client()?;
    ensure!(greeting.starts_with("220"), "{greeting}");
    let (_second, greeting) = scene.client()?;
    ensure!(greeting.starts_with("220"), "{greeting}");
    let (_third, greeting) = scene.client()?;
    ensure!(greeting.is_empty(), "{greeting}");
    scene.proxy.output.wait_for(": Too many SSL connections")?;
    ensure!(scene.info("MaxSslConns")? == "2");
    ensure!(scene.info("CurrSslConns")? == "2");
    // Towards a server it counts as well, and is not its fault.
    let mut other = Client::connect(scene.plain)?;
    ensure!(other.rest().unwrap_or_default().is_empty());
    let line = scene.proxy.output.wait_for(" both both/")?;
    ensure!(line.contains(" RC "), "{line}");
    // Whoever leaves makes room.
    first.command("QUIT")?;
    drop(first);
    testkit::wait_until("there is room", || {
        let came = scene.client();
        came.is_ok_and(|(_, greeting)| greeting.starts_with("220"))
    })
}

#[test]
fn tls_connections_beyond_a_rate_wait_as_in_haproxy() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let scene = Limited::start(program, "maxsslrate 1")?;
        ensure!(scene.info("SslRateLimit")? == "1");
        let begun = Instant::now();
        for _ in 0..3 {
            let (_client, greeting) = scene.client()?;
            ensure!(greeting.starts_with("220"), "{program:?}: {greeting}");
        }
        ensure!(
            begun.elapsed() >= Duration::from_secs(1),
            "{program:?}: {:?}",
            begun.elapsed()
        );
        scene.proxy.ask("set rate-limit ssl-sessions global 0")?;
        ensure!(scene.info("SslRateLimit")? == "0");
    }
    Ok(())
}
