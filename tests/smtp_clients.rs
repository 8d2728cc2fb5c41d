//! Clients that people have, through `mode smtp`, while the server of each of their sessions dies in the middle of a message.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order};
use testkit::{need, run, wait_until};

/// Octets that the first server reads before it dies: within a message.
const DIES: usize = 100_000;
/// Of a message: far more than a server's kernel takes for one that does not read any more.
const BODY: usize = 3_000_000;

/// The first server of each session resets when it has heard so much; the second is a Postfix.
struct Scene<'l> {
    lab: &'l Lab,
    _dying: Server,
    postfix: Postfix<'l>,
    proxy: Proxy,
}

impl<'l> Scene<'l> {
    fn start(lab: &'l Lab, authority: &Authority) -> Result<Self> {
        let names: &[&str] = &["mx.example.com", &Host::Lb.ip().to_string()];
        let dies = Manner::Dies {
            heard: DIES,
            said: usize::MAX,
        };
        let address = (Host::Mail1.ip(), 25).into();
        let dying = lab.on(Host::Mail1, || Server::start_at(address, dies))?;
        let postfix = Postfix::start(lab, Host::Mail2)?;
        let crt = authority.issue(
            "mx.pem",
            &Order {
                names,
                ..Order::default()
            },
        )?;
        let crt = crt.display();
        let binds = format!(
            "bind *:25\n    bind *:587 starttls required crt {crt}\n    bind *:465 ssl crt {crt}"
        );
        let text = include_str!("../examples/smtp.cfg")
            .replace("/var/run/haproxy/admin.sock", "@dir@/socket")
            .replace("log 127.0.0.1:514 local0", "log stdout format raw local0")
            .replace("bind *:25", &binds);
        let proxy = Proxy::start_on(lab, Host::Lb, Program::Posthouse, &text)?;
        // What both servers offer is known when both were checked.
        for server in ["mail1", "mail2"] {
            proxy.wait_for_first_check("mail_servers", server)?;
        }
        Ok(Self {
            lab,
            _dying: dying,
            postfix,
            proxy,
        })
    }

    /// Runs a client, which has to be content.
    fn client(&self, program: &str, package: &str, arguments: &[&str]) -> Result<String> {
        need(program, package)?;
        let mut command: Command = self.lab.command(Host::Client, program);
        run(command.args(arguments))
    }

    /// So many messages with that in them are filed.
    fn has(&self, mark: &str, messages: usize) -> Result<()> {
        for number in 1..=messages {
            self.postfix.wait_for_message(&format!("{mark}{number}"))?;
        }
        Ok(())
    }
}

/// A message in a file.
fn message(directory: &Path, subject: &str) -> Result<String> {
    let path = directory.join(subject);
    let text = format!(
        "From: a@example.org\r\nTo: inbox@example.com\r\nSubject: {subject}\r\n\r\n{}",
        "A line, and another.\r\n".repeat(BODY / 22)
    );
    std::fs::write(&path, text)?;
    let path = path.to_str().context("a name")?;
    Ok(path.to_owned())
}

/// How a client comes: what it is told for that.
struct Leg {
    name: &'static str,
    port: u16,
    swaks: &'static [&'static str],
    curl: (&'static str, &'static [&'static str]),
    /// Python's class, and what is called at first.
    smtplib: (&'static str, &'static str),
}

const LEGS: &[Leg] = &[
    Leg {
        name: "clear",
        port: 25,
        swaks: &[],
        curl: ("smtp", &[]),
        smtplib: ("SMTP(host, port, timeout=30)", "noop()"),
    },
    Leg {
        name: "starttls",
        port: 587,
        swaks: &["--tls"],
        curl: ("smtp", &["--ssl-reqd"]),
        smtplib: ("SMTP(host, port, timeout=30)", "starttls(context=trust)"),
    },
    Leg {
        name: "ssl",
        port: 465,
        swaks: &["--tls-on-connect"],
        curl: ("smtps", &[]),
        smtplib: ("SMTP_SSL(host, port, timeout=30, context=trust)", "noop()"),
    },
];

/// Each client on each leg: a message, and two in a session of smtplib's. Those that can look whose certificate it is.
fn come(scene: &Scene<'_>, files: &Path, ca: &str, leg: &Leg) -> Result<()> {
    let (name, proxy, port) = (leg.name, Host::Lb.ip(), leg.port.to_string());
    let file = message(files, &format!("swaks-{name}-1"))?;
    let (data, host) = (format!("@{file}"), proxy.to_string());
    let swaks = [
        "--server",
        &host,
        "--port",
        &port,
        "--data",
        &data,
        "--from",
        "a@example.org",
        "--to",
        "inbox@example.com",
    ];
    scene.client("swaks", "swaks", &[&swaks, leg.swaks].concat())?;
    scene.has(&format!("swaks-{name}-"), 1)?;

    let file = message(files, &format!("curl-{name}-1"))?;
    let (scheme, options) = leg.curl;
    let url = format!("{scheme}://{proxy}:{port}/client.example.org");
    let curl = [
        "-sS",
        &url,
        "--cacert",
        ca,
        "--mail-from",
        "a@example.org",
        "--mail-rcpt",
        "inbox@example.com",
        "--upload-file",
        &file,
    ];
    scene.client("curl", "curl", &[&curl, options].concat())?;
    scene.has(&format!("curl-{name}-"), 1)?;

    let (class, first) = leg.smtplib;
    let script = format!(
        "import smtplib, ssl
host, port = '{proxy}', {port}
trust = ssl.create_default_context(cafile='{ca}')
with smtplib.{class} as smtp:
    smtp.{first}
    for number in (1, 2):
        text = 'Subject: smtplib-{name}-%d\\r\\n\\r\\n' % number + 'A line, and another.\\r\\n' * {}
        smtp.sendmail('a@example.org', 'inbox@example.com', text)
",
        BODY / 22
    );
    scene.client("python3", "python3", &["-c", &script])?;
    scene.has(&format!("smtplib-{name}-"), 2)
}

#[test]
fn clients_notice_nothing() -> Result<()> {
    let (lab, files, authority) = (Lab::new()?, tempfile::TempDir::new()?, Authority::new()?);
    let scene = Scene::start(&lab, &authority)?;
    let proxy = Host::Lb.ip().to_string();
    let ca = authority.ca().display().to_string();
    for leg in LEGS {
        come(&scene, files.path(), &ca, leg).with_context(|| leg.name)?;
    }

    // Postfix's own, in four sessions at once, with two messages each.
    let length = BODY.to_string();
    let source = [
        "-s",
        "4",
        "-m",
        "8",
        "-d",
        "-N",
        "-l",
        &length,
        "-f",
        "a@example.org",
        "-t",
        "inbox@example.com",
        &proxy,
    ];
    scene.client("smtp-source", "postfix", &source)?;

    // A line for each message: 20, all delivered, and each of the 13 sessions was carried over in the middle of one.
    let lines = || {
        let lines = scene.proxy.output.lines().into_iter();
        lines
            .filter(|line| line.contains(" mail id="))
            .collect::<Vec<_>>()
    };
    wait_until("all is logged", || lines().len() >= 20)?;
    let lines = lines();
    let with = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    ensure!(
        (lines.len(), with(" delivered ")) == (20, 20) && with("moves=mail1:S6:") >= 13,
        "{lines:#?}"
    );
    Ok(())
}
