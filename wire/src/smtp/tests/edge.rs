//! Clients that break the rules, by mistake or on purpose, and servers that do.

use super::*;

const OK: &str = "250 2.0.0 Ok\r\n";
const MAIL: &str = "MAIL FROM:<a@b.example>\r\n";
const RCPT: &str = "RCPT TO:<c@d.example>\r\n";

fn in_data(change: impl FnOnce(&mut Settings)) -> Play {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        change(settings);
    });
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", "354 go on\r\n");
    play
}

/// What some server somewhere takes for the end of data (CVE-2023-51764, -51765, -51766, VU#302671).
const FALSE_ENDS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r\n.\r",
    "\r.\r\n",
    "\n.\r",
    "\r.\n",
    "\r\r\n.\r\r\n",
    "\r\n.\r\r\n",
    "\n\r\n.\r\r\n",
    "\r\n\n.\r\n.\n",
    "\r\n.\0\r\n",
    "\r\n\0.\r\n",
];

#[test]
fn false_ends_smuggle_nothing() {
    for end in FALSE_ENDS {
        let mut play = in_data(|_| {});
        let smuggled = format!("text{end}MAIL FROM:<evil@b.example>\r\nRCPT TO:<x@d>\r\nDATA\r\n");
        play.client(&smuggled);
        play.hears("");
        let said = String::from_utf8_lossy(&play.room.server).into_owned();
        assert!(
            said.ends_with("DATA\r\n"),
            "{end:?} is not the end: {said:?}"
        );
        let rest = said.replace("\r\n", "");
        assert!(!rest.contains(['\r', '\n']), "{end:?}: {said:?}");
        for line in said.split("\r\n") {
            assert_ne!(line, ".", "{end:?}: {said:?}");
        }
        play.client(".\r\n");
        play.server(OK);
        play.hears(OK);
        // The NUL forms are ends to nobody who counts bytes; they pass as they are.
        let normalised = play.room.counts.contains(&Count::Normalised);
        assert_eq!(normalised, !end.contains('\0'), "{end:?}");
    }
}

#[test]
fn bare_newlines_are_refused_where_the_operator_wants_it() {
    let refuse = |settings: &mut Settings| settings.bare_newline = BareNewline::Refuse;
    for body in ["a\nb\r\n.\r\n", "a\rb\r\n.\r\n", "a\n.\r\nb\r\n.\r\n"] {
        let mut play = in_data(refuse);
        play.client(body);
        play.hears("550 5.5.2 Bare CR or bare LF in the message\r\n");
        assert!(
            !play.room.server.ends_with(b"\r\n.\r\n"),
            "the server has no whole message"
        );
        assert_eq!(play.room.released, [Parting::Hard]);
        assert_eq!(play.room.records[0].outcome, Outcome::Refused);
    }
    let mut play = Play::with(refuse);
    play.open_now();
    play.client("NOOP\n");
    play.hears("500 5.5.2 Bare CR, bare LF or NUL in a command\r\n");
}

#[test]
fn commands_with_nul_or_cr_go_nowhere_and_lf_alone_ends_one() {
    let mut play = Play::open();
    for command in ["NO\0OP\r\n", "NOOP\rMAIL FROM:<>\r\n", "NOOP\r\r\n"] {
        play.client(command);
        play.asked("");
        play.hears("500 5.5.2 Bare CR, bare LF or NUL in a command\r\n");
    }
    play.client("NOOP\n");
    play.asked("NOOP\r\n");
}

#[test]
fn long_lines_are_told_so_once() {
    let mut play = Play::open();
    play.client(&"x".repeat(10_000));
    play.client(&"x".repeat(10_000));
    play.hears("");
    play.client("\r\nNOOP\r\n");
    play.hears("500 5.5.2 Line too long\r\n");
    play.asked("NOOP\r\n");
}

#[test]
fn promises_the_proxy_cannot_keep_are_not_made() {
    let mut play = Play::open();
    for command in [
        "STARTTLS\r\n",
        "starttls\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
        "XCLIENT ADDR=10.0.0.1\r\n",
        "XFORWARD ADDR=10.0.0.1\r\n",
    ] {
        play.client(command);
        play.asked("");
        play.hears("502 5.5.1 Command not implemented\r\n");
    }
}

