//! `mode smtp` over real sockets: a session outlives its server, and what a client hears is true.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::pause;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

/// Two servers, the second a backup, in `mode smtp`.
pub(crate) struct Pair {
    pub(crate) first: Server,
    pub(crate) backup: Server,
    pub(crate) proxy: Proxy,
    pub(crate) front: SocketAddr,
}

impl Pair {
    pub(crate) fn start(
        first: Manner,
        frontend: &str,
        backend: &str,
        options: &str,
    ) -> Result<Self> {
        let (first, backup) = (Server::start(first)?, Server::start(Manner::Mail)?);
        let front = free_port()?;
        let backend = format!(
            "{backend}\n    server s1 {} {options}\n    server s2 {} {options} backup",
            first.address(),
            backup.address()
        );
        let frontend = format!("smtp-name mx.example.net\n    {frontend}");
        let text = config(front, &frontend, &backend).replace("mode tcp", "mode smtp");
        let proxy = Proxy::start(Program::Posthouse, &text)?;
        Ok(Self {
            first,
            backup,
            proxy,
            front,
        })
    }

    pub(crate) fn plain(first: Manner) -> Result<Self> {
        Self::start(first, "", "", "")
    }

    pub(crate) fn client(&self) -> Result<Client> {
        let (client, greeting) = Client::greeted(self.front)?;
        ensure!(greeting == "220 mx.example.net ESMTP", "{greeting}");
        Ok(client)
    }

    /// How often a message with that mark was taken, by both.
    pub(crate) fn taken(&self, mark: &str) -> usize {
        taken(&self.first, mark) + taken(&self.backup, mark)
    }

    /// The first line of the log with that in it.
    pub(crate) fn logged(&self, name: &str) -> Result<String> {
        self.proxy.output.wait_for(name)
    }
}

/// How often a server has taken a message with that mark.
pub(crate) fn taken(server: &Server, mark: &str) -> usize {
    let lines = server.heard.lines();
    let of = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    let marked = |line: &&String| line.ends_with(mark);
    let sessions: Vec<_> = lines.iter().filter(marked).map(of).collect();
    let queued = |session: &&String| lines.contains(&format!("{session}: <queued>"));
    sessions.iter().filter(queued).count()
}

/// The replies of a client that sends all of it and then listens; the bytes that came back.
fn all_at_once(to: SocketAddr, bytes: &[u8]) -> Result<String> {
    let mut client = Client::connect(to)?;
    client.send(bytes)?;
    Ok(String::from_utf8_lossy(&client.rest()?).into_owned())
}

#[test]
fn the_proxy_speaks_in_its_own_name_and_promises_what_servers_keep() -> Result<()> {
    let offers = "250-one\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n\
                  250-X-UNKNOWN\r\n250-DSN\r\n250 8BITMIME";
    let pair = Pair::start(
        Manner::Answers("EHLO".into(), offers.into()),
        "",
        "option smtpchk EHLO proxy.example.net",
        "check",
    )?;
    // The checks have told what both offer.
    pair.backup.heard.wait_for("EHLO proxy.example.net")?;
    pair.first.heard.wait_for("EHLO proxy.example.net")?;
    pause(Duration::from_millis(300));
    let mut client = pair.client()?;
    client.send("EHLO client.example.org\r\n")?;
    let mut lines = Vec::new();
    loop {
        let line = client.line()?;
        lines.push(line.clone());
        if !line.starts_with("250-") {
            break;
        }
    }
    // No DSN: the backup has none. No STARTTLS and AUTH: they are for a later day.
    let expected = [
        "250-mx.example.net",
        "250-PIPELINING",
        "250-SIZE 1000",
        "250 8BITMIME",
    ];
    ensure!(lines == expected, "{lines:?}");
    ensure!(client.command("STARTTLS")?.starts_with("502"));
    ensure!(client.command("AUTH PLAIN")?.starts_with("50"));
    ensure!(client.command("QUIT")?.starts_with("221"));
    Ok(())
}

/// S1, S2, S5 and S9 of the matrix: the server dies at rest, and the next command finds another.
#[test]
fn a_server_that_dies_between_commands_is_replaced() -> Result<()> {
    let steps = [
        "EHLO client.example.org",
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<inbox@example.com>",
        "RCPT TO:<second@example.com>",
        "DATA",
        "Subject: walks\r\n\r\nHello.\r\n.",
        "NOOP",
    ];
    for dies_before in 0..steps.len() {
        let pair = Pair::plain(Manner::Mail)?;
        let mut client = pair.client()?;
        for (place, step) in steps.iter().enumerate() {
            if place == dies_before {
                pair.first.kill();
            }
            let reply = client
                .command(step)
                .with_context(|| format!("{dies_before}: {step}"))?;
            let expected = if *step == "DATA" { "354" } else { "250" };
            ensure!(
                reply.starts_with(expected),
                "{dies_before}, {step}: {reply}"
            );
        }
        ensure!(client.command("QUIT")?.starts_with("221"));
        ensure!(pair.taken("Subject: walks") == 1, "{dies_before}");
        let line = pair.logged(" delivered ")?;
        ensure!(
            line.contains("rcpt=2") && line.contains("code=250"),
            "{line}"
        );
        let moved = (1..=5).contains(&dies_before);
        ensure!(
            line.contains(" moves=s1:S") == moved,
            "{dies_before}: {line}"
        );
    }
    Ok(())
}

