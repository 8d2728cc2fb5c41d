//! Bytes, both ways, to the end, whoever speaks first.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, told};

fn proxy(server: &Server, check: &str) -> Result<(Proxy, std::net::SocketAddr)> {
    let front = free_port()?;
    let backend = format!("{check}\n    server s1 {}", server.address());
    Ok((
        Proxy::start(Program::Posthouse, &config(front, "", &backend))?,
        front,
    ))
}

#[test]
fn a_server_that_speaks_first() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (proxy, front) = proxy(&server, "option smtpchk")?;
    deliver(front, "first")?;
    let (state, place) = told(&proxy.output.wait_for(" fe be/")?);
    ensure!(state == "--" && place == "be/s1", "{state} {place}");
    server.heard.wait_for("Subject: first")?;
    Ok(())
}

#[test]
fn a_client_that_speaks_first() -> Result<()> {
    let server = Server::start(Manner::Echo)?;
    let (_proxy, front) = proxy(&server, "")?;
    let mut client = Client::connect(front)?;
    client.send("hello\n")?;
    ensure!(client.line()? == "hello");
    client.finish()?;
    ensure!(client.rest()?.is_empty());
    Ok(())
}

#[test]
fn a_client_that_is_done_still_hears_the_answer() -> Result<()> {
    let server = Server::start(Manner::Counts)?;
    let (_proxy, front) = proxy(&server, "")?;
    let mut client = Client::connect(front)?;
    client.send(vec![b'y'; 100_000])?;
    client.finish()?;
    ensure!(client.rest()? == b"100000");
    Ok(())
}

#[test]
fn a_server_that_is_done_still_hears_the_client() -> Result<()> {
    let server = Server::start(Manner::Sends(10))?;
    let (proxy, front) = proxy(&server, "")?;
    let mut client = Client::connect(front)?;
    ensure!(client.rest()?.len() == 10);
    client.send(vec![b'z'; 50_000])?;
    client.finish()?;
    // Bytes from the client arrived after the server's end: it ended well.
    let (state, _) = told(&proxy.output.wait_for(" fe be/")?);
    ensure!(state == "--", "{state}");
    ensure!(proxy.stat("fe", "FRONTEND", "bin")? == "50000");
    Ok(())
}

#[test]
fn pipelined_commands_then_eof() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (_proxy, front) = proxy(&server, "")?;
    let mut client = Client::connect(front)?;
    client.send("NOOP\r\nQUIT\r\n")?;
    client.finish()?;
    let heard = String::from_utf8(client.rest()?)?;
    ensure!(
        heard.contains("250 2.0.0 fine") && heard.contains("221 2.0.0 bye"),
        "{heard}"
    );
    Ok(())
}

/// A receiver that is slower than its sender: nothing is lost, nothing piles up.
#[test]
fn a_slow_reader_gets_every_byte() -> Result<()> {
    const SIZE: usize = 24 << 20;
    let server = Server::start(Manner::Sends(SIZE))?;
    let (_proxy, front) = proxy(&server, "")?;
    let mut stream = TcpStream::connect(front)?;
    stream.set_read_timeout(Some(testkit::PATIENCE))?;
    testkit::pause(Duration::from_millis(500));
    let mut got = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        ensure!(buffer[..read].iter().all(|byte| *byte == b'x'));
        got += read;
        if got < SIZE / 2 {
            testkit::pause(Duration::from_millis(2));
        }
    }
    ensure!(got == SIZE, "{got}");
    Ok(())
}

/// Both directions at once, in pieces of every size, past the point where splice takes over.
#[test]
fn bytes_arrive_as_they_were_sent() -> Result<()> {
    let server = Server::start(Manner::Echo)?;
    let (_proxy, front) = proxy(&server, "")?;
    let sent: Vec<u8> = (0u32..6_000_000)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut stream = TcpStream::connect(front)?;
    stream.set_read_timeout(Some(testkit::PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let copy = sent.clone();
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let mut rest = &copy[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (part, more) = rest.split_at(size.min(rest.len()));
            writer.write_all(part)?;
            rest = more;
            size = size * 7 % 190_027 + 1;
        }
        writer.shutdown(std::net::Shutdown::Write)
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    sender
        .join()
        .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    ensure!(
        got.len() == sent.len() && got == sent,
        "{} of {} bytes",
        got.len(),
        sent.len()
    );
    Ok(())
}

#[test]
fn resets_are_told_apart() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (proxy, front) = proxy(&server, "")?;
    let (client, _) = Client::greeted(front)?;
    client.reset()?;
    let line = proxy.output.wait_for(" fe be/")?;
    ensure!(told(&line).0 == "CD", "{line}");
    server.heard.wait_for("1: <")?;
    Ok(())
}

#[test]
fn many_sessions_at_once() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (proxy, front) = proxy(&server, "")?;
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(Client::greeted(front).context("greeting")?.0);
    }
    ensure!(proxy.stat("fe", "FRONTEND", "scur")? == "500");
    for (number, client) in clients.iter_mut().enumerate() {
        ensure!(client.message(&format!("m{number}"))?.starts_with("250"));
    }
    for client in &mut clients {
        ensure!(client.command("QUIT")?.starts_with("221"));
    }
    drop(clients);
    testkit::wait_until("all sessions have ended", || {
        proxy
            .stat("fe", "FRONTEND", "scur")
            .is_ok_and(|now| now == "0")
    })?;
    ensure!(proxy.stat("fe", "FRONTEND", "stot")? == "500");
    ensure!(proxy.stat("be", "s1", "smax")? == "500");
    Ok(())
}
