//! The page of statistics over HTTP: what scripts made for HAProxy's send and read, next to Debian's HAProxy; forms,
//! tokens, the live stream and its bounds.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{need, run, wait_until};

use crate::support::free_port;

struct Scene {
    server: Server,
    proxy: Proxy,
    front: SocketAddr,
    pages: SocketAddr,
}

fn scene(program: Program, options: &str) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let text = format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend fe
    bind {front}
    default_backend be
backend be
    balance roundrobin
    option smtpchk
    server s1 {0} check inter 200ms
    server s2 {0} check inter 200ms backup
listen pages
    mode http
    bind {pages}
    stats enable
    stats uri /stats
    {options}
",
        server.address()
    );
    let proxy = Proxy::start(program, &text)?;
    proxy.wait_for_status("be", "s1", "UP")?;
    proxy.wait_for_status("be", "s2", "UP")?;
    Ok(Scene {
        server,
        proxy,
        front,
        pages,
    })
}

impl Scene {
    fn curl(&self, arguments: &[&str], path: &str) -> Result<String> {
        need("curl", "curl")?;
        let url = format!("http://{}{path}", self.pages);
        let all = [&["-sS", "--max-time", "20"], arguments, &[&url]].concat();
        run(Command::new("curl").args(all))
    }

    /// The status and the place that a form is answered with.
    fn post(&self, arguments: &[&str]) -> Result<String> {
        let told = "%{http_code} %{redirect_url}";
        let all = [&["-o", "/dev/null", "-w", told], arguments].concat();
        let said = self.curl(&all, "/stats")?;
        Ok(said.replace(&format!("http://{}", self.pages), ""))
    }
}

/// What scripts send; who may not, is told so.
#[test]
fn haproxys_forms_are_answered_alike() -> Result<()> {
    let forms = [
        "s=s1&action=drain&b=be",
        "s=s1&action=ready&b=%233",
        "b=be&action=maint&s=s1&s=s2",
        "s=s1&s=s2&action=ready&b=be",
        "s=s1&s=nope&action=ready&b=be",
        "s=s1&action=hdown&b=be",
        "s=s1&action=hrunn&b=be",
        "s=s1&action=dhlth&b=be",
        "s=s1&action=ehlth&b=be",
        "s=s1&action=shutdown&b=be",
        "s=s1&action=disable&b=be",
        "s=s1&action=enable&b=be",
        "s=s1&action=bogus&b=be",
        "s=nope&action=drain&b=be",
        "s=s1&action=drain&b=nope",
        "action=drain&b=be",
        "s=s1&action=ready",
        "s=s1;action=ready;b=be",
        "",
    ];
    let answers = |program: Program| -> Result<Vec<String>> {
        let scene = scene(program, "stats admin if { src 127.0.0.1 }")?;
        let answer = |form: &&str| {
            let said = scene.post(&["-d", form])?;
            let status = scene.proxy.status("be", "s1")?;
            let status = status.split(' ').next().unwrap_or_default().to_owned();
            Ok(format!("{form}: {said} {status}"))
        };
        forms.iter().map(answer).collect()
    };
    let (theirs, ours) = (answers(Program::Haproxy)?, answers(Program::Posthouse)?);
    ensure!(theirs == ours, "{theirs:#?}\n{ours:#?}");
    for program in [Program::Haproxy, Program::Posthouse] {
        let denied = scene(program, "stats admin if { src 192.0.2.1 }")?;
        let said = denied.post(&["-d", forms[0]])?;
        ensure!(said == "303 /stats;st=DENY", "{program:?}: {said}");
        ensure!(denied.proxy.status("be", "s1")? == "UP");
    }
    Ok(())
}

