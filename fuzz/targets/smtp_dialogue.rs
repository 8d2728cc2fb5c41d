//! A session whose client and servers say anything, in any order, with losses and late answers between.
//!
//! What holds: nothing panics, a server is spoken to only while it is there and left once, the journal is bounded, and a
//! session that is over says nothing more.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wire::smtp::*;

/// Counts and bounds; the wires lead nowhere.
#[derive(Default)]
struct Nowhere {
    to_client: usize,
    file: u64,
    legs: i32,
    reach: Reach,
}

impl Shell for Nowhere {
    fn to_client(&mut self, bytes: &[u8]) {
        self.to_client += bytes.len();
    }

    fn to_server(&mut self, _: &[u8]) {
        assert!(self.legs == 1, "bytes for a server that is not there");
    }

    fn release_server(&mut self, _: Parting) {
        self.legs -= 1;
        assert!(self.legs >= 0, "a server is left twice");
    }

    fn permits(&mut self, more: usize) -> bool {
        more < 1 << 16
    }

    fn spool(&mut self, bytes: &[u8]) -> bool {
        self.file += bytes.len() as u64;
        self.file < 1 << 20
    }

    fn unspool(&mut self, at: u64, length: usize) -> bool {
        assert!(at + length as u64 <= self.file && length <= 1 << 16);
        true
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn origin(&self) -> Origin {
        Origin {
            client: "192.0.2.7:4711".parse().ok(),
            destination: None,
        }
    }

    fn may_log_in(&mut self, name: Option<&str>) -> bool {
        name.is_none_or(|name| name.len() < 64)
    }

    fn login(&mut self, login: &Login<'_>) {
        assert!(!login.mechanism.is_empty() && login.code != 334);
    }

    fn server_is_stuck(&mut self) -> bool {
        self.to_client % 2 == 0
    }

    fn discard_spool(&mut self) {
        self.file = 0;
    }

    fn learned(&mut self, _: ServerId, _: Capabilities) {}

    fn record(&mut self, record: Box<Record>) {
        let _ = record.queue_id();
    }

    fn count(&mut self, _: Count) {}
}

fn settings(choice: u8) -> Settings {
    let mut settings = Settings::new("proxy.example");
    settings.hold_back = (choice & 1 != 0).then_some(10);
    settings.flight = 8;
    settings.replay_after_data = choice & 2 != 0;
    if choice & 4 != 0 {
        settings.bare_newline = BareNewline::Refuse;
    }
    settings.auth = Auth::Anywhere;
    settings.security = match choice % 9 {
        3 => Security::Implicit,
        4 => Security::StartTls { required: true },
        5 => Security::StartTls { required: false },
        _ => Security::None,
    };
    settings.replay_auth = choice & 32 != 0;
    settings.vouches = choice & 64 != 0;
    settings.journal.memory = [16, 4096][usize::from(choice >> 3 & 1)];
    settings.journal.total = [64, 1 << 20][usize::from(choice >> 4 & 1)];
    settings
}

/// Each step: what happens (low bits), how many bytes of the rest go with it (high bits).
fn step(dialogue: &mut Dialogue, shell: &mut Nowhere, kind: u8, bytes: &[u8], now: Millis) {
    match kind % 12 {
        0..=2 if dialogue.wants_client_tls() => dialogue.client_secured(now, shell),
        0..=2 => dialogue.client_bytes(bytes, now, shell),
        3..=5 if dialogue.has_server() => dialogue.server_bytes(bytes, now, shell),
        6 | 7 if dialogue.quest().is_some() => {
            shell.legs += 1;
            dialogue.server_ready(u32::from(kind), None, b"220 x\r\n", now, shell);
        }
        6 if dialogue.has_server() => dialogue.server_lost(Lost::Reset, now, shell),
        7 => dialogue.server_down(now, shell),
        8 => dialogue.written(now, shell),
        9 => dialogue.acknowledged(now, shell),
        10 => dialogue.tick(now, shell),
        11 if kind > 240 => dialogue.client_end(now, shell),
        11 if dialogue.quest().is_some() && kind > 200 => dialogue.no_server(None, now, shell),
        11 if dialogue.may_leave() => {
            dialogue.leave(now, shell);
            assert!(!dialogue.has_server());
        }
        _ => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut shell = Nowhere::default();
    shell.reach.xclient = choice & 64 != 0;
    shell.reach.verified = choice & 128 != 0;
    let mut dialogue = Dialogue::new(Arc::new(settings(*choice)), 0);
    let mut now = 0;
    while let [kind, length, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        now += u64::from(*length) * 1000;
        let over = dialogue.ended().is_some();
        let said = shell.to_client;
        step(&mut dialogue, &mut shell, *kind, piece, now);
        if over {
            assert_eq!(said, shell.to_client, "a session that is over speaks");
            assert!(!dialogue.has_server() && dialogue.deadline().is_none());
        }
        assert_eq!(shell.legs == 1, dialogue.has_server());
        let (memory, file) = dialogue.journal_bytes();
        assert!(memory < 4 << 20 && file <= 1 << 21);
        let _ = (
            dialogue.state(),
            dialogue.reads_client(),
            dialogue.wants_written(),
        );
    }
});
