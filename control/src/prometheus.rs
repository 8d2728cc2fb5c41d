//! Metrics for Prometheus, as HAProxy's exporter has them: names, types, labels and filters (haproxy-compat 5).
//! Made of the rows of `show stat` and `show info`, so that a number has one source; histograms have no column.

mod metrics;
mod query;
mod write;

use std::fmt::{self, Display, Formatter};

use engine::histogram::Distribution;

use self::metrics::{Metric, Shape};
pub(crate) use self::query::Query;
use self::query::Scope;
use self::write::{Writer, escaped};
use crate::Desk;
use crate::info;
use crate::stat::{self, Kind, Row, Selection, Value};

/// What is told of which objects.
const TABLES: &[(Scope, Kind, &str, &[Metric])] = &[
    (
        Scope::Frontend,
        Kind::Frontend,
        "haproxy_frontend",
        metrics::FRONTEND,
    ),
    (
        Scope::Listener,
        Kind::Listener,
        "haproxy_listener",
        metrics::LISTENER,
    ),
    (
        Scope::Backend,
        Kind::Backend,
        "haproxy_backend",
        metrics::BACKEND,
    ),
    (
        Scope::Backend,
        Kind::Backend,
        "posthouse_backend",
        metrics::OWN_BACKEND,
    ),
    (
        Scope::Server,
        Kind::Server,
        "haproxy_server",
        metrics::SERVER,
    ),
    (
        Scope::Server,
        Kind::Server,
        "posthouse_server",
        metrics::OWN_SERVER,
    ),
];

/// All that is wanted, in the text format 0.0.4.
pub(crate) fn text(desk: &Desk, query: &Query) -> String {
    let mut out = Writer::new(query);
    if query.wants(Scope::Global) {
        process(&mut out, desk);
    }
    let all = Selection {
        proxy: None,
        kinds: -1,
        server: -1,
        no_maint: false,
        up: false,
    };
    let rows = stat::rows(&desk.plane, &all, false).unwrap_or_default();
    let subject = |row| Subject::new(row, description(desk, query, row));
    let subjects: Vec<_> = rows.iter().map(subject).collect();
    let of = |kind: Kind| {
        let own = subjects.iter().filter(|subject| subject.row.kind == kind);
        own.collect::<Vec<_>>()
    };
    // What a backend adds up are all its servers, those in maintenance too.
    let servers = of(Kind::Server);
    let shown = |kind: Kind| {
        let mut own = of(kind);
        own.retain(|subject| !query.no_maint || subject.state != "MAINT");
        own
    };
    for (_, kind, prefix, metrics) in TABLES.iter().filter(|(scope, ..)| query.wants(*scope)) {
        table(&mut out, prefix, metrics, &shown(*kind), &servers);
    }
    let proxies = &desk.plane.topology().proxies;
    let backend = |row: &Row| proxies.get(row.place.0)?.back.as_ref();
    if query.wants(Scope::Backend) {
        histogram(
            &mut out,
            "posthouse_backend",
            &metrics::FAILOVER,
            &shown(Kind::Backend),
            |row| Some(backend(row)?.failovers.distribution()),
        );
    }
    if query.wants(Scope::Server) {
        histogram(
            &mut out,
            "posthouse_server",
            &metrics::GREETING,
            &shown(Kind::Server),
            |row| {
                let server = backend(row)?.servers().at(row.place.1).cloned()?;
                Some(server.greetings.as_ref()?.distribution())
            },
        );
    }
    if query.wants(Scope::StickTable) {
        tables(&mut out, desk);
    }
    out.finish()
}

/// A frontend, a backend, a server: its row, and what more than one metric needs of it.
struct Subject<'r> {
    row: &'r Row,
    /// `proxy="be",server="s1"`.
    labels: String,
    /// The first word of its status.
    state: &'r str,
    /// The result of the last check of a server that is checked.
    check: Option<&'r str>,
}

impl<'r> Subject<'r> {
    fn new(row: &'r Row, description: Option<&str>) -> Self {
        let mut labels = format!("proxy=\"{}\"", escaped(text_of(row, "pxname")));
        let own = match row.kind {
            Kind::Server => Some("server"),
            Kind::Listener => Some("listener"),
            Kind::Frontend | Kind::Backend => None,
        };
        if let Some(own) = own {
            labels += &format!(",{own}=\"{}\"", escaped(text_of(row, "svname")));
        }
        if let Some(description) = description {
            labels += &format!(",desc=\"{}\"", escaped(description));
        }
        let check = text_of(row, "check_status");
        Self {
            row,
            labels,
            state: state_of(row.kind, text_of(row, "status")),
            check: (!check.is_empty()).then(|| check.trim_start_matches("* ")),
        }
    }
}

