//! The stats socket under abuse: its memory stays bounded, others are answered, sessions do not notice.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::PATIENCE;
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

/// What all abuse of a test together may cost, in KiB.
const BOUND: u64 = 24 * 1024;

struct Scene {
    _server: Server,
    proxy: Proxy,
    front: std::net::SocketAddr,
    before: u64,
}

/// With 300 servers, so that an answer to `show stat` is long.
fn scene(global: &str) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let lines = (0..300).map(|number| format!("server s{number} {}\n    ", server.address()));
    let text = config(front, "", &lines.collect::<String>());
    let global = format!("maxconn 2000\n    {global}");
    let proxy = Proxy::start(Program::Posthouse, &text.replace("maxconn 2000", &global))?;
    deliver(front, "first")?;
    let long = proxy.ask("show stat")?;
    ensure!(long.len() > 60_000, "{} is short", long.len());
    let before = proxy.most_memory()?;
    Ok(Scene {
        _server: server,
        proxy,
        front,
        before,
    })
}

impl Scene {
    fn connect(&self) -> Result<UnixStream> {
        let socket = UnixStream::connect(self.proxy.socket())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    }

    /// Sessions go through as ever, and memory is what it was, or a little more.
    fn is_unharmed(&self) -> Result<()> {
        let begun = Instant::now();
        for number in 0..5 {
            deliver(self.front, &format!("unharmed {number}"))?;
        }
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(2), "five sessions took {took:?}");
        let grown = self.proxy.most_memory()?.saturating_sub(self.before);
        ensure!(grown < BOUND, "memory has grown by {grown} KiB");
        Ok(())
    }
}

#[test]
fn ten_thousand_commands_on_a_connection() -> Result<()> {
    let scene = scene("")?;
    let mut socket = scene.connect()?;
    let mut reader = socket.try_clone()?;
    let counting = std::thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).map(|_| said)
    });
    let writing = std::thread::spawn(move || {
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.write_all(b"prompt\n")?;
        (0..10_000).try_for_each(|_| socket.write_all(b"show backend\n"))?;
        socket.write_all(b"quit\n")
    });
    // Others are served in between.
    ensure!(scene.proxy.ask("show version")?.starts_with("3.4"));
    scene.is_unharmed()?;
    let ended = |_| anyhow::anyhow!("a thread panicked");
    writing.join().map_err(ended)??;
    let said = counting.join().map_err(ended)??;
    let answers = said.matches("# name\nbe\n\n> ").count();
    ensure!(answers == 10_000, "{answers} answers");
    scene.is_unharmed()
}

/// Each asks for a hundred MB in a line and takes nothing of it.
#[test]
fn answers_nobody_reads() -> Result<()> {
    let scene = scene("stats timeout 2s")?;
    let mut deaf = Vec::new();
    for _ in 0..10 {
        let mut socket = scene.connect()?;
        socket.write_all(format!("{}\n", "show stat;".repeat(1600)).as_bytes())?;
        deaf.push(socket);
    }
    scene.is_unharmed()?;
    // They had all the places; when they have taken nothing for 2 s others get them.
    ensure!(scene.proxy.ask("show version")?.starts_with("3.4"));
    scene.is_unharmed()
}

/// Slow is not deaf: who takes some all the time gets it all, though it takes longer than the idle time.
#[test]
fn a_slow_reader_gets_everything() -> Result<()> {
    let scene = scene("stats timeout 1s")?;
    let mut socket = scene.connect()?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
    socket.write_all(format!("{}show version\n", "show stat;".repeat(30)).as_bytes())?;
    let mut piece = vec![0; 16 * 1024];
    let mut all = Vec::new();
    let begun = Instant::now();
    loop {
        let read = socket.read(&mut piece)?;
        if read == 0 {
            break;
        }
        all.extend_from_slice(&piece[..read]);
        testkit::pause(Duration::from_millis(20));
    }
    let said = String::from_utf8_lossy(&all);
    ensure!(begun.elapsed() > Duration::from_secs(1), "it was not slow");
    ensure!(
        said.ends_with("3.4.0-posthouse-0.1.0\n\n"),
        "{} bytes",
        said.len()
    );
    ensure!(said.matches("# pxname,").count() == 30);
    Ok(())
}

#[test]
fn lines_of_a_mebibyte() -> Result<()> {
    let scene = scene("")?;
    for _ in 0..20 {
        let mut socket = scene.connect()?;
        // It is refused before it has ended.
        let _ = socket.write_all(&vec![b'x'; 1 << 20]);
        let mut said = String::new();
        let _ = socket.read_to_string(&mut said);
        ensure!(said == "Request too long.\n\n", "{said:?}");
    }
    // A payload without an end is a line too long in many pieces.
    let mut socket = scene.connect()?;
    socket.write_all(b"show version <<EOF\n")?;
    let _ = socket.write_all("words of a payload\n".repeat(50_000).as_bytes());
    let mut said = String::new();
    let _ = socket.read_to_string(&mut said);
    ensure!(said == "Request too long.\n\n", "{said:?}");
    scene.is_unharmed()
}

/// A hundred who say half a line and no more: they are let go in their turn, and others get theirs.
#[test]
fn a_hundred_half_lines() -> Result<()> {
    let scene = scene("stats timeout 300ms")?;
    let mut half = Vec::new();
    for _ in 0..100 {
        let mut socket = scene.connect()?;
        socket.write_all(b"disable server be/s1; show st")?;
        half.push(socket);
    }
    scene.is_unharmed()?;
    ensure!(scene.proxy.ask("show version")?.starts_with("3.4"));
    // What had no end was not obeyed.
    ensure!(scene.proxy.status("be", "s1")? == "no check");
    scene.is_unharmed()
}