/// Another site cannot make an operator's browser act.
#[test]
fn a_browsers_form_needs_the_token() -> Result<()> {
    let scene = scene(Program::Posthouse, "stats admin if TRUE")?;
    let form = "s=s1&action=drain&b=be";
    let own = format!("Origin: http://{}", scene.pages);
    for marks in [
        &["-H", "Origin: https://evil.example"][..],
        &["-H", "Origin: null"],
        &["-H", "Sec-Fetch-Site: cross-site"],
        &["-H", "Referer: https://evil.example/x"],
        &["-H", &own],
    ] {
        let said = scene.post(&[marks, &["-d", form]].concat())?;
        ensure!(said.starts_with("403"), "{marks:?}: {said}");
        let wrong = format!("{form}&token=0123456789abcdef0123456789abcdef");
        ensure!(
            scene
                .post(&[marks, &["-d", &wrong]].concat())?
                .starts_with("403")
        );
    }
    ensure!(scene.proxy.status("be", "s1")? == "UP");
    let page = scene.curl(&[], "/stats")?;
    let token = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let token = token.context("the page has no token")?;
    ensure!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let ours = format!("token={token}&do=drain+be+s1");
    ensure!(scene.post(&["-H", &own, "-d", &ours])? == "303 /stats;st=DONE");
    ensure!(scene.proxy.status("be", "s1")? == "DRAIN");
    let done = scene.curl(&[], "/stats;st=DONE")?;
    ensure!(done.contains("role=\"status\" data-mood=\"up\"><span class=\"mark\"></span>Done."));
    // A form without an end, and one that never comes.
    let long = format!("x={}", "y".repeat(40_000));
    ensure!(scene.post(&["-d", &long])? == "303 /stats;st=EXCD");
    Ok(())
}

/// Nobody who may not act sees how to.
#[test]
fn without_stats_admin_there_are_no_buttons() -> Result<()> {
    let scene = scene(Program::Posthouse, "stats admin if { src 192.0.2.1 }")?;
    let page = scene.curl(&[], "/stats")?;
    ensure!(!page.contains("name=\"token\"") && !page.contains("name=\"do\""));
    ensure!(page.contains("s1 serves") && page.contains("All services are served."));
    // Addresses are for those `stats show-legends` gives them to.
    ensure!(!page.contains(&scene.server.address().to_string()));
    Ok(())
}

/// Addresses as scripts ask for them, with the headers HAProxy has.
#[test]
fn addresses_and_headers() -> Result<()> {
    let options = "stats refresh 7s\n    stats hide-version\n    stats show-legends";
    for program in [Program::Haproxy, Program::Posthouse] {
        let scene = scene(program, options)?;
        for (path, kind, start) in [
            ("/stats;csv", "text/plain", "# pxname,svname,"),
            ("/stats/;csv;norefresh", "text/plain", "# pxname,svname,"),
            (
                "/stats;json",
                "application/json",
                "[[{\"objType\":\"Frontend\"",
            ),
            ("/stats;json-schema", "application/json", "{\"$schema\":"),
            ("/stats;typed", "text/plain", "F."),
            ("/stats;up", "text/html", "<"),
            ("/stats?csv", "text/html", "<"),
            ("/statsfoo", "text/html", "<"),
        ] {
            let said = scene.curl(&["-i"], path)?;
            let (head, body) = said.split_once("\r\n\r\n").context("no head")?;
            ensure!(
                head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-type: {kind}")),
                "{path}: {head}"
            );
            ensure!(head.contains("cache-control: no-cache"), "{path}: {head}");
            ensure!(
                body.starts_with(start),
                "{path}: {}",
                &body[..body.len().min(80)]
            );
            let refreshes = kind != "text/html" && !path.contains("norefresh");
            if refreshes {
                ensure!(head.contains("refresh: 7"), "{path}: {head}");
            }
        }
        let csv = scene.curl(&[], "/stats;csv;scope=be")?;
        let names: Vec<_> = csv
            .lines()
            .filter_map(|line| line.split_once(','))
            .map(|(name, _)| name)
            .collect();
        ensure!(
            names[1..].iter().all(|name| *name == "be") && names.len() == 4,
            "{csv}"
        );
        ensure!(csv.contains(&scene.server.address().to_string()), "{csv}");
        let put = scene.curl(
            &["-X", "PUT", "-o", "/dev/null", "-w", "%{http_code}"],
            "/stats",
        )?;
        ensure!(put == "503", "{put}");
    }
    let scene = scene(Program::Posthouse, options)?;
    let page = scene.curl(&["-i"], "/stats")?;
    ensure!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"7\"></noscript>"));
    ensure!(!page.contains("version 3") && page.contains("title=\"127.0.0.1:"));
    let policy = page
        .lines()
        .find(|line| line.starts_with("content-security-policy: "));
    let policy = policy.context("no policy")?;
    ensure!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let nonce = |page: &str| {
        page.split("script-src 'nonce-")
            .nth(1)
            .map(|rest| rest[..32].to_owned())
    };
    ensure!(
        nonce(&page) != nonce(&scene.curl(&["-i"], "/stats")?),
        "a nonce is used once"
    );
    Ok(())
}

