//! The replay matrix: one test or more for each of its rows.

use super::*;

const MAIL: &str = "MAIL FROM:<a@b.example>\r\n";
const RCPT: &str = "RCPT TO:<c@d.example>\r\n";
const OK: &str = "250 2.0.0 Ok\r\n";
const GO: &str = "354 go on\r\n";
const TRY_AGAIN: &str = "451 4.3.0 Temporary server failure, please try again\r\n";
const UNKNOWN: &str = "451 4.4.2 Connection to the mail server lost after the end of data\r\n";
const UNAVAILABLE: &str = "421 4.3.2 proxy.example Service temporarily unavailable\r\n";

/// A second server greets and is told EHLO; nothing of it reaches the client.
fn second_server(play: &mut Play) {
    assert!(
        play.dialogue.quest().is_some(),
        "another server is asked for"
    );
    play.greeted("220 mail2.example\r\n");
    play.asked("EHLO client.example\r\n");
    play.server(OFFER);
}

fn in_envelope() -> Play {
    let mut play = Play::open();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play
}

fn in_data() -> Play {
    let mut play = in_envelope();
    play.turn("DATA\r\n", GO);
    play.client("one\r\ntwo\r\n");
    play.asked("one\r\ntwo\r\n");
    play
}

/// Gives the second server the transaction up to the body, and expects the body so far.
fn replayed_to_body(play: &mut Play) {
    second_server(play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(OK);
    play.server(OK);
    play.asked("DATA\r\n");
    play.server(GO);
    play.asked("one\r\ntwo\r\n");
    play.hears("");
}

fn moved(play: &Play) -> Vec<(State, Why)> {
    let counts = play.room.counts.iter();
    counts
        .filter_map(|count| match *count {
            Count::Moved { state, why, .. } => Some((state, why)),
            _ => None,
        })
        .collect()
}

#[test]
fn s0_a_server_that_dies_in_its_greeting_was_never_there() {
    let mut play = Play::new();
    play.greeted("220-mail.example wait\r\n");
    play.hears("");
    play.lost();
    assert!(play.dialogue.quest().is_some());
    play.greeted("220 mail2.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
}

#[test]
fn s0_nobody_there_says_so() {
    let mut play = Play::new();
    play.nobody();
    play.hears(UNAVAILABLE);
    assert_eq!(play.dialogue.ended(), Some(End::NoServer));
}

#[test]
fn s1_after_the_banner_the_next_command_finds_another_server() {
    let mut play = Play::new();
    play.greeted("220 mail.example\r\n");
    play.hears("220 proxy.example ESMTP\r\n");
    play.lost();
    assert!(
        play.dialogue.quest().is_none(),
        "nothing needs a server yet"
    );
    play.client("EHLO client.example\r\n");
    assert!(play.dialogue.quest().is_some());
    play.greeted("220 mail2.example\r\n");
    play.asked("EHLO client.example\r\n");
    play.server(OFFER);
    play.hears(TOLD);
    assert_eq!(moved(&play), [(State::S1, Why::Reset)]);
}

#[test]
fn s2_the_new_server_is_told_ehlo_and_the_client_hears_nothing_of_it() {
    let mut play = Play::open();
    play.lost();
    play.client(MAIL);
    second_server(&mut play);
    play.hears("");
    play.asked(MAIL);
    play.server(OK);
    play.hears(OK);
    assert_eq!(moved(&play), [(State::S2, Why::Reset)]);
}

#[test]
fn s2_a_server_that_offers_less_than_was_promised_is_no_candidate() {
    for offer in [
        "250-mail2.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
        "250-mail2.example\r\n250-PIPELINING\r\n250-SIZE 10\r\n250-DSN\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
    ] {
        let mut play = Play::open();
        play.lost();
        play.client(MAIL);
        play.greeted("220 mail2.example\r\n");
        play.asked("EHLO client.example\r\n");
        play.server(offer);
        play.asked("QUIT\r\n");
        let quest = play.dialogue.quest().expect("another server is asked for");
        assert_eq!((quest.why, quest.avoid), (Why::Unfit, &[1, 2][..]));
    }
}

#[test]
fn s5_the_envelope_is_replayed_before_the_next_command() {
    let mut play = in_envelope();
    play.turn("RCPT TO:<nobody@d.example>\r\n", "550 5.1.1 no\r\n");
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(OK);
    play.server(OK);
    play.hears("");
    assert_eq!(moved(&play), [(State::S5, Why::Reset)]);
    play.turn("RCPT TO:<e@d.example>\r\n", OK);
}

#[test]
fn s5_unanswered_commands_are_answered_by_the_second_server() {
    let mut play = Play::open();
    let group = format!("{MAIL}{RCPT}RCPT TO:<e@d.example>\r\nDATA\r\n");
    play.client(&group);
    play.asked(&group);
    play.server("250 first\r\n250 fir");
    play.hears("250 first\r\n");
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}RCPT TO:<e@d.example>\r\n"));
    play.server("250 second\r\n");
    play.hears("");
    play.asked("DATA\r\n");
    play.server("250 second\r\n550 second\r\n354 second\r\n");
    play.hears("250 second\r\n550 second\r\n354 second\r\n");
}

#[test]
fn s5_a_move_before_mail_is_answered_is_told_with_the_message() {
    let mut play = Play::open();
    let group = format!("{MAIL}{RCPT}");
    play.client(&group);
    play.asked(&group);
    play.lost();
    second_server(&mut play);
    play.asked(&group);
    play.server(OK);
    play.server(OK);
    play.hears(&format!("{OK}{OK}"));
    play.turn("DATA\r\n", GO);
    play.turn("text\r\n.\r\n", OK);
    let [record] = &play.room.records[..] else {
        panic!("one message, {} records", play.room.records.len());
    };
    let [told] = record.moves[..] else {
        panic!("one move: {:?}", record.moves);
    };
    assert_eq!((told.state, told.why), (State::S2, Why::Reset));
}

#[test]
fn s5_a_recipient_the_second_server_refuses_is_not_dropped_in_silence() {
    let mut play = in_envelope();
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(OK);
    play.server("450 4.2.1 no\r\n");
    play.hears("");
    play.client("RCPT TO:<e@d.example>\r\nDATA\r\n");
    play.hears(&TRY_AGAIN.repeat(2));
    // A new beginning finds a server.
    play.client("RSET\r\n");
    second_server(&mut play);
    play.asked("RSET\r\n");
    play.server(OK);
    play.hears(OK);
}

#[test]
fn s6_the_body_so_far_is_sent_again_and_goes_on() {
    let mut play = in_data();
    play.lost();
    replayed_to_body(&mut play);
    assert_eq!(moved(&play), [(State::S6, Why::Reset)]);
    play.client("three\r\n.\r\n");
    play.asked("three\r\n.\r\n");
    play.server("250 queued\r\n");
    play.hears("250 queued\r\n");
    let record = &play.room.records[0];
    assert_eq!(record.outcome, Outcome::Delivered);
    assert_eq!(record.server, Some(2));
    assert_eq!((record.moves.len(), record.moves[0].from), (1, 1));
}

#[test]
fn s6_a_chunked_body_is_sent_again() {
    let mut play = in_envelope();
    play.client("BDAT 4\r\nabcd");
    play.asked("BDAT 4\r\nabcd");
    play.server(OK);
    play.hears(OK);
    play.client("BDAT 6 LAST\r\nefg");
    play.asked("BDAT 6 LAST\r\nefg");
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(&OK.repeat(2));
    play.asked("BDAT 4\r\nabcd");
    play.server(OK);
    play.asked("BDAT 6 LAST\r\nefg");
    play.hears("");
    play.client("hij");
    play.asked("hij");
    play.server("250 queued\r\n");
    play.hears("250 queued\r\n");
}

#[test]
fn s6_a_chunk_that_was_refused_makes_no_message_elsewhere() {
    let mut play = in_envelope();
    play.client("BDAT 4\r\nabcd");
    play.asked("BDAT 4\r\nabcd");
    play.server("451 4.2.0 no\r\n");
    play.hears("451 4.2.0 no\r\n");
    play.lost();
    play.client("BDAT 4 LAST\r\nefgh");
    play.hears(TRY_AGAIN);
    play.asked("");
}

#[test]
fn s6_through_the_spool_file() {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.journal.memory = 8;
    });
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", GO);
    for line in ["one\r\n", "two\r\n"] {
        play.client(line);
        play.asked(line);
    }
    assert!(!play.room.file.is_empty());
    play.lost();
    replayed_to_body(&mut play);
    play.client(".\r\n");
    play.asked(".\r\n");
    play.server(OK);
    play.hears(OK);
    assert!(play.room.file.is_empty());
}

