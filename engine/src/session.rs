//! A session's life on one screen.
//!
//! ```text
//! listener  accepts                     -> run
//! prelude   PROXY header, TLS              |  async: while something is to be decided
//! inspect   rules on what the client says  |
//! route     frontend -> backend            |
//! assign    stick, balance, queue  <-.     |
//! connect   dial, PROXY header, TLS  '     |
//! relay     bytes, both ways               |  a row in the worker's table; with TLS still async (secure),
//!                                          |  and in mode smtp (smtp)
//! end       counters, slot, log line: exactly once
//! ```
//!
//! [`Session`] is what is known of it, moved from stage to stage; whoever holds it owns its end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model;

use crate::assign::Story;
use crate::backend::Backend;
use crate::clock::Clock;
use crate::connect::Connected;
use crate::end::{self, Ending};
use crate::prelude::Client;
use crate::relay::Side;
use crate::server::Server;
use crate::socket::Socket;
use crate::tls::Acceptor;
use crate::topology::Proxy;
use crate::wait::Ticket;
use crate::worker::Worker;
use crate::{assign, host, inspect, prelude, route, secure, smtp};

/// A listener as one worker sees it: everything a new session needs of it.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// The frontend or listen.
    pub(crate) proxy: Arc<Proxy>,
    /// Its place among the frontend's binds.
    pub(crate) bind: usize,
    /// `ssl`.
    pub(crate) tls: Option<Arc<Acceptor>>,
    /// `starttls`.
    pub(crate) starttls: Option<Arc<Acceptor>>,
    /// Where its sessions go.
    pub(crate) backend: Option<Arc<Proxy>>,
    /// How its mail is read, in `mode smtp`.
    pub(crate) mail: smtp::Manners,
}

impl Ingress {
    /// In whose name clients are spoken to.
    pub(crate) fn name(&self) -> &str {
        self.mail.name().unwrap_or_else(|| host::name())
    }

    pub(crate) fn front(&self) -> &model::Front {
        // An ingress is made from a bind line, so the proxy has a front half.
        self.proxy.conf().front.as_ref().unwrap_or(&NO_FRONT)
    }

    pub(crate) fn bind(&self) -> &model::Bind {
        &self.front().binds[self.bind]
    }
}

static NO_FRONT: std::sync::LazyLock<model::Front> = std::sync::LazyLock::new(Default::default);

/// Who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over the network.
    Ip(SocketAddr),
    /// Over a unix socket.
    Local,
}

/// What a PROXY header tells beside addresses.
#[derive(Debug)]
pub(crate) struct Told {
    /// The name the client asked for.
    pub(crate) authority: Vec<u8>,
}

/// What is known of a session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) ingress: Rc<Ingress>,
    /// Who it says it is: the PROXY header's word, where one was accepted.
    pub(crate) client: Peer,
    /// The address the client connected to, where a PROXY header or a need for it has told.
    pub(crate) destination: Option<SocketAddr>,
    /// What else such a header told; rare, and then in a box.
    pub(crate) told: Option<Box<Told>>,
    pub(crate) backend: Option<Arc<Proxy>>,
    pub(crate) server: Option<Arc<Server>>,
    /// The worker's number for it, and when it began (milliseconds of the process).
    pub(crate) id: u32,
    pub(crate) began: u64,
    pub(crate) marks: Marks,
    /// Bytes from the client and from the server; final when the session is.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// The same towards and from the server it has, where mail is read; else they are the same.
    pub(crate) server_bytes: (u64, u64),
    /// Bytes of the client that were read before the relay: behind a PROXY header, or by rules.
    pub(crate) early_bytes_in: u64,
    pub(crate) retries: u16,
    /// Whether it was moved to another server on the way.
    pub(crate) redispatched: bool,
    /// What befell it on the way to its server, if anything did.
    pub(crate) story: Option<Box<Story>>,
    /// Its client began with a ClientHello, which may be sent to one server after the other.
    pub(crate) hello: bool,
    /// TLS with the client stands.
    pub(crate) secured: bool,
    /// It was told that there is no server.
    pub(crate) turned_away: bool,
    /// How many waited before it: for its server, and for the backend.
    pub(crate) queued_behind: (u32, u32),
}

/// How long each stage took, in milliseconds since the session began; `None`: not reached.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// A server and a slot on it were found.
    pub(crate) assigned: Option<u32>,
    /// The server was connected.
    pub(crate) connected: Option<u32>,
}

/// The timeouts of one side of a session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) tunnel: Option<Duration>,
    pub(crate) fin: Option<Duration>,
}

impl Limits {
    /// The one that holds now (CFG 4.2 `timeout tunnel`, `client-fin`).
    pub(crate) fn now(self, half_closed: bool) -> Option<Duration> {
        self.fin
            .filter(|_| half_closed)
            .or(self.tunnel)
            .or(self.idle)
            .filter(|limit| !limit.is_zero())
    }
}

