//! Log lines: where they go and how they are framed (CFG 4.2 `log`).

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Location;

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
