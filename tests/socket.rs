//! The stats socket, with the tools people use on it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{need, run};

use crate::support::{config, free_port, told};

struct Desk {
    server: Server,
    proxy: Proxy,
    front: std::net::SocketAddr,
}

fn desk(level: &str) -> Result<Desk> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!(
        "stick-table type ip size 1k expire 1m\n    stick on src\n    server s1 {} check\n    server s2 {} backup",
        server.address(),
        server.address()
    );
    let text = config(front, "", &backend).replace("level admin", level);
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    Ok(Desk {
        server,
        proxy,
        front,
    })
}

/// Through socat, as in the article.
fn socat(desk: &Desk, commands: &str) -> Result<String> {
    need("socat", "socat")?;
    let socket = desk.proxy.socket();
    run(Command::new("sh").arg("-c").arg(format!(
        "echo '{commands}' | socat stdio {}",
        socket.display()
    )))
}

#[test]
fn socat_asks_for_the_servers_state() -> Result<()> {
    let desk = desk("level admin")?;
    desk.proxy.wait_for_status("be", "s1", "UP")?;
    let state = socat(&desk, "show servers state")?;
    let mut lines = state.lines();
    ensure!(lines.next() == Some("1"));
    ensure!(lines.next().is_some_and(|l| l.starts_with("# be_id be_name srv_id srv_name srv_addr srv_op_state")));
    let row: Vec<_> = lines.next().context("a row")?.split(' ').collect();
    ensure!(
        row.len() == 25 && row[..7] == ["3", "be", "1", "s1", "127.0.0.1", "2", "0"],
        "{row:?}"
    );
    ensure!(
        row[18] == desk.server.address().port().to_string(),
        "{row:?}"
    );
    Ok(())
}

#[test]
fn an_operators_evening() -> Result<()> {
    let desk = desk("level admin")?;
    deliver(desk.front, "x")?;
    ensure!(socat(&desk, "show version")?.starts_with("3.4"));
    ensure!(socat(&desk, "show backend")? == "# name\nbe\n\n");
    ensure!(socat(&desk, "show info")?.contains("\nPid: "));
    ensure!(socat(&desk, "disable server be/s1; show stat")?.contains("be,s1,"));
    ensure!(desk.proxy.status("be", "s1")? == "MAINT");
    ensure!(socat(&desk, "enable server be/s1")? == "\n");
    ensure!(socat(&desk, "set server be/s1 state drain")? == "\n");
    ensure!(desk.proxy.status("be", "s1")?.starts_with("DRAIN"));
    ensure!(socat(&desk, "set server be/s1 state ready")? == "\n");
    ensure!(socat(&desk, "set server be/s1 weight 50%")? == "\n");
    ensure!(socat(&desk, "set server be/s1 weight 1")? == "\n");
    ensure!(socat(&desk, "set server be/s1 health down")? == "\n");
    desk.proxy
        .output
        .wait_for("Server be/s1 is DOWN, changed from CLI.")?;
    ensure!(socat(&desk, "show table be")?.contains("key=127.0.0.1 "));
    ensure!(socat(&desk, "set table be key 192.0.2.1 data.server_id 2")? == "\n");
    ensure!(socat(&desk, "show table be key 192.0.2.1")?.contains("server_id=2"));
    ensure!(socat(&desk, "clear table be key 192.0.2.1")? == "\n");
    ensure!(socat(&desk, "show table be")?.contains("used:1"));
    ensure!(socat(&desk, "set server be/nope state ready")?.contains("No such server."));
    ensure!(socat(&desk, "show stat; bogus")?.contains("Unknown command: "));
    ensure!(socat(&desk, "help")?.contains("show servers state"));
    Ok(())
}

#[test]
fn sessions_are_shown_and_ended() -> Result<()> {
    let desk = desk("level admin")?;
    let (mut client, _) = Client::greeted(desk.front)?;
    let sessions = desk.proxy.ask("show sess")?;
    let row = sessions
        .lines()
        .find(|line| line.contains("fe=fe be=be srv=s1"))
        .context("a session")?;
    ensure!(
        row.starts_with("0x") && row.contains(&format!("src={}", client.address()?)),
        "{row}"
    );
    ensure!(desk.proxy.ask("shutdown sessions server be/s1")? == "\n");
    ensure!(client.rest()?.is_empty());
    let line = desk.proxy.output.wait_for(" fe be/s1 ")?;
    ensure!(told(&line).0.starts_with('K'), "{line}");
    Ok(())
}

#[test]
fn levels_deny() -> Result<()> {
    let desk = desk("level user")?;
    ensure!(
        desk.proxy
            .ask("disable server be/s1")?
            .contains("Permission denied")
    );
    ensure!(
        desk.proxy
            .ask("clear table be")?
            .contains("Permission denied")
    );
    ensure!(desk.proxy.ask("show stat")?.contains("be,s1,"));
    ensure!(
        desk.proxy
            .ask("show table be")?
            .contains("# contents not dumped due to insufficient privileges")
    );
    ensure!(!desk.proxy.ask("help")?.contains("disable server"));
    Ok(())
}

