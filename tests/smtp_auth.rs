//! Clients that log in through `mode smtp`, before real Postfix with SASL, while the server that has let them in dies.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order};
use testkit::{need, wait_until};

use crate::support::{config, free_port};

const NAME: &str = "ann";
const PASSWORD: &str = "s3cret-words";
/// The two, as PLAIN says them.
const PLAIN: &str = "AUTH PLAIN AGFubgBzM2NyZXQtd29yZHM=";

/// How a server that takes over gets to know who is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Xclient,
    Replay,
}

/// Two Postfix that take mail from who has logged in within TLS, and a proxy with TLS on both legs.
struct Scene<'l> {
    lab: &'l Lab,
    first: Postfix<'l>,
    backup: Postfix<'l>,
    proxy: Proxy,
    authority: Authority,
}

impl<'l> Scene<'l> {
    /// The password on the backup may be another.
    fn start(lab: &'l Lab, way: Way, password: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let order = Order {
            names: &["mail.example.com"],
            ..Order::default()
        };
        let pem = authority.pem(&order)?;
        let crt = authority.issue("mx.pem", &order)?;
        let first = Postfix::start_secured(lab, Host::Mail1, &pem, (NAME, PASSWORD))?;
        let backup = Postfix::start_secured(lab, Host::Mail2, &pem, (NAME, password))?;
        let mut text = include_str!("../examples/submission.cfg")
            .replace("/var/run/haproxy/admin.sock", "@dir@/socket")
            .replace("log 127.0.0.1:514 local0", "log stdout format raw local0")
            .replace("/etc/posthouse/mx.pem", &crt.display().to_string())
            .replace("@system-ca", &authority.ca().display().to_string());
        match way {
            Way::Xclient => {
                for mail in [&first, &backup] {
                    let proxy = Host::Lb.ip().to_string();
                    mail.set("smtpd_authorized_xclient_hosts", &proxy)?;
                }
            }
            Way::Replay => {
                text = text.replace(" xclient", "\n    option smtp-replay-auth");
            }
        }
        let proxy = Proxy::start_on(lab, Host::Lb, Program::Posthouse, &text)?;
        for server in ["mail1", "mail2"] {
            proxy.wait_for_first_check("submission_servers", server)?;
        }
        Ok(Self {
            lab,
            first,
            backup,
            proxy,
            authority,
        })
    }

    /// A client within TLS, greeted.
    fn client(&self) -> Result<Client> {
        let ca = self.authority.ca().display().to_string();
        let checked = ["-CAfile", &ca, "-verify_return_error"];
        let to = (Host::Lb.ip(), 465).into();
        let mut client = self
            .lab
            .on(Host::Client, || Client::connect(to, &checked))?;
        let greeting = client.line()?;
        ensure!(greeting == "220 mx.example.com ESMTP", "{greeting}");
        Ok(client)
    }

    /// The first dies, and comes back.
    fn brought_back(&self) -> Result<()> {
        self.first.resume()?;
        self.proxy
            .wait_for_status("submission_servers", "mail1", "UP")
    }

    /// No secret is anywhere but with those it is for.
    fn has_kept_the_secret(&self) -> Result<()> {
        let said = self.proxy.output.lines().join("\n");
        let asked = self
            .proxy
            .ask("show sess all; show events buf0; show errors")?;
        for secret in [PASSWORD, "AGFubgBzM2NyZXQtd29yZHM", "czNjcmV0LXdvcmRz"] {
            ensure!(!said.contains(secret), "{said}");
            ensure!(!asked.contains(secret), "{asked}");
        }
        Ok(())
    }
}

/// Every step of a session behind AUTH; the server is killed before each of them in turn.
fn a_login_outlives_its_server(way: Way) -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, way, PASSWORD)?;
    let steps = 5;
    for dies_before in 0..steps {
        let mut client = scene.client()?;
        let mark = format!("{way:?}-{dies_before}");
        let body = format!("Subject: {mark}\r\n\r\nHello.\r\n.");
        client.reply("EHLO client.example.org")?;
        let session = [
            ("MAIL FROM:<a@example.org>", "250"),
            ("RCPT TO:<inbox@example.com>", "250"),
            ("DATA", "354"),
            (&body, "250"),
            ("QUIT", "221"),
        ];
        let reply = client.command(PLAIN)?;
        ensure!(reply.starts_with("235 2.7.0"), "{reply}");
        for (place, (step, expected)) in session.into_iter().enumerate() {
            if place == dies_before {
                scene.first.kill()?;
            }
            let reply = client.command(step)?;
            ensure!(
                reply.starts_with(expected),
                "{dies_before}, {step}: {reply}"
            );
        }
        let has_it = if dies_before == steps - 1 {
            &scene.first
        } else {
            &scene.backup
        };
        // What it had taken when it died it files when it is back.
        scene.brought_back()?;
        has_it.wait_for_message(&mark)?;
    }
    let log = scene.backup.log()?;
    let (method, name) = match way {
        Way::Xclient => ("XCLIENT", "ann"),
        Way::Replay => ("PLAIN", "ann"),
    };
    let known = format!("sasl_method={method}, sasl_username={name}");
    ensure!(log.contains(&known), "{log}");
    if way == Way::Xclient {
        let client = Host::Client.ip();
        ensure!(log.contains(&format!("client=unknown[{client}]")), "{log}");
    }
    let moved = scene.proxy.output.wait_for("moves=mail1:S4:")?;
    ensure!(moved.contains(" login=ann "), "{moved}");
    scene.has_kept_the_secret()
}