#[test]
fn a_command_in_disguise_reaches_no_server() {
    // Postfix skips white space before and behind a command's name, of any kind; older ones take quotes off.
    let mut play = Play::open();
    for command in [
        " XCLIENT ADDR=127.0.0.1 LOGIN=root\r\n",
        "\tXCLIENT ADDR=127.0.0.1\r\n",
        "XCLIENT\x0bADDR=127.0.0.1\r\n",
        "XCLIENT\x0cADDR=127.0.0.1\r\n",
        "\"XCLIENT\" ADDR=127.0.0.1\r\n",
        "\\XCLIENT ADDR=127.0.0.1\r\n",
        " AUTH PLAIN AGEAYg==\r\n",
        " STARTTLS\r\n",
        " DATA\r\n",
        " BDAT 100 LAST\r\n",
        "\r\n",
        "\u{a0}NOOP\r\n",
    ] {
        play.client(command);
        play.asked("");
        play.hears("500 5.5.2 Not a command\r\n");
    }
    // What is not known here would mean something to some server only: Exchange logs in by X-EXPS.
    for command in ["X-EXPS LOGIN\r\n", "XEXCH50 4 2\r\n", "SEND FROM:<a@b>\r\n"] {
        play.client(command);
        play.asked("");
        play.hears("502 5.5.1 Command not implemented\r\n");
    }
    play.turn("vrfy a@b.example\r\n", "252 2.0.0 perhaps\r\n");
}

#[test]
fn another_protocol_is_sent_away() {
    let mut play = Play::open();
    play.client("POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\n");
    play.hears("421 4.7.0 This is SMTP\r\n");
    play.asked("QUIT\r\n");
    assert_eq!(play.dialogue.ended(), Some(End::Abuse));
}

#[test]
fn lengths_of_chunks_are_read_as_no_server_reads_them_otherwise() {
    for bad in [
        "",
        "x",
        "-1",
        "+5",
        "0x10",
        "010",
        "5 LAST x",
        "5 FIRST",
        "9999999999999999999",
        "5,LAST",
    ] {
        let mut play = Play::open();
        play.client(&format!("BDAT {bad}\r\nRSET\r\n"));
        play.asked("QUIT\r\n");
        let said = String::from_utf8_lossy(&play.room.client).into_owned();
        assert!(said.starts_with("501 5.5.4 "), "{bad:?}: {said}");
        assert_eq!(play.dialogue.ended(), Some(End::Abuse), "{bad:?}");
    }
    let mut play = Play::open();
    play.client("bdat  3\t last \r\nabc");
    play.asked("BDAT 3 LAST\r\nabc");
}