#[test]
fn the_file_has_its_mode() -> Result<()> {
    let desk = desk("level admin")?;
    let mode = std::fs::metadata(desk.proxy.socket())?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    Ok(())
}

#[test]
fn an_interactive_session() -> Result<()> {
    use std::io::{Read as _, Write as _};
    let desk = desk("level admin")?;
    let mut socket = std::os::unix::net::UnixStream::connect(desk.proxy.socket())?;
    socket.set_read_timeout(Some(testkit::PATIENCE))?;
    socket.write_all(b"prompt\nshow version\nshow backend\nquit\n")?;
    let mut said = String::new();
    socket.read_to_string(&mut said)?;
    ensure!(
        said.matches("> ").count() >= 3 && said.contains("# name\nbe\n"),
        "{said:?}"
    );
    Ok(())
}

/// `stats maxconn` is for those who talk, not for sockets that wait.
#[test]
fn two_sockets_share_one_place() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let text = config(free_port()?, "", &format!("server s1 {}", server.address())).replace(
        "maxconn 2000",
        "maxconn 2000\n    stats maxconn 1\n    stats socket @dir@/other mode 600",
    );
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    for _ in 0..3 {
        ensure!(proxy.ask("show version")?.starts_with("3.4"));
        let other = proxy.directory().join("other");
        let said = run(Command::new("sh").arg("-c").arg(format!(
            "echo 'show version' | socat -t 5 stdio {}",
            other.display()
        )))?;
        ensure!(said.starts_with("3.4"), "{said:?}");
    }
    Ok(())
}

/// A client that never reads its answer, and lines that never end, harm nobody else.
#[test]
fn rude_clients_harm_nobody() -> Result<()> {
    use std::io::Write as _;
    let desk = desk("level admin")?;
    let mut deaf = std::os::unix::net::UnixStream::connect(desk.proxy.socket())?;
    deaf.write_all(b"prompt\n")?;
    deaf.set_write_timeout(Some(std::time::Duration::from_millis(200)))?;
    for _ in 0..2000 {
        if deaf.write_all(b"show stat\n").is_err() {
            break;
        }
    }
    let mut endless = std::os::unix::net::UnixStream::connect(desk.proxy.socket())?;
    endless.set_write_timeout(Some(std::time::Duration::from_millis(500)))?;
    let _ = endless.write_all(&vec![b'x'; 1 << 20]);
    ensure!(desk.proxy.ask("show version")?.starts_with("3.4"));
    deliver(desk.front, "unharmed")?;
    Ok(())
}

/// It shows the servers, takes one out (F10) and brings it back (F9).
#[test]
fn hatop_shows_the_servers_and_acts_on_them() -> Result<()> {
    need("hatop", "hatop")?;
    need("script", "bsdutils")?;
    let desk = desk("level admin")?;
    desk.proxy.wait_for_status("be", "s1", "UP")?;
    // A pseudo-terminal by script(1); `q` ends hatop after it has drawn.
    let command = format!(
        "stty rows 40 cols 160; exec hatop -s {}",
        desk.proxy.socket().display()
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let screen = testkit::output::Output::default();
    screen.follow(Pieces(child.stdout.take().context("a screen")?));
    let mut keys = child.stdin.take().context("a keyboard")?;
    let acted = screen
        .wait_for("s1")
        .and_then(|_| press_until(&desk, &mut keys, &[DOWN, F10], "MAINT"))
        .and_then(|()| press_until(&desk, &mut keys, &[F9], "UP"));
    let _ = std::io::Write::write_all(&mut keys, b"q");
    testkit::wait_until("hatop ends", || matches!(child.try_wait(), Ok(Some(_))))
        .inspect_err(|_| drop(child.kill()))?;
    acted
}

/// What a terminal sends for these keys.
const DOWN: &str = "\x1bOB";
const F9: &str = "\x1b[20~";
const F10: &str = "\x1b[21~";

/// Presses these keys until the server is so: the cursor begins above it.
fn press_until(
    desk: &Desk,
    keyboard: &mut impl std::io::Write,
    keys: &[&str],
    status: &str,
) -> Result<()> {
    let is_so = || {
        let found = desk.proxy.status("be", "s1");
        found.is_ok_and(|found| found.starts_with(status))
    };
    for _ in 0..10 {
        for key in keys {
            keyboard.write_all(key.as_bytes())?;
            testkit::pause(std::time::Duration::from_millis(300));
        }
        // It draws once a second.
        for _ in 0..10 {
            if is_so() {
                return Ok(());
            }
            testkit::pause(std::time::Duration::from_millis(100));
        }
    }
    anyhow::bail!("s1 is not {status}")
}

/// A screen has no lines: every piece that is read becomes one.
struct Pieces<R>(R);

impl<R: std::io::Read> std::io::Read for Pieces<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len().saturating_sub(1);
        let read = self.0.read(&mut buffer[..room])?;
        if read == 0 {
            return Ok(0);
        }
        buffer[read] = b'\n';
        Ok(read + 1)
    }
}
