//! Pages over HTTP: metrics and statistics, in `mode http` frontends (CFG 4.2 `stats ...`).
//!
//! Served on the control thread, so a scrape never stands in the way of a session; hyper does the protocol. What
//! a request gets is in [`rules`].

mod auth;
mod page;
mod rules;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{Model, StatsPage};
use engine::{BindError, PageSession, Proxy};
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::rules::{Asked, Verdict};
use crate::prometheus::{self, Query};
use crate::socket::Listener;
use crate::{Desk, stat};

/// How long a request's head may take, where `timeout client` does not say it.
const PATIENCE: Duration = Duration::from_secs(10);

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
    for (socket, place) in bound {
        let listener = Listener::new(socket)?;
        let proxy = Arc::clone(&desk.plane.topology().proxies[place.proxy]);
        tokio::task::spawn_local(accept(listener, proxy, place.bind, Rc::clone(desk)));
    }
    Ok(())
}

async fn accept(listener: Listener, proxy: Arc<Proxy>, bind: usize, desk: Rc<Desk>) {
    let stopped = || {
        let front = proxy.front.as_ref();
        desk.plane.process().is_stopping() || front.is_some_and(|front| front.is_stopped())
    };
    while !stopped() {
        let accepted = timeout(LOOK, listener.accept_with_address()).await;
        let (stream, peer) = match accepted {
            Ok(Ok(accepted)) => accepted,
            // Out of descriptors: the others first.
            Ok(Err(_)) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(_) => continue,
        };
        // Who comes when there is no room is turned away; a monitor asks again.
        let Some(session) = desk.plane.page_session(&proxy, bind) else {
            continue;
        };
        let visit = Visit {
            desk: Rc::clone(&desk),
            proxy: Arc::clone(&proxy),
            bind,
            session: Rc::new(session),
            peer,
        };
        tokio::task::spawn_local(visit.converse(stream));
    }
}

/// One connection.
#[derive(Clone)]
struct Visit {
    desk: Rc<Desk>,
    proxy: Arc<Proxy>,
    /// The place of the bind it came to.
    bind: usize,
    session: Rc<PageSession>,
    peer: Option<SocketAddr>,
}

type Reply = Response<Full<Bytes>>;

impl Visit {
    async fn converse(self, stream: Box<dyn crate::socket::Stream>) {
        let front = self.proxy.conf().front.as_ref();
        let patience = front
            .and_then(|front| front.timeout_client)
            .unwrap_or(PATIENCE);
        let answer = service_fn(|request: Request<Incoming>| {
            let visit = self.clone();
            async move { Ok::<_, std::convert::Infallible>(visit.answer(&request)) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(64 * 1024);
        // A client that goes away or talks nonsense ends its own connection, which is nobody's error; one that
        // does not read what it asked for is cut off.
        let connection = builder.serve_connection(TokioIo::new(stream), answer);
        let _ = timeout(patience * 6, connection).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Reply {
        let reply = self.reply(request);
        let length = reply.body().size_hint().exact().unwrap_or(0);
        self.session.sent(length);
        reply
    }

    fn reply(&self, request: &Request<Incoming>) -> Reply {
        let Some(pages) = &self.proxy.conf().pages else {
            return unavailable();
        };
        let source = self.peer.map(|peer| peer.ip());
        let asked = Asked::new(request, &self.desk.plane, source, self.port());
        match rules::judge(pages, &asked) {
            Verdict::Metrics => self.metrics(request.uri().query().unwrap_or_default()),
            Verdict::Statistics(page, rest) => self.statistics(page, request, &rest),
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

    fn port(&self) -> u16 {
        let bind = self
            .proxy
            .conf()
            .front
            .as_ref()
            .and_then(|front| front.binds.get(self.bind));
        match bind.map(|bind| &bind.address) {
            Some(config::model::BindAddress::Ip(address)) => address.port(),
            _ => 0,
        }
    }

    fn metrics(&self, query: &str) -> Reply {
        match Query::parse(query) {
            Some(query) => text(
                "text/plain; version=0.0.4",
                prometheus::text(&self.desk, &query),
            ),
            None => plain(StatusCode::BAD_REQUEST, "400 Bad request\n"),
        }
    }

    /// The page of statistics; `rest` is what follows its address.
    fn statistics(&self, conf: &StatsPage, request: &Request<Incoming>, rest: &str) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented\n");
        }
        let flags: Vec<&str> = rest.split(';').collect();
        let has = |flag: &str| flags.contains(&flag);
        let selection = stat::Selection {
            proxy: None,
            kinds: -1,
            server: -1,
            no_maint: has("no-maint"),
            up: has("up"),
        };
        let rows = stat::rows(&self.desk.plane, &selection, conf.show_legends);
        let rows = rows.unwrap_or_default();
        if has("csv") {
            text("text/plain", stat::csv(&rows))
        } else if has("json") {
            text("application/json", stat::json(&rows))
        } else {
            let refresh = conf.refresh.filter(|_| !has("norefresh"));
            text(
                "text/html; charset=utf-8",
                page::html(&self.desk, conf, refresh, &rows),
            )
        }
    }
}

fn text(kind: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
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
    /// Accepts, with the address of who comes over the network.
    async fn accept_with_address(
        &self,
    ) -> std::io::Result<(Box<dyn crate::socket::Stream>, Option<SocketAddr>)> {
        match self {
            Self::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
            Self::Tcp(listener) => {
                let (stream, peer): (TcpStream, SocketAddr) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(peer)))
            }
        }
    }
}
