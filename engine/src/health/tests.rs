mod admin;
mod live;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use config::model::{Failback, Location, ServerAddress};

use super::lines::{Severity, Standing, Subject, line, no_server};
use super::*;

fn conf() -> Server {
    Server {
        at: Location {
            file: "test".into(),
            line: 1,
        },
        name: "m1".into(),
        id: 1,
        id_forced: false,
        address: ServerAddress::Ip(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 25)),
        fqdn: None,
        check: true,
        backup: false,
        disabled: false,
        inter: Duration::from_secs(10),
        fastinter: Some(Duration::from_secs(2)),
        downinter: Some(Duration::from_secs(5)),
        rise: 2,
        fall: 3,
        check_port: None,
        check_addr: None,
        weight: 1,
        maxconn: 0,
        minconn: 0,
        maxqueue: 0,
        send_proxy: None,
        xclient: false,
        check_send_proxy: None,
        on_marked_down_shutdown: false,
        on_marked_up_shutdown_backups: false,
        observe_layer4: false,
        error_limit: 10,
        on_error: OnError::FailCheck,
        non_stick: false,
        slowstart: None,
        tcp_ut: None,
        tls: None,
        check_tls: None,
        check_ssl: false,
        source: None,
        agent: None,
    }
}

fn outcome(status: Status, info: &str) -> Outcome {
    Outcome {
        status,
        code: None,
        info: info.into(),
        flaw: None,
    }
}

fn refused() -> Outcome {
    outcome(
        Status::L4Con,
        "Connection refused at initial connection step of tcp-check",
    )
}

fn passed() -> Outcome {
    outcome(Status::L7Ok, "(tcp-check)")
}

fn fresh() -> Health {
    Health::new(&conf(), true, Failback::default(), 0)
}

/// A server whose first check has passed.
fn up() -> Health {
    let mut health = fresh();
    health.check(passed(), 1, 0);
    assert_eq!((health.health(), health.status_text().as_str()), (4, "UP"));
    health
}

const STANDING: Standing = Standing {
    actives: 0,
    backups: 1,
    sessions: 0,
    requeued: 0,
    queued: 0,
};

/// The lines of changes as `<severity>text`, as haproxy's `format short` writes them.
fn told(changes: &[Change], log_health_checks: bool, backup: bool) -> Vec<String> {
    let subject = Subject {
        proxy: "be",
        server: "m1",
        backup,
        log_health_checks,
    };
    changes
        .iter()
        .filter_map(|change| line(subject, change, STANDING))
        .map(|line| format!("<{}>{}", line.severity as u8, line.text))
        .collect()
}

fn tell(changes: &[Change]) -> Vec<String> {
    told(changes, false, false)
}

#[test]
fn a_new_server_is_up_and_its_first_failure_marks_it_down() {
    let mut health = fresh();
    assert_eq!(health.status_text(), "UP 1/3");
    assert_eq!(health.next_interval(), 2_000);
    let changes = health.check(refused(), 0, 7);
    assert_eq!(tell(&changes), [DOWN]);
    assert_eq!(
        (health.op(), health.health(), health.failed_checks()),
        (OpState::Stopped, 0, 1)
    );
    assert_eq!((health.down_transitions(), health.last_change()), (1, 7));
    assert_eq!(health.next_interval(), 5_000);
}

const DOWN: &str = "<1>Server be/m1 is DOWN, reason: Layer4 connection problem, info: \
    \"Connection refused at initial connection step of tcp-check\", check duration: 0ms. 0 active and \
    1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue.";

#[test]
fn fall_failures_mark_down_and_rise_successes_mark_up() {
    let mut health = up();
    assert_eq!(health.next_interval(), 10_000);
    assert_eq!(tell(&health.check(refused(), 0, 1_000)), [""; 0]);
    assert_eq!(
        (health.status_text().as_str(), health.next_interval()),
        ("UP 2/3", 2_000)
    );
    health.check(refused(), 0, 2_000);
    assert_eq!(health.status_text(), "UP 1/3");
    assert_eq!(tell(&health.check(refused(), 0, 3_000)), [DOWN]);
    assert_eq!(health.status_text(), "DOWN");
    assert!(health.check(refused(), 0, 4_000).is_empty());
    assert_eq!(health.failed_checks(), 3);
    assert_eq!(tell(&health.check(passed(), 0, 5_000)), [""; 0]);
    assert_eq!(
        (health.status_text().as_str(), health.next_interval()),
        ("DOWN 1/2", 2_000)
    );
    assert_eq!(
        tell(&health.check(passed(), 0, 6_000)),
        [
            "<5>Server be/m1 is UP, reason: Layer7 check passed, code: 0, info: \"(tcp-check)\", check \
          duration: 0ms. 0 active and 1 backup servers online. Running on backup. 0 sessions requeued, \
          0 total in queue."
        ]
    );
    assert_eq!(
        (health.status_text().as_str(), health.downtime(9_000)),
        ("UP", 3_000)
    );
}