/// The recorded sessions: all in one piece, with PIPELINING; and two messages.
fn recorded() -> [(&'static str, Vec<u8>); 2] {
    let envelope = "MAIL FROM:<a@example.org>\r\nRCPT TO:<inbox@example.com>\r\n";
    let body = "Subject: every byte\r\n\r\nHello.\r\n..dots\r\n";
    [
        (
            "DATA",
            format!("EHLO c\r\n{envelope}DATA\r\n{body}.\r\nQUIT\r\n").into_bytes(),
        ),
        (
            "two",
            format!(
                "EHLO c\r\n{envelope}DATA\r\n{body}.\r\nRSET\r\n{envelope}DATA\r\nSecond.\r\n.\r\nQUIT\r\n"
            )
            .into_bytes(),
        ),
    ]
}

/// How much longer the proxy's name makes greeting and EHLO than the dying server's.
const NAMES: usize = 18;

/// The active server is killed at each byte it hears and at each byte it says. What the client hears is judged
/// against the matrix: a 250 is a message that was taken, exactly once but where the server died between taking it
/// and saying so; then the client hears 451 and the outcome is told as unknown.
#[test]
fn killed_at_every_byte() -> Result<()> {
    for (name, script) in recorded() {
        let pair = Pair::start(Manner::Mail, "", "timeout smtp-failover 5s", "")?;
        let messages = script
            .windows(6)
            .filter(|w| w == b"DATA\r\n")
            .count()
            .max(1);
        // A session without an accident tells how many bytes there are.
        let whole = all_at_once(pair.front, &script)?;
        ensure!(whole.ends_with("221 2.0.0 bye\r\n"), "{name}: {whole}");
        let body = [&b"DATA\r\n"[..], b"BDAT"].into_iter();
        let begin = body
            .filter_map(|w| find(&script, w))
            .min()
            .context("no body")?
            + 4;
        let (heard, said) = (script.len(), whole.len() + 200);
        let deaths = (1..=heard)
            .map(|n| (n, usize::MAX))
            .chain((1..=said).map(|n| (usize::MAX, n)));
        let mut unknown = 0;
        for (heard, said) in deaths {
            pair.first.be(Manner::Dies { heard, said });
            let before = (queued(&pair.first), queued(&pair.backup));
            let replies = all_at_once(pair.front, &script)?;
            let place = format!("{name}, dies at {heard}/{said}: {replies:?}");
            let lines: Vec<_> = replies.lines().collect();
            ensure!(
                lines.first() == Some(&"220 mx.example.net ESMTP"),
                "{place}"
            );
            ensure!(
                lines.last().is_some_and(|last| last.starts_with("221")),
                "{place}"
            );
            let outcome = replies.matches("250 2.0.0 queued").count();
            let doubts = replies.matches("451 4.4.2").count();
            ensure!(outcome + doubts == messages, "{place}");
            let first = queued(&pair.first) - before.0;
            let second = queued(&pair.backup) - before.1;
            // A message in doubt was taken by the one that died, or by nobody.
            ensure!(first + second >= outcome, "{place}: {first} {second}");
            ensure!(
                first + second <= outcome + doubts,
                "{place}: {first} {second}"
            );
            ensure!(!lines.iter().any(|line| line.starts_with("421")), "{place}");
            // Nothing is in doubt that died before it had the body: what is in the kernel's hands counts as received.
            let early = heard < begin || said < (whole.find("354").unwrap_or(0) - NAMES);
            ensure!(doubts == 0 || !early, "{place}");
            unknown += doubts;
        }
        ensure!(unknown > 0, "{name}: the window was not found");
    }
    Ok(())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn queued(server: &Server) -> usize {
    let lines = server.heard.lines();
    lines
        .iter()
        .filter(|line| line.ends_with("<queued>"))
        .count()
}

/// With `option smtp-replay-after-data` nothing is in doubt for the client; the message may come twice.
#[test]
fn a_message_in_doubt_is_replayed_on_request() -> Result<()> {
    let (_, script) = &recorded()[0];
    let backend = "option smtp-replay-after-data";
    let pair = Pair::start(Manner::Mail, "", backend, "")?;
    let whole = all_at_once(pair.front, script)?;
    // It dies in the middle of saying that it took the message.
    let said = whole.find("250 2.0.0 queued").context("no reply")? + 5;
    for said in said - 40..said + 20 {
        pair.first.be(Manner::Dies {
            heard: usize::MAX,
            said,
        });
        let replies = all_at_once(pair.front, script)?;
        ensure!(replies.contains("250 2.0.0 queued"), "{said}: {replies}");
        ensure!(!replies.contains("451"), "{said}: {replies}");
    }
    Ok(())
}

/// S8, and what is the message's fault and not the server's.
#[test]
fn a_server_that_says_it_is_the_problem_is_left() -> Result<()> {
    let cases = [
        ("MAIL", "421 4.3.2 shutting down", "250"),
        ("RCPT", "421 mail1 closing", "250"),
        ("MAIL", "421 4.7.0 too many connections", "250"),
        (".", "452 4.3.1 queue full", "250"),
        (".", "451 4.3.0 disk", "250"),
        (".", "421 4.3.2 leaving", "250"),
        (".", "450 4.7.1 greylisted", "450 4.7.1 greylisted"),
        (".", "451 4.2.2 mailbox full", "451 4.2.2 mailbox full"),
        (".", "451 try later", "451 try later"),
        (".", "554 5.7.1 spam", "554 5.7.1 spam"),
    ];
    for (to, answer, expected) in cases {
        let pair = Pair::plain(Manner::Answers(to.into(), answer.into()))?;
        let mut client = pair.client()?;
        let reply = client.message("Subject of the matter")?;
        ensure!(reply.starts_with(expected), "{to}: {answer}: {reply}");
        let delivered = usize::from(expected == "250");
        ensure!(
            pair.taken("Subject of the matter") == delivered,
            "{to}: {answer}"
        );
    }
    Ok(())
}

#[test]
fn when_both_say_the_same_it_is_the_message() -> Result<()> {
    let answer = Manner::Answers(".".into(), "452 4.3.1 queue full".into());
    let pair = Pair::plain(answer.clone())?;
    pair.backup.be(answer);
    let reply = pair.client()?.message("nobody takes it")?;
    ensure!(reply == "452 4.3.1 queue full", "{reply}");
    Ok(())
}

#[test]
fn the_second_server_dies_during_the_replay_and_a_third_takes_over() -> Result<()> {
    let pair = Pair::plain(Manner::Dies {
        heard: 80,
        said: usize::MAX,
    })?;
    pair.backup.be(Manner::EverySecond(Box::new(Manner::Dies {
        heard: 60,
        said: usize::MAX,
    })));
    let reply = pair
        .client()?
        .message(&"long enough to die in ".repeat(4))?;
    ensure!(reply.starts_with("250"), "{reply}");
    let line = pair.logged(" delivered ")?;
    ensure!(line.contains("moves=s1:"), "{line}");
    Ok(())
}

/// A full outage: who is greeted already and who comes new wait, and lose nothing.
#[test]
fn an_outage_is_waited_for() -> Result<()> {
    let pair = Pair::start(Manner::Mail, "", "option smtpchk EHLO p", "check")?;
    pair.proxy.wait_for_status("be", "s1", "UP")?;
    let mut client = pair.client()?;
    for command in [
        "EHLO c",
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<inbox@example.com>",
    ] {
        ensure!(client.command(command)?.starts_with("250"), "{command}");
    }
    pair.first.kill();
    pair.backup.kill();
    pair.proxy.wait_for_status("be", "s1", "DOWN")?;
    pair.proxy.wait_for_status("be", "s2", "DOWN")?;
    let front = pair.front;
    let newcomer = std::thread::spawn(move || deliver(front, "newcomer"));
    client.send("DATA\r\n")?;
    ensure!(
        client.hears_nothing_for(Duration::from_millis(700))?,
        "it is held"
    );
    ensure!(pair.proxy.stat("be", "BACKEND", "ph_holding")? == "2");
    pair.backup.resume()?;
    ensure!(client.line()?.starts_with("354"));
    let reply = client.command("Subject: patient\r\n\r\nHello.\r\n.")?;
    ensure!(reply.starts_with("250"), "{reply}");
    let greeting = newcomer.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(greeting.starts_with("220"), "{greeting}");
    ensure!(pair.taken("Subject: patient") == 1 && pair.taken("Subject: newcomer") == 1);
    Ok(())
}

#[test]
fn an_outage_that_lasts_is_told() -> Result<()> {
    let pair = Pair::start(
        Manner::Mail,
        "",
        "timeout hold 1s\n    timeout smtp-failover 1s",
        "",
    )?;
    let mut client = pair.client()?;
    for command in [
        "EHLO c",
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<inbox@example.com>",
    ] {
        ensure!(client.command(command)?.starts_with("250"), "{command}");
    }
    pair.first.kill();
    pair.backup.kill();
    let reply = client.command("DATA")?;
    ensure!(reply.starts_with("421 4.3.2 mx.example.net"), "{reply}");
    ensure!(client.rest()?.is_empty());
    let (mut newcomer, greeting) = Client::greeted(pair.front)?;
    ensure!(
        greeting.starts_with("421 4.3.2 mx.example.net"),
        "{greeting}"
    );
    ensure!(newcomer.rest()?.is_empty());
    Ok(())
}
