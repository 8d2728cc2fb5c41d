//! Metrics and statistics over HTTP, by the tools that read HAProxy's: curl, promtool, Debian's exporter and
//! Prometheus itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{need, run, wait_until};

use crate::scrape::{Daemon, Scrape, curl, metrics};
use crate::support::free_port;

/// A service with one server, a stick table, and the pages as one has them.
fn configuration(front: SocketAddr, pages: SocketAddr, server: SocketAddr) -> String {
    format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    maxconn 100
    nbthread 2
    node here

defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s

frontend fe
    bind {front}
    default_backend be

backend be
    balance roundrobin
    stick-table type ip size 1k expire 1m store conn_cnt
    server s1 {server} check inter 200ms
    server s2 127.0.0.1:1 check inter 200ms backup maxconn 10 maxqueue 5
    server s3 127.0.0.1:2 disabled

frontend pages
    mode http
    bind {pages}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /stats
    stats refresh 10s
"
    )
}

struct Scene {
    server: Server,
    proxy: Proxy,
    pages: SocketAddr,
}

fn scene(program: Program) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let proxy = Proxy::start(program, &configuration(front, pages, server.address()))?;
    proxy.wait_for_status("be", "s2", "DOWN")?;
    deliver(front, "counted")?;
    Ok(Scene {
        server,
        proxy,
        pages,
    })
}

/// Name by name, type by type, label by label; of HTTP's own metrics there are none.
#[test]
fn the_same_metrics_as_debians_haproxy() -> Result<()> {
    let scrape = |program: Program| -> Result<Scrape> {
        let scene = scene(program)?;
        Ok(Scrape::parse(&metrics(scene.pages, "")?))
    };
    let (theirs, ours) = (scrape(Program::Haproxy)?, scrape(Program::Posthouse)?);
    let of_http = |name: &str| name.contains("_http_") || name.contains("intercepted");
    ensure!(theirs.kinds.len() > 150, "{} are few", theirs.kinds.len());
    for (name, kind) in theirs.kinds.iter().filter(|(name, _)| !of_http(name)) {
        ensure!(
            ours.kinds.get(name) == Some(kind),
            "{name} {kind}: {:?}",
            ours.kinds.get(name)
        );
    }
    let labelled = |scrape: &Scrape| -> BTreeSet<String> {
        let samples = scrape.samples.keys();
        samples
            .filter(|sample| {
                !of_http(sample) && !sample.contains("version=") && !sample.contains("\"pages\"")
            })
            .cloned()
            .collect()
    };
    let missing: Vec<_> = labelled(&theirs)
        .difference(&labelled(&ours))
        .cloned()
        .collect();
    ensure!(missing.is_empty(), "{missing:#?}");
    // States and counts that do not depend on the moment.
    for sample in [
        "haproxy_server_status{proxy=\"be\",server=\"s1\",state=\"UP\"}",
        "haproxy_server_status{proxy=\"be\",server=\"s2\",state=\"DOWN\"}",
        "haproxy_server_status{proxy=\"be\",server=\"s3\",state=\"MAINT\"}",
        "haproxy_server_check_status{proxy=\"be\",server=\"s2\",state=\"L4CON\"}",
        "haproxy_server_sessions_total{proxy=\"be\",server=\"s1\"}",
        "haproxy_server_limit_sessions{proxy=\"be\",server=\"s1\"}",
        "haproxy_server_queue_limit{proxy=\"be\",server=\"s2\"}",
        "haproxy_server_check_failures_total{proxy=\"be\",server=\"s3\"}",
        "haproxy_backend_active_servers{proxy=\"be\"}",
        "haproxy_backend_agg_server_status{proxy=\"be\",state=\"DOWN\"}",
        "haproxy_backend_agg_check_status{proxy=\"be\",state=\"L4CON\"}",
        "haproxy_backend_bytes_in_total{proxy=\"be\"}",
        "haproxy_sticktable_size{name=\"be\",type=\"ip\"}",
    ] {
        ensure!(
            theirs.samples.contains_key(sample)
                && theirs.samples.get(sample) == ours.samples.get(sample),
            "{sample}: {:?} {:?}",
            theirs.samples.get(sample),
            ours.samples.get(sample)
        );
    }
    Ok(())
}

#[test]
fn queries_choose_and_bad_ones_are_told() -> Result<()> {
    let scene = scene(Program::Posthouse)?;
    let servers = metrics(scene.pages, "?scope=server&no-maint")?;
    ensure!(servers.contains("server=\"s1\"") && !servers.contains("server=\"s3\""));
    ensure!(!servers.contains("haproxy_backend_"));
    let one = metrics(
        scene.pages,
        "?metrics=haproxy_process_maxconn,haproxy_process_jobs",
    )?;
    ensure!(one.lines().count() == 3, "{one}");
    ensure!(metrics(scene.pages, "?scope=")?.is_empty());
    let status = |path: &str| {
        let url = format!("http://{}{path}", scene.pages);
        curl(&["-o", "/dev/null", "-w", "%{http_code}", &url])
    };
    ensure!(status("/metrics?scope=bogus")? == "400");
    ensure!(status("/")? == "503");
    ensure!(status("/metrics")? == "200");
    // Nonsense harms nobody.
    let mut rude = testkit::client::Client::connect(scene.pages)?;
    rude.send("\0\u{1}\r\n\r\n")?;
    let _ = rude.rest();
    ensure!(status("/metrics")? == "200");
    Ok(())
}

