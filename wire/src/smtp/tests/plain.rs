//! Nothing fails: what a client and a server say to each other arrives.

use super::*;

#[test]
fn a_message_passes_byte_for_byte() {
    let mut play = Play::open();
    play.turn(
        "mail from:<a@b.example> SIZE=100 RET=HDRS\r\n",
        "250 2.1.0 Ok\r\n",
    );
    play.turn("RCPT TO:<c@d.example> NOTIFY=NEVER\r\n", "250 2.1.5 Ok\r\n");
    play.turn("DATA\r\n", "354 go on\r\n");
    play.client("Subject: x\r\n\r\n..dot\r\n.\r\n");
    play.asked("Subject: x\r\n\r\n..dot\r\n.\r\n");
    play.server("250 2.0.0 Ok: queued as 4X5Y6Z\r\n");
    play.hears("250 2.0.0 Ok: queued as 4X5Y6Z\r\n");
    let record = play.room.records.pop().expect("a record");
    assert_eq!(record.outcome, Outcome::Delivered);
    assert_eq!(record.queue_id(), Some("4X5Y6Z"));
    assert_eq!(&*record.mail, b"from:<a@b.example> SIZE=100 RET=HDRS");
    assert_eq!((record.accepted, record.size), (1, 21));
    assert_eq!(
        play.dialogue.journal_bytes(),
        (0, 0),
        "an idle session has no journal"
    );
    play.turn("QUIT\r\n", "221 2.0.0 Bye\r\n");
    assert_eq!(play.dialogue.ended(), Some(End::Quit));
}

#[test]
fn pipelined_commands_go_on_at_once_and_replies_keep_their_order() {
    let mut play = Play::open();
    let group =
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n";
    play.client(group);
    play.asked(group);
    play.server("250 Ok\r\n250-two\r\n");
    play.hears("250 Ok\r\n");
    play.server("250 lines\r\n550 5.1.1 no\r\n354 go\r\n");
    play.hears("250-two\r\n250 lines\r\n550 5.1.1 no\r\n354 go\r\n");
    play.client("x\r\n.\r\nQUIT\r\n");
    play.asked("x\r\n.\r\n");
    play.server("250 Ok\r\n");
    play.hears("250 Ok\r\n");
    play.asked("QUIT\r\n");
    play.server("221 Bye\r\n");
    play.hears("221 Bye\r\n");
}

#[test]
fn chunks_are_counted_to_the_byte() {
    let mut play = Play::open();
    play.turn("MAIL FROM:<> BODY=BINARYMIME\r\n", "250 Ok\r\n");
    play.turn("RCPT TO:<c@d.example>\r\n", "250 Ok\r\n");
    play.client("BDAT 7\r\nab\r\n.\r\nBDAT 3 LAST\r\nxyzNOOP\r\n");
    play.asked("BDAT 7\r\nab\r\n.\r\nBDAT 3 LAST\r\nxy");
    play.server("250 7 octets\r\n");
    play.hears("250 7 octets\r\n");
    // The last byte waits for the answers to what goes before it: until then a loss is no delivery.
    play.asked("z");
    play.server("250 queued\r\n");
    play.hears("250 queued\r\n");
    play.asked("NOOP\r\n");
}

#[test]
fn a_server_without_pipelining_gets_one_command_at_a_time() {
    let mut play = Play::new();
    play.greeted("220 mail.example\r\n");
    play.client("HELO client.example\r\n");
    play.asked("HELO client.example\r\n");
    play.server("250 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n250 proxy.example\r\n");
    play.client("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    play.asked("MAIL FROM:<a@b.example>\r\n");
    play.server("250 Ok\r\n");
    play.asked("RCPT TO:<c@d.example>\r\n");
}

#[test]
fn an_idle_session_is_small() {
    assert!(
        size_of::<Dialogue>() <= 320,
        "{} bytes",
        size_of::<Dialogue>()
    );
}
