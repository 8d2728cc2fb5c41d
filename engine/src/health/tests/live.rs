//! What live traffic and operators do to a server: evidence, warming up, weights.

use super::*;

#[test]
fn a_live_failure_hurries_the_checks_that_decide() {
    let mut health = up();
    assert_eq!(health.evidence(Sight::Failed, 1_000), [Change::CheckNow]);
    assert!(health.evidence(Sight::Failed, 1_050).is_empty());
    assert_eq!(health.next_interval(), 0);
    for now in [1_001, 1_002] {
        health.check(refused(), 0, now);
        assert_eq!(health.next_interval(), 0);
    }
    assert_eq!(tell(&health.check(refused(), 0, 1_003)), [DOWN]);
    assert_eq!(health.next_interval(), 5_000);
    assert!(health.evidence(Sight::Failed, 2_000).is_empty());

    let mut health = up();
    health.evidence(Sight::Failed, 1_000);
    health.check(passed(), 0, 1_001);
    assert_eq!(
        (health.next_interval(), health.status_text().as_str()),
        (10_000, "UP")
    );
    assert!(health.evidence(Sight::Failed, 1_002).is_empty());
    assert_eq!(health.evidence(Sight::Failed, 1_100), [Change::CheckNow]);
}

fn observed(on_error: OnError) -> Health {
    let mut server = conf();
    (server.observe_layer4, server.error_limit, server.on_error) = (true, 2, on_error);
    let mut health = Health::new(&server, true, Failback::Now, 0);
    health.check(passed(), 0, 0);
    health
}

#[test]
fn errors_in_a_row_count_as_on_error_says() {
    for (on_error, left) in [
        (OnError::FastInter, 4),
        (OnError::FailCheck, 3),
        (OnError::SuddenDeath, 2),
        (OnError::MarkDown, 0),
    ] {
        let mut health = observed(on_error);
        health.evidence(Sight::Failed, 1);
        health.evidence(Sight::Answered, 2);
        health.evidence(Sight::Failed, 3);
        assert_eq!(health.health(), 4, "{on_error:?}: a success in between");
        let lines = tell(&health.evidence(Sight::Failed, 4));
        assert_eq!(health.health(), left, "{on_error:?}");
        if on_error == OnError::MarkDown {
            assert_eq!(
                lines,
                [
                    "<1>Server be/m1 is DOWN, reason: Health analyze, info: \"Detected 2 consecutive \
                  errors, last one was: L4 unsuccessful connection\". 0 active and 1 backup servers \
                  left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue."
                ]
            );
        }
    }
    // Sudden death leaves one failure; from there another is the end.
    let mut health = observed(OnError::SuddenDeath);
    for now in 0..2 {
        health.evidence(Sight::Failed, now);
    }
    assert_eq!(health.status_text(), "UP 1/3");
    health.check(refused(), 0, 3);
    assert_eq!(health.status_text(), "DOWN");
}

#[test]
fn a_passed_check_forgets_live_errors() {
    let mut health = observed(OnError::MarkDown);
    health.evidence(Sight::Failed, 1);
    health.check(passed(), 0, 2);
    health.evidence(Sight::Failed, 300);
    assert_eq!(health.status_text(), "UP");
}

#[test]
fn slowstart_gives_weight_step_by_step() {
    let mut server = conf();
    (server.slowstart, server.weight) = (Some(Duration::from_secs(100)), 10);
    let mut health = Health::new(&server, true, Failback::Now, 0);
    assert_eq!(
        (health.op(), health.effective_weight(0)),
        (OpState::Running, 160)
    );
    health.set_health(Claim::Down, 1);
    assert_eq!(health.effective_weight(1), 0);
    health.check(passed(), 0, 1_000);
    health.check(passed(), 0, 1_000);
    assert_eq!(
        (health.op(), health.warm_up_step()),
        (OpState::Starting, Some(5_000))
    );
    assert_eq!(
        (health.effective_weight(1_000), health.throttle(1_000)),
        (10, Some(1))
    );
    assert_eq!(health.shown_weight(1_000), 1);
    assert_eq!(health.tick(51_000), [Change::Weight]);
    assert_eq!(
        (health.effective_weight(51_000), health.throttle(51_000)),
        (90, Some(50))
    );
    assert_eq!(health.tick(101_000), [Change::Weight]);
    assert_eq!(
        (health.op(), health.throttle(101_000)),
        (OpState::Running, None)
    );
    assert_eq!(
        (
            health.effective_weight(101_000),
            health.shown_weight(101_000)
        ),
        (160, 10)
    );
    assert!(health.tick(102_000).is_empty());
    assert_eq!(health.last_change(), 1_000);
}

