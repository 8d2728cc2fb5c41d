//! Making listening sockets (CFG 4.2 `bind`, 5.1).

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::model::{self, Bind, BindAddress, Location, Owner, StatsSocket, UnixPermissions, V6};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::Listener;
use crate::topology::Topology;

/// A listener that could not be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "Binding [{at}] for frontend {frontend}: protocol {protocol}: cannot bind {what} ({reason}) for [{address}]."
)]
pub struct BindError {
    at: Box<str>,
    frontend: Box<str>,
    protocol: &'static str,
    what: &'static str,
    reason: Box<str>,
    address: Box<str>,
    /// Whether another process holds the address: trying again may succeed.
    pub in_use: bool,
}

/// Makes the sockets of all frontends: one set per worker.
pub(crate) fn all(topology: &Topology, workers: usize) -> Result<Vec<Vec<Listener>>, BindError> {
    let mut sets: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    let reuse_port = !topology.model.global.noreuseport;
    for proxy in &topology.proxies {
        let conf = proxy.conf();
        // Pages are served elsewhere.
        let relays = !conf.disabled && conf.pages.is_none();
        let Some(front) = conf.front.as_ref().filter(|_| relays) else {
            continue;
        };
        for (index, bind) in front.binds.iter().enumerate() {
            let backlog = bind
                .backlog
                .or(front.backlog)
                .or(front.maxconn)
                .unwrap_or(4096);
            let sockets = sockets(bind, backlog, workers, reuse_port)
                .map_err(|error| explain(proxy.name(), &bind.at, &bind.address, &error))?;
            for (set, socket) in sets.iter_mut().zip(sockets) {
                set.push(Listener {
                    proxy: Arc::clone(proxy),
                    bind: index,
                    socket,
                });
            }
        }
    }
    Ok(sets)
}

/// Makes the sockets of a frontend that serves pages: one for each address.
///
/// # Errors
/// The first address that cannot be bound.
pub fn pages(conf: &model::Proxy) -> Result<Vec<(usize, OwnedFd)>, BindError> {
    let binds = conf.front.iter().flat_map(|front| &front.binds);
    let made = binds.enumerate().map(|(place, bind)| {
        let made = sockets(bind, bind.backlog.unwrap_or(1024), 1, true);
        let made = made.map(|made| made.into_iter().map(move |socket| (place, socket)));
        made.map_err(|error| explain(&conf.name, &bind.at, &bind.address, &error))
    });
    Ok(made
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// Makes the socket of a `stats socket` line.
///
/// # Errors
/// It cannot be bound.
pub fn stats(conf: &StatsSocket) -> Result<OwnedFd, BindError> {
    let socket = match &conf.address {
        BindAddress::Ip(address) => control(*address),
        BindAddress::Unix(path) => unix(path, &conf.permissions, STATS_BACKLOG),
        BindAddress::Abstract(name) => abstract_unix(name, STATS_BACKLOG),
        BindAddress::Fd(number) => inherited(*number, STATS_BACKLOG),
    };
    socket.map_err(|error| explain("GLOBAL", &conf.at, &conf.address, &error))
}

const STATS_BACKLOG: i32 = 128;

/// A TCP socket of the control thread; it shares its address with the process it takes over from.
fn control(address: SocketAddr) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(STATS_BACKLOG)?;
    Ok(socket.into())
}

fn explain(frontend: &str, at: &Location, address: &BindAddress, error: &io::Error) -> BindError {
    let (protocol, what, address) = match address {
        BindAddress::Ip(address) => {
            let protocol = if address.is_ipv4() { "tcpv4" } else { "tcpv6" };
            (protocol, "socket", address.to_string())
        }
        BindAddress::Unix(path) => ("unix_stream", "UNIX socket", path.display().to_string()),
        BindAddress::Abstract(name) => (
            "unix_stream",
            "UNIX socket",
            format!("abns@{}", String::from_utf8_lossy(name)),
        ),
        BindAddress::Fd(fd) => ("tcpv4", "socket", format!("fd@{fd}")),
    };
    BindError {
        at: at.to_string().into(),
        frontend: frontend.into(),
        protocol,
        what,
        reason: reason(error).into(),
        address: address.into(),
        in_use: error.kind() == io::ErrorKind::AddrInUse,
    }
}

/// The system's words without Rust's ` (os error N)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// One socket per worker; shared ones are duplicates of the same.
fn sockets(
    bind: &Bind,
    backlog: u32,
    workers: usize,
    reuse_port: bool,
) -> io::Result<Vec<OwnedFd>> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let shared = match &bind.address {
        BindAddress::Ip(address) if reuse_port => {
            return (0..workers)
                .map(|_| tcp(bind, *address, backlog, true))
                .collect();
        }
        BindAddress::Ip(address) => tcp(bind, *address, backlog, false)?,
        BindAddress::Unix(path) => unix(path, &bind.permissions, backlog)?,
        BindAddress::Abstract(name) => abstract_unix(name, backlog)?,
        BindAddress::Fd(number) => inherited(*number, backlog)?,
    };
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(shared.try_clone()?);
    }
    sockets.push(shared);
    Ok(sockets)
}

