//! Keywords of proxies that HAProxy knows and Posthouse does not have (yet, or at all), and sections.

use super::{ALL, BACK, FRONT, Keyword};
use crate::draft::Settings;

type Row = Keyword<Settings>;

/// Not yet, and never.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::not_yet("use-server", BACK, "Choose the server by a condition."),
    Row::not_yet("tcp-response", BACK, "Rules on what servers say."),
    Row::not_yet("stick store-response", BACK, "Remember by what the server says."),
    Row::not_yet("force-persist", BACK, "Follow a stick entry to a server that is DOWN, by a condition."),
    Row::not_yet("ignore-persist", BACK, "Do not follow a stick entry, by a condition."),
    Row::not_yet("force-be-switch", FRONT, "Use a backend that is switched off."),
    Row::not_yet("hash-type", BACK, "How hashes choose a server."),
    Row::not_yet("hash-balance-factor", BACK, "How uneven hashes may be."),
    Row::not_yet("load-server-state-from-file", BACK, "Read server states at the start."),
    Row::not_yet("server-state-file-name", BACK, "From which file."),
    Row::not_yet("server-template", BACK, "Many servers by one line."),
    Row::not_yet("external-check", BACK, "Checks by a program of one's own."),
    Row::not_yet("filter", ALL, "Filters of traffic."),
    Row::not_yet("declare capture", FRONT, "Room for captured words."),
    Row::not_yet("persist rdp-cookie", BACK, "Follow a cookie of remote desktops."),
    Row::not_yet("max-session-srv-conns", FRONT, "Idle connections kept."),
    Row::not_yet("guid", ALL, "A global name."),
    Row::refused("dispatch", BACK, "'dispatch' is not supported", "write a 'server' line"),
    Row::refused("transparent", BACK, "'transparent' is not supported", "write 'server' lines"),
    Row::refused("contimeout", ALL, "the 'contimeout' directive is not supported anymore since HAProxy 2.1.", "use 'timeout connect'"),
    Row::refused("clitimeout", ALL, "the 'clitimeout' directive is not supported anymore since HAProxy 2.1.", "use 'timeout client'"),
    Row::refused("srvtimeout", ALL, "the 'srvtimeout' directive is not supported anymore since HAProxy 2.1.", "use 'timeout server'"),
    Row::refused("redispatch", ALL, "the 'redispatch' directive is not supported anymore since HAProxy 2.1.", "use 'option redispatch'"),
    Row::refused("block", ALL, "the 'block' directive is not supported anymore since HAProxy 2.1.", "use 'http-request deny'"),
    Row::refused("bind-process", ALL, "the 'bind-process' directive is not supported anymore since HAProxy 3.4.", "remove it"),
    Row::refused("grace", ALL, "the 'grace' directive of proxies is not supported anymore.", "use 'grace' in the global section"),
    Row::refused("reqadd", ALL, "the 'reqadd' directive is not supported anymore since HAProxy 2.1.", "remove it: it needs HTTP"),
    Row::refused("rspadd", ALL, "the 'rspadd' directive is not supported anymore since HAProxy 2.1.", "remove it: it needs HTTP"),
];

/// Sections HAProxy knows and Posthouse does not read yet.
pub(crate) const SECTIONS: &[&str] = &[
    "peers",
    "resolvers",
    "ring",
    "log-forward",
    "log-profile",
    "healthcheck",
    "cache",
    "http-errors",
    "fcgi-app",
    "program",
    "acme",
    "crt-store",
    "traces",
];
