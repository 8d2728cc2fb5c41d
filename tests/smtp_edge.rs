//! The edge of `mode smtp`: what clients may not do to the servers behind, whatever they send.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::{pause, wait_until};

use crate::support::{config, free_port, told};

/// A server behind the proxy in `mode smtp`.
struct Edge {
    server: Server,
    proxy: Proxy,
    front: SocketAddr,
}

impl Edge {
    fn start(frontend: &str) -> Result<Self> {
        let server = Server::start(Manner::Mail)?;
        let front = free_port()?;
        let frontend = format!("smtp-name mx.example.net\n    {frontend}");
        let backend = format!("server s1 {}", server.address());
        let text = config(front, &frontend, &backend).replace("mode tcp", "mode smtp");
        let proxy = Proxy::start(Program::Posthouse, &text)?;
        Ok(Self {
            server,
            proxy,
            front,
        })
    }

    fn client(&self) -> Result<Client> {
        Ok(Client::greeted(self.front)?.0)
    }

    /// A client that may send a body now.
    fn within_data(&self) -> Result<Client> {
        let mut client = self.client()?;
        for command in ["EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"] {
            ensure!(client.command(command)?.starts_with("250"), "{command}");
        }
        ensure!(client.command("DATA")?.starts_with("354"));
        Ok(client)
    }

    /// Sends all of it at once and listens to the end.
    fn says(&self, bytes: &[u8]) -> Result<String> {
        let mut client = Client::connect(self.front)?;
        client.send(bytes)?;
        Ok(String::from_utf8_lossy(&client.rest()?).into_owned())
    }

    /// The commands the server was given, without the lines of bodies.
    fn commands(&self) -> Vec<String> {
        let lines = self.server.heard.lines();
        let text = lines.iter().filter_map(|line| line.split_once(": "));
        text.map(|(_, text)| text.to_owned())
            .filter(|text| !text.starts_with('|') && !text.starts_with('<'))
            .collect()
    }
}

/// Ends of data that some servers take for one (CVE-2023-51764, -51765, -51766, VU#302671), each with a second
/// message behind it. The server must get one message, with the smuggled commands in its text.
pub(crate) const SMUGGLED: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r\n.\r",
    "\r\n.\n",
    "\r.\r\n",
    "\r.\n",
    "\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\n\n.\r\n",
    "\r\r\n.\r\r\n",
    "\n\r.\n\r",
    "\r\n.\r\r\n",
    ".\n",
    "\r\n.\x0b\r\n",
];

#[test]
fn nothing_is_smuggled() -> Result<()> {
    let edge = Edge::start("")?;
    for end in SMUGGLED {
        let mut client = edge.within_data()?;
        let before = edge.commands().len();
        client.send(format!(
            "Subject: outer\r\n\r\ntext{end}MAIL FROM:<evil@b.example>\r\nRCPT TO:<victim@d.example>\r\nDATA\r\n\
             Subject: smuggled\r\n\r\nx\r\n.\r\n"
        ))?;
        let reply = client.line()?;
        ensure!(reply.starts_with("250"), "{end:?}: {reply}");
        ensure!(client.command("QUIT")?.starts_with("221"), "{end:?}");
        wait_until("QUIT arrives", || {
            edge.commands().last().is_some_and(|last| last == "QUIT")
        })?;
        let commands = edge.commands().split_off(before);
        ensure!(commands == ["QUIT"], "{end:?}: {commands:?}");
    }
    Ok(())
}

#[test]
fn bare_line_ends_are_refused_on_request() -> Result<()> {
    let edge = Edge::start("option smtp-bare-lf reject")?;
    for end in ["\n.\n", "\r.\r", "x\ny"] {
        let mut client = edge.within_data()?;
        let reply = client.command(&format!("Subject: bare\r\n\r\ntext{end}more\r\n."))?;
        ensure!(reply.starts_with("550 5.5.2"), "{end:?}: {reply}");
        // The session goes on, and the next message is taken.
        ensure!(client.message("plain")?.starts_with("250"), "{end:?}");
    }
    let queued = edge.server.heard.lines();
    let queued = queued
        .iter()
        .filter(|line| line.ends_with("<queued>"))
        .count();
    ensure!(queued == 3, "{queued}");
    Ok(())
}

/// What stands behind STARTTLS is no command (CVE-2011-0411); and there is no STARTTLS.
#[test]
fn nothing_is_injected_behind_starttls() -> Result<()> {
    let edge = Edge::start("")?;
    let replies = edge.says(b"EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@b.example>\r\nQUIT\r\n")?;
    ensure!(replies.contains("\r\n502 "), "{replies}");
    ensure!(!edge.commands().iter().any(|command| command == "STARTTLS"));
    Ok(())
}

