//! The columns of `show stat` (MGT 9.1), in HAProxy 3.4's order: name, and how each kind of row fills it.
//!
//! A column that belongs to HTTP, agents or idle connections holds what HAProxy writes for a `mode tcp`
//! proxy that has none of them: nothing, or zero.

use config::model::{Balance, ServerAddress};
use engine::counters::Total;
use engine::health::{Health, Report};
use engine::server::ServerTotals;

use super::{BackRow, FrontRow, ServerRow, Value};

/// A column.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) front: fn(&FrontRow<'_>) -> Value,
    pub(super) server: fn(&ServerRow<'_>) -> Value,
    pub(super) back: fn(&BackRow<'_>) -> Value,
}

const fn field(
    name: &'static str,
    front: fn(&FrontRow<'_>) -> Value,
    server: fn(&ServerRow<'_>) -> Value,
    back: fn(&BackRow<'_>) -> Value,
) -> Field {
    Field {
        name,
        front,
        server,
        back,
    }
}

/// One line per column: the table is read across.
#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    field("pxname", |r| t(r.proxy.name()), |r| t(r.proxy.name()), |r| t(r.proxy.name())),
    field("svname", |_| t("FRONTEND"), |r| t(r.server.name()), |_| t("BACKEND")),
    field("qcur", |_| EMPTY, |r| n(r.back.queue.depth(r.server.index).now), |r| n(r.back.queue.waiting())),
    field("qmax", |_| EMPTY, |r| n(r.back.queue.depth(r.server.index).most), |r| n(r.back.queue.backend_depth().most)),
    field("scur", |r| n(r.front.sessions.get()), |r| n(r.server.sessions.get()), |r| n(r.back.sessions.get())),
    field("smax", |r| n(r.front.sessions.most()), |r| n(r.server.sessions.most()), |r| n(r.back.sessions.most())),
    field("slim", |r| n(r.front.maxconn()), |r| positive(r.server.conf.maxconn), |r| n(r.back.fullconn)),
    field("stot", |r| n(r.front.totals.sum(|t| &t.sessions)), |r| n(r.server.totals.sum(|t| &t.sessions)), |r| n(r.back.totals.sum(|t| &t.sessions))),
    field("bin", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("bout", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("dreq", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("dresp", |_| ZERO, |_| ZERO, |_| ZERO),
    field("ereq", |r| n(r.front.totals.sum(|t| &t.request_errors)), |_| EMPTY, |_| EMPTY),
    field("econ", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.connect_errors)), |r| n(r.back.totals.sum(|t| &t.connect_errors))),
    field("eresp", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.response_errors)), |r| n(r.back.totals.sum(|t| &t.response_errors))),
    field("wretr", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.retries)), |r| n(r.back.totals.sum(|t| &t.retries))),
    field("wredis", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.redispatches)), |r| n(r.back.totals.sum(|t| &t.redispatches))),
    field("status", |r| t(r.status()), |r| t(r.health.status_text()), |r| t(if r.state.up { "UP" } else { "DOWN" })),
    field("weight", |_| EMPTY, |r| n(r.health.shown_weight(r.now)), |r| n(r.weight())),
    field("act", |_| EMPTY, |r| n(u32::from(!r.server.conf.backup)), |r| n(r.state.active)),
    field("bck", |_| EMPTY, |r| n(u32::from(r.server.conf.backup)), |r| n(r.state.backup)),
    field("chkfail", |_| EMPTY, |r| r.checked(|h| n(h.failed_checks())), |_| EMPTY),
    field("chkdown", |_| EMPTY, |r| r.checked(|h| n(h.down_transitions())), |r| n(r.state.down_transitions)),
    field("lastchg", |_| EMPTY, |r| n(r.now.saturating_sub(r.health.last_change()) / 1000), |r| n(r.now.saturating_sub(r.state.last_change) / 1000)),
    field("downtime", |_| EMPTY, |r| r.checked(|h| n(h.downtime(r.now) / 1000)), |r| n(r.state.downtime(r.now) / 1000)),
    field("qlimit", |_| EMPTY, |r| positive(r.server.conf.maxqueue), |_| EMPTY),
    field("pid", |_| n(1_u32), |_| n(1_u32), |_| n(1_u32)),
    field("iid", |r| n(r.proxy.conf().id), |r| n(r.proxy.conf().id), |r| n(r.proxy.conf().id)),
    field("sid", |_| ZERO, |r| n(r.server.conf.id), |_| ZERO),
    field("throttle", |_| EMPTY, |r| r.health.throttle(r.now).map_or(Value::Empty, n), |_| EMPTY),
    field("lbtot", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.balanced)), |r| n(r.back.totals.sum(|t| &t.balanced))),
    field("tracked", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("type", |_| ZERO, |_| n(2_u32), |_| n(1_u32)),
    field("rate", |r| n(r.front.session_rate.get(r.now)), |r| n(r.server.rate.get(r.now)), |r| n(r.back.rate.get(r.now))),
    field("rate_lim", |r| n(r.rate_limit()), |_| EMPTY, |_| EMPTY),
    field("rate_max", |r| n(r.front.session_rate.most()), |r| n(r.server.rate.most()), |r| n(r.back.rate.most())),
    field("check_status", |_| EMPTY, |r| r.running(|h| t(check_status(h))), |_| EMPTY),
    field("check_code", |_| EMPTY, |r| r.reported(check_code), |_| EMPTY),
    field("check_duration", |_| EMPTY, |r| r.reported(|p| p.duration_ms.map_or(Value::Empty, n)), |_| EMPTY),
    field("hrsp_1xx", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_2xx", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_3xx", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_4xx", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_5xx", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_other", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hanafail", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("req_rate", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_rate_max", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_tot", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("cli_abrt", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.client_aborts)), |r| n(r.back.totals.sum(|t| &t.client_aborts))),
    field("srv_abrt", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.server_aborts)), |r| n(r.back.totals.sum(|t| &t.server_aborts))),
    field("comp_in", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_out", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_byp", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_rsp", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("lastsess", |_| EMPTY, |r| since(r.server.last_session(), r.now), |r| since(r.back.last_session(), r.now)),
    field("last_chk", |_| EMPTY, |r| r.reported(|p| t(&p.outcome.info)), |_| EMPTY),
    field("last_agt", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("qtime", |_| EMPTY, |r| n(r.server.times.queue.average()), |r| n(r.back.times.queue.average())),
    field("ctime", |_| EMPTY, |r| n(r.server.times.connect.average()), |r| n(r.back.times.connect.average())),
    field("rtime", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("ttime", |_| EMPTY, |r| n(r.server.times.total.average()), |r| n(r.back.times.total.average())),
    field("agent_status", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("agent_code", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("agent_duration", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("check_desc", |_| EMPTY, |r| r.running(|h| t(h.check_status().description())), |_| EMPTY),
    field("agent_desc", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("check_rise", |_| EMPTY, |r| r.running(|h| n(h.rise_fall().0)), |_| EMPTY),
    field("check_fall", |_| EMPTY, |r| r.running(|h| n(h.rise_fall().1)), |_| EMPTY),
    field("check_health", |_| EMPTY, |r| r.running(|h| n(h.health())), |_| EMPTY),
    field("agent_rise", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("agent_fall", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("agent_health", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("addr", |_| EMPTY, |r| r.address(), |_| EMPTY),
    field("cookie", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("mode", |_| t("tcp"), |_| t("tcp"), |_| t("tcp")),
    field("algo", |_| EMPTY, |_| EMPTY, |r| r.algorithm()),
    field("conn_rate", |r| n(r.front.connection_rate.get(r.now)), |_| EMPTY, |_| EMPTY),
    field("conn_rate_max", |r| n(r.front.connection_rate.most()), |_| EMPTY, |_| EMPTY),
    field("conn_tot", |r| n(r.front.totals.sum(|t| &t.connections)), |_| EMPTY, |_| EMPTY),
    field("intercepted", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("dcon", |r| n(r.front.totals.sum(|t| &t.denied_connections)), |_| EMPTY, |_| EMPTY),
    field("dses", |r| n(r.front.totals.sum(|t| &t.denied_sessions)), |_| EMPTY, |_| EMPTY),
    field("wrew", |_| ZERO, |_| ZERO, |_| ZERO),
    field("connect", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.connects)), |r| n(r.back.totals.sum(|t| &t.connects))),
    field("reuse", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("cache_lookups", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("cache_hits", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("srv_icur", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("src_ilim", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("qtime_max", |_| EMPTY, |r| n(r.server.times.queue.max()), |r| n(r.back.times.queue.max())),
    field("ctime_max", |_| EMPTY, |r| n(r.server.times.connect.max()), |r| n(r.back.times.connect.max())),
    field("rtime_max", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("ttime_max", |_| EMPTY, |r| n(r.server.times.total.max()), |r| n(r.back.times.total.max())),
    field("eint", |_| ZERO, |_| ZERO, |_| ZERO),
    field("idle_conn_cur", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("safe_conn_cur", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("used_conn_cur", |_| EMPTY, |r| n(r.server.sessions.get()), |_| EMPTY),
    field("need_conn_est", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("uweight", |_| EMPTY, |r| n(r.health.uweight()), |r| n(r.user_weight())),
    field("agg_server_status", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("agg_server_check_status", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("agg_check_status", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("srid", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("sess_other", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h1sess", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h2sess", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h3sess", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_other", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h1req", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h2req", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h3req", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("proto", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("priv_idle_cur", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("reqbin", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("reqbout", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("resbin", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("resbout", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("-", |_| t("-"), |_| t("-"), |_| t("-")),
    // Posthouse's own: what HAProxy has no word for.
    field("ph_refused", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.refused)), |r| r.servers(|t| &t.refused)),
    field("ph_silent", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.silent)), |r| r.servers(|t| &t.silent)),
    field("ph_unwelcome", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.unwelcome)), |r| r.servers(|t| &t.unwelcome)),
    field("ph_hedges_won", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.hedges_won)), |r| r.servers(|t| &t.hedges_won)),
    field("ph_hedges_lost", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.hedges_lost)), |r| r.servers(|t| &t.hedges_lost)),
    field("ph_rescued", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.rescued)), |r| r.servers(|t| &t.rescued)),
    field("ph_unavailable", |_| EMPTY, |_| EMPTY, |r| n(r.back.totals.sum(|t| &t.unavailable))),
    field("ph_held", |_| EMPTY, |_| EMPTY, |r| n(r.back.totals.sum(|t| &t.held))),
    field("ph_holding", |_| EMPTY, |_| EMPTY, |r| n(r.back.hold.waiting() as u64)),
    field("ph_greeting_ms", |_| EMPTY, |r| n(r.server.pace()), |_| EMPTY),
    field("ph_reserve", |_| EMPTY, |r| n(u32::from(r.health.in_reserve())), |_| EMPTY),
];

const EMPTY: Value = Value::Empty;
const ZERO: Value = Value::Number(0);

fn n(number: impl Into<u64>) -> Value {
    Value::Number(number.into())
}

fn t(text: impl ToString) -> Value {
    Value::Text(text.to_string())
}

/// A limit, where 0 means that there is none.
fn positive(limit: u32) -> Value {
    if limit == 0 { Value::Empty } else { n(limit) }
}

/// Whole seconds since then; -1 for never.
fn since(then: Option<u64>, now: u64) -> Value {
    let ago = then.map(|then| (now.saturating_sub(then) / 1000) as i64);
    Value::Signed(ago.unwrap_or(-1))
}

fn check_status(health: &Health) -> String {
    let running = if health.is_checking() { "* " } else { "" };
    format!("{running}{}", health.check_status().name())
}

fn check_code(report: &Report) -> Value {
    let code = report
        .outcome
        .code
        .filter(|_| report.outcome.status.has_code());
    code.map_or(Value::Empty, |code| n(u64::from(code)))
}

impl FrontRow<'_> {
    fn status(&self) -> &'static str {
        match (self.proxy.conf().disabled, self.front.is_paused()) {
            (true, _) => "STOP",
            (false, true) => "PAUSED",
            (false, false) => "OPEN",
        }
    }

    fn rate_limit(&self) -> u32 {
        let conf = self.proxy.conf().front.as_ref();
        conf.and_then(|front| front.rate_limit).unwrap_or(0)
    }
}

impl ServerRow<'_> {
    /// Of servers that are checked; the others have nothing to tell.
    fn checked(&self, value: impl Fn(&Health) -> Value) -> Value {
        if self.health.has_check() {
            value(self.health)
        } else {
            Value::Empty
        }
    }

    /// Of servers whose checks are not paused by maintenance.
    fn running(&self, value: impl Fn(&Health) -> Value) -> Value {
        if self.health.wants_checks() {
            value(self.health)
        } else {
            Value::Empty
        }
    }

    /// Of the last check, once there was one.
    fn reported(&self, value: impl Fn(&Report) -> Value) -> Value {
        self.running(|health| health.last_report().map_or(Value::Empty, &value))
    }

    fn address(&self) -> Value {
        match &self.server.conf.address {
            _ if !self.legends => Value::Empty,
            ServerAddress::Ip(address) => t(address),
            // The port is the client's, moved by so many.
            ServerAddress::IpRelative(address, _) => t(address),
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) => t("unix"),
        }
    }
}

impl BackRow<'_> {
    /// What its servers have of it together.
    fn servers(&self, total: fn(&ServerTotals) -> &Total) -> Value {
        let servers = self.back.servers.iter();
        n(servers.map(|server| server.totals.sum(total)).sum::<u64>())
    }

    /// Of the servers that are used: the actives, or the backups when there are none.
    fn weight(&self) -> u32 {
        self.usable()
            .map(|health| health.shown_weight(self.now))
            .sum()
    }

    fn user_weight(&self) -> u32 {
        self.usable().map(Health::uweight).sum()
    }

    fn usable(&self) -> impl Iterator<Item = &Health> {
        let on_backup = self.state.active == 0;
        let servers = self.back.servers.iter().zip(&self.healths);
        servers
            .filter(move |(server, health)| health.is_usable() && server.conf.backup == on_backup)
            .map(|(_, health)| *health)
            // Of backups the first alone is used, unless all may be.
            .take(if on_backup && !self.conf.allbackups {
                1
            } else {
                usize::MAX
            })
    }

    fn algorithm(&self) -> Value {
        if !self.legends {
            return Value::Empty;
        }
        t(match self.conf.balance {
            Balance::RoundRobin => "roundrobin",
            Balance::StaticRoundRobin => "static-rr",
            Balance::LeastConn => "leastconn",
            Balance::Random(_) => "random",
            Balance::Source => "source",
            Balance::First => "first",
        })
    }
}
