//! TLS that passes through: what a client begins with is sent to the next server where one does not answer it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order};

use crate::support::{config, free_port};

/// Servers of some manner first, and one that speaks TLS as a backup.
struct Scene {
    first: Server,
    proxy: Proxy,
    front: SocketAddr,
    _secure: Secure,
}

/// A mail server within TLS: HAProxy in front of one.
struct Secure {
    _mail: Server,
    _proxy: Proxy,
    _authority: Authority,
    address: SocketAddr,
}

impl Secure {
    fn start(options: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let file = authority.issue("mx.pem", &Order::default())?;
        let mail = Server::start(Manner::Mail)?;
        let (plain, address) = (free_port()?, free_port()?);
        let bind = format!("bind {address} ssl crt {} {options}", file.display());
        let backend = format!("server s1 {}", mail.address());
        let proxy = Proxy::start(Program::Haproxy, &config(plain, &bind, &backend))?;
        Ok(Self {
            _mail: mail,
            _proxy: proxy,
            _authority: authority,
            address,
        })
    }
}

impl Scene {
    fn start(manner: Manner, frontend: &str, backend: &str, options: &str) -> Result<Self> {
        let accept = if options.contains("send-proxy") {
            "accept-proxy"
        } else {
            ""
        };
        let (first, secure) = (Server::start(manner)?, Secure::start(accept)?);
        let front = free_port()?;
        let backend = format!(
            "{backend}\n    server s1 {} {options}\n    server s2 {} {options} backup",
            first.address(),
            secure.address
        );
        let proxy = Proxy::start(Program::Posthouse, &config(front, frontend, &backend))?;
        Ok(Self {
            first,
            proxy,
            front,
            _secure: secure,
        })
    }

    /// A session within TLS, which the backup must have.
    fn is_rescued(&self) -> Result<Duration> {
        let begun = Instant::now();
        let mut client = Client::connect(self.front, &["-servername", "mx.example.com"])?;
        let greeting = client.line()?;
        let took = begun.elapsed();
        ensure!(greeting.starts_with("220 "), "{greeting:?}");
        ensure!(client.command("NOOP")?.starts_with("250"));
        ensure!(client.command("QUIT")?.starts_with("221"));
        ensure!(self.first.connections() > 0, "the first was not even asked");
        self.proxy.output.wait_for(" fe be/s2 ")?;
        Ok(took)
    }
}

