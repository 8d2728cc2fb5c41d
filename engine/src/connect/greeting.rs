//! The greeting gate: a server that speaks first has been reached when it greets, not when it is connected.
//!
//! Until its first byte reaches the client nothing has been promised, and another server can take the session.
//! A postscreen teaser (`220-`) is a greeting; `421` and `554` are not.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use config::model::Back;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, getpeername, recv, send};
use tokio::io::unix::AsyncFd;

use super::{Connected, Failure, Fault, shorter};
use crate::prelude::Client;
use crate::wait::{Stop, Ticket};
use crate::worker::Worker;

/// `timeout greeting` where it is not written. Servers that look clients up before they greet take a second
/// or two; one that is silent for longer is left for another, if there is another.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest first line that is kept for the client.
const LONGEST: usize = 512;

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Too few to tell.
    More,
    Welcome,
    Unwelcome,
}

/// Compares as far as there is something to compare.
fn judge(said: &[u8], prefix: &[u8]) -> Verdict {
    let known = said.len().min(prefix.len());
    match (said[..known] == prefix[..known], known == prefix.len()) {
        (false, _) => Verdict::Unwelcome,
        (true, false) => Verdict::More,
        (true, true) => Verdict::Welcome,
    }
}

/// Waits until the server greets, and passes the greeting on at once: one read tells success, refusal and the
/// greeting itself. `begun` is when the attempt began; `another` tells whether the session could go elsewhere.
pub(super) async fn await_greeting(
    worker: &Worker,
    ticket: &Ticket<'_>,
    (back, prefix): (&Back, &[u8]),
    (watched, begun): (AsyncFd<OwnedFd>, Instant),
    client: &Client,
    another: impl Fn() -> bool,
) -> Result<Connected, Failure> {
    let greeting = back.timeout_greeting.unwrap_or(PATIENCE);
    let mut limit = shorter(back.timeout_connect, Some(greeting));
    let mut said = Vec::new();
    loop {
        let first = first_bytes(worker, &watched, client, prefix, &mut said);
        let late = match ticket.wait(limit, first).await {
            Ok(Ok((passed, to_client))) => {
                return Ok(Connected {
                    socket: watched.into_inner(),
                    passed,
                    to_client,
                    to_server: Vec::new(),
                });
            }
            Ok(Err(fault)) => return Err(Failure::Server(fault)),
            Err(Stop::Ended(ending)) => return Err(Failure::Over(ending)),
            Err(Stop::Late) => begun.elapsed(),
        };
        if getpeername(&watched).is_err() {
            return Err(Failure::Server(Fault::Late));
        }
        // It is connected, and silent. The last one there is is waited for as long as a session would.
        limit = match back.timeout_server.filter(|limit| !limit.is_zero()) {
            _ if late < greeting => Some(greeting - late),
            _ if another() => return Err(Failure::Server(Fault::Silent)),
            None => None,
            Some(server) if late < server => Some(server - late),
            Some(_) => return Err(Failure::Server(Fault::Silent)),
        };
    }
}

/// Reads until the verdict is clear. What is welcome goes to the client at once; what it has not taken comes
/// back, with the number of bytes it has.
async fn first_bytes(
    worker: &Worker,
    watched: &AsyncFd<OwnedFd>,
    client: &Client,
    prefix: &[u8],
    said: &mut Vec<u8>,
) -> Result<(u64, Vec<u8>), Fault> {
    loop {
        let mut ready = watched.readable().await.map_err(|_| Fault::Refused)?;
        let mut scratch = worker.scratch.borrow_mut();
        let read = match recv(watched, &mut scratch[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(Fault::Refused),
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => {
                ready.clear_ready();
                continue;
            }
            Err(Errno::INTR) => continue,
            Err(_) => return Err(Fault::Refused),
        };
        let bytes = if said.is_empty() {
            &scratch[..read]
        } else {
            said.extend_from_slice(&scratch[..read]);
            &said[..]
        };
        match judge(bytes, prefix) {
            Verdict::Welcome => {
                // An error here is the client's: the relay's first read of it will tell.
                let sent = send(&client.socket, bytes, SendFlags::NOSIGNAL).unwrap_or(0);
                return Ok((sent as u64, bytes[sent..].to_vec()));
            }
            Verdict::Unwelcome => {
                let line = first_line(bytes);
                // It has said what it had to say; a mail server expects an answer (RFC 5321, 3.1).
                let _ = send(watched, b"QUIT\r\n", SendFlags::NOSIGNAL);
                return Err(Fault::Unwelcome(line));
            }
            Verdict::More if said.is_empty() => *said = bytes.to_vec(),
            Verdict::More => {}
        }
    }
}

/// The first line, whole: it may be all the client gets to hear.
fn first_line(said: &[u8]) -> Vec<u8> {
    let end = said.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let end = end.unwrap_or(said.len()).min(LONGEST);
    let mut line = said[..end].to_vec();
    // A reply of several lines ends with this one.
    if let Some(separator @ b'-') = line.get_mut(3) {
        *separator = b' ';
    }
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_the_whole_prefix_or_a_wrong_byte() {
        for (said, verdict) in [
            ("", Verdict::More),
            ("22", Verdict::More),
            ("220", Verdict::Welcome),
            ("220-teaser", Verdict::Welcome),
            ("4", Verdict::Unwelcome),
            ("221 bye", Verdict::Unwelcome),
        ] {
            assert_eq!(judge(said.as_bytes(), b"220"), verdict, "{said}");
        }
        assert_eq!(judge(b"x", b""), Verdict::Welcome);
    }

    #[test]
    fn a_refusal_is_told_in_one_whole_line() {
        assert_eq!(first_line(b"421-busy\r\n421 later\r\n"), b"421 busy\r\n");
        assert_eq!(first_line(b"554 no"), b"554 no\r\n");
        assert_eq!(first_line(&[b'x'; 2000]).len(), LONGEST + 2);
    }
}
