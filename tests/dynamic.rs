//! Servers that come and go at run time: `add server`, `del server`, `wait ... srv-removable`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::wait_until;

use crate::support::{config, free_port, same_answers, told};

/// Asked of both programs, in this order.
const COMMANDS: &[&str] = &[
    "add server",
    "add server be",
    "add server be/",
    "add server nope/new 127.0.0.1:2601",
    "add server fe/new 127.0.0.1:2601",
    "add server fixed/new 127.0.0.1:2601",
    "add server be/new",
    "add server be/b@d 127.0.0.1:2601",
    "add server be/n5 127.0.0.1:25 cookie x",
    "add server be/n5 127.0.0.1:25 init-addr none",
    "add server be/new 127.0.0.1:1",
    "add server be/new 127.0.0.1:1",
    "add server be/s1 127.0.0.1:1",
    "add server be/n2 127.0.0.1:1 id 77 weight 5",
    "add server be/n3 127.0.0.1:1 check inter 1h rise 1 fall 1 backup weight 7 maxconn 9 maxqueue 3",
    "show servers state be",
    "get weight be/n3",
    "set weight be/n3 50%",
    "get weight be/n3",
    "enable health be/new",
    "enable health be/n3",
    "show servers state be",
    "enable server be/new",
    "set server be/new state drain",
    "show servers state be",
    "del server",
    "del server be",
    "del server nope/new",
    "del server be/nope",
    "del server be/new",
    "set server be/new state maint",
    "del server be/new",
    "del server be/new",
    "add server be/n4 127.0.0.1:1",
    "show servers state be",
    "disable server be/n4",
    "del server be/n4",
    "show servers state be",
];

fn answers(program: Program) -> Result<Vec<String>> {
    let fixed = "backend fixed\n    balance source\n    server s1 127.0.0.1:1\n";
    let text = config(free_port()?, "", "server s1 127.0.0.1:1") + fixed;
    let proxy = Proxy::start(program, &text)?;
    let ask = |command: &&str| Ok(format!("{command}\n{}", normal(&proxy.ask(command)?)));
    COMMANDS.iter().map(ask).collect()
}

/// Without times since the last change, and the empty line at the end, which 2.6 forgets now and then.
fn normal(answer: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<_> = line.split(' ').collect();
        if words.len() == 25 {
            words[9] = "*";
        }
        words.join(" ")
    };
    let lines: Vec<_> = answer.trim_end().split('\n').map(line).collect();
    lines.join("\n")
}

#[test]
fn the_same_answers() -> Result<()> {
    same_answers(&answers(Program::Haproxy)?, &answers(Program::Posthouse)?)
}

struct Scene {
    servers: Vec<Server>,
    proxy: Proxy,
    front: std::net::SocketAddr,
}

fn scene(servers: usize, backend: &str) -> Result<Scene> {
    let servers = (0..servers).map(|_| Server::start(Manner::Mail));
    let servers = servers.collect::<Result<Vec<_>>>()?;
    let front = free_port()?;
    let first = format!("{backend}\n    server s1 {}", servers[0].address());
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &first))?;
    Ok(Scene {
        servers,
        proxy,
        front,
    })
}

impl Scene {
    fn ask(&self, command: &str) -> Result<String> {
        self.proxy.ask(command)
    }

    fn add(&self, name: &str, at: usize, options: &str) -> Result<()> {
        let address = self.servers[at].address();
        let said = self.ask(&format!("add server be/{name} {address} {options}"))?;
        ensure!(said == "New server registered.\n\n", "{said}");
        Ok(())
    }
}