#[test]
fn one_success_among_failures_makes_it_whole_again() {
    let mut health = up();
    for now in 0..20 {
        health.check(refused(), 0, now);
        health.check(refused(), 0, now);
        health.check(passed(), 0, now);
    }
    assert_eq!(
        (health.status_text().as_str(), health.down_transitions()),
        ("UP", 0)
    );
}

#[test]
fn with_log_health_checks_each_news_has_a_line_and_the_reason_is_there() {
    let mut health = fresh();
    let mut lines = told(&health.check(passed(), 0, 0), true, true);
    lines.extend(told(&health.check(passed(), 0, 1), true, true));
    for now in 0..4 {
        lines.extend(told(&health.check(refused(), 0, now), true, true));
    }
    let check = "<5>Health check for backup server be/m1";
    let info = "info: \"Connection refused at initial connection step of tcp-check\"";
    assert_eq!(
        lines,
        [
            format!(
                "{check} succeeded, reason: Layer7 check passed, code: 0, info: \"(tcp-check)\", check \
                 duration: 0ms, status: 3/3 UP."
            ),
            format!("{check} failed, reason: Layer4 connection problem, {info}, check duration: 0ms, status: 2/3 UP."),
            format!("{check} failed, reason: Layer4 connection problem, {info}, check duration: 0ms, status: 1/3 UP."),
            format!("{check} failed, reason: Layer4 connection problem, {info}, check duration: 0ms, status: 0/2 DOWN."),
            "<1>Backup Server be/m1 is DOWN. 0 active and 1 backup servers left. Running on backup. 0 \
             sessions active, 0 requeued, 0 remaining in queue."
                .into(),
        ]
    );
}

#[test]
fn a_conditional_pass_stops_new_sessions() {
    let mut health = up();
    let lines = tell(&health.check(outcome(Status::L7Okc, "later"), 2, 1));
    assert_eq!(
        lines,
        [
            "<5>Server be/m1 is stopping, reason: Layer7 check conditionally passed, code: 0, info: \
          \"later\", check duration: 2ms. 0 active and 1 backup servers online. Running on backup. 0 \
          sessions requeued, 0 total in queue."
        ]
    );
    assert_eq!(health.check_result(), 4);
    health.check(refused(), 0, 2);
    assert_eq!(health.status_text(), "NOLB 2/3");
}

#[test]
fn a_disabled_server_is_in_maintenance_until_it_is_enabled() {
    let mut server = conf();
    server.disabled = true;
    let mut health = Health::new(&server, true, Failback::default(), 0);
    assert_eq!(
        (
            health.op() as u8,
            health.admin_bits().bits(),
            health.check_state()
        ),
        (0, 5, 14)
    );
    assert_eq!(
        (health.status_text().as_str(), health.downtime(5)),
        ("MAINT", 5)
    );
    assert!(!health.wants_checks());
    health.admin(Admin::Ready, 6);
    assert_eq!(
        (
            health.op() as u8,
            health.admin_bits().bits(),
            health.check_state()
        ),
        (2, 4, 6)
    );
    assert!(health.wants_checks());
    server.check = false;
    let health = Health::new(&server, true, Failback::default(), 0);
    assert_eq!((health.check_status() as u8, health.check_state()), (1, 8));
}

#[test]
fn a_server_without_check_is_always_up() {
    let mut server = conf();
    server.check = false;
    let mut health = Health::new(&server, true, Failback::default(), 0);
    assert_eq!(
        (health.status_text().as_str(), health.check_state()),
        ("no check", 0)
    );
    assert_eq!(health.health(), 2);
    assert!(health.evidence(Sight::Failed, 1).is_empty());
    assert_eq!(health.enable_check(true), None);
    health.admin(Admin::Maint, 2);
    assert_eq!(
        (
            health.status_text().as_str(),
            health.check_state(),
            health.health()
        ),
        ("MAINT", 0, 0)
    );
    health.admin(Admin::Drain, 3);
    assert_eq!(health.status_text(), "DRAIN");
    health.admin(Admin::Ready, 3);
    health.set_health(Claim::Down, 4);
    assert_eq!(
        (health.status_text().as_str(), health.is_usable()),
        ("DOWN", false)
    );
}

