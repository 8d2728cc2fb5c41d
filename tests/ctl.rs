//! `posthouse ctl`: the stats socket from a shell, of Posthouse and of Debian's HAProxy.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::free_port;

/// Exit code, standard output and standard error.
type Said = (i32, String, String);

fn ctl(arguments: &[&str]) -> Result<Said> {
    fed(arguments, "")
}

fn fed(arguments: &[&str], input: &str) -> Result<Said> {
    let mut child = Command::new(Program::Posthouse.path()?)
        .arg("ctl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    // Who needs no input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let code = output.status.code().context("no exit code")?;
    Ok((code, text(output.stdout), text(output.stderr)))
}

struct Scene {
    _server: Server,
    proxy: Proxy,
    tcp: String,
}

fn scene(program: Program) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let (front, tcp) = (free_port()?, free_port()?);
    let text = format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    stats socket {tcp} level operator
    stats timeout 2m
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend fe
    bind {front}
    default_backend be
backend be
    stick-table type ip size 1k expire 1m store conn_cnt
    stick on src
    server 25 {} check inter 200ms
    server s2 127.0.0.1:1 backup
",
        server.address()
    );
    let proxy = Proxy::start(program, &text)?;
    proxy.wait_for_status("be", "25", "UP")?;
    deliver(front, "counted")?;
    Ok(Scene {
        _server: server,
        proxy,
        tcp: tcp.to_string(),
    })
}

#[test]
fn it_asks_both_programs_by_every_way() -> Result<()> {
    for program in [Program::Posthouse, Program::Haproxy] {
        let scene = scene(program)?;
        let socket = scene.proxy.socket().display().to_string();
        let file = scene.proxy.directory().join("haproxy.cfg");
        let file = file.display().to_string();
        let state = ctl(&["-s", &socket, "show servers state"])?;
        ensure!(state.0 == 0 && state.2.is_empty(), "{program:?}: {state:?}");
        ensure!(state.1.starts_with("1\n# be_id be_name ") && state.1.lines().count() == 4);
        for way in [["-s", &scene.tcp], ["-f", &file]] {
            let version = ctl(&[&way[..], &["show", "version"]].concat())?;
            let expected = scene.proxy.ask("show version")?;
            ensure!(
                version == (0, expected.trim_end().to_owned() + "\n", String::new()),
                "{version:?}"
            );
        }
        // What is done is done, and a refusal is told by the exit code.
        let admin = |command: &str| ctl(&["-s", &socket, command]);
        ensure!(admin("set server be/25 state drain")? == (0, String::new(), String::new()));
        scene.proxy.wait_for_status("be", "25", "DRAIN")?;
        let refused = admin("set server be/nope state drain")?;
        ensure!(
            refused == (1, "No such server.\n".into(), String::new()),
            "{refused:?}"
        );
        ensure!(admin("shwo stat")?.0 == 1);
        let denied = ctl(&["-s", &scene.tcp, "set server be/25 state ready"])?;
        ensure!(
            denied == (1, "Permission denied\n".into(), String::new()),
            "{denied:?}"
        );
        // Several, as arguments and by standard input.
        let several = ctl(&["-s", &socket, "get weight be/25", "show cli level"])?;
        ensure!(
            several == (0, "1 (initial 1)\nadmin\n".into(), String::new()),
            "{several:?}"
        );
        let input = "# comment\nget weight be/25\n\nget weight be/nope\nshow cli level";
        let several = fed(&["-s", &socket], input)?;
        ensure!(
            several.0 == 1 && several.1 == "1 (initial 1)\nNo such server.\nadmin\n",
            "{several:?}"
        );
    }
    Ok(())
}

#[test]
fn tables_become_json() -> Result<()> {
    for program in [Program::Posthouse, Program::Haproxy] {
        let scene = scene(program)?;
        let socket = scene.proxy.socket().display().to_string();
        let json = |command: &str| -> Result<Value> {
            let said = ctl(&["-s", &socket, "--json", command])?;
            ensure!(
                said.0 == 0 && said.1.lines().count() == 1,
                "{command}: {said:?}"
            );
            serde_json::from_str(&said.1).with_context(|| said.1.clone())
        };
        let stat = json("show stat")?;
        let row = stat
            .as_array()
            .and_then(|rows| rows.iter().find(|row| row["svname"] == "25"));
        let row = row.with_context(|| format!("{stat}"))?;
        ensure!(
            row["status"] == "UP" && row["stot"] == 1 && row["slim"].is_null(),
            "{row}"
        );
        let state = json("show servers state be")?;
        ensure!(
            state[0]["srv_name"] == "25" && state[0]["srv_op_state"] == 2,
            "{state}"
        );
        ensure!(
            state[1]["srv_name"] == "s2" && state[1]["srv_port"] == 1,
            "{state}"
        );
        let info = json("show info")?;
        ensure!(
            info["Name"] == "HAProxy" && info["CumConns"].is_u64(),
            "{info}"
        );
        let table = json("show table be")?;
        ensure!(table[0]["name"] == "be" && table[0]["used"] == 1, "{table}");
        ensure!(table[0]["entries"][0]["key"] == "127.0.0.1", "{table}");
        ensure!(json("show servers conn be")?[0]["bkname/svname"] == "be/25");
        ensure!(
            json("show cli sockets")?
                .as_array()
                .is_some_and(|rows| rows.len() == 2)
        );
        ensure!(json("show backend")?[0]["name"] == "be");
        ensure!(json("show sess")?.is_array() && json("show stat json")?.is_array());
        ensure!(json("set server be/25 weight 2")?.is_null());
        let refused = ctl(&["-s", &socket, "--json", "show table nope"])?;
        ensure!(
            refused.0 == 1 && refused.1 == "{\"error\":\"No such table\"}\n",
            "{refused:?}"
        );
        let two = ctl(&["-s", &socket, "--json", "show backend;get weight be/25"])?;
        ensure!(
            two.1 == "[{\"name\":\"be\"}]\n\"2 (initial 1)\"\n",
            "{two:?}"
        );
    }
    Ok(())
}

/// What an operator reads at 3 a.m. says what helps.
#[test]
fn a_socket_that_is_not_there_is_told() -> Result<()> {
    for (arguments, said) in [
        (
            &["-s", "/nonexistent/socket", "help"][..],
            "there is no such socket",
        ),
        (&["-s", "127.0.0.1:1", "help"], "nobody listens there"),
        (
            &["-s", "socket", "help"],
            "a path with a '/' or <host>:<port>",
        ),
        (
            &["-f", "/nonexistent.cfg", "help"],
            "name the socket with -s",
        ),
        (&["--bogus"], "Usage: posthouse ctl"),
        (&["-s"], "needs an argument"),
    ] {
        let told = ctl(arguments)?;
        ensure!(
            told.0 == 2 && told.1.is_empty() && told.2.contains(said),
            "{arguments:?}: {told:?}"
        );
    }
    let help = ctl(&["--help"])?;
    ensure!(help.0 == 0 && help.1.contains("--json"));
    Ok(())
}

/// A socket that answers nothing does not hold the shell for ever.
#[test]
fn silence_ends() -> Result<()> {
    let silent = Server::start(Manner::Silent)?;
    let begun = std::time::Instant::now();
    let told = ctl(&["-s", &silent.address().to_string(), "-t", "1", "show info"])?;
    ensure!(told.0 == 2 && told.2.contains("silent for 1s"), "{told:?}");
    ensure!(begun.elapsed().as_secs() < 10);
    Ok(())
}
