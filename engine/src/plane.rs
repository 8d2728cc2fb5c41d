//! The data plane as a whole: bound, started, asked, stopped. The control thread owns it.
//!
//! Two steps, because between them the process gives up its privileges: [`Bound::bind`] makes the sockets,
//! [`Bound::start`] the threads. From then on the control thread runs checks and the controller, the
//! workers run sessions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{self, Balance, Model};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::check::{self, Subject, agent};
use crate::clock::{Clock, Millis};
use crate::controller::{At, Controller, Evidence, Refused};
use crate::event::{Bus, Kind, ProcessState, ProxyState, Trouble, Troubles};
use crate::frontend::Frontend;
use crate::listener::Listener;
use crate::listener::open::{self, BindError};
use crate::log::{Level, Line, LogSink, Route};
use crate::order::{Killer, Order, SessionReport, Which};
use crate::page::PageSession;
use crate::process::Process;
use crate::schedule::{self, Asked};
use crate::tls::Tls;
use crate::topology::{Proxy, Topology};
use crate::worker::{self, Handle, Setup};

/// What the command line decides.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The most client connections at once, where neither `-n` nor `maxconn` says so:
    /// what the descriptor limit leaves room for.
    pub maxconn: u32,
    /// Nothing on standard error.
    pub quiet: bool,
}

/// Sockets are bound, nothing runs yet.
#[derive(Debug)]
pub struct Bound {
    topology: Arc<Topology>,
    process: Arc<Process>,
    listeners: Vec<Vec<Listener>>,
    options: Options,
}

impl Bound {
    /// Makes every listening socket of a model, whose certificates were loaded before.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(model: Arc<Model>, tls: Arc<Tls>, options: Options) -> Result<Self, BindError> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let workers = model.global.nbthread.map_or(cores, usize::from).max(1);
        let topology = Arc::new(Topology::build(&model, tls, options.maxconn, workers));
        let listeners = open::all(&topology, workers)?;
        let reads_mail = model.proxies.iter().any(|proxy| {
            proxy
                .front
                .as_ref()
                .is_some_and(|front| front.smtp.is_some())
        });
        let process = Arc::new(Process::new(&model.global, options.maxconn, reads_mail));
        Ok(Self {
            topology,
            process,
            listeners,
            options,
        })
    }

    /// Starts logs, checks and workers. Must be called on the control thread, inside its
    /// `LocalRuntime`.
    ///
    /// # Errors
    /// The system has no room for threads or descriptors.
    pub fn start(self) -> std::io::Result<Rc<Plane>> {
        Clock::get();
        let log = LogSink::start(self.options.quiet)?;
        let (evidence, reports) = unbounded_channel();
        let heartbeat = heartbeat(&self.topology.model);
        let bus = Bus::new(&self.topology, log.clone());
        let controller = Controller::new(&self.topology, Rc::clone(&bus));
        let mut workers = Vec::new();
        for (id, listeners) in self.listeners.into_iter().enumerate() {
            workers.push(worker::start(Setup {
                id,
                process: Arc::clone(&self.process),
                topology: Arc::clone(&self.topology),
                listeners,
                log: log.clone(),
                evidence: evidence.clone(),
                heartbeat,
            })?);
        }
        let plane = Rc::new(Plane {
            topology: self.topology,
            process: self.process,
            controller: Rc::new(RefCell::new(controller)),
            workers: RefCell::new(workers),
            log,
            bus,
        });
        plane.tell_process(ProcessState::Started);
        if let Some(why) = &plane.process.spool_trouble {
            let text = format!(
                "{why}. Messages of 'mode smtp' that memory has no room for are not protected."
            );
            plane.console(Level::Warning, text);
        }
        plane.run_checks();
        plane.run_ramps();
        tokio::task::spawn_local(Rc::clone(&plane).listen_to_traffic(reports));
        tokio::task::spawn_local(Rc::clone(&plane).beat());
        Ok(plane)
    }
}

/// How long the end of the process waits for its logs.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The running data plane.
#[derive(Debug)]
pub struct Plane {
    topology: Arc<Topology>,
    process: Arc<Process>,
    controller: Rc<RefCell<Controller>>,
    workers: RefCell<Vec<Handle>>,
    log: LogSink,
    bus: Rc<Bus>,
}

impl Plane {
    /// The proxies.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The process's counters.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What happens.
    pub fn events(&self) -> &Rc<Bus> {
        &self.bus
    }

    /// The one writer of server states. Never hold the borrow across an await.
    pub fn controller(&self) -> &RefCell<Controller> {
        &self.controller
    }

    /// Worker threads.
    pub fn workers(&self) -> usize {
        self.workers.borrow().len()
    }

    /// Log lines dropped so far.
    pub fn dropped_logs(&self) -> u64 {
        self.log.dropped()
    }

    /// Milliseconds since the process started.
    pub fn now(&self) -> Millis {
        Clock::get().now()
    }

