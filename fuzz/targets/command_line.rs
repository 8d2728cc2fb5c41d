//! The stats socket's lines: however they are cut, the same lines, commands and words come out, and
//! what is kept of an endless line is bounded.
#![no_main]

use control::line::{Lines, MAX_LINE, commands, words};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [size, said @ ..] = bytes else { return };
    let (mut whole, mut pieces) = (Lines::default(), Lines::default());
    whole.push(said);
    let mut found = Vec::new();
    let mut failed = false;
    for piece in said.chunks(usize::from(*size).max(1)) {
        pieces.push(piece);
        loop {
            match pieces.next_line() {
                Ok(Some(line)) => found.push(line),
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        if failed {
            break;
        }
    }
    for line in found {
        assert!(
            line.len() <= 3 * MAX_LINE,
            "invalid bytes grow at most threefold"
        );
        assert_eq!(whole.next_line(), Ok(Some(line.clone())));
        for command in commands(&line) {
            let words = words(command);
            assert!(words.iter().map(String::len).sum::<usize>() <= command.len());
            assert!(words.iter().all(|word| !word.is_empty()));
        }
    }
    assert_eq!(whole.next_line().is_err(), failed);
});