#[test]
fn a_login_outlives_its_server_by_xclient() -> Result<()> {
    a_login_outlives_its_server(Way::Xclient)
}

#[test]
fn a_login_outlives_its_server_by_being_said_again() -> Result<()> {
    a_login_outlives_its_server(Way::Replay)
}

/// swaks waits for the answer to DATA, which the first server does not give before it dies.
#[test]
fn swaks_notices_nothing_between_rcpt_and_the_final_dot() -> Result<()> {
    need("swaks", "swaks")?;
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, Way::Replay, PASSWORD)?;
    scene.first.set("smtpd_data_restrictions", "sleep 30")?;
    for (mechanism, tls) in [("PLAIN", "-tls"), ("LOGIN", "-tlsc")] {
        let mut command = lab.command(Host::Client, "swaks");
        command.args(["--server", &Host::Lb.ip().to_string(), tls]);
        command.args(["--port", if tls == "-tls" { "587" } else { "465" }]);
        command.args([
            "--auth",
            mechanism,
            "--auth-user",
            NAME,
            "--auth-password",
            PASSWORD,
        ]);
        command.args(["--from", "a@example.org", "--to", "inbox@example.com"]);
        command.args(["--header", &format!("Subject: swaks-{mechanism}")]);
        let mut swaks = command.stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let mut lines = BufReader::new(swaks.stdout.take().context("its output")?).lines();
        for line in lines.by_ref() {
            let line = line?;
            said += &line;
            said.push('\n');
            if line == " ~> DATA" {
                scene.first.kill()?;
            }
        }
        ensure!(swaks.wait()?.success(), "{said}");
        ensure!(said.contains(" ~> DATA\n"), "it was not killed: {said}");
        scene
            .backup
            .wait_for_message(&format!("swaks-{mechanism}"))?;
        scene.brought_back()?;
    }
    scene.has_kept_the_secret()
}

/// Its password was changed there: the client is told to begin anew, and not that its password is wrong.
#[test]
fn a_login_that_another_server_refuses_ends_in_421() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, Way::Replay, "another")?;
    let mut client = scene.client()?;
    client.reply("EHLO client.example.org")?;
    let reply = client.command(PLAIN)?;
    ensure!(reply.starts_with("235"), "{reply}");
    scene.first.kill()?;
    let reply = client.command("MAIL FROM:<a@example.org>")?;
    ensure!(reply.starts_with("421 4.3.2"), "{reply}");
    let mut client = scene.client()?;
    client.reply("EHLO client.example.org")?;
    let reply = client.command(PLAIN)?;
    ensure!(
        reply.starts_with("535"),
        "that is the server's own: {reply}"
    );
    let line = scene
        .proxy
        .output
        .wait_for(" refused mechanism=PLAIN login=ann code=535")?;
    ensure!(
        line.contains(" submission~ submission_servers/mail2 login id="),
        "{line}"
    );
    scene.has_kept_the_secret()
}

