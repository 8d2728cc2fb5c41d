//! Log lines: where they go, how they look, and that they never hold traffic up.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, told};

/// What both programs send to a syslog server for one session, with what differs between runs replaced.
fn by_udp(program: Program, format: &str) -> Result<String> {
    let syslog = UdpSocket::bind("127.0.0.1:0")?;
    syslog.set_read_timeout(Some(testkit::PATIENCE))?;
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let text = config(front, "", &format!("server s1 {}", server.address())).replace(
        "log stdout format raw local0",
        &format!(
            "log {} format {format} mail info\n    log-tag postoffice",
            syslog.local_addr()?
        ),
    );
    let proxy = Proxy::start(program, &text)?;
    deliver(front, "logged")?;
    let mut buffer = [0; 2048];
    loop {
        let (length, _) = syslog.recv_from(&mut buffer)?;
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if line.contains(" fe be/s1 ") {
            drop(proxy);
            // Digits are times, ports, pids; the shape is what has to agree.
            let shape: String = line
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            let mut folded = shape;
            while folded.contains("00") {
                folded = folded.replace("00", "0");
            }
            return Ok(folded);
        }
    }
}

#[test]
fn syslog_over_udp_is_framed_as_haproxy_frames_it() -> Result<()> {
    for format in [
        "local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw",
    ] {
        let (theirs, ours) = (
            by_udp(Program::Haproxy, format)?,
            by_udp(Program::Posthouse, format)?,
        );
        ensure!(theirs == ours, "{format}:\n{theirs}{ours}");
    }
    Ok(())
}

#[test]
fn syslog_over_a_unix_socket() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let path = directory.path().join("log");
    let syslog = UnixDatagram::bind(&path)?;
    syslog.set_read_timeout(Some(testkit::PATIENCE))?;
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let text = config(front, "", &format!("server s1 {}", server.address())).replace(
        "log stdout format raw local0",
        &format!("log {} local0", path.display()),
    );
    let _proxy = Proxy::start(Program::Posthouse, &text)?;
    deliver(front, "logged")?;
    let mut buffer = [0; 2048];
    let length = syslog.recv(&mut buffer)?;
    let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
    ensure!(
        line.starts_with("<134>") && line.contains(" fe be/s1 ") && line.contains(" -- "),
        "{line}"
    );
    Ok(())
}

/// Nobody reads the log socket and it is full: mail flows all the same, and what was dropped is counted.
#[test]
fn a_log_that_blocks_does_not_hold_mail_up() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let path = directory.path().join("log");
    let _deaf = UnixDatagram::bind(&path)?;
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let text = config(front, "", &format!("server s1 {}", server.address())).replace(
        "log stdout format raw local0",
        &format!("log {} local0", path.display()),
    );
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    let begun = std::time::Instant::now();
    for number in 0..300 {
        deliver(front, &format!("n{number}"))?;
    }
    ensure!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    ensure!(proxy.stat("fe", "FRONTEND", "stot")? == "300");
    Ok(())
}

#[test]
fn the_short_line_without_tcplog() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let server = Server::start(Manner::Mail)?;
        let front = free_port()?;
        let text = config(front, "", &format!("server s1 {}", server.address()))
            .replace("    option tcplog\n", "");
        let proxy = Proxy::start(program, &text)?;
        let (client, _) = Client::greeted(front)?;
        let expected = format!("Connect from {} to {front} (fe/TCP)", client.address()?);
        proxy.output.wait_for(&expected)?;
    }
    Ok(())
}

/// Who only looks in has no line, in both programs.
#[test]
fn sessions_without_a_word_can_be_left_out() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let server = Server::start(Manner::Mail)?;
        let front = free_port()?;
        let backend = format!("server s1 {}", server.address());
        let proxy = Proxy::start(program, &config(front, "option dontlognull", &backend))?;
        drop(Client::greeted(front)?);
        testkit::wait_until("it has gone", || {
            proxy
                .stat("fe", "FRONTEND", "scur")
                .is_ok_and(|now| now == "0")
        })?;
        deliver(front, "spoken")?;
        let line = proxy.output.wait_for(" fe be/s1 ")?;
        ensure!(told(&line).0 == "--", "{program:?}: {line}");
        let lines = proxy.output.lines();
        let count = lines.iter().filter(|line| line.contains(" fe be/")).count();
        ensure!(count == 1, "{program:?}: {lines:#?}");
    }
    Ok(())
}

/// `option logasap`: the line comes while the session goes on, and only then.
#[test]
fn sessions_can_be_told_when_they_begin() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let server = Server::start(Manner::Mail)?;
        let front = free_port()?;
        let backend = format!("server s1 {}", server.address());
        let proxy = Proxy::start(program, &config(front, "option logasap", &backend))?;
        let (mut client, _) = Client::greeted(front)?;
        let line = proxy.output.wait_for(" fe be/s1 ")?;
        let times = line.split(' ').find(|word| word.contains("/+"));
        ensure!(
            times.is_some() && told(&line).0 == "--",
            "{program:?}: {line}"
        );
        client.command("QUIT")?;
        drop(client);
        testkit::wait_until("it has gone", || {
            proxy
                .stat("fe", "FRONTEND", "scur")
                .is_ok_and(|now| now == "0")
        })?;
        testkit::pause(std::time::Duration::from_millis(50));
        let lines = proxy.output.lines();
        let count = lines.iter().filter(|line| line.contains(" fe be/")).count();
        ensure!(count == 1, "{program:?}: {lines:#?}");
    }
    Ok(())
}

#[test]
fn normal_sessions_can_be_left_out() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {}", server.address());
    let proxy = Proxy::start(
        Program::Posthouse,
        &config(front, "option dontlog-normal", &backend),
    )?;
    deliver(front, "quiet")?;
    Client::greeted(front)?.0.reset()?;
    let line = proxy.output.wait_for(" fe be/")?;
    ensure!(line.contains(" CD "), "only the reset is told: {line}");
    Ok(())
}
