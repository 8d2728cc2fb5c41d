//! The columns of `show stat` (MGT 9.1), in HAProxy 3.4's order: name, and how each kind of row fills it.
//!
//! A column that belongs to HTTP or idle connections holds what HAProxy writes for a `mode tcp`
//! proxy that has none of them: nothing, or zero.

use config::model::{Balance, ServerAddress};
use engine::counters::Total;
use engine::health::{Health, Report};
use engine::server::ServerTotals;
use engine::tls::days_left;

use super::{BackRow, FrontRow, ServerRow, Value};

/// A column.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What `typed` and `json` say of it: origin, nature and scope by their letters, and the type.
    pub(super) tag: &'static str,
    pub(super) front: fn(&FrontRow<'_>) -> Value,
    pub(super) server: fn(&ServerRow<'_>) -> Value,
    pub(super) back: fn(&BackRow<'_>) -> Value,
}

const fn field(
    name: &'static str,
    tag: &'static str,
    front: fn(&FrontRow<'_>) -> Value,
    server: fn(&ServerRow<'_>) -> Value,
    back: fn(&BackRow<'_>) -> Value,
) -> Field {
    Field {
        name,
        tag,
        front,
        server,
        back,
    }
}

/// One line per column: the table is read across.
#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    field("pxname", "KNS:str", |r| t(r.proxy.name()), |r| t(r.proxy.name()), |r| t(r.proxy.name())),
    field("svname", "KNS:str", |_| t("FRONTEND"), |r| t(r.server.name()), |_| t("BACKEND")),
    field("qcur", "MGP:u32", |_| EMPTY, |r| n(r.back.queue.depth(r.server.index).now), |r| n(r.back.queue.waiting())),
    field("qmax", "MMP:u32", |_| EMPTY, |r| n(r.back.queue.depth(r.server.index).most), |r| n(r.back.queue.backend_depth().most)),
    field("scur", "MGP:u32", |r| n(r.front.sessions.get()), |r| n(r.server.sessions.get()), |r| n(r.back.sessions.get())),
    field("smax", "MMP:u32", |r| n(r.front.sessions.most()), |r| n(r.server.sessions.most()), |r| n(r.back.sessions.most())),
    field("slim", "CLP:u32", |r| n(r.front.maxconn()), |r| positive(r.server.maxconn()), |r| n(r.back.fullconn)),
    field("stot", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.sessions)), |r| n(r.server.totals.sum(|t| &t.sessions)), |r| n(r.back.totals.sum(|t| &t.sessions))),
    field("bin", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("bout", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("dreq", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.denied_requests)), |_| EMPTY, |_| ZERO),
    field("dresp", "MCP:u64", |_| ZERO, |_| ZERO, |_| ZERO),
    field("ereq", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.request_errors)), |_| EMPTY, |_| EMPTY),
    field("econ", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.connect_errors)), |r| n(r.back.totals.sum(|t| &t.connect_errors))),
    field("eresp", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.response_errors)), |r| n(r.back.totals.sum(|t| &t.response_errors))),
    field("wretr", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.retries)), |r| n(r.back.totals.sum(|t| &t.retries))),
    field("wredis", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.redispatches)), |r| n(r.back.totals.sum(|t| &t.redispatches))),
    field("status", "SGP:str", |r| t(r.status()), |r| t(r.health.status_text()), |r| t(if r.state.up { "UP" } else { "DOWN" })),
    field("weight", "MaP:u32", |_| EMPTY, |r| n(r.health.shown_weight(r.now)), |r| n(r.weight())),
    field("act", "SGP:u32", |_| EMPTY, |r| n(u32::from(!r.server.conf.backup)), |r| n(r.state.active)),
    field("bck", "SGP:u32", |_| EMPTY, |r| n(u32::from(r.server.conf.backup)), |r| n(r.state.backup)),
    field("chkfail", "MCP:u64", |_| EMPTY, |r| r.checked(|h| n(h.failed_checks())), |_| EMPTY),
    field("chkdown", "MCP:u64", |_| EMPTY, |r| r.checked(|h| n(h.down_transitions())), |r| n(r.state.down_transitions)),
    field("lastchg", "MAP:u32", |_| EMPTY, |r| n(r.now.saturating_sub(r.health.last_change()) / 1000), |r| n(r.now.saturating_sub(r.state.last_change) / 1000)),
    field("downtime", "MCP:u32", |_| EMPTY, |r| r.checked(|h| n(h.downtime(r.now) / 1000)), |r| n(r.state.downtime(r.now) / 1000)),
    field("qlimit", "CGS:u32", |_| EMPTY, |r| positive(r.server.conf.maxqueue), |_| EMPTY),
    field("pid", "KGP:u32", |_| n(1_u32), |_| n(1_u32), |_| n(1_u32)),
    field("iid", "KGS:u32", |r| n(r.proxy.conf().id), |r| n(r.proxy.conf().id), |r| n(r.proxy.conf().id)),
    field("sid", "KGS:u32", |_| ZERO, |r| n(r.server.conf.id), |_| ZERO),
    field("throttle", "MaP:u32", |_| EMPTY, |r| r.health.throttle(r.now).map_or(Value::Empty, n), |_| EMPTY),
    field("lbtot", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.balanced)), |r| n(r.back.totals.sum(|t| &t.balanced))),
    field("tracked", "CNS:str", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("type", "CGS:u32", |_| ZERO, |_| n(2_u32), |_| n(1_u32)),
    field("rate", "MRP:u32", |r| n(r.front.session_rate.get(r.now)), |r| n(r.server.rate.get(r.now)), |r| n(r.back.rate.get(r.now))),
    field("rate_lim", "CLP:u32", |r| n(r.rate_limit()), |_| EMPTY, |_| EMPTY),
    field("rate_max", "MMP:u32", |r| n(r.front.session_rate.most()), |r| n(r.server.rate.most()), |r| n(r.back.rate.most())),
    field("check_status", "MOP:str", |_| EMPTY, |r| r.running(|h| t(check_status(h))), |_| EMPTY),
    field("check_code", "MOP:u32", |_| EMPTY, |r| r.reported(check_code), |_| EMPTY),
    field("check_duration", "MDP:u64", |_| EMPTY, |r| r.reported(|p| p.duration_ms.map_or(Value::Empty, n)), |_| EMPTY),
    field("hrsp_1xx", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_2xx", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_3xx", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_4xx", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_5xx", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hrsp_other", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("hanafail", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("req_rate", "MRP:u32", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_rate_max", "MMP:u32", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_tot", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("cli_abrt", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.client_aborts)), |r| n(r.back.totals.sum(|t| &t.client_aborts))),
    field("srv_abrt", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.server_aborts)), |r| n(r.back.totals.sum(|t| &t.server_aborts))),
    field("comp_in", "MCP:u64", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_out", "MCP:u64", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_byp", "MCP:u64", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("comp_rsp", "MCP:u64", |_| ZERO, |_| EMPTY, |_| ZERO),
    field("lastsess", "MAP:s32", |_| EMPTY, |r| since(r.server.last_session(), r.now), |r| since(r.back.last_session(), r.now)),
    field("last_chk", "MOP:str", |_| EMPTY, |r| r.reported(|p| t(&p.outcome.info)), |_| EMPTY),
    field("last_agt", "MOP:str", |_| EMPTY, |r| r.agent_reported(|p| t(&p.outcome.info)), |_| EMPTY),
    field("qtime", "MaP:u32", |_| EMPTY, |r| n(r.server.times.queue.average()), |r| n(r.back.times.queue.average())),
    field("ctime", "MaP:u32", |_| EMPTY, |r| n(r.server.times.connect.average()), |r| n(r.back.times.connect.average())),
    field("rtime", "MaP:u32", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("ttime", "MaP:u32", |_| EMPTY, |r| n(r.server.times.total.average()), |r| n(r.back.times.total.average())),
    field("agent_status", "MOP:str", |_| EMPTY, |r| r.agent(|h| t(agent_status(h))), |_| EMPTY),
    field("agent_code", "MOP:u32", |_| EMPTY, |r| r.agent_reported(check_code), |_| EMPTY),
    field("agent_duration", "MDP:u64", |_| EMPTY, |r| r.agent_reported(|p| p.duration_ms.map_or(Value::Empty, n)), |_| EMPTY),
    field("check_desc", "MOP:str", |_| EMPTY, |r| r.running(|h| t(h.check_status().description())), |_| EMPTY),
    field("agent_desc", "MOP:str", |_| EMPTY, |r| r.agent(|h| t(h.agent_status().0.description())), |_| EMPTY),
    field("check_rise", "CGS:u32", |_| EMPTY, |r| r.running(|h| n(h.rise_fall().0)), |_| EMPTY),
    field("check_fall", "CGS:u32", |_| EMPTY, |r| r.running(|h| n(h.rise_fall().1)), |_| EMPTY),
    field("check_health", "CGS:u32", |_| EMPTY, |r| r.running(|h| n(h.health())), |_| EMPTY),
    field("agent_rise", "CGS:u32", |_| EMPTY, |r| r.agent(|_| n(1_u32)), |_| EMPTY),
    field("agent_fall", "CGS:u32", |_| EMPTY, |r| r.agent(|_| n(1_u32)), |_| EMPTY),
    field("agent_health", "CGS:u32", |_| EMPTY, |r| r.agent(|h| n(h.agent_health())), |_| EMPTY),
    field("addr", "CGS:str", |_| EMPTY, |r| r.address(), |_| EMPTY),
    field("cookie", "CNS:str", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("mode", "CGS:str", |r| t(if r.proxy.conf().pages.is_some() { "http" } else { "tcp" }), |_| t("tcp"), |_| t("tcp")),
    field("algo", "CGS:str", |_| EMPTY, |_| EMPTY, |r| r.algorithm()),
    field("conn_rate", "MRP:u32", |r| n(r.front.connection_rate.get(r.now)), |_| EMPTY, |_| EMPTY),
    field("conn_rate_max", "MMP:u32", |r| n(r.front.connection_rate.most()), |_| EMPTY, |_| EMPTY),
    field("conn_tot", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.connections)), |_| EMPTY, |_| EMPTY),
    field("intercepted", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("dcon", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.denied_connections)), |_| EMPTY, |_| EMPTY),
    field("dses", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.denied_sessions)), |_| EMPTY, |_| EMPTY),
    field("wrew", "MCP:u64", |_| ZERO, |_| ZERO, |_| ZERO),
    field("connect", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.connects)), |r| n(r.back.totals.sum(|t| &t.connects))),
    field("reuse", "MCP:u64", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("cache_lookups", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("cache_hits", "MCP:u64", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("srv_icur", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("src_ilim", "MLP:u32", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("qtime_max", "MMP:u32", |_| EMPTY, |r| n(r.server.times.queue.max()), |r| n(r.back.times.queue.max())),
    field("ctime_max", "MMP:u32", |_| EMPTY, |r| n(r.server.times.connect.max()), |r| n(r.back.times.connect.max())),
    field("rtime_max", "MMP:u32", |_| EMPTY, |_| ZERO, |_| ZERO),
    field("ttime_max", "MMP:u32", |_| EMPTY, |r| n(r.server.times.total.max()), |r| n(r.back.times.total.max())),
    field("eint", "MCP:u64", |_| ZERO, |_| ZERO, |_| ZERO),
    field("idle_conn_cur", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("safe_conn_cur", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("used_conn_cur", "MGP:u32", |_| EMPTY, |r| n(r.server.sessions.get()), |_| EMPTY),
    field("need_conn_est", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("uweight", "MaP:u32", |_| EMPTY, |r| n(r.health.uweight()), |r| n(r.user_weight())),
    field("agg_server_status", "MGP:u32", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("agg_server_check_status", "MGP:u32", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("agg_check_status", "MGP:u32", |_| EMPTY, |_| EMPTY, |_| ZERO),
    field("srid", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("sess_other", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h1sess", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h2sess", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h3sess", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("req_other", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h1req", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h2req", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("h3req", "MCP:u64", |_| ZERO, |_| EMPTY, |_| EMPTY),
    field("proto", "SOP:str", |_| EMPTY, |_| EMPTY, |_| EMPTY),
    field("priv_idle_cur", "MGP:u32", |_| EMPTY, |_| ZERO, |_| EMPTY),
    field("reqbin", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("reqbout", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_in)), |r| n(r.server.totals.sum(|t| &t.bytes_in)), |r| n(r.back.totals.sum(|t| &t.bytes_in))),
    field("resbin", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("resbout", "MCP:u64", |r| n(r.front.totals.sum(|t| &t.bytes_out)), |r| n(r.server.totals.sum(|t| &t.bytes_out)), |r| n(r.back.totals.sum(|t| &t.bytes_out))),
    field("-", "KNS:str", |_| t("-"), |_| t("-"), |_| t("-")),
    // Posthouse's own: what HAProxy has no word for.
    field("ph_refused", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.refused)), |r| r.servers(|t| &t.refused)),
    field("ph_silent", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.silent)), |r| r.servers(|t| &t.silent)),
    field("ph_unwelcome", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.unwelcome)), |r| r.servers(|t| &t.unwelcome)),
    field("ph_hedges_won", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.hedges_won)), |r| r.servers(|t| &t.hedges_won)),
    field("ph_hedges_lost", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.hedges_lost)), |r| r.servers(|t| &t.hedges_lost)),
    field("ph_rescued", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.rescued)), |r| r.servers(|t| &t.rescued)),
    field("ph_unavailable", "MCP:u64", |_| EMPTY, |_| EMPTY, |r| n(r.back.totals.sum(|t| &t.unavailable))),
    field("ph_held", "MCP:u64", |_| EMPTY, |_| EMPTY, |r| n(r.back.totals.sum(|t| &t.held))),
    field("ph_holding", "MGP:u32", |_| EMPTY, |_| EMPTY, |r| n(r.back.hold.waiting() as u64)),
    field("ph_greeting_ms", "MaP:u64", |_| EMPTY, |r| r.server.greeted().map_or(EMPTY, |_| n(r.server.pace())), |_| EMPTY),
    field("ph_reserve", "SGP:u32", |_| EMPTY, |r| n(u32::from(r.health.in_reserve())), |_| EMPTY),
    field("ph_tls_failed", "MCP:u64", |_| EMPTY, |r| n(r.server.totals.sum(|t| &t.tls_failures)), |r| r.servers(|t| &t.tls_failures)),
    field("ph_cert_days", "MGP:s32", |_| EMPTY, |r| r.server.certificate().map_or(EMPTY, |seen| Value::Signed(days_left(seen.leaf.not_after))), |_| EMPTY),
    field("ph_cert_expiry", "MGP:s64", |_| EMPTY, |r| r.server.certificate().map_or(EMPTY, |seen| Value::Signed(seen.leaf.not_after)), |_| EMPTY),
    field("ph_degraded", "SGP:u32", |_| EMPTY, |r| n(u32::from(r.health.flaw().is_some())), |_| EMPTY),
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

fn agent_status(health: &Health) -> String {
    let (status, running) = health.agent_status();
    let running = if running { "* " } else { "" };
    format!("{running}{}", status.name())
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
        let stopped = self.proxy.conf().disabled || self.front.is_stopped();
        match (stopped, self.front.is_paused()) {
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

    /// Of servers whose agent is asked.
    fn agent(&self, value: impl Fn(&Health) -> Value) -> Value {
        if self.health.has_agent() {
            value(self.health)
        } else {
            Value::Empty
        }
    }

    /// Of what it said last.
    fn agent_reported(&self, value: impl Fn(&Report) -> Value) -> Value {
        self.agent(|health| health.last_agent_report().map_or(Value::Empty, &value))
    }

    fn address(&self) -> Value {
        match &self.server.place().address {
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
        n(self
            .servers
            .iter()
            .map(|server| server.totals.sum(total))
            .sum::<u64>())
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
        let servers = self.servers.iter().zip(&self.healths);
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
