//! A mail client that delivers one message, and tries again as mail servers do (RFC 5321 4.5.4).

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long any single answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sessions tried for one message, and how long apart.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The name in the server's greeting, up to the first dot.
    pub(super) server: String,
    /// From the start of the connection to the greeting, of the session that succeeded.
    pub(super) greeting: Duration,
    /// Sessions that broke before it.
    pub(super) broken: u32,
}

/// Delivers one message, in as many sessions as it takes; an error tells what ended the last one.
pub(super) async fn deliver(to: SocketAddr, message: &str) -> std::io::Result<Delivery> {
    let mut broken = 0;
    loop {
        match session(to, message).await {
            Ok((server, greeting)) => {
                return Ok(Delivery {
                    server,
                    greeting,
                    broken,
                });
            }
            Err(why) => {
                broken += 1;
                if broken == TRIES {
                    return Err(why);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a greeting comes from there.
pub(super) async fn greeted(by: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(by).await else {
        return false;
    };
    let mut stream = BufReader::new(stream);
    let greeted = reply(&mut stream, "220").await.is_ok();
    let _ = stream.write_all(b"QUIT\r\n").await;
    greeted
}

/// One session: greeting, message, goodbye. Gives the server's name and the time to its greeting.
async fn session(to: SocketAddr, message: &str) -> std::io::Result<(String, Duration)> {
    let start = Instant::now();
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    let hello = reply(&mut stream, "220").await?;
    let greeting = start.elapsed();
    for (command, wanted) in [
        ("EHLO client.demo.test\r\n", "250"),
        ("MAIL FROM:<sender@demo.test>\r\n", "250"),
        ("RCPT TO:<reader@demo.test>\r\n", "250"),
        ("DATA\r\n", "354"),
    ] {
        stream.write_all(command.as_bytes()).await?;
        reply(&mut stream, wanted).await?;
    }
    stream.write_all(stuffed(message).as_bytes()).await?;
    reply(&mut stream, "250").await?;
    // Delivered: whatever happens to the goodbye changes nothing.
    let _ = stream.write_all(b"QUIT\r\n").await;
    let _ = reply(&mut stream, "221").await;
    let server = hello.split(['.', ' ']).next().unwrap_or_default();
    Ok((server.to_owned(), greeting))
}

/// The message as it travels: lines ended, dots doubled, a dot at the end (RFC 5321 4.5.2).
fn stuffed(message: &str) -> String {
    let mut text = String::with_capacity(message.len() + 16);
    for line in message.lines() {
        if line.starts_with('.') {
            text.push('.');
        }
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str(".\r\n");
    text
}

/// Reads a whole reply; gives the last line's text after the code, which must be the one wanted.
async fn reply(stream: &mut BufReader<TcpStream>, wanted: &str) -> std::io::Result<String> {
    let mut line = String::new();
    loop {
        line.clear();
        let read = timeout(PATIENCE, stream.read_line(&mut line)).await;
        if read.map_err(|_| ErrorKind::TimedOut)?? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some(rest) = line.strip_prefix(wanted) else {
            return Err(Error::other(format!(
                "the server said: {}",
                line.trim_end()
            )));
        };
        if rest.starts_with([' ', '\r']) {
            return Ok(rest.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server::MailServer;

    #[test]
    fn dots_are_doubled() {
        assert_eq!(stuffed("a\n.b\n..c"), "a\r\n..b\r\n...c\r\n.\r\n");
        assert_eq!(stuffed(""), ".\r\n");
    }

    #[tokio::test]
    async fn a_message_is_delivered() {
        let server = MailServer::start("mail7").await.unwrap();
        let delivery = deliver(server.address(), "Subject: x\n\n.dot\n")
            .await
            .unwrap();
        assert_eq!(delivery.server, "mail7");
        assert_eq!(delivery.broken, 0);
        assert!(delivery.greeting < PATIENCE);
    }

    #[tokio::test]
    async fn a_message_waits_for_a_server_that_comes_back() {
        let mut server = MailServer::start("mail1").await.unwrap();
        let address = server.address();
        server.kill().await;
        let waiting = tokio::spawn(async move { deliver(address, "x").await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.come_back().await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().broken, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_nobody_takes_fails_in_the_end() {
        let mut server = MailServer::start("mail1").await.unwrap();
        server.kill().await;
        let why = deliver(server.address(), "x").await.unwrap_err();
        assert_eq!(why.kind(), ErrorKind::ConnectionRefused);
    }
}
