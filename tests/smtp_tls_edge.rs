//! STARTTLS under attack and under the knife: whoever stands in between gains nothing, and a server that dies at any
//! byte, within TLS or on the way to it, costs no message.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testkit::client::{Client, deliver};
use testkit::cut::End;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order, Trust};

use crate::smtp_tls::Pair;
use crate::support::{config, free_port};

/// Sessions that die at the same time, each in a scene of its own.
const LANES: usize = 3;

/// EHLO, STARTTLS and the handshake; then the rest of a session in one piece, to its end.
fn session(to: SocketAddr, trust: &Trust, mark: &str) -> Result<String> {
    let (mut client, greeting) = Client::greeted(to)?;
    ensure!(greeting == "220 mx.example.net ESMTP", "{greeting:?}");
    client.command("EHLO c")?;
    let reply = client.command("STARTTLS")?;
    ensure!(reply.starts_with("220"), "{reply}");
    client.secure(trust)?;
    client.command("EHLO c")?;
    let reply = client.command("AUTH PLAIN AGFubgBzZWNyZXQ=")?;
    ensure!(reply == "235 yes", "{reply}");
    let envelope = "MAIL FROM:<a@example.org>\r\nRCPT TO:<inbox@example.com>\r\n";
    let body = format!("DATA\r\nSubject: {mark}\r\n\r\nHello.\r\n..dots\r\n.\r\nQUIT\r\n");
    client.send(format!("{envelope}{body}"))?;
    Ok(String::from_utf8_lossy(&client.rest()?).into_owned())
}

/// What became of a session whose server died after so many bytes to it, or from it.
struct Death {
    bytes: [usize; 2],
    mark: String,
    replies: String,
}

/// Every death of a lane, judged; how many were in doubt.
fn lane(number: usize) -> Result<usize> {
    // Each handshake a whole one, with a small hello: the bytes of one session are those of the next.
    let more = "no-ssl-reuse curves X25519";
    let pair = Pair::start_with("starttls", ["mail.example.com"; 2], more)?;
    let trust = pair.authority.trust()?;
    for server in [&pair.first, &pair.backup] {
        server.be(Manner::Answers("AUTH".into(), "235 yes".into()));
    }
    let whole = session(pair.tls, &trust, "whole")?;
    ensure!(whole.ends_with("221 2.0.0 bye\r\n"), "{whole}");
    // A signature is a byte or two longer or shorter from time to time.
    let [to, from] = pair.cable.passed().map(|bytes| bytes + 4);
    let deaths = (1..=to)
        .map(|n| [n, usize::MAX])
        .chain((1..=from).map(|n| [usize::MAX, n]));
    let own = deaths.enumerate().skip(number).step_by(LANES);
    let mut all = Vec::new();
    for (place, bytes) in own {
        let end = if place % 2 == 0 {
            End::Reset
        } else {
            End::Closed
        };
        pair.cable.after(bytes, end);
        let mark = format!("dies-{place}-end");
        let replies = session(pair.tls, &trust, &mark).with_context(|| format!("{bytes:?}"))?;
        all.push(Death {
            bytes,
            mark,
            replies,
        });
    }
    let taken = [&pair.first, &pair.backup].map(|server| server.heard.lines());
    all.iter().map(|death| judge(death, &taken)).sum()
}

/// The client hears 250 for a message that was taken once, or 451 for one of which nobody can know.
fn judge(death: &Death, heard: &[Vec<String>; 2]) -> Result<usize> {
    let place = format!("dies at {:?}: {:?}", death.bytes, death.replies);
    let replies = &death.replies;
    ensure!(
        replies.contains("\r\n221 ") && !replies.contains("\r\n421"),
        "{place}"
    );
    let taken: usize = heard.iter().map(|lines| copies(lines, &death.mark)).sum();
    let sure = replies.matches("250 2.0.0 queued").count();
    let doubts = replies.matches("451 4.4.2").count();
    ensure!(sure + doubts == 1, "{place}");
    ensure!((sure..=1).contains(&taken), "{place}: taken {taken} times");
    Ok(doubts)
}

/// How often a server has taken the message with that mark.
fn copies(heard: &[String], mark: &str) -> usize {
    let of = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let marked = heard.iter().filter(|line| line.ends_with(mark));
    marked
        .filter(|line| heard.contains(&format!("{}: <queued>", of(line))))
        .count()
}

