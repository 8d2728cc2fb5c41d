//! Where a proxy listens (CFG 5.1).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{BindTls, Location, Owner};

/// `mode`, `user`/`uid`, `group`/`gid` of a unix socket's file.
#[derive(Debug, Clone, Default)]
pub struct UnixPermissions {
    /// Permission bits, written in octal.
    pub mode: Option<u32>,
    /// Owner.
    pub user: Option<Owner>,
    /// Group.
    pub group: Option<Owner>,
}

/// One listening address with its options (CFG 5.1).
#[derive(Debug, Clone)]
pub struct Bind {
    /// Where it is written.
    pub at: Location,
    /// The address.
    pub address: BindAddress,
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `id`, else counted from 1 in the section.
    pub id: u32,
    /// `defer-accept`: written, and not applied.
    pub defer_accept: bool,
    /// `accept-proxy`.
    pub accept_proxy: bool,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `maxconn`; `None` is no limit of its own.
    pub maxconn: Option<u32>,
    /// `interface`.
    pub interface: Option<String>,
    /// `transparent`.
    pub transparent: bool,
    /// `v4v6` / `v6only`; `None` is the kernel's choice for `::`, and v6 only as in HAProxy's default.
    pub v6: Option<V6>,
    /// `mss`.
    pub mss: Option<u32>,
    /// `tcp-ut`.
    pub tcp_ut: Option<Duration>,
    /// `ssl` and all that belongs to it.
    pub tls: Option<Arc<BindTls>>,
    /// Permissions of a unix socket.
    pub permissions: UnixPermissions,
}

/// `v4v6` or `v6only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum V6 {
    /// One socket for both.
    Both,
    /// IPv6 alone.
    Only,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindAddress {
    /// `[ip]:port`.
    Ip(SocketAddr),
    /// `/path` or `unix@path`.
    Unix(PathBuf),
    /// `abns@name`.
    Abstract(Vec<u8>),
    /// `fd@N`.
    Fd(i32),
}
