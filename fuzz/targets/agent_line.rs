//! What agents say: any bytes are a line with a verdict, or the beginning of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::agent::{Answer, cut_short, line};
use wire::check::Status;

fuzz_target!(|heard: &[u8]| {
    let Some(line) = line(heard) else {
        let _ = cut_short(heard, Status::L7Ok);
        return;
    };
    let answer = Answer::parse(line);
    for warning in [None, Some("why not")] {
        let outcome = answer.outcome(warning);
        assert!(!outcome.info.contains(['\r', '\n', '\0']));
    }
});
