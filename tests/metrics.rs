//! Metrics and statistics over HTTP, next to Debian's haproxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::need;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::scrape::{Scrape, curl, metrics};
use crate::support::free_port;

/// A service with one server, a stick table, and the pages as one has them.
pub(crate) fn configuration(front: SocketAddr, pages: SocketAddr, server: SocketAddr) -> String {
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
    bind {front} name main
    option socket-stats
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

/// It runs, has checked its servers and delivered a message, and nobody is connected.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) front: SocketAddr,
    pub(crate) pages: SocketAddr,
}

pub(crate) fn scene(program: Program) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let proxy = Proxy::start(program, &configuration(front, pages, server.address()))?;
    proxy.wait_for_status("be", "s2", "DOWN")?;
    proxy.wait_for_first_check("be", "s1")?;
    deliver(front, "counted")?;
    proxy.wait_until_idle("fe")?;
    Ok(Scene {
        server,
        proxy,
        front,
        pages,
    })
}

/// What HAProxy 3.4 has and Debian's 2.6 has not, but for resolvers: name without its prefix, and type.
const NEW_IN_3_4: &[(&str, &str)] = &[
    ("process_nb_thread_groups", "gauge"),
    ("process_node", "gauge"),
    ("process_patterns_added_total", "counter"),
    ("process_patterns_freed_total", "counter"),
    ("process_total_warnings", "counter"),
    ("frontend_current_session_rate", "gauge"),
    ("frontend_req_bytes_in_total", "counter"),
    ("frontend_req_bytes_out_total", "counter"),
    ("frontend_res_bytes_in_total", "counter"),
    ("frontend_res_bytes_out_total", "counter"),
    ("listener_connections_total", "counter"),
    ("listener_req_bytes_in_total", "counter"),
    ("listener_req_bytes_out_total", "counter"),
    ("listener_res_bytes_in_total", "counter"),
    ("listener_res_bytes_out_total", "counter"),
    ("backend_current_session_rate", "gauge"),
    ("backend_req_bytes_in_total", "counter"),
    ("backend_req_bytes_out_total", "counter"),
    ("backend_res_bytes_in_total", "counter"),
    ("backend_res_bytes_out_total", "counter"),
    ("server_active", "gauge"),
    ("server_backup", "gauge"),
    ("server_current_session_rate", "gauge"),
    ("server_private_idle_connections_current", "gauge"),
    ("server_req_bytes_in_total", "counter"),
    ("server_req_bytes_out_total", "counter"),
    ("server_res_bytes_in_total", "counter"),
    ("server_res_bytes_out_total", "counter"),
    ("sticktable_local_updates", "gauge"),
];

/// Parts of names whose values are of the moment, of the machine, or of the program's own insides.
const OWN_VALUES: &[&str] = &[
    "_last_change_seconds",
    "_last_session_seconds",
    "_time_average_seconds",
    "_time_seconds",
    "_uptime_seconds",
    "_downtime_seconds_total",
    "check_duration_seconds",
    "process_build_info",
    "process_bytes_out_",
    // HAProxy counts the stats socket's connections too, and one may still be on its way out.
    "process_connections_total",
    "process_current_connections",
    "process_jobs",
    "process_requests_total",
    "_connection_rate",
    "_connections_rate_max",
    "_session_rate",
    "process_current_run_queue",
    "process_current_tasks",
    "process_idle_time_percent",
    "process_max_fds",
    "process_max_sockets",
    "process_pool_",
    // Of connections that are kept for the next request: there are none in `mode tcp`.
    "server_need_connections_current",
];

