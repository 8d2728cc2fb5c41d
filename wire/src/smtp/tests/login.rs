//! AUTH, and what becomes of a login when its server does.

use super::*;

const HELLO: &str = "EHLO client.example\r\n";
const OFFER: &str =
    "250-mail.example\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL\r\n";
const TOLD: &str = "250-proxy.example\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n";
/// ann, secret
const PLAIN: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n";
const YES: &str = "235 2.7.0 Authentication successful\r\n";
const LOST: &str = "421 4.3.2 proxy.example Mail server lost, log in again\r\n";
const LATER: &str = "454 4.7.0 Temporary authentication failure\r\n";

/// A session within TLS that was told `OFFER`.
fn open(change: impl FnOnce(&mut Settings)) -> Play {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.security = Security::Implicit;
        change(settings);
    });
    play.room.reach.verified = true;
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.client(HELLO);
    play.asked(HELLO);
    play.server(OFFER);
    play.hears(TOLD);
    play
}

fn kept() -> Play {
    open(|settings| settings.replay_auth = true)
}

/// Another server, up to its answer to EHLO.
fn another(play: &mut Play) {
    play.greeted("220 other.example\r\n");
    play.asked(HELLO);
    play.server(OFFER);
}

#[test]
fn it_is_offered_where_it_may_be_used() {
    let tell = |auth, security| {
        let mut play = Play::with(|settings| {
            settings.auth = auth;
            settings.security = security;
        });
        play.greeted("220 mail.example\r\n");
        play.client(HELLO);
        play.room.client.clear();
        play.room.server.clear();
        play.server(OFFER);
        let told = String::from_utf8(std::mem::take(&mut play.room.client)).unwrap();
        play.client(PLAIN);
        let asked = String::from_utf8(std::mem::take(&mut play.room.server)).unwrap();
        let heard = String::from_utf8(std::mem::take(&mut play.room.client)).unwrap();
        (told.contains("AUTH"), asked.contains("AUTH"), heard)
    };
    let starttls = |required| Security::StartTls { required };
    let none = String::new;
    let refused = || "502 5.5.1 Command not implemented\r\n".to_owned();
    let first = || "530 5.7.0 Must issue a STARTTLS command first\r\n".to_owned();
    let encrypt = || "538 5.7.11 Must issue a STARTTLS command before AUTH\r\n".to_owned();
    for (auth, security, expected) in [
        (Auth::Secured, Security::Implicit, (true, true, none())),
        (Auth::Secured, Security::None, (false, false, refused())),
        (Auth::Secured, starttls(false), (false, false, encrypt())),
        (Auth::Secured, starttls(true), (false, false, first())),
        (Auth::Anywhere, Security::None, (true, true, none())),
        (Auth::Anywhere, starttls(true), (true, false, first())),
        (Auth::Never, Security::Implicit, (false, false, refused())),
    ] {
        assert_eq!(tell(auth, security), expected, "{auth:?} {security:?}");
    }
}

#[test]
fn only_what_every_server_offers_and_what_passes() {
    let mut play = open(|_| {});
    play.client("AUTH EXTERNAL =\r\n");
    play.hears("504 5.5.4 Authentication mechanism not offered\r\n");
    play.client("AUTH DIGEST-MD5\r\n");
    play.hears("504 5.5.4 Authentication mechanism not offered\r\n");
    play.client("AUTH\r\n");
    play.hears("504 5.5.4 Authentication mechanism not offered\r\n");
    play.asked("");
    play.turn(PLAIN, YES);
    play.client(PLAIN);
    play.hears("503 5.5.1 Logged in already\r\n");
    play.asked("");
}

#[test]
fn not_within_a_message_and_not_before_ehlo() {
    let mut play = Play::with(|settings| settings.security = Security::Implicit);
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.client(PLAIN);
    play.hears("503 5.5.1 Send EHLO first\r\n");
    let mut play = open(|_| {});
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    play.client(PLAIN);
    play.hears("503 5.5.1 Not within a mail transaction\r\n");
    play.asked("");
}

