//! One receiver: what waits for it, the task that hands it over, and how that goes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::Plane;
use engine::event::Trouble;
use tokio::sync::Notify;

use super::queue::{Queue, Refused};

/// What is known of a receiver.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// `webhook` or `mail`.
    pub(crate) channel: &'static str,
    /// `ops/1`: section and number; of mail the `mailers` section.
    pub(crate) name: String,
    /// Where it is, without what may be a secret.
    pub(crate) place: String,
    pub(crate) counts: Counts,
    /// Messages that wait, one that is being handed over among them.
    pub(crate) waiting: Cell<usize>,
    /// Why the last attempt failed, if it did.
    pub(crate) trouble: RefCell<Option<String>>,
    wake: Notify,
    rest: Notify,
    hurry: Cell<bool>,
}

/// Messages, and attempts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Taken by the receiver.
    pub(crate) sent: Cell<u64>,
    /// Given up: refused for good, or for an hour.
    pub(crate) failed: Cell<u64>,
    /// Failed attempts after which the message is tried again.
    pub(crate) retried: Cell<u64>,
    /// Gave way to newer ones in a full queue.
    pub(crate) dropped: Cell<u64>,
}

fn add(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl Outlet {
    pub(super) fn new(channel: &'static str, name: &str, place: String) -> Rc<Self> {
        Rc::new(Self {
            channel,
            name: name.to_owned(),
            place,
            counts: Counts::default(),
            waiting: Cell::new(0),
            trouble: RefCell::default(),
            wake: Notify::new(),
            rest: Notify::new(),
            hurry: Cell::new(false),
        })
    }

    /// From now on what waits is tried at once, each once.
    pub(super) fn hurry(&self) {
        self.hurry.set(true);
        self.wake.notify_one();
    }

    /// Waits until nothing waits.
    pub(super) async fn emptied(&self) {
        while self.waiting.get() > 0 {
            self.rest.notified().await;
        }
    }
}

/// The way to a receiver.
#[derive(Debug)]
pub(super) struct Sender<P> {
    pub(super) outlet: Rc<Outlet>,
    queue: RefCell<Queue<P>>,
    plane: Rc<Plane>,
}

impl<P: 'static> Sender<P> {
    /// Starts the task that hands messages over by `hand_over`.
    pub(super) fn start(
        plane: &Rc<Plane>,
        outlet: Rc<Outlet>,
        hand_over: impl AsyncFn(&P) -> Result<(), Refused> + 'static,
    ) -> Rc<Self> {
        let sender = Rc::new(Self {
            outlet,
            queue: RefCell::new(Queue::new()),
            plane: Rc::clone(plane),
        });
        let own = Rc::clone(&sender);
        tokio::task::spawn_local(async move { own.run(hand_over).await });
        sender
    }

    /// Adds a message; never waits.
    pub(super) fn send(&self, parcel: P) {
        if self.queue.borrow_mut().push(parcel, self.plane.now()) {
            add(&self.outlet.counts.dropped);
        }
        self.outlet.waiting.set(self.queue.borrow().len());
        self.outlet.wake.notify_one();
    }

    async fn run(&self, hand_over: impl AsyncFn(&P) -> Result<(), Refused>) {
        let outlet = &self.outlet;
        // Messages lost since the receiver failed first.
        let mut lost = 0;
        loop {
            self.until_due().await;
            let Some(parcel) = self.queue.borrow_mut().take() else {
                continue;
            };
            let waiting = |more| outlet.waiting.set(self.queue.borrow().len() + more);
            waiting(1);
            let before = outlet.counts.dropped.get();
            let done = hand_over(&parcel.0).await;
            lost += outlet.counts.dropped.get() - before;
            match done {
                Ok(()) => {
                    add(&outlet.counts.sent);
                    let failed_before = outlet.trouble.borrow_mut().take().is_some();
                    self.queue.borrow_mut().taken();
                    if failed_before {
                        self.tell(|to| Trouble::AlertsPass { to, lost });
                        lost = 0;
                    }
                }
                Err(refused) => {
                    let (now, chance) = (self.plane.now(), fastrand::f64());
                    let kept = !outlet.hurry.get()
                        && self.queue.borrow_mut().again(parcel, &refused, now, chance);
                    if kept {
                        add(&outlet.counts.retried);
                    } else {
                        add(&outlet.counts.failed);
                        lost += 1;
                    }
                    let why = refused.why.clone();
                    let known = outlet.trouble.borrow_mut().replace(refused.why).is_some();
                    let waiting = self.queue.borrow().len() as u64;
                    if !known {
                        self.tell(|to| Trouble::AlertsFail { to, why, waiting });
                    }
                }
            }
            waiting(0);
            outlet.rest.notify_one();
        }
    }

    /// Waits until there is something to try.
    async fn until_due(&self) {
        loop {
            let due = self.queue.borrow().due();
            let left = match due {
                None => None,
                Some(_) if self.outlet.hurry.get() => return,
                Some(due) => Some(due.saturating_sub(self.plane.now())),
            };
            match left {
                Some(0) => return,
                Some(left) => {
                    let pause = Duration::from_millis(left);
                    let _ = tokio::time::timeout(pause, self.outlet.wake.notified()).await;
                }
                None => self.outlet.wake.notified().await,
            }
        }
    }

    fn tell(&self, trouble: impl FnOnce(Arc<str>) -> Trouble) {
        let to = format!("{} {}", self.outlet.channel, self.outlet.name);
        self.plane.tell_trouble(trouble(to.into()));
    }
}