#[test]
fn stats_scope_hides_the_others() -> Result<()> {
    for program in [Program::Haproxy, Program::Posthouse] {
        let scene = scene(program, "stats scope be\n    stats admin if TRUE")?;
        let csv = scene.curl(&[], "/stats;csv")?;
        ensure!(
            csv.lines()
                .skip(1)
                .filter(|line| !line.is_empty())
                .all(|line| line.starts_with("be,")),
            "{csv}"
        );
    }
    let scene = scene(Program::Posthouse, "stats scope .\n    stats admin if TRUE")?;
    let data: Value = serde_json::from_str(&scene.curl(&[], "/stats;data")?)?;
    ensure!(
        data["rows"].as_array().is_some_and(|rows| rows.len() <= 2),
        "{data}"
    );
    ensure!(
        data["past"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    );
    // What is not seen is not touched.
    ensure!(scene.post(&["-d", "s=s1&action=drain&b=be"])? == "303 /stats;st=ERRP");
    Ok(())
}

/// A reader of the live stream.
struct Live(BufReader<TcpStream>);

impl Live {
    fn open(pages: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(pages)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {pages}\r\n\r\n")?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next line that begins so; what is behind it.
    fn next(&mut self, start: &str) -> Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            ensure!(self.0.read_line(&mut line)? > 0, "the stream has ended");
            if let Some(rest) = line.strip_prefix(start) {
                return Ok(rest.trim_end().to_owned());
            }
        }
    }

    fn message(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.next("data: ")?)?)
    }
}

#[test]
fn a_change_is_told_at_once() -> Result<()> {
    let scene = scene(Program::Posthouse, "")?;
    let mut live = Live::open(scene.pages, "/stats;live")?;
    ensure!(live.next("content-type: ")? == "text/event-stream");
    let all = live.message()?;
    ensure!(all["verdict"][0] == "All services are served.", "{all}");
    ensure!(
        all["past"]["b3.0"].is_array()
            && all["events"]
                .as_array()
                .is_some_and(|events| !events.is_empty())
    );
    let begun = Instant::now();
    scene.proxy.ask("set server be/s1 state drain")?;
    loop {
        let message = live.message()?;
        let rows = message["rows"].as_array().context("no rows")?;
        if let Some(row) = rows
            .iter()
            .find(|row| row["k"] == "s3.1" && row["c"]["status"] == "DRAIN")
        {
            ensure!(row["m"] == "apart", "{message}");
            ensure!(message["verdict"][0] == "be is on backup.", "{message}");
            let service = rows
                .iter()
                .find(|row| row["k"] == "b3.0")
                .context("no service")?;
            ensure!(
                service["c"]["serving"] == "s2, a backup, stands in",
                "{message}"
            );
            let kinds: Vec<_> = message["events"]
                .as_array()
                .context("no events")?
                .iter()
                .map(|event| event["event"].clone())
                .collect();
            ensure!(
                kinds.contains(&"failover".into()) && kinds.contains(&"server".into()),
                "{message}"
            );
            break;
        }
    }
    ensure!(
        begun.elapsed() < Duration::from_millis(800),
        "{:?}",
        begun.elapsed()
    );
    // Counts follow within the pace, and what has not changed is not told.
    deliver(scene.front, "counted")?;
    let mut rates = 0;
    for _ in 0..4 {
        let message = live.message()?;
        let rows = message["rows"].as_array().context("no rows")?;
        rates += rows
            .iter()
            .filter(|row| row["k"] == "b3.0" && row["c"]["stot"] == "1")
            .count();
    }
    ensure!(rates == 1, "{rates}");
    Ok(())
}

