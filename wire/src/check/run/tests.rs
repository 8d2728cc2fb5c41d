use proptest::prelude::*;
use regex::bytes::Regex;

use super::super::Send;
use super::*;

/// What a scripted server does.
#[derive(Debug, Clone, Copy)]
enum Server<'a> {
    Refuses,
    /// Says this after connect and after each thing it is sent, then is silent.
    Says(&'a [&'a str]),
    /// The same, and closes instead of being silent.
    SaysAndCloses(&'a [&'a str]),
}

/// Runs a script against a server, each of its words cut into pieces of `piece` bytes.
fn run(script: &Script, server: Server<'_>, piece: usize) -> (Outcome, Option<&'static [u8]>) {
    let mut run = Run::new(script, 16384);
    let (words, closes) = match server {
        Server::Refuses => (&[][..], false),
        Server::Says(words) => (words, false),
        Server::SaysAndCloses(words) => (words, true),
    };
    let mut words = words.iter();
    let mut heard: Vec<u8> = Vec::new();
    let mut action = run.begin();
    loop {
        action = match action {
            Action::Connect(_) if matches!(server, Server::Refuses) => run.on(
                Event::ConnectFailed("ECONNREFUSED returned by OS (Connection refused)".into()),
            ),
            Action::Connect(_) | Action::Send(_) => {
                heard = words
                    .next()
                    .map(|word| word.as_bytes().to_vec())
                    .unwrap_or_default();
                match action {
                    Action::Connect(_) => run.on(Event::Connected),
                    _ => run.on(Event::Sent),
                }
            }
            Action::Receive if !heard.is_empty() => {
                let rest = heard.split_off(piece.min(heard.len()));
                let event = Event::Received(&heard);
                let next = run.on(event);
                heard = rest;
                next
            }
            Action::Receive if closes && words.len() == 0 => run.on(Event::Eof),
            Action::Receive => run.on(Event::TimedOut),
            Action::Finish(outcome) => return (outcome, run.polite_end()),
        };
    }
}

fn expect(pattern: Pattern) -> Expect {
    Expect {
        pattern,
        negate: false,
        min_recv: None,
        ok_status: Status::L7Ok,
        error_status: Status::L7Rsp,
        tout_status: Status::L7Timeout,
        on_success: None,
        on_error: None,
        comment: None,
    }
}

fn string(text: &str) -> Expect {
    expect(Pattern::String(text.as_bytes().to_vec()))
}

fn tcp(rules: Vec<Rule>) -> Script {
    Script {
        kind: Kind::TcpCheck,
        rules,
        deep: None,
    }
}

fn connect() -> Rule {
    Rule::Connect(Connect::default())
}

fn send(data: &str) -> Rule {
    Rule::Send(Send {
        data: data.as_bytes().to_vec(),
        comment: None,
    })
}

