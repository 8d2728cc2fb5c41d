//! The metrics: HAProxy 3.4's names and types, and the column of `show stat` or line of `show info` each shows.

use self::Kind::{Counter, Gauge, Histogram};
use self::Shape::{
    AggregateCheck, AggregateStatus, Check, Checked, CheckedMillis, Front, Listener, Millis, Plain,
    Server,
};

/// What Prometheus is told of a metric's nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// Milliseconds, as seconds.
    Millis,
    /// A sample for each state of a frontend or backend, of a listener, of a server: 1 for the one it is in.
    Front,
    Listener,
    Server,
    /// A sample for each result of a check.
    Check,
    /// Of a server that is checked; zero where the column is empty.
    Checked,
    CheckedMillis,
    /// How many servers are in each state.
    AggregateStatus,
    /// How many servers have each result of a check.
    AggregateCheck,
}

/// A row of the tables.
#[derive(Debug)]
pub(super) struct Metric {
    /// Without the prefix of its scope.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) column: &'static str,
    pub(super) shape: Shape,
    pub(super) help: &'static str,
}

pub(super) const fn metric(
    name: &'static str,
    kind: Kind,
    column: &'static str,
    shape: Shape,
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        column,
        shape,
        help,
    }
}

/// `haproxy_process_*`.
#[rustfmt::skip]
pub(super) const PROCESS: &[Metric] = &[
    metric("nbthread", Gauge, "Nbthread", Plain, "Threads that carry sessions."),
    metric("nbproc", Gauge, "Nbproc", Plain, "Processes."),
    metric("relative_process_id", Gauge, "Process_num", Plain, "Number of this process."),
    metric("uptime_seconds", Gauge, "Uptime_sec", Plain, "Seconds since the process started."),
    metric("pool_failures_total", Counter, "PoolFailed", Plain, "Failed allocations of memory pools."),
    metric("max_fds", Gauge, "Ulimit-n", Plain, "File descriptors the process may have."),
    metric("max_sockets", Gauge, "Maxsock", Plain, "Sockets the process may have."),
    metric("max_connections", Gauge, "Maxconn", Plain, "Client connections allowed at once."),
    metric("hard_max_connections", Gauge, "Hard_maxconn", Plain, "Client connections allowed at the start."),
    metric("current_connections", Gauge, "CurrConns", Plain, "Client connections now."),
    metric("connections_total", Counter, "CumConns", Plain, "Client connections so far."),
    metric("requests_total", Counter, "CumReq", Plain, "Sessions so far."),
    metric("max_ssl_connections", Gauge, "MaxSslConns", Plain, "TLS connections allowed at once."),
    metric("current_ssl_connections", Gauge, "CurrSslConns", Plain, "TLS connections now."),
    metric("ssl_connections_total", Counter, "CumSslConns", Plain, "TLS connections so far."),
    metric("max_pipes", Gauge, "Maxpipes", Plain, "Pipes allowed."),
    metric("pipes_used_total", Counter, "PipesUsed", Plain, "Pipes in use."),
    metric("pipes_free_total", Counter, "PipesFree", Plain, "Pipes kept for use."),
    metric("current_connection_rate", Gauge, "ConnRate", Plain, "Client connections in the last second."),
    metric("limit_connection_rate", Gauge, "ConnRateLimit", Plain, "Client connections allowed per second."),
    metric("max_connection_rate", Gauge, "MaxConnRate", Plain, "Most client connections in a second."),
    metric("current_session_rate", Gauge, "SessRate", Plain, "Sessions in the last second."),
    metric("limit_session_rate", Gauge, "SessRateLimit", Plain, "Sessions allowed per second."),
    metric("max_session_rate", Gauge, "MaxSessRate", Plain, "Most sessions in a second."),
    metric("current_ssl_rate", Gauge, "SslRate", Plain, "TLS sessions in the last second."),
    metric("limit_ssl_rate", Gauge, "SslRateLimit", Plain, "TLS sessions allowed per second."),
    metric("max_ssl_rate", Gauge, "MaxSslRate", Plain, "Most TLS sessions in a second."),
    metric("current_frontend_ssl_key_rate", Gauge, "SslFrontendKeyRate", Plain, "TLS keys of clients in the last second."),
    metric("max_frontend_ssl_key_rate", Gauge, "SslFrontendMaxKeyRate", Plain, "Most TLS keys of clients in a second."),
    metric("frontend_ssl_reuse", Gauge, "SslFrontendSessionReuse_pct", Plain, "TLS sessions resumed, in per cent."),
    metric("current_backend_ssl_key_rate", Gauge, "SslBackendKeyRate", Plain, "TLS keys of servers in the last second."),
    metric("max_backend_ssl_key_rate", Gauge, "SslBackendMaxKeyRate", Plain, "Most TLS keys of servers in a second."),
    metric("ssl_cache_lookups_total", Counter, "SslCacheLookups", Plain, "Lookups in the TLS session cache."),
    metric("ssl_cache_misses_total", Counter, "SslCacheMisses", Plain, "Lookups in the TLS session cache that found nothing."),
    metric("http_comp_bytes_in_total", Counter, "CompressBpsIn", Plain, "Bytes into HTTP compression."),
    metric("http_comp_bytes_out_total", Counter, "CompressBpsOut", Plain, "Bytes out of HTTP compression."),
    metric("limit_http_comp", Gauge, "CompressBpsRateLim", Plain, "Limit of HTTP compression."),
    metric("current_zlib_memory", Gauge, "-", Plain, "Memory of HTTP compression."),
    metric("max_zlib_memory", Gauge, "-", Plain, "Limit of the memory of HTTP compression."),
    metric("current_tasks", Gauge, "Tasks", Plain, "Tasks now."),
    metric("current_run_queue", Gauge, "Run_queue", Plain, "Tasks that are ready to run."),
    metric("idle_time_percent", Gauge, "Idle_pct", Plain, "Time the process waited, in per cent."),
    metric("node", Gauge, "node", Plain, "Name of this node."),
    metric("description", Gauge, "description", Plain, "Description of this node."),
    metric("stopping", Gauge, "Stopping", Plain, "Whether the process is stopping."),
    metric("jobs", Gauge, "Jobs", Plain, "Connections and listeners now."),
    metric("unstoppable_jobs", Gauge, "Unstoppable Jobs", Plain, "Jobs that a stop does not wait for."),
    metric("listeners", Gauge, "Listeners", Plain, "Addresses listened on."),
    metric("active_peers", Gauge, "ActivePeers", Plain, "Peers that take part."),
    metric("connected_peers", Gauge, "ConnectedPeers", Plain, "Peers that are connected."),
    metric("dropped_logs_total", Counter, "DroppedLogs", Plain, "Log lines that were dropped."),
    metric("busy_polling_enabled", Gauge, "BusyPolling", Plain, "Whether busy polling is on."),
    metric("failed_resolutions", Counter, "FailedResolutions", Plain, "Names that could not be resolved."),
    metric("bytes_out_total", Counter, "TotalBytesOut", Plain, "Bytes sent to clients."),
    metric("spliced_bytes_out_total", Counter, "TotalSplicedBytesOut", Plain, "Bytes sent to clients by splice."),
    metric("bytes_out_rate", Gauge, "BytesOutRate", Plain, "Bytes sent in the last second."),
    metric("recv_logs_total", Counter, "CumRecvLogs", Plain, "Log lines received."),
    metric("build_info", Gauge, "Build info", Plain, "Version of the program."),
    metric("max_memory_bytes", Gauge, "Memmax_bytes", Plain, "Limit of memory pools."),
    metric("pool_allocated_bytes", Gauge, "PoolAlloc_bytes", Plain, "Bytes in memory pools."),
    metric("pool_used_bytes", Gauge, "PoolUsed_bytes", Plain, "Bytes used in memory pools."),
    metric("start_time_seconds", Gauge, "Start_time_sec", Plain, "When the process started."),
    metric("total_warnings", Counter, "TotalWarnings", Plain, "Warnings so far."),
    metric("patterns_added_total", Counter, "PatternsAdded", Plain, "Patterns added."),
    metric("patterns_freed_total", Counter, "PatternsFreed", Plain, "Patterns removed."),
    metric("nb_thread_groups", Gauge, "NbThreadGroups", Plain, "Groups of threads."),
];