#[test]
fn an_exchange_passes_line_by_line_and_is_told() {
    let mut play = open(|_| {});
    play.turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
    assert!(play.dialogue.hears_secrets());
    play.turn("YW5u\r\n", "334 UGFzc3dvcmQ6\r\n");
    play.turn("d3Jvbmc=\r\n", "535 5.7.8 Error: authentication failed\r\n");
    assert!(!play.dialogue.hears_secrets());
    play.turn("AUTH LOGIN YW5u\r\n", "334 UGFzc3dvcmQ6\r\n");
    play.turn("*\r\n", "501 5.7.0 Authentication aborted\r\n");
    // Commands behind it wait until it is over.
    play.client("AUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<a@b.example>\r\n");
    play.asked(PLAIN);
    play.server(YES);
    play.hears(YES);
    play.asked("MAIL FROM:<a@b.example>\r\n");
    let ann = || Some("ann".to_owned());
    assert_eq!(
        play.room.logins,
        [
            ("LOGIN".to_owned(), ann(), 535),
            ("LOGIN".to_owned(), ann(), 501),
            ("PLAIN".to_owned(), ann(), 235)
        ]
    );
    play.server("250 Ok\r\n");
    play.client("RSET\r\n");
    play.server("250 Ok\r\n");
    assert_eq!(play.room.records[0].login.as_deref(), Some("ann"));
}

#[test]
fn too_much_and_not_plain() {
    let bad =
        "421 4.7.0 proxy.example Line too long or not plain within AUTH, closing connection\r\n";
    for response in [
        "a\0b\r\n".to_owned(),
        "a\rb\r\n".to_owned(),
        "x".repeat(12_288),
    ] {
        let mut play = open(|_| {});
        play.turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
        play.client(&response);
        play.hears(bad);
        assert_eq!(play.dialogue.ended(), Some(End::Abuse));
    }
    // A token of a few thousand octets is no longer than RFC 4954 allows.
    let mut play = open(|_| {});
    let token = format!("AUTH PLAIN {}\r\n", "QUFB".repeat(2500));
    play.turn(&token, YES);
    let mut play = open(|_| {});
    play.turn("AUTH CRAM-MD5\r\n", "334 x\r\n");
    for _ in 0..31 {
        play.turn("eA==\r\n", "334 x\r\n");
    }
    play.client("eA==\r\n");
    play.hears(bad);
}

#[test]
fn who_has_failed_too_often_is_not_let_through() {
    let mut play = open(|_| {});
    play.room.banned.push("ann".to_owned());
    play.client(PLAIN);
    play.hears("421 4.7.0 proxy.example Too many failed logins, try again later\r\n");
    play.asked("");
    assert_eq!(play.dialogue.ended(), Some(End::Abuse));
}

#[test]
fn s4_another_server_hears_the_login_again_where_it_is_kept() {
    let mut play = kept();
    play.turn(PLAIN, YES);
    assert_eq!(play.dialogue.state(), State::S4);
    play.lost();
    play.client("MAIL FROM:<a@b.example>\r\n");
    another(&mut play);
    play.asked(PLAIN);
    play.server("235 ok\r\n");
    play.asked("MAIL FROM:<a@b.example>\r\n");
    play.server("250 Ok\r\n");
    play.hears("250 Ok\r\n");
    let moved = |count: &Count| {
        matches!(
            count,
            Count::Moved {
                state: State::S4,
                ..
            }
        )
    };
    assert!(play.room.counts.iter().any(moved), "{:?}", play.room.counts);
}

