//! The validated configuration: what the engine is built from. Nobody writes it after the build.
//!
//! Every value is resolved here: defaults are applied, names point at things that exist, times are
//! [`Duration`]s (`None` is "not set", which HAProxy reads as infinite), sizes are counts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where something was written: `file:line`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file as it was named on the command line.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Model {
    /// The `global` section.
    pub global: Global,
    /// Frontends, backends and listens in the order they are written.
    pub proxies: Vec<Proxy>,
}

/// The `global` section (CFG 3).
#[derive(Debug, Clone, Default)]
pub struct Global {
    /// `maxconn`: process-wide limit of client connections.
    pub maxconn: Option<u32>,
    /// `nbthread`; `None`: one per core.
    pub nbthread: Option<u16>,
    /// `user` or `uid`.
    pub user: Option<Owner>,
    /// `group` or `gid`.
    pub group: Option<Owner>,
    /// `chroot`.
    pub chroot: Option<PathBuf>,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `daemon`.
    pub daemon: bool,
    /// `quiet`.
    pub quiet: bool,
    /// `zero-warning`.
    pub zero_warning: bool,
    /// `stats socket`, each.
    pub stats_sockets: Vec<StatsSocket>,
    /// `stats timeout`; HAProxy's default is 10 s.
    pub stats_timeout: Option<Duration>,
    /// `stats maxconn`; HAProxy's default is 10.
    pub stats_maxconn: Option<u32>,
    /// `log` lines; a proxy with `log global` uses them.
    pub log: Vec<LogTarget>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// `log-send-hostname [name]`: the host name put into syslog headers.
    pub log_send_hostname: Option<String>,
    /// `node`.
    pub node: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `spread-checks`, 0 to 50 per cent.
    pub spread_checks: u8,
    /// `max-spread-checks`.
    pub max_spread_checks: Option<Duration>,
    /// `hard-stop-after`: bounds a soft stop.
    pub hard_stop_after: Option<Duration>,
    /// `grace`: how long listeners stay open after a soft stop was asked for.
    pub grace: Option<Duration>,
    /// `ulimit-n`.
    pub ulimit_n: Option<u32>,
    /// `maxconnrate`, connections per second.
    pub maxconnrate: Option<u32>,
    /// `maxsessrate`, sessions per second.
    pub maxsessrate: Option<u32>,
    /// `unix-bind`: defaults for unix sockets of `bind` lines.
    pub unix_bind: UnixPermissions,
    /// `tune.bufsize` in bytes: bounds what a check reads. HAProxy's default is 16384.
    pub bufsize: usize,
    /// `nosplice`.
    pub nosplice: bool,
    /// `noreuseport`.
    pub noreuseport: bool,
}

/// A user or group: by name (resolved at start) or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// `user`, `group`.
    Name(String),
    /// `uid`, `gid`.
    Id(u32),
}

/// `stats socket <address> [parameters]` (CFG 3.1).
#[derive(Debug, Clone)]
pub struct StatsSocket {
    /// Where it is written.
    pub at: Location,
    /// Where it listens.
    pub address: BindAddress,
    /// `mode`, `user`, `group` of a unix socket.
    pub permissions: UnixPermissions,
    /// `level`; HAProxy's default is operator.
    pub level: Level,
    /// `expose-fd listeners`.
    pub expose_fd: bool,
}

/// What a connection to the stats socket may do (MGT 9.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Look at most things.
    User,
    /// Look at everything, change counters and tables.
    #[default]
    Operator,
    /// Change everything.
    Admin,
}

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

/// `log <target> [len N] [format F] <facility> [max level [min level]]` (CFG 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// Where it is written.
    pub at: Location,
    /// Where lines go.
    pub to: LogDestination,
    /// `len`: bytes a line may have, 80 to 65535; default 1024.
    pub len: usize,
    /// `format`.
    pub format: LogFormat,
    /// Syslog facility, 0 to 23.
    pub facility: u8,
    /// Lines above this level (numerically) are not sent; default 7 (debug).
    pub max_level: u8,
    /// Lines below this level are sent as if they had it; default 0 (emerg).
    pub min_level: u8,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDestination {
    /// UDP.
    Udp(SocketAddr),
    /// A datagram unix socket (`/dev/log`).
    Unix(PathBuf),
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
    /// `fd@N`.
    Fd(i32),
}