fn tcp(conf: &Bind, address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<OwnedFd> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(conf.v6 != Some(V6::Both))?;
    }
    // Accepted sockets inherit this: one system call less per session.
    socket.set_tcp_nodelay(true)?;
    if let Some(interface) = &conf.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if conf.transparent {
        match address {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
        }
    }
    if let Some(mss) = conf.mss {
        socket.set_tcp_mss(mss)?;
    }
    if let Some(limit) = conf.tcp_ut {
        socket.set_tcp_user_timeout(Some(limit))?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A unix socket that nobody can connect to before its owner and mode are right: it is made under
/// another name and renamed when it is ready. A socket of that name from an earlier run is replaced.
fn unix(path: &Path, permissions: &UnixPermissions, backlog: i32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}.tmp", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _ = fs::remove_file(&hidden);
    bind(&socket, &SocketAddrUnix::new(&hidden)?)?;
    let ready = || -> io::Result<()> {
        if let Some(mode) = permissions.mode {
            fs::set_permissions(&hidden, fs::Permissions::from_mode(mode))?;
        }
        let (user, group) = (
            user_id(permissions.user.as_ref())?,
            group_id(permissions.group.as_ref())?,
        );
        if user.is_some() || group.is_some() {
            std::os::unix::fs::chown(&hidden, user, group)?;
        }
        listen(&socket, backlog)?;
        fs::rename(&hidden, path)
    };
    ready().inspect_err(|_| drop(fs::remove_file(&hidden)))?;
    Ok(socket)
}

/// An abstract unix socket (`abns@`).
fn abstract_unix(name: &[u8], backlog: i32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// A socket that was open when the process started (`fd@N`).
///
/// Reached through `/proc/self/fd`, pidfd_getfd(2) of ourselves: a number cannot be turned into an owned
/// descriptor without `unsafe`, and a duplicate serves as well.
fn inherited(number: i32, backlog: i32) -> io::Result<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let me: Pid = getpid();
    let process = pidfd_open(me, PidfdFlags::empty())?;
    let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    if !sockopt::socket_acceptconn(&socket)? {
        listen(&socket, backlog)?;
    }
    Ok(socket)
}

/// The number of a user, looked up where it was named.
pub fn user_id(owner: Option<&Owner>) -> io::Result<Option<u32>> {
    let unknown =
        |name: &str| io::Error::new(io::ErrorKind::NotFound, format!("unknown user '{name}'"));
    match owner {
        None => Ok(None),
        Some(Owner::Id(id)) => Ok(Some(*id)),
        Some(Owner::Name(name)) => {
            let user = nix::unistd::User::from_name(name)?.ok_or_else(|| unknown(name))?;
            Ok(Some(user.uid.as_raw()))
        }
    }
}

/// The number of a group, looked up where it was named.
pub fn group_id(owner: Option<&Owner>) -> io::Result<Option<u32>> {
    let unknown =
        |name: &str| io::Error::new(io::ErrorKind::NotFound, format!("unknown group '{name}'"));
    match owner {
        None => Ok(None),
        Some(Owner::Id(id)) => Ok(Some(*id)),
        Some(Owner::Name(name)) => {
            let group = nix::unistd::Group::from_name(name)?.ok_or_else(|| unknown(name))?;
            Ok(Some(group.gid.as_raw()))
        }
    }
}
