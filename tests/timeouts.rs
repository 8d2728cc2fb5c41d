//! Every timeout, seen in the termination state of its session.

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, told};

/// Runs a session and returns its termination state.
fn state(
    frontend: &str,
    backend: &str,
    live: impl FnOnce(&mut Client) -> Result<()>,
) -> Result<String> {
    let front = free_port()?;
    let proxy = Proxy::start(Program::Posthouse, &config(front, frontend, backend))?;
    let mut client = Client::connect(front)?;
    live(&mut client)?;
    let line = proxy.output.wait_for(" fe be/")?;
    Ok(told(&line).0)
}

/// Reads until the proxy closes.
fn to_the_end(client: &mut Client) -> Result<()> {
    client.rest().map(drop)
}

#[test]
fn client() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!("server s1 {}", server.address());
    let state = state("timeout client 300ms", &backend, to_the_end)?;
    ensure!(state == "cD", "{state}");
    Ok(())
}

#[test]
fn server() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!("timeout server 300ms\n    server s1 {}", server.address());
    let state = state("", &backend, to_the_end)?;
    ensure!(state == "sD", "{state}");
    Ok(())
}

/// `timeout tunnel` replaces both: nothing ends at the shorter ones.
#[test]
fn tunnel() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!(
        "timeout server 200ms\n    timeout tunnel 1200ms\n    server s1 {}",
        server.address()
    );
    let begun = std::time::Instant::now();
    let state = state("timeout client 200ms", &backend, |client| {
        client.line()?;
        to_the_end(client)
    })?;
    ensure!(begun.elapsed().as_millis() >= 1200, "{:?}", begun.elapsed());
    ensure!(state == "cD", "{state}");
    Ok(())
}

#[test]
fn client_fin() -> Result<()> {
    let server = Server::start(Manner::Sends(5))?;
    let backend = format!("server s1 {}", server.address());
    let state = state("timeout client-fin 300ms", &backend, to_the_end_and_wait)?;
    ensure!(state == "cD", "{state}");
    Ok(())
}

/// Keeps the connection open after the server's end: the proxy has to give up.
fn to_the_end_and_wait(client: &mut Client) -> Result<()> {
    client.rest()?;
    testkit::pause(std::time::Duration::from_millis(900));
    Ok(())
}

#[test]
fn server_fin() -> Result<()> {
    let server = Server::start(Manner::Silent)?;
    let backend = format!(
        "timeout server-fin 300ms\n    server s1 {}",
        server.address()
    );
    let state = state("", &backend, |client| {
        client.finish()?;
        to_the_end(client)
    })?;
    ensure!(state == "sD", "{state}");
    Ok(())
}

/// Nobody answers at all: an address of a network that swallows everything.
#[test]
fn connect() -> Result<()> {
    let full = Full::new()?;
    let backend = format!("timeout connect 400ms\n    server s1 {}", full.address);
    let state = state("", &backend, to_the_end)?;
    ensure!(state == "sC", "{state}");
    Ok(())
}

/// `timeout client` runs while a server is connected, as in HAProxy.
#[test]
fn client_while_connecting() -> Result<()> {
    let full = Full::new()?;
    let backend = format!("timeout connect 5s\n    server s1 {}", full.address);
    let state = state("timeout client 400ms", &backend, to_the_end)?;
    ensure!(state == "cC", "{state}");
    Ok(())
}

#[test]
fn queue() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!(
        "timeout queue 300ms\n    server s1 {} maxconn 1",
        server.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let (_first, _) = Client::greeted(front)?;
    let mut second = Client::connect(front)?;
    ensure!(second.rest()?.is_empty());
    let line = proxy.output.wait_for(" fe be/")?;
    ensure!(told(&line).0 == "sQ", "{line}");
    Ok(())
}

/// A port whose backlog is full: connection attempts are neither accepted nor refused.
struct Full {
    address: std::net::SocketAddr,
    _listener: socket2::Socket,
    _fillers: Vec<socket2::Socket>,
}

impl Full {
    fn new() -> Result<Self> {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>()?.into())?;
        listener.listen(0)?;
        let bound = listener.local_addr()?;
        let address = bound
            .as_socket()
            .ok_or_else(|| anyhow::anyhow!("no address"))?;
        let mut fillers = Vec::new();
        for _ in 0..4 {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            filler.set_nonblocking(true)?;
            // In progress for good is what is wanted.
            let _ = filler.connect(&bound);
            fillers.push(filler);
        }
        testkit::pause(std::time::Duration::from_millis(100));
        Ok(Self {
            address,
            _listener: listener,
            _fillers: fillers,
        })
    }
}
