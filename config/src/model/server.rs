//! `server` lines with `default-server` applied (CFG 5.2).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Location, ServerTls};

/// A `server` line with `default-server` applied (CFG 5.2).
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is written.
    pub at: Location,
    /// Its name.
    pub name: Arc<str>,
    /// `id`, else counted from 1 in the section.
    pub id: u32,
    /// Whether `id` was written.
    pub id_forced: bool,
    /// Where it is.
    pub address: ServerAddress,
    /// The host name it was written with, where it was one.
    pub fqdn: Option<String>,
    /// `check`.
    pub check: bool,
    /// `backup`.
    pub backup: bool,
    /// `disabled`.
    pub disabled: bool,
    /// `inter`, default 2 s.
    pub inter: Duration,
    /// `fastinter`; default `inter`.
    pub fastinter: Option<Duration>,
    /// `downinter`; default `inter`.
    pub downinter: Option<Duration>,
    /// `rise`, default 2.
    pub rise: u32,
    /// `fall`, default 3.
    pub fall: u32,
    /// `port`: where checks go.
    pub check_port: Option<u16>,
    /// `addr`: where checks go.
    pub check_addr: Option<IpAddr>,
    /// `weight`, 0 to 256, default 1.
    pub weight: u32,
    /// `maxconn`; 0 is no limit.
    pub maxconn: u32,
    /// `minconn`; 0 is `maxconn`.
    pub minconn: u32,
    /// `maxqueue`; 0 is no limit.
    pub maxqueue: u32,
    /// `send-proxy`, `send-proxy-v2` and their kin.
    pub send_proxy: Option<ProxyHeader>,
    /// `xclient`: it is told who the client is by XCLIENT.
    pub xclient: bool,
    /// The header checks send: follows `send_proxy` unless `port` or `addr` is set, and `check-send-proxy`.
    pub check_send_proxy: Option<ProxyHeader>,
    /// `on-marked-down shutdown-sessions`.
    pub on_marked_down_shutdown: bool,
    /// `on-marked-up shutdown-backup-sessions`.
    pub on_marked_up_shutdown_backups: bool,
    /// `observe layer4`.
    pub observe_layer4: bool,
    /// `error-limit`, default 10.
    pub error_limit: u32,
    /// `on-error`.
    pub on_error: OnError,
    /// `non-stick`.
    pub non_stick: bool,
    /// `slowstart`.
    pub slowstart: Option<Duration>,
    /// `tcp-ut`.
    pub tcp_ut: Option<Duration>,
    /// `source <address>`.
    pub source: Option<SocketAddr>,
    /// `ssl`: how sessions are encrypted.
    pub tls: Option<Arc<ServerTls>>,
    /// How a check's connection is encrypted, where it is.
    pub check_tls: Option<Arc<ServerTls>>,
    /// Whether it is where a `tcp-check connect` does not say: `check-ssl`, or `ssl` and the check goes where sessions go.
    pub check_ssl: bool,
    /// `agent-check`.
    pub agent: Option<Agent>,
}

/// A program on the server that says how it is (CFG 5.2 `agent-check`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// `agent-port`.
    pub port: u16,
    /// `agent-addr`; the server's own otherwise.
    pub addr: Option<IpAddr>,
    /// `agent-inter`, default 2 s: also how long it may take where there is no `timeout check`.
    pub inter: Duration,
    /// `agent-send`: what it is sent first.
    pub send: String,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// An address and a port.
    Ip(SocketAddr),
    /// An address whose port is the client's destination port plus this.
    IpRelative(IpAddr, i32),
    /// A unix socket.
    Unix(PathBuf),
    /// An abstract unix socket.
    Abstract(Vec<u8>),
}

/// The PROXY header that a server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Text.
    V1,
    /// Binary, with more than addresses.
    V2(ProxyOptions),
}

/// `proxy-v2-options`: what a header of version 2 tells beside addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// `ssl`: TLS with the client; the next four need it.
    pub ssl: bool,
    /// `cert-cn`: the common name of the client's certificate.
    pub common_name: bool,
    /// `cert-key`: the key of the certificate that the client was shown.
    pub key: bool,
    /// `cert-sig`: how that one is signed.
    pub signature: bool,
    /// `ssl-cipher`.
    pub cipher: bool,
    /// `authority`: the name the client asked for.
    pub authority: bool,
    /// `crc32c`: a checksum.
    pub crc32c: bool,
    /// `unique-id`.
    pub unique_id: bool,
}

/// `on-error` (CFG 5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// `fastinter`.
    FastInter,
    /// `fail-check`.
    #[default]
    FailCheck,
    /// `sudden-death`.
    SuddenDeath,
    /// `mark-down`.
    MarkDown,
}
