use proptest::prelude::*;

use super::*;
use crate::smtp::Origin;

fn plan() -> Plan {
    Plan {
        hello: "probe.example.com".into(),
        starttls: StartTls::Required,
        login: Some(Login {
            user: "watch".into(),
            password: Secret::new("s3cret".into()),
            in_clear: false,
        }),
        envelopes: vec![Envelope {
            sender: String::new(),
            recipient: Some("postmaster@example.com".into()),
        }],
        ..Plan::default()
    }
}

/// Plays a server that answers with these in order; what was said to it comes back, and the visit.
fn play(plan: Plan, answers: &[&str]) -> (Visit, Vec<String>) {
    let mut visit = Visit::new(plan, 0);
    let mut said = Vec::new();
    let mut answers = answers.iter();
    let mut now = 0;
    let mut action = visit.on(Event::Connected, 1);
    loop {
        now += 1;
        action = match action {
            Action::Connect => unreachable!("it stands"),
            Action::Secure => {
                said.push("<TLS>".into());
                visit.on(Event::Secured, now)
            }
            Action::Send(bytes) => {
                said.push(String::from_utf8(bytes).unwrap().trim_end().to_owned());
                visit.on(Event::Sent, now)
            }
            Action::Receive => match answers.next() {
                Some(answer) => visit.on(Event::Received(answer.as_bytes()), now),
                None => visit.on(Event::Broken("gone".into()), now),
            },
            Action::Finish => return (visit, said),
        };
    }
}

const GREETED: &str = "220 mx ESMTP\r\n";
const OFFER: &str = "250-mx\r\n250-SIZE 1000\r\n250 STARTTLS\r\n";

#[test]
fn all_steps_in_their_order() {
    let answers = [
        GREETED,
        OFFER,
        "220 go\r\n",
        "250-mx\r\n250 AUTH plain LOGIN\r\n",
        "235 yes\r\n",
        "250 ok\r\n",
        "250 2.1.5 ok\r\n",
        "250 ok\r\n",
        "221 bye\r\n",
    ];
    let (visit, said) = play(plan(), &answers);
    assert_eq!(
        said,
        [
            "EHLO probe.example.com",
            "STARTTLS",
            "<TLS>",
            "EHLO probe.example.com",
            "AUTH PLAIN AHdhdGNoAHMzY3JldA==",
            "MAIL FROM:<>",
            "RCPT TO:<postmaster@example.com>",
            "RSET",
            "QUIT"
        ]
    );
    let steps: Vec<_> = visit.marks().iter().map(|mark| mark.step).collect();
    let others = [Step::Tls, Step::Xclient, Step::HelloAfter];
    let all = Step::ALL.into_iter().filter(|step| !others.contains(step));
    assert_eq!(steps, all.collect::<Vec<_>>());
    let (before, within) = visit.offers();
    assert!(before.unwrap().has("starttls") && !within.unwrap().has("STARTTLS"));
    assert_eq!(before.unwrap().capabilities().size, 1000);
    assert_eq!(visit.offer().unwrap().mechanisms(), ["PLAIN", "LOGIN"]);
}

#[test]
fn login_answers_challenges() {
    let answers = [
        GREETED,
        OFFER,
        "220 go\r\n",
        "250-mx\r\n250 AUTH LOGIN\r\n",
        "334 VXNlcm5hbWU6\r\n",
        "334 UGFzc3dvcmQ6\r\n",
        "535 5.7.8 no\r\n",
        "221 bye\r\n",
    ];
    let (visit, said) = play(plan(), &answers);
    assert_eq!(
        said[4..],
        ["AUTH LOGIN", "d2F0Y2g=", "czNjcmV0", "QUIT"],
        "{said:?}"
    );
    let End::Said(no) = &visit.mark(Step::Auth).unwrap().end else {
        panic!("an answer")
    };
    assert!(no.is_no() && no.code == 535);
}

/// A plan that tells of a client and asks for nothing else.
fn telling() -> Plan {
    Plan {
        hello: "proxy".into(),
        origin: Some(Origin {
            client: Some("192.0.2.1:50000".parse().unwrap()),
            destination: None,
        }),
        ..Plan::default()
    }
}

#[test]
fn a_server_is_told_of_a_client_and_begins_anew() {
    let long = "NAME ADDR PORT DESTADDR";
    let offer = format!("250-mx\r\n250-SIZE 1\r\n250 XCLIENT {long}\r\n");
    let answers = [GREETED, &offer, GREETED, "250 mx\r\n", "221 bye\r\n"];
    let (visit, said) = play(telling(), &answers);
    let xclient = "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=50000 DESTADDR=[UNAVAILABLE]";
    assert_eq!(said, ["EHLO proxy", xclient, "EHLO proxy", "QUIT"]);
    // What it offers the client is what counts.
    assert!(!visit.offer().unwrap().has("SIZE"));
    let (before, _) = visit.offers();
    assert!(before.unwrap().attributes().is_some());
}