/// From birth to death: no session before it is enabled, its share then, none when it drains, gone when idle.
#[test]
fn an_added_server_has_its_share_until_it_is_deleted() -> Result<()> {
    let scene = scene(2, "balance roundrobin")?;
    scene.add("s2", 1, "check inter 100ms")?;
    ensure!(scene.proxy.status("be", "s2")? == "MAINT");
    for number in 0..4 {
        deliver(scene.front, &format!("a{number}"))?;
    }
    ensure!(scene.servers[1].connections() == 0);
    scene.ask("enable health be/s2; enable server be/s2")?;
    scene.proxy.wait_for_status("be", "s2", "UP")?;
    let (mut held, _) = Client::greeted(scene.front)?;
    let (mut other, _) = Client::greeted(scene.front)?;
    ensure!(scene.proxy.stat("be", "s2", "scur")? == "1");
    // Its check lives.
    scene.servers[1].stop();
    scene.proxy.wait_for_status("be", "s2", "DOWN")?;
    scene.servers[1].resume()?;
    scene.proxy.wait_for_status("be", "s2", "UP")?;
    scene.ask("set server be/s2 state maint")?;
    let said = scene.ask("del server be/s2")?;
    ensure!(
        said.starts_with("Server still has connections attached to it"),
        "{said}"
    );
    let said = scene.ask("wait 100ms srv-removable be/s2")?;
    ensure!(said == "Wait delay expired.\n\n", "{said}");
    held.finish()?;
    other.finish()?;
    let said = scene.ask("wait 10s srv-removable be/s2; del server be/s2")?;
    ensure!(said == "Done.\n\nServer deleted.\n\n", "{said}");
    ensure!(scene.proxy.status("be", "s2").is_err());
    // Its check does not.
    let checks = scene.servers[1].connections();
    testkit::pause(Duration::from_millis(300));
    ensure!(scene.servers[1].connections() == checks);
    for number in 0..4 {
        deliver(scene.front, &format!("b{number}"))?;
    }
    scene.proxy.output.wait_for("Server be/s2 was added")?;
    scene.proxy.output.wait_for("Server be/s2 was deleted")?;
    Ok(())
}

/// The server of the configuration goes, one that was added takes over; and a backend may begin with nothing.
#[test]
fn the_last_server_of_the_file_may_go() -> Result<()> {
    let scene = scene(2, "")?;
    scene.add("s2", 1, "")?;
    scene.ask("enable server be/s2; disable server be/s1; del server be/s1")?;
    let port = scene.servers[1].address().port();
    ensure!(deliver(scene.front, "moved")?.contains(&format!("mail{port} ")));
    scene.ask("disable server be/s2; del server be/s2")?;
    ensure!(scene.proxy.stat("be", "BACKEND", "status")? == "DOWN");
    scene.proxy.output.wait_for("has no server available!")?;
    scene.add("s3", 0, "")?;
    scene.ask("enable server be/s3")?;
    ensure!(scene.proxy.stat("be", "BACKEND", "status")? == "UP");
    deliver(scene.front, "again")?;
    Ok(())
}

/// A limit on an added server holds, in a backend that had none so far; its queue is served.
#[test]
fn an_added_server_may_have_a_limit() -> Result<()> {
    let scene = scene(2, "")?;
    scene.add("s2", 1, "maxconn 1")?;
    scene.ask("enable server be/s2; disable server be/s1")?;
    let (mut first, _) = Client::greeted(scene.front)?;
    let mut second = Client::connect(scene.front)?;
    ensure!(second.hears_nothing_for(Duration::from_millis(200))?);
    ensure!(scene.proxy.stat("be", "BACKEND", "qcur")? == "1");
    first.finish()?;
    ensure!(second.line()?.starts_with("220 "));
    second.finish()?;
    scene.ask("disable server be/s2; wait 5s srv-removable be/s2; del server be/s2")?;
    // Its place is given to another, without its limit.
    scene.add("s3", 1, "")?;
    scene.ask("enable server be/s3")?;
    let (mut third, _) = Client::greeted(scene.front)?;
    let (mut fourth, _) = Client::greeted(scene.front)?;
    third.finish()?;
    fourth.finish()?;
    Ok(())
}

