//! Certificates of whoever shows one: no panic, and what is found is text that stays on its line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    if let Some(facts) = wire::x509::parse(der) {
        for text in [&facts.subject, &facts.issuer].into_iter().chain(&facts.names) {
            assert!(!text.contains(['\r', '\n']));
        }
    }
});
