//! What a stats socket answers, read back: any bytes end, and become one line of JSON.
#![no_main]

use control::answer::{Hearing, Table, facts, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut hearing = Hearing::default();
    let shown: usize = text
        .split_inclusive('\n')
        .map(|line| hearing.line(line).len())
        .sum();
    assert!(shown <= text.len());
    if let Some(table) = Table::parse(&text) {
        for row in table.rows() {
            let _ = (row.text("svname"), row.number("scur"));
        }
    }
    assert!(facts(&text).count() <= text.lines().count());
    assert!(!json(&text).contains('\n'));
});