/// Commands that would lend the proxy's own trust to the client, and other protocols.
#[test]
fn trust_is_not_lent() -> Result<()> {
    let edge = Edge::start("")?;
    for command in [
        "XCLIENT ADDR=127.0.0.1",
        "XFORWARD NAME=x",
        "BURL imap://x LAST",
        "TURN",
    ] {
        let mut client = edge.client()?;
        ensure!(client.command("EHLO c")?.starts_with("250"));
        let reply = client.command(command)?;
        ensure!(reply.starts_with("50"), "{command}: {reply}");
    }
    let replies = edge.says(b"GET / HTTP/1.1\r\nHost: mx\r\n\r\nMAIL FROM:<evil@b.example>\r\n")?;
    ensure!(replies.matches("\r\n").count() <= 2, "{replies}");
    let commands = edge.commands();
    let passed = |part: &str| commands.iter().any(|command| command.contains(part));
    for part in ["XCLIENT", "XFORWARD", "BURL", "TURN", "GET", "evil"] {
        ensure!(!passed(part), "{part}: {commands:?}");
    }
    Ok(())
}

/// Chunks are counted exactly: commands inside are text, commands behind are commands, also after a refusal.
#[test]
fn chunks_are_counted() -> Result<()> {
    let edge = Edge::start("")?;
    let envelope = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";
    let chunk = "RSET\r\nMAIL FROM:<evil@b.example>\r\n.\r\n";
    let replies = edge.says(
        format!(
            "{envelope}BDAT {} LAST\r\n{chunk}NOOP\r\nQUIT\r\n",
            chunk.len()
        )
        .as_bytes(),
    )?;
    ensure!(
        replies.ends_with("250 2.0.0 queued\r\n250 2.0.0 fine\r\n221 2.0.0 bye\r\n"),
        "{replies}"
    );
    ensure!(
        !edge
            .commands()
            .iter()
            .any(|command| command.contains("evil"))
    );
    // Without a transaction: refused, and its octets are no commands.
    let replies = edge.says(b"EHLO c\r\nBDAT 26\r\nMAIL FROM:<evil@example>\r\nQUIT\r\n")?;
    ensure!(replies.contains("\r\n221 "), "{replies}");
    ensure!(
        !edge
            .commands()
            .iter()
            .any(|command| command.starts_with("MAIL FROM:<evil"))
    );
    // Lengths that are none.
    for length in ["-1", "1x", "99999999999999999999999", "", "0x10"] {
        let replies = edge.says(format!("{envelope}BDAT {length}\r\nQUIT\r\n").as_bytes())?;
        ensure!(
            replies.contains("\r\n501 ") || replies.contains("\r\n552 "),
            "{length}: {replies}"
        );
    }
    Ok(())
}

#[test]
fn lines_have_a_limit() -> Result<()> {
    let edge = Edge::start("smtp-limit command-line 512")?;
    let mut client = edge.client()?;
    ensure!(client.command("EHLO c")?.starts_with("250"));
    let reply = client.command(&format!("NOOP {}", "x".repeat(600)))?;
    ensure!(reply.starts_with("500 5.5.2"), "{reply}");
    // A line that never ends takes no memory, and the next one is read.
    client.send("N".repeat(1_000_000))?;
    let reply = client.command("")?;
    ensure!(reply.starts_with("500"), "{reply}");
    ensure!(client.command("NOOP\0")?.starts_with("500"));
    ensure!(client.command("NOOP")?.starts_with("250"));
    ensure!(edge.commands().iter().all(|command| command.len() < 512));
    Ok(())
}

#[test]
fn sessions_have_limits() -> Result<()> {
    let edge = Edge::start(
        "smtp-limit errors 3\n    smtp-limit transactions 2\n    smtp-limit recipients 100",
    )?;
    let mut client = edge.client()?;
    for _ in 0..3 {
        ensure!(client.command("STARTTLS")?.starts_with("502"));
    }
    let reply = client.command("STARTTLS")?;
    ensure!(reply.starts_with("421 4.7.0"), "{reply}");
    ensure!(client.rest()?.is_empty());
    let line = edge.proxy.output.wait_for(" fe be/s1 ")?;
    ensure!(told(&line).0.starts_with('P'), "{line}");
    let mut client = edge.client()?;
    for number in 0..2 {
        ensure!(
            client
                .message(&format!("number {number}"))?
                .starts_with("250")
        );
    }
    let reply = client.command("MAIL FROM:<a@b.example>")?;
    ensure!(reply.starts_with("421 4.7.0"), "{reply}");
    let mut client = edge.client()?;
    ensure!(client.command("EHLO c")?.starts_with("250"));
    ensure!(
        client
            .command("MAIL FROM:<a@b.example>")?
            .starts_with("250")
    );
    for _ in 0..100 {
        ensure!(client.command("RCPT TO:<c@d.example>")?.starts_with("250"));
    }
    let reply = client.command("RCPT TO:<c@d.example>")?;
    ensure!(reply.starts_with("452 4.5.3"), "{reply}");
    Ok(())
}

