//! The greeting gate: a server that speaks first has been reached when it greets, not when it is connected.
//!
//! The same holds for one whose first bytes answer a ClientHello; any answer is one, an alert too.
//!
//! Until its first byte reaches the client nothing has been promised, and another server can take the session.
//! A postscreen teaser (`220-`) is a greeting; `421` and `554` are not.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::{Fault, Scene};
use crate::leg::Leg;
use crate::socket::Socket;
use crate::timer;

/// How long a server whose session another has got may take to greet, to hear QUIT and to close.
const FAREWELL: Duration = Duration::from_secs(10);

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

/// A server that is listened to.
pub(super) enum Voice<'a> {
    Plain(&'a Socket),
    /// Within TLS, or spoken to already.
    Secret(&'a mut Leg),
}

impl Voice<'_> {
    /// What it says; 0 is the end.
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = match self {
            Self::Secret(leg) => return leg.poll_read(context, into),
            Self::Plain(socket) => *socket,
        };
        loop {
            ready!(socket.poll_readable(context))?;
            match socket.recv(into) {
                Err(Errno::AGAIN) => {}
                other => return Poll::Ready(other.map_err(Into::into)),
            }
        }
    }

    /// A word to it, if it takes it at once.
    fn say(&mut self, context: &mut Context<'_>, word: &[u8]) {
        match self {
            Self::Secret(leg) => drop(leg.poll_write(context, word)),
            Self::Plain(socket) => drop(socket.send(word, SendFlags::empty())),
        }
    }
}

/// Reads until the verdict is clear. What is welcome goes to the client at once; what it has not taken comes
/// back, with the number of bytes it has. One read tells success, refusal and the greeting itself.
pub(super) fn poll_greeting(
    context: &mut Context<'_>,
    scene: &Scene<'_>,
    voice: &mut Voice<'_>,
    said: &mut Vec<u8>,
) -> Poll<Result<(u64, Vec<u8>), Fault>> {
    let prefix = scene.prefix();
    loop {
        let mut scratch = scene.worker.scratch.borrow_mut();
        let read = match ready!(voice.poll_read(context, &mut scratch)) {
            Ok(0) | Err(_) => return Poll::Ready(Err(Fault::Refused)),
            Ok(read) => read,
        };
        let bytes = if said.is_empty() {
            &scratch[..read]
        } else {
            said.extend_from_slice(&scratch[..read]);
            &said[..]
        };
        match judge(bytes, prefix) {
            // Where mail is read the client hears another greeting (`crate::smtp`).
            Verdict::Welcome if scene.back.smtp.is_some() => {
                return Poll::Ready(Ok((0, bytes.to_vec())));
            }
            Verdict::Welcome => {
                let sent = scene.client.say(bytes);
                return Poll::Ready(Ok((sent as u64, bytes[sent..].to_vec())));
            }
            Verdict::Unwelcome => {
                let line = first_line(bytes);
                // It has said what it had to say; a mail server expects an answer (RFC 5321, 3.1).
                voice.say(context, b"QUIT\r\n");
                return Poll::Ready(Err(Fault::Unwelcome(line)));
            }
            Verdict::More if said.is_empty() => *said = bytes.to_vec(),
            Verdict::More => {}
        }
    }
}

/// Leaves a server whose session another has got, as a mail client would: waits for its greeting, says QUIT
/// and reads to the end, so that nothing looks lost in its log. To speak first would look like spam.
pub(crate) async fn part(mut leg: Leg) {
    let leave = async {
        let mut sink = [0; 512];
        let mut quit = false;
        while leg.read(&mut sink).await? > 0 {
            if !std::mem::replace(&mut quit, true) {
                leg.write_all(b"QUIT\r\n").await?;
            }
        }
        io::Result::Ok(())
    };
    // Late or broken: it would have been too late for the session as well.
    let _ = timer::within(timer::sleep(FAREWELL), leave).await;
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