#[test]
fn killed_at_every_byte_of_starttls_and_auth() -> Result<()> {
    let doubts = std::thread::scope(|scope| -> Result<usize> {
        let lanes = std::array::from_fn::<_, LANES, _>(|number| scope.spawn(move || lane(number)));
        let mut doubts = 0;
        for lane in lanes {
            doubts += lane.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        }
        Ok(doubts)
    })?;
    ensure!(doubts > 0, "the window was not found");
    Ok(())
}

/// A proxy with STARTTLS before a server that speaks clear text.
struct Offering {
    server: Server,
    proxy: Proxy,
    front: SocketAddr,
    pages: SocketAddr,
    trust: Trust,
    _authority: Authority,
}

impl Offering {
    fn start() -> Result<Self> {
        let authority = Authority::new()?;
        let crt = authority.issue("mx.pem", &Order::default())?;
        let server = Server::start(Manner::Mail)?;
        let (plain, front, pages) = (free_port()?, free_port()?, free_port()?);
        let frontend = format!("bind {front} starttls crt {}", crt.display());
        let backend = format!("server s1 {}", server.address());
        let text = config(plain, &frontend, &backend).replace("mode tcp", "mode smtp")
            + &format!(
                "\nfrontend pages\n    mode http\n    bind {pages}\n    http-request use-service prometheus-exporter\n"
            );
        Ok(Self {
            server,
            proxy: Proxy::start(Program::Posthouse, &text)?,
            front,
            pages,
            trust: authority.trust()?,
            _authority: authority,
        })
    }
}

/// What somebody in between could put behind a client's STARTTLS, so that it is done in the client's name.
const COMMANDS: [&[u8]; 10] = [
    b"NOOP\r\n",
    b"RSET\r\nMAIL FROM:<evil@example.org>\r\n",
    b"EHLO evil\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<evil@example.com>\r\nDATA\r\nevil\r\n.\r\n",
    b"STARTTLS\r\n",
    b"QUIT\r\n",
    b"\r\n",
    b"\n",
    b"E",
    b"\0",
    // A ClientHello that could not wait for the 220.
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
];

#[test]
fn no_command_behind_starttls_is_obeyed() -> Result<()> {
    let scene = Offering::start()?;
    for commands in COMMANDS {
        // In one piece with EHLO or without, and in two pieces that arrive together all the same.
        for before in ["", "EHLO c\r\n"] {
            let place = format!("{before:?}, {:?}", String::from_utf8_lossy(commands));
            let (mut client, _) = Client::greeted(scene.front)?;
            if before.is_empty() {
                client.command("EHLO c")?;
            }
            let mut words = format!("{before}STARTTLS\r\n").into_bytes();
            words.extend(commands);
            client.send(words)?;
            let said = client.rest().unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let replies: Vec<_> = said
                .lines()
                .filter(|line| !line.starts_with("250"))
                .collect();
            ensure!(replies.len() == 1, "{place}: {said}");
            ensure!(replies[0].starts_with("421 4.7.0"), "{place}: {said}");
        }
        // In the place of the handshake: no reply, an alert of TLS at most.
        let (mut client, _) = Client::greeted(scene.front)?;
        client.command("EHLO c")?;
        ensure!(client.command("STARTTLS")?.starts_with("220"));
        client.send(commands)?;
        client.finish()?;
        let said = client.rest().unwrap_or_default();
        ensure!(said.first().is_none_or(|first| *first == 0x15), "{said:?}");
    }
    let all = COMMANDS.len();
    scene.proxy.output.wait_for_nth("(injection)", 2 * all)?;
    let failed = "SSL handshake failure (";
    scene.proxy.output.wait_for_nth(failed, all)?;
    let counted = crate::scrape::metrics(scene.pages, "")?;
    let line = format!(
        "posthouse_smtp_injections_total{{proxy=\"be\"}} {}",
        2 * all
    );
    ensure!(counted.contains(&line), "{counted}");
    let heard = scene.server.heard.lines();
    ensure!(heard.iter().all(|line| !line.contains("evil")), "{heard:?}");
    Ok(())
}

