//! Listening sockets: made before privileges are dropped, then one accept loop per worker and socket.
//!
//! Each worker has a TCP socket of its own for an address (`SO_REUSEPORT`), so the kernel spreads
//! connections and workers share nothing; unix sockets and inherited ones are shared.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};

use crate::clock::Clock;
use crate::frontend::Frontend;
use crate::session::{Ingress, Peer, run, run_mail};
use crate::sock;
use crate::socket::Socket;
use crate::timer;
use crate::topology::Proxy;
use crate::turns;
use crate::worker::Worker;

pub(crate) mod open;

/// A bound socket of one worker.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The frontend or listen.
    pub(crate) proxy: Arc<Proxy>,
    /// Its place among the frontend's binds.
    pub(crate) bind: usize,
    pub(crate) socket: OwnedFd,
}

/// How long accepting pauses when the process is out of descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How long accepting pauses when a rate is at its limit.
const PACE: Duration = Duration::from_millis(5);

/// Connections taken before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// Accepts for as long as the worker listens.
pub(crate) async fn accept_loop(worker: Rc<Worker>, ingress: Rc<Ingress>, socket: Socket) {
    let Some(front) = &ingress.proxy.front else {
        return;
    };
    let socket = Ear(socket);
    let socket = &socket.0;
    loop {
        while !front.has_room_at(ingress.bind) {
            front.room_at(ingress.bind).await;
        }
        while !worker.process.has_room() {
            worker.process.room().await;
        }
        while is_too_fast(&worker, &ingress, front) {
            timer::sleep(PACE).await;
        }
        if poll_fn(|context| socket.poll_readable(context))
            .await
            .is_err()
        {
            return;
        }
        for _ in 0..BATCH {
            if !front.has_room_at(ingress.bind)
                || !worker.process.has_room()
                || is_too_fast(&worker, &ingress, front)
            {
                break;
            }
            match acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((client, peer)) => begin(&worker, &ingress, client, peer),
                Err(Errno::AGAIN) => {
                    socket.is_drained();
                    break;
                }
                // The client has gone while it waited.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(_) => {
                    worker.process.not_accepted.fetch_add(1, Ordering::Relaxed);
                    timer::sleep(BACK_OFF).await;
                    break;
                }
            }
        }
        if socket.state().readable {
            turns::next().await;
        }
    }
}

/// A listening socket. Others may have duplicates of it, so that closing does not take it out of the poller.
struct Ear(Socket);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.unwatch();
    }
}

/// Whether a rate of the process or of the frontend is at its limit.
fn is_too_fast(worker: &Worker, ingress: &Ingress, front: &Frontend) -> bool {
    let now = Clock::get().now();
    worker.process.is_too_fast(ingress.tls.is_some(), now) || front.is_too_fast(now)
}

fn begin(worker: &Rc<Worker>, ingress: &Rc<Ingress>, socket: OwnedFd, peer: Option<SocketAddrAny>) {
    let Some(front) = &ingress.proxy.front else {
        return;
    };
    let now = Clock::get().now();
    worker.process.sessions.enter();
    worker.process.connections.fetch_add(1, Ordering::Relaxed);
    worker.process.connection_rate.count(now);
    if ingress.tls.is_some() {
        worker.process.begins_tls(now);
    }
    front.enter(worker.id, ingress.bind, now);
    let peer = peer
        .and_then(|peer| std::net::SocketAddr::try_from(peer).ok())
        .map_or(Peer::Local, Peer::Ip);
    if let Some(keepalive) = &ingress.front().keepalive {
        sock::keep_alive(&socket, keepalive);
    }
    let (worker, ingress, socket) = (Rc::clone(worker), Rc::clone(ingress), socket.into());
    if ingress.mail.are_there() {
        tokio::task::spawn_local(run_mail(worker, ingress, socket, peer));
    } else {
        tokio::task::spawn_local(run(worker, ingress, socket, peer));
    }
}