/// Sessions all the time while servers come and go a few hundred times: none is lost, nothing grows.
#[test]
fn nobody_notices_servers_that_come_and_go() -> Result<()> {
    let scene = scene(3, "balance leastconn\n    option redispatch")?;
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let (stop, served, front) = (&stop, &served, scene.front);
                scope.spawn(move || -> Result<()> {
                    while !stop.load(Ordering::Relaxed) {
                        deliver(front, &format!("client {number}"))?;
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let come_and_go = || -> Result<()> {
            let begun = Instant::now();
            for round in 0..200 {
                let limit = if round % 3 == 0 { "maxconn 2" } else { "" };
                scene.add("x", 1 + round % 2, &format!("weight 100 {limit}"))?;
                let said = scene.ask(
                    "enable server be/x; wait 5ms; disable server be/x; wait 5s srv-removable be/x; del server be/x",
                )?;
                ensure!(
                    said.ends_with("Done.\n\nServer deleted.\n\n"),
                    "{round}: {said}"
                );
                if begun.elapsed() > Duration::from_secs(20) {
                    break;
                }
            }
            Ok(())
        };
        let result = come_and_go();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let ended = client.join();
            ended.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        result
    })?;
    ensure!(served.load(Ordering::Relaxed) > 50, "{served:?} sessions");
    let added: usize = scene.servers[1..].iter().map(Server::connections).sum();
    ensure!(added > 0, "the added servers had no session");
    // Every session went well.
    wait_until("the last is over", || {
        scene
            .proxy
            .stat("be", "BACKEND", "scur")
            .is_ok_and(|now| now == "0")
    })?;
    for line in scene.proxy.output.lines() {
        if line.contains(" fe be/") && !line.starts_with('[') {
            ensure!(told(&line).0 == "--", "{line}");
        }
    }
    Ok(())
}

/// Stick entries of a server that was deleted name nobody.
#[test]
fn a_stick_entry_outlives_its_server() -> Result<()> {
    let scene = scene(2, "stick-table type ip size 1k expire 1m\n    stick on src")?;
    scene.add("s2", 1, "")?;
    scene.ask("enable server be/s2; set server be/s1 state drain")?;
    deliver(scene.front, "sticks to s2")?;
    ensure!(scene.ask("show table be")?.contains("server_key=s2"));
    scene.ask("set server be/s1 state ready; disable server be/s2; wait 5s srv-removable be/s2")?;
    ensure!(scene.ask("del server be/s2")? == "Server deleted.\n\n");
    deliver(scene.front, "goes to s1")?;
    ensure!(scene.ask("show table be")?.contains("server_key=s1"));
    Ok(())
}

/// What is wrong is said, and changes nothing.
#[test]
fn refusals_change_nothing() -> Result<()> {
    let scene = scene(1, "")?;
    let before = scene.ask("show servers state")?;
    for (command, said) in [
        (
            "add server be/x mail.example.invalid:25",
            "could not resolve address",
        ),
        ("add server be/x 127.0.0.1:x", "port"),
        (
            "add server be/x 127.0.0.1:25 bogus",
            "unknown keyword 'bogus'",
        ),
        ("add server be/x 127.0.0.1:25 weight 300", "300"),
        ("add server be/x 127.0.0.1:25 weight", "weight"),
        ("add server be/x 127.0.0.1:25 id 1", "same id"),
        ("add server be/x '127.0.0.1:25", "'"),
        (
            "del server be/s1",
            "Only servers in maintenance mode can be deleted.",
        ),
        (
            "wait 1s srv-removable be/s1",
            "Only servers in maintenance mode can be deleted.",
        ),
        ("wait 1s srv-removable be/x", "No such server."),
        ("wait 1s until-dawn", "Unsupported condition"),
        ("wait x", "Invalid delay."),
        ("wait", "Usage: wait"),
    ] {
        let answer = scene.ask(command)?;
        ensure!(answer.contains(said), "{command}: {answer}");
    }
    let after = scene.ask("show servers state")?;
    ensure!(normal(&before) == normal(&after), "{after}");
    Ok(())
}