/// `haproxy_frontend_*`.
#[rustfmt::skip]
pub(super) const FRONTEND: &[Metric] = &[
    metric("current_sessions", Gauge, "scur", Plain, "Sessions now."),
    metric("max_sessions", Gauge, "smax", Plain, "Most sessions at once."),
    metric("limit_sessions", Gauge, "slim", Plain, "Sessions allowed at once."),
    metric("sessions_total", Counter, "stot", Plain, "Sessions so far."),
    metric("bytes_in_total", Counter, "bin", Plain, "Bytes from clients."),
    metric("bytes_out_total", Counter, "bout", Plain, "Bytes to clients."),
    metric("requests_denied_total", Counter, "dreq", Plain, "Requests denied."),
    metric("responses_denied_total", Counter, "dresp", Plain, "Responses denied."),
    metric("request_errors_total", Counter, "ereq", Plain, "Connections that ended before they were sessions."),
    metric("status", Gauge, "status", Front, "Whether it takes connections."),
    metric("current_session_rate", Gauge, "rate", Plain, "Sessions in the last second."),
    metric("limit_session_rate", Gauge, "rate_lim", Plain, "Sessions allowed per second."),
    metric("max_session_rate", Gauge, "rate_max", Plain, "Most sessions in a second."),
    metric("connections_rate_max", Gauge, "conn_rate_max", Plain, "Most connections in a second."),
    metric("connections_total", Counter, "conn_tot", Plain, "Connections so far."),
    metric("denied_connections_total", Counter, "dcon", Plain, "Connections denied."),
    metric("denied_sessions_total", Counter, "dses", Plain, "Sessions denied."),
    metric("failed_header_rewriting_total", Counter, "wrew", Plain, "Failed header rewritings."),
    metric("internal_errors_total", Counter, "eint", Plain, "Internal errors."),
    metric("req_bytes_in_total", Counter, "reqbin", Plain, "Bytes received from clients."),
    metric("req_bytes_out_total", Counter, "reqbout", Plain, "Bytes of clients that were passed on."),
    metric("res_bytes_in_total", Counter, "resbin", Plain, "Bytes received from servers."),
    metric("res_bytes_out_total", Counter, "resbout", Plain, "Bytes of servers that were passed on."),
];

