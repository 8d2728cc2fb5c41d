//! Monitoring and automation made for HAProxy, unchanged, at work on Posthouse: Debian's exporter, Prometheus, Ansible.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::client::Client;
use testkit::proxy::Program;
use testkit::{need, wait_until};

use crate::metrics::{Scene, scene};
use crate::scrape::{Daemon, Scrape, curl, dist};
use crate::support::free_port;

/// What Debian's exporter makes of a proxy.
fn exported(uri: &str) -> Result<Scrape> {
    need("prometheus-haproxy-exporter", "prometheus-haproxy-exporter")?;
    let listen = free_port()?;
    let arguments = [
        format!("--haproxy.scrape-uri={uri}"),
        format!("--web.listen-address={listen}"),
    ];
    let _exporter = Daemon::start("prometheus-haproxy-exporter", &arguments)?;
    let scrape = || curl(&[&format!("http://{listen}/metrics")]).unwrap_or_default();
    wait_until("the exporter has scraped", || {
        scrape().contains("\nhaproxy_up 1")
    })?;
    let mut found = Scrape::parse(&scrape());
    found.kinds.retain(|name, _| name.starts_with("haproxy_"));
    found.samples.retain(|name, _| name.starts_with("haproxy_"));
    Ok(found)
}

/// Over the socket and over `;csv`: what the exporter says of Debian's haproxy it says of Posthouse.
#[test]
fn debians_exporter_sees_the_same() -> Result<()> {
    // Of the moment, of the machine, and of the versions.
    let own = |sample: &str| {
        ["_rate", "seconds", "_duration_", "exporter_total_scrapes", "version"]
            .iter()
            .any(|part| sample.contains(part))
            // HAProxy's page is longer than ours.
            || sample.contains("\"pages\"")
    };
    let ways: [fn(&Scene) -> String; 2] = [
        |scene| format!("unix:{}", scene.proxy.socket().display()),
        |scene| format!("http://{}/stats;csv", scene.pages),
    ];
    for way in ways {
        let exported = |program| {
            let scene = scene(program)?;
            exported(&way(&scene))
        };
        let (theirs, ours) = (exported(Program::Haproxy)?, exported(Program::Posthouse)?);
        ensure!(
            theirs.samples.len() > 80,
            "{} are few",
            theirs.samples.len()
        );
        for (sample, value) in &theirs.samples {
            // HTTP's own, and the version in a label.
            let apart = ["_http_", "_compressor_", "version"];
            if apart.iter().any(|part| sample.contains(part)) {
                continue;
            }
            let found = ours.samples.get(sample);
            let same = found == Some(value) || found.is_some() && own(sample);
            ensure!(same, "{sample}: {value}, ours {found:?}");
        }
        ensure!(ours.value("haproxy_exporter_csv_parse_failures_total")? == 0.0);
        ensure!(ours.value("haproxy_server_up{backend=\"be\",server=\"s1\"}")? == 1.0);
        ensure!(ours.value("haproxy_server_up{backend=\"be\",server=\"s2\"}")? == 0.0);
    }
    Ok(())
}

