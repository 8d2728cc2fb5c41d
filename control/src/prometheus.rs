//! Metrics for Prometheus, as HAProxy's exporter has them: names, types, labels and filters (haproxy-compat 5).
//! Made of the rows of `show stat` and `show info`, so that a number has one source; histograms have no column.

mod alerts;
mod metrics;
mod query;
mod smtp;
mod write;

use std::sync::Arc;

use engine::histogram::Distribution;
use engine::server::Step;

use self::metrics::{Metric, Shape};
pub use self::query::Query;
use self::query::Scope;
use self::write::{Shown, Writer, escaped};
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
    // Scrapes are alike.
    let mut out = Writer::new(query, desk.scraped.get());
    if query.wants(Scope::Global) {
        process(&mut out, desk);
        certificates(&mut out, desk);
        alerts::receivers(&mut out, &desk.outlets);
        smtp::process(&mut out, desk.plane.topology(), desk.plane.process());
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
        smtp::of_backends(&mut out, desk.plane.topology());
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
    if query.wants(Scope::Server) {
        steps(&mut out, &shown(Kind::Server), |row| {
            backend(row)?.servers().at(row.place.1)?.steps()
        });
    }
    if query.wants(Scope::StickTable) {
        tables(&mut out, desk);
    }
    let text = out.finish();
    desk.scraped.set(text.len() + text.len() / 16);
    text
}

/// Our certificates, where there are any.
fn certificates(out: &mut Writer<'_>, desk: &Desk) {
    let mut all = desk.plane.topology().tls.store.iter().peekable();
    if all.peek().is_none() || !out.head("posthouse_certificate", &metrics::CERTIFICATE) {
        return;
    }
    for entry in all {
        let path = entry.path.display().to_string();
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        out.sample(
            &format!("file=\"{path}\""),
            Shown::Signed(entry.current().leaf.not_after),
        );
    }
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
            samples(
                out,
                metric.shape,
                subject,
                value.unwrap_or(&Value::Empty),
                servers,
            );
        }
    }
}

/// The samples of one object.
fn samples(
    out: &mut Writer<'_>,
    shape: Shape,
    subject: &Subject<'_>,
    value: &Value,
    servers: &[&Subject<'_>],
) {
    let mut states = |names: &[&str], value: &dyn Fn(&str) -> u64| {
        for name in names {
            out.state(&subject.labels, name, value(name));
        }
    };
    let is_in = |state: &str| u64::from(state == subject.state);
    match shape {
        Shape::Checked | Shape::CheckedMillis | Shape::Check if subject.check.is_none() => {}
        Shape::Front => states(FRONTS, &is_in),
        Shape::Listener => states(LISTENERS, &is_in),
        Shape::Server => states(SERVERS, &is_in),
        Shape::Check => states(CHECKS, &|check| u64::from(Some(check) == subject.check)),
        Shape::AggregateStatus => {
            let own = own(subject, servers);
            states(SERVERS, &|state| count(own, |server| server.state == state));
        }
        Shape::AggregateCheck => {
            let own = own(subject, servers);
            states(CHECKS, &|check| {
                count(own, |server| server.check == Some(check))
            });
        }
        Shape::Plain | Shape::Millis | Shape::Checked | Shape::CheckedMillis => {
            out.sample(&subject.labels, shown(shape, value));
        }
    }
}

fn count(servers: &[&Subject<'_>], fits: impl Fn(&Subject<'_>) -> bool) -> u64 {
    servers.iter().filter(|server| fits(server)).count() as u64
}

fn shown(shape: Shape, value: &Value) -> Shown<'static> {
    let in_ms = matches!(shape, Shape::Millis | Shape::CheckedMillis);
    match value {
        Value::Number(ms) if in_ms => Shown::Millis(*ms),
        Value::Number(number) => Shown::Number(*number),
        Value::Signed(number) => Shown::Signed(*number),
        _ if shape == Shape::CheckedMillis => Shown::Millis(0),
        _ if shape == Shape::Checked => Shown::Number(0),
        Value::Empty | Value::Text(_) => Shown::Nothing,
    }
}

/// The servers of a backend. They stand together, as in the configuration.
fn own<'s, 'r>(back: &Subject<'_>, servers: &'s [&'r Subject<'r>]) -> &'s [&'r Subject<'r>] {
    let proxy = back.row.place.0;
    let from = servers.partition_point(|server| server.row.place.0 < proxy);
    let to = servers.partition_point(|server| server.row.place.0 <= proxy);
    &servers[from..to]
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
            out.histogram(labels, &distribution);
        }
    }
}

/// The times of deep checks, where there are any.
fn steps(
    out: &mut Writer<'_>,
    servers: &[&Subject<'_>],
    found: impl Fn(&Row) -> Option<Arc<Vec<(Step, u64)>>>,
) {
    let found = |server: &&Subject<'_>| Some((server.labels.clone(), found(server.row)?));
    let found: Vec<_> = servers.iter().filter_map(found).collect();
    if found.is_empty() || !out.head("posthouse_server", &metrics::STEP) {
        return;
    }
    for (labels, steps) in found {
        for step in Step::ALL {
            // A step that came more than once: all of it.
            let own = steps.iter().filter(|(other, _)| *other == step);
            let mut own = own.map(|(_, ms)| *ms).peekable();
            if own.peek().is_some() {
                let labels = format!("{labels},step=\"{}\"", step.name());
                out.sample(&labels, Shown::Millis(own.sum()));
            }
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
                out.sample(&labels, Shown::Number(1));
            }
            None => out.sample(&described, Shown::Text(shown)),
        }
    }
    own_process(out, desk);
}

fn own_process(out: &mut Writer<'_>, desk: &Desk) {
    const PREFIX: &str = "posthouse_process";
    let values = [desk.plane.events().total(), desk.outlets.event_log_lost()];
    for (metric, value) in metrics::OWN_PROCESS.iter().zip(values) {
        if out.head(PREFIX, metric) {
            out.sample("", Shown::Number(value));
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
            out.sample(labels, Shown::Number(values[place]));
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
    fn a_status_is_a_state() {
        let states = [("UP 2/3", "UP"), ("no check", "UP"), ("NOLB", "NOLB")];
        for (status, state) in states {
            assert_eq!(state_of(Kind::Server, status), state);
        }
        assert_eq!(state_of(Kind::Frontend, "PAUSED"), "UP");
        assert_eq!(state_of(Kind::Listener, "OPEN"), "OPEN");
    }
}
