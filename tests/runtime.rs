//! The runtime API: the same commands to Debian's HAProxy and to Posthouse, and what they do to sessions.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::wait_until;

use crate::support::{config, free_port};

/// Commands whose answers are compared, in this order.
const COMMANDS: &[&str] = &[
    "set server be/s1 addr 127.0.0.9",
    "set server be/s1 addr 127.0.0.9",
    "set server be/s1 addr 127.0.0.9 port 26",
    "set server be/s1 addr x",
    "set server be/s1 check-port 99",
    "set server be/s1 check-addr 127.0.0.3",
    "set server be/s1 check-addr 127.0.0.3 port 44",
    "set server be/s1 fqdn mail.example.com",
    "set server be/s1 agent up",
    "set server be/s1",
    "set server be/nope state ready",
    "set server nope/s1 state ready",
    "set server be state ready",
    "set server be/s1 state asleep",
    "set server be/s1 weight 300",
    "set server be/s1 weight 50%",
    "get weight be/s1",
    "set maxconn server be/s1 7",
    "set maxconn server be/s1",
    "set maxconn frontend fe 12",
    "set maxconn frontend nope 12",
    "set maxconn global 100",
    "set maxconn global 0",
    "set maxconn global 1000000000",
    "set rate-limit connections global 500",
    "set rate-limit sessions global",
    "disable frontend fe",
    "disable frontend fe",
    "enable frontend fe",
    "enable frontend fe",
    "enable frontend nope",
    "disable frontend",
    "show servers conn nope",
    "show servers state nope",
    "show env POSTHOUSE_TEST_NO_SUCH",
    "show peers",
    "show startup-logs",
    "show cli level",
    "set severity-output",
    "set severity-output number;set server be/nope state ready;get weight be/s2;disable frontend",
    "set severity-output string;user;disable frontend fe;show backend",
    "show backend",
    "show table nope",
    "show stat nope 1 -1",
    "clear counters",
    "clear counters all",
    "enable agent be/s1",
    "disable agent be/s1",
    "disable health be/s1",
    "enable health be/s1",
    "disable server be/s1",
    "enable server be/s1",
    "shutdown sessions server be/s1",
    "shutdown frontend fe",
];

fn answers(program: Program) -> Result<Vec<String>> {
    let text = "global
    stats socket @dir@/socket mode 600 level admin
    maxconn 100
    nbthread 2
defaults
    mode tcp
    timeout client 1m
    timeout server 1m
    timeout connect 5s
frontend fe
    bind 127.0.0.1:@port@
    default_backend be
backend be
    balance roundrobin
    server s1 127.0.0.1:1 check inter 1h
    server s2 127.0.0.1:2 backup
";
    let port = free_port()?.port().to_string();
    let proxy = Proxy::start(program, &text.replace("@port@", &port))?;
    // So that both know the same of it.
    proxy.wait_for_status("be", "s1", "DOWN")?;
    let ask = |command: &&str| Ok(format!("{command}\n{}", proxy.ask(command)?));
    COMMANDS.iter().map(ask).collect()
}

#[test]
fn the_same_answers() -> Result<()> {
    let (theirs, ours) = (answers(Program::Haproxy)?, answers(Program::Posthouse)?);
    let differences: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|(theirs, ours)| format!("{theirs}--\n{ours}"))
        .collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// `typed`: the same names, tags and types in the columns that both versions have.
#[test]
fn typed_outputs_have_the_same_tags() -> Result<()> {
    let typed = |program: Program| -> Result<(Vec<String>, Vec<String>)> {
        let front = free_port()?;
        let backend = "server s1 127.0.0.1:1 check inter 100ms";
        let proxy = Proxy::start(program, &config(front, "", backend))?;
        proxy.wait_for_status("be", "s1", "DOWN")?;
        let stat = proxy.ask("show stat typed")?;
        let head = |line: &str| -> Option<String> {
            let fields: Vec<_> = line.split(':').take(3).collect();
            let column: usize = line.split('.').nth(3)?.parse().ok()?;
            (column < 103).then(|| fields.join(":"))
        };
        let info = proxy.ask("show info typed")?;
        // Places differ after the first that only one version has.
        let name = |line: &str| -> Option<String> {
            let fields: Vec<_> = line.splitn(4, ':').take(3).collect();
            Some(fields.join(":").split_once('.')?.1.to_owned())
        };
        Ok((
            stat.lines().filter_map(head).collect(),
            info.lines().filter_map(name).collect(),
        ))
    };
    let (theirs, ours) = (typed(Program::Haproxy)?, typed(Program::Posthouse)?);
    ensure!(theirs.0.len() > 90, "{}", theirs.0.len());
    for (theirs, ours) in theirs.0.iter().zip(&ours.0) {
        ensure!(theirs == ours, "show stat: {theirs} {ours}");
    }
    for line in &theirs.1 {
        // Misspelt in 2.6.
        let known = line.starts_with("TotalSplicdedBytesOut") || ours.1.contains(line);
        ensure!(known, "show info: {line}");
    }
    Ok(())
}

