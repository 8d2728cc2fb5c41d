//! Who reads the bus of events and has incidents told: one for each `alerts` section, one for all mail.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use config::model::{Alerts, EmailAlert};
use engine::clock::Clock;
use engine::event::{Event, Kind};
use engine::health::Change;
use engine::{Level, Plane, host_name};
use tokio::time::Instant;
use wire::smtp::Mail;

use super::certificate;
use super::incident::{Incidents, Message, Subject};
use super::letter::Content;
use super::outlet::Sender;
use super::webhook::Post;

/// How often certificates are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What is open, and who is told.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) incidents: RefCell<Incidents>,
    ears: Ears,
    /// The last event that was read.
    read: Cell<u64>,
}

#[derive(Debug)]
enum Ears {
    Posts(Vec<Rc<Sender<Post>>>),
    Letters(BTreeMap<usize, Rc<Sender<Mail>>>),
}

impl Watcher {
    fn new(settle: Duration, ears: Ears) -> Rc<Self> {
        Rc::new(Self {
            incidents: RefCell::new(Incidents::new(settle.as_millis() as u64)),
            ears,
            read: Cell::new(0),
        })
    }

    /// Waits until everything that was published is read, and is in the queues.
    pub(super) async fn drained(&self, plane: &Plane) {
        while self.read.get() < plane.events().total() {
            tokio::task::yield_now().await;
        }
    }
}

/// For webhooks.
pub(super) fn posts(settle: Duration, to: Vec<Rc<Sender<Post>>>) -> Rc<Watcher> {
    Watcher::new(settle, Ears::Posts(to))
}

/// For mail.
pub(super) fn letters(to: BTreeMap<usize, Rc<Sender<Mail>>>) -> Rc<Watcher> {
    Watcher::new(Alerts::SETTLE, Ears::Letters(to))
}

/// Watches for as long as the process runs.
pub(super) async fn run(plane: Rc<Plane>, watcher: Rc<Watcher>) {
    let mut events = plane.events().read(false);
    let mut look = Instant::now();
    loop {
        let due = watcher.incidents.borrow().due();
        let left = due.map(|due| Duration::from_millis(due.saturating_sub(plane.now())));
        let until_look = look.saturating_duration_since(Instant::now());
        let pause = left.map_or(until_look, |left| left.min(until_look));
        let first = tokio::time::timeout(pause, events.next()).await;
        // What happened at once is told at once.
        let mut seen = first.ok();
        while let Some(one) = seen {
            watcher.incidents.borrow_mut().see(&one.event);
            aside(&plane, &watcher, &one.event);
            watcher.read.set(one.event.seq);
            seen = events.try_next();
        }
        if look <= Instant::now() {
            look = Instant::now() + LOOK;
            let (now, clock) = (plane.now(), Clock::get());
            let all = certificate::all(&plane);
            let mut incidents = watcher.incidents.borrow_mut();
            incidents.certificates(&all, now, clock.wall_ms(now));
        }
        let messages = watcher.incidents.borrow_mut().messages(plane.now());
        for message in &messages {
            tell(&plane, &watcher.ears, message);
        }
    }
}

/// The name of this host, or what `node` calls it.
fn host(plane: &Plane) -> &str {
    let node = plane.topology().model.global.node.as_deref();
    node.unwrap_or_else(|| host_name())
}

fn tell(plane: &Plane, ears: &Ears, message: &Message) {
    match ears {
        Ears::Posts(senders) => {
            for sender in senders {
                sender.send(Post {
                    key: message.key(),
                    body: message.json(host(plane)),
                });
            }
        }
        Ears::Letters(ways) => {
            let content = Content::of_message(message, wall_ms(plane), host(plane));
            let backend = match &message.subject {
                Subject::Backend(name) => Some(&**name),
                Subject::ServerCertificate { backend, .. } => Some(&**backend),
                Subject::Certificate(_) => None,
            };
            post(plane, ways, &content, message.level(), backend);
        }
    }
}

/// Mail about what is no incident, for those who want that much (CFG 4.2, `email-alert level`).
fn aside(plane: &Plane, watcher: &Watcher, event: &Event) {
    let (Ears::Letters(ways), Kind::Server { change, .. }) = (&watcher.ears, &event.kind) else {
        return;
    };
    let level = match change {
        Change::EnteredMaint { .. }
        | Change::LeftMaint { .. }
        | Change::EnteredDrain { .. }
        | Change::LeftDrain { .. }
        | Change::Stopping { .. }
        | Change::WentDown { expected: true, .. } => Level::Notice,
        Change::Checked(_) => Level::Info,
        _ => return,
    };
    let content = Content::of_event(event, host(plane));
    post(plane, ways, &content, level, event.proxy.as_deref());
}

/// To everybody whose `email-alert` asks for it; without a backend to all of them.
fn post(
    plane: &Plane,
    ways: &BTreeMap<usize, Rc<Sender<Mail>>>,
    content: &Content<'_>,
    level: Level,
    backend: Option<&str>,
) {
    let mut told: Vec<&EmailAlert> = Vec::new();
    for proxy in &plane.topology().model.proxies {
        let meant = backend.is_none_or(|backend| *backend == *proxy.name) && !proxy.disabled;
        let Some(email) = proxy.email.as_ref().filter(|_| meant) else {
            continue;
        };
        if email.level >= level as u8 && !told.contains(&email) {
            told.push(email);
            if let Some(way) = ways.get(&email.mailers) {
                way.send(content.letter(email));
            }
        }
    }
}

fn wall_ms(plane: &Plane) -> u64 {
    Clock::get().wall_ms(plane.now())
}
