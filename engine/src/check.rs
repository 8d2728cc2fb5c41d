//! Health checks: one task per server on the control thread, driving the script of `wire::check`.
//!
//! A task owns its socket and its timing; what a result means is the controller's business, which also
//! says when to check again. Times are those of haproxy-compat 3.4.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{self, Back, ProxyHeader, ServerAddress};
use tokio::time::{Instant, timeout, timeout_at};
use wire::check::{Action, Connect, Event, Outcome, Run, Script, Verdict};
use wire::proxy::Addresses;
use wire::smtp::{Capabilities, Mechanisms, Reply};

use crate::call::Call;
use crate::connect::header;
use crate::controller::Controller;
use crate::server::{Place, Server};
use crate::tls::Asked;
use crate::topology::Proxy;

pub(crate) mod agent;
mod deep;

/// How long a server whose pace is not known may take to greet a check, where no `timeout check` is written: a
/// greet pause takes 5 or 6 s.
const GREETING: Duration = Duration::from_secs(10);

/// How long a server may take to answer the QUIT of a check that is already decided.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a check task needs to know; nothing of it changes.
pub(crate) struct Subject {
    /// Index of the proxy and of the server in it.
    pub(crate) at: (usize, usize),
    pub(crate) server: Arc<Server>,
    pub(crate) script: Arc<Script>,
    pub(crate) limits: Limits,
    pub(crate) bufsize: usize,
    /// The proxy, in `mode smtp`: it wants to know what servers offer.
    pub(crate) mail: Option<Arc<Proxy>>,
}

impl Subject {
    /// The server has answered EHLO with that. A check that goes elsewhere has heard somebody else.
    fn learn(&self, said: Option<Vec<u8>>, secured: bool) {
        let said = said.unwrap_or_default();
        if let Ok(Some(reply)) = Reply::first(&said)
            && reply.code == 250
        {
            self.learn_offer(Capabilities::of(&reply), secured);
        }
    }

    /// `secured`: what it has answered within TLS. In clear text, where sessions are not, it may hide how to log in.
    fn learn_offer(&self, mut offer: Capabilities, secured: bool) {
        if !secured && self.server.tls.is_some() {
            if self.server.offer.get().is_some() {
                return;
            }
            offer.auth = Mechanisms::all();
        }
        let place = self.server.place_now();
        let own = place.check_port.is_none() && place.check_addr.is_none();
        let back = self.mail.as_ref().and_then(|proxy| proxy.back.as_ref());
        if let Some(back) = back.filter(|_| own) {
            back.learn_offer(self.at.1, offer);
        }
    }
}

/// The times a check may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    inter: Duration,
    connect: Option<Duration>,
    check: Option<Duration>,
    /// How long the dialogue may take where `timeout check` does not say it: `inter`, as in HAProxy, and longer for a
    /// server that takes its time to greet.
    dialogue: Duration,
}

impl Limits {
    pub(crate) fn new(server: &model::Server, back: &Back) -> Self {
        let set = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
        Self {
            inter: server.inter,
            connect: set(back.timeout_connect),
            check: set(back.timeout_check),
            dialogue: if back.check.expects_greeting() {
                server.inter.max(GREETING)
            } else {
                server.inter
            },
        }
    }

    /// A check has passed, and took so long: from here on it is known what is slow.
    fn learn(&mut self, took: Duration) {
        self.dialogue = self.inter.max(took * 2);
    }

    /// Until when a connection must stand: without `timeout check` the whole check has `inter`.
    fn for_connect(self, begun: Instant, now: Instant) -> Instant {
        match self.check {
            Some(_) => {
                now + self
                    .connect
                    .map_or(self.inter, |connect| connect.min(self.inter))
            }
            None => begun + self.inter,
        }
    }

    /// Until when the script must be through after a connection stands.
    fn for_script(self, begun: Instant, now: Instant) -> Instant {
        self.check
            .map_or(begun + self.dialogue, |check| now + check)
    }
}

/// Checks a server for as long as the process runs.
pub(crate) async fn run(
    controller: Rc<RefCell<Controller>>,
    mut subject: Subject,
    first: Duration,
) {
    let wake = controller.borrow().wake_of_check(subject.at);
    let mut pause = first;
    loop {
        // A check that live traffic asked for does not wait for its turn.
        let _ = timeout(pause, wake.notified()).await;
        if !controller.borrow_mut().check_begins(subject.at) {
            // Paused: in maintenance. Whoever ends the pause wakes us.
            pause = subject.server.conf.inter;
            continue;
        }
        let begun = Instant::now();
        let outcome = once(&subject, begun).await;
        let took = begun.elapsed();
        if outcome.status.verdict() == Verdict::Passed {
            subject.limits.learn(took);
        }
        pause = controller
            .borrow_mut()
            .check_ended(subject.at, outcome, took);
    }
}