/// Somebody who talks before the greeting is counted, and not ahead of it.
#[test]
fn an_early_talker_waits_for_the_greeting() -> Result<()> {
    let edge = Edge::start("")?;
    edge.server
        .be(Manner::GreetsAfter(Duration::from_millis(300)));
    let replies = edge.says(b"EHLO c\r\nQUIT\r\n")?;
    ensure!(
        replies.starts_with("220 mx.example.net ESMTP\r\n250"),
        "{replies}"
    );
    ensure!(replies.ends_with("221 2.0.0 bye\r\n"), "{replies}");
    Ok(())
}

/// A client that sends commands and never reads an answer: what is kept for it is bounded.
#[test]
fn a_client_that_never_reads_is_bounded() -> Result<()> {
    let edge = Edge::start("timeout client 2s")?;
    let before = memory(&edge.proxy)?;
    let floods: Vec<_> = (0..8)
        .map(|_| {
            let front = edge.front;
            std::thread::spawn(move || -> Result<usize> {
                let mut client = Client::connect(front)?;
                client.send("EHLO c\r\n")?;
                let mut sent = 0;
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(10) {
                    if client
                        .send("NOOP aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100))
                        .is_err()
                    {
                        break;
                    }
                    sent += 100;
                }
                Ok(sent)
            })
        })
        .collect();
    pause(Duration::from_millis(1500));
    let grown = memory(&edge.proxy)?.saturating_sub(before);
    ensure!(grown < 16 << 20, "{grown} bytes more");
    // Others are served meanwhile.
    let begun = Instant::now();
    deliver(edge.front, "meanwhile")?;
    ensure!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    for flood in floods {
        flood.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    }
    Ok(())
}

/// One octet at a time is slow, and works.
#[test]
fn one_octet_at_a_time() -> Result<()> {
    let edge = Edge::start("")?;
    let mut client = edge.client()?;
    let script = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\
                  Subject: drops\r\n\r\n..\r\n.\r\nQUIT\r\n";
    for octet in script.bytes() {
        client.send([octet])?;
        pause(Duration::from_millis(2));
    }
    let replies = String::from_utf8_lossy(&client.rest()?).into_owned();
    ensure!(replies.contains("250 2.0.0 queued"), "{replies}");
    edge.server.heard.wait_for(": | ..")?;
    Ok(())
}

/// A client that is silent hears so, with the code that says it.
#[test]
fn silence_is_told() -> Result<()> {
    let edge = Edge::start("timeout client 1s")?;
    let mut client = edge.client()?;
    ensure!(client.command("EHLO c")?.starts_with("250"));
    let words = String::from_utf8_lossy(&client.rest()?).into_owned();
    ensure!(words.starts_with("421 4.4.2 mx.example.net"), "{words}");
    let line = edge.proxy.output.wait_for(" fe be/s1 ")?;
    ensure!(told(&line).0 == "cD", "{line}");
    // In the middle of a message: the server gets no end.
    let mut client = edge.within_data()?;
    client.send("Subject: unfinished\r\n\r\n")?;
    let words = String::from_utf8_lossy(&client.rest()?).into_owned();
    ensure!(words.starts_with("421 4.4.2"), "{words}");
    ensure!(
        !edge
            .server
            .heard
            .lines()
            .iter()
            .any(|line| line.ends_with("<queued>"))
    );
    Ok(())
}

/// A client that goes away in the middle of a message leaves nothing behind.
#[test]
fn half_a_message_is_never_delivered() -> Result<()> {
    let edge = Edge::start("")?;
    for ending in ["", "\r\n", "\r\n.", "\r\n.\r"] {
        let mut client = edge.within_data()?;
        client.send(format!("Subject: half{ending}"))?;
        client.finish()?;
        client.rest()?;
    }
    edge.proxy.output.wait_for_nth(" cut ", 4)?;
    ensure!(
        !edge
            .server
            .heard
            .lines()
            .iter()
            .any(|line| line.ends_with("<queued>"))
    );
    Ok(())
}

/// Resident memory of the proxy, in bytes.
fn memory(proxy: &Proxy) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid()))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024)
}