/// So many may watch and no more; who does not read is cut off; sessions do not notice.
#[test]
fn the_stream_is_bounded() -> Result<()> {
    let scene = scene(Program::Posthouse, "")?;
    // All come at once, as after a restart, and nobody is taken for slow.
    let open = |_| Live::open(scene.pages, "/stats;live");
    let mut watchers = (0..32).map(open).collect::<Result<Vec<_>>>()?;
    for live in &mut watchers {
        live.message()?;
        live.message()?;
    }
    let told = ["-o", "/dev/null", "-w", "%{http_code}"];
    ensure!(scene.curl(&told, "/stats;live")? == "503");
    ensure!(
        scene.curl(&told, "/stats")? == "200",
        "the page itself has room"
    );
    ensure!(deliver(scene.front, "meanwhile")?.starts_with("220"));
    // Who goes makes room.
    drop(watchers.split_off(30));
    wait_until("there is room again", || {
        let live = Live::open(scene.pages, "/stats;live").and_then(|mut live| live.message());
        live.is_ok()
    })?;
    Ok(())
}

/// A reader that sleeps is not waited for: its connection goes, the others hear on.
#[test]
fn a_slow_reader_is_left_behind() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let mut text = format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fe
    bind {front}
    default_backend many
listen pages
    mode http
    bind {pages}
    stats uri /stats
backend many
"
    );
    for number in 0..1500 {
        text.push_str(&format!("    server m{number} {}\n", server.address()));
    }
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    let mut reader = Live::open(pages, "/stats;live")?;
    reader.message()?;
    // Its window is small, so that it is full soon.
    let slow = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    slow.set_recv_buffer_size(4096)?;
    slow.connect(&pages.into())?;
    let mut slow = TcpStream::from(slow);
    write!(slow, "GET /stats;live HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let open = || proxy.stat("pages", "FRONTEND", "scur");
    wait_until("both watch", || open().is_ok_and(|open| open == "2"))?;
    // Every row changes again and again.
    let mut round = 0;
    wait_until("the slow one is gone", || {
        round += 1;
        let weight = format!("{}", round % 2 + 1);
        let commands: Vec<_> = (0..300)
            .map(|n| format!("set weight many/m{n} {weight}"))
            .collect();
        let _ = proxy.ask(&commands.join(";"));
        reader.message().is_ok() && open().is_ok_and(|open| open == "1")
    })?;
    let mut rest = Vec::new();
    slow.set_read_timeout(Some(Duration::from_secs(5)))?;
    let ended = slow.read_to_end(&mut rest);
    ensure!(
        ended.is_ok()
            || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
    reader.message()?;
    Ok(())
}

/// A soft stop does not wait for those who watch.
#[test]
fn a_stream_does_not_keep_the_process() -> Result<()> {
    let mut scene = scene(Program::Posthouse, "")?;
    let mut live = Live::open(scene.pages, "/stats;live")?;
    live.message()?;
    let (mut session, _) = Client::greeted(scene.front)?;
    scene.proxy.signal(Signal::USR1)?;
    session.command("QUIT")?;
    drop(session);
    let begun = Instant::now();
    ensure!(scene.proxy.wait()?.success());
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}
