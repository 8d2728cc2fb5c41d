//! The runtime API: the same commands to Debian's HAProxy and to Posthouse, and what they do to sessions.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::wait_until;

use crate::support::{config, free_port, same_answers};

/// Commands whose answers are compared, in this order.
const COMMANDS: &[&str] = &[
    "set server be/s1 addr 127.0.0.9",
    "set server be/s1 addr 127.0.0.9",
    "set server be/s1 addr 127.0.0.9 port 26",
    "set server be/s1 addr x",
    "set server be/s1 check-port 99",
    "set server be/s1 check-addr 127.0.0.3",
    "set server be/s1 check-addr 127.0.0.3 port 44",
    "set server be/s1 check-port 70000",
    "set server be/s1 check-port x",
    "set server be/s1 check-port",
    "set server be/s1 check-addr",
    "set server be/s1 check-addr nope",
    "set server be/s2 check-port 5",
    "set server be/s2 check-addr 127.0.0.2",
    "set server be/s1 addr",
    "set server be/s1 addr ::1 port 26",
    "set server be/s1 addr 127.0.0.9 port 26 again",
    "set server be/s1 fqdn",
    "set server be/s1 fqdn mail.example.com",
    "set server be/s1 weight",
    "set server be/s1 weight x",
    "set server be/s1 weight 5%x",
    "set server be/s1 weight -1",
    "set server be/s1 weight -1%",
    "set server be/s1 health",
    "set server be/s1 health sick",
    "set server",
    "set server be/s1 state",
    "set maxconn frontend fe",
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
    "show cli level",
    "set severity-output",
    "set severity-output number;set server be/nope state ready;get weight be/s2;disable frontend",
    "set severity-output string;user;disable frontend fe;show backend",
    "show backend",
    "show table nope",
    "show stat nope 1 -1",
    "show stat domain",
    "show stat domain dns",
    "show stat nope 1 1 typed",
    "show errors nope",
    "show peers nope",
    "show resolvers nope",
    "set timeout",
    "set timeout srv 5",
    "set timeout cli",
    "set timeout cli 0",
    "set timeout cli 5x",
    "set timeout cli 5m",
    "set severity-output",
    "set severity-output number; show cli level; experimental-mode; show table nope; show backend; get weight be/s1",
    "set severity-output string; set server be/s1 addr 127.0.0.10; show env NO_SUCH; disable frontend nope",
    "set severity-output none; show cli level",
    "experimental-mode on; experimental-mode",
    "expert-mode",
    "expert-mode on; expert-mode; expert-mode off; expert-mode",
    "show table be",
    "set table",
    "set table nope key 192.0.2.1",
    "set table be key",
    "set table be 192.0.2.1",
    "set table be data.gpc0 gt 4",
    "set table be key 192.0.2.1 gpc0 5",
    "set table be key 192.0.2.1 data.gpc0",
    "set table be key 192.0.2.1 data.gpc0 x",
    "set table be key 192.0.2.1 data.nope 5",
    "set table be key 192.0.2.1 data.gpc1 5",
    "set table be key 192.0.2.1 data.gpc0 3 data.gpt0 6 data.conn_cnt 9 data.conn_rate 77",
    "set table be key 192.0.2.1 data.server_id 1",
    "show table be key 192.0.2.1",
    "show table be key 192.0.2.2",
    "show table be key",
    "show table be",
    "show table be data.gpc0 gt 2",
    "show table be data.gpc0 gt 3",
    "show table be data.gpc0 ge 3 data.gpt0 le 6 data.conn_cnt ne 8 data.conn_cnt lt 10",
    "show table be data.gpc0 ge 3 data.gpt0 eq 7",
    "show table be data.gpc0 gt 2 data.gpt0 eq 6 data.gpc0 le 9 data.gpc0 lt 9 data.gpc0 ne 9",
    "show table be data.gpc0",
    "show table be data.gpc0 xx 3",
    "show table be data.gpc0 gt",
    "show table be data.gpc0 gt 3x",
    "show table be data.gpc0 gt 2 data.nope",
    "show table be data.nope gt 3",
    "show table be data.gpc1 gt 3",
    "show table be nope",
    "clear table",
    "clear table nope",
    "clear table be nope",
    "clear table be data.gpc0",
    "clear table be data.gpc0 gt 100",
    "clear table be key 192.0.2.9",
    "show table be",
    "clear table be data.gpc0 eq 3",
    "show table be",
    "set table str key two\\ words data.gpc0 2",
    "show table str",
    "clear table str",
    "show table str",
    "show sess 0x1",
    "shutdown session",
    "shutdown session nope",
    "shutdown session 0x1",
    "shutdown sessions server be",
    "shutdown sessions server nope/s1",
    "show version <<\nnothing\n",
    "operator; disable server be/s1; user; clear counters",
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
    stick-table type ip size 1k expire 30m store gpc0,gpt0,conn_cnt,conn_rate(10s)
    stick on src
    server s1 127.0.0.1:1 check inter 1h
    server s2 127.0.0.1:2 backup
backend str
    stick-table type string len 20 size 10 store gpc0
";
    let port = free_port()?.port().to_string();
    let proxy = Proxy::start(program, &text.replace("@port@", &port))?;
    // So that both know the same of it.
    proxy.wait_for_status("be", "s1", "DOWN")?;
    let ask = |command: &&str| Ok(format!("{command}\n{}", normal(&proxy.ask(command)?)));
    COMMANDS.iter().map(ask).collect()
}