/// `haproxy_listener_*`, with `option socket-stats`.
#[rustfmt::skip]
pub(super) const LISTENER: &[Metric] = &[
    metric("current_sessions", Gauge, "scur", Plain, "Sessions now."),
    metric("max_sessions", Gauge, "smax", Plain, "Most sessions at once."),
    metric("limit_sessions", Gauge, "slim", Plain, "Sessions allowed at once; 0 for no limit of its own."),
    metric("sessions_total", Counter, "stot", Plain, "Sessions so far."),
    metric("bytes_in_total", Counter, "bin", Plain, "Bytes from clients."),
    metric("bytes_out_total", Counter, "bout", Plain, "Bytes to clients."),
    metric("requests_denied_total", Counter, "dreq", Plain, "Requests denied."),
    metric("responses_denied_total", Counter, "dresp", Plain, "Responses denied."),
    metric("request_errors_total", Counter, "ereq", Plain, "Connections that ended before they were sessions."),
    metric("status", Gauge, "status", Listener, "Whether it takes connections."),
    metric("connections_total", Counter, "conn_tot", Plain, "Connections so far."),
    metric("denied_connections_total", Counter, "dcon", Plain, "Connections denied."),
    metric("denied_sessions_total", Counter, "dses", Plain, "Sessions denied."),
    metric("failed_header_rewriting_total", Counter, "wrew", Plain, "Failed header rewritings."),
    metric("internal_errors_total", Counter, "eint", Plain, "Internal errors."),
    metric("req_bytes_in_total", Counter, "reqbin", Plain, "Bytes received from clients."),
    metric("req_bytes_out_total", Counter, "reqbout", Plain, "Bytes of clients that were passed on."),
    metric("res_bytes_in_total", Counter, "resbin", Plain, "Bytes received from servers."),
    metric("res_bytes_out_total", Counter, "resbout", Plain, "Bytes of servers that were passed on."),
];

