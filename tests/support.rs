//! What many tests share.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
pub(crate) use testkit::port::free as free_port;

/// A configuration with a frontend `fe` at `front`, a backend `be` with these lines, quick checks by default,
/// session lines on standard output and a stats socket.
pub(crate) fn config(front: SocketAddr, frontend: &str, backend: &str) -> String {
    format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    log stdout format raw local0
    maxconn 2000

defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    balance roundrobin
    default-server inter 100ms fastinter 50ms downinter 100ms

frontend fe
    bind {front}
    {frontend}
    default_backend be

backend be
    {backend}
"
    )
}

/// The termination state and the backend/server of a session's tcplog line.
pub(crate) fn told(line: &str) -> (String, String) {
    // ip:port [date] fe be/srv Tw/Tc/Tt bytes state ...
    let words: Vec<&str> = line.split(' ').collect();
    let word = |place: usize| words.get(place).copied().unwrap_or_default().to_owned();
    (word(6), word(3))
}

/// Two programs were asked the same: nothing may differ. Each answer stands with its question.
pub(crate) fn same_answers(theirs: &[String], ours: &[String]) -> Result<()> {
    ensure!(theirs.len() == ours.len(), "{theirs:?}\n--\n{ours:?}");
    let differences: Vec<_> = theirs
        .iter()
        .zip(ours)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|(theirs, ours)| format!("{theirs}\n--\n{ours}"))
        .collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
