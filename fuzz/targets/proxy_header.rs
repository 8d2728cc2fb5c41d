//! PROXY headers: whatever comes, and however it is cut, the parser answers the same, and what it
//! takes it can write and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::proxy::{Extras, Header, Parsed, authority, encode_v1, encode_v2, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    for end in 0..bytes.len() {
        match parse(&bytes[..end]) {
            // Not enough yet: then more must be able to change that, and it did or will.
            Ok(Parsed::Incomplete) => {}
            // A verdict stands, whatever follows.
            early => assert_eq!(early, whole, "the first {end} bytes"),
        }
    }
    let Ok(Parsed::Complete { header, length }) = whole else {
        return;
    };
    assert!(length <= bytes.len());
    let told = authority(&bytes[..length]);
    if let Header::Proxied(addresses) = header {
        let extras = Extras {
            crc32c: true,
            authority: told,
            ..Extras::default()
        };
        let mut text = Vec::new();
        encode_v1(Some(&addresses), &mut text);
        let mut binary = Vec::new();
        encode_v2(Some(&addresses), &extras, &mut binary);
        assert_eq!(authority(&binary), told);
        for again in [text, binary] {
            let length = again.len();
            let header = Header::Proxied(addresses);
            assert_eq!(parse(&again), Ok(Parsed::Complete { header, length }));
        }
    }
});
