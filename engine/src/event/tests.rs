use std::rc::Rc;
use std::sync::Arc;

use config::Source;
use wire::check::{Outcome, Status};

use super::*;
use crate::controller::Controller;
use crate::health::{Admin, Claim};

/// A backend with two servers and a backup, its bus and its controller.
fn setup(options: &str) -> (Rc<Bus>, Controller) {
    let text = format!(
        "backend be\n mode tcp\n option failover\n{options} server a 127.0.0.1:1 check\n \
         server b 127.0.0.1:2 check\n server c 127.0.0.1:3 check backup\n"
    );
    let source = Source {
        name: "test".into(),
        text: text.into_bytes(),
    };
    let loaded = config::load_sources(&[source], &|_| None, &|_| None);
    let model = Arc::new(loaded.model.expect("a valid configuration"));
    let topology = Arc::new(Topology::build(&model, Arc::default(), 100, 1));
    let bus = Bus::new(&topology, LogSink::start(true).unwrap());
    let controller = Controller::new(&topology, Rc::clone(&bus));
    (bus, controller)
}

fn texts(reader: &mut Reader) -> Vec<String> {
    let events = std::iter::from_fn(|| reader.try_next());
    events.map(|seen| seen.event.text.clone()).collect()
}

#[test]
fn a_failover_is_told_once_with_who_and_instead_of_whom() {
    let (bus, mut controller) = setup("");
    let mut reader = bus.read(true);
    controller.set_health((0, 0), Claim::Down);
    assert_eq!(
        texts(&mut reader),
        [
            "Server be/a is DOWN, changed from CLI. 1 active and 1 backup servers left. 0 sessions active, \
             0 requeued, 0 remaining in queue."
        ]
    );
    controller.admin((0, 1), Admin::Drain);
    let said = texts(&mut reader);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        said[1],
        "Backend be fails over: new sessions go to backup server c instead of server b."
    );
    controller.admin((0, 1), Admin::Ready);
    let said = texts(&mut reader);
    assert_eq!(
        said[1],
        "Backend be fails back: new sessions go to server b instead of backup server c."
    );
    controller.set_health((0, 0), Claim::Up);
    assert_eq!(texts(&mut reader).len(), 1);
}

#[test]
fn a_backend_without_a_server_says_so_and_how_long() {
    let (bus, mut controller) = setup("");
    for server in 0..3 {
        controller.admin((0, server), Admin::Maint);
    }
    let mut reader = bus.read(true);
    // Who served last serves again: no failover.
    controller.admin((0, 2), Admin::Ready);
    let said = texts(&mut reader);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("backend be has a server again, after "));
    controller.admin((0, 2), Admin::Maint);
    let said = texts(&mut reader);
    assert_eq!(said.last().unwrap(), "backend be has no server available!");
    // Somebody else than who served last.
    controller.admin((0, 0), Admin::Ready);
    let said = texts(&mut reader);
    assert!(said[2].starts_with("Backend be fails back: "), "{said:?}");
}

#[test]
fn a_reserve_is_told_when_it_begins_and_ends() {
    let (bus, mut controller) = setup(" option failback manual\n");
    controller.set_health((0, 0), Claim::Down);
    let mut reader = bus.read(true);
    controller.set_health((0, 0), Claim::Up);
    assert_eq!(
        texts(&mut reader)[1],
        "Server be/a is kept in reserve (option failback); 'set server be/a state ready' lets it serve."
    );
    controller.admin((0, 0), Admin::Ready);
    assert_eq!(texts(&mut reader), ["Server be/a is in reserve no longer."]);
    // Who leaves its reserve by going DOWN is told as DOWN.
    controller.set_health((0, 0), Claim::Down);
    controller.set_health((0, 0), Claim::Up);
    texts(&mut reader);
    controller.set_health((0, 0), Claim::Down);
    assert_eq!(texts(&mut reader).len(), 1);
}

#[test]
fn news_of_checks_are_events_where_they_are_logged() {
    let refused = || Outcome {
        status: Status::L4Con,
        code: None,
        info: String::new(),
        flaw: None,
    };
    for (options, events) in [("", 0), (" option log-health-checks\n", 1)] {
        let (bus, mut controller) = setup(options);
        // The first failure after the start marks it DOWN; the one of a healthy server is news only.
        let passed = Outcome {
            status: Status::L4Ok,
            ..refused()
        };
        controller.check_ended((0, 0), passed, std::time::Duration::ZERO);
        let mut reader = bus.read(true);
        controller.check_ended((0, 0), refused(), std::time::Duration::ZERO);
        assert_eq!(texts(&mut reader).len(), events);
    }
}

#[test]
fn weights_are_told_as_they_were_and_are() {
    let (bus, mut controller) = setup("");
    let mut reader = bus.read(true);
    controller.set_weight((0, 0), "50").unwrap();
    controller.set_weight((0, 0), "50").unwrap();
    assert_eq!(
        texts(&mut reader),
        ["Server be/a has weight 50, changed from 1."]
    );
}

#[test]
fn a_slow_reader_hears_how_much_it_missed() {
    let (bus, _) = setup("");
    let mut reader = bus.read(false);
    for _ in 0..KEPT + 10 {
        bus.publish(None, Kind::Process(ProcessState::Stopping));
    }
    let first = reader.try_next().unwrap();
    assert_eq!((first.missed, first.event.seq), (10, 11));
    assert_eq!(reader.try_next().unwrap().missed, 0);
    let late = bus.read(false).try_next().unwrap();
    assert_eq!((late.missed, late.event.seq), (0, 11));
    assert!(bus.read(true).try_next().is_none());
}

#[tokio::test]
async fn a_reader_sleeps_until_there_is_something() {
    let (bus, _) = setup("");
    let mut reader = bus.read(true);
    let waiting = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(waiting, reader.next()).await.is_err());
    bus.publish(None, Kind::Process(ProcessState::Stopping));
    bus.publish(None, Kind::Process(ProcessState::Stopping));
    assert_eq!(reader.next().await.event.seq, 1);
    assert_eq!(reader.next().await.event.seq, 2);
}
