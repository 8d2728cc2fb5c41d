//! Replies of a server: a verdict stands whatever follows, and everything that can be asked of one has an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::smtp::{Capabilities, Reply};

fuzz_target!(|bytes: &[u8]| {
    let whole = Reply::first(bytes);
    for end in 0..bytes.len() {
        match Reply::first(&bytes[..end]) {
            Ok(None) => {}
            Ok(Some(reply)) => {
                let same = whole.map(|found| found.map(|found| found.bytes));
                assert_eq!(same, Ok(Some(reply.bytes)), "more bytes change a reply");
            }
            Err(_) => assert!(whole.is_err(), "more bytes make a reply of nonsense"),
        }
    }
    if let Ok(Some(reply)) = whole {
        assert!(bytes.starts_with(reply.bytes));
        assert!((2..=5).contains(&reply.class()));
        let _ = reply.status();
        assert!(reply.first_line().len() < reply.bytes.len());
        let offer = Capabilities::of(&reply);
        assert!(offer.keeps(offer), "a server keeps what it offers");
        let told = offer.filter(&reply, "proxy.example", false);
        let again = Reply::first(&told).expect("a reply").expect("whole");
        assert_eq!(again.bytes.len(), told.len());
    }
});
