//! Pages over HTTP: metrics and statistics, in `mode http` frontends (CFG 4.2 `stats ...`).
//!
//! Served on the control thread, so a scrape never stands in the way of a session; hyper does the protocol. What
//! a request gets is in [`rules`].

mod auth;
mod board;
mod body;
pub mod form;
mod guard;
mod live;
mod page;
mod rules;
mod statistics;

use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::acl::Condition;
use config::model::Model;
use engine::{BindError, PageSession, Proxy};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use self::body::Body;
use self::live::Live;
use self::rules::{Asked, Verdict};
use crate::Desk;
use crate::prometheus::{self, Query};
use crate::socket::Listener;

/// How long a request's head may take, where `timeout client` does not say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the kernel keeps of an answer, bytes.
const SEND_BUFFER: usize = 128 * 1024;

/// How often a listener looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(500);

/// The bound sockets of all proxies that serve pages.
pub(crate) type Bound = Vec<(OwnedFd, Place)>;

/// Whose socket it is: the proxy's place in the model, and the bind's among the proxy's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    proxy: usize,
    bind: usize,
}

/// Makes them.
pub(crate) fn bind(model: &Model) -> Result<Bound, BindError> {
    let mut bound = Vec::new();
    for (index, proxy) in model.proxies.iter().enumerate() {
        if proxy.pages.is_some() && !proxy.disabled {
            let sockets = engine::listen_pages(proxy)?;
            let placed = |(bind, socket)| (socket, Place { proxy: index, bind });
            bound.extend(sockets.into_iter().map(placed));
        }
    }
    Ok(bound)
}

/// Serves them until the process stops listening. Must be called inside the control thread's `LocalRuntime`.
pub(crate) fn serve(bound: Bound, desk: &Rc<Desk>) -> std::io::Result<()> {
    let live = Live::new(desk);
    if !bound.is_empty() {
        tokio::task::spawn_local(Rc::clone(&live).run());
    }
    let house = Rc::new(House {
        desk: Rc::clone(desk),
        live,
        token: guard::secret(),
    });
    for (socket, place) in bound {
        let listener = Listener::new(socket)?;
        let proxy = Arc::clone(&desk.plane.topology().proxies[place.proxy]);
        tokio::task::spawn_local(accept(listener, proxy, place.bind, Rc::clone(&house)));
    }
    Ok(())
}

/// What all pages share.
struct House {
    desk: Rc<Desk>,
    live: Rc<Live>,
    /// What a form of ours brings back.
    token: Option<String>,
}

async fn accept(listener: Listener, proxy: Arc<Proxy>, bind: usize, house: Rc<House>) {
    let stopped = || {
        let front = proxy.front.as_ref();
        house.desk.plane.process().is_stopping() || front.is_some_and(|front| front.is_stopped())
    };
    while !stopped() {
        let accepted = timeout(LOOK, listener.accept_with_addresses()).await;
        let (stream, addresses) = match accepted {
            Ok(Ok(accepted)) => accepted,
            // Out of descriptors: the others first.
            Ok(Err(_)) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(_) => continue,
        };
        // Who comes when there is no room is turned away; a monitor asks again.
        let Some(session) = house.desk.plane.page_session(&proxy, bind) else {
            continue;
        };
        let visit = Visit {
            house: Rc::clone(&house),
            proxy: Arc::clone(&proxy),
            session: Rc::new(session),
            addresses,
            stream: Rc::default(),
        };
        tokio::task::spawn_local(visit.converse(stream));
    }
}

/// One connection.
#[derive(Clone)]
struct Visit {
    house: Rc<House>,
    proxy: Arc<Proxy>,
    session: Rc<PageSession>,
    /// The client's and ours.
    addresses: Option<[SocketAddr; 2]>,
    stream: Rc<Stream>,
}

/// Whether a connection has become a stream, which goes on for as long as it is read.
#[derive(Default)]
struct Stream {
    begun: Cell<bool>,
    /// Its end, where nobody reads it any more, or the process ends.
    leave: Rc<Notify>,
}

impl Stream {
    /// When a connection has had its time.
    async fn over(&self, patience: Duration) {
        if timeout(patience, self.leave.notified()).await.is_err() && self.begun.get() {
            self.leave.notified().await;
        }
    }
}

