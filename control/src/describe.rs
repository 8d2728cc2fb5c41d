//! What lines of `show info` and columns of `show stat` are, in words (`desc`): those of the metric that shows them,
//! and for what no metric shows, or shows in another unit, those of [`WORDS`].

use crate::prometheus;

/// What follows a value where `desc` is asked for: `:"..."`.
pub(crate) fn suffix(desc: bool, name: &str) -> String {
    if desc {
        format!(":\"{}\"", of(name))
    } else {
        String::new()
    }
}

fn of(name: &str) -> &'static str {
    let own = WORDS.iter().find(|(known, _)| *known == name);
    own.map(|(_, words)| *words)
        .or_else(|| prometheus::help(name))
        .unwrap_or_default()
}

#[rustfmt::skip]
const WORDS: &[(&str, &str)] = &[
    // show info
    ("Name", "Whose behaviour this is."),
    ("Version", "Its version, and Posthouse's own."),
    ("Release_date", "Date of the release."),
    ("Pid", "Identifier of the process."),
    ("Uptime", "Time since the process started."),
    ("Memmax_MB", "Memory limit of the process in MB (-m)."),
    ("PoolAlloc_MB", "Memory of pools in MB."),
    ("PoolUsed_MB", "Memory of pools in use in MB."),
    ("DebugCommandsIssued", "Debug commands on the stats socket."),
    ("Tainted", "What makes the process unfit for support."),
    ("MaxconnReached", "Times the limit of client connections was reached."),
    ("BootTime_ms", "Milliseconds the start took."),
    ("Niced_tasks", "Tasks with another priority than the usual one."),
    ("CurrStreams", "Sessions now."),
    ("CumStreams", "Sessions so far."),
    ("BlockedTrafficWarnings", "Warnings of traffic that was blocked."),
    ("CompressBpsIn", "Bytes per second into compression."),
    ("CompressBpsOut", "Bytes per second out of compression."),
    // show stat
    ("pxname", "Name of the proxy."),
    ("svname", "Name of the server, FRONTEND or BACKEND."),
    ("pid", "Number of the process."),
    ("iid", "Number of the proxy."),
    ("sid", "Number of the server in its backend."),
    ("tracked", "Server whose state it follows."),
    ("type", "0 frontend, 1 backend, 2 server, 3 listener."),
    ("check_duration", "Milliseconds the last check took."),
    ("hanafail", "Failures seen in live traffic."),
    ("hrsp_1xx", "HTTP responses of 100 to 199."),
    ("hrsp_2xx", "HTTP responses of 200 to 299."),
    ("hrsp_3xx", "HTTP responses of 300 to 399."),
    ("hrsp_4xx", "HTTP responses of 400 to 499."),
    ("hrsp_5xx", "HTTP responses of 500 to 599."),
    ("hrsp_other", "Other HTTP responses."),
    ("req_rate", "HTTP requests in the last second."),
    ("req_rate_max", "Most HTTP requests in a second."),
    ("req_tot", "HTTP requests so far."),
    ("comp_in", "Bytes into compression."),
    ("comp_out", "Bytes out of compression."),
    ("comp_byp", "Bytes that bypassed compression."),
    ("comp_rsp", "Responses that were compressed."),
    ("last_chk", "What the last check said."),
    ("last_agt", "What the agent said last."),
    ("qtime", "Milliseconds sessions wait in the queue, on average."),
    ("ctime", "Milliseconds it takes to connect, on average."),
    ("rtime", "Milliseconds it takes to respond, on average (HTTP)."),
    ("ttime", "Milliseconds a session takes, on average."),
    ("qtime_max", "Most milliseconds a session waited in the queue."),
    ("ctime_max", "Most milliseconds it took to connect."),
    ("rtime_max", "Most milliseconds it took to respond (HTTP)."),
    ("ttime_max", "Most milliseconds a session took."),
    ("agent_status", "Result of the last agent check."),
    ("agent_code", "Code of the last agent check."),
    ("agent_duration", "Milliseconds the last agent check took."),
    ("check_desc", "The result of the last check in words."),
    ("agent_desc", "The result of the last agent check in words."),
    ("check_rise", "Checks that must pass for a server to be UP."),
    ("check_fall", "Checks that must fail for a server to be DOWN."),
    ("check_health", "Health, from 0 to rise + fall - 1."),
    ("agent_rise", "Answers of the agent until the server is UP."),
    ("agent_fall", "Answers of the agent until the server is DOWN."),
    ("agent_health", "Health by the agent, from 0 to rise + fall - 1."),
    ("addr", "Address and port."),
    ("cookie", "Cookie of the server."),
    ("mode", "Mode of the proxy."),
    ("algo", "Balance algorithm."),
    ("conn_rate", "Connections in the last second."),
    ("intercepted", "HTTP requests answered here."),
    ("cache_lookups", "Lookups in the HTTP cache."),
    ("cache_hits", "Responses from the HTTP cache."),
    ("agg_server_status", "Servers that are UP."),
    ("agg_server_check_status", "Servers whose last check passed."),
    ("agg_check_status", "Servers whose last check passed."),
    ("srid", "Revision of the server."),
    ("sess_other", "Sessions that are not HTTP."),
    ("h1sess", "Sessions of HTTP/1."),
    ("h2sess", "Sessions of HTTP/2."),
    ("h3sess", "Sessions of HTTP/3."),
    ("req_other", "Requests that are not HTTP."),
    ("h1req", "Requests of HTTP/1."),
    ("h2req", "Requests of HTTP/2."),
    ("h3req", "Requests of HTTP/3."),
    ("proto", "Protocol of the listener."),
    ("ph_greeting_ms", "Milliseconds its greetings take lately, on average."),
    ("ph_cert_days", "Days left of the certificate it showed last."),
    ("-", "What follows are columns of Posthouse's own."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{info, stat};

    #[test]
    fn everything_has_words_and_nothing_has_them_in_vain() {
        for name in info::names().chain(stat::columns()) {
            assert!(!of(name).is_empty(), "{name}");
        }
        let known: Vec<_> = info::names().chain(stat::columns()).collect();
        for (name, _) in WORDS {
            assert!(known.contains(name), "{name}");
        }
    }
}
