//! Maintenance, drain and claims.

use super::*;

#[test]
fn maintenance_is_entered_and_left() {
    let mut health = up();
    let lines = tell(&health.admin(Admin::Maint, 1));
    let tail = "0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 \
                remaining in queue.";
    assert_eq!(
        lines,
        [format!(
            "<1>Server be/m1 is going DOWN for maintenance. {tail}"
        )]
    );
    assert_eq!(
        (health.status_text().as_str(), health.op() as u8),
        ("MAINT", 0)
    );
    assert_eq!(
        (
            health.admin_bits().bits(),
            health.health(),
            health.check_state()
        ),
        (1, 0, 14)
    );
    assert_eq!(health.down_transitions(), 1);
    assert!(health.check(refused(), 0, 2).is_empty());
    let changes = health.admin(Admin::Ready, 3);
    assert_eq!(
        tell(&changes),
        ["<5>Server be/m1 is UP/READY (leaving forced maintenance)."]
    );
    assert!(changes.contains(&Change::CheckNow));
    assert_eq!(
        (health.health(), health.check_state(), health.downtime(9)),
        (2, 6, 2)
    );
    assert_eq!(tell(&health.check(refused(), 0, 4)), [DOWN]);
    let lines = tell(&health.admin(Admin::Maint, 5));
    assert_eq!(
        lines,
        ["<5>Server be/m1 was DOWN and now enters maintenance."]
    );
    assert_eq!(
        tell(&health.admin(Admin::Drain, 6)),
        [
            "<5>Server be/m1 is UP/DRAIN (leaving forced maintenance).",
            "<5>Server be/m1 remains in forced drain mode.",
        ]
    );
    assert_eq!(
        (health.admin_bits().bits(), health.status_text().as_str()),
        (8, "DRAIN 1/3")
    );
}

#[test]
fn a_drained_server_goes_down_quietly_and_stays_drained() {
    let mut health = up();
    assert_eq!(
        tell(&health.admin(Admin::Drain, 1)),
        [
            "<5>Server be/m1 enters drain state. 0 active and 1 backup servers online. Running on backup. \
          0 sessions requeued, 0 total in queue."
        ]
    );
    assert_eq!(
        (health.status_text().as_str(), health.is_usable()),
        ("DRAIN", false)
    );
    health.check(refused(), 0, 2);
    assert_eq!(health.status_text(), "DRAIN 2/3");
    health.check(refused(), 0, 2);
    let down = health.check(refused(), 0, 3);
    let remains = "<5>Server be/m1 remains in forced drain mode.";
    assert_eq!(tell(&down), [DOWN.replace("<1>", "<5>"), remains.into()]);
    assert_eq!(health.status_text(), "DOWN");
    assert_eq!(
        tell(&health.admin(Admin::Ready, 4)),
        ["<5>Server be/m1 is DOWN (leaving forced drain)."]
    );
    assert_eq!(
        tell(&health.admin(Admin::Drain, 4)),
        [
            "<5>Server be/m1 enters drain state. 0 active and 1 backup servers left. Running on backup. 0 \
          sessions active, 0 requeued, 0 remaining in queue."
        ]
    );
    health.check(passed(), 0, 5);
    assert_eq!(tell(&health.check(passed(), 0, 6))[1], remains);
    let lines = tell(&health.admin(Admin::Maint, 7));
    assert!(
        lines[0].starts_with("<5>Server be/m1 is going DOWN for maintenance."),
        "{lines:?}"
    );
    assert_eq!(health.admin_bits(), AdminBits::FMAINT);
    health.admin(Admin::Ready, 8);
    health.admin(Admin::Drain, 9);
    assert_eq!(
        tell(&health.admin(Admin::Ready, 9)),
        ["<5>Server be/m1 is UP (leaving forced drain)."]
    );
}

#[test]
fn a_claim_holds_until_the_next_check() {
    let mut health = up();
    assert!(health.set_health(Claim::Up, 1).is_empty());
    assert_eq!(
        tell(&health.set_health(Claim::Down, 1)),
        [
            "<1>Server be/m1 is DOWN, changed from CLI. 0 active and 1 backup servers left. Running on \
          backup. 0 sessions active, 0 requeued, 0 remaining in queue."
        ]
    );
    assert_eq!(
        tell(&health.set_health(Claim::Up, 2)),
        [
            "<5>Server be/m1 is UP, changed from CLI. 0 active and 1 backup servers online. Running on \
          backup. 0 sessions requeued, 0 total in queue."
        ]
    );
    assert_eq!(
        tell(&health.set_health(Claim::Stopping, 3)),
        [
            "<5>Server be/m1 is stopping, changed from CLI. 0 active and 1 backup servers online. Running \
          on backup. 0 sessions requeued, 0 total in queue."
        ]
    );
    assert_eq!(
        (health.status_text().as_str(), health.is_usable()),
        ("NOLB", false)
    );
    assert!(tell(&health.check(passed(), 0, 4))[0].starts_with("<5>Server be/m1 is UP, reason: "));
}