/// One check, from connect to verdict.
async fn once(subject: &Subject, begun: Instant) -> Outcome {
    if let Some(deep) = &subject.script.deep {
        return deep::once(subject, deep, begun).await;
    }
    let mut run = Run::new(&subject.script, subject.bufsize);
    let mut stream: Option<Call> = None;
    let mut deadline = begun + subject.limits.inter;
    let mut buffer = vec![0; 4096];
    // What the server has said since EHLO.
    let mut hello: Option<Vec<u8>> = None;
    let mut secured = false;
    let mut action = run.begin();
    loop {
        action = match action {
            Action::Connect(rule) => {
                drop(stream.take());
                deadline = subject.limits.for_connect(begun, Instant::now());
                let event = match timeout_at(deadline, connect(subject, rule.as_ref())).await {
                    Ok(Ok(mut connected)) => {
                        let event = secure(subject, rule.as_ref(), &mut connected, deadline).await;
                        secured =
                            wants_tls(&subject.server.conf, &subject.server.place(), rule.as_ref());
                        stream = Some(connected);
                        deadline = subject.limits.for_script(begun, Instant::now());
                        event
                    }
                    Ok(Err(error)) => Event::ConnectFailed(words(&error)),
                    Err(_) => Event::TimedOut,
                };
                run.on(event)
            }
            Action::Send(data) => {
                subject.learn(hello.take(), secured);
                if data
                    .get(..4)
                    .is_some_and(|word| word.eq_ignore_ascii_case(b"EHLO"))
                {
                    hello = Some(Vec::new());
                }
                let event = match &mut stream {
                    None => Event::Failed("not connected".into()),
                    Some(stream) => match timeout_at(deadline, stream.write_all(&data)).await {
                        Ok(Ok(())) => Event::Sent,
                        Ok(Err(error)) => Event::Failed(words(&error)),
                        Err(_) => Event::TimedOut,
                    },
                };
                run.on(event)
            }
            Action::Receive => {
                let event = match &mut stream {
                    None => Event::Failed("not connected".into()),
                    Some(stream) => match timeout_at(deadline, stream.read(&mut buffer)).await {
                        Ok(Ok(0)) => Event::Eof,
                        Ok(Ok(read)) => {
                            hello
                                .iter_mut()
                                .for_each(|said| said.extend_from_slice(&buffer[..read]));
                            Event::Received(&buffer[..read])
                        }
                        Ok(Err(error)) => Event::Failed(words(&error)),
                        Err(_) => Event::TimedOut,
                    },
                };
                run.on(event)
            }
            Action::Finish(outcome) => {
                subject.learn(hello.take(), secured);
                if let Some(stream) = stream {
                    tokio::task::spawn_local(part(stream, run.polite_end()));
                }
                return outcome;
            }
        };
    }
}

/// Leaves as a mail client would: QUIT where the dialogue allows it, then reads to the end, so that
/// closing is a FIN and not a reset. The verdict stands already; nobody waits for this.
pub(crate) async fn part(mut stream: Call, farewell: Option<&'static [u8]>) {
    let leave = async {
        if let Some(farewell) = farewell {
            stream.write_all(farewell).await?;
        } else {
            stream.shutdown().await?;
        }
        let mut sink = [0; 512];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // Late or broken: the server has heard enough either way.
    let _ = timeout(FAREWELL, leave).await;
}

/// TLS on a connection that stands, where the rule or the server's line asks for it.
async fn secure(
    subject: &Subject,
    rule: Option<&Connect>,
    stream: &mut Call,
    deadline: Instant,
) -> Event<'static> {
    let place = subject.server.place();
    let wanted = wants_tls(&subject.server.conf, &place, rule);
    if !wanted {
        return Event::Connected;
    }
    let Some(connector) = &subject.server.check_tls else {
        return Event::HandshakeFailed("no TLS in the server's line".into());
    };
    let asked = Asked {
        name: rule.and_then(|rule| rule.sni.as_deref()),
        alpn: rule.map_or(&[], |rule| &rule.alpn),
    };
    let shake = async {
        let tls = connector.connect(&place.address, None, &asked)?;
        stream.upgrade(tls).await
    };
    match timeout_at(deadline, shake).await {
        Ok(Ok(())) => Event::Secured,
        Ok(Err(failure)) => Event::HandshakeFailed(failure.to_string()),
        Err(_) => Event::HandshakeTimedOut,
    }
}

