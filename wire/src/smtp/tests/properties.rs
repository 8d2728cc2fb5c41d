//! What holds for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Any sequence of these.
fn any_of(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat().into_bytes())
}

/// What matters to a scanner of bodies, and what does not.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any_of(&["\r", "\n", ".", "x"], 60),
        any_of(&["text\r\n", ".\r\n", "\r\n", "."], 20),
    ]
}

/// The same, far apart: most of it is judged in blocks.
fn long_body() -> impl Strategy<Value = Vec<u8>> {
    let run = prop_oneof![Just(0), 1..9usize, 500..530usize, 1000..1100usize];
    let between = select(&["\r\n", "\r\n.", ".\r\n", "\r", "\n", "\n."][..]);
    vec((run, between), 0..8).prop_map(|parts| {
        let part = |(run, between): (usize, &str)| "x".repeat(run) + between;
        parts.into_iter().map(part).collect::<String>().into_bytes()
    })
}

/// The body and what follows its end, found byte by byte: bare CR and LF made right, then CRLF.CRLF looked for.
fn slowly(input: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut out = Vec::new();
    let mut line_begins = Some(true);
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        if line_begins == Some(true) && rest.starts_with(b".\r\n") {
            return (out, Some(at + 3));
        }
        // A dot that is all of a line as some would read it, or that begins one that the client did not see begin.
        if line_begins == Some(false) && rest[0] == b'.'
            || line_begins == Some(true) && rest.starts_with(b".\n")
        {
            out.push(b'.');
        }
        if rest.starts_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            at += 2;
            line_begins = Some(true);
            continue;
        }
        line_begins = None;
        match rest[0] {
            b'\r' => out.push(b' '),
            b'\n' => {
                out.extend_from_slice(b"\r\n");
                line_begins = Some(false);
            }
            byte => out.push(byte),
        }
        at += 1;
    }
    (out, None)
}

/// The same by the scanner, in pieces.
fn scanned(input: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<usize>) {
    let mut scanner = Scanner::default();
    let (mut out, mut at, mut sizes) = (Vec::new(), 0, sizes.iter().cycle());
    while at < input.len() {
        let size = (*sizes.next().unwrap_or(&1)).min(input.len() - at);
        let piece = &input[at..at + size];
        match scanner.scan(piece, &mut |bytes| out.extend_from_slice(bytes)) {
            Scanned::More => at += size,
            Scanned::Ended { last, next } => {
                out.extend_from_slice(&piece[last]);
                return (out, Some(at + next));
            }
        }
    }
    (out, None)
}

const SAID: &[&str] = &[
    "EHLO x\r\n",
    "MAIL FROM:<a@b>\r\n",
    "RCPT TO:<a@b>\r\n",
    "DATA\r\n",
    "text\r\n.\r\n",
    "BDAT 3\r\nabc",
    "BDAT 2 LAST\r\nab",
    "RSET\r\n",
    "NOOP\n",
    "FOO\rbar\r\n",
    "QUIT\r\n",
];

const ANSWERED: &[&str] = &[
    "250 ok\r\n",
    "250 ok\r\n",
    "250 ok\r\n",
    "250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
    "354 go\r\n",
    "550 no\r\n",
    "451 4.3.0 trouble\r\n",
];

/// The client says everything, then the server gives its answers: what each hears.
fn heard(client: &[u8], server: &[&str], size: usize) -> (Vec<u8>, Vec<u8>, Vec<Record>) {
    let mut play = Play::new();
    play.greeted("220 x\r\n");
    for piece in client.chunks(size) {
        play.dialogue.client_bytes(piece, 0, &mut play.room);
    }
    for reply in server {
        for piece in reply.as_bytes().chunks(size) {
            play.dialogue.server_bytes(piece, 0, &mut play.room);
        }
    }
    (play.room.client, play.room.server, play.room.records)
}

proptest! {
    #[test]
    fn a_body_ends_where_the_slow_reader_ends_it(body in body(), sizes in vec(1usize..9, 1..5)) {
        let (out, end) = scanned(&body, &sizes);
        let (slow_out, slow_end) = slowly(&body);
        prop_assert_eq!(end, slow_end);
        if end.is_some() {
            prop_assert_eq!(&out, &slow_out);
        } else {
            // What is held until more comes is missing, and never more than two bytes.
            let begins = slow_out.starts_with(&out) && slow_out.len() - out.len() <= 3;
            prop_assert!(begins, "{:?} {:?}", out, slow_out);
        }
    }

    #[test]
    fn a_long_body_is_read_as_the_slow_reader_reads_it(body in long_body(), size in 500usize..2500) {
        let (out, end) = scanned(&body, &[size]);
        let (slow_out, slow_end) = slowly(&body);
        prop_assert_eq!(end, slow_end);
        prop_assert!(slow_out.starts_with(&out) && slow_out.len() - out.len() <= 3);
    }

    #[test]
    fn what_a_server_gets_ends_nowhere_else(body in body(), sizes in vec(1usize..9, 1..5)) {
        let (out, _) = scanned(&body, &sizes);
        let text = String::from_utf8_lossy(&out).into_owned();
        let lines: Vec<_> = text.split("\r\n").collect();
        let (last, whole) = lines.split_last().expect("a line");
        prop_assert!(!text.replace("\r\n", "").contains('\n'));
        prop_assert!(!whole.iter().any(|line| *line == "." || line.contains('\r')));
        // A CR can be the last byte of a piece.
        prop_assert!(!last.trim_end_matches('\r').contains('\r'));
    }

    #[test]
    fn a_clean_body_passes_as_it_is(lines in vec("[a-z.]{1,9}", 0..9), size in 1usize..9) {
        let body: String = lines.iter().map(|line| format!("x{line}\r\n")).collect();
        let (out, end) = scanned(format!("{body}.\r\nNOOP\r\n").as_bytes(), &[size]);
        prop_assert_eq!(out, body.as_bytes());
        prop_assert_eq!(end, Some(body.len() + 3));
    }

    #[test]
    fn however_a_session_is_cut_both_sides_hear_the_same(client in any_of(SAID, 12), server in vec(select(ANSWERED), 0..14), size in 1usize..9) {
        prop_assert_eq!(heard(&client, &server, usize::MAX), heard(&client, &server, size));
    }

    #[test]
    fn replies_are_cut_where_they_end(bytes in any_of(&["250", "2", "0", " ", "-", "\r", "\n", "\r\n"], 20)) {
        if let Ok(Some(reply)) = Reply::first(&bytes) {
            prop_assert!(bytes.starts_with(reply.bytes));
            prop_assert!(reply.bytes.ends_with(b"\n"));
            prop_assert!((200..600).contains(&reply.code));
            // More bytes do not change it, fewer make it incomplete.
            let mut more = bytes.clone();
            more.extend_from_slice(b"250 x\r\n");
            prop_assert_eq!(Reply::first(&more).map(|found| found.map(|found| found.bytes)), Ok(Some(reply.bytes)));
            prop_assert_eq!(Reply::first(&bytes[..reply.bytes.len() - 1]), Ok(None));
            let _ = (reply.status(), reply.first_line(), reply.lines().count());
        }
    }

    #[test]
    fn chunks_say_what_they_are(size in 0u64..1_000_000_000_000_000_000, last: bool) {
        let chunk = Chunk { size, last };
        let line = chunk.line();
        prop_assert_eq!(Verb::of(line.as_bytes()), Verb::Bdat);
        prop_assert_eq!(Chunk::parse(arguments(line.as_bytes())), Some(chunk));
    }
}