/// `UP 2/3` is UP; so is a server without a check, and a frontend unless it is stopped.
fn state_of(kind: Kind, status: &str) -> &str {
    match (kind, status.split(' ').next().unwrap_or_default()) {
        (Kind::Frontend, "STOP") => "DOWN",
        (Kind::Frontend, _) | (Kind::Server, "no") => "UP",
        (_, word) => word,
    }
}

fn text_of<'r>(row: &'r Row, column: &str) -> &'r str {
    match stat::column(column).and_then(|column| row.values.get(column)) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

/// `description` of the row's proxy, where `desc-labels` asks for it.
fn description<'d>(desk: &'d Desk, query: &Query, row: &Row) -> Option<&'d str> {
    let proxy = &desk.plane.topology().proxies[row.place.0];
    proxy
        .conf()
        .description
        .as_deref()
        .filter(|_| query.descriptions)
}

const FRONTS: &[&str] = &["DOWN", "UP"];
const LISTENERS: &[&str] = &["WAITING", "OPEN", "FULL"];
const SERVERS: &[&str] = &["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const CHECKS: &[&str] = &[
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// All metrics of a scope; `servers` are those that backends add up.
fn table(
    out: &mut Writer<'_>,
    prefix: &str,
    table: &[Metric],
    subjects: &[&Subject<'_>],
    servers: &[&Subject<'_>],
) {
    for metric in table {
        if subjects.is_empty() || !out.head(prefix, metric) {
            continue;
        }
        let column = stat::column(metric.column);
        for subject in subjects {
            let value = column.and_then(|column| subject.row.values.get(column));
            let value = value.unwrap_or(&Value::Empty);
            let labels = (&*subject.labels, None);
            match metric.shape {
                Shape::Plain => out.sample(prefix, metric, labels, Number(value)),
                Shape::Millis => out.sample(prefix, metric, labels, Seconds(value)),
                Shape::Checked | Shape::CheckedMillis | Shape::Check if subject.check.is_none() => {
                }
                Shape::Checked => out.sample(prefix, metric, labels, count(value)),
                Shape::CheckedMillis => {
                    let value = Value::Number(count(value));
                    out.sample(prefix, metric, labels, Seconds(&value));
                }
                Shape::Front => {
                    states(out, prefix, metric, subject, FRONTS, |is| {
                        u64::from(is == subject.state)
                    });
                }
                Shape::Listener => {
                    states(out, prefix, metric, subject, LISTENERS, |is| {
                        u64::from(is == subject.state)
                    });
                }
                Shape::Server => {
                    states(out, prefix, metric, subject, SERVERS, |is| {
                        u64::from(is == subject.state)
                    });
                }
                Shape::Check => states(out, prefix, metric, subject, CHECKS, |is| {
                    u64::from(Some(is) == subject.check)
                }),
                Shape::AggregateStatus => {
                    let own = own(subject, servers);
                    states(out, prefix, metric, subject, SERVERS, |is| {
                        own.iter().filter(|server| server.state == is).count() as u64
                    });
                }
                Shape::AggregateCheck => {
                    let own = own(subject, servers);
                    states(out, prefix, metric, subject, CHECKS, |is| {
                        own.iter().filter(|server| server.check == Some(is)).count() as u64
                    });
                }
            }
        }
    }
}

/// A sample for each state.
fn states(
    out: &mut Writer<'_>,
    prefix: &str,
    metric: &Metric,
    subject: &Subject<'_>,
    states: &[&str],
    value: impl Fn(&str) -> u64,
) {
    for state in states {
        out.sample(prefix, metric, (&subject.labels, Some(state)), value(state));
    }
}

/// The servers of a backend. They stand together, as in the configuration.
fn own<'s, 'r>(back: &Subject<'_>, servers: &'s [&'r Subject<'r>]) -> &'s [&'r Subject<'r>] {
    let proxy = back.row.place.0;
    let from = servers.partition_point(|server| server.row.place.0 < proxy);
    let to = servers.partition_point(|server| server.row.place.0 <= proxy);
    &servers[from..to]
}

/// A value as it is; `NaN` where there is none.
struct Number<'v>(&'v Value);

impl Display for Number<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Number(number) => number.fmt(f),
            Value::Signed(number) => number.fmt(f),
            Value::Empty | Value::Text(_) => f.write_str("NaN"),
        }
    }
}

