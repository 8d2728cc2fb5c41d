//! Starting and stopping: exit codes, signals, messages.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use testkit::client::Client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

fn posthouse(args: &[&str]) -> Result<Output> {
    Ok(Program::Posthouse.command()?.args(args).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn running() -> Result<(Server, Proxy, std::net::SocketAddr)> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {}", server.address());
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    Ok((server, proxy, front))
}

#[test]
fn a_soft_stop_lets_sessions_finish() -> Result<()> {
    let (_server, mut proxy, front) = running()?;
    let (mut client, _) = Client::greeted(front)?;
    proxy.signal(Signal::USR1)?;
    proxy
        .output
        .wait_for("Proxy fe stopped (cumulated conns: FE: 1, BE: 0).")?;
    testkit::wait_until("nobody listens", || {
        std::net::TcpStream::connect(front).is_err()
    })?;
    ensure!(client.message("last")?.starts_with("250"));
    ensure!(proxy.is_running());
    client.command("QUIT")?;
    drop(client);
    ensure!(proxy.wait()?.code() == Some(0));
    Ok(())
}

#[test]
fn sigterm_ends_it_by_that_signal() -> Result<()> {
    let (_server, mut proxy, front) = running()?;
    let (mut client, _) = Client::greeted(front)?;
    proxy.signal(Signal::TERM)?;
    ensure!(proxy.wait()?.signal() == Some(15));
    ensure!(client.rest().unwrap_or_default().is_empty());
    Ok(())
}

#[test]
fn sigint_ends_it_with_130() -> Result<()> {
    let (_server, mut proxy, _) = running()?;
    proxy.signal(Signal::INT)?;
    let status = proxy.wait()?;
    ensure!(
        status.signal() == Some(2) || status.code() == Some(130),
        "{status}"
    );
    Ok(())
}

#[test]
fn sighup_tells_the_states() -> Result<()> {
    let (_server, proxy, _) = running()?;
    proxy.signal(Signal::HUP)?;
    proxy
        .output
        .wait_for("SIGHUP: Server be/s1 is UP. Conn: 0 act, 0 pend, 0 tot.")?;
    Ok(())
}

#[test]
fn pausing_and_resuming() -> Result<()> {
    let (_server, proxy, front) = running()?;
    proxy.signal(Signal::TTOU)?;
    proxy.output.wait_for("Paused frontend fe.")?;
    let mut client = Client::connect(front)?;
    ensure!(client.hears_nothing_for(std::time::Duration::from_millis(200))?);
    proxy.signal(Signal::TTIN)?;
    proxy.output.wait_for("Resumed frontend fe.")?;
    ensure!(client.line()?.starts_with("220"));
    Ok(())
}

#[test]
fn a_taken_port_is_an_error_with_a_name() -> Result<()> {
    let (_server, proxy, front) = running()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let file = proxy.directory().join("second.cfg");
    let text_of = config(front, "", "server s1 127.0.0.1:1")
        .replace(&front.to_string(), &taken.local_addr()?.to_string())
        .replace("@dir@/socket", "@dir@/second")
        .replace("@dir@", &proxy.directory().to_string_lossy());
    std::fs::write(&file, text_of)?;
    let output = posthouse(&["-db", "-f", file.to_str().context("a path")?])?;
    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(
        said.contains("[ALERT]    (")
            && said.contains(
                "for frontend fe: protocol tcpv4: cannot bind socket (Address already in use)"
            ),
        "{said}"
    );
    Ok(())
}

#[test]
fn usage_and_versions() -> Result<()> {
    let nothing = posthouse(&[])?;
    ensure!(nothing.status.code() == Some(1) && text(&nothing.stderr).contains("-f"));
    ensure!(posthouse(&["-Q"])?.status.code() == Some(1));
    let version = posthouse(&["-v"])?;
    ensure!(version.status.code() == Some(0));
    ensure!(
        text(&version.stdout).starts_with("HAProxy version 3.4"),
        "{}",
        text(&version.stdout)
    );
    ensure!(text(&version.stdout).contains("Posthouse"));
    let details = text(&posthouse(&["-vv"])?.stdout);
    for line in ["Feature list : ", "Available services : ", "TARGET"] {
        ensure!(details.contains(line), "{line}: {details}");
    }
    Ok(())
}

#[test]
fn verdicts_of_c() -> Result<()> {
    let directory = tempfile::TempDir::new()?;
    let judge =
        |name: &str, content: &str, flags: &[&str]| -> Result<(Option<i32>, String, String)> {
            let file = directory.path().join(name);
            std::fs::write(&file, content)?;
            let mut words = flags.to_vec();
            words.extend(["-c", "-f", file.to_str().context("a path")?]);
            let output = posthouse(&words)?;
            Ok((
                output.status.code(),
                text(&output.stdout),
                text(&output.stderr),
            ))
        };
    let good = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nlisten l\n bind 127.0.0.1:2525\n server s 127.0.0.1:2526\n";
    ensure!(judge("good.cfg", good, &[])? == (Some(0), String::new(), String::new()));
    let (code, out, _) = judge("good.cfg", good, &["-V"])?;
    ensure!(
        code == Some(0) && out == "Configuration file is valid\n",
        "{out}"
    );
    let (code, _, err) = judge("bad.cfg", "listen l\n bimd 127.0.0.1:2525\n", &[])?;
    ensure!(code == Some(1), "{err}");
    ensure!(
        err.contains("bad.cfg:2]")
            && err.contains("unknown keyword 'bimd'")
            && err.contains("did you mean 'bind' maybe ?"),
        "{err}"
    );
    let idle = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nbackend b\n server s 127.0.0.1:2526\n";
    let (code, out, err) = judge("idle.cfg", idle, &[])?;
    ensure!(code == Some(2), "{err}");
    ensure!(
        out.contains(
            "Configuration file has no error but will not start (no listener) => exit(2)."
        ),
        "{out}"
    );
    let (code, out, err) = judge(
        "warn.cfg",
        "listen l\n bind 127.0.0.1:2525\n server s 127.0.0.1:2526\n",
        &[],
    )?;
    ensure!(
        code == Some(0) && out.contains("Warnings were found."),
        "{out}{err}"
    );
    ensure!(err.contains("missing timeouts"), "{err}");
    let (code, ..) = judge(
        "warn.cfg",
        "listen l\n bind 127.0.0.1:2525\n server s 127.0.0.1:2526\n",
        &["-dW"],
    )?;
    ensure!(code == Some(1));
    Ok(())
}

#[test]
fn conditions() -> Result<()> {
    for (condition, code) in [
        ("feature(POSTHOUSE)", 0),
        ("feature(NONSENSE)", 1),
        ("1 && (", 2),
    ] {
        ensure!(
            posthouse(&["-cc", condition])?.status.code() == Some(code),
            "{condition}"
        );
    }
    let theirs = Program::Haproxy
        .command()?
        .args(["-cc", "feature(POSTHOUSE)"])
        .output()?;
    ensure!(theirs.status.code() == Some(1), "it tells the two apart");
    Ok(())
}

/// In the background: the first process ends when the second serves, and the pid file names the second.
#[test]
fn a_daemon() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let directory = tempfile::TempDir::new()?;
    let place = |name: &str| directory.path().join(name);
    let text_of = config(front, "", &format!("server s1 {}", server.address()))
        .replace("@dir@", &directory.path().to_string_lossy());
    std::fs::write(place("haproxy.cfg"), text_of)?;
    let status = Program::Posthouse
        .command()?
        .arg("-D")
        .arg("-p")
        .arg(place("pid"))
        .arg("-f")
        .arg(place("haproxy.cfg"))
        .status()?;
    ensure!(status.code() == Some(0));
    testkit::client::deliver(front, "by a daemon")?;
    let pid = std::fs::read_to_string(place("pid"))?;
    let pid: u32 = pid.trim().parse()?;
    // It leaves softly; it is ours, by the number it wrote.
    testkit::run(Command::new("kill").args(["-USR1", &pid.to_string()]))?;
    testkit::wait_until("it has ended", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    })
}
