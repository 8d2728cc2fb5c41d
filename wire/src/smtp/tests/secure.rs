//! STARTTLS with the client.

use super::*;

const HELLO: &str = "EHLO client.example\r\n";
const READY: &str = "220 2.0.0 Ready to start TLS\r\n";
const FIRST: &str = "530 5.7.0 Must issue a STARTTLS command first\r\n";

fn open(required: bool) -> Play {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.security = Security::StartTls { required };
    });
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.client(HELLO);
    play.asked(HELLO);
    play.server("250-mail.example\r\n250 PIPELINING\r\n");
    play.hears("250-proxy.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
    play
}

fn secure(play: &mut Play) {
    play.client("STARTTLS\r\n");
    play.hears(READY);
    assert!(play.dialogue.wants_client_tls());
    assert!(!play.dialogue.reads_client(), "what comes now is TLS");
    play.dialogue.client_secured(play.now, &mut play.room);
    assert!(play.dialogue.reads_client());
}

#[test]
fn it_is_offered_once_and_what_was_said_before_is_forgotten() {
    let mut play = open(false);
    secure(&mut play);
    assert_eq!(play.dialogue.state(), State::S1);
    play.client("MAIL FROM:<a@b.example>\r\n");
    play.hears("503 5.5.1 Send EHLO first\r\n");
    play.client(HELLO);
    play.asked(HELLO);
    play.server("250-mail.example\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
    play.hears("250-proxy.example\r\n250 PIPELINING\r\n");
    play.client("STARTTLS\r\n");
    play.hears("503 5.5.1 TLS is active already\r\n");
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    // A server that takes over hears what was said within TLS.
    play.lost();
    play.greeted("220 other.example\r\n");
    play.asked(HELLO);
}

#[test]
fn whatever_is_said_behind_it_is_an_injection() {
    for behind in ["EHLO evil\r\n", "x", "\r\n", "\0"] {
        let mut play = open(false);
        play.client(&format!("STARTTLS\r\n{behind}"));
        play.hears("421 4.7.0 proxy.example Commands behind STARTTLS, closing connection\r\n");
        assert_eq!(play.dialogue.ended(), Some(End::Injection), "{behind:?}");
        assert!(play.room.counts.contains(&Count::Injection));
        assert!(!play.dialogue.wants_client_tls());
    }
    // Also when it had to wait for its turn.
    let mut play = open(false);
    play.client("NOOP\r\nSTARTTLS\r\nNOOP\r\n");
    play.server("250 Ok\r\n");
    assert_eq!(play.dialogue.ended(), Some(End::Injection));
}

#[test]
fn it_has_its_place_and_its_form() {
    let mut play = open(false);
    play.client("STARTTLS now\r\n");
    play.hears("501 5.5.4 Syntax: STARTTLS\r\n");
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
    play.client("STARTTLS\r\n");
    play.hears("503 5.5.1 Not within a mail transaction\r\n");
    let mut play = Play::open();
    play.client("STARTTLS\r\n");
    play.hears("502 5.5.1 Command not implemented\r\n");
}

#[test]
fn where_it_is_required_nothing_is_transferred_before() {
    let mut play = open(true);
    play.client("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    play.hears(&FIRST.repeat(3));
    play.client("AUTH PLAIN AGEAYg==\r\nVRFY x\r\n");
    play.hears(&FIRST.repeat(2));
    play.client("BDAT 4 LAST\r\nQUIT");
    play.hears(FIRST);
    play.turn("NOOP\r\n", "250 Ok\r\n");
    play.turn("RSET\r\n", "250 Ok\r\n");
    secure(&mut play);
    play.client(HELLO);
    play.server("250 mail.example\r\n");
    play.room.server.clear();
    play.room.client.clear();
    play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
}

#[test]
fn a_handshake_that_does_not_come_ends_the_session_without_a_word() {
    let mut play = open(false);
    play.client("STARTTLS\r\n");
    play.hears(READY);
    play.wait(300_000);
    play.hears("");
    assert_eq!(play.dialogue.ended(), Some(End::ClientTimeout));
}
