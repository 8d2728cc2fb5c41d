//! What has happened, told: `show events`, the event log, the log lines of failovers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{run, wait_until};

use crate::support::{config, free_port};

/// A primary and a backup, both checked.
fn pair(global: &str) -> Result<(Server, Server, Proxy)> {
    let (first, second) = (Server::start(Manner::Mail)?, Server::start(Manner::Mail)?);
    let backend = format!(
        "option smtpchk EHLO test\n    server s1 {} check\n    server s2 {} check backup",
        first.address(),
        second.address()
    );
    let configuration = config(free_port()?, "", &backend);
    let configuration =
        configuration.replace("maxconn 2000", &format!("maxconn 2000\n    {global}"));
    let proxy = Proxy::start(Program::Posthouse, &configuration)?;
    Ok((first, second, proxy))
}

const FAILS_OVER: &str =
    "Backend be fails over: new sessions go to backup server s2 instead of server s1.";
const FAILS_BACK: &str =
    "Backend be fails back: new sessions go to server s1 instead of backup server s2.";

fn records(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .with_context(|| text.clone())
}

#[test]
fn a_failover_is_told_to_the_log_to_who_asks_and_to_who_watches() -> Result<()> {
    let (first, _second, proxy) = pair("")?;
    let mut watcher = UnixStream::connect(proxy.socket())?;
    watcher.set_read_timeout(Some(testkit::PATIENCE))?;
    watcher.write_all(b"show events buf0 -wn\n")?;
    let mut watched = BufReader::new(watcher.try_clone()?).lines();
    // It is there when another connection was answered.
    ensure!(
        proxy
            .ask("show events")?
            .contains("buf0       : type=buffer")
    );
    first.stop();
    for part in ["Server be/s1 is DOWN, reason: Layer4", FAILS_OVER] {
        proxy.output.wait_for(part)?;
        let line = watched.next().context("the watcher hears nothing")??;
        ensure!(line.starts_with("<1>20") && line.contains(part), "{line}");
    }
    first.resume()?;
    proxy.output.wait_for(FAILS_BACK)?;
    let all = proxy.ask("show events buf0")?;
    let count = |part: &str| all.lines().filter(|line| line.contains(part)).count();
    ensure!(count(FAILS_OVER) == 1 && count(FAILS_BACK) == 1, "{all}");
    ensure!(all.contains("Process started."), "{all}");
    // Any key ends it.
    watcher.write_all(b"x")?;
    let mut rest = String::new();
    watcher.read_to_string(&mut rest)?;
    ensure!(rest.ends_with("\n\n"), "{rest:?}");
    // As the end of the request does, so that `echo ... | socat` comes back.
    let mut hasty = UnixStream::connect(proxy.socket())?;
    hasty.write_all(b"show events json -w\n")?;
    hasty.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    hasty.read_to_string(&mut text)?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let read: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let failover = read.iter().find(|event| event["event"] == "failover");
    let failover = failover.context("no failover")?;
    ensure!(failover["from"] == serde_json::json!(["s1"]) && failover["onto_backup"] == true);
    for (command, answer) in [
        ("show events nope", "No such event sink"),
        ("show events buf0 -x", "unknown option"),
        ("user; show events", "Permission denied"),
    ] {
        let said = proxy.ask(command)?;
        ensure!(said.contains(answer), "{command}: {said}");
    }
    Ok(())
}

#[test]
fn the_event_log_has_every_event_and_follows_its_name() -> Result<()> {
    let (_first, _second, mut proxy) = pair("event-log @dir@/events.json")?;
    let path = proxy.directory().join("events.json");
    proxy.ask("set server be/s1 state maint")?;
    let failed_over = |events: &[Value]| events.iter().any(|event| event["text"] == FAILS_OVER);
    wait_until("the failover is in the event log", || {
        records(&path).is_ok_and(|events| failed_over(&events))
    })?;
    let before = records(&path)?;
    let down = before.iter().find(|event| event["to"] == "MAINT");
    let down = down.context("the server's event")?;
    ensure!(
        (&down["event"], &down["by"], &down["server"])
            == (&"server".into(), &"operator".into(), &"s1".into()),
        "{down}"
    );
    // As logrotate does it.
    let rotated = proxy.directory().join("events.json.1");
    std::fs::rename(&path, &rotated)?;
    proxy.ask("set server be/s1 state ready; set server be/s1 weight 7")?;
    wait_until("the new file has the new events", || {
        records(&path).is_ok_and(|events| events.iter().any(|event| event["event"] == "weight"))
    })?;
    ensure!(records(&rotated)?.len() == before.len());
    // The last words are in it, and no number is missing.
    proxy.signal(Signal::TERM)?;
    proxy.wait()?;
    let mut all = before;
    all.extend(records(&path)?);
    let numbers: Vec<_> = all
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    ensure!(
        numbers == (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "{numbers:?}"
    );
    ensure!(all.last().context("no event")?["to"] == "ENDED");
    Ok(())
}

/// Its directory is out of sight by then, and it belongs to whom the process has become.
#[test]
fn the_event_log_is_written_from_a_chroot_by_another_user() -> Result<()> {
    let place = tempfile::TempDir::with_prefix("posthouse-events-")?;
    let log = place.path().join("log");
    std::fs::create_dir(&log)?;
    std::fs::create_dir(place.path().join("jail"))?;
    let nobody = || run(Command::new("id").args(["-u", "nobody"]));
    let uid: u32 = nobody()?.trim().parse()?;
    std::os::unix::fs::chown(&log, Some(uid), None)?;
    let path = log.join("events.json");
    let global = format!(
        "chroot {}\n    user nobody\n    group nogroup\n    event-log {}",
        place.path().join("jail").display(),
        path.display()
    );
    let (first, _second, proxy) = pair(&global)?;
    ensure!(std::fs::metadata(&path)?.uid() == uid);
    let has = |event: &str| {
        records(&path).is_ok_and(|events| events.iter().any(|known| known["event"] == event))
    };
    wait_until("the start is told", || has("process"))?;
    std::fs::rename(&path, log.join("events.json.1"))?;
    proxy.wait_for_status("be", "s1", "UP")?;
    first.stop();
    wait_until("the failover is in the new file", || has("failover"))?;
    let new = std::fs::metadata(&path)?;
    ensure!(new.uid() == uid && new.mode() & 0o777 == 0o640, "{new:?}");
    Ok(())
}

#[test]
fn an_event_log_that_cannot_be_made_is_told_at_the_start() -> Result<()> {
    let configuration = config(free_port()?, "", "server s1 127.0.0.1:9");
    let configuration =
        configuration.replace("maxconn 2000", "event-log /no/such/place/events.json");
    let refused = Proxy::start(Program::Posthouse, &configuration);
    let why = format!("{:#}", refused.err().context("it has started")?);
    ensure!(
        why.contains("event-log /no/such/place/events.json: No such file"),
        "{why}"
    );
    Ok(())
}