#[test]
fn check_state_and_result_follow_a_running_check() {
    let mut health = up();
    assert_eq!((health.check_state(), health.check_result()), (6, 3));
    health.check_started();
    assert_eq!((health.check_state(), health.check_result()), (7, 0));
    assert_eq!(health.check_status(), Status::L7Ok);
    health.check(refused(), 0, 1);
    assert_eq!((health.check_state(), health.check_result()), (6, 2));
    assert_eq!(health.enable_check(false), Some(Vec::new()));
    assert_eq!(
        (health.check_state(), health.status_text().as_str()),
        (2, "no check")
    );
}

#[test]
fn info_cannot_break_its_quotes() {
    let info = "554 a\"b <c> d\\e é \t\u{1} &f'";
    let report = Report {
        outcome: outcome(Status::L7Rsp, info),
        duration_ms: Some(0),
    };
    assert_eq!(
        lines::reason(&report),
        ", reason: Layer7 invalid response, info: \"554 a<22>b <3C>c<3E> d\\e <C3><A9> <09><01> &f'\", \
         check duration: 0ms"
    );
}

#[test]
fn the_last_server_is_mourned() {
    assert_eq!(
        no_server("be", false).text,
        "backend be has no server available!"
    );
    assert_eq!(
        no_server("fe1", true).text,
        "proxy fe1 has no server available!"
    );
    assert_eq!(no_server("be", false).severity, Severity::Emerg);
}

/// Whatever comes in whatever order, the state stays one that HAProxy knows.
#[test]
fn invariants_hold_in_a_random_life() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut server = conf();
        (server.rise, server.fall) = (random.u32(1..4), random.u32(1..4));
        server.check = random.u8(0..5) > 0;
        server.disabled = random.u8(0..5) == 0;
        server.observe_layer4 = random.bool();
        server.error_limit = 3;
        server.slowstart = random.bool().then_some(Duration::from_secs(3));
        let failback = [
            Failback::Now,
            Failback::After(Duration::from_secs(5)),
            Failback::Manual,
        ][random.usize(0..3)];
        let mut health = Health::new(&server, true, failback, 0);
        let mut now = 0;
        for step in 0..200 {
            now += random.u64(0..2_000);
            let was_up = health.is_up();
            let changes = match random.u8(0..13) {
                0..3 => health.check(passed(), 1, now),
                3..6 => health.check(refused(), 1, now),
                6 => health.check(outcome(Status::L7Okc, ""), 1, now),
                7 => health.evidence(
                    [
                        Sight::Answered,
                        Sight::Failed,
                        Sight::Silent { for_ms: 300 },
                    ][random.usize(0..3)],
                    now,
                ),
                8 => health.admin(
                    [Admin::Ready, Admin::Drain, Admin::Maint][random.usize(0..3)],
                    now,
                ),
                9 => health.set_health(
                    [Claim::Up, Claim::Stopping, Claim::Down][random.usize(0..3)],
                    now,
                ),
                10 => health.tick(now),
                11 => health.judge_silence(now),
                _ => {
                    health.check_started();
                    Vec::new()
                }
            };
            let context = format!("seed {seed}, step {step}: {changes:?} {health:?}");
            assert!(health.health() < server.rise + server.fall, "{context}");
            assert!(
                !health.in_maint() || health.op() == OpState::Stopped,
                "{context}"
            );
            assert_eq!(
                health.is_usable(),
                health.effective_weight(now) > 0,
                "{context}"
            );
            assert!(health.downtime(now) <= now, "{context}");
            let turned = changes.iter().any(|change| {
                matches!(
                    change,
                    Change::WentDown { .. }
                        | Change::WentUp { .. }
                        | Change::Stopping { .. }
                        | Change::EnteredMaint { was_up: true, .. }
                        | Change::LeftMaint { .. }
                )
            });
            assert!(turned || was_up == health.is_up(), "{context}");
            assert!(!turned || health.last_change() == now, "{context}");
        }
    }
}

/// `add server`: in maintenance until it is enabled, checked when `enable health` says so, in either order.
#[test]
fn an_added_server_waits_for_the_operator() {
    for check_first in [true, false] {
        let mut health = Health::added(&conf(), Failback::default(), 0);
        let now = (health.op(), health.admin_bits(), health.check_state());
        assert_eq!(now, (OpState::Stopped, AdminBits::FMAINT, 2));
        if check_first {
            assert_eq!(health.enable_check(true), Some(Vec::new()));
            let changes = health.admin(Admin::Ready, 1);
            assert!(changes.contains(&Change::CheckNow), "{changes:?}");
        } else {
            health.admin(Admin::Ready, 1);
            assert_eq!(health.status_text(), "no check");
            assert_eq!(health.enable_check(true), Some(vec![Change::CheckNow]));
        }
        assert!(health.wants_checks() && health.is_usable());
        assert_eq!((health.check_state(), health.health()), (6, conf().rise));
        health.check(refused(), 0, 2);
        assert_eq!(health.op(), OpState::Stopped);
    }
}
