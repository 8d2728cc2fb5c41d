//! XCLIENT: a server is told who the client is, before it hears anything of it.

use super::*;

const HELLO: &str = "EHLO client.example\r\n";
const ASKED: &str = "EHLO proxy.example\r\n";
const WANTS: &str =
    "250-mail.example\r\n250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n250 PIPELINING\r\n";
const OFFER: &str = "250-mail.example\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n";
const PLAIN: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n";

fn open() -> Play {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.security = Security::Implicit;
        settings.vouches = true;
    });
    play.room.reach.xclient = true;
    play
}

/// The same, in which ann has logged in.
fn logged_in() -> Play {
    let mut play = open();
    play.greeted("220 mail.example\r\n");
    play.server(WANTS);
    play.server("220 mail.example\r\n");
    play.turn_hello(OFFER);
    play.turn(PLAIN, "235 ok\r\n");
    play
}

#[test]
fn the_client_comes_first_then_what_it_says() {
    let mut play = open();
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.client(HELLO);
    play.asked(ASKED);
    play.server(WANTS);
    play.asked("XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711\r\n");
    play.server("220 mail.example\r\n");
    let shown = format!("{:?}", play.dialogue);
    assert!(
        shown.contains("naming: None"),
        "an idle session keeps it: {shown}"
    );
    play.asked(HELLO);
    play.server(OFFER);
    play.hears("250-proxy.example\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n");
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
}

#[test]
fn s4_the_proxy_vouches_for_who_is_logged_in() {
    let mut play = logged_in();
    assert!(play.dialogue.may_leave());
    play.lost();
    play.client("MAIL FROM:<a@b.example>\r\n");
    play.greeted("220 other.example\r\n");
    play.asked(ASKED);
    play.server(WANTS);
    play.asked(
        "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=client.example LOGIN=ann\r\n",
    );
    play.server("220 other.example\r\n");
    play.asked(HELLO);
    play.server(OFFER);
    play.asked("MAIL FROM:<a@b.example>\r\n");
    play.server("250 Ok\r\n");
    play.hears("250 Ok\r\n");
}

#[test]
fn a_server_that_does_not_want_to_know_is_no_server() {
    for (asked, named) in [
        ("250-mail.example\r\n250 PIPELINING\r\n", None),
        ("502 what\r\n", None),
        (WANTS, Some("501 5.5.4 Bad XCLIENT\r\n")),
        (
            WANTS,
            Some("550 5.7.0 Error: insufficient authorization\r\n"),
        ),
        (WANTS, Some("421 4.7.0 closing\r\n")),
    ] {
        let mut play = open();
        play.greeted("220 mail.example\r\n");
        play.client(HELLO);
        play.server(asked);
        if let Some(named) = named {
            play.server(named);
        }
        assert!(!play.dialogue.has_server(), "{asked} {named:?}");
        let said = String::from_utf8(std::mem::take(&mut play.room.server)).unwrap();
        assert!(!said.contains("client.example"), "{said}");
        let told = play.room.counts.contains(&Count::Untold);
        assert_eq!(told, named.is_none_or(|named| !named.starts_with("421")));
        // The next one hears of the client.
        play.greeted("220 other.example\r\n");
        play.asked(ASKED);
    }
}

#[test]
fn a_server_that_cannot_be_told_who_is_logged_in_does_not_get_the_session() {
    let mut play = logged_in();
    play.lost();
    play.client("NOOP\r\n");
    play.greeted("220 other.example\r\n");
    play.server("250-mail.example\r\n250 XCLIENT ADDR\r\n");
    play.server("220 other.example\r\n");
    play.server(OFFER);
    assert!(play.dialogue.quest().is_some(), "another is looked for");
}

#[test]
fn a_server_that_does_not_ask_for_the_address_would_take_the_proxys() {
    for wants in ["NAME PROTO", "LOGIN", "X-NEW"] {
        let mut play = open();
        play.greeted("220 mail.example\r\n");
        play.client(HELLO);
        play.asked(ASKED);
        play.server(&format!("250-mail.example\r\n250 XCLIENT {wants}\r\n"));
        play.asked("");
        assert!(play.dialogue.quest().is_some(), "another is looked for");
    }
}

#[test]
fn the_proxy_vouches_for_nobody_who_logs_in_for_another() {
    for (auth, vouched) in [
        // ann for ann; master for ann.
        ("AUTH PLAIN YW5uAGFubgBzZWNyZXQ=\r\n", true),
        ("AUTH PLAIN YW5uAG1hc3RlcgBzZWNyZXQ=\r\n", false),
    ] {
        let mut play = open();
        play.greeted("220 mail.example\r\n");
        play.server(WANTS);
        play.server("220 mail.example\r\n");
        play.turn_hello(OFFER);
        play.turn(auth, "235 ok\r\n");
        assert_eq!(play.dialogue.may_leave(), vouched);
        play.lost();
        play.client("NOOP\r\n");
        assert_eq!(play.dialogue.ended().is_none(), vouched);
    }
}

#[test]
fn s4_a_name_that_fits_into_no_line_is_not_told_as_told() {
    let mut play = open();
    play.greeted("220 mail.example\r\n");
    play.server(WANTS);
    play.server("220 mail.example\r\n");
    play.turn_hello("250-mail.example\r\n250 AUTH LOGIN\r\n");
    play.turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
    // 84 times U+00E9 U+002B.
    play.turn(&("w6kr".repeat(84) + "\r\n"), "334 UGFzc3dvcmQ6\r\n");
    play.turn("c2VjcmV0\r\n", "235 ok\r\n");
    play.lost();
    play.client("NOOP\r\n");
    play.greeted("220 other.example\r\n");
    play.server(WANTS);
    play.asked(
        "EHLO proxy.example\r\nXCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=client.example\r\n",
    );
    play.server("220 other.example\r\n");
    play.server(OFFER);
    assert!(play.dialogue.quest().is_some(), "another is looked for");
}
