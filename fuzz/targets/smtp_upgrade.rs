//! STARTTLS with a server that says anything, cut anywhere.
//!
//! What holds: nothing panics, how replies are cut changes nothing, TLS begins only behind EHLO and STARTTLS with a whole
//! reply and no octet more, and the greeting is what the server began with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::smtp::{Progress, Refusal, Upgrade};

/// What is said to the server, whether TLS begins in the end, and the greeting. A reply is given when the one before was
/// dealt with, as it is over a socket; `size` octets at a time.
fn play(replies: &[&[u8]], size: usize) -> (Vec<String>, Result<bool, Refusal>, Vec<u8>) {
    let mut upgrade = Upgrade::new("proxy.example");
    let mut said = Vec::new();
    let mut secure = Ok(false);
    'all: for reply in replies {
        for piece in reply.chunks(size) {
            match upgrade.take(piece) {
                Ok(Progress::More) => {}
                Ok(Progress::Say(line)) => said.push(line),
                Ok(Progress::Secure) => {
                    secure = Ok(piece.ends_with(b"\n"));
                    break 'all;
                }
                Err(refusal) => {
                    secure = Err(refusal);
                    break 'all;
                }
            }
        }
    }
    (said, secure, upgrade.into_greeting())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, rest)) = bytes.split_first() else {
        return;
    };
    // 0 ends what comes at once.
    let replies: Vec<_> = rest.split(|octet| *octet == 0).collect();
    let (said, secure, greeting) = play(&replies, usize::MAX);
    let expected = ["EHLO proxy.example\r\n", "STARTTLS\r\n"];
    assert!(said.len() <= 2 && said == expected[..said.len()]);
    assert!(said.is_empty() == greeting.is_empty());
    assert!(replies.concat().starts_with(&greeting));
    if secure.is_ok() && said.len() < 2 {
        assert_eq!(secure, Ok(false));
    }
    // What comes behind a reply, in one piece with it, was not asked for; a piece later it might have been asked for.
    if secure != Err(Refusal::Injected) {
        let cut = play(&replies, usize::from(*size).max(1));
        assert_eq!(cut, (said, secure, greeting));
    }
});
