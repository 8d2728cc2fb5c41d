//! The same configuration and the same evening on Debian's HAProxy and on Posthouse, compared.
//!
//! What is meant to differ is in [`WANTED`]; `docs/differences.md` tells it to people, and a test keeps the two
//! together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

/// Differences that are wanted, by the name they have in `docs/differences.md`.
const WANTED: &[&str] = &[
    "failover-at-once",
    "errno-names",
    "default-balance",
    "duplicate-names",
    "silent-check",
    "killed-states",
    "multi-line-greetings",
    "refused-helo",
    "polite-checks",
    "proxy-unknown-tail",
    "proxy-header-in-pieces",
    "first-health",
    "not-yet",
    "mode-http",
    "clear-passwords",
    "metrics-of-nothing",
    "listener-waiting",
    "greeting-gate",
    "says-421",
    "hello-gate",
    "hedges",
    "live-evidence",
    "patient-checks",
    "check-proxy-header",
    "check-tls",
    "tls-hello-in-records",
    "tls-header-facts",
    "tls-certificate-curves",
    "tls-connections",
    "tls-versions",
    "tls-alpn",
    "tls-words",
    "tls-set-cert",
    "log-tail",
    "failover-lines",
    "own-keywords",
    "own-columns",
    "mail-advice",
    "mail-alerts",
    "bad-keys",
    "cli-sessions",
    "added-servers",
];

#[test]
fn the_documented_differences_are_these() -> Result<()> {
    let page = include_str!("../docs/differences.md");
    let documented: Vec<_> = page
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| `")?
                .split_once('`')
                .map(|(name, _)| name)
        })
        .collect();
    ensure!(
        documented == WANTED,
        "docs/differences.md has {documented:?}"
    );
    Ok(())
}

/// What one evening left behind.
struct Evening {
    states: Vec<String>,
    statistics: BTreeMap<(String, String), Vec<(String, String)>>,
    lines: Vec<String>,
}

/// Columns that count time or depend on it, or that only one version has.
const TIMED: &[&str] = &[
    "lastchg",
    "downtime",
    "pid",
    "rate",
    "rate_max",
    "check_duration",
    "lastsess",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "conn_rate",
    "conn_rate_max",
    "last_chk",
    "slim",
    "algo",
    "addr",
    "chkfail",
    "smax",
    "need_conn_est",
];

/// Two servers and a spare, three deaths and returns, an operator who drains and maintains.
fn evening(program: Program) -> Result<Evening> {
    let servers = (0..3)
        .map(|_| Server::start(Manner::Mail))
        .collect::<Result<Vec<_>>>()?;
    let front = free_port()?;
    let backend = format!(
        "option redispatch
    option smtpchk EHLO oracle.example
    stick-table type ip size 1k expire 30m
    server s1 {} check
    server s2 {} check weight 5
    server s3 {} check backup",
        servers[0].address(),
        servers[1].address(),
        servers[2].address()
    );
    let proxy = Proxy::start(program, &config(front, "", &backend))?;
    let up = |name: &str| proxy.wait_for_status("be", name, "UP");
    for name in ["s1", "s2", "s3"] {
        up(name)?;
    }
    for number in 0..4 {
        deliver(front, &format!("a{number}"))?;
    }
    servers[0].stop();
    proxy.wait_for_status("be", "s1", "DOWN")?;
    deliver(front, "b")?;
    servers[0].resume()?;
    proxy.output.wait_for("Server be/s1 is UP")?;
    up("s1")?;
    proxy.ask("set server be/s2 state drain")?;
    proxy.ask("set server be/s1 state maint")?;
    deliver(front, "on the spare")?;
    proxy.output.wait_for(" fe be/s3 ")?;
    proxy.ask("set server be/s1 state ready")?;
    proxy.ask("set server be/s2 state ready")?;
    up("s1")?;
    up("s2")?;
    testkit::wait_until("s1 is wholly up again", || {
        proxy
            .stat("be", "s1", "check_health")
            .is_ok_and(|health| health == "4")
    })?;
    proxy.ask("set server be/s1 weight 0")?;
    Client::greeted(front)?.0.reset()?;
    proxy.output.wait_for(" CD ")?;
    proxy.ask("disable server be/s3")?;
    proxy.wait_for_status("be", "s3", "MAINT")?;
    testkit::wait_until("nobody is connected", || {
        proxy
            .stat("fe", "FRONTEND", "scur")
            .is_ok_and(|now| now == "0")
    })?;
    let logged = || {
        let lines = proxy.output.lines();
        lines
            .iter()
            .filter_map(|line| normal(line))
            .collect::<Vec<_>>()
    };
    testkit::wait_until("the last line is logged", || {
        logged()
            .last()
            .is_some_and(|line| line.starts_with("Backup Server be/s3 is going DOWN"))
    })?;
    let mut state = String::new();
    testkit::wait_until("no check is under way", || {
        state = proxy.ask("show servers state").unwrap_or_default();
        let checks = state
            .lines()
            .skip(2)
            .filter_map(|row| row.split(' ').nth(13));
        checks.clone().count() > 0 && checks.clone().all(|state| state != "7")
    })?;
    Ok(Evening {
        states: states(&state),
        statistics: statistics(&proxy.ask("show stat")?),
        lines: logged(),
    })
}