    /// Every session of every worker.
    pub async fn sessions(&self) -> Vec<SessionReport> {
        let mut replies = Vec::new();
        for worker in self.workers.borrow().iter() {
            let (reply, answer) = oneshot::channel();
            if worker.orders.send(Order::Sessions(reply)).is_ok() {
                replies.push(answer);
            }
        }
        let mut sessions = Vec::new();
        for answer in replies {
            sessions.extend(answer.await.unwrap_or_default());
        }
        sessions
    }

    /// Ends sessions; their log lines say who did it.
    pub fn end_sessions(&self, which: &Which, killer: Killer) {
        self.order(|| Order::EndSessions {
            which: which.clone(),
            ending: killer.ending(),
        });
        self.flush_endings();
    }

    /// Forgets every maximum; totals go on (`clear counters`).
    pub fn clear_maxima(&self) {
        self.process.forget_most();
        for proxy in &self.topology.proxies {
            proxy.front.iter().for_each(Frontend::forget_most);
            proxy.back.iter().for_each(Backend::forget_most);
        }
    }

    /// Forgets the maxima and counts anew (`clear counters all`).
    pub fn clear_counters(&self) {
        self.clear_maxima();
        self.controller.borrow_mut().clear_counters();
        for proxy in &self.topology.proxies {
            proxy.front.iter().for_each(Frontend::clear_totals);
            proxy.back.iter().for_each(Backend::clear_totals);
        }
    }

    /// Stops or resumes one frontend (`disable frontend`, `enable frontend`). False: it was so already.
    pub fn pause_frontend(&self, proxy: &Proxy, paused: bool) -> bool {
        let Some(front) = proxy.front.as_ref().filter(|f| f.is_paused() != paused) else {
            return false;
        };
        front.pause(paused);
        let state = if paused {
            ProxyState::Paused
        } else {
            ProxyState::Resumed
        };
        self.bus.publish(Some(proxy.index), Kind::Proxy(state));
        true
    }

    /// Closes the listeners of one frontend for good (`shutdown frontend`); its sessions go on. False: they are.
    pub fn stop_frontend(&self, proxy: &Proxy) -> bool {
        if proxy.front.as_ref().is_none_or(|front| !front.stop()) {
            return false;
        }
        self.order(|| Order::StopListening(Some(proxy.index)));
        self.tell_stopped(proxy);
        true
    }

    /// A connection to a page of that proxy begins, at that place of its binds; `None` when there is no room for it now.
    pub fn page_session(&self, proxy: &Arc<Proxy>, bind: usize) -> Option<PageSession> {
        let front = proxy.front.as_ref();
        let room = front.is_some_and(|front| front.has_room_at(bind)) && self.process.has_room();
        room.then(|| PageSession::begin(proxy, bind, &self.process))
    }

    /// Does what the controller has decided about sessions since it was last asked.
    pub fn flush_endings(&self) {
        let endings = self.controller.borrow_mut().take_endings();
        for (which, killer) in endings {
            self.order(|| Order::EndSessions {
                which: which.clone(),
                ending: killer.ending(),
            });
        }
    }

    fn order(&self, make: impl Fn() -> Order) {
        for worker in self.workers.borrow().iter() {
            // A worker that has ended has no sessions.
            let _ = worker.orders.send(make());
        }
    }

    /// Pauses (SIGTTOU) or resumes (SIGTTIN) all frontends.
    pub fn pause(&self, paused: bool) {
        for proxy in &self.topology.proxies {
            self.pause_frontend(proxy, paused);
        }
    }

    /// Begins a soft stop: listeners close, sessions go on.
    pub fn stop_listening(&self) {
        self.process.stop();
        self.order(|| Order::StopListening(None));
        self.tell_process(ProcessState::Stopping);
        for proxy in &self.topology.proxies {
            self.tell_stopped(proxy);
        }
    }

    /// Tells that the process ends; [`Self::quit`] does it.
    pub fn tell_end(&self) {
        self.tell_process(ProcessState::Ended);
    }

    /// Tells what hinders the process.
    pub fn tell_trouble(&self, trouble: Trouble) {
        self.bus.publish(None, Kind::Trouble(trouble));
    }

    fn tell_process(&self, state: ProcessState) {
        self.bus.publish(None, Kind::Process(state));
    }

    fn tell_stopped(&self, proxy: &Proxy) {
        let front = proxy
            .front
            .as_ref()
            .map_or(0, |front| front.totals.ever(|t| &t.connections));
        let back = proxy
            .back
            .as_ref()
            .map_or(0, |back| back.totals.ever(|t| &t.sessions));
        let stopped = ProxyState::Stopped { front, back };
        self.bus.publish(Some(proxy.index), Kind::Proxy(stopped));
    }

    /// Waits, after [`Self::stop_listening`], until the last session has ended.
    pub async fn drained(&self) {
        self.process.drained().await;
    }

    /// Ends the workers, with whatever sessions are left, and writes out the logs.
    pub fn quit(&self) {
        self.order(|| Order::Quit);
        for worker in self.workers.borrow_mut().drain(..) {
            if worker.thread.join().is_err() {
                let text = "a worker thread had panicked".to_owned();
                self.console(Level::Alert, text);
            }
        }
        self.log.flush(LAST_WORDS);
    }