/// `haproxy_backend_*`.
#[rustfmt::skip]
pub(super) const BACKEND: &[Metric] = &[
    metric("current_queue", Gauge, "qcur", Plain, "Sessions that wait."),
    metric("max_queue", Gauge, "qmax", Plain, "Most sessions that waited."),
    metric("current_sessions", Gauge, "scur", Plain, "Sessions now."),
    metric("max_sessions", Gauge, "smax", Plain, "Most sessions at once."),
    metric("limit_sessions", Gauge, "slim", Plain, "Sessions allowed at once."),
    metric("sessions_total", Counter, "stot", Plain, "Sessions so far."),
    metric("bytes_in_total", Counter, "bin", Plain, "Bytes from clients."),
    metric("bytes_out_total", Counter, "bout", Plain, "Bytes to clients."),
    metric("requests_denied_total", Counter, "dreq", Plain, "Requests denied."),
    metric("responses_denied_total", Counter, "dresp", Plain, "Responses denied."),
    metric("connection_errors_total", Counter, "econ", Plain, "Sessions that found no server."),
    metric("response_errors_total", Counter, "eresp", Plain, "Sessions that their server broke."),
    metric("retry_warnings_total", Counter, "wretr", Plain, "Attempts repeated."),
    metric("redispatch_warnings_total", Counter, "wredis", Plain, "Sessions moved to another server."),
    metric("status", Gauge, "status", Front, "Whether a server is usable."),
    metric("weight", Gauge, "weight", Plain, "Weight of the servers in use."),
    metric("active_servers", Gauge, "act", Plain, "Usable servers that are not backups."),
    metric("backup_servers", Gauge, "bck", Plain, "Usable backups."),
    metric("check_up_down_total", Counter, "chkdown", Plain, "Times the last server went down."),
    metric("check_last_change_seconds", Gauge, "lastchg", Plain, "Seconds since it went up or down."),
    metric("downtime_seconds_total", Counter, "downtime", Plain, "Seconds without a usable server."),
    metric("loadbalanced_total", Counter, "lbtot", Plain, "Sessions placed by the balance algorithm."),
    metric("current_session_rate", Gauge, "rate", Plain, "Sessions in the last second."),
    metric("max_session_rate", Gauge, "rate_max", Plain, "Most sessions in a second."),
    metric("client_aborts_total", Counter, "cli_abrt", Plain, "Transfers that the client broke."),
    metric("server_aborts_total", Counter, "srv_abrt", Plain, "Transfers that the server broke."),
    metric("last_session_seconds", Gauge, "lastsess", Plain, "Seconds since the last session; -1 for never."),
    metric("queue_time_average_seconds", Gauge, "qtime", Millis, "Average time in queues, of the last 1024 sessions."),
    metric("connect_time_average_seconds", Gauge, "ctime", Millis, "Average time to reach a server, of the last 1024 sessions."),
    metric("response_time_average_seconds", Gauge, "rtime", Millis, "Average response time; none for TCP."),
    metric("total_time_average_seconds", Gauge, "ttime", Millis, "Average time of a session, of the last 1024."),
    metric("failed_header_rewriting_total", Counter, "wrew", Plain, "Failed header rewritings."),
    metric("connection_attempts_total", Counter, "connect", Plain, "Connection attempts."),
    metric("connection_reuses_total", Counter, "reuse", Plain, "Connections used again."),
    metric("max_queue_time_seconds", Gauge, "qtime_max", Millis, "Longest time in queues."),
    metric("max_connect_time_seconds", Gauge, "ctime_max", Millis, "Longest time to reach a server."),
    metric("max_response_time_seconds", Gauge, "rtime_max", Millis, "Longest response time; none for TCP."),
    metric("max_total_time_seconds", Gauge, "ttime_max", Millis, "Longest session."),
    metric("internal_errors_total", Counter, "eint", Plain, "Internal errors."),
    metric("uweight", Gauge, "uweight", Plain, "Weight of the servers in use as an operator wants it."),
    metric("agg_server_status", Gauge, "-", AggregateStatus, "Servers by state."),
    metric("agg_server_check_status", Gauge, "-", AggregateStatus, "Servers by state; use agg_server_status."),
    metric("agg_check_status", Gauge, "-", AggregateCheck, "Servers by the result of their last check."),
    metric("req_bytes_in_total", Counter, "reqbin", Plain, "Bytes received from clients."),
    metric("req_bytes_out_total", Counter, "reqbout", Plain, "Bytes of clients that were passed on."),
    metric("res_bytes_in_total", Counter, "resbin", Plain, "Bytes received from servers."),
    metric("res_bytes_out_total", Counter, "resbout", Plain, "Bytes of servers that were passed on."),
];