type Reply = Response<Body>;

impl Visit {
    async fn converse(self, stream: Box<dyn crate::socket::Stream>) {
        let front = self.proxy.conf().front.as_ref();
        let patience = front
            .and_then(|front| front.timeout_client)
            .unwrap_or(PATIENCE);
        let answer = service_fn(|request: Request<Incoming>| {
            let visit = self.clone();
            async move { Ok::<_, std::convert::Infallible>(visit.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(64 * 1024);
        // A client that goes away or talks nonsense ends its own connection, which is nobody's error; one that
        // does not read what it asked for is cut off.
        let connection = builder.serve_connection(TokioIo::new(stream), answer);
        tokio::select! {
            _ = connection => {}
            () = self.stream.over(patience * 6) => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let reply = self.reply(request).await;
        let length = reply.body().size_hint().exact().unwrap_or(0);
        self.session.sent(length);
        reply
    }

    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let Some(pages) = &self.proxy.conf().pages else {
            return unavailable();
        };
        let asked = Asked::new(&request, &self.house.desk.plane, self.addresses);
        match rules::judge(pages, &asked) {
            Verdict::Metrics => self.metrics(request.uri().query().unwrap_or_default()),
            Verdict::Statistics(page, rest) => {
                let holds = |condition: &Option<Condition>| {
                    condition
                        .as_ref()
                        .is_none_or(|condition| condition.holds(&asked))
                };
                let admin = page.admin.iter().any(holds);
                self.statistics(page, request, &rest, admin).await
            }
            Verdict::Monitor(true) => plain(StatusCode::OK, "200 OK: ready\n"),
            Verdict::Monitor(false) => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "503 Service Unavailable: not ready\n",
            ),
            Verdict::Deny(status) => told(status),
            Verdict::Text { status, kind, text } => {
                let mut reply = text_of(kind, text.to_owned());
                *reply.status_mut() = status_of(status);
                reply
            }
            Verdict::Login(realm) => ask_who(realm.unwrap_or_else(|| self.proxy.name())),
            Verdict::Redirect(status, to) => {
                let mut reply = told(status);
                if let Ok(to) = HeaderValue::from_str(&to) {
                    reply.headers_mut().insert(LOCATION, to);
                }
                reply
            }
            Verdict::Nothing => unavailable(),
        }
    }

    fn metrics(&self, query: &str) -> Reply {
        match Query::parse(query) {
            Some(query) => text(
                "text/plain; version=0.0.4",
                prometheus::text(&self.house.desk, &query),
            ),
            None => plain(StatusCode::BAD_REQUEST, "400 Bad request\n"),
        }
    }
}

fn text(kind: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Body::whole(body));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

fn plain(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = text("text/plain", body.to_owned());
    *reply.status_mut() = status;
    reply
}

fn text_of(kind: &str, body: String) -> Reply {
    let mut reply = text("text/plain", body);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        reply.headers_mut().insert(CONTENT_TYPE, kind);
    }
    reply
}

/// The status alone, in words.
fn told(status: u16) -> Reply {
    let status = status_of(status);
    let mut reply = text("text/plain", format!("{status}\n"));
    *reply.status_mut() = status;
    reply
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN)
}

/// Asks for a login (RFC 7617).
fn ask_who(realm: &str) -> Reply {
    let mut reply = told(401);
    let challenge = format!("Basic realm=\"{}\"", realm.replace(['"', '\\'], ""));
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    reply
}

/// What HAProxy says where a request meets no rule and there is no server.
fn unavailable() -> Reply {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "503 Service Unavailable: no page has this address\n",
    )
}

impl Listener {
    /// Accepts, with the addresses of who comes over the network: its own, and the one it came to.
    async fn accept_with_addresses(
        &self,
    ) -> std::io::Result<(Box<dyn crate::socket::Stream>, Option<[SocketAddr; 2]>)> {
        match self {
            Self::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
            Self::Tcp(listener) => {
                let (stream, peer): (TcpStream, SocketAddr) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // What is sent to one who does not read is kept by the kernel: not without measure.
                let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
                let own = stream.local_addr()?;
                Ok((Box::new(stream), Some([peer, own])))
            }
        }
    }
}