struct Scene {
    servers: [Server; 2],
    proxy: Proxy,
    front: std::net::SocketAddr,
}

fn scene(options: &str) -> Result<Scene> {
    let servers = [Server::start(Manner::Mail)?, Server::start(Manner::Mail)?];
    let front = free_port()?;
    let backend = format!("server s1 {} {options}", servers[0].address());
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    Ok(Scene {
        servers,
        proxy,
        front,
    })
}

#[test]
fn a_server_moves_with_its_check() -> Result<()> {
    let scene = scene("check")?;
    let port = scene.servers[1].address().port();
    let said = scene
        .proxy
        .ask(&format!("set server be/s1 addr 127.0.0.1 port {port}"))?;
    ensure!(said.contains(&format!("to '{port}'")), "{said}");
    ensure!(deliver(scene.front, "moved")?.contains(&format!("mail{port} ")));
    let (checks, old) = (
        scene.servers[1].connections(),
        scene.servers[0].connections(),
    );
    wait_until("checks have moved", || {
        scene.servers[1].connections() > checks + 2
    })?;
    // One may have been on its way.
    ensure!(scene.servers[0].connections() <= old + 1);
    let state = scene.proxy.ask("show servers state be")?;
    ensure!(state.contains(&format!(" {port} - 0 ")), "{state}");
    scene
        .proxy
        .output
        .wait_for("be/s1 changed: no need to change the addr, port changed")?;
    Ok(())
}

#[test]
fn a_limit_set_at_run_time_holds_for_sessions_of_before() -> Result<()> {
    let scene = scene("")?;
    let (mut first, _) = Client::greeted(scene.front)?;
    scene.proxy.ask("set maxconn server be/s1 1")?;
    let mut second = Client::connect(scene.front)?;
    ensure!(second.hears_nothing_for(Duration::from_millis(300))?);
    ensure!(scene.proxy.stat("be", "BACKEND", "qcur")? == "1");
    ensure!(scene.proxy.stat("be", "s1", "slim")? == "1");
    first.command("QUIT")?;
    drop(first);
    ensure!(second.line()?.starts_with("220 "));
    let mut third = Client::connect(scene.front)?;
    ensure!(third.hears_nothing_for(Duration::from_millis(200))?);
    scene.proxy.ask("set maxconn server be/s1 0")?;
    ensure!(third.line()?.starts_with("220 "));
    Ok(())
}

#[test]
fn a_frontend_is_disabled_enabled_and_shut_down() -> Result<()> {
    let scene = scene("")?;
    let (mut before, _) = Client::greeted(scene.front)?;
    scene.proxy.ask("disable frontend fe")?;
    let mut waiting = Client::connect(scene.front)?;
    ensure!(waiting.hears_nothing_for(Duration::from_millis(300))?);
    scene.proxy.ask("enable frontend fe")?;
    ensure!(waiting.line()?.starts_with("220 "));
    scene.proxy.ask("shutdown frontend fe")?;
    wait_until("nobody listens", || Client::connect(scene.front).is_err())?;
    ensure!(scene.proxy.stat("fe", "FRONTEND", "status")? == "STOP");
    before.message("goes on")?;
    Ok(())
}

#[test]
fn rates_are_limited() -> Result<()> {
    let scene = scene("")?;
    scene.proxy.ask("set rate-limit sessions global 10")?;
    let begun = Instant::now();
    for number in 0..25 {
        deliver(scene.front, &format!("paced {number}"))?;
    }
    let took = begun.elapsed();
    ensure!(took > Duration::from_millis(1_200), "{took:?}");
    scene.proxy.ask("set rate-limit sessions global 0")?;
    let begun = Instant::now();
    for number in 0..25 {
        deliver(scene.front, &format!("free {number}"))?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(1));
    Ok(())
}

#[test]
fn counters_begin_anew() -> Result<()> {
    let scene = scene("")?;
    deliver(scene.front, "one")?;
    let total = |proxy: &str, server: &str| scene.proxy.stat(proxy, server, "stot");
    wait_until("it is counted", || {
        total("be", "s1").is_ok_and(|total| total == "1")
    })?;
    scene.proxy.ask("clear counters all")?;
    for (proxy, server) in [("fe", "FRONTEND"), ("be", "s1"), ("be", "BACKEND")] {
        ensure!(total(proxy, server)? == "0", "{proxy}/{server}");
        ensure!(scene.proxy.stat(proxy, server, "bin")? == "0");
    }
    deliver(scene.front, "two")?;
    ensure!(total("be", "s1")? == "1");
    Ok(())
}