/// Connects where the rule, the server's `addr`/`port` or its address says, and sends a PROXY header where
/// one is expected.
async fn connect(subject: &Subject, rule: Option<&Connect>) -> io::Result<Call> {
    let server = &subject.server.conf;
    let place = subject.server.place();
    let mut stream = Call::server(&target(&place, rule), server.source).await?;
    if let Some(kind) = header_kind(server, &place, rule) {
        let header = header::of_check(kind, stream.addresses().as_ref());
        stream.write_all(&header).await?;
    }
    Ok(stream)
}

/// The PROXY header a check's connection begins with. An explicit connect without `default` asks for one itself,
/// as in HAProxy; and where it goes to the server's own port, it gets what sessions send there, or the server would
/// take the check for garbage.
fn header_kind(
    server: &model::Server,
    place: &Place,
    rule: Option<&Connect>,
) -> Option<ProxyHeader> {
    match rule {
        Some(rule) if !rule.default && rule.send_proxy => {
            server.send_proxy.or(Some(ProxyHeader::V1))
        }
        Some(rule) if !rule.default => server
            .check_send_proxy
            .filter(|_| !goes_elsewhere(rule, place)),
        _ => server.check_send_proxy,
    }
}

/// Whether a check's connection begins with TLS: by the same reasoning.
fn wants_tls(server: &model::Server, place: &Place, rule: Option<&Connect>) -> bool {
    match rule {
        Some(rule) if !rule.default => {
            rule.ssl || (server.check_ssl && !goes_elsewhere(rule, place))
        }
        _ => server.check_ssl,
    }
}

/// Whether an explicit connect goes where sessions do not go.
fn goes_elsewhere(rule: &Connect, place: &Place) -> bool {
    let own_port = match &place.address {
        ServerAddress::Ip(address) => Some(address.port()),
        _ => None,
    };
    rule.addr.is_some() || rule.port.is_some_and(|port| Some(port) != own_port)
}

/// Where a check goes.
fn target(place: &Place, rule: Option<&Connect>) -> ServerAddress {
    let rule_port = rule.and_then(|rule| rule.port);
    let rule_addr = rule.and_then(|rule| rule.addr);
    let (own_addr, own_port) = match &place.address {
        ServerAddress::Ip(address) => (Some(address.ip()), address.port()),
        ServerAddress::IpRelative(ip, _) => (Some(*ip), 0),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => (None, 0),
    };
    let ip = rule_addr.or(place.check_addr).or(own_addr);
    match ip {
        Some(ip) => {
            let port = rule_port.or(place.check_port).unwrap_or(own_port);
            ServerAddress::Ip(SocketAddr::new(ip, port))
        }
        None => place.address.clone(),
    }
}

/// An error as HAProxy words it: `ECONNREFUSED returned by OS (Connection refused)`.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let name = error.raw_os_error().and_then(|code| {
        NAMES
            .iter()
            .find(|(errno, _)| errno.raw_os_error() == code)
            .map(|(_, name)| *name)
    });
    match name {
        Some(name) => format!("{name} returned by OS ({text})"),
        None => text.to_owned(),
    }
}

/// Errors a check can meet, by name.
const NAMES: &[(rustix::io::Errno, &str)] = &[
    (rustix::io::Errno::CONNREFUSED, "ECONNREFUSED"),
    (rustix::io::Errno::CONNRESET, "ECONNRESET"),
    (rustix::io::Errno::CONNABORTED, "ECONNABORTED"),
    (rustix::io::Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (rustix::io::Errno::NETUNREACH, "ENETUNREACH"),
    (rustix::io::Errno::NETDOWN, "ENETDOWN"),
    (rustix::io::Errno::TIMEDOUT, "ETIMEDOUT"),
    (rustix::io::Errno::PIPE, "EPIPE"),
    (rustix::io::Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (rustix::io::Errno::ACCESS, "EACCES"),
    (rustix::io::Errno::PERM, "EPERM"),
    (rustix::io::Errno::NOENT, "ENOENT"),
    (rustix::io::Errno::MFILE, "EMFILE"),
    (rustix::io::Errno::NFILE, "ENFILE"),
];

impl Call {
    /// The connection's own addresses, as a check's PROXY v1 header tells them.
    fn addresses(&self) -> Option<Addresses> {
        let (source, destination) = self.ends()?;
        Some(Addresses {
            source,
            destination,
        })
    }
}
