//! What is shipped in `dist/`, tried with the programs it is for.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{need, run, wait_until};

use crate::metrics::scene;
use crate::scrape::{Daemon, Scrape, dist, metrics};
use crate::support::{config, free_port};

#[test]
fn the_alert_rules_are_right_and_their_tests_pass() -> Result<()> {
    need("promtool", "prometheus")?;
    for (test, file) in [
        ("check", "posthouse.rules.yml"),
        ("test", "posthouse.test.yml"),
    ] {
        let path = dist(&format!("prometheus/{file}"));
        run(Command::new("promtool").args([test, "rules", &path]))?;
    }
    // Every alert has a test that sees it fire.
    let rules = fs::read_to_string(dist("prometheus/posthouse.rules.yml"))?;
    let tests = fs::read_to_string(dist("prometheus/posthouse.test.yml"))?;
    for line in rules.lines() {
        let Some(name) = line.trim().strip_prefix("- alert: ") else {
            continue;
        };
        let fires = format!("alertname: {name}\n        exp_alerts:");
        ensure!(tests.contains(&fires), "{name} is not tested");
    }
    Ok(())
}

/// All metrics that rules and dashboard name are there, under these names.
#[test]
fn what_rules_and_dashboard_ask_for_exists() -> Result<()> {
    let scene = scene(Program::Posthouse)?;
    // Servers that speak first have histograms, alerts have receivers; this scene has neither: they are known by name.
    let scrape = Scrape::parse(&metrics(scene.pages, "")?);
    let mut known: BTreeSet<String> = scrape.kinds.keys().cloned().collect();
    known.insert("posthouse_server_greeting_seconds".into());
    known.insert("posthouse_alert_failing".into());
    let rules = fs::read_to_string(dist("prometheus/posthouse.rules.yml"))?;
    let dashboard = fs::read_to_string(dist("grafana/posthouse.json"))?;
    let named = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let words = words.filter(|word| {
            let rest = word.strip_prefix("haproxy_");
            let rest = rest.or_else(|| word.strip_prefix("posthouse_"));
            rest.is_some_and(|rest| !rest.is_empty())
        });
        words.map(str::to_owned).collect()
    };
    for name in named(&rules).into_iter().chain(named(&dashboard)) {
        let plain = ["_bucket", "_sum", "_count"];
        let mut plain = plain.iter().filter_map(|ending| name.strip_suffix(ending));
        let there = known.contains(&name) || plain.any(|name| known.contains(name));
        ensure!(there, "there is no {name}");
    }
    Ok(())
}