/// Rows of `show servers state` without times and ports, and the header.
fn states(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let drop =
                |place: &usize| ![9, 18].contains(place) || words.len() < 25 || words[0] == "#";
            let kept = (0..words.len()).filter(drop).map(|place| words[place]);
            kept.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn statistics(table: &str) -> BTreeMap<(String, String), Vec<(String, String)>> {
    let mut lines = table.lines();
    let header: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ")
        .split(',')
        .collect();
    // Up to `agg_check_status` the columns are the same in 2.6 and 3.4.
    let known = header
        .iter()
        .position(|name| *name == "-")
        .unwrap_or(header.len())
        .min(102);
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            let pairs = (2..known.min(fields.len()))
                .filter(|place| !TIMED.contains(&header[*place]))
                .map(|place| (header[place].to_owned(), fields[place].to_owned()))
                .collect();
            ((fields[0].to_owned(), fields[1].to_owned()), pairs)
        })
        .collect()
}

/// A log line with ports, dates and durations replaced; `None` for what is not compared: start and stop, and
/// state lines on standard error, which repeat those of the log.
fn normal(line: &str) -> Option<String> {
    let wanted =
        line.contains("Server be/") || line.contains("Health check") || line.contains(" fe be/");
    if line.starts_with('[') || !wanted {
        return None;
    }
    let words = line.split(' ').map(|word| {
        let digits = word.chars().any(|c| c.is_ascii_digit());
        let time =
            digits && (word.ends_with("ms.") || word.ends_with("ms,") || word.starts_with('['));
        let port = word.starts_with("127.0.0.1:");
        let times = digits && word.matches('/').count() == 2 && !word.contains("be/");
        // Sessions overlap or not by the speed of a close.
        let counts = word.matches('/').count() == 4;
        if time || port || times || counts {
            "*"
        } else {
            word
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    // `errno-names` of docs/differences.md.
    Some(line.replace(
        "ECONNREFUSED returned by OS (Connection refused)",
        "Connection refused",
    ))
}

#[test]
fn the_same_evening() -> Result<()> {
    let (theirs, ours) = (evening(Program::Haproxy)?, evening(Program::Posthouse)?);
    ensure!(
        theirs.states == ours.states,
        "show servers state:\n{}\n--\n{}",
        theirs.states.join("\n"),
        ours.states.join("\n")
    );
    let mut differences = Vec::new();
    for (row, fields) in &theirs.statistics {
        let Some(own) = ours.statistics.get(row) else {
            differences.push(format!("{row:?} is missing"));
            continue;
        };
        for (theirs, ours) in fields.iter().zip(own) {
            if theirs != ours {
                differences.push(format!("{row:?} {theirs:?} {ours:?}"));
            }
        }
    }
    ensure!(
        differences.is_empty(),
        "show stat:\n{}",
        differences.join("\n")
    );
    ensure!(
        theirs.lines == ours.lines,
        "log lines:\n{}\n--\n{}",
        theirs.lines.join("\n"),
        ours.lines.join("\n")
    );
    Ok(())
}

/// `-c` says the same of the article, of its pieces, and of what is wrong.
#[test]
fn the_same_verdicts() -> Result<()> {
    let timeouts = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n";
    let cases = [
        (
            "the article",
            include_str!("../examples/article.cfg").replace("/var/run/haproxy", "/tmp"),
        ),
        ("a typo", "listen l\n bimd :25\n".into()),
        (
            "an unknown backend",
            format!("{timeouts}frontend f\n bind 127.0.0.1:2525\n default_backend nope\n"),
        ),
        (
            "no listener",
            format!("{timeouts}backend b\n server s 127.0.0.1:25\n"),
        ),
        (
            "a missing table",
            format!("{timeouts}backend b\n stick on src\n server s 127.0.0.1:25\n"),
        ),
        (
            "an http directive",
            format!(
                "{timeouts}listen l\n bind 127.0.0.1:2525\n option forwardfor\n server s 127.0.0.1:25\n"
            ),
        ),
        (
            "Debian's own",
            std::fs::read_to_string("/etc/haproxy/haproxy.cfg")?.replace("/run/haproxy", "/tmp"),
        ),
        ("a bad time", "defaults\n timeout client 1x\n".into()),
        ("port 0", "listen l\n bind 127.0.0.1:0\n".into()),
        ("a quote left open", "defaults\n log-tag \"x\n".into()),
        (
            "two servers of a name",
            format!("{timeouts}backend b\n server s 127.0.0.1:25\n server s 127.0.0.1:26\n"),
        ),
    ];
    let mut cases: Vec<_> = cases
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .into();
    // The article's snippets, each alone, and what is wrong in one way each.
    for directory in ["../config/tests/article", "../config/tests/invalid"] {
        cases.extend(configurations(directory)?);
    }
    cases.retain(|(name, _)| !OWN_VERDICTS.iter().any(|(own, _)| own == name));
    ensure!(cases.len() > 50, "{} are few", cases.len());
    let directory = tempfile::TempDir::new()?;
    let mut differences = Vec::new();
    for (name, text) in cases {
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let mut codes = Vec::new();
        for program in [Program::Haproxy, Program::Posthouse] {
            let output = program.command()?.arg("-c").arg("-f").arg(&file).output()?;
            codes.push((
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        if codes[0].0 != codes[1].0 {
            differences.push(format!("{name}: {codes:#?}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// What Debian's HAProxy lists in its help is a command here as well, or says that it is none, and why.
#[test]
fn every_command_is_here_or_says_why_not() -> Result<()> {
    let start = |program| Proxy::start(program, &config(free_port()?, "", "server s1 127.0.0.1:9"));
    let (theirs, ours) = (start(Program::Haproxy)?, start(Program::Posthouse)?);
    let help = theirs.ask("expert-mode on; experimental-mode on; help")?;
    let word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
    let commands: BTreeSet<String> = lines
        .filter_map(|line| line.split(':').next())
        .map(|usage| {
            usage
                .split_whitespace()
                .take_while(word)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    ensure!(commands.len() > 100, "{} are few: {help}", commands.len());
    let mut silent = Vec::new();
    for command in commands {
        let answer = ours.ask(&command)?;
        if answer.starts_with("Unknown command") && !answer.contains("' is not here: ") {
            silent.push(format!("{command}: {answer}"));
        }
    }
    ensure!(silent.is_empty(), "{}", silent.join("\n"));
    Ok(())
}

/// Name and text of every configuration of a directory.
fn configurations(directory: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cfg") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            found.push((name.into_owned(), std::fs::read(&path)?));
        }
    }
    Ok(found)
}

/// Configurations whose verdict is meant to differ from that of HAProxy 2.6, and why.
const OWN_VERDICTS: &[(&str, &str)] = &[
    ("mode-http", "Posthouse relays mail"),
    (
        "smtp-in-tcp",
        "it has a mode and keywords of Posthouse's own",
    ),
    (
        "failover-and-retries",
        "it has a keyword of Posthouse's own",
    ),
];