#[test]
fn s6_unprotected_is_read_to_its_end_and_refused() {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.journal.total = 8;
    });
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", GO);
    play.client("one\r\ntwo\r\nthree\r\n");
    assert!(play.room.counts.contains(&Count::Unprotected));
    play.lost();
    assert!(play.dialogue.quest().is_none());
    play.client("four\r\n");
    play.hears("");
    play.client(".\r\nNOOP\r\n");
    play.hears(TRY_AGAIN);
    second_server(&mut play);
    play.asked("NOOP\r\n");
}

#[test]
fn s7_the_outcome_is_unknown_and_the_client_is_told() {
    let mut play = in_data();
    play.client(".\r\n");
    play.asked(".\r\n");
    play.lost();
    play.hears(UNKNOWN);
    assert!(play.dialogue.quest().is_none());
    assert!(play.room.counts.contains(&Count::OutcomeUnknown));
    assert_eq!(play.room.records[0].outcome, Outcome::Unknown);
}

#[test]
fn s7_is_replayed_where_the_operator_has_chosen_so() {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.replay_after_data = true;
    });
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", GO);
    play.client("one\r\ntwo\r\n.\r\n");
    play.asked("one\r\ntwo\r\n.\r\n");
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(&OK.repeat(2));
    play.asked("DATA\r\n");
    play.server(GO);
    play.asked("one\r\ntwo\r\n.\r\n");
    play.server("250 queued\r\n");
    play.hears("250 queued\r\n");
    assert_eq!(moved(&play), [(State::S7, Why::Reset)]);
}