/// The framing of a log line (CFG 4.2, `log ... format`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// RFC 3164 without host name: the default.
    #[default]
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// `<PRI>` and the text.
    Priority,
    /// `<PRI>` level only, as systemd takes it.
    Short,
    /// Time and text.
    Timed,
    /// ISO time and text.
    Iso,
    /// The text alone.
    Raw,
}

/// What a proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// `frontend`: takes connections.
    Frontend,
    /// `backend`: has servers.
    Backend,
    /// `listen`: both.
    Listen,
}

/// A `frontend`, `backend` or `listen` section with its defaults applied.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where the section begins.
    pub at: Location,
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ProxyKind,
    /// `iid` of the statistics: from `id`, else counted from 2.
    pub id: u32,
    /// Whether `id` was written.
    pub id_forced: bool,
    /// `disabled`: exists, and neither takes nor is given anything.
    pub disabled: bool,
    /// `description`.
    pub description: Option<String>,
    /// `log` lines, with `log global` resolved. Empty: nothing is logged.
    pub log: Vec<LogTarget>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// What takes connections, in a frontend and a listen.
    pub front: Option<Front>,
    /// What has servers, in a backend and a listen.
    pub back: Option<Back>,
    /// `stick-table` of this section.
    pub stick_table: Option<StickTable>,
}

/// The half of a proxy that takes connections.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// `bind` lines, one entry per address (ports of a range each).
    pub binds: Vec<Bind>,
    /// `default_backend`, an index into [`Model::proxies`]; a listen without one names itself.
    pub default_backend: Option<usize>,
    /// `maxconn`.
    pub maxconn: Option<u32>,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `rate-limit sessions`, per second.
    pub rate_limit: Option<u32>,
    /// `timeout client`: inactivity of the client's side.
    pub timeout_client: Option<Duration>,
    /// `timeout client-fin`: the same after one direction was closed.
    pub timeout_client_fin: Option<Duration>,
    /// `timeout client-hs`: bounds the wait for a PROXY header; default `timeout client`.
    pub timeout_client_hs: Option<Duration>,
    /// `option tcplog`, or the short line.
    pub log_lines: LogLines,
    /// `option dontlognull`.
    pub dontlognull: bool,
    /// `option dontlog-normal`.
    pub dontlog_normal: bool,
    /// `option logasap`.
    pub logasap: bool,
    /// `option log-separate-errors`.
    pub log_separate_errors: bool,
    /// `option clitcpka` (or `tcpka`) and its settings.
    pub keepalive: Option<Keepalive>,
}

/// Which line a session's end is told with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLines {
    /// `Connect from ...` at accept time.
    #[default]
    Connect,
    /// `option tcplog`.
    Tcp,
    /// `option tcplog clf`.
    TcpClf,
}

/// TCP keep-alive settings; `None` leaves the system's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// `*tcpka-cnt`.
    pub count: Option<u32>,
    /// `*tcpka-idle`.
    pub idle: Option<Duration>,
    /// `*tcpka-intvl`.
    pub interval: Option<Duration>,
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
    /// `accept-proxy`.
    pub accept_proxy: bool,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `maxconn`.
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

