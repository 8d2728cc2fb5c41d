//! The forms of the page: any body is read, and what was read is no longer than three times what was sent.
#![no_main]

use control::form::Form;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let body = String::from_utf8_lossy(bytes);
    let form = Form::parse(&body);
    let texts = form.servers.iter().chain(&form.backend).chain(&form.action);
    assert!(texts.chain(&form.token).map(String::len).sum::<usize>() <= 3 * body.len());
    let _ = form.command();
});
