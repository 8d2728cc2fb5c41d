//! Health check scripts: `option tcp-check` rules and `option smtpchk`, without I/O.
//!
//! A [`Script`] is what the configuration declares, shared by every server of a backend. A
//! [`Run`] walks it for one server: it says what to do next, and is told what happened.

mod deep;
mod hello;
mod run;
mod smtp;
mod texts;

use std::net::IpAddr;

pub use deep::{Deep, Flaw};
pub use run::{Action, Event, Run};
pub use texts::Verdict;

/// The rules of a backend's health check, in order (haproxy-compat: `tcp-check`, CFG 4.2).
///
/// An implicit `connect` is represented by the absence of a leading [`Rule::Connect`].
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What made it: decides the words used in `info` texts.
    pub kind: Kind,
    /// The declared rules, without comments of their own.
    pub rules: Vec<Rule>,
    /// `option smtpchk-deep`: a visit in place of rules.
    pub deep: Option<Deep>,
}

/// Which option a [`Script`] comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// No check option at all: the check is a bare connection (L4OK / L4CON).
    #[default]
    Connect,
    /// `option tcp-check`.
    TcpCheck,
    /// `option smtpchk`: the rules are built by [`Script::smtp`].
    Smtp,
    /// `option smtpchk-deep`.
    Deep,
}

/// One `tcp-check` line.
#[derive(Debug, Clone)]
pub enum Rule {
    /// `tcp-check connect ...`
    Connect(Connect),
    /// `tcp-check send ...` and `send-binary`.
    Send(Send),
    /// `tcp-check expect ...`
    Expect(Expect),
}

/// `tcp-check connect [default] [port p] [addr ip] [send-proxy] [linger] [comment m]`.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// `default`: use the server's own settings (PROXY header, port).
    pub default: bool,
    /// `port <n>`.
    pub port: Option<u16>,
    /// `addr <ip>`.
    pub addr: Option<IpAddr>,
    /// `send-proxy`.
    pub send_proxy: bool,
    /// `ssl`: TLS as the server's line says.
    pub ssl: bool,
    /// `sni <name>`: the name to ask for.
    pub sni: Option<String>,
    /// `alpn`: protocols within TLS.
    pub alpn: Vec<String>,
    /// `linger`: end with FIN instead of RST.
    pub linger: bool,
    /// `comment <text>`, or the `tcp-check comment` line before it.
    pub comment: Option<String>,
}

/// `tcp-check send <data>` / `send-binary <hex>`.
#[derive(Debug, Clone)]
pub struct Send {
    /// The bytes to send, escapes already resolved.
    pub data: Vec<u8>,
    /// `comment <text>`.
    pub comment: Option<String>,
}

/// `tcp-check expect ...`.
#[derive(Debug, Clone)]
pub struct Expect {
    /// What to look for.
    pub pattern: Pattern,
    /// `!`: the pattern must not appear.
    pub negate: bool,
    /// `min-recv <n>`; `None` is HAProxy's -1: wait until something decides.
    pub min_recv: Option<usize>,
    /// `ok-status`, default L7OK.
    pub ok_status: Status,
    /// `error-status`, default L7RSP.
    pub error_status: Status,
    /// `tout-status`, default L7TOUT.
    pub tout_status: Status,
    /// `on-success <text>` (literal text only).
    pub on_success: Option<String>,
    /// `on-error <text>` (literal text only).
    pub on_error: Option<String>,
    /// `comment <text>`.
    pub comment: Option<String>,
}

/// What a [`Expect`] looks for in what the server has sent since the last send or connect.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// `string`: a substring, anywhere.
    String(Vec<u8>),
    /// `rstring`: a regular expression, searched.
    Regex(regex::bytes::Regex),
    /// `binary`: bytes given in hexadecimal, anywhere.
    Binary(Vec<u8>),
    /// `rbinary`: a regular expression over the upper case hexadecimal dump.
    RegexBinary(regex::bytes::Regex),
}

/// The result of a check, as HAProxy names it (MGT 9.1, `check_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Never checked.
    Unknown = 0,
    /// Check is enabled and has not run yet.
    Initializing = 1,
    /// `CHECKED`: no change.
    Checked = 3,
    /// `HANA`: health analysis of live traffic.
    Hana = 4,
    /// `SOCKERR`.
    SocketError = 5,
    /// `L4OK`.
    L4Ok = 6,
    /// `L4TOUT`.
    L4Timeout = 7,
    /// `L4CON`.
    L4Con = 8,
    /// `L6OK`.
    L6Ok = 9,
    /// `L6TOUT`.
    L6Timeout = 10,
    /// `L6RSP`.
    L6Rsp = 11,
    /// `L7TOUT`.
    L7Timeout = 12,
    /// `L7RSP`.
    L7Rsp = 13,
    /// `L7OK`.
    L7Ok = 15,
    /// `L7OKC`.
    L7Okc = 16,
    /// `L7STS`.
    L7Sts = 17,
    /// `PROCERR`.
    ProcErr = 18,
    /// `PROCTOUT`.
    ProcTimeout = 19,
    /// `PROCOK`.
    ProcOk = 20,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status; pass or fail follows from it.
    pub status: Status,
    /// The reply code (`221`), where the check read one.
    pub code: Option<u16>,
    /// The text HAProxy shows as `info` and `last_chk`; empty where it has none.
    pub info: String,
    /// It works, and is not well.
    pub flaw: Option<Flaw>,
}