/// The half of a proxy that has servers.
#[derive(Debug, Clone)]
pub struct Back {
    /// `server` lines in order, `default-server` applied.
    pub servers: Vec<Server>,
    /// `balance`.
    pub balance: Balance,
    /// `timeout connect`.
    pub timeout_connect: Option<Duration>,
    /// `timeout server`.
    pub timeout_server: Option<Duration>,
    /// `timeout server-fin`.
    pub timeout_server_fin: Option<Duration>,
    /// `timeout queue`; `None`: `timeout connect`.
    pub timeout_queue: Option<Duration>,
    /// `timeout tunnel`.
    pub timeout_tunnel: Option<Duration>,
    /// `timeout check`.
    pub timeout_check: Option<Duration>,
    /// `retries` as written; HAProxy's default is 3.
    pub retries: Option<u32>,
    /// `option redispatch [n]` as written; `Some(0)` is `no option redispatch`.
    pub redispatch: Option<i32>,
    /// `option allbackups`.
    pub allbackups: bool,
    /// `option persist`.
    pub persist: bool,
    /// `option log-health-checks`.
    pub log_health_checks: bool,
    /// `option srvtcpka` (or `tcpka`) and its settings.
    pub keepalive: Option<Keepalive>,
    /// What `check` on a server runs.
    pub check: Arc<wire::check::Script>,
    /// `stick on|match|store-request`, in order.
    pub stick: Vec<StickRule>,
    /// `fullconn`.
    pub fullconn: Option<u32>,
    /// `source <address>`.
    pub source: Option<SocketAddr>,
}

/// `balance` (CFG 4.2). HAProxy 3.4's default is `random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// `roundrobin`.
    RoundRobin,
    /// `static-rr`.
    StaticRoundRobin,
    /// `leastconn`.
    LeastConn,
    /// `random(<draws>)`, default 2 draws.
    Random(u32),
    /// `source`.
    Source,
    /// `first`.
    First,
}

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
    /// `send-proxy` / `send-proxy-v2`.
    pub send_proxy: Option<ProxyVersion>,
    /// The header checks send: follows `send_proxy` unless `port` or `addr` is set, and `check-send-proxy`.
    pub check_send_proxy: Option<ProxyVersion>,
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

/// The PROXY protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
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

/// `stick-table type ... size ... [expire ...] [nopurge] [store ...]` (CFG 11).
#[derive(Debug, Clone)]
pub struct StickTable {
    /// What a key is.
    pub key: KeyType,
    /// Entries it may hold (`10k` is 10240).
    pub size: u64,
    /// Time after the last touch at which an entry goes; `None`: only evicted.
    pub expire: Option<Duration>,
    /// `nopurge`: when full, new entries are refused instead of old ones evicted.
    pub nopurge: bool,
    /// `srvkey addr`: servers are remembered by address instead of by name.
    pub srvkey_addr: bool,
    /// Declared `store` types, in the order HAProxy prints them.
    pub store: Vec<StoreType>,
}

/// The type of a stick table's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `ip`, `ipv4`.
    Ipv4,
    /// `ipv6`.
    Ipv6,
    /// `integer`.
    Integer,
    /// `string len n`: bytes kept, default 32.
    String(usize),
    /// `binary len n`: bytes kept, default 32.
    Binary(usize),
}

/// A data type of a stick table's entries (CFG 11.1), counters and rates alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreType {
    /// HAProxy's name: `server_id`, `gpc0`, `conn_rate` ...
    pub name: &'static str,
    /// The period of a rate.
    pub period: Option<Duration>,
}

/// `stick on|match|store-request <expression> [table <name>]` (CFG 4.2).
#[derive(Debug, Clone)]
pub struct StickRule {
    /// Look a server up.
    pub match_: bool,
    /// Remember the server used.
    pub store: bool,
    /// What the key is made of.
    pub expression: Expression,
    /// The table, an index into [`Model::proxies`].
    pub table: usize,
}

/// A sample fetch with its converters: `src,ipmask(24)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// What is read.
    pub fetch: Fetch,
    /// What is made of it, in order.
    pub converters: Vec<Converter>,
}

/// Sample fetches of the connection (CFG 7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// `src`: the client's address.
    Src,
    /// `src_port`.
    SrcPort,
    /// `dst`: the address the client connected to.
    Dst,
    /// `dst_port`.
    DstPort,
    /// `fe_id`.
    FeId,
    /// `fe_name`.
    FeName,
    /// `int(n)`.
    Int(i64),
    /// `str(s)`.
    Str(String),
}

/// Converters (CFG 7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converter {
    /// `ipmask(v4[,v6])`, prefix lengths.
    IpMask(u8, u8),
    /// `lower`.
    Lower,
    /// `upper`.
    Upper,
}