impl Session {
    fn begin(worker: &Worker, ingress: Rc<Ingress>, client: Peer) -> Self {
        Self {
            ingress,
            client,
            destination: None,
            told: None,
            backend: None,
            server: None,
            id: worker.next_session_id(),
            began: Clock::get().now(),
            marks: Marks::default(),
            bytes_in: 0,
            bytes_out: 0,
            server_bytes: (0, 0),
            early_bytes_in: 0,
            retries: 0,
            redispatched: false,
            story: None,
            hello: false,
            secured: false,
            turned_away: false,
            queued_behind: (0, 0),
        }
    }

    /// What follows the frontend's name in log lines: `~` where the client's leg has TLS (CFG 8.2.4 `%ft`).
    pub(crate) fn transport(&self) -> &'static str {
        if self.secured || self.ingress.tls.is_some() {
            "~"
        } else {
            ""
        }
    }

    /// Milliseconds since it began.
    pub(crate) fn age(&self) -> u32 {
        (Clock::get().now() - self.began) as u32
    }

    /// Bytes from the client to its server, and back.
    pub(crate) fn bytes_of_server(&self) -> (u64, u64) {
        match self.ingress.mail.are_there() {
            true => self.server_bytes,
            false => (self.bytes_in, self.bytes_out),
        }
    }

    /// The backend's section, once there is a backend.
    pub(crate) fn back(&self) -> Option<&model::Back> {
        self.backend.as_ref()?.conf().back.as_ref()
    }

    /// Whether a server has it only when it has said something: whoever is connected, and silent, has not.
    pub(crate) fn is_gated(&self) -> bool {
        self.hello || self.back().is_some_and(|back| back.greeting.is_some())
    }

    /// The backend's servers and counters, once there is a backend.
    pub(crate) fn farm(&self) -> Option<&Backend> {
        self.backend.as_ref()?.back.as_ref()
    }

    /// The timeouts that bound a side while it is relayed (CFG 4.2 `timeout ...`).
    pub(crate) fn limits(&self, side: Side) -> Limits {
        let back = self.back();
        let tunnel = back.and_then(|back| back.timeout_tunnel);
        match side {
            Side::Client => {
                let front = self.ingress.front();
                Limits {
                    idle: front.timeout_client,
                    tunnel,
                    fin: front.timeout_client_fin,
                }
            }
            Side::Server => Limits {
                idle: back.and_then(|back| back.timeout_server),
                tunnel,
                fin: back.and_then(|back| back.timeout_server_fin),
            },
        }
    }
}

/// Lives a session from its accepted socket to the relay, or to its end.
pub(crate) async fn run(worker: Rc<Worker>, ingress: Rc<Ingress>, socket: Socket, peer: Peer) {
    let mut session = Session::begin(&worker, ingress, peer);
    let ticket = Ticket::take(&worker, &session);
    let ready = prepare(&worker, &ticket, &mut session, socket).await;
    let ready = ready.map(|(client, connected)| {
        session.early_bytes_in = client.early.len() as u64;
        assign::legs(client, connected)
    });
    let ended = match ready {
        Ok(legs) if legs.has_tls() => {
            end::tell_early(&worker, &session);
            let ending = secure::relay(&worker, &ticket, &mut session, legs).await;
            Some((session, ending))
        }
        Ok(legs) => {
            drop(ticket);
            end::tell_early(&worker, &session);
            worker.relay(session, legs)
        }
        Err(ending) => Some((session, ending)),
    };
    if let Some((session, ending)) = ended {
        end::finish(&worker, session, ending);
    }
}

/// The same in `mode smtp`: a session stays a task as long as it lives.
pub(crate) async fn run_mail(worker: Rc<Worker>, ingress: Rc<Ingress>, socket: Socket, peer: Peer) {
    let mut session = Session::begin(&worker, ingress, peer);
    let ticket = Ticket::take(&worker, &session);
    // What is needed to begin takes no room later.
    let ready = Box::pin(prepare(&worker, &ticket, &mut session, socket)).await;
    let ending = match ready.map(Box::new) {
        Ok(opening) => {
            ticket.note(&session);
            end::tell_early(&worker, &session);
            smtp::converse(&worker, &ticket, &mut session, opening).await
        }
        Err(ending) => ending,
    };
    drop(ticket);
    end::finish(&worker, session, ending);
}

/// Everything that is decided before bytes flow.
async fn prepare(
    worker: &Rc<Worker>,
    ticket: &Ticket<'_>,
    session: &mut Session,
    socket: Socket,
) -> Result<(Client, Connected), Ending> {
    let mut client = prelude::receive(worker, ticket, session, socket).await?;
    let front = Arc::clone(&session.ingress.proxy);
    if inspect::has_rules(&front) {
        client = Box::pin(inspect::content(worker, ticket, session, client, &front)).await?;
    }
    let back = route::choose_backend(worker, session, &mut client)?;
    if inspect::has_rules(&back) && back.index != front.index {
        client = Box::pin(inspect::content(worker, ticket, session, client, &back)).await?;
    }
    if inspect::wants_hello(session, &client) {
        client = Box::pin(inspect::hello(worker, ticket, session, client)).await?;
    }
    let connected = assign::find_server(worker, ticket, session, &client).await?;
    Ok((client, connected))
}