/// Prometheus scrapes, and the alert of `dist/` fires within a scrape and an evaluation of the primary's fall.
#[test]
fn prometheus_alerts_when_the_primary_is_gone() -> Result<()> {
    need("prometheus", "prometheus")?;
    let scene = scene(Program::Posthouse)?;
    let directory = tempfile::TempDir::new()?;
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{}']
scrape_configs:
  - job_name: posthouse
    static_configs: [{{targets: ['{}']}}]
    params: {{scope: ['*'], no-maint: ['']}}
",
        dist("prometheus/posthouse.rules.yml"),
        scene.pages
    );
    let file = directory.path().join("prometheus.yml");
    std::fs::write(&file, text)?;
    let listen = free_port()?;
    let _prometheus = Daemon::start(
        "prometheus",
        &[
            format!("--config.file={}", file.display()),
            format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ),
            format!("--web.listen-address={listen}"),
        ],
    )?;
    let ask = |query: &str| {
        let query = format!("query={query}");
        let url = format!("http://{listen}/api/v1/query");
        curl(&["-G", "--data-urlencode", &query, &url]).unwrap_or_default()
    };
    let up = "haproxy_server_status{server=\"s1\",state=\"UP\"} == 1";
    wait_until("Prometheus has scraped", || {
        ask(up).contains("\"proxy\":\"be\"")
    })?;
    ensure!(ask("up{job=\"posthouse\"} == 1").contains("posthouse"));
    scene.server.stop();
    scene.proxy.wait_for_status("be", "s1", "DOWN")?;
    let down = Instant::now();
    let alert = "ALERTS{alertname=\"MailServerDown\",server=\"s1\",alertstate=\"firing\"}";
    wait_until("the alert fires", || ask(alert).contains("\"s1\""))?;
    // A scrape, an evaluation, and a second for a busy machine.
    ensure!(
        down.elapsed() < Duration::from_secs(3),
        "{:?}",
        down.elapsed()
    );
    wait_until("nobody is left", || {
        ask("ALERTS{alertname=\"MailBackendDown\",alertstate=\"firing\"}").contains("\"be\"")
    })
}

/// Ansible's `community.general.haproxy`, as a playbook would call it.
fn ansible(scene: &Scene, arguments: &str) -> Result<Command> {
    need("ansible", "ansible")?;
    let module = "/usr/lib/python3/dist-packages/ansible_collections/community/general/plugins/modules/haproxy.py";
    ensure!(
        std::path::Path::new(module).exists(),
        "the collection community.general is missing: apt-get install ansible, or run ./test as root"
    );
    let home = scene.proxy.directory().join("ansible");
    let arguments = format!(
        "host=s1 backend=be socket={} {arguments}",
        scene.proxy.socket().display()
    );
    let mut command = Command::new("ansible");
    command
        .args(["localhost", "--connection", "local", "--module-name"])
        .args(["community.general.haproxy", "--args", &arguments])
        .args(["-e", "ansible_python_interpreter=/usr/bin/python3"])
        .env("ANSIBLE_HOME", &home)
        .env("ANSIBLE_LOCAL_TEMP", home.join("tmp"))
        .env("ANSIBLE_REMOTE_TMP", home.join("tmp"))
        .env("ANSIBLE_NOCOLOR", "1")
        .env("HOME", &home)
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// A server is drained: the module waits for its last session, which is not cut; then it is in maintenance, and back.
#[test]
fn ansible_drains_a_server_and_waits_for_it() -> Result<()> {
    let scene = scene(Program::Posthouse)?;
    let (mut client, _) = Client::greeted(scene.front)?;
    let arguments = "state=disabled drain=true wait=true wait_interval=1 wait_retries=20 fail_on_not_found=true";
    let mut drain = ansible(&scene, arguments)?.spawn().context("ansible")?;
    let waited = scene.proxy.wait_for_status("be", "s1", "DRAIN");
    let waits = waited.is_ok() && matches!(drain.try_wait(), Ok(None));
    let finished = client.finish();
    let output = drain.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    waited.with_context(|| said.clone())?;
    finished?;
    ensure!(waits, "it did not wait for the session: {said}");
    ensure!(
        output.status.success() && said.contains("CHANGED"),
        "{said}"
    );
    ensure!(scene.proxy.status("be", "s1")? == "MAINT", "{said}");

    let arguments = "state=enabled wait=true wait_interval=1 weight=3";
    let output = ansible(&scene, arguments)?.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said.contains("\"status\": \"UP\""),
        "{said}"
    );
    ensure!(scene.proxy.stat("be", "s1", "weight")? == "3");

    let output = ansible(&scene, "state=drain host=nobody fail_on_not_found=true")?.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains("was not found"), "{said}");
    Ok(())
}
