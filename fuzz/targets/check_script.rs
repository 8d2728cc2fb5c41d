//! Check scripts against servers that say anything: a check always ends, and never panics.
//!
//! The first byte chooses a script, the second the size of pieces; the rest is what the server says.
#![no_main]

use std::sync::{Arc, OnceLock};

use config::{Source, load_sources};
use libfuzzer_sys::fuzz_target;
use wire::check::{Action, Event, Run, Script};

/// What stands in the backend, one per script.
const RULES: &[&str] = &[
    "option tcp-check\n tcp-check expect rstring ^220",
    "option tcp-check\n tcp-check expect rstring \"^220[ -]\"\n tcp-check send \"QUIT\\r\\n\"\n tcp-check expect string 221",
    "option tcp-check\n tcp-check connect\n tcp-check expect ! string 421\n tcp-check connect\n tcp-check expect min-recv 8 binary 323230",
    "option tcp-check\n tcp-check send-binary 454c\n tcp-check comment x\n tcp-check expect tout-status L7TOUT error-status L7STS rbinary ^32",
    "option tcp-check\n tcp-check expect min-recv 64 comment y ok-status L7OKC ! rstring ^5",
    "option smtpchk",
    "option smtpchk EHLO fuzz.example",
];

fn scripts() -> &'static [Arc<Script>] {
    static SCRIPTS: OnceLock<Vec<Arc<Script>>> = OnceLock::new();
    SCRIPTS.get_or_init(|| RULES.iter().map(|rules| script(rules)).collect())
}

fn script(rules: &str) -> Arc<Script> {
    let text = format!(
        "defaults\n timeout connect 1s\n timeout server 1s\nbackend b\n {rules}\n server s 127.0.0.1:25 check\n"
    );
    let source = Source {
        name: "fuzz.cfg".into(),
        text: text.into_bytes(),
    };
    let loaded = load_sources(&[source], &|_| None, &|_| None);
    let model = loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let back = model.proxies[0].back.as_ref().expect("a backend");
    Arc::clone(&back.check)
}

fuzz_target!(|bytes: &[u8]| {
    let [which, size, said @ ..] = bytes else {
        return;
    };
    let scripts = scripts();
    let script = &scripts[usize::from(*which) % scripts.len()];
    let mut pieces = said.chunks(usize::from(*size).max(1));
    let mut run = Run::new(script, 512);
    let mut action = run.begin();
    // Every step takes a rule or a piece; then the server closes or is silent.
    for _ in 0..said.len() + 64 {
        action = match action {
            Action::Connect(_) if size % 16 == 15 => run.on(Event::ConnectFailed("refused".into())),
            Action::Connect(_) => run.on(Event::Connected),
            Action::Send(_) if size % 16 == 14 => run.on(Event::Failed("reset".into())),
            Action::Send(_) => run.on(Event::Sent),
            Action::Receive => match pieces.next() {
                Some(piece) => run.on(Event::Received(piece)),
                None if size % 2 == 0 => run.on(Event::Eof),
                None => run.on(Event::TimedOut),
            },
            Action::Finish(_) => {
                let _ = run.polite_end();
                return;
            }
        };
    }
    panic!("a check that does not end");
});
