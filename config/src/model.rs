//! The validated configuration: what the engine is built from. Nobody writes it after the build.
//!
//! Every value is resolved here: defaults are applied, names point at things that exist, times are
//! [`Duration`]s (`None` is "not set", which HAProxy reads as infinite), sizes are counts.

mod alerts;
mod bind;
mod log;
mod pages;
mod rules;
mod server;
mod smtp;
mod stick;
mod tls;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use alerts::{Alerts, EmailAlert, Host, Login, Mailer, Mailers, Secrecy, Secret, Url, Webhook};
pub use bind::{Bind, BindAddress, UnixPermissions, V6};
pub use log::{LogDestination, LogFormat, LogLines, LogTarget};
pub use pages::{PageAction, PageRule, Pages, RedirectTo, StatsPage};
pub use rules::{Switch, TcpRequest, TcpRule};
pub use server::{Agent, OnError, ProxyHeader, ProxyOptions, Server, ServerAddress};
pub use smtp::{BareLf, SmtpAuth, SmtpBack, SmtpFront, SmtpLimits, SmtpTuning};
pub use stick::{Converter, Expression, Fetch, KeyType, StickRule, StickTable, StoreType};
pub use tls::{
    Authorities, BindTls, ClientVerify, Group, ServerTls, Sni, Suite, TlsRules, TlsStart,
    TlsVersion,
};
pub use users::{User, UserList};

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
    /// `userlist` sections.
    pub userlists: Vec<UserList>,
    /// `alerts` sections.
    pub alerts: Vec<Alerts>,
    /// `mailers` sections.
    pub mailers: Vec<Mailers>,
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
    /// `event-log`.
    pub event_log: Option<PathBuf>,
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
    /// `maxsslconn`.
    pub maxsslconn: Option<u32>,
    /// `maxsslrate`, TLS connections per second.
    pub maxsslrate: Option<u32>,
    /// `unix-bind`: defaults for unix sockets of `bind` lines.
    pub unix_bind: UnixPermissions,
    /// `tune.bufsize` in bytes: bounds what a check reads. HAProxy's default is 16384.
    pub bufsize: usize,
    /// `nosplice`.
    pub nosplice: bool,
    /// `noreuseport`.
    pub noreuseport: bool,
    /// `tune.smtp.*`.
    pub smtp: SmtpTuning,
    /// What holds for TLS where a line does not say.
    pub tls: GlobalTls,
}

/// `ssl-default-*`, `ca-base`, `crt-base`, `ssl-server-verify`.
#[derive(Debug, Clone, Default)]
pub struct GlobalTls {
    /// `ca-base`: where relative names of `ca-file` and `crl-file` begin.
    pub ca_base: Option<PathBuf>,
    /// `crt-base`: the same for `crt`.
    pub crt_base: Option<PathBuf>,
    /// `ssl-default-bind-*`.
    pub bind: TlsRules,
    /// `ssl-default-bind-options strict-sni`.
    pub strict_sni: bool,
    /// `ssl-default-server-*`.
    pub server: TlsRules,
    /// `ssl-server-verify none`.
    pub no_server_verify: bool,
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
    /// `tcp-request`; of a backend, `content` alone.
    pub tcp_request: TcpRequest,
    /// What it serves itself, in `mode http`.
    pub pages: Option<Pages>,
    /// What has servers, in a backend and a listen.
    pub back: Option<Back>,
    /// `no lint`: advice that is not wanted, by code.
    pub no_lint: Vec<&'static str>,
    /// `email-alert`.
    pub email: Option<EmailAlert>,
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
    /// `use_backend`, in order: who is named by one of them does not come to the default.
    pub switches: Vec<Switch>,
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
    /// `option socket-stats`: each listener is counted for itself.
    pub socket_stats: bool,
    /// `option logasap`.
    pub logasap: bool,
    /// `option log-separate-errors`.
    pub log_separate_errors: bool,
    /// In `mode smtp`: what is told of it.
    pub smtp: Option<SmtpFront>,
    /// `option clitcpka` (or `tcpka`) and its settings.
    pub keepalive: Option<Keepalive>,
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
    /// `timeout greeting`: how long a silent server keeps a session that another could have.
    pub timeout_greeting: Option<Duration>,
    /// `timeout hedge`: a second server is asked beside one that is silent for so long. `None`: as Posthouse
    /// sees fit; zero: never.
    pub timeout_hedge: Option<Duration>,
    /// `timeout hold`: how long a client waits while there is no server at all.
    pub timeout_hold: Option<Duration>,
    /// `maxhold`: how many may wait so at once.
    pub maxhold: u32,
    /// `option failover` as written; without it `retries` and `option redispatch` decide.
    pub failover: Option<Failover>,
    /// `option failback`.
    pub failback: Failback,
    /// `unavailable-reply`: what a client hears for whom there is no server, without the line's end.
    pub unavailable_reply: Option<String>,
    /// What servers greet with (`option greeting`), where they speak first; else inferred from the check.
    pub greeting: Option<Vec<u8>>,
    /// Whether clients speak first and begin TLS, which passes through: `option tls-hello`, or as ports and checks
    /// tell, and then without `greeting`. `None`: nothing is known.
    pub tls_hello: Option<bool>,
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
    /// In `mode smtp`: what is told of it.
    pub smtp: Option<SmtpBack>,
    /// `fullconn`.
    pub fullconn: Option<u32>,
    /// `source <address>`.
    pub source: Option<SocketAddr>,
}

impl Back {
    /// Whether it is known that a server has a session only when it has spoken: greeted, or answered a hello.
    pub fn is_gated(&self) -> bool {
        self.greeting.is_some() || self.tls_hello == Some(true)
    }

    /// Of so many usable servers those that have sessions, as HAProxy counts: of backups the first alone, unless all
    /// may be used.
    pub fn in_use(&self, actives: u32, backups: u32) -> u32 {
        match (actives, self.allbackups) {
            (0, true) => backups,
            (0, false) => backups.min(1),
            (actives, _) => actives,
        }
    }
}

/// `option failover`: how a session goes from one server to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failover {
    /// `no option failover`: HAProxy's way, by `retries` and `option redispatch`.
    Off,
    /// Every server once, at once.
    On {
        /// `time`: no attempt begins later; `None`: [`Failover::TIME`].
        time: Option<Duration>,
        /// `attempts`: no more than so many; `None`: every server once.
        attempts: Option<u32>,
    },
}

impl Failover {
    /// The default of `time`: people wait about so long; mail servers wait five minutes (RFC 5321, 4.5.3.2).
    pub const TIME: Duration = Duration::from_secs(60);
}

/// `option failback`: when a server that was DOWN gets sessions again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failback {
    /// As soon as it is UP: HAProxy's way.
    #[default]
    Now,
    /// When it has been UP for so long.
    After(Duration),
    /// When an operator says `set server <b>/<s> state ready`.
    Manual,
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