#[test]
fn a_server_that_is_not_to_be_told_is_left() {
    let (visit, said) = play(telling(), &[GREETED, "250 mx\r\n", "221 bye\r\n"]);
    assert_eq!(said, ["EHLO proxy", "QUIT"]);
    assert_eq!(visit.mark(Step::Xclient).unwrap().end, End::NotOffered);
    let answers = [GREETED, "250 XCLIENT\r\n", "221 bye\r\n"];
    let (visit, _) = play(telling(), &answers);
    assert_eq!(visit.mark(Step::Xclient).unwrap().end, End::NotOffered);
    let offer = "250-mx\r\n250 XCLIENT ADDR\r\n";
    let no = "550 5.7.0 not you\r\n";
    let (visit, said) = play(telling(), &[GREETED, offer, no, "221 bye\r\n"]);
    assert_eq!(said.last().unwrap(), "QUIT");
    assert!(visit.mark(Step::HelloAfter).is_none());
}

#[test]
fn a_password_is_not_said_in_clear() {
    let plan = Plan {
        starttls: StartTls::IfOffered,
        ..plan()
    };
    let answers = [GREETED, "250-mx\r\n250 AUTH PLAIN\r\n", "221 bye\r\n"];
    let (visit, said) = play(plan, &answers);
    assert_eq!(said, ["EHLO probe.example.com", "QUIT"]);
    assert_eq!(visit.mark(Step::Auth).unwrap().end, End::Withheld);
}

#[test]
fn what_stands_behind_starttls_ends_the_visit() {
    let answers = [GREETED, OFFER, "220 go\r\n250 injected\r\n"];
    let (visit, said) = play(plan(), &answers);
    assert_eq!(said.last().unwrap(), "STARTTLS");
    assert_eq!(visit.mark(Step::StartTls).unwrap().end, End::Injected);
}

#[test]
fn a_refused_envelope_makes_room_for_the_next() {
    let envelope = |sender: &str| Envelope {
        sender: sender.into(),
        recipient: Some("b@example.org".into()),
    };
    let plan = Plan {
        hello: "h".into(),
        envelopes: vec![envelope("a@example.net"), envelope("")],
        ..Plan::default()
    };
    let answers = [
        GREETED,
        "250 mx\r\n",
        "450 who\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "221 bye\r\n",
    ];
    let (visit, said) = play(plan, &answers);
    let wanted = [
        "EHLO h",
        "MAIL FROM:<a@example.net>",
        "RSET",
        "MAIL FROM:<>",
        "RCPT TO:<b@example.org>",
        "RSET",
        "QUIT",
    ];
    assert_eq!(said, wanted);
    assert_eq!(
        visit
            .marks()
            .iter()
            .filter(|m| m.step == Step::Mail)
            .count(),
        2
    );
}

#[test]
fn a_server_that_leaves_hears_no_quit() {
    let (visit, said) = play(plan(), &["421 4.3.2 no\r\n"]);
    assert!(said.is_empty());
    let text = visit.mark(Step::Greeting).unwrap().end.to_string();
    assert_eq!(text, "421 4.3.2 no");
    let (_, said) = play(plan(), &["554 no\r\n", "221 bye\r\n"]);
    assert_eq!(said, ["QUIT"]);
    let (visit, _) = play(plan(), &["SSH-2.0-x\r\n"]);
    let end = &visit.mark(Step::Greeting).unwrap().end;
    assert_eq!(end.to_string(), "not SMTP: SSH-2.0-x");
}

#[test]
fn a_secret_is_in_no_message() {
    assert!(!format!("{:?}", plan()).contains("s3cret"));
}

proptest! {
    /// Whatever comes, in whatever pieces: it ends, DATA is never said, and no password in clear.
    #[test]
    fn anything_may_come(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(GREETED.as_bytes().to_vec()),
                Just(OFFER.as_bytes().to_vec()),
                Just(b"250-x\r\n250 AUTH PLAIN LOGIN\r\n".to_vec()),
                Just(b"250-x\r\n250-AUTH PLAIN\r\n250 XCLIENT ADDR NAME\r\n".to_vec()),
                Just(b"334 \r\n".to_vec()),
                (200u16..560).prop_map(|code| format!("{code} 4.3.1 x\r\n").into_bytes()),
                proptest::collection::vec(any::<u8>(), 0..60),
            ],
            0..24,
        ),
        required: bool,
        tells: bool,
    ) {
        let starttls = if required { StartTls::Required } else { StartTls::IfOffered };
        let origin = telling().origin.filter(|_| tells);
        let mut visit = Visit::new(Plan { starttls, origin, ..plan() }, 0);
        let mut pieces = pieces.into_iter();
        let mut action = visit.on(Event::Connected, 0);
        for _ in 0..200 {
            action = match action {
                Action::Finish => return Ok(()),
                Action::Send(bytes) => {
                    prop_assert!(!bytes.starts_with(b"DATA"));
                    prop_assert!(visit.is_secured() || !bytes.starts_with(b"AUTH"));
                    visit.on(Event::Sent, 0)
                }
                Action::Secure => visit.on(Event::Secured, 0),
                Action::Connect => unreachable!("it stands"),
                Action::Receive => match pieces.next() {
                    Some(piece) => visit.on(Event::Received(&piece), 0),
                    None => visit.on(Event::TimedOut, 0),
                },
            };
        }
        prop_assert!(false, "it never ends");
    }
}