/// `haproxy_server_*`.
#[rustfmt::skip]
pub(super) const SERVER: &[Metric] = &[
    metric("current_queue", Gauge, "qcur", Plain, "Sessions that wait for it."),
    metric("max_queue", Gauge, "qmax", Plain, "Most sessions that waited for it."),
    metric("current_sessions", Gauge, "scur", Plain, "Sessions now."),
    metric("max_sessions", Gauge, "smax", Plain, "Most sessions at once."),
    metric("limit_sessions", Gauge, "slim", Plain, "Sessions allowed at once."),
    metric("sessions_total", Counter, "stot", Plain, "Sessions so far."),
    metric("bytes_in_total", Counter, "bin", Plain, "Bytes from clients."),
    metric("bytes_out_total", Counter, "bout", Plain, "Bytes to clients."),
    metric("responses_denied_total", Counter, "dresp", Plain, "Responses denied."),
    metric("connection_errors_total", Counter, "econ", Plain, "Sessions that could not reach it."),
    metric("response_errors_total", Counter, "eresp", Plain, "Sessions that it broke."),
    metric("retry_warnings_total", Counter, "wretr", Plain, "Attempts repeated."),
    metric("redispatch_warnings_total", Counter, "wredis", Plain, "Sessions moved to another server."),
    metric("status", Gauge, "status", Server, "Its state."),
    metric("weight", Gauge, "weight", Plain, "Its weight now."),
    metric("active", Gauge, "act", Plain, "Whether it is no backup."),
    metric("backup", Gauge, "bck", Plain, "Whether it is a backup."),
    metric("check_failures_total", Counter, "chkfail", Plain, "Failed checks while it was UP."),
    metric("check_up_down_total", Counter, "chkdown", Plain, "Times it went DOWN."),
    metric("check_last_change_seconds", Gauge, "lastchg", Plain, "Seconds since its state changed."),
    metric("downtime_seconds_total", Counter, "downtime", Plain, "Seconds it was DOWN."),
    metric("queue_limit", Gauge, "qlimit", Plain, "Sessions that may wait for it."),
    metric("current_throttle", Gauge, "throttle", Plain, "How warm it is, in per cent, during slowstart."),
    metric("loadbalanced_total", Counter, "lbtot", Plain, "Sessions placed by the balance algorithm."),
    metric("current_session_rate", Gauge, "rate", Plain, "Sessions in the last second."),
    metric("max_session_rate", Gauge, "rate_max", Plain, "Most sessions in a second."),
    metric("check_status", Gauge, "check_status", Check, "Result of its last check."),
    metric("check_code", Gauge, "check_code", Checked, "Code of its last check."),
    metric("check_duration_seconds", Gauge, "check_duration", CheckedMillis, "Duration of its last check."),
    metric("client_aborts_total", Counter, "cli_abrt", Plain, "Transfers that the client broke."),
    metric("server_aborts_total", Counter, "srv_abrt", Plain, "Transfers that it broke."),
    metric("last_session_seconds", Gauge, "lastsess", Plain, "Seconds since its last session; -1 for never."),
    metric("queue_time_average_seconds", Gauge, "qtime", Millis, "Average time in queues, of the last 1024 sessions."),
    metric("connect_time_average_seconds", Gauge, "ctime", Millis, "Average time to reach a server, of the last 1024 sessions."),
    metric("response_time_average_seconds", Gauge, "rtime", Millis, "Average response time; none for TCP."),
    metric("total_time_average_seconds", Gauge, "ttime", Millis, "Average time of a session, of the last 1024."),
    metric("failed_header_rewriting_total", Counter, "wrew", Plain, "Failed header rewritings."),
    metric("connection_attempts_total", Counter, "connect", Plain, "Connection attempts."),
    metric("connection_reuses_total", Counter, "reuse", Plain, "Connections used again."),
    metric("idle_connections_current", Gauge, "srv_icur", Plain, "Idle connections kept for use."),
    metric("idle_connections_limit", Gauge, "src_ilim", Plain, "Idle connections allowed."),
    metric("max_queue_time_seconds", Gauge, "qtime_max", Millis, "Longest time in queues."),
    metric("max_connect_time_seconds", Gauge, "ctime_max", Millis, "Longest time to reach a server."),
    metric("max_response_time_seconds", Gauge, "rtime_max", Millis, "Longest response time; none for TCP."),
    metric("max_total_time_seconds", Gauge, "ttime_max", Millis, "Longest session."),
    metric("internal_errors_total", Counter, "eint", Plain, "Internal errors."),
    metric("unsafe_idle_connections_current", Gauge, "idle_conn_cur", Plain, "Idle connections that may not be shared."),
    metric("safe_idle_connections_current", Gauge, "safe_conn_cur", Plain, "Idle connections that may be shared."),
    metric("used_connections_current", Gauge, "used_conn_cur", Plain, "Connections in use."),
    metric("need_connections_current", Gauge, "need_conn_est", Plain, "Connections it is estimated to need."),
    metric("uweight", Gauge, "uweight", Plain, "Its weight as an operator wants it."),
    metric("private_idle_connections_current", Gauge, "priv_idle_cur", Plain, "Idle connections of one session."),
    metric("req_bytes_in_total", Counter, "reqbin", Plain, "Bytes received from clients."),
    metric("req_bytes_out_total", Counter, "reqbout", Plain, "Bytes of clients that were passed on."),
    metric("res_bytes_in_total", Counter, "resbin", Plain, "Bytes received from servers."),
    metric("res_bytes_out_total", Counter, "resbout", Plain, "Bytes of servers that were passed on."),
];