/// What HAProxy says in the same situations (2.6, observed; the words for errno are 3.4's).
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn texts_are_haproxys() {
    let two20 = || Rule::Expect(string("220 "));
    let refused = "ECONNREFUSED returned by OS (Connection refused)";
    let regex = |text| expect(Pattern::Regex(Regex::new(text).expect("a pattern")));
    let commented = || {
        vec![
            connect(),
            Rule::Expect(Expect {
                comment: Some("hello".into()),
                ..string("220 ")
            }),
        ]
    };
    let cases = [
        (
            vec![two20()],
            Server::Says(&["220 hi\r\n"]),
            Status::L7Ok,
            "(tcp-check)".to_owned(),
        ),
        (
            vec![two20()],
            Server::SaysAndCloses(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content '220 ' at step 1".into(),
        ),
        (
            vec![two20()],
            Server::Says(&["554 no\r\n"]),
            Status::L7Timeout,
            " at step 1 of tcp-check (expect string '220 ')".into(),
        ),
        (
            vec![connect(), two20()],
            Server::Refuses,
            Status::L4Con,
            format!("{refused} at step 1 of tcp-check (connect)"),
        ),
        (
            vec![
                Rule::Connect(Connect {
                    port: Some(25),
                    ..Connect::default()
                }),
                two20(),
            ],
            Server::Refuses,
            Status::L4Con,
            format!("{refused} at step 1 of tcp-check (connect port 25)"),
        ),
        (
            vec![two20()],
            Server::Refuses,
            Status::L4Con,
            format!("{refused} at initial connection step of tcp-check"),
        ),
        (
            vec![two20()],
            Server::SaysAndCloses(&[""]),
            Status::L7Rsp,
            "TCPCHK got an empty response at step 1".into(),
        ),
        (
            vec![Rule::Expect(Expect {
                negate: true,
                ..string("554")
            })],
            Server::Says(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK matched unwanted content '554' at step 1".into(),
        ),
        (
            vec![Rule::Expect(Expect {
                negate: true,
                ..string("554")
            })],
            Server::SaysAndCloses(&["220 ok\r\n"]),
            Status::L7Ok,
            "(tcp-check)".into(),
        ),
        (
            commented(),
            Server::SaysAndCloses(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content '220 ' at step 2 comment: hello".into(),
        ),
        (
            commented(),
            Server::Says(&["554 no\r\n"]),
            Status::L7Timeout,
            " at step 2 of tcp-check (expect string '220 ') comment: 'hello'".into(),
        ),
        (
            vec![Rule::Expect(Expect {
                min_recv: Some(0),
                ..string("220 ")
            })],
            Server::Says(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content '220 ' at step 1".into(),
        ),
        (
            vec![Rule::Expect(regex("^220"))],
            Server::SaysAndCloses(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content (regex) at step 1".into(),
        ),
        (
            vec![Rule::Expect(expect(Pattern::Binary(b"220".to_vec())))],
            Server::SaysAndCloses(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content (binary) at step 1".into(),
        ),
        (
            vec![Rule::Expect(expect(Pattern::RegexBinary(
                Regex::new("^3232").expect("a pattern"),
            )))],
            Server::SaysAndCloses(&["554 no\r\n"]),
            Status::L7Rsp,
            "TCPCHK did not match content (binary regex) at step 1".into(),
        ),
        (
            vec![connect()],
            Server::Says(&[]),
            Status::L4Ok,
            "(tcp-check)".into(),
        ),
        (
            vec![send("PING\r\n")],
            Server::Says(&[]),
            Status::L7Ok,
            "(tcp-check)".into(),
        ),
        (vec![], Server::Says(&[]), Status::L4Ok, String::new()),
        (
            vec![Rule::Expect(Expect {
                on_success: Some("good".into()),
                ..string("220")
            })],
            Server::Says(&["220 x\r\n"]),
            Status::L7Ok,
            "good".into(),
        ),
        (
            vec![Rule::Expect(Expect {
                on_error: Some("bad".into()),
                ..string("220")
            })],
            Server::SaysAndCloses(&["554 x\r\n"]),
            Status::L7Rsp,
            "bad".into(),
        ),
    ];
    for (rules, server, status, info) in cases {
        let script = tcp(rules);
        let (outcome, _) = run(&script, server, 64);
        assert_eq!(
            (outcome.status, outcome.info),
            (status, info),
            "{script:?} {server:?}"
        );
    }
}

#[test]
fn a_bare_connection_says_little() {
    let script = Script::default();
    assert_eq!(run(&script, Server::Says(&[]), 64).0.status, Status::L4Ok);
    let (refused, _) = run(&script, Server::Refuses, 64);
    assert_eq!(
        refused.info,
        "ECONNREFUSED returned by OS (Connection refused)"
    );
}

/// `option smtpchk` as HAProxy judges it, but for the two cases marked.
#[test]
fn smtp_dialogues() {
    let script = Script::smtp("EHLO x.y");
    let good = &[
        "220 hi there\r\n",
        "250-a\r\n250 b\r\n",
        "221 2.0.0 Bye\r\n",
    ][..];
    let cases = [
        (Server::Says(good), Status::L7Ok, Some(221), "2.0.0 Bye"),
        (
            Server::Says(&["421 go away\r\n"]),
            Status::L7Sts,
            Some(421),
            "go away",
        ),
        (Server::Says(&["hello\r\n"]), Status::L7Rsp, None, "hello"),
        // HAProxy: L7RSP.
        (
            Server::Says(&["220-hi\r\n220 there\r\n", "250 b\r\n", "221 Bye\r\n"]),
            Status::L7Ok,
            Some(221),
            "Bye",
        ),
        (
            Server::SaysAndCloses(&["220 hi\r\n", "502 nope\r\n"]),
            Status::L7Sts,
            Some(502),
            "nope",
        ),
        // HAProxy: L7TOUT, at the end of its time.
        (
            Server::Says(&["220 hi\r\n", "502 nope\r\n"]),
            Status::L7Sts,
            Some(502),
            "nope",
        ),
        (Server::Says(&[]), Status::L7Timeout, None, ""),
        (Server::Says(&["220 hi\r\n"]), Status::L7Timeout, None, ""),
        (
            Server::SaysAndCloses(&[""]),
            Status::L7Rsp,
            None,
            "TCPCHK got an empty response at step 2",
        ),
        (
            Server::Refuses,
            Status::L4Con,
            None,
            "ECONNREFUSED returned by OS (Connection refused)",
        ),
    ];
    for (server, status, code, info) in cases {
        let (outcome, _) = run(&script, server, 64);
        let expected = Outcome {
            status,
            code,
            info: info.into(),
            flaw: None,
        };
        assert_eq!(outcome, expected, "{server:?}");
    }
    assert!(
        script.rules.len() == 12,
        "every pattern of the script is valid"
    );
}

#[test]
fn a_check_says_quit_where_a_mail_server_listens() {
    let script = tcp(vec![connect(), Rule::Expect(string("220 "))]);
    assert_eq!(
        run(&script, Server::Says(&["220 hi\r\n"]), 64).1,
        Some(&b"QUIT\r\n"[..])
    );
    assert_eq!(
        run(&script, Server::SaysAndCloses(&["554 no\r\n"]), 64).1,
        None
    );
    let good = &["220 hi\r\n", "250 b\r\n", "221 Bye\r\n"][..];
    assert_eq!(
        run(&Script::smtp("HELO localhost"), Server::Says(good), 64).1,
        None
    );
}

#[test]
fn expects_in_a_row_see_everything() {
    let two = tcp(vec![Rule::Expect(string("b")), Rule::Expect(string("a"))]);
    assert_eq!(run(&two, Server::Says(&["ab"]), 1).0.status, Status::L7Ok);
    // A send drops what came before it.
    let three = tcp(vec![
        Rule::Expect(string("a")),
        send("x"),
        Rule::Expect(string("a")),
    ]);
    assert_eq!(
        run(&three, Server::Says(&["a", "b"]), 1).0.status,
        Status::L7Timeout
    );
}

#[test]
fn who_speaks_first_is_known_from_the_check() {
    assert!(Script::smtp("HELO x").expects_greeting());
    assert!(tcp(vec![connect(), Rule::Expect(string("220 "))]).expects_greeting());
    assert!(!tcp(vec![connect(), send("x"), Rule::Expect(string("220 "))]).expects_greeting());
    assert!(!tcp(vec![Rule::Expect(string("+OK"))]).expects_greeting());
    assert!(!Script::default().expects_greeting());
}

proptest! {
    /// How the network cuts a server's words does not matter.
    #[test]
    fn pieces_do_not_matter(
        greeting in "(220|554)[- ][a-z]{0,5}\r\n(220 x\r\n)?",
        hello in "(250-[a-z]{0,4}\r\n){0,2}(250|502) y\r\n",
        closes: bool,
        piece in 1usize..9,
    ) {
        let words = [greeting.as_str(), hello.as_str(), "221 bye\r\n"];
        let server = if closes { Server::SaysAndCloses(&words) } else { Server::Says(&words) };
        for script in [
            Script::smtp("EHLO x"),
            tcp(vec![connect(), Rule::Expect(string("220 ")), send("EHLO x"), Rule::Expect(string("250 "))]),
        ] {
            prop_assert_eq!(run(&script, server, piece), run(&script, server, 4096));
        }
    }
}