/// Without what differs from run to run (pointers, what is left of a time), what only 3.4 has (`shard=0`), and
/// what a version calls itself.
fn normal(answer: &str) -> String {
    let word = |word: &str| match word {
        word if word.starts_with("0x") => "0x:".to_owned(),
        word if word.starts_with("exp=") => "exp=".to_owned(),
        word if word.starts_with("2.6.") || word.starts_with("3.4.") => "version".to_owned(),
        word => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    // 2.6 forgets the empty line at the end now and then.
    let lines: Vec<_> = answer.trim_end().split('\n').map(line).collect();
    lines.join("\n").replace(" shard=0", "")
}

#[test]
fn the_same_answers() -> Result<()> {
    same_answers(&answers(Program::Haproxy)?, &answers(Program::Posthouse)?)
}

/// Every word of `show sess`: a line, all there is, and filters that leave sessions out.
#[test]
fn sessions_are_found_by_what_they_are() -> Result<()> {
    let scene = scene("")?;
    let (client, _) = Client::greeted(scene.front)?;
    let (_other, _) = Client::greeted(scene.front)?;
    let source = format!("src={}", client.address()?);
    let ask = |command: &str| scene.proxy.ask(command);
    let count = |command: &str| -> Result<usize> {
        let said = ask(command)?;
        Ok(said.lines().filter(|line| line.starts_with("0x")).count())
    };
    ensure!(count("show sess")? == 2);
    ensure!(count("show sess all")? == 2);
    ensure!(count("show sess frontend fe backend be server be/s1")? == 2);
    ensure!(count("show sess older 1h")? == 0);
    ensure!(count("show sess older 0")? == 2);
    ensure!(count("show sess susp")? == 0);
    ensure!(ask("show sess server be/nope")? == "No such server.\n\n");
    ensure!(ask("show sess backend nope")? == "No such backend.\n\n");
    ensure!(ask("show sess frontend nope")? == "No such frontend.\n\n");
    ensure!(ask("show sess nope")?.contains("Unsupported option 'nope'"));
    ensure!(ask("show sess help")?.starts_with("Usage: show sess"));
    let sessions = ask("show sess")?;
    let line = sessions.lines().find(|line| line.contains(&source));
    let line = line.context("the client's line")?;
    for part in [
        "proto=tcpv4",
        "fe=fe",
        "be=be",
        "srv=s1",
        "age=",
        "scf=[8,0h,fd=",
        "exp=",
    ] {
        ensure!(line.contains(part), "{line}");
    }
    let id = line.split(':').next().context("a pointer")?;
    let detail = ask(&format!("show sess {id}"))?;
    ensure!(detail.starts_with(&format!("{id}: [")), "{detail}");
    let server = scene.servers[0].address();
    for part in [
        format!("source={}", client.address()?),
        "frontend=fe (id=2 mode=tcp)".into(),
        "backend=be (id=3 mode=tcp)".into(),
        format!("server=s1 (id=1) addr={server}"),
        "state=EST".into(),
        "exp=19s".into(),
    ] {
        ensure!(detail.contains(&part), "no {part} in {detail}");
    }
    ask(&format!("shutdown session {id}"))?;
    wait_until("it has gone", || {
        count("show sess").is_ok_and(|count| count == 1)
    })?;
    ensure!(ask(&format!("show sess {id}"))? == "Session not found.\n\n");
    Ok(())
}

/// What a start warns about is kept; descriptions, threads and descriptors are told.
#[test]
fn the_process_tells_about_itself() -> Result<()> {
    let scene = scene("")?;
    let ask = |command: &str| scene.proxy.ask(command);
    let printed = scene.proxy.output.wait_for("[WARNING]")?;
    ensure!(ask("show startup-logs")?.contains(&printed), "{printed}");
    ensure!(ask("show info desc")?.contains("\nPid: "));
    ensure!(ask("show info typed desc")?.contains(":\"Sessions now.\"\n"));
    ensure!(ask("show stat typed desc")?.contains(":\"Sessions now.\"\n"));
    ensure!(
        ask("show info float")?
            .lines()
            .any(|line| line.starts_with("Uptime_sec: ") && line.contains('.'))
    );
    ensure!(ask("show threads")?.contains("name=worker 1 cpu_ns="));
    ensure!(ask("show fd")?.contains("      0 : "));
    ensure!(
        ask("show fd 0")?
            .lines()
            .filter(|line| !line.is_empty())
            .count()
            == 1
    );
    ensure!(ask("show pools")?.contains("Total: 0 pools"));
    ensure!(ask("show tasks")?.starts_with("Running tasks: 0 ("));
    ensure!(ask("show activity")?.starts_with("thread_id: "));
    ensure!(ask("echo to be; echo or not")? == "to be\n\nor not\n\n");
    ensure!(ask("show stat domain resolvers")?.starts_with("# id,pid,sent,"));
    ensure!(ask("set table be key 1.2.3.4")?.contains("No such table"));
    scene
        .proxy
        .ask("set rate-limit sessions global 77; set rate-limit connections global 78")?;
    let info = ask("show info")?;
    ensure!(info.contains("\nSessRateLimit: 77\n") && info.contains("\nConnRateLimit: 78\n"));
    Ok(())
}

/// An entry is named by the pointer a dump shows; a key that is none changes nothing.
#[test]
fn entries_by_pointer() -> Result<()> {
    let front = free_port()?;
    let backend = "stick-table type ip size 10k expire 1m store gpc0\n    server s1 127.0.0.1:1";
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", backend))?;
    for number in 1..=3 {
        proxy.ask(&format!(
            "set table be key 192.0.2.{number} data.gpc0 {number}"
        ))?;
    }
    let second = proxy.ask("show table be key 192.0.2.2")?;
    let pointer = second
        .lines()
        .nth(1)
        .and_then(|line| line.split(':').next())
        .context("an entry")?;
    ensure!(
        proxy
            .ask(&format!("show table be ptr {pointer}"))?
            .contains("key=192.0.2.2 ")
    );
    ensure!(proxy.ask(&format!("clear table be ptr {pointer}"))? == "\n");
    ensure!(proxy.ask("show table be")?.contains("used:2"));
    ensure!(
        proxy
            .ask("show table be ptr 1")?
            .contains("Invalid pointer")
    );
    ensure!(
        proxy
            .ask("set table be key nonsense data.gpc0 9")?
            .contains("Invalid key 'nonsense'")
    );
    ensure!(!proxy.ask("show table be")?.contains("gpc0=9"));
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

/// `port +<n>`: the port the client came to, moved by so many; not with a check that would not know where to go.
#[test]
fn a_port_may_follow_the_clients() -> Result<()> {
    let unchecked = scene("")?;
    let port = unchecked.servers[1].address().port();
    let by = i32::from(port) - i32::from(unchecked.front.port());
    let said = unchecked
        .proxy
        .ask(&format!("set server be/s1 addr 127.0.0.1 port {by:+}"))?;
    ensure!(said.contains(&format!("to '{by:+}'")), "{said}");
    ensure!(deliver(unchecked.front, "moved")?.contains(&format!("mail{port} ")));
    let checked = scene("check")?;
    let before = checked.proxy.ask("show servers state be")?;
    for refused in ["+0", "-", "", "x", "70000"] {
        let said = checked
            .proxy
            .ask(&format!("set server be/s1 addr 127.0.0.3 port {refused}"))?;
        let why = said.contains("can't change <port>") || said.contains("problem converting port");
        ensure!(why, "{refused}: {said}");
    }
    let address = |state: &str| {
        state
            .lines()
            .nth(2)
            .map(|row| row.split(' ').nth(4).map(str::to_owned))
    };
    let after = checked.proxy.ask("show servers state be")?;
    ensure!(address(&before) == address(&after), "{after}");
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
    let counts = |sessions: &str| -> Result<()> {
        for (proxy, server) in [("fe", "FRONTEND"), ("be", "s1"), ("be", "BACKEND")] {
            let total = scene.proxy.stat(proxy, server, "stot")?;
            let bytes = scene.proxy.stat(proxy, server, "bin")?;
            let right = total == sessions && (bytes == "0") == (sessions == "0");
            ensure!(right, "{proxy}/{server}: {total} sessions, {bytes} bytes");
        }
        Ok(())
    };
    // Bytes are counted at the end of a session.
    deliver(scene.front, "one")?;
    scene.proxy.wait_until_idle("fe")?;
    counts("1")?;
    scene.proxy.ask("clear counters all")?;
    counts("0")?;
    deliver(scene.front, "two")?;
    scene.proxy.wait_until_idle("fe")?;
    counts("1")
}
