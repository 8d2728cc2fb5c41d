//! The beginning of a stream: no panic, what is told of it stands whatever follows, and a hello that is told has its
//! type told as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::hello::{Seen, handshake_type, parse};

fuzz_target!(|bytes: &[u8]| {
    let (whole, kind) = (parse(bytes), handshake_type(bytes));
    if let Seen::This(hello) = &whole {
        assert_eq!(kind, Seen::This(1));
        for text in hello.server_name.iter().chain(&hello.protocols) {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
    for end in 0..bytes.len() {
        let (early, early_kind) = (parse(&bytes[..end]), handshake_type(&bytes[..end]));
        assert!(early == Seen::More || early == whole, "the first {end} bytes");
        assert!(early_kind == Seen::More || early_kind == kind, "the first {end} bytes");
    }
});