/// The dashboard is one: every panel has its place and its queries, which Prometheus understands.
#[test]
fn the_dashboard_is_whole() -> Result<()> {
    need("promtool", "prometheus")?;
    let text = fs::read_to_string(dist("grafana/posthouse.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let mut rules = String::from("groups:\n- name: queries\n  rules:\n");
    let mut ids = BTreeSet::new();
    let mut queries = 0;
    for panel in panels {
        let title = &panel["title"];
        ensure!(
            ids.insert(panel["id"].as_u64()),
            "{title}: its id is there twice"
        );
        ensure!(
            panel["gridPos"]["w"]
                .as_u64()
                .is_some_and(|wide| wide <= 24),
            "{title}"
        );
        let targets = panel["targets"].as_array();
        ensure!(
            targets.is_some() || panel["type"] == "row",
            "{title} asks nothing"
        );
        for target in targets.into_iter().flatten() {
            let query = target["expr"].as_str().context("a query")?;
            let query = query
                .replace("$__rate_interval", "1m")
                .replace("$instance", ".*");
            let query = query.replace("$proxy", ".*").replace('\'', "\"");
            ensure!(!query.contains('$'), "{title}: {query}");
            rules.push_str(&format!("  - record: q:{queries}\n    expr: '{query}'\n"));
            queries += 1;
        }
    }
    ensure!(queries > 20, "{queries} are few");
    let directory = tempfile::TempDir::new()?;
    let file = directory.path().join("queries.yml");
    fs::write(&file, rules)?;
    run(Command::new("promtool").args(["check", "rules"]).arg(&file))?;
    Ok(())
}

/// Posthouse's lines, through rsyslog with the shipped snippet, into their file; and logrotate takes the file.
#[test]
fn rsyslog_and_logrotate_take_the_log() -> Result<()> {
    need("rsyslogd", "rsyslog")?;
    need("logrotate", "logrotate")?;
    let directory = tempfile::TempDir::new()?;
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (socket, file) = (place("dev/log"), place("posthouse.log"));
    fs::create_dir(directory.path().join("dev"))?;
    let snippet = fs::read_to_string(dist("rsyslog/49-posthouse.conf"))?;
    ensure!(
        snippet.contains("\"/var/lib/posthouse/dev/log\"")
            && snippet.contains("\"/var/log/posthouse.log\"")
    );
    let snippet = snippet
        .replace("/var/lib/posthouse/dev/log", &socket)
        .replace("/var/log/posthouse.log", &file);
    let conf = place("rsyslog.conf");
    fs::write(
        &conf,
        format!("module(load=\"imuxsock\" SysSock.Use=\"off\")\n{snippet}"),
    )?;
    run(Command::new("rsyslogd").args(["-N1", "-f", &conf]))?;
    let arguments = ["-n", "-f", &conf, "-i", &place("pid")].map(str::to_owned);
    let _rsyslog = Daemon::start("rsyslogd", &arguments)?;
    wait_until("rsyslog listens", || fs::exists(&socket).unwrap_or(false))?;

    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {} check", server.address());
    let text = config(front, "", &backend).replace("stdout format raw", &socket);
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    proxy.wait_for_status("be", "s1", "UP")?;
    deliver(front, "logged")?;
    server.stop();
    proxy.wait_for_status("be", "s1", "DOWN")?;
    let logged = |words: &str| fs::read_to_string(&file).is_ok_and(|text| text.contains(words));
    wait_until("the session is logged", || logged(" fe be/s1 "))?;
    wait_until("the fall is logged", || logged("Server be/s1 is DOWN"))?;
    ensure!(logged(" posthouse["), "with the program's name");

    let rotate = fs::read_to_string(dist("logrotate/posthouse"))?;
    // Nobody to be told in this test; and the file is not a day old.
    let rotate = rotate
        .replace("/var/log/posthouse.log", &file)
        .replace("/usr/lib/rsyslog/rsyslog-rotate", "true");
    let conf = place("logrotate.conf");
    fs::write(&conf, rotate)?;
    let state = place("state");
    run(Command::new("logrotate").args(["--force", "--state", &state, &conf]))?;
    let names = fs::read_dir(directory.path())?.filter_map(Result::ok);
    let rotated = names.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("posthouse.log-")
    });
    ensure!(rotated.count() == 1 && !fs::exists(&file)?);
    Ok(())
}

#[test]
fn the_unit_is_one() -> Result<()> {
    need("systemd-analyze", "systemd")?;
    let unit = fs::read_to_string(dist("systemd/posthouse.service"))?;
    let program = Program::Posthouse.path()?;
    let directory = tempfile::TempDir::new()?;
    let file = directory.path().join("posthouse.service");
    fs::write(
        &file,
        unit.replace("/usr/sbin/posthouse", &program.display().to_string()),
    )?;
    let mut verify = Command::new("systemd-analyze");
    let output = verify.arg("verify").arg("--man=no").arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success() && !said.contains("posthouse.service"),
        "{said}"
    );
    Ok(())
}

/// The tests that docs/smtp.md names for the rows of its table are there.
#[test]
fn the_tests_of_each_row_exist() -> Result<()> {
    let page = fs::read_to_string("../docs/smtp.md")?;
    let mut names = 0;
    for name in page.split('`').filter(|word| word.contains(".rs::")) {
        let (file, test) = name.split_once("::").context("a name")?;
        let found = ["../tests", "../wire/src/smtp/tests"]
            .iter()
            .any(|directory| {
                let text = fs::read_to_string(format!("{directory}/{file}")).unwrap_or_default();
                text.contains(&format!("fn {test}()")) || text.contains(&format!("    {test}: "))
            });
        ensure!(found, "there is no {name}");
        names += 1;
    }
    ensure!(names > 20, "{names} are few");
    Ok(())
}