    /// Writes a line to standard error.
    pub fn console(&self, level: Level, text: String) {
        self.log.send(vec![Line {
            route: Route::Console,
            level,
            at: Clock::get().now(),
            text,
        }]);
    }

    /// Adds a server to the backend of that index, in maintenance (`add server`).
    ///
    /// # Errors
    /// The backend takes none, or not this one.
    pub fn add_server(&self, proxy: usize, conf: model::Server) -> Result<(), Refused> {
        let workers = self.workers();
        let added = self.controller.borrow_mut().add(proxy, conf, workers);
        let (at, server) = added?;
        if server.conf.check {
            self.run_check(at, Asked::Server, Duration::ZERO);
        }
        if server.conf.agent.is_some() {
            self.run_check(at, Asked::Agent, Duration::ZERO);
        }
        Ok(())
    }

    fn run_checks(&self) {
        for (at, whom, first) in schedule::first_checks(&self.topology.model) {
            self.run_check(at, whom, first);
        }
    }

    fn run_check(&self, at: At, whom: Asked, first: Duration) {
        let proxy = &self.topology.proxies[at.0];
        let (Some(back), Some(running)) = (&proxy.conf().back, &proxy.back) else {
            return;
        };
        let Some(server) = running.servers().at(at.1).cloned() else {
            return;
        };
        let controller = Rc::clone(&self.controller);
        let task = match (whom, server.conf.agent.clone()) {
            (Asked::Server, _) => {
                let subject = Subject {
                    at,
                    limits: check::Limits::new(&server.conf, back),
                    script: Arc::clone(&back.check),
                    server,
                    bufsize: self.topology.model.global.bufsize,
                    mail: running.mail.as_ref().map(|_| Arc::clone(proxy)),
                };
                tokio::task::spawn_local(check::run(controller, subject, first))
            }
            (Asked::Agent, Some(agent)) => {
                let subject = agent::Subject::new(at, server, &agent, back);
                tokio::task::spawn_local(agent::run(controller, subject, first))
            }
            (Asked::Agent, None) => return,
        };
        let task = task.abort_handle();
        self.controller.borrow_mut().runs_for(at, task);
    }

    /// Where clients may be held, lets them go when there is a server again.
    fn run_ramps(self: &Rc<Self>) {
        let holds = |proxy: &&Arc<Proxy>| {
            let back = proxy.conf().back.as_ref();
            back.is_some_and(|back| back.timeout_hold.is_some())
        };
        for proxy in self.topology.proxies.iter().filter(holds) {
            let (plane, proxy) = (Rc::clone(self), Arc::clone(proxy));
            tokio::task::spawn_local(async move {
                if let Some(back) = &proxy.back {
                    let up = || plane.controller.borrow().backend(proxy.index).up;
                    back.hold.ramp(up).await;
                }
            });
        }
    }

    /// Feeds the controller with what sessions saw.
    async fn listen_to_traffic(self: Rc<Self>, mut reports: UnboundedReceiver<Evidence>) {
        while let Some(evidence) = reports.recv().await {
            self.controller.borrow_mut().evidence(&evidence);
            self.flush_endings();
        }
    }

    /// What the controller does by the clock: slow starts, silences, reserves; and endings decided by checks.
    async fn beat(self: Rc<Self>) {
        let wake = self.controller.borrow().wake_of_clock();
        let mut troubles = Troubles::default();
        loop {
            troubles.look(&self.bus, self.log.dropped(), &self.process);
            let due = self.controller.borrow().next_deadline();
            let left = due.map_or(1_000, |due| {
                due.saturating_sub(Clock::get().now()).min(1_000)
            });
            let _ = tokio::time::timeout(Duration::from_millis(left), wake.notified()).await;
            self.controller.borrow_mut().tick();
            self.flush_endings();
        }
    }
}

/// How often deadlines are looked at: an eighth of the shortest timeout, at most once a second.
fn heartbeat(model: &Model) -> Duration {
    let delays = model
        .proxies
        .iter()
        .map(|proxy| proxy.tcp_request.inspect_delay);
    let fronts = model
        .proxies
        .iter()
        .filter_map(|proxy| proxy.front.as_ref());
    let backs = model.proxies.iter().filter_map(|proxy| proxy.back.as_ref());
    let shortest = fronts
        .flat_map(|f| [f.timeout_client, f.timeout_client_fin, f.timeout_client_hs])
        .chain(backs.flat_map(|b| {
            [
                b.timeout_connect,
                b.timeout_server,
                b.timeout_server_fin,
                b.timeout_queue,
                b.timeout_tunnel,
                b.timeout_hold,
                b.smtp.as_ref().map(|smtp| smtp.failover),
            ]
        }))
        .chain(delays)
        .flatten()
        .filter(|limit| !limit.is_zero())
        .min()
        .unwrap_or(Duration::MAX);
    (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// Whether weights may change at run time (haproxy-compat 3.10).
pub(crate) fn is_dynamic(balance: Balance) -> bool {
    !matches!(balance, Balance::StaticRoundRobin | Balance::Source)
}