#[test]
fn weights_are_numbers_or_shares_of_the_configured_one() {
    let mut server = conf();
    server.weight = 10;
    let mut health = Health::new(&server, true, Failback::Now, 0);
    for (text, weight) in [
        ("50%", 5),
        ("1", 1),
        ("0", 0),
        ("256", 256),
        ("150%", 15),
        ("9999%", 256),
    ] {
        assert_eq!(health.set_weight(text), Ok(vec![Change::Weight]), "{text}");
        assert_eq!((health.uweight(), health.iweight()), (weight, 10), "{text}");
    }
    assert_eq!(health.set_weight("256"), Ok(vec![]));
    assert_eq!(health.set_weight("257"), Err(WeightError::Range));
    for (text, error) in [
        ("", WeightError::Invalid),
        ("x", WeightError::Invalid),
        ("-", WeightError::Invalid),
        ("5x", WeightError::Trailing),
        ("5%x", WeightError::Trailing),
        ("-5%", WeightError::Negative),
        ("-5", WeightError::Range),
        ("99999999999999999999", WeightError::Range),
    ] {
        assert_eq!(health.set_weight(text), Err(error), "{text}");
    }
    let mut health = Health::new(&server, false, Failback::Now, 0);
    assert_eq!(health.set_weight("50%"), Err(WeightError::Static));
    assert_eq!(health.set_weight("0%"), Ok(vec![Change::Weight]));
    assert_eq!(health.fraction(), "1/3 DRAIN");
    assert_eq!(health.set_weight("100%"), Ok(vec![Change::Weight]));
}

const SILENT: Sight = Sight::Silent { for_ms: 300 };

#[test]
fn a_silent_server_rests_at_once_and_is_down_when_nobody_hears_of_it() {
    let mut health = up();
    assert_eq!(
        health.evidence(SILENT, 1_000),
        [Change::Weight, Change::CheckNow]
    );
    assert!(health.in_reserve() && health.is_usable());
    assert_eq!(health.silence_ends(), Some(1_300));
    assert!(health.judge_silence(1_299).is_empty());
    assert_eq!(
        tell(&health.judge_silence(1_300)),
        [
            "<1>Server be/m1 is DOWN, reason: Health analyze, info: \"No greeting for 600ms, in live \
          traffic and in a check\". 0 active and 1 backup servers left. Running on backup. 0 sessions active, \
          0 requeued, 0 remaining in queue."
        ]
    );
}

#[test]
fn a_sign_of_life_ends_a_silence_but_not_the_rest() {
    for sign in [
        |health: &mut Health| drop(health.check(passed(), 1, 1_100)),
        |health: &mut Health| health.greeted(1_100),
    ] {
        let mut health = up();
        health.evidence(SILENT, 1_000);
        sign(&mut health);
        assert!(health.judge_silence(1_300).is_empty());
        assert!(health.in_reserve() && health.is_up());
        assert_eq!(health.tick(2_000), [Change::Weight]);
        assert!(!health.in_reserve());
    }
    let mut health = up();
    health.evidence(SILENT, 1_000);
    health.greeted(999);
    assert!(!health.judge_silence(1_300).is_empty(), "that was before");
}

#[test]
fn who_is_silent_again_rests_longer() {
    let mut health = up();
    let mut now = 1_000;
    for rest in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        health.evidence(SILENT, now);
        health.check(passed(), 1, now);
        assert_eq!(health.reserve_ends(), Some(now + rest));
        assert!(health.evidence(SILENT, now + 1).is_empty(), "it rests");
        now += rest;
        health.tick(now);
    }
    now += 60_001;
    health.evidence(SILENT, now);
    assert_eq!(health.reserve_ends(), Some(now + 1_000), "long forgotten");
}

#[test]
fn what_came_back_from_live_evidence_is_not_hurried_again_at_once() {
    let mut health = up();
    health.evidence(Sight::Failed, 1_000);
    for now in 1_001..1_004 {
        health.check(refused(), 0, now);
    }
    assert!(!health.is_up());
    health.check(passed(), 0, 2_000);
    health.check(passed(), 0, 2_001);
    assert!(health.is_up());
    assert!(health.evidence(Sight::Failed, 5_000).is_empty());
    assert_eq!(health.evidence(Sight::Failed, 32_001), [Change::CheckNow]);
}

#[test]
fn failback_keeps_a_server_in_reserve() {
    let fall_and_rise = |failback| {
        let mut health = Health::new(&conf(), true, failback, 0);
        assert!(!health.in_reserve(), "at the start it serves");
        for now in 1..4 {
            health.check(refused(), 0, now);
        }
        health.check(passed(), 0, 1_000);
        health.check(passed(), 0, 1_000);
        assert!(health.is_up());
        health
    };
    assert!(!fall_and_rise(Failback::Now).in_reserve());
    let mut health = fall_and_rise(Failback::After(Duration::from_secs(5)));
    assert_eq!(health.reserve_ends(), Some(6_000));
    assert!(health.tick(5_999).is_empty() && health.in_reserve());
    assert_eq!(health.tick(6_000), [Change::Weight]);
    assert!(!health.in_reserve());
    let mut health = fall_and_rise(Failback::Manual);
    assert!(health.tick(u64::MAX - 1).is_empty() && health.reserve_ends().is_none());
    assert_eq!(health.admin(Admin::Ready, 7_000), [Change::Weight]);
    assert!(!health.in_reserve());
}