/// Milliseconds, as seconds.
struct Seconds<'v>(&'v Value);

impl Display for Seconds<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Number(ms) => write!(f, "{}.{:03}000", ms / 1000, ms % 1000),
            _ => f.write_str("NaN"),
        }
    }
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Number(number) => *number,
        _ => 0,
    }
}

fn histogram<'s>(
    out: &mut Writer<'_>,
    prefix: &str,
    metric: &Metric,
    subjects: &[&'s Subject<'_>],
    found: impl Fn(&'s Row) -> Option<Distribution>,
) {
    let found = |subject: &&'s Subject<'_>| Some((&*subject.labels, found(subject.row)?));
    let mut found = subjects.iter().filter_map(found).peekable();
    if found.peek().is_some() && out.head(prefix, metric) {
        for (labels, distribution) in found {
            out.histogram(prefix, metric, labels, &distribution);
        }
    }
}

fn process(out: &mut Writer<'_>, desk: &Desk) {
    const PREFIX: &str = "haproxy_process";
    let info = info::values(desk);
    let global = &desk.plane.topology().model.global;
    let described = global
        .description
        .as_deref()
        .filter(|_| out.wants_descriptions());
    let described =
        described.map_or_else(String::new, |text| format!("desc=\"{}\"", escaped(text)));
    for metric in metrics::PROCESS {
        let found = info.iter().find(|(name, _)| *name == metric.column);
        let shown = found.map_or("NaN", |(_, value)| value.as_str());
        let label = match metric.name {
            "build_info" => Some("version"),
            "node" => Some("node"),
            "description" => Some("desc"),
            _ => None,
        };
        if metric.name == "description" && found.is_none() || !out.head(PREFIX, metric) {
            continue;
        }
        match label {
            Some(label) => {
                let labels = format!("{label}=\"{}\"", escaped(shown));
                out.sample(PREFIX, metric, (&labels, None), 1);
            }
            None => out.sample(PREFIX, metric, (&described, None), shown),
        }
    }
}

fn tables(out: &mut Writer<'_>, desk: &Desk) {
    const PREFIX: &str = "haproxy_sticktable";
    let now = desk.plane.now();
    let proxies = desk.plane.topology().proxies.iter();
    let tables: Vec<_> = proxies
        .filter_map(|proxy| {
            let table = proxy.table.as_ref()?;
            let name = escaped(proxy.name());
            let labels = format!("name=\"{name}\",type=\"{}\"", table.type_name());
            // There are no peers that changes could be told to.
            Some((labels, [table.spec().size, table.used(now), 0]))
        })
        .collect();
    for (place, metric) in metrics::STICK_TABLE.iter().enumerate() {
        if tables.is_empty() || !out.head(PREFIX, metric) {
            continue;
        }
        for (labels, values) in &tables {
            out.sample(PREFIX, metric, (labels, None), values[place]);
        }
    }
}

/// What the metric of a column of `show stat`, or of a line of `show info`, says it is.
pub(crate) fn help(column: &str) -> Option<&'static str> {
    use metrics::{BACKEND, FRONTEND, OWN_BACKEND, OWN_SERVER, PROCESS, SERVER};
    let tables = [PROCESS, SERVER, BACKEND, FRONTEND, OWN_SERVER, OWN_BACKEND];
    let mut metrics = tables.into_iter().flatten();
    metrics
        .find(|metric| metric.column == column)
        .map(|metric| metric.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_exists_and_no_name_is_there_twice() {
        for (table, own) in [
            (metrics::FRONTEND, metrics::LISTENER),
            (metrics::BACKEND, metrics::OWN_BACKEND),
            (metrics::SERVER, metrics::OWN_SERVER),
        ] {
            for metric in table.iter().chain(own) {
                let known = metric.column == "-" || stat::column(metric.column).is_some();
                assert!(known, "{}: {}", metric.name, metric.column);
            }
            let mut names: Vec<_> = table.iter().map(|metric| metric.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
    }

    #[test]
    fn values_are_told_in_prometheus_words() {
        assert_eq!(Seconds(&Value::Number(1_234)).to_string(), "1.234000");
        assert_eq!(Number(&Value::Empty).to_string(), "NaN");
        let states = [("UP 2/3", "UP"), ("no check", "UP"), ("NOLB", "NOLB")];
        for (status, state) in states {
            assert_eq!(state_of(Kind::Server, status), state);
        }
        assert_eq!(state_of(Kind::Frontend, "PAUSED"), "UP");
        assert_eq!(state_of(Kind::Listener, "OPEN"), "OPEN");
    }
}
