//! Bodies behind DATA: however they are cut, they end at the first CRLF.CRLF of the client's and nowhere else, and
//! what a server gets has no other end of data, for any reading of CR and LF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::smtp::{Scanned, Scanner};

/// What a server gets, and where the body has ended.
fn read(body: &[u8], size: usize) -> (Vec<u8>, Option<usize>) {
    let mut scanner = Scanner::default();
    let mut passed = Vec::new();
    for (index, piece) in body.chunks(size).enumerate() {
        let scanned = scanner.scan(piece, &mut |bytes| passed.extend_from_slice(bytes));
        if let Scanned::Ended { last, next } = scanned {
            passed.extend_from_slice(&piece[last]);
            return (passed, Some(index * size + next));
        }
    }
    (passed, None)
}

fuzz_target!(|bytes: &[u8]| {
    let [size, body @ ..] = bytes else { return };
    let (passed, end) = read(body, usize::from(*size).max(1));
    let (whole, whole_end) = read(body, usize::MAX);
    assert_eq!(end, whole_end);
    if end.is_some() {
        assert_eq!(passed, whole);
    }
    let found = body.windows(5).position(|window| window == b"\r\n.\r\n");
    let expected = match body.strip_prefix(b".\r\n") {
        Some(_) => Some(3),
        None => found.map(|at| at + 5),
    };
    assert_eq!(end, expected, "the end is the client's");
    // A CR at the very end may be the beginning of a CRLF.
    let text = passed.strip_suffix(b"\r").unwrap_or(&passed);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\n' => assert!(at > 0 && text[at - 1] == b'\r', "a bare LF"),
            b'\r' => assert_eq!(text.get(at + 1), Some(&b'\n'), "a bare CR"),
            _ => {}
        }
    }
    assert!(!passed.starts_with(b".\r\n"), "an end at the beginning");
    let false_end = passed.windows(5).any(|window| window == b"\r\n.\r\n");
    assert!(!false_end, "an end in the middle");
});
