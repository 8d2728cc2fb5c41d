//! A worker: a thread with its own tasks, its own listeners, its own relay table, and one poller for them all.
//!
//! Nothing of it is shared but counters and the topology. Others reach it by message.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use config::model::TlsStart;
use rustix::event::epoll;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wire::smtp::Why;

use crate::clock::{Clock, Millis};
use crate::controller::Evidence;
use crate::end::{self, Cause, Ending};
use crate::listener::{Listener, accept_loop};
use crate::log::{LogBuffer, LogSink};
use crate::order::{Order, SessionView};
use crate::process::Process;
use crate::relay::{Legs, Relay};
use crate::session::{Ingress, Session};
use crate::topology::Topology;
use crate::turns::{self, Bell};
use crate::wait::{Stop, WaitingRoom};
use crate::{poller, smtp, timer};

/// How many silent servers a worker takes leave of at once.
const PARTINGS: u32 = 256;

/// What the tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: usize,
    pub(crate) process: Arc<Process>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) log: LogBuffer,
    pub(crate) waiting: WaitingRoom,
    /// Where bytes land that are passed on or parsed before the task waits again.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// What sessions in `mode smtp` share.
    pub(crate) mail: smtp::Desk,
    relay: RefCell<Relay>,
    /// Sessions that ended in this turn.
    ended: RefCell<Vec<(Session, Ending)>>,
    sessions: Cell<u32>,
    partings: Cell<u32>,
    evidence: UnboundedSender<Evidence>,
}

/// What a worker is started with.
pub(crate) struct Setup {
    pub(crate) id: usize,
    pub(crate) process: Arc<Process>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) log: LogSink,
    pub(crate) evidence: UnboundedSender<Evidence>,
    /// How often deadlines are looked at.
    pub(crate) heartbeat: Duration,
}

/// The way to a running worker.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) orders: UnboundedSender<Order>,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts a worker's thread, and waits until it stands.
pub(crate) fn start(setup: Setup) -> std::io::Result<Handle> {
    let (orders, inbox) = unbounded_channel();
    let name = format!("worker {}", setup.id + 1);
    let (stands, answer) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        turns::stand_back();
        // Whoever starts us waits for this word.
        match Bell::hang() {
            Ok(bell) => {
                let _ = stands.send(Ok(()));
                let heartbeat = setup.heartbeat;
                let (worker, listeners) = Worker::new(setup);
                let life = work(Rc::clone(&worker), listeners, heartbeat, inbox);
                turns::run(&worker, &bell, life);
            }
            Err(error) => drop(stands.send(Err(error))),
        }
    };
    let thread = std::thread::Builder::new().name(name).spawn(run)?;
    answer.recv().map_err(std::io::Error::other)??;
    Ok(Handle { orders, thread })
}

async fn work(
    worker: Rc<Worker>,
    listeners: Vec<Listener>,
    heartbeat: Duration,
    inbox: UnboundedReceiver<Order>,
) {
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let ingress = Rc::new(worker.ingress(&listener));
            let task = accept_loop(Rc::clone(&worker), ingress, listener.socket.into());
            (listener.proxy.index, tokio::task::spawn_local(task))
        })
        .collect();
    tokio::task::spawn_local(beat(Rc::clone(&worker), heartbeat));
    obey(&worker, inbox, accepting).await;
    worker.log.flush();
}

impl Worker {
    fn new(setup: Setup) -> (Rc<Self>, Vec<Listener>) {
        let splice = !setup.topology.model.global.nosplice;
        let worker = Self {
            id: setup.id,
            process: setup.process,
            topology: setup.topology,
            log: LogBuffer::new(setup.log),
            waiting: WaitingRoom::default(),
            scratch: RefCell::new(vec![0; 16 * 1024]),
            mail: smtp::Desk::default(),
            relay: RefCell::new(Relay::new(splice)),
            ended: RefCell::default(),
            sessions: Cell::new(0),
            partings: Cell::new(0),
            evidence: setup.evidence,
        };
        (Rc::new(worker), setup.listeners)
    }

    fn ingress(&self, listener: &Listener) -> Ingress {
        let conf = listener.proxy.conf();
        let own = conf.back.as_ref().map(|_| listener.proxy.index);
        let target = conf
            .front
            .as_ref()
            .and_then(|front| front.default_backend)
            .or(own);
        let backend = target.and_then(|index| self.topology.proxies.get(index).cloned());
        let binds = conf.front.as_ref().map(|front| &front.binds);
        let secret = binds.and_then(|binds| binds[listener.bind].tls.as_ref());
        let acceptor = secret.and_then(|conf| self.topology.tls.acceptor(conf));
        let acceptor = acceptor.cloned();
        let start = secret.map(|conf| conf.start);
        let switches = conf.front.iter().flat_map(|front| &front.switches);
        let backends = target.into_iter().chain(switches.map(|rule| rule.backend));
        let at_once = start == Some(TlsStart::AtOnce);
        Ingress {
            mail: smtp::Manners::new(&self.topology.model, conf, backends, start),
            proxy: Arc::clone(&listener.proxy),
            bind: listener.bind,
            tls: acceptor.clone().filter(|_| at_once),
            starttls: acceptor.filter(|_| !at_once),
            backend,
        }
    }

