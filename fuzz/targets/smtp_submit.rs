//! A mail of our own, whatever the server says and however it is cut: no password without TLS where it is asked for, and
//! nothing after the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::smtp::{Mail, Manner, Next, Submission};

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, said)) = bytes.split_first() else {
        return;
    };
    let mail = Mail {
        hostname: "proxy.example".into(),
        from: "a@x".into(),
        to: vec!["b@x".into(), "c@x".into()],
        message: "Subject: x\r\n\r\n.\r\n".into(),
    };
    let starttls = how & 1 != 0;
    let login = (how & 2 != 0).then(|| ("me".to_owned(), "s3cret".to_owned()));
    let manner = Manner { starttls, login };
    let mut submission = Submission::new(&mail, &manner);
    let (mut secret, mut over) = (false, false);
    for piece in said.chunks(usize::from(how >> 2) + 1) {
        let mut next = submission.hear(piece);
        if next == Next::Secure {
            assert!(starttls && !secret, "TLS that was not asked for");
            secret = true;
            next = submission.secured();
        }
        match next {
            Next::Send(line) => {
                assert!(!over, "said after the end");
                let harmless = line.starts_with(b"EHLO") || line.starts_with(b"STARTTLS");
                assert!(harmless || secret || !starttls, "said in clear");
                assert!(line.ends_with(b"\r\n"));
            }
            Next::Taken { refused, .. } => {
                assert!(!over && refused.len() < mail.to.len());
                over = true;
            }
            Next::Failed(why) => {
                assert!(!why.chars().any(char::is_control), "{why:?}");
                over = true;
            }
            Next::Wait | Next::Secure => {}
        }
    }
});
