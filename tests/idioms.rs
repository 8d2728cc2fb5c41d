//! How people attach monitoring to HAProxy: sections as they are found in the wild, served by Debian's haproxy and by
//! Posthouse, and asked the same questions.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::run;
use testkit::server::{Manner, Server};

use crate::scrape::curl;
use crate::support::free_port;

/// A section; and requests: arguments of curl, the path, and what must come of it.
struct Idiom {
    name: &'static str,
    text: &'static str,
    requests: &'static [(&'static [&'static str], &'static str, u16)],
}

const IDIOMS: &[Idiom] = &[
    Idiom {
        name: "metrics alone",
        text: "frontend prometheus\n bind @pages@\n mode http\n http-request use-service prometheus-exporter if { path /metrics }\n no log",
        requests: &[
            (&[], "/metrics", 200),
            (&[], "/metrics?scope=global", 200),
            (&[], "/", 503),
        ],
    },
    Idiom {
        name: "metrics and statistics",
        text: "listen stats\n bind @pages@\n mode http\n option httplog\n http-request use-service prometheus-exporter if { path /metrics }\n stats enable\n stats uri /stats\n stats refresh 10s\n stats show-legends\n stats show-node\n stats admin if LOCALHOST",
        requests: &[
            (&[], "/metrics", 200),
            (&[], "/stats", 200),
            (&[], "/stats;csv", 200),
            (&[], "/stats?x", 200),
            (&[], "/other", 503),
        ],
    },
    Idiom {
        name: "at the root, behind a password",
        text: "listen admin_stats\n bind @pages@\n mode http\n log global\n stats refresh 30s\n stats uri /\n stats realm Mail\\ Statistics\n stats auth admin:123456\n stats auth guest:guest\n stats hide-version\n stats admin if TRUE",
        requests: &[
            (&[], "/", 401),
            (&["-u", "admin:123456"], "/", 200),
            (&["-u", "admin:12345"], "/", 401),
            (&["-u", "guest:guest"], "/;csv", 200),
        ],
    },
    Idiom {
        name: "a userlist with groups",
        text: "userlist stats-auth\n group admin users admin\n user admin insecure-password LetMeIn\n group ro users stats\n user stats insecure-password ReadOnly\n\nlisten stats\n bind @pages@\n mode http\n stats enable\n stats uri /stats\n acl AUTH http_auth(stats-auth)\n acl AUTH_ADMIN http_auth_group(stats-auth) admin\n stats http-request auth realm Mail unless AUTH\n stats admin if AUTH_ADMIN",
        requests: &[
            (&[], "/stats", 401),
            (&["-u", "admin:LetMeIn"], "/stats", 200),
            (&["-u", "stats:ReadOnly"], "/stats", 200),
            (&["-u", "stats:LetMeIn"], "/stats", 401),
            (&["-u", "stats:ReadOnly"], "/", 503),
        ],
    },
    Idiom {
        name: "groups of users guard the metrics",
        text: "userlist prom\n group scrape\n user prometheus insecure-password secret groups scrape\n user other insecure-password secret\n\nfrontend f\n bind @pages@\n mode http\n http-request auth realm metrics unless { http_auth(prom) }\n http-request deny deny_status 404 unless { http_auth_group(prom) scrape }\n http-request use-service prometheus-exporter if { path /metrics }",
        requests: &[
            (&[], "/metrics", 401),
            (&["-u", "prometheus:secret"], "/metrics", 200),
            (&["-u", "other:secret"], "/metrics", 404),
        ],
    },
    Idiom {
        name: "a frontend and a backend of statistics",
        text: "frontend stats-http8404\n mode http\n bind @pages@\n default_backend statistics\n\nbackend statistics\n mode http\n stats enable\n stats uri /stats\n http-request deny if { path_beg /secret }",
        requests: &[
            (&[], "/stats", 200),
            (&[], "/secret/x", 403),
            (&[], "/x", 503),
        ],
    },
    Idiom {
        name: "who may, by address, by name, by method",
        text: "frontend monitoring\n bind @pages@\n mode http\n acl network_allowed src 127.0.0.0/8 ::1\n acl is_metrics path -i /METRICS\n acl old path_beg /prom /exporter\n acl browser hdr_sub(user-agent) -i mozilla\n acl mine hdr(host) -i monitor.example.com\n acl ours hdr_dom(host) -i example.com\n http-request deny if !network_allowed or METH_POST\n http-request deny deny_status 400 if browser !mine\n http-request use-service prometheus-exporter if is_metrics || old ours",
        requests: &[
            (&[], "/metrics", 200),
            (&["-X", "POST"], "/metrics", 403),
            (&["-A", "Mozilla/5.0"], "/metrics", 400),
            (
                &["-A", "Mozilla/5.0", "-H", "Host: MONITOR.example.com"],
                "/metrics",
                200,
            ),
            (&[], "/prom/x", 503),
            (&["-H", "Host: a.example.com"], "/prom/x", 200),
            (&["-H", "Host: an-example.com"], "/prom/x", 503),
        ],
    },
    Idiom {
        name: "a list in a file",
        text: "frontend f\n bind @pages@\n mode http\n acl known src -f @dir@/known.lst\n acl paths path -i -f @dir@/paths.lst\n http-request deny unless known\n http-request use-service prometheus-exporter if paths",
        requests: &[(&[], "/METRICS", 200), (&[], "/metrics/x", 503)],
    },
    Idiom {
        name: "a health page for a balancer in front",
        text: "frontend health\n bind @pages@\n mode http\n acl mail_dead nbsrv(mail) lt 1\n acl spare_dead nbsrv(spare) lt 1\n monitor-uri /healthz\n monitor fail if mail_dead spare_dead\n http-request return status 200 content-type text/plain string \"up\" if { path /mail } !mail_dead\n http-request return status 503 content-type text/plain string \"down\" if { path /spare } spare_dead\n http-request deny deny_status 500",
        requests: &[
            (&[], "/healthz", 200),
            (&[], "/healthz?x", 500),
            (&[], "/mail", 200),
            (&[], "/spare", 503),
        ],
    },
    Idiom {
        name: "a health page of a dead service",
        text: "frontend health\n bind @pages@\n mode http\n monitor-uri /healthz\n monitor fail if { nbsrv(spare) lt 1 }\n stats enable",
        requests: &[(&[], "/healthz", 503), (&[], "/haproxy?stats", 200)],
    },
    Idiom {
        name: "redirects",
        text: "listen stats\n bind @pages@\n mode http\n http-request set-log-level silent if { path /metrics }\n http-request redirect code 301 location /stats if { path / }\n http-request use-service prometheus-exporter if { path -m beg /metrics }\n stats enable\n stats uri /stats\n redirect scheme https code 308 unless { ssl_fc }",
        requests: &[
            (&[], "/", 301),
            (&[], "/stats", 200),
            (&[], "/metrics", 200),
            (&[], "/else", 308),
        ],
    },
    Idiom {
        name: "tokens",
        text: "frontend f\n bind @pages@\n mode http\n acl token urlp(token) sesame\n acl bearer req.hdr(authorization) -m str \"Bearer sesame\"\n acl any req.hdr(authorization) -m found\n http-request deny if any !bearer\n http-request deny unless token or bearer\n http-request use-service prometheus-exporter",
        requests: &[
            (&[], "/metrics", 403),
            (&[], "/metrics?token=sesame", 200),
            (&[], "/metrics?token=other", 403),
            (&["-H", "Authorization: Bearer sesame"], "/metrics", 200),
            (
                &["-H", "Authorization: Bearer other"],
                "/metrics?token=sesame",
                403,
            ),
        ],
    },
];