/// `posthouse_process_*`, in the order of their values.
#[rustfmt::skip]
pub(super) const OWN_PROCESS: &[Metric] = &[
    metric("events_total", Counter, "-", Plain, "Changes of a state that were told (see `show events`)."),
    metric("event_log_lost_total", Counter, "-", Plain, "Events that could not be written to the event log."),
];

/// `posthouse_backend_*`: what HAProxy cannot know.
#[rustfmt::skip]
pub(super) const OWN_BACKEND: &[Metric] = &[
    metric("sessions_unavailable_total", Counter, "ph_unavailable", Plain, "Sessions that were told that there is no server."),
    metric("sessions_held_total", Counter, "ph_held", Plain, "Sessions that waited for a server to come back."),
    metric("sessions_holding", Gauge, "ph_holding", Plain, "Sessions that wait for a server to come back now."),
];

/// `posthouse_server_*`.
#[rustfmt::skip]
pub(super) const OWN_SERVER: &[Metric] = &[
    metric("attempts_refused_total", Counter, "ph_refused", Plain, "Attempts refused, reset, closed, or not accepted in time."),
    metric("attempts_silent_total", Counter, "ph_silent", Plain, "Attempts it was silent on until another server had answered."),
    metric("attempts_unwelcome_total", Counter, "ph_unwelcome", Plain, "Attempts it greeted with something else than a welcome."),
    metric("attempts_tls_failed_total", Counter, "ph_tls_failed", Plain, "Attempts whose TLS handshake failed."),
    metric("hedges_won_total", Counter, "ph_hedges_won", Plain, "Sessions it won as the second to be asked."),
    metric("hedges_lost_total", Counter, "ph_hedges_lost", Plain, "Sessions it was asked for in vain."),
    metric("sessions_rescued_total", Counter, "ph_rescued", Plain, "Sessions it took over from a server that failed them."),
    metric("greeting_average_seconds", Gauge, "ph_greeting_ms", Millis, "How long its greetings take lately."),
    metric("certificate_expiry_timestamp_seconds", Gauge, "ph_cert_expiry", Plain, "When the certificate expires that it showed last."),
    metric("reserve", Gauge, "ph_reserve", Plain, "Whether it is UP and left alone while others serve."),
    metric("degraded", Gauge, "ph_degraded", Plain, "Whether it is UP and not well, as its deep check says."),
];

/// `posthouse_certificate_expiry_timestamp_seconds`.
pub(super) const CERTIFICATE: Metric = metric(
    "expiry_timestamp_seconds",
    Gauge,
    "-",
    Plain,
    "When a certificate of ours expires, by file.",
);

/// `posthouse_server_greeting_seconds`.
pub(super) const GREETING: Metric = metric(
    "greeting_seconds",
    Histogram,
    "-",
    Plain,
    "From when a session asked it until it greeted; of sessions it has got.",
);

/// `posthouse_server_check_step_seconds`.
pub(super) const STEP: Metric = metric(
    "check_step_seconds",
    Gauge,
    "-",
    Plain,
    "How long a step of its last deep check took.",
);

/// `posthouse_backend_failover_seconds`.
pub(super) const FAILOVER: Metric = metric(
    "failover_seconds",
    Histogram,
    "-",
    Plain,
    "From when a server failed a session, or began to be silent, until one had greeted it.",
);

/// `haproxy_sticktable_*`.
#[rustfmt::skip]
pub(super) const STICK_TABLE: &[Metric] = &[
    metric("size", Gauge, "-", Plain, "Entries it may have."),
    metric("used", Gauge, "-", Plain, "Entries it has."),
    metric("local_updates", Gauge, "-", Plain, "Changes made here that peers were told."),
];