/// Who tries passwords is stopped before the servers do it, and take the proxy for the one who tries.
#[test]
fn failed_logins_are_told_counted_and_limited() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Answers("AUTH".into(), "535 5.7.8 no".into()))?;
    let (plain, front, pages) = (free_port()?, free_port()?, free_port()?);
    let frontend = format!(
        "bind {front} ssl crt {}\n    smtp-limit failed-logins-per-source 3\n    smtp-limit failed-logins-per-name 2",
        crt.display()
    );
    let text = config(plain, &frontend, &format!("server s1 {}", server.address()))
        .replace("mode tcp", "mode smtp")
        + &format!(
            "\nfrontend pages\n    mode http\n    bind {pages}\n    http-request use-service prometheus-exporter\n"
        );
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    let ca = authority.ca().display().to_string();
    let attempt = |line: &str| -> Result<String> {
        let mut client = Client::connect(front, &["-CAfile", &ca])?;
        client.line()?;
        client.reply("EHLO c")?;
        client.command(line)
    };
    // ann twice, bob once; then it is enough of ann, and of this source.
    let ann = "AUTH PLAIN AGFubgB3cm9uZw==";
    for line in [ann, ann, "AUTH PLAIN AGJvYgB3cm9uZw=="] {
        let reply = attempt(line)?;
        ensure!(reply == "535 5.7.8 no", "{reply}");
    }
    for line in [ann, "AUTH LOGIN"] {
        let reply = attempt(line)?;
        ensure!(reply.starts_with("421 4.7.0"), "{reply}");
    }
    let asked = server.heard.lines().into_iter();
    let asked = asked.filter(|line| line.contains("AUTH")).count();
    ensure!(asked == 3, "the server was asked {asked} times");
    proxy.output.wait_for("s1 login id=")?;
    let refused = proxy
        .output
        .wait_for(" refused mechanism=PLAIN login=bob code=535 reply=\"535 5.7.8 no\"")?;
    ensure!(refused.starts_with("127.0.0.1:"), "{refused}");
    proxy.output.wait_for(" limited login=ann")?;
    wait_until("all is counted", || {
        let page = crate::scrape::metrics(pages, "").unwrap_or_default();
        let has = |outcome: &str, count: u32| {
            page.contains(&format!(
                "posthouse_smtp_logins_total{{proxy=\"be\",outcome=\"{outcome}\"}} {count}\n"
            ))
        };
        has("refused", 3) && has("limited", 2) && has("accepted", 0)
    })
}

/// Of a thread.
const STACK: u64 = 2 << 20;

/// Where in a process's memory that is. Not on the stacks of threads: there a register may lie for a while, until the next call.
fn in_memory(pid: u32, secret: &[u8]) -> Result<Vec<String>> {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next());
        let Some((from, to)) = range
            .split_once('-')
            .filter(|_| rights.is_some_and(|r| r.starts_with("rw")))
        else {
            continue;
        };
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        if to - from == STACK {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from)?];
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        let at = bytes
            .windows(secret.len())
            .filter(|window| *window == secret)
            .count();
        if at > 0 {
            found.push(format!("{at} x {line}"));
        }
    }
    Ok(found)
}

/// The proxy's own buffers; those of TLS are the library's.
#[test]
fn nothing_is_left_of_a_secret_in_memory() -> Result<()> {
    let server = Server::start(Manner::Answers("AUTH".into(), "235 yes".into()))?;
    let front = free_port()?;
    let backend = format!(
        "option smtp-replay-auth\n    server s1 {}",
        server.address()
    );
    for kept in [false, true] {
        let mut text = config(front, "option smtp-auth always", &backend);
        if !kept {
            text = text.replace("option smtp-replay-auth", "");
        }
        let proxy = Proxy::start(Program::Posthouse, &text.replace("mode tcp", "mode smtp"))?;
        let (mut client, _) = testkit::client::Client::greeted(front)?;
        client.command("EHLO c")?;
        // In two pieces, so that the first has to be kept.
        let (one, two) = PLAIN.split_at(PLAIN.len() - 4);
        client.send(one)?;
        testkit::pause(std::time::Duration::from_millis(100));
        let reply = client.command(two)?;
        ensure!(reply == "235 yes", "{reply}");
        let secret = &PLAIN.as_bytes()[11..30];
        let found = in_memory(proxy.pid(), secret)?;
        ensure!(found.is_empty() != kept, "kept: {kept}, found: {found:#?}");
        client.command("QUIT")?;
        client.rest()?;
        proxy.wait_until_idle("fe")?;
        let found = in_memory(proxy.pid(), secret)?;
        ensure!(found.is_empty(), "behind the session: {found:#?}");
    }
    Ok(())
}

/// A server that is to be told who the client is, and does not want to know, gets no session; an alarm is given.
#[test]
fn a_server_is_never_left_to_take_the_proxy_for_the_client() -> Result<()> {
    let deaf = Server::start(Manner::Mail)?;
    let offer = "250-here\r\n250 XCLIENT ADDR";
    let good = Server::start(Manner::Answers("EHLO".into(), offer.into()))?;
    let front = free_port()?;
    let backend = format!(
        "server deaf {} xclient\n    server good {} xclient backup",
        deaf.address(),
        good.address()
    );
    let text = config(front, "", &backend).replace("mode tcp", "mode smtp");
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    testkit::client::deliver(front, "told")?;
    good.heard.wait_for("XCLIENT ADDR=127.0.0.1")?;
    good.heard.wait_for("Subject: told")?;
    proxy
        .output
        .wait_for("Server be/deaf: XCLIENT is not offered to the proxy, or refused.")?;
    let heard = deaf.heard.lines();
    ensure!(heard.iter().all(|line| !line.contains("MAIL")), "{heard:?}");
    let events = proxy.ask("show events buf0")?;
    ensure!(events.contains("XCLIENT is not offered"), "{events}");
    Ok(())
}