#[test]
fn promtool_has_nothing_to_say() -> Result<()> {
    need("promtool", "prometheus")?;
    let scene = scene(Program::Posthouse)?;
    let text = metrics(scene.pages, "")?;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("stdin")?, text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // HAProxy's own names are what dashboards know; of ours nothing is to be said.
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("posthouse"))
        .collect();
    ensure!(
        ours.is_empty() && !said.contains("error while linting"),
        "{said}"
    );
    for test in ["check", "test"] {
        let file = if test == "check" {
            "posthouse.rules.yml"
        } else {
            "posthouse.test.yml"
        };
        let path = format!("{}/../dist/prometheus/{file}", env!("CARGO_MANIFEST_DIR"));
        run(Command::new("promtool").args([test, "rules", &path]))?;
    }
    Ok(())
}

/// Debian's exporter, over the socket and over `;csv`.
#[test]
fn the_haproxy_exporter_reads_both_ways() -> Result<()> {
    need("prometheus-haproxy-exporter", "prometheus-haproxy-exporter")?;
    let scene = scene(Program::Posthouse)?;
    let socket = scene.proxy.socket();
    for uri in [
        format!("unix:{}", socket.display()),
        format!("http://{}/stats;csv", scene.pages),
    ] {
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
        let samples = Scrape::parse(&scrape()).samples;
        for (sample, value) in [
            ("haproxy_server_up{backend=\"be\",server=\"s1\"}", "1"),
            ("haproxy_server_up{backend=\"be\",server=\"s2\"}", "0"),
            (
                "haproxy_server_sessions_total{backend=\"be\",server=\"s1\"}",
                "1",
            ),
            ("haproxy_backend_up{backend=\"be\"}", "1"),
            ("haproxy_frontend_sessions_total{frontend=\"fe\"}", "1"),
            ("haproxy_exporter_csv_parse_failures_total", "0"),
        ] {
            ensure!(
                samples.get(sample).map(String::as_str) == Some(value),
                "{uri}: {sample}: {:?}",
                samples.get(sample)
            );
        }
    }
    Ok(())
}

/// Prometheus scrapes, and the alert of `dist/` fires when the primary is gone.
#[test]
fn prometheus_alerts_when_the_primary_is_gone() -> Result<()> {
    need("prometheus", "prometheus")?;
    let scene = scene(Program::Posthouse)?;
    let directory = tempfile::TempDir::new()?;
    let rules = format!(
        "{}/../dist/prometheus/posthouse.rules.yml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{rules}']
scrape_configs:
  - job_name: posthouse
    static_configs: [{{targets: ['{}']}}]
",
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
    scene.server.stop();
    let begun = Instant::now();
    scene.proxy.wait_for_status("be", "s1", "DOWN")?;
    let alert = "ALERTS{alertname=\"MailServerDown\",server=\"s1\",alertstate=\"firing\"}";
    wait_until("the alert fires", || ask(alert).contains("\"s1\""))?;
    // A check interval or three, a scrape, an evaluation.
    ensure!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
    Ok(())
}

#[test]
fn the_page_asks_who_it_is_and_rules_hold() -> Result<()> {
    let pages = free_port()?;
    let text = format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s

listen stats
    bind {pages}
    acl local src 127.0.0.0/8 ::1
    acl admin_host hdr(host) -i stats.example.com
    http-request deny if !local or {{ path_beg /secret }}
    http-request use-service prometheus-exporter if {{ path -m str /metrics }} local
    stats uri /
    stats auth admin:secret
    stats auth guest:guest
    stats realm Mail\\ statistics
    stats hide-version
    stats admin if admin_host
"
    );
    let proxy = Proxy::start(
        Program::Posthouse,
        &format!("global\n    stats socket @dir@/socket\n{text}"),
    )?;
    let status = |arguments: &[&str], path: &str| {
        let url = format!("http://{pages}{path}");
        let all = [
            &["-o", "/dev/null", "-w", "%{http_code}"],
            arguments,
            &[&url[..]],
        ]
        .concat();
        curl(&all)
    };
    ensure!(status(&[], "/secret/x")? == "403");
    ensure!(status(&[], "/metrics")? == "200");
    ensure!(status(&[], "/")? == "401");
    ensure!(status(&["-u", "admin:wrong"], "/")? == "401");
    ensure!(status(&["-u", "guest:guest"], "/")? == "200");
    let head = curl(&["-I", &format!("http://{pages}/")])?;
    ensure!(
        head.contains("www-authenticate: Basic realm=\"Mail statistics\""),
        "{head}"
    );
    let page = curl(&["-u", "admin:secret", &format!("http://{pages}/")])?;
    ensure!(
        page.starts_with("<!doctype html>") && !page.contains("Version"),
        "{page}"
    );
    let json = curl(&["-u", "admin:secret", &format!("http://{pages}/;json")])?;
    ensure!(json.starts_with("[[{\"objType\":\"Frontend\""), "{json}");
    ensure!(proxy.stat("stats", "FRONTEND", "stot")?.parse::<u32>()? >= 8);
    Ok(())
}

/// 2,000 servers: a scrape takes a moment, and sessions do not wait for it.
#[test]
fn many_servers_are_scraped() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let mut text = configuration(front, pages, server.address());
    text.push_str("backend many\n");
    for number in 0..2_000 {
        text.push_str(&format!(
            "    server m{number} 127.0.0.1:{}\n",
            10_000 + number
        ));
    }
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    proxy.wait_for_status("be", "s1", "UP")?;
    let all = curl(&[&format!("http://{pages}/metrics")])?;
    ensure!(all.matches("haproxy_server_weight{proxy=\"many\"").count() == 2_000);
    let page = curl(&[&format!("http://{pages}/stats")])?;
    ensure!(page.contains(">m1999<"));
    Ok(())
}