#[test]
fn s7_silence_is_never_replayed() {
    let mut play = Play::with(|settings| {
        settings.hold_back = None;
        settings.replay_after_data = true;
    });
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", GO);
    play.client(".\r\n");
    play.asked(".\r\n");
    play.wait(10 * 60_000 - 1);
    play.hears("");
    play.wait(1);
    play.hears(UNKNOWN);
    assert_eq!(play.room.released, [Parting::Hard]);
}

#[test]
fn s7_is_narrow_a_loss_before_the_acknowledgement_is_s6() {
    let mut play = Play::with(|_| {});
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.turn("DATA\r\n", GO);
    play.client("one\r\ntwo\r\n.\r\n");
    play.asked("one\r\ntwo\r\n");
    assert!(play.dialogue.wants_acknowledgement());
    play.lost();
    replayed_to_body(&mut play);
    assert!(play.dialogue.wants_acknowledgement());
    play.dialogue.acknowledged(play.now, &mut play.room);
    play.asked(".\r\n");
    assert!(!play.dialogue.wants_acknowledgement());
    play.server(OK);
    play.hears(OK);
}

/// A short message leaves in one flight: to hold its end back would narrow nothing.
#[test]
fn s7_of_a_short_message_is_as_narrow_as_it_can_be() {
    let mut play = Play::with(|settings| settings.flight = 12);
    play.open_now();
    for (body, waits) in [("one\r\ntwo..\r\n", false), ("one\r\ntwo...\r\n", true)] {
        play.turn(MAIL, OK);
        play.turn(RCPT, OK);
        play.turn("DATA\r\n", GO);
        play.client(&format!("{body}.\r\n"));
        if waits {
            play.asked(body);
            play.dialogue.acknowledged(play.now, &mut play.room);
            play.asked(".\r\n");
        } else {
            play.asked(&format!("{body}.\r\n"));
        }
        play.server(OK);
        play.hears(OK);
    }
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.client("BDAT 4 LAST\r\nabcd");
    play.asked("BDAT 4 LAST\r\nabcd");
}