#[test]
fn s4_a_login_in_steps_is_said_again_in_steps() {
    let mut play = kept();
    play.turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
    play.turn("YW5u\r\n", "334 UGFzc3dvcmQ6\r\n");
    play.turn("c2VjcmV0\r\n", YES);
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    play.turn("RCPT TO:<c@d.example>\r\n", "250 Ok\r\n");
    play.lost();
    another(&mut play);
    play.asked("AUTH LOGIN\r\n");
    play.server("334 VXNlcm5hbWU6\r\n");
    play.asked("YW5u\r\n");
    play.server("334 UGFzc3dvcmQ6\r\n");
    play.asked("c2VjcmV0\r\n");
    play.server(YES);
    play.asked("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    play.server("250 Ok\r\n250 Ok\r\n");
    play.turn("DATA\r\n", "354 go\r\n");
}

#[test]
fn s4_a_server_that_refuses_the_login_ends_the_session_with_421() {
    let mut play = kept();
    play.turn(PLAIN, YES);
    play.lost();
    play.client("NOOP\r\n");
    another(&mut play);
    play.asked(PLAIN);
    play.server("535 5.7.8 Error: authentication failed\r\n");
    play.hears(LOST);
    assert_eq!(play.dialogue.ended(), Some(End::NoServer));
}

#[test]
fn s4_a_server_that_cannot_check_it_just_now_is_passed_over() {
    let mut play = kept();
    play.turn(PLAIN, YES);
    play.lost();
    play.client("NOOP\r\n");
    another(&mut play);
    play.asked(PLAIN);
    play.server(LATER);
    another(&mut play);
    play.asked(PLAIN);
    play.server(YES);
    play.asked("NOOP\r\n");
}

#[test]
fn s4_secrets_go_only_to_servers_that_have_shown_who_they_are() {
    let mut play = kept();
    play.turn(PLAIN, YES);
    play.lost();
    play.room.reach.verified = false;
    play.client("NOOP\r\n");
    another(&mut play);
    play.asked("QUIT\r\n");
    assert!(play.dialogue.quest().is_some(), "another one is looked for");
    play.nobody();
    play.hears("421 4.3.2 proxy.example Service temporarily unavailable\r\n");
}

#[test]
fn s4_without_leave_to_keep_secrets_the_next_command_hears_421() {
    let mut play = open(|_| {});
    play.turn(PLAIN, YES);
    assert!(!play.dialogue.may_leave(), "nor is it moved without need");
    play.dialogue.server_down(play.now, &mut play.room);
    assert!(play.dialogue.has_server(), "nor before it is lost");
    play.lost();
    play.hears("");
    play.client("MAIL FROM:<a@b.example>\r\n");
    play.hears(LOST);
    assert_eq!(play.dialogue.ended(), Some(End::NoServer));
    // QUIT is QUIT.
    let mut play = open(|_| {});
    play.turn(PLAIN, YES);
    play.lost();
    play.client("QUIT\r\n");
    play.hears("221 2.0.0 proxy.example Bye\r\n");
}

#[test]
fn s4_a_message_that_cannot_follow_is_refused_for_now() {
    let mut play = open(|_| {});
    play.turn(PLAIN, YES);
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    play.turn("RCPT TO:<c@d.example>\r\n", "250 Ok\r\n");
    play.turn("DATA\r\n", "354 go\r\n");
    play.client("Subject: x\r\n\r\n");
    play.lost();
    play.client("body\r\n.\r\n");
    play.hears("451 4.3.0 Temporary server failure, please try again\r\n");
    play.client("MAIL FROM:<a@b.example>\r\n");
    play.hears(LOST);
}

#[test]
fn a_login_under_way_goes_to_another_server() {
    // Without leave to keep it: nothing was answered yet.
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.asked(PLAIN);
    play.lost();
    another(&mut play);
    play.asked(PLAIN);
    play.server(YES);
    play.hears(YES);
    assert!(!play.dialogue.may_leave(), "its secret is gone");
    // In the middle: what was answered is said again, and its answer swallowed.
    let mut play = open(|_| {});
    play.turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
    play.lost();
    play.client("YW5u\r\n");
    another(&mut play);
    play.asked("AUTH LOGIN\r\n");
    play.server("334 VXNlcm5hbWU6\r\n");
    play.hears("");
    play.asked("YW5u\r\n");
    play.server("334 UGFzc3dvcmQ6\r\n");
    play.hears("334 UGFzc3dvcmQ6\r\n");
    play.turn("c2VjcmV0\r\n", YES);
}

#[test]
fn a_challenge_cannot_be_answered_elsewhere() {
    let mut play = kept();
    play.turn("AUTH CRAM-MD5\r\n", "334 PDE+\r\n");
    play.lost();
    play.client("YW5uIDEyMzQ=\r\n");
    play.hears(LATER);
    // The session goes on, and the client may try again.
    play.client("AUTH CRAM-MD5\r\n");
    another(&mut play);
    play.asked("AUTH CRAM-MD5\r\n");
    play.server("334 PDI+\r\n");
    play.hears("334 PDI+\r\n");
    play.client("YW5uIDEyMzQ=\r\n");
    play.asked("YW5uIDEyMzQ=\r\n");
    play.lost();
    play.hears(LATER);
    // Logged in by challenge: no other server can know.
    let mut play = kept();
    play.turn("AUTH CRAM-MD5\r\n", "334 PDE+\r\n");
    play.turn("YW5uIDEyMzQ=\r\n", YES);
    play.lost();
    play.client("NOOP\r\n");
    play.hears(LOST);
}

#[test]
fn a_server_that_is_the_problem_itself_is_left_once() {
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.asked(PLAIN);
    play.server("454 4.7.0 Connection lost to authentication server\r\n");
    play.hears("");
    another(&mut play);
    play.asked(PLAIN);
    play.server("454 4.7.0 Here too\r\n");
    play.hears("454 4.7.0 Here too\r\n");
    play.turn("NOOP\r\n", "250 Ok\r\n");
    // Nobody else is there: what the first one has said.
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.server("454 4.7.0 Connection lost to authentication server\r\n");
    play.nobody();
    play.hears("454 4.7.0 Connection lost to authentication server\r\n");
    assert_eq!(play.dialogue.ended(), None);
}

#[test]
fn what_servers_tell_those_they_know_is_not_promised_to_others() {
    // Exim and others tell who is logged in no more how to log in.
    let mut play = open(|_| {});
    play.turn(PLAIN, YES);
    play.room.learned.clear();
    play.client(HELLO);
    play.server("250-mail.example\r\n250 PIPELINING\r\n");
    assert_eq!(play.room.learned, []);
    // Nor is the list empty that HELO does not ask for.
    let mut play = Play::new();
    play.greeted("220 mail.example\r\n");
    play.client("HELO client.example\r\n");
    play.server("250 mail.example\r\n");
    play.lost();
    play.client("NOOP\r\n");
    play.greeted("220 other.example\r\n");
    play.server("250 other.example\r\n");
    assert_eq!(play.room.learned, []);
}

#[test]
fn s7_without_another_that_can_have_the_login_the_outcome_is_unknown() {
    let mut play = open(|settings| settings.replay_after_data = true);
    play.turn("AUTH CRAM-MD5\r\n", "334 PDE+\r\n");
    play.turn("YW5uIDEyMzQ=\r\n", YES);
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    play.turn("RCPT TO:<c@d.example>\r\n", "250 Ok\r\n");
    play.turn("DATA\r\n", "354 go\r\n");
    play.client("body\r\n.\r\n");
    play.lost();
    play.hears("451 4.4.2 Connection to the mail server lost after the end of data\r\n");
    assert_eq!(play.room.records[0].outcome, Outcome::Unknown);
    play.client("NOOP\r\n");
    play.hears(LOST);
}

#[test]
fn a_server_that_has_had_enough_is_believed_by_the_second_at_the_latest() {
    let enough = "421 4.7.0 mail.example Error: too many errors\r\n";
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.asked(PLAIN);
    play.server(enough);
    play.hears("");
    assert_eq!(play.room.released, [Parting::Done]);
    another(&mut play);
    play.asked(PLAIN);
    play.server(enough);
    play.hears(enough);
    assert_eq!(play.dialogue.ended(), Some(End::ServerLeft));
    // There is no other.
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.server(enough);
    play.nobody();
    play.hears(enough);
    assert_eq!(play.dialogue.ended(), Some(End::ServerLeft));
    // Who has ended its side hears it as well.
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.dialogue.client_end(play.now, &mut play.room);
    play.server(enough);
    play.hears(enough);
    // A challenge cannot be answered elsewhere; the client may try again.
    let mut play = open(|_| {});
    play.turn("AUTH CRAM-MD5\r\n", "334 PDE+\r\n");
    play.client("YW5uIDEyMzQ=\r\n");
    play.server(enough);
    play.hears(LATER);
    assert_eq!(play.dialogue.ended(), None);
}

#[test]
fn half_a_secret_is_one_and_no_exchange() {
    let mut play = open(|_| {});
    play.client("AUTH PLAIN AGFubgBz");
    assert!(play.dialogue.hears_secrets(), "the shell overwrites it");
    play.client("ZWNyZXQ=\r\n");
    play.asked(PLAIN);
    play.server(YES);
    assert!(!play.dialogue.hears_secrets());
    // What was not a secret yet does not keep the server from hearing a goodbye.
    let mut play = open(|_| {});
    play.client("AUTH PLAIN AGFubgBz");
    play.wait(300_000);
    play.asked("QUIT\r\n");
}

#[test]
fn nobody_at_all() {
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.lost();
    play.nobody();
    play.hears("421 4.3.2 proxy.example Service temporarily unavailable\r\n");
    // A server that never answers.
    let mut play = open(|_| {});
    play.client(PLAIN);
    play.asked(PLAIN);
    play.wait(300_000);
    assert!(play.dialogue.quest().is_some());
}

#[test]
fn starttls_comes_before_a_login_or_not_at_all() {
    let mut play = Play::with(|settings| {
        settings.auth = Auth::Anywhere;
        settings.security = Security::StartTls { required: false };
    });
    play.greeted("220 mail.example\r\n");
    play.turn_hello(OFFER);
    play.turn(PLAIN, YES);
    play.client("STARTTLS\r\n");
    play.hears("503 5.5.1 Logged in already\r\n");
}