    pub(crate) fn next_session_id(&self) -> u32 {
        let id = self.sessions.get().wrapping_add(1);
        self.sessions.set(id);
        id
    }

    /// Hands a session to the relay; it comes back when the system has no room for its descriptors.
    pub(crate) fn relay(&self, session: Session, legs: Legs) -> Option<(Session, Ending)> {
        let entered = self
            .relay
            .borrow_mut()
            .enter(session, legs, Clock::get().now());
        entered.err().map(|session| (*session, Ending::RESOURCE))
    }

    /// Tells the controller what a session saw of a server.
    pub(crate) fn report(&self, evidence: Evidence) {
        // The controller outlives the workers; at the very end nobody needs the evidence.
        let _ = self.evidence.send(evidence);
    }

    /// Leaves a server politely, beside all else; only so many at once, the others are just closed.
    pub(crate) fn spawn_parting(self: &Rc<Self>, part: impl Future<Output = ()> + 'static) {
        if self.partings.get() >= PARTINGS {
            return;
        }
        self.partings.set(self.partings.get() + 1);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            part.await;
            worker.partings.set(worker.partings.get() - 1);
        });
    }

    /// Ends sessions, waiting or relayed, for which `cause` names an ending. Who still waits for a server is
    /// spared when that server changes its state: there are others.
    fn end_where(&self, cause: impl Fn(&SessionView<'_>) -> Option<Ending>) {
        self.waiting.stop_where(|waiting| {
            let ending = cause(&SessionView::of_waiting(waiting))?;
            (ending.cause == Cause::Killed || waiting.relayed.is_some())
                .then_some(Stop::Ended(ending))
        });
        // Who reads its mail is carried over to another server.
        self.waiting.leave_where(
            |waiting| match cause(&SessionView::of_waiting(waiting))?.cause {
                Cause::Down => Some(Why::Down),
                Cause::Up => Some(Why::Failback),
                _ => None,
            },
        );
        let mut ended = Vec::new();
        self.relay.borrow_mut().end_where(&mut ended, |session| {
            cause(&SessionView::of_session(session))
        });
        self.finish(&mut ended);
    }

    /// Takes note of what the kernel reports: wakes tasks, and moves what came for rows with a few bytes.
    pub(crate) fn heed(&self, events: &[epoll::Event], now: Millis) {
        let mut ended = self.ended.borrow_mut();
        let mut relay = self.relay.borrow_mut();
        relay.begin(now);
        for event in events {
            if let Some(place) = poller::note(event) {
                relay.told(place, &mut ended);
            }
        }
        drop(relay);
        self.finish(&mut ended);
    }

    /// Whether rows have more to move.
    pub(crate) fn has_more(&self) -> bool {
        self.relay.borrow().has_more()
    }

    /// Lets rows go on that have more to move.
    pub(crate) fn go_on(&self) {
        let mut ended = self.ended.borrow_mut();
        self.relay.borrow_mut().go_on(&mut ended);
        self.finish(&mut ended);
    }

    fn finish(&self, ended: &mut Vec<(Session, Ending)>) {
        for (session, ending) in ended.drain(..) {
            end::finish(self, session, ending);
        }
    }
}

/// Looks at deadlines.
async fn beat(worker: Rc<Worker>, every: Duration) {
    let mut ended = Vec::new();
    loop {
        timer::sleep(every).await;
        let now = Clock::get().now();
        worker.waiting.sweep(now);
        worker.relay.borrow_mut().sweep(now, &mut ended);
        worker.mail.rest();
        worker.finish(&mut ended);
    }
}

/// Does what others ask of the worker until it is told to end.
async fn obey(
    worker: &Worker,
    mut inbox: UnboundedReceiver<Order>,
    mut accepting: Vec<(usize, tokio::task::JoinHandle<()>)>,
) {
    while let Some(order) = inbox.recv().await {
        match order {
            Order::StopListening(only) => {
                let meant = |proxy: usize| only.is_none_or(|index| index == proxy);
                for (_, task) in accepting.extract_if(.., |(proxy, _)| meant(*proxy)) {
                    task.abort();
                }
            }
            Order::Sessions(reply) => {
                let (mut rows, now) = (Vec::new(), Clock::get().now());
                worker.waiting.each(|waiting| {
                    rows.push(SessionView::of_waiting(waiting).report(worker.id, now));
                });
                for row in worker.relay.borrow().rows() {
                    rows.push(SessionView::of_row(row, now).report(worker.id, now));
                }
                let _ = reply.send(rows);
            }
            Order::EndSessions { which, ending } => {
                worker.end_where(|view| which.matches(worker.id, view).then_some(ending));
            }
            Order::Quit => return,
        }
    }
}