#[test]
fn s7_is_narrow_with_chunks_too_and_the_wait_is_bounded() {
    let mut play = Play::with(|_| {});
    play.open_now();
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.client("BDAT 4 LAST\r\nabcd");
    play.asked("BDAT 4 LAST\r\nabc");
    play.wait(9);
    play.asked("");
    play.wait(1);
    play.asked("d");
    play.server(OK);
    play.hears(OK);
    play.turn(MAIL, OK);
    play.turn(RCPT, OK);
    play.client("BDAT 4\r\nabcdBDAT 0 LAST\r\n");
    play.asked("BDAT 4\r\nabcd");
    play.server(OK);
    play.asked("BDAT 0 LAST\r\n");
}

#[test]
fn s8_a_server_that_is_the_problem_is_left() {
    for reply in [
        "421 4.3.2 shutting down\r\n",
        "421 bye\r\n",
        "452 4.3.1 disk full\r\n",
        "450 4.3.2 not now\r\n",
        "451 4.3.0 queue file write error\r\n",
    ] {
        let mut play = in_data();
        play.client(".\r\n");
        play.asked(".\r\n");
        play.server(reply);
        play.hears("");
        play.room.server.clear();
        replayed_to_body_and_end(&mut play);
        play.server("250 queued\r\n");
        play.hears("250 queued\r\n");
        assert_eq!(moved(&play), [(State::S8, Why::Leaving)], "{reply}");
    }
}