/// A hello without extensions, in pieces of that size.
fn hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    hello.extend([9; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    hello
}

#[test]
fn who_does_not_answer_a_hello_is_passed_over() -> Result<()> {
    for manner in [Manner::Closes, Manner::Resets, Manner::Hears(40)] {
        let scene = Scene::start(manner, "", "option tls-hello", "")?;
        scene.is_rescued()?;
    }
    let refused = Scene::start(Manner::Silent, "", "option tls-hello", "")?;
    refused.first.kill();
    let mut client = Client::connect(refused.front, &[])?;
    ensure!(client.line()?.starts_with("220 "));
    drop(client);
    let line = refused.proxy.output.wait_for("tried=s1:refused:")?;
    ensure!(line.contains(" be/s2 "), "{line}");
    Ok(())
}

#[test]
fn a_silent_server_gets_a_rival() -> Result<()> {
    for options in ["", "send-proxy-v2"] {
        let scene = Scene::start(Manner::Silent, "", "option tls-hello", options)?;
        let took = scene.is_rescued()?;
        ensure!(took >= Duration::from_millis(300), "{took:?}");
        scene.proxy.output.wait_for("tried=s1:silent:")?;
        ensure!(scene.proxy.stat("be", "s2", "ph_hedges_won")? == "1");
    }
    Ok(())
}

#[test]
fn ports_checks_and_rules_tell_that_clients_begin() -> Result<()> {
    let rules =
        "tcp-request inspect-delay 5s\n    tcp-request content accept if { req.ssl_hello_type 1 }";
    let checked = "option smtpchk\n    default-server check check-ssl verify none";
    for (frontend, backend) in [(rules, ""), ("", checked), ("", "option ssl-hello-chk")] {
        Scene::start(Manner::Closes, frontend, backend, "")?.is_rescued()?;
    }
    // HAProxy's way, with a server that is not left.
    let off = "no option tls-hello\n    no option failover";
    let scene = Scene::start(Manner::Closes, rules, off, "")?;
    ensure!(Client::connect(scene.front, &[])?.line()?.is_empty());
    scene.proxy.output.wait_for(" fe be/s1 ")?;
    Ok(())
}

#[test]
fn what_a_client_said_comes_once_and_whole_to_who_answers() -> Result<()> {
    // The first hears it and dies; who has it in the end hears the same, in one piece.
    let first = Server::start(Manner::Silent)?;
    let second = Server::start(Manner::Echo)?;
    let front = free_port()?;
    let backend = format!(
        "option tls-hello\n    timeout hedge 200ms\n    server s1 {} send-proxy\n    server s2 {} backup",
        first.address(),
        second.address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let mut client = TcpStream::connect(front)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.set_nodelay(true)?;
    for piece in hello().chunks(7) {
        client.write_all(piece)?;
        testkit::pause(Duration::from_millis(5));
    }
    let mut back = vec![0; hello().len()];
    client.read_exact(&mut back)?;
    ensure!(back == hello());
    client.write_all(b"and more")?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    ensure!(rest == b"and more", "{rest:?}");
    let line = proxy.output.wait_for(" fe be/s2 ")?;
    let length = hello().len() + 8;
    ensure!(line.contains(&format!(" {length} -- ")), "{line}");
    ensure!(proxy.stat("fe", "FRONTEND", "bin")? == length.to_string());
    Ok(())
}

#[test]
fn nobody_answers_and_the_client_hears_an_alert() -> Result<()> {
    let servers = [
        Server::start(Manner::Closes)?,
        Server::start(Manner::Resets)?,
    ];
    let front = free_port()?;
    let backend = format!(
        "option tls-hello\n    server s1 {}\n    server s2 {}",
        servers[0].address(),
        servers[1].address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let mut client = TcpStream::connect(front)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.write_all(&hello())?;
    let mut said = Vec::new();
    client.read_to_end(&mut said)?;
    ensure!(said == [21, 3, 3, 0, 2, 2, 80], "{said:?}");
    proxy.output.wait_for(" SC ")?;
    // An alert of a server is an answer.
    let alert = Server::start(Manner::Says(vec![21, 3, 3, 0, 2, 2, 40]))?;
    let front = free_port()?;
    let backend = format!(
        "option tls-hello\n    server s1 {}\n    server s2 {}",
        alert.address(),
        servers[1].address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    let mut client = TcpStream::connect(front)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.write_all(&hello())?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut said = Vec::new();
    client.read_to_end(&mut said)?;
    ensure!(said == [21, 3, 3, 0, 2, 2, 40], "{said:?}");
    proxy.output.wait_for(" be/s1 ")?;
    Ok(())
}

#[test]
fn who_says_something_else_or_early_data_has_one_server() -> Result<()> {
    // Early data could be done twice; what is no hello is relayed as it is.
    let mut early = hello();
    early.extend([0, 4, 0, 42, 0, 0]);
    (early[4], early[8]) = (early[4] + 6, early[8] + 6);
    for words in [early, b"EHLO me\r\n".to_vec()] {
        let first = Server::start(Manner::Closes)?;
        let second = Server::start(Manner::Echo)?;
        let front = free_port()?;
        let backend = format!(
            "option tls-hello\n    server s1 {}\n    server s2 {} backup",
            first.address(),
            second.address()
        );
        let _proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
        let mut client = TcpStream::connect(front)?;
        client.set_read_timeout(Some(Duration::from_secs(20)))?;
        client.write_all(&words)?;
        let mut said = Vec::new();
        let _ = client.read_to_end(&mut said);
        ensure!(second.connections() == 0, "it was said twice");
        ensure!(first.connections() == 1);
    }
    Ok(())
}
