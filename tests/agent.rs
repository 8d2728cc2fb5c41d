//! Agents: programs on the servers that say how they are (`agent-check`), next to Debian's HAProxy.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::wait_until;

use crate::support::{config, free_port, same_answers};

/// Says the same to everyone, until told otherwise.
struct Agent {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    heard: Arc<Mutex<String>>,
}

impl Agent {
    /// With `hears` it waits for a line before it says anything.
    fn start(first: &str, hears: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let agent = Self {
            address: listener.local_addr()?,
            says: Arc::new(Mutex::new(first.to_owned())),
            heard: Arc::default(),
        };
        let (says, heard) = (Arc::clone(&agent.says), Arc::clone(&agent.heard));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut question = [0; 256];
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                if hears && let Ok(read) = stream.read(&mut question) {
                    *lock(&heard) = String::from_utf8_lossy(&question[..read]).into_owned();
                }
                let text = lock(&says).clone();
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Ok(agent)
    }

    fn say(&self, line: &str) {
        *lock(&self.says) = line.to_owned();
    }

    fn heard(&self) -> String {
        lock(&self.heard).clone()
    }
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an agent says, and what `last_agt` has when it was heard.
const LINES: &[(&str, &str)] = &[
    ("up\n", "via agent : up"),
    ("down\n", "via agent : down"),
    ("down # broken disk\n", "via agent : down (broken disk)"),
    ("stopped#x y\n", "agent reports an error : stopped#x"),
    ("fail\n", "via agent : fail"),
    ("up #fine\n", "via agent : up (fine)"),
    ("drain\n", ""),
    ("ready up\n", "via agent : up"),
    ("maint\n", ""),
    ("ready up 50% # back\n", "via agent : up (back)"),
    ("75%,maxconn:30\n", ""),
    ("bogus words\n", "agent reports an error : bogus"),
    ("up bogus\n", "via agent : up (bogus)"),
    ("up", "Ignoring incomplete line from agent"),
    ("", "TCPCHK got an empty response at step 2"),
    (
        "UP READY 100% maxconn:0\r\nnobody reads this",
        "via agent : UP",
    ),
    ("stopped,drain,0%\n", "via agent : stopped"),
    ("up ready\t100%\n", "via agent : up"),
];

const COLUMNS: &[&str] = &[
    "status",
    "weight",
    "slim",
    "last_agt",
    "agent_status",
    "agent_code",
    "agent_desc",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "uweight",
];

/// What an agent said, and how two servers stood then: one with a check, one without.
fn day(program: Program) -> Result<(Vec<String>, Vec<String>)> {
    let agent = Agent::start("up\n", false)?;
    let server = Server::start(Manner::Mail)?;
    let options = format!(
        "agent-check agent-port {} agent-inter 50ms weight 10",
        agent.address.port()
    );
    let backend = format!(
        "option log-health-checks
    timeout check 5s
    server s1 {0} check {options}
    server s2 {0} {options}",
        server.address()
    );
    let proxy = Proxy::start(program, &config(free_port()?, "", &backend))?;
    proxy.wait_for_status("be", "s1", "UP")?;
    wait_until("the check has passed", || {
        proxy
            .stat("be", "s1", "check_health")
            .is_ok_and(|health| health == "4")
    })?;
    let mut seen = Vec::new();
    for (line, said) in LINES {
        agent.say(line);
        let heard = |server: &str| -> Result<bool> {
            let now = proxy.stats("be", server, &["agent_status", "last_agt"])?;
            Ok(!now[0].starts_with('*') && now[1] == *said)
        };
        // While it is asked the column is empty in 2.6, so that must be seen twice.
        for server in ["s1", "s2", "s1", "s2"] {
            wait_until(&format!("{server} hears {line:?}"), || {
                let first = heard(server).is_ok_and(|heard| heard);
                testkit::pause(Duration::from_millis(70));
                first && heard(server).is_ok_and(|heard| heard)
            })?;
        }
        if line.contains("ready") {
            proxy.wait_for_status("be", "s1", "UP")?;
        }
        for server in ["s1", "s2"] {
            let mut values = Vec::new();
            wait_until(&format!("{server} is not asked just now"), || {
                let now = proxy.stats("be", server, COLUMNS);
                values = now.unwrap_or_default();
                values.iter().any(|value| value == said) && !values.concat().contains('*')
            })?;
            let named = COLUMNS.iter().zip(values);
            // A check may pass now or in a moment.
            let row =
                named.map(|(column, value)| format!(" {column}={}", value.replace("UP 1/3", "UP")));
            seen.push(format!("{line:?} {server}{}", row.collect::<String>()));
        }
        let states = proxy.ask("show servers state")?;
        for row in states.lines().skip(2).filter(|row| !row.is_empty()) {
            let words: Vec<_> = row.split(' ').collect();
            // Name, states, weights, the agent's state without "running", its address.
            let agent: u8 = words[14].parse()?;
            seen.push(format!(
                "{} {:?} {} {}",
                words[3],
                &words[5..9],
                agent & !1,
                words[23]
            ));
        }
    }
    let told = |line: &String| {
        line.contains("Agent check") && !line.contains("timeout") && !line.starts_with('[')
    };
    let mut lines: Vec<_> = proxy
        .output
        .lines()
        .into_iter()
        .filter(told)
        .map(|line| {
            let words = line.split(' ');
            words
                .filter(|word| !word.ends_with("ms,"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    // Each server's are in order; the two servers' mix.
    lines.sort_by_key(|line| line.contains("be/s2"));
    Ok((seen, lines))
}

#[test]
fn the_same_day() -> Result<()> {
    let (theirs, ours) = (day(Program::Haproxy)?, day(Program::Posthouse)?);
    for (theirs, ours) in theirs.0.iter().zip(&ours.0) {
        ensure!(theirs == ours, "\n{theirs}\n{ours}");
    }
    ensure!(theirs.0.len() == ours.0.len());
    let (first, second) = (theirs.1.join("\n"), ours.1.join("\n"));
    ensure!(first == second, "{first}\n--\n{second}");
    ensure!(ours.1.len() > 10, "{second}");
    Ok(())
}

/// Asked of both programs, in this order.
const COMMANDS: &[&str] = &[
    "set server be/s1 agent",
    "set server be/s1 agent sideways",
    "set server be/s1 agent down",
    "show servers state be",
    "set server be/s1 agent up",
    "set server be/s1 agent-addr 127.0.0.3",
    "set server be/s1 agent-port 28",
    "set server be/s1 agent-send hello",
    "show servers state be",
    "set server be/s2 agent up",
    "set server be/s2 agent-addr 127.0.0.3",
    "set server be/s2 agent-port 28",
    "set server be/s2 agent-send hello",
    "enable agent be/s2",
    "disable agent be/s2",
    "disable agent be/s1",
    "set server be/s1 agent up",
    "show servers state be",
    "enable agent be/s1",
    "set server be/s1 agent up",
];

fn answers(program: Program) -> Result<Vec<String>> {
    let agent = "agent-check agent-port 1 agent-inter 1h";
    let backend = format!("server s1 127.0.0.1:1 {agent}\n    server s2 127.0.0.1:1");
    let proxy = Proxy::start(program, &config(free_port()?, "", &backend))?;
    wait_until("it was asked once", || {
        proxy
            .stat("be", "s1", "agent_status")
            .is_ok_and(|status| status == "L4CON")
    })?;
    // 2.6 forgets the empty line at the end now and then.
    let normal = |answer: &str| {
        let line = |line: &str| {
            let mut words: Vec<_> = line.split(' ').collect();
            if words.len() == 25 {
                words[9] = "*";
            }
            words.join(" ")
        };
        answer
            .trim_end()
            .split('\n')
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let ask = |command: &&str| Ok(format!("{command}\n{}", normal(&proxy.ask(command)?)));
    COMMANDS.iter().map(ask).collect()
}

#[test]
fn the_same_answers() -> Result<()> {
    same_answers(&answers(Program::Haproxy)?, &answers(Program::Posthouse)?)
}

struct Scene {
    agent: Agent,
    servers: [Server; 2],
    proxy: Proxy,
    front: SocketAddr,
}

fn scene(options: &str, hears: bool) -> Result<Scene> {
    let agent = Agent::start("up\n", hears)?;
    let servers = [Server::start(Manner::Mail)?, Server::start(Manner::Mail)?];
    let front = free_port()?;
    let backend = format!(
        "server s1 {} check agent-check agent-port {} agent-inter 50ms {options}\n    server s2 {} backup",
        servers[0].address(),
        agent.address.port(),
        servers[1].address()
    );
    let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
    proxy.wait_for_status("be", "s1", "UP")?;
    Ok(Scene {
        agent,
        servers,
        proxy,
        front,
    })
}

/// Sessions go where the agent says; neither it nor the check alone brings a server back.
#[test]
fn sessions_follow_the_agent() -> Result<()> {
    let scene = scene("", false)?;
    let by = |mark: &str| -> Result<u16> {
        let said = deliver(scene.front, mark)?;
        let ports = scene.servers.iter().map(|server| server.address().port());
        let mut ports = ports.filter(|port| said.contains(&format!("mail{port} ")));
        ports.next().context("nobody's greeting")
    };
    let [first, second] = [0, 1].map(|at| scene.servers[at].address().port());
    ensure!(by("a")? == first);
    scene.agent.say("down # update\n");
    scene.proxy.wait_for_status("be", "s1", "DOWN (agent)")?;
    ensure!(by("b")? == second);
    // Its check passes all the time, and does not bring it back.
    testkit::pause(Duration::from_millis(400));
    ensure!(scene.proxy.status("be", "s1")? == "DOWN (agent)");
    let line = scene.proxy.output.wait_for("Server be/s1 is DOWN")?;
    ensure!(
        line.contains("reason: Layer7 wrong status, code: 0, info: \"via agent : down (update)\""),
        "{line}"
    );
    scene.agent.say("up\n");
    scene.proxy.wait_for_status("be", "s1", "UP")?;
    ensure!(by("c")? == first);
    // A server that does not answer is not UP because its agent says so.
    scene.servers[0].stop();
    scene.proxy.wait_for_status("be", "s1", "DOWN")?;
    testkit::pause(Duration::from_millis(300));
    ensure!(scene.proxy.status("be", "s1")?.starts_with("DOWN"));
    scene.servers[0].resume()?;
    scene.proxy.wait_for_status("be", "s1", "UP")?;
    scene.agent.say("drain\n");
    scene.proxy.wait_for_status("be", "s1", "DRAIN (agent)")?;
    ensure!(by("d")? == second);
    scene.agent.say("maint\n");
    scene.proxy.wait_for_status("be", "s1", "MAINT")?;
    // It is asked in maintenance too, and ends it.
    scene.agent.say("ready up 50% maxconn:7\n");
    scene.proxy.wait_for_status("be", "s1", "UP")?;
    ensure!(scene.proxy.stat("be", "s1", "slim")? == "7");
    ensure!(scene.proxy.stat("be", "s1", "uweight")? == "0");
    Ok(())
}

/// An agent that is gone, silent, endless or not understood changes nothing.
#[test]
fn a_broken_agent_changes_nothing() -> Result<()> {
    let scene = scene("", false)?;
    let endless = "x".repeat(100_000);
    for says in [
        "",
        "up",
        "\n",
        "\u{0}down",
        "no idea\n",
        "# down\n",
        &endless,
    ] {
        scene.agent.say(says);
        testkit::pause(Duration::from_millis(250));
        ensure!(scene.proxy.status("be", "s1")? == "UP", "{says:?}");
    }
    scene.proxy.ask("set server be/s1 agent-port 1")?;
    wait_until("it is refused", || {
        scene
            .proxy
            .stat("be", "s1", "agent_status")
            .is_ok_and(|status| status == "L4CON")
    })?;
    ensure!(scene.proxy.status("be", "s1")? == "UP");
    deliver(scene.front, "served")?;
    Ok(())
}

/// What it is sent, where it is asked, and who asks.
#[test]
fn an_agent_is_asked_as_configured_and_as_told() -> Result<()> {
    let scene = scene("agent-send \"be s1\\n\"", true)?;
    wait_until("it is asked", || scene.agent.heard() == "be s1\n")?;
    scene.proxy.ask("set server be/s1 agent-send other")?;
    wait_until("it is asked otherwise", || scene.agent.heard() == "other")?;
    scene.proxy.ask("disable agent be/s1")?;
    scene.agent.say("down\n");
    testkit::pause(Duration::from_millis(300));
    ensure!(scene.proxy.status("be", "s1")? == "UP");
    ensure!(scene.proxy.stat("be", "s1", "agent_status")?.is_empty());
    scene.proxy.ask("enable agent be/s1")?;
    scene.proxy.wait_for_status("be", "s1", "DOWN (agent)")?;
    // Somebody knows better; until the agent is asked again.
    scene.proxy.ask("set server be/s1 agent-port 1")?;
    wait_until("it is refused", || {
        scene
            .proxy
            .stat("be", "s1", "agent_status")
            .is_ok_and(|status| status == "L4CON")
    })?;
    scene.proxy.ask("set server be/s1 agent up")?;
    scene.proxy.wait_for_status("be", "s1", "UP")?;
    scene
        .proxy
        .output
        .wait_for("Server be/s1 is UP, changed from CLI.")?;
    Ok(())
}

/// An added server's agent begins when it is enabled, and may bring it into service by itself.
#[test]
fn an_added_server_has_an_agent() -> Result<()> {
    let scene = scene("", false)?;
    let port = scene.agent.address.port();
    let address = scene.servers[1].address();
    scene.agent.say("ready up\n");
    let said = scene.proxy.ask(&format!(
        "add server be/s3 {address} agent-check agent-port {port} agent-inter 50ms"
    ))?;
    ensure!(said.starts_with("New server"), "{said}");
    testkit::pause(Duration::from_millis(200));
    ensure!(scene.proxy.status("be", "s3")? == "MAINT");
    scene.proxy.ask("enable agent be/s3")?;
    scene.proxy.wait_for_status("be", "s3", "no check")?;
    scene
        .proxy
        .ask("disable agent be/s3; set server be/s3 state maint; del server be/s3")?;
    ensure!(scene.proxy.status("be", "s3").is_err());
    Ok(())
}
