//! The page's live side: once a second, and at once when something happens, those who watch are told what has changed
//! (server-sent events, HTML 9.2).
//!
//! Bounded on every side: so many may watch; one that does not read is left behind and cut off; with many servers
//! the pace slows down, so that never more than a few percent of the control thread go into it. With nobody watching
//! nothing is made but a number per backend and second, for the curves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Proxy;
use engine::event::{Event, Kind, Reader};
use engine::smtp::counts;
use hyper::body::Bytes;
use serde_json::{Map, Value as Json, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

use super::board::{Board, is_service};
use crate::{Desk, event};

/// How many may watch at once.
const WATCHERS: usize = 32;
/// Messages one may be behind.
const BEHIND: usize = 4;
/// The pace.
const PACE: Duration = Duration::from_secs(1);
/// What comes close together is told together.
const GATHER: Duration = Duration::from_millis(30);
/// A message may cost this part of the time until the next.
const SHARE: u32 = 20;
/// Seconds the curves go back.
const PAST: usize = 120;
/// Events a message tells, and a page shows: the newest.
const TOLD: usize = 60;

/// Which proxies one sees, by their place; `None`: all.
pub(super) type Scope = Option<Rc<[bool]>>;

/// Whether a proxy is in it.
pub(super) fn sees(scope: &Scope, proxy: usize) -> bool {
    scope
        .as_ref()
        .is_none_or(|scope| scope.get(proxy).copied().unwrap_or(false))
}

/// Those who watch, and what they know.
pub(super) struct Live {
    desk: Rc<Desk>,
    watchers: RefCell<Vec<Watcher>>,
    /// What all of them have been told.
    known: RefCell<Option<Board>>,
    /// Sessions per second of each service, the newest last.
    past: RefCell<Vec<(usize, VecDeque<u32>)>>,
    /// Messages of services that read mail.
    mail: RefCell<Vec<Mail>>,
    /// What the last message has cost.
    cost: Cell<Duration>,
}

/// Messages that the servers of a service have taken.
#[derive(Debug)]
struct Mail {
    proxy: usize,
    /// Until a second ago.
    before: u64,
    /// In that second.
    rate: u64,
}

impl Mail {
    fn of(proxy: &Proxy) -> Option<Self> {
        let (proxy, before) = (proxy.index, taken(proxy)?);
        let rate = 0;
        Some(Self {
            proxy,
            before,
            rate,
        })
    }
}

/// So far; `None`: nobody reads what it carries.
fn taken(proxy: &Proxy) -> Option<u64> {
    let mail = proxy.back.as_ref()?.mail.as_ref()?;
    let delivered = counts::OUTCOMES
        .iter()
        .position(|name| *name == "delivered")?;
    Some(mail.totals.sum(|totals| &totals.transactions[delivered]))
}

struct Watcher {
    parts: Sender<Bytes>,
    scope: Scope,
    /// Wakes who holds its connection, which is then closed.
    leave: Rc<Notify>,
}

impl Live {
    pub(super) fn new(desk: &Rc<Desk>) -> Rc<Self> {
        let proxies = desk.plane.topology().proxies.iter();
        let services = proxies.filter(|proxy| is_service(proxy));
        let mail = services.clone().filter_map(|proxy| Mail::of(proxy));
        Rc::new(Self {
            desk: Rc::clone(desk),
            watchers: RefCell::default(),
            known: RefCell::default(),
            past: RefCell::new(
                services
                    .map(|proxy| (proxy.index, VecDeque::new()))
                    .collect(),
            ),
            mail: RefCell::new(mail.collect()),
            cost: Cell::default(),
        })
    }

    /// For as long as the process listens.
    pub(super) async fn run(self: Rc<Self>) {
        let mut events = self.desk.plane.events().read(true);
        let mut noted = Instant::now();
        while !self.desk.plane.process().is_stopping() {
            let told = self.pause(&mut events).await;
            if noted.elapsed() >= PACE {
                noted += PACE * (noted.elapsed().as_secs() as u32).max(1);
                self.note();
            }
            self.tell(&told);
        }
        // A stream that goes on would keep the process from its end.
        for watcher in self.watchers.borrow_mut().drain(..) {
            watcher.leave.notify_one();
        }
    }

    /// Until there is something to tell; what has happened meanwhile.
    async fn pause(&self, events: &mut Reader) -> Vec<Arc<Event>> {
        let pace = PACE.max(self.cost.get() * SHARE);
        let mut told = VecDeque::new();
        let mut take = |event: Arc<Event>| {
            if is_news(&event) {
                keep(&mut told, TOLD, event);
            }
        };
        // `read` is cancel safe: what has not come yet comes the next time.
        if let Ok(seen) = timeout(pace, events.next()).await {
            sleep(GATHER.max(self.cost.get() * 2)).await;
            take(seen.event);
            while let Some(seen) = events.try_next() {
                take(seen.event);
            }
        }
        told.into()
    }

    /// Adds to the curves, and counts the messages of the last second.
    fn note(&self) {
        let now = self.desk.plane.now();
        let proxies = &self.desk.plane.topology().proxies;
        for (proxy, past) in self.past.borrow_mut().iter_mut() {
            let rate = proxies[*proxy].back.as_ref().map(|back| back.rate.get(now));
            keep(past, PAST, rate.unwrap_or(0));
        }
        for mail in self.mail.borrow_mut().iter_mut() {
            let now = taken(&proxies[mail.proxy]).unwrap_or(0);
            // Somebody may have cleared the counters.
            mail.rate = now.saturating_sub(mail.before);
            mail.before = now;
        }
    }

    /// Messages per second of a service, where they are known.
    pub(super) fn messages(&self, proxy: usize) -> Option<u64> {
        let mail = self.mail.borrow();
        let mail = mail.iter().find(|mail| mail.proxy == proxy);
        mail.map(|mail| mail.rate)
    }

    /// Adds them to a message.
    fn add_mail(&self, message: &mut Map<String, Json>, scope: &Scope) {
        let proxies = &self.desk.plane.topology().proxies;
        let Some(Json::Object(facts)) = message.get_mut("facts") else {
            return;
        };
        for mail in self.mail.borrow().iter() {
            if sees(scope, mail.proxy) {
                let name = format!("mail b{}.0", proxies[mail.proxy].conf().id);
                facts.insert(name, json!(mail.rate.to_string()));
            }
        }
    }

    /// Tells all who watch what is new, and lets go of those who do not listen.
    fn tell(&self, events: &[Arc<Event>]) {
        let mut watchers = self.watchers.borrow_mut();
        watchers.retain(|watcher| !watcher.parts.is_closed());
        if watchers.is_empty() {
            *self.known.borrow_mut() = None;
            return;
        }
        let begun = Instant::now();
        let board = Board::now(&self.desk, &|_| true, false);
        let known = self.known.replace(None);
        let message = |scope: &Scope| {
            let mut message = board.message(known.as_ref(), &|proxy| sees(scope, proxy));
            let events = events
                .iter()
                .filter(|event| concerns(&self.desk, scope, event));
            message.insert("events".into(), events.map(|event| record(event)).collect());
            self.add_mail(&mut message, scope);
            part("", message)
        };
        let mut whole = None;
        watchers.retain(|watcher| {
            let bytes = match watcher.scope {
                None => whole.get_or_insert_with(|| message(&None)).clone(),
                Some(_) => message(&watcher.scope),
            };
            let listens = watcher.parts.try_send(bytes).is_ok();
            if !listens {
                watcher.leave.notify_one();
            }
            listens
        });
        *self.known.borrow_mut() = Some(board);
        self.cost.set(begun.elapsed());
    }

    /// One more who watches: first everything, then what changes; `leave` ends it when it is too slow. `None`: there
    /// are too many.
    pub(super) fn watch(&self, scope: Scope, leave: &Rc<Notify>) -> Option<Receiver<Bytes>> {
        let mut watchers = self.watchers.borrow_mut();
        watchers.retain(|watcher| !watcher.parts.is_closed());
        if watchers.len() >= WATCHERS {
            return None;
        }
        let (parts, seat) = channel(BEHIND);
        // What the others know: from the next message on all know the same.
        let board = match self.known.borrow_mut().take() {
            Some(board) => board,
            None => Board::now(&self.desk, &|_| true, false),
        };
        let first = part("retry: 2000\nevent: all\n", self.everything(&board, &scope));
        parts.try_send(first).ok()?;
        *self.known.borrow_mut() = Some(board);
        watchers.push(Watcher {
            parts,
            scope,
            leave: Rc::clone(leave),
        });
        Some(seat)
    }

    /// The same as one document, for who cannot be watching.
    pub(super) fn data(&self, scope: &Scope) -> String {
        let board = Board::now(&self.desk, &|_| true, false);
        Json::Object(self.everything(&board, scope)).to_string()
    }

    /// The whole board, the curves and what has happened lately.
    fn everything(&self, board: &Board, scope: &Scope) -> Map<String, Json> {
        let mut message = board.message(None, &|proxy| sees(scope, proxy));
        self.add_mail(&mut message, scope);
        let proxies = &self.desk.plane.topology().proxies;
        let past = self.past.borrow();
        let past = past.iter().filter(|(proxy, _)| sees(scope, *proxy));
        let curves =
            past.map(|(proxy, past)| (format!("b{}.0", proxies[*proxy].conf().id), json!(past)));
        message.insert("past".into(), Json::Object(curves.collect()));
        let events = self.lately(scope);
        message.insert(
            "events".into(),
            events.iter().rev().map(|event| record(event)).collect(),
        );
        message
    }

    /// What has happened lately, the newest first.
    pub(super) fn lately(&self, scope: &Scope) -> Vec<Arc<Event>> {
        let mut events = self.desk.plane.events().read(false);
        let mut found = VecDeque::new();
        while let Some(seen) = events.try_next() {
            if is_news(&seen.event) && concerns(&self.desk, scope, &seen.event) {
                keep(&mut found, TOLD, seen.event);
            }
        }
        found.into_iter().rev().collect()
    }
}

/// The newest of them.
fn keep<T>(all: &mut VecDeque<T>, most: usize, new: T) {
    if all.len() == most {
        all.pop_front();
    }
    all.push_back(new);
}

/// A message of the stream.
fn part(head: &str, message: Map<String, Json>) -> Bytes {
    format!("{head}data: {}\n\n", Json::Object(message)).into()
}

fn record(event: &Event) -> Json {
    // It was written as JSON a moment ago.
    serde_json::from_str(&event::json(event)).unwrap_or_default()
}

/// What a timeline tells: changes, and no reports of single checks.
fn is_news(event: &Event) -> bool {
    match &event.kind {
        Kind::Server { from, to, .. } => from != to,
        _ => true,
    }
}

fn concerns(desk: &Desk, scope: &Scope, event: &Event) -> bool {
    let Some(name) = &event.proxy else {
        return true;
    };
    let place = desk.plane.topology().find(name).map(|proxy| proxy.index);
    place.is_none_or(|proxy| sees(scope, proxy))
}
