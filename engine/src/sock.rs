//! Small things every socket needs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use config::model::Keepalive;
use rustix::net::{AddressFamily, getsockname, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the runtime watch a descriptor. It leaves again through [`AsyncFd::into_inner`].
///
/// # Errors
/// The system has no room for another watched descriptor.
#[expect(
    deprecated,
    reason = "its replacement is unsafe; an `OwnedFd` or a borrow of one keeps what that asks for"
)]
pub(crate) fn watch<D: AsRawFd>(descriptor: D, interest: Interest) -> io::Result<AsyncFd<D>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// The family of an address.
pub(crate) fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// The address a socket is bound to, where it is one of the network.
pub(crate) fn local_address(socket: impl AsFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(socket).ok()?).ok()
}

/// Switches TCP keep-alive on. What the system refuses stays as it is: a session is worth more.
pub(crate) fn keep_alive(socket: impl AsFd, settings: &Keepalive) {
    let socket = socket.as_fd();
    let _ = sockopt::set_socket_keepalive(socket, true);
    if let Some(count) = settings.count {
        let _ = sockopt::set_tcp_keepcnt(socket, count);
    }
    if let Some(idle) = settings.idle {
        let _ = sockopt::set_tcp_keepidle(socket, idle);
    }
    if let Some(interval) = settings.interval {
        let _ = sockopt::set_tcp_keepintvl(socket, interval);
    }
}

/// Whole milliseconds, as socket options take them.
pub(crate) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