#[test]
fn a_chunk_that_was_not_offered_is_counted_and_goes_nowhere() {
    let mut play = Play::new();
    play.greeted("220 mail.example\r\n");
    play.turn_hello("250-mail.example\r\n250 PIPELINING\r\n");
    play.client("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    play.asked("NOOP\r\n");
    play.hears("503 5.5.1 CHUNKING was not offered\r\n");
}

#[test]
fn a_refused_chunk_is_still_counted() {
    let mut play = Play::open();
    play.client("BDAT 6 LAST\r\nQUI");
    play.asked("BDAT 6 LAST\r\nQUI");
    // The answer comes before the chunk is there: it is kept until then.
    play.server("503 5.5.1 MAIL first\r\n");
    play.hears("");
    play.client("T\r\nNOOP\r\n");
    play.hears("503 5.5.1 MAIL first\r\n");
    play.asked("T\r\nNOOP\r\n");
}

#[test]
fn a_server_that_refuses_a_body_before_its_end_has_answered() {
    let mut play = in_data(|_| {});
    play.client("one\r\n");
    play.server("552 5.3.4 too big\r\n");
    play.hears("");
    assert!(play.dialogue.quest().is_none());
    play.client("two\r\n.\r\n");
    play.hears("552 5.3.4 too big\r\n");

    let mut play = Play::open();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.client("BDAT 8 LAST\r\nabc");
    play.server("552 5.3.4 too big\r\n");
    play.lost();
    play.hears("");
    play.client("defgh");
    play.hears("552 5.3.4 too big\r\n");
    assert_eq!(play.room.records[0].code, 552);
}

#[test]
fn limits() {
    let too_many =
        |what: &str| format!("421 4.7.0 proxy.example Too many {what}, closing connection\r\n");
    let mut play = Play::with(|settings| settings.limits.errors = 2);
    play.open_now();
    play.turn("VRFY a\r\n", "550 5.1.1 who\r\n");
    play.client("FOO\r\n");
    play.hears("502 5.5.1 Command not implemented\r\n");
    play.client("FOO\r\n");
    play.hears(&too_many("errors"));
    assert_eq!(play.dialogue.ended(), Some(End::Abuse));

    let mut play = Play::with(|settings| settings.limits.idle_commands = 3);
    play.open_now();
    play.turn("NOOP\r\n", OK);
    play.turn("RSET\r\n", OK);
    play.client("NOOP\r\n");
    play.hears(&too_many("commands"));

    let mut play = Play::with(|settings| settings.limits.recipients = 2);
    play.open_now();
    let group = format!("{MAIL}{RCPT}{RCPT}{RCPT}");
    play.client(&group);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(&OK.repeat(2));
    play.asked(RCPT);
    play.server(OK);
    play.hears(&format!(
        "{}452 4.5.3 Too many recipients\r\n",
        OK.repeat(3)
    ));

    let mut play = in_data(|settings| settings.limits.transactions = 1);
    play.client(".\r\n");
    play.server(OK);
    play.hears(OK);
    play.client(MAIL);
    play.hears(&too_many("messages"));
}

#[test]
fn a_flood_of_commands_waits_for_its_answers() {
    let mut play = Play::open();
    for _ in 0..100 {
        if !play.dialogue.reads_client() {
            break;
        }
        play.client(&"RSET\r\n".repeat(500));
    }
    assert!(!play.dialogue.reads_client(), "the client has to wait");
    assert!(
        play.room.server.len() < 4096,
        "and the server is not flooded"
    );
}

#[test]
fn time_is_the_standards() {
    let timeout = "421 4.4.2 proxy.example Timeout exceeded, closing connection\r\n";
    let mut play = Play::open();
    assert_eq!(play.dialogue.deadline(), Some(5 * 60_000));
    play.wait(5 * 60_000);
    play.asked("QUIT\r\n");
    play.hears(timeout);

    let mut play = in_data(|_| {});
    play.wait(3 * 60_000);
    play.hears(timeout);
    assert_eq!(
        play.room.released,
        [Parting::Hard],
        "half a message is none"
    );
    assert_eq!(play.dialogue.ended(), Some(End::ClientTimeout));

    // A server that does not take the body is not the client's fault.
    let mut play = in_data(|_| {});
    play.room.stuck = true;
    play.wait(3 * 60_000);
    play.hears("");
    assert_eq!(
        play.dialogue.quest().map(|quest| quest.why),
        Some(Why::Silent)
    );

    for (command, minutes) in [("MAIL FROM:<>\r\n", 5), ("DATA\r\n", 2)] {
        let mut play = Play::open();
        play.client(command);
        play.wait(minutes * 60_000 - 1);
        assert!(play.dialogue.quest().is_none());
        play.wait(1);
        assert_eq!(
            play.dialogue.quest().map(|quest| quest.why),
            Some(Why::Silent)
        );
    }
}

#[test]
fn a_server_that_talks_nonsense_is_left() {
    for nonsense in [
        "hello\r\n",
        "25\r\n",
        "250_x\r\n",
        "999 x\r\n",
        "250 nobody asked\r\n",
    ] {
        let mut play = Play::open();
        play.server(nonsense);
        play.hears("");
        assert!(!play.dialogue.has_server(), "{nonsense:?}");
        assert_eq!(play.dialogue.ended(), None);
    }
    let mut play = Play::open();
    play.client("NOOP\r\n");
    play.server(&"250-x\r\n".repeat(10_000));
    assert!(play.dialogue.quest().is_some());
}

#[test]
fn leaving_for_a_better_server_that_is_not_there_hurts_nobody() {
    let mut play = Play::open();
    play.dialogue.leave(play.now, &mut play.room);
    play.nobody();
    play.hears("");
    assert_eq!(play.dialogue.ended(), None);
    play.client("NOOP\r\n");
    assert!(play.dialogue.quest().is_some());
}

#[test]
fn health_has_a_say_where_leaving_is_safe() {
    let mut play = in_data(|_| {});
    play.client("one\r\n");
    play.dialogue.server_down(play.now, &mut play.room);
    assert_eq!(
        play.dialogue.quest().map(|quest| quest.why),
        Some(Why::Down)
    );

    let mut play = in_data(|_| {});
    play.client(".\r\n");
    play.dialogue.server_down(play.now, &mut play.room);
    assert!(play.dialogue.has_server(), "it may be about to say 250");
}

#[test]
fn a_client_that_has_said_all_and_closed_its_side_hears_the_answers() {
    let mut play = Play::open();
    play.client("NOOP\r\nQUIT\r\n");
    play.dialogue.client_end(play.now, &mut play.room);
    play.asked("NOOP\r\n");
    play.server(OK);
    play.asked("QUIT\r\n");
    play.server("221 bye\r\n");
    play.hears(&format!("{OK}221 bye\r\n"));
    assert_eq!(play.dialogue.ended(), Some(End::Quit));
    assert_eq!(play.room.released, [Parting::Done]);
}

#[test]
fn early_talkers_are_counted_and_wait() {
    let mut play = Play::new();
    play.client("EHLO client.example\r\n");
    assert_eq!(play.room.counts, [Count::EarlyTalker]);
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.asked("EHLO client.example\r\n");
}
