//! Stories of incidents: what goes wrong, and what is told of it.

use engine::Level;
use engine::health::Cause;
use engine::health::lines::Standing;

use super::*;

fn named(name: &str) -> Named {
    Named {
        name: name.into(),
        backup: name.starts_with('b'),
    }
}

fn event(at: Millis, kind: Kind) -> Event {
    Event {
        seq: at,
        wall_ms: 1_000_000 + at,
        at,
        level: Level::Alert,
        proxy: Some("mail".into()),
        text: format!("{kind:?}"),
        kind,
    }
}

fn server(at: Millis, name: &str, to: ServerState, expected: bool) -> Event {
    let cause = Cause::Cli;
    let (from, change) = match to {
        ServerState::Up => (ServerState::Down, Change::WentUp { cause }),
        _ => (ServerState::Up, Change::WentDown { cause, expected }),
    };
    event(
        at,
        Kind::Server {
            server: named(name),
            from,
            to,
            change,
            standing: Standing::default(),
        },
    )
}

fn failover(at: Millis, from: &str, to: &str) -> Event {
    event(
        at,
        Kind::Failover {
            from: vec![named(from)],
            to: vec![named(to)],
        },
    )
}

#[test]
fn a_failover_is_one_message_and_its_end_another() {
    let mut incidents = Incidents::new(1_000);
    incidents.see(&server(10, "m1", ServerState::Down, false));
    incidents.see(&failover(10, "m1", "b1"));
    let said = incidents.messages(12);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].status, said[0].problems.len()), (Status::Open, 2));
    assert!(incidents.messages(500).is_empty());
    incidents.see(&server(5_010, "m1", ServerState::Up, false));
    incidents.see(&failover(5_010, "b1", "m1"));
    assert_eq!(incidents.due(), Some(6_010));
    assert!(incidents.messages(6_009).is_empty());
    let said = incidents.messages(6_010);
    assert_eq!(
        (said[0].status, said[0].lasted, said[0].flaps),
        (Status::Resolved, 5_000, 0)
    );
    assert_eq!(incidents.due(), None);
}

#[test]
fn flaps_are_counted_and_not_told() {
    let mut incidents = Incidents::new(1_000);
    for round in 0..50 {
        incidents.see(&server(round * 100, "m1", ServerState::Down, false));
        incidents.see(&server(round * 100 + 50, "m1", ServerState::Up, false));
        assert_eq!(
            incidents.messages(round * 100 + 60).len(),
            usize::from(round == 0)
        );
    }
    let said = incidents.messages(60_000);
    assert_eq!((said.len(), said[0].flaps, said[0].lasted), (1, 49, 4_950));
}

#[test]
fn what_was_not_told_yet_is_told() {
    let mut incidents = Incidents::new(1_000);
    incidents.see(&server(1, "m1", ServerState::Down, false));
    assert_eq!(incidents.messages(1).len(), 1);
    incidents.see(&server(2, "m2", ServerState::Down, false));
    assert!(incidents.messages(2).is_empty(), "gathered");
    incidents.see(&event(
        2,
        Kind::Backend {
            up: false,
            without: 0,
        },
    ));
    let said = incidents.messages(2);
    assert_eq!((said.len(), said[0].problems.len()), (1, 3));
    let new = said[0].problems.iter().filter(|told| told.new).count();
    assert_eq!(
        (said[0].status, said[0].number, new),
        (Status::Update, 2, 2)
    );
}

#[test]
fn what_an_operator_wants_is_no_incident() {
    let mut incidents = Incidents::new(1_000);
    incidents.see(&server(1, "m1", ServerState::Down, true));
    assert!(incidents.messages(1).is_empty() && incidents.due().is_none());
}

#[test]
fn many_servers_are_few_messages() {
    let mut incidents = Incidents::new(1_000);
    let mut said = Vec::new();
    for number in 0..2_000 {
        let at = number * 10;
        incidents.see(&server(at, &format!("m{number}"), ServerState::Down, false));
        said.extend(incidents.messages(at));
    }
    assert_eq!(incidents.due(), Some(said.last().unwrap().lasted + GATHER));
    said.extend(incidents.messages(40_000));
    assert_eq!(said.len(), 3);
    let told: Vec<_> = said.iter().map(|m| m.problems.len() + m.more).collect();
    assert_eq!(told, [1, 1_001, 2_000]);
    assert!(said.iter().all(|message| message.problems.len() <= LISTED));
}

#[test]
fn a_planned_failover_is_no_incident() {
    let mut incidents = Incidents::new(1_000);
    let drained = event(
        1,
        Kind::Server {
            server: named("m1"),
            from: ServerState::Up,
            to: ServerState::Drain,
            change: Change::EnteredDrain { up: true },
            standing: Standing::default(),
        },
    );
    incidents.see(&drained);
    incidents.see(&failover(2, "m1", "b1"));
    assert!(incidents.messages(2).is_empty());
    // Much later it is nobody's plan.
    incidents.see(&failover(50, "m1", "b1"));
    assert_eq!(incidents.messages(50).len(), 1);
}

#[test]
fn a_process_that_stops_closes_what_is_open() {
    let mut incidents = Incidents::new(1_000);
    incidents.see(&server(1, "m1", ServerState::Down, false));
    incidents.messages(1);
    let stopping = event(5, Kind::Process(ProcessState::Stopping));
    incidents.see(&Event {
        proxy: None,
        ..stopping
    });
    let said = incidents.messages(5);
    assert_eq!((said.len(), said[0].status), (1, Status::Abandoned));
    incidents.see(&server(6, "m2", ServerState::Down, false));
    assert!(incidents.messages(6).is_empty() && incidents.due().is_none());
}

#[test]
fn a_certificate_is_told_at_each_stage_once() {
    let mut incidents = Incidents::new(0);
    let expiry = |days: i64| Expiry::new(Subject::Certificate("/c.pem".into()), days * 86_400, 0);
    let mut said = |days, at| {
        incidents.expires(&expiry(days), at, at);
        let said = incidents.messages(at);
        said.into_iter().map(|m| m.status).collect::<Vec<_>>()
    };
    assert_eq!(said(20, 1), []);
    assert_eq!(said(13, 2), [Status::Open]);
    assert_eq!(said(12, 3), []);
    assert_eq!(said(6, 4), [Status::Update]);
    assert_eq!(said(-1, 5), [Status::Update]);
    assert_eq!(said(90, 6), [Status::Resolved]);
    assert_eq!(said(90, 7), []);
}
