//! PROXY headers: whatever comes, and however it is cut, the parser answers the same, and what it
//! takes it can write and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::proxy::{Header, Parsed, encode_v1, encode_v2, parse};

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
    if let Header::Proxied(addresses) = header {
        for encode in [encode_v1, encode_v2] {
            let mut again = Vec::new();
            encode(Some(&addresses), &mut again);
            let length = again.len();
            let header = Header::Proxied(addresses.clone());
            assert_eq!(parse(&again), Ok(Parsed::Complete { header, length }));
        }
    }
});
