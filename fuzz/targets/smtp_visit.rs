//! A visit (the deep check, the probe) with a server that says anything, in any pieces: it ends, DATA is never said, a
//! password never in clear, and what stands behind the answer to STARTTLS is never taken for an answer within TLS.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::check::Deep;
use wire::smtp::Origin;
use wire::visit::{Action, Envelope, Event, Login, Plan, Secret, StartTls, Step, Visit};

fuzz_target!(|data: &[u8]| {
    let Some((&how, said)) = data.split_first() else {
        return;
    };
    let envelope = |sender: &str| Envelope {
        sender: sender.into(),
        recipient: Some("b@example.org".into()),
    };
    let plan = Plan {
        hello: "h.example".into(),
        tls: how & 1 != 0,
        starttls: match how >> 1 & 3 {
            0 => StartTls::No,
            1 => StartTls::IfOffered,
            _ => StartTls::Required,
        },
        login: (how & 8 != 0).then(|| Login {
            user: "u".into(),
            password: Secret::new("p".into()),
            in_clear: false,
        }),
        origin: (how & 16 != 0).then(|| Origin {
            client: Some(([192, 0, 2, 1], 50_000).into()),
            destination: None,
        }),
        envelopes: vec![envelope("a@example.net"), envelope("")],
    };
    let deep = Deep {
        plan: plan.clone(),
        require: vec!["SIZE".into()],
        days: 7,
        slow: Some(1),
        ..Deep::default()
    };
    let piece = usize::from(how >> 4) + 1;
    let mut pieces = said.chunks(piece);
    let mut visit = Visit::new(plan, 0);
    let mut action = visit.on(Event::Connected, 0);
    for now in 0..said.len() as u64 + 100 {
        action = match action {
            Action::Finish => {
                deep.judge(&visit, Some(3));
                return;
            }
            Action::Send(bytes) => {
                assert!(!bytes.starts_with(b"DATA"));
                assert!(visit.is_secured() || visit.step() != Step::Auth);
                visit.on(Event::Sent, now)
            }
            Action::Secure => visit.on(Event::Secured, now),
            Action::Connect => unreachable!("it stands"),
            Action::Receive => match pieces.next() {
                Some(piece) => visit.on(Event::Received(piece), now),
                None => visit.on(Event::TimedOut, now),
            },
        };
    }
    panic!("it never ends");
});