/// RFC 3207, 4.2: what was said before is forgotten, and there is no second time.
#[test]
fn behind_starttls_everything_begins_anew() -> Result<()> {
    let scene = Offering::start()?;
    let (mut client, _) = Client::greeted(scene.front)?;
    client.command("EHLO c")?;
    ensure!(client.command("STARTTLS")?.starts_with("220"));
    client.secure(&scene.trust)?;
    ensure!(
        client
            .command("MAIL FROM:<a@example.org>")?
            .starts_with("503")
    );
    client.send("EHLO c\r\n")?;
    loop {
        let line = client.line()?;
        ensure!(!line.contains("STARTTLS"), "{line}");
        if !line.starts_with("250-") {
            break;
        }
    }
    ensure!(client.command("STARTTLS")?.starts_with("503"));
    ensure!(client.message("after both")?.starts_with("250"));
    // Within a message it has no place.
    let (mut client, _) = Client::greeted(scene.front)?;
    client.command("EHLO c")?;
    client.command("MAIL FROM:<a@example.org>")?;
    ensure!(client.command("STARTTLS")?.starts_with("503"));
    Ok(())
}

/// What somebody in between could say in a server's name, reply by reply; and what the log calls it.
fn answers() -> Vec<(Vec<&'static str>, &'static str)> {
    let (greeting, offer) = ("220 odd ESMTP\r\n", "250-odd\r\n250 STARTTLS\r\n");
    let early = "an answer came before it was asked for";
    let absent = "STARTTLS is not offered";
    vec![
        (vec!["220 odd ESMTP\r\n250-odd\r\n250 STARTTLS\r\n"], early),
        (
            vec![greeting, "250-odd\r\n250 STARTTLS\r\n220 go\r\n"],
            early,
        ),
        (vec![greeting, offer, "220 go\r\n250 injected\r\n"], early),
        (vec![greeting, offer, "220 go\r\n2"], early),
        (vec![greeting, offer, "220 go\r\n\r\n"], early),
        (vec![greeting, offer, "220 go\r\n\u{16}\u{3}\u{3}"], early),
        (vec![greeting, "250-odd\r\n250 SIZE\r\n"], absent),
        (vec![greeting, "250-odd\r\n250 XSTARTTLS\r\n"], absent),
        (vec![greeting, "250 STARTTLS\r\n"], absent),
        (vec![greeting, "502 5.5.1 no EHLO\r\n"], ""),
        (vec![greeting, offer, "454 4.7.0 not now\r\n"], ""),
        (vec![greeting, offer, "250 2.0.0 plain is fine\r\n"], ""),
        (
            vec![greeting, offer, "220 go\r\n", "250 no TLS at all\r\n"],
            "",
        ),
    ]
}

#[test]
fn no_answer_behind_starttls_is_believed() -> Result<()> {
    let pair = Pair::start("starttls", ["mail.example.com"; 2])?;
    let answers = answers();
    let odd = Server::start(Manner::Closes)?;
    let front = free_port()?;
    // On a busy machine it is slow, and is to be waited for all the same.
    let backend = format!(
        "timeout hedge 30s\n    timeout greeting 30s\n    server odd {} starttls verify none\n    server good {} starttls verify none backup",
        odd.address(),
        pair.at[1],
    );
    let text = config(front, "", &backend).replace("mode tcp", "mode smtp");
    for (place, (replies, alarm)) in answers.iter().enumerate() {
        // One for each: an alarm is given once a minute.
        let proxy = Proxy::start(Program::Posthouse, &text)?;
        odd.be(Manner::Recites(
            replies
                .iter()
                .map(|words| words.as_bytes().to_vec())
                .collect(),
        ));
        let mark = format!("answer {place} behind");
        deliver(front, &mark).with_context(|| format!("{replies:?}"))?;
        pair.backup.heard.wait_for(&format!("Subject: {mark}"))?;
        let (what, alarmed) = match *alarm {
            "" => (
                "tls",
                proxy
                    .output
                    .lines()
                    .iter()
                    .any(|line| line.contains("be/odd: ")),
            ),
            alarm => (
                "starttls",
                proxy
                    .output
                    .wait_for(&format!("Server be/odd: {alarm}"))
                    .is_err(),
            ),
        };
        ensure!(!alarmed, "{replies:?}: {:?}", proxy.output.lines());
        let line = proxy.output.wait_for(" tried=odd:")?;
        ensure!(
            line.contains(&format!(" tried=odd:{what}:")),
            "{replies:?}: {line}"
        );
    }
    let heard = odd.heard.lines();
    let mail = |line: &String| line.contains("MAIL") || line.contains("Subject");
    ensure!(!heard.iter().any(mail), "{heard:?}");
    Ok(())
}