fn replayed_to_body_and_end(play: &mut Play) {
    second_server(play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(&OK.repeat(2));
    play.asked("DATA\r\n");
    play.server(GO);
    play.asked("one\r\ntwo\r\n.\r\n");
}

#[test]
fn s8_what_is_the_messages_fault_is_passed_on() {
    for reply in [
        "450 4.7.1 greylisted\r\n",
        "451 4.7.0 later\r\n",
        "452 4.2.2 mailbox full\r\n",
        "450 4.1.8 no such domain\r\n",
        "451 later\r\n",
        "452 full\r\n",
        "550 5.7.1 spam\r\n",
        "554 5.3.0 no\r\n",
    ] {
        let mut play = in_data();
        play.client(".\r\n");
        play.server(reply);
        play.hears(reply);
        assert!(play.dialogue.quest().is_none(), "{reply}");
    }
}

#[test]
fn s8_the_second_server_says_the_same_so_it_is_the_message() {
    let mut play = in_data();
    play.client(".\r\n");
    play.server("451 4.3.0 one\r\n");
    play.room.server.clear();
    replayed_to_body_and_end(&mut play);
    play.server("451 4.3.5 two\r\n");
    play.hears("451 4.3.5 two\r\n");
    play.turn("RSET\r\n", OK);
}

#[test]
fn s8_without_another_server_the_answer_is_the_one_there_was() {
    let mut play = in_data();
    play.client(".\r\n");
    play.server("451 4.3.0 one\r\n");
    assert!(
        !play.dialogue.quest().expect("a quest").patient,
        "nobody waits for it"
    );
    play.nobody();
    play.hears("451 4.3.0 one\r\n");
    assert_eq!(play.dialogue.ended(), None);
}

#[test]
fn s9_the_next_transaction_may_use_another_server() {
    let mut play = in_data();
    play.client(".\r\n");
    play.server(OK);
    play.hears(OK);
    play.room.server.clear();
    assert!(play.dialogue.may_leave());
    play.dialogue.leave(play.now, &mut play.room);
    play.asked("QUIT\r\n");
    second_server(&mut play);
    play.turn(MAIL, OK);
    assert!(!play.dialogue.may_leave());
    assert_eq!(moved(&play), [(State::S9, Why::Failback)]);
}

#[test]
fn a_server_that_greets_and_hangs_has_not_the_whole_budget() {
    let mut play = Play::open();
    play.lost();
    play.client("NOOP\r\n");
    for _ in 0..2 {
        play.greeted("220 slow.example\r\n");
        play.asked("EHLO client.example\r\n");
        play.wait(9_999);
        assert!(play.dialogue.has_server());
        play.wait(1);
        assert_eq!(
            play.dialogue.quest().map(|quest| quest.why),
            Some(Why::Silent)
        );
    }
    second_server(&mut play);
    play.asked("NOOP\r\n");
    play.server(OK);
    play.hears(OK);
}

#[test]
fn the_second_server_dies_during_the_replay() {
    let mut play = in_data();
    play.lost();
    second_server(&mut play);
    play.asked(&format!("{MAIL}{RCPT}"));
    play.server(OK);
    play.lost();
    assert_eq!(play.dialogue.quest().expect("a quest").avoid, [1, 2]);
    replayed_to_body(&mut play);
    play.client(".\r\n");
    play.asked(".\r\n");
    play.server(OK);
    play.hears(OK);
}

#[test]
fn the_budget_bounds_a_move() {
    let mut play = in_envelope();
    play.client("RCPT TO:<e@d.example>\r\n");
    play.lost();
    play.wait(29_999);
    play.hears("");
    play.wait(1);
    play.hears(UNAVAILABLE);
    assert_eq!(play.dialogue.ended(), Some(End::NoServer));
}

#[test]
fn within_a_body_nobody_there_is_told_at_its_end() {
    let mut play = in_data();
    play.lost();
    play.nobody();
    play.client("three\r\n");
    play.hears("");
    play.client(".\r\n");
    play.hears(UNAVAILABLE);
    assert_eq!(play.dialogue.ended(), Some(End::NoServer));
}

#[test]
fn which_421_means_leaving() {
    for (reply, moves) in [
        ("421 4.3.2 shutting down\r\n", true),
        ("421 bye\r\n", true),
        ("421 4.7.0 too many connections\r\n", true),
        ("421 4.4.2 timeout\r\n", false),
        ("421 4.7.1 go away\r\n", false),
    ] {
        let mut play = in_envelope();
        play.client("DATA\r\n");
        play.asked("DATA\r\n");
        play.server(reply);
        if moves {
            play.hears("");
            second_server(&mut play);
            play.asked(&format!("{MAIL}{RCPT}"));
            play.server(&OK.repeat(2));
            play.asked("DATA\r\n");
            play.server(reply);
        }
        play.hears(reply);
        assert_eq!(play.dialogue.ended(), Some(End::ServerLeft), "{reply}");
    }
}

#[test]
fn an_idle_server_that_leaves_is_replaced_and_an_idle_client_hears_of_its_own_idleness() {
    let mut play = Play::open();
    play.server("421 4.3.2 shutting down\r\n");
    play.hears("");
    assert_eq!(play.dialogue.ended(), None);
    play.client(MAIL);
    second_server(&mut play);
    play.asked(MAIL);
    let mut play = Play::open();
    play.server("421 4.4.2 timeout\r\n");
    play.hears("421 4.4.2 timeout\r\n");
    assert_eq!(play.dialogue.ended(), Some(End::ServerLeft));
}

/// The end of a message waits for TCP's acknowledgement: a QUIT there would be the rest of it.
#[test]
fn a_client_that_hangs_up_while_the_end_waits_leaves_no_message() {
    for body in ["BDAT 8 LAST\r\nBody.\r\n\n", "DATA\r\n"] {
        let mut play = Play::with(|settings| settings.hold_back = Some(10));
        play.open_now();
        play.turn("MAIL FROM:<a@b.example>\r\n", "250 Ok\r\n");
        play.turn("RCPT TO:<c@d.example>\r\n", "250 Ok\r\n");
        play.client(body);
        if body.starts_with("DATA") {
            play.server("354 go\r\n");
            play.client("Body.\r\n.\r\n");
        }
        assert!(play.dialogue.wants_acknowledgement(), "{body}");
        play.room.server.clear();
        play.dialogue.client_gone(play.now, &mut play.room);
        play.asked("");
        assert_eq!(play.room.released, [Parting::Hard]);
    }
}

#[test]
fn a_client_that_hangs_up_cancels_everything() {
    let mut play = in_data();
    play.lost();
    play.dialogue.client_end(play.now, &mut play.room);
    assert_eq!(play.dialogue.ended(), Some(End::ClientGone));
    assert!(play.dialogue.quest().is_none());
    assert_eq!(play.room.records[0].outcome, Outcome::Cut);
}