/// Name by name, type by type, label by label, value by value; of HTTP's own metrics there are none.
#[test]
fn the_same_metrics_as_debians_haproxy() -> Result<()> {
    let scrape = |program: Program| -> Result<Scrape> {
        let scene = scene(program)?;
        Ok(Scrape::parse(&metrics(scene.pages, "")?))
    };
    let (theirs, ours) = (scrape(Program::Haproxy)?, scrape(Program::Posthouse)?);
    let of_http = |name: &str| {
        let of_proxy = !name.starts_with("haproxy_process_");
        of_proxy && name.contains("_http_") || name.contains("intercepted")
    };
    let expected = theirs.kinds.iter().filter(|(name, _)| !of_http(name));
    let mut expected: BTreeMap<String, String> = expected
        .map(|(name, kind)| (name.clone(), kind.clone()))
        .collect();
    ensure!(expected.len() > 150, "{} are few", expected.len());
    expected.extend(
        NEW_IN_3_4
            .iter()
            .map(|(name, kind)| (format!("haproxy_{name}"), (*kind).to_owned())),
    );
    let mut found = ours.kinds.clone();
    found.retain(|name, _| name.starts_with("haproxy_"));
    ensure!(found == expected, "{}", differences(&expected, &found));

    let own = |sample: &str| OWN_VALUES.iter().any(|part| sample.contains(part));
    let mut wrong = Vec::new();
    for (sample, value) in theirs.samples.iter().filter(|(sample, _)| !of_http(sample)) {
        let ours = ours.samples.get(sample);
        let same = ours == Some(value) || ours.is_some() && own(sample);
        if !same && !sample.starts_with("haproxy_process_build_info") {
            wrong.push(format!("{sample}: {value}, not {ours:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What only one of both has, or has with another type.
fn differences(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let missing = expected
        .iter()
        .filter(|(name, kind)| found.get(*name) != Some(kind));
    let beyond = found
        .iter()
        .filter(|(name, kind)| expected.get(*name) != Some(kind));
    let missing: Vec<_> = missing.collect();
    let beyond: Vec<_> = beyond.collect();
    format!("missing: {missing:#?}, not HAProxy's: {beyond:#?}")
}

/// A listener is counted for itself, and has a limit of its own.
#[test]
fn listeners_are_counted() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let server = Server::start(Manner::Mail)?;
        let (first, second, pages) = (free_port()?, free_port()?, free_port()?);
        let text = configuration(first, pages, server.address()).replace(
            "option socket-stats",
            &format!("bind {second} maxconn 1\n    option socket-stats"),
        );
        let proxy = Proxy::start(program, &text)?;
        proxy.wait_for_status("be", "s2", "DOWN")?;
        deliver(first, "x")?;
        deliver(first, "y")?;
        deliver(second, "z")?;
        let (mut client, _) = Client::greeted(second)?;
        let mut waits = Client::connect(second)?;
        ensure!(
            waits.hears_nothing_for(Duration::from_millis(300))?,
            "{program:?}"
        );
        let scrape = Scrape::parse(&metrics(pages, "?scope=listener")?);
        let value = |name: &str, listener: &str| {
            let labels = format!("proxy=\"fe\",listener=\"{listener}\"");
            scrape.value(&format!("haproxy_listener_{name}{{{labels}}}"))
        };
        for (name, listener, expected) in [
            ("sessions_total", "main", 2.0),
            ("sessions_total", "sock-2", 2.0),
            ("current_sessions", "sock-2", 1.0),
            ("limit_sessions", "sock-2", 1.0),
        ] {
            let found = value(name, listener)?;
            ensure!(
                found == expected,
                "{program:?}: {name} of {listener}: {found}"
            );
        }
        let full = "haproxy_listener_status{proxy=\"fe\",listener=\"sock-2\",state=\"FULL\"}";
        ensure!(scrape.value(full)? == 1.0, "{program:?}");
        ensure!(proxy.stat("fe", "sock-2", "type")? == "3", "{program:?}");
        ensure!(proxy.stat("fe", "main", "slim")? == "0", "{program:?}");
        client.finish()?;
        ensure!(waits.line()?.starts_with("220"), "{program:?}");
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
    let mut rude = Client::connect(scene.pages)?;
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