fn configuration(idiom: &Idiom, front: &str, pages: &str, server: &str) -> String {
    let text = idiom.text.replace("@pages@", pages);
    format!(
        "global
    stats socket @dir@/socket mode 600 level admin

defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s

frontend smtp
    bind {front}
    default_backend mail

backend mail
    server m1 {server}

backend spare
    server m2 {server} disabled

{text}
"
    )
}

fn answers(program: Program, idiom: &Idiom) -> Result<Vec<String>> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?.to_string());
    let text = configuration(
        idiom,
        &front.to_string(),
        &pages,
        &server.address().to_string(),
    );
    let lists = tempfile::TempDir::new()?;
    std::fs::write(
        lists.path().join("known.lst"),
        "# known\n10.0.0.0/8\n127.0.0.1\n",
    )?;
    std::fs::write(lists.path().join("paths.lst"), "/metrics\n")?;
    let text = text.replace("@dir@/known", &format!("{}/known", lists.path().display()));
    let text = text.replace("@dir@/paths", &format!("{}/paths", lists.path().display()));
    let proxy = Proxy::start(program, &text).with_context(|| text.clone())?;
    let ask = |(arguments, path, _): &(&[&str], &str, u16)| {
        let url = format!("http://{pages}{path}");
        let form = "%{http_code} %{redirect_url}";
        let all = [&["-o", "/dev/null", "-w", form], *arguments, &[&url]].concat();
        Ok(curl(&all)?.replace(&pages, "<pages>"))
    };
    let answers = idiom.requests.iter().map(ask).collect();
    drop(proxy);
    answers
}

/// Each with both programs: the same answers, and the ones that are written here.
#[test]
fn monitoring_attaches_as_to_haproxy() -> Result<()> {
    for idiom in IDIOMS {
        let theirs = answers(Program::Haproxy, idiom).with_context(|| idiom.name)?;
        let ours = answers(Program::Posthouse, idiom).with_context(|| idiom.name)?;
        for (place, (_, path, status)) in idiom.requests.iter().enumerate() {
            let (theirs, ours) = (&theirs[place], &ours[place]);
            ensure!(
                theirs == ours,
                "{}: {path}: {theirs}, ours {ours}",
                idiom.name
            );
            ensure!(
                ours.starts_with(&status.to_string()),
                "{}: {path}: {ours}, not {status}",
                idiom.name
            );
        }
    }
    Ok(())
}

/// `-c` has nothing against them.
#[test]
fn none_of_them_is_an_error() -> Result<()> {
    for idiom in IDIOMS.iter().filter(|idiom| !idiom.text.contains("@dir@")) {
        let text = configuration(idiom, "127.0.0.1:2525", "127.0.0.1:8404", "127.0.0.1:25");
        let directory = tempfile::TempDir::new()?;
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, text.replace("@dir@", "/run"))?;
        let mut command: Command = Program::Posthouse.command()?;
        run(command.arg("-c").arg("-f").arg(&file)).with_context(|| idiom.name)?;
    }
    Ok(())
}
