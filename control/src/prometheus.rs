//! Metrics for Prometheus, as HAProxy's exporter has them: names, types, labels, `scope`, `metrics`, `no-maint`
//! (haproxy-compat 5). Made of the rows of `show stat` and `show info`, so that a number has one source.

mod metrics;

use std::fmt::Write as _;

use self::metrics::{Kind, Metric, Shape};
use crate::Desk;
use crate::info;
use crate::stat::{self, Row, Selection, Value};

/// What of it is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    scopes: Option<Vec<Scope>>,
    /// Names, with `-` before those that are not wanted.
    metrics: Vec<String>,
    no_maint: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Global,
    Frontend,
    Listener,
    Backend,
    Server,
    StickTable,
}

const SCOPES: &[(&str, Scope)] = &[
    ("global", Scope::Global),
    ("frontend", Scope::Frontend),
    ("listener", Scope::Listener),
    ("backend", Scope::Backend),
    ("server", Scope::Server),
    ("sticktable", Scope::StickTable),
];

impl Query {
    /// From what follows the `?`. `None`: a scope that there is not.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "scope" => {
                    let scopes = query.scopes.get_or_insert_default();
                    match value {
                        "" => scopes.clear(),
                        "*" => scopes.extend(SCOPES.iter().map(|(_, scope)| *scope)),
                        value => {
                            let known = SCOPES.iter().find(|(name, _)| *name == value)?;
                            scopes.push(known.1);
                        }
                    }
                }
                "metrics" => query.metrics.extend(value.split(',').map(str::to_owned)),
                "no-maint" => query.no_maint = true,
                _ => {}
            }
        }
        Some(query)
    }

    fn wants(&self, scope: Scope) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether that metric is wanted: all, unless some are named.
    fn wants_metric(&self, name: &str) -> bool {
        let named = |wanted: &&String| wanted.strip_prefix('-').unwrap_or(wanted) == name;
        match self.metrics.iter().rfind(named) {
            Some(wanted) => !wanted.starts_with('-'),
            None => self
                .metrics
                .iter()
                .all(|wanted| wanted.starts_with('-') || wanted.is_empty()),
        }
    }
}

/// All that is wanted, in the text format 0.0.4.
pub(crate) fn text(desk: &Desk, query: &Query) -> String {
    let mut out = Writer {
        out: String::with_capacity(64 * 1024),
        query,
    };
    if query.wants(Scope::Global) {
        process(&mut out, desk);
    }
    let selection = Selection {
        proxy: None,
        kinds: -1,
        server: -1,
        no_maint: query.no_maint,
        up: false,
    };
    let rows = stat::rows(&desk.plane, &selection, false).unwrap_or_default();
    let of = |kind: stat::Kind| {
        rows.iter()
            .filter(|row| row.kind == kind)
            .collect::<Vec<_>>()
    };
    let (fronts, backs) = (of(stat::Kind::Frontend), of(stat::Kind::Backend));
    let servers = of(stat::Kind::Server);
    if query.wants(Scope::Frontend) {
        out.table("haproxy_frontend", metrics::FRONTEND, &fronts, &[]);
    }
    if query.wants(Scope::Backend) {
        out.table("haproxy_backend", metrics::BACKEND, &backs, &servers);
        out.table("posthouse_backend", metrics::OWN_BACKEND, &backs, &[]);
    }
    if query.wants(Scope::Server) {
        out.table("haproxy_server", metrics::SERVER, &servers, &[]);
        out.table("posthouse_server", metrics::OWN_SERVER, &servers, &[]);
    }
    if query.wants(Scope::StickTable) {
        tables(&mut out, desk);
    }
    out.out
}

struct Writer<'q> {
    out: String,
    query: &'q Query,
}

impl Writer<'_> {
    /// The two lines before a metric's samples. False: it is not wanted.
    fn head(&mut self, prefix: &str, metric: &Metric) -> bool {
        let name = format!("{prefix}_{}", metric.name);
        if !self.query.wants_metric(&name) {
            return false;
        }
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            self.out,
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            metric.help
        );
        true
    }

    fn sample(
        &mut self,
        prefix: &str,
        metric: &Metric,
        labels: &str,
        value: impl std::fmt::Display,
    ) {
        let braces = if labels.is_empty() {
            ("", "")
        } else {
            ("{", "}")
        };
        let _ = writeln!(
            self.out,
            "{prefix}_{}{}{labels}{} {value}",
            metric.name, braces.0, braces.1
        );
    }

    fn table(&mut self, prefix: &str, table: &[Metric], rows: &[&Row], servers: &[&Row]) {
        for metric in table {
            if rows.is_empty() || !self.head(prefix, metric) {
                continue;
            }
            let column = stat::column(metric.column);
            for row in rows {
                let value = column.and_then(|column| row.values.get(column));
                self.samples(prefix, metric, row, value.unwrap_or(&Value::Empty), servers);
            }
        }
    }

    fn samples(
        &mut self,
        prefix: &str,
        metric: &Metric,
        row: &Row,
        value: &Value,
        servers: &[&Row],
    ) {
        let labels = labels(row);
        let states = |shape: Shape| match shape {
            Shape::Front | Shape::Back => &["DOWN", "UP"][..],
            Shape::Server | Shape::AggregateStatus => &["DOWN", "UP", "MAINT", "DRAIN", "NOLB"][..],
            _ => CHECKS,
        };
        match metric.shape {
            Shape::Plain => self.sample(prefix, metric, &labels, number(value)),
            Shape::Millis => self.sample(prefix, metric, &labels, seconds(value)),
            Shape::Checked | Shape::CheckedMillis if row.check().is_none() => {}
            Shape::Checked => self.sample(prefix, metric, &labels, count(value)),
            Shape::CheckedMillis => self.sample(
                prefix,
                metric,
                &labels,
                seconds(&Value::Number(count(value))),
            ),
            Shape::Check if row.check().is_none() => {}
            Shape::Front | Shape::Back | Shape::Server | Shape::Check => {
                let is = match metric.shape {
                    Shape::Front if row.text("status") == "STOP" => "DOWN",
                    Shape::Front => "UP",
                    Shape::Back => row.text("status"),
                    Shape::Server => server_state(row.text("status")),
                    _ => row.check().unwrap_or_default(),
                };
                for state in states(metric.shape) {
                    let labels = format!("{labels},state=\"{state}\"");
                    self.sample(prefix, metric, &labels, u8::from(is == *state));
                }
            }
            Shape::AggregateStatus | Shape::AggregateCheck => {
                let own = servers.iter().filter(|server| server.proxy == row.proxy);
                let found: Vec<&str> = if metric.shape == Shape::AggregateStatus {
                    own.map(|server| server_state(server.text("status")))
                        .collect()
                } else {
                    own.filter_map(|server| server.check()).collect()
                };
                for state in states(metric.shape) {
                    let labels = format!("{labels},state=\"{state}\"");
                    let count = found.iter().filter(|is| *is == state).count();
                    self.sample(prefix, metric, &labels, count);
                }
            }
        }
    }
}

/// Results of checks that have a sample.
const CHECKS: &[&str] = &[
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

impl Row {
    fn text(&self, column: &str) -> &str {
        match stat::column(column).and_then(|column| self.values.get(column)) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The result of the last check of a server that is checked.
    fn check(&self) -> Option<&str> {
        let status = self.text("check_status");
        (!status.is_empty()).then(|| status.trim_start_matches("* "))
    }
}

/// `UP 2/3` is UP, and so is a server without a check.
fn server_state(status: &str) -> &str {
    match status.split(' ').next().unwrap_or_default() {
        "no" => "UP",
        word => word,
    }
}

fn labels(row: &Row) -> String {
    let proxy = escaped(row.text("pxname"));
    match row.kind {
        stat::Kind::Server => {
            format!(
                "proxy=\"{proxy}\",server=\"{}\"",
                escaped(row.text("svname"))
            )
        }
        stat::Kind::Frontend | stat::Kind::Backend => format!("proxy=\"{proxy}\""),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn number(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Empty | Value::Text(_) => "NaN".to_owned(),
    }
}

fn seconds(value: &Value) -> String {
    match value {
        Value::Number(ms) => format!("{:.6}", *ms as f64 / 1e3),
        _ => "NaN".to_owned(),
    }
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Number(number) => *number,
        _ => 0,
    }
}

fn process(out: &mut Writer<'_>, desk: &Desk) {
    const PREFIX: &str = "haproxy_process";
    let info = info::values(desk);
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
                out.sample(PREFIX, metric, &labels, 1);
            }
            None => out.sample(PREFIX, metric, "", shown),
        }
    }
}

fn tables(out: &mut Writer<'_>, desk: &Desk) {
    type Show = fn(&engine::stick::Table, u64) -> u64;
    const PREFIX: &str = "haproxy_sticktable";
    const METRICS: &[(Metric, Show)] = &[
        (
            Metric {
                name: "size",
                kind: Kind::Gauge,
                column: "",
                shape: Shape::Plain,
                help: "Entries it may have.",
            },
            |table, _| table.spec().size,
        ),
        (
            Metric {
                name: "used",
                kind: Kind::Gauge,
                column: "",
                shape: Shape::Plain,
                help: "Entries it has.",
            },
            |table, now| table.used(now),
        ),
    ];
    let proxies = &desk.plane.topology().proxies;
    let now = desk.plane.now();
    let tables: Vec<_> = proxies
        .iter()
        .filter_map(|proxy| Some((proxy.name(), proxy.table.as_ref()?)))
        .collect();
    for (metric, show) in METRICS {
        if tables.is_empty() || !out.head(PREFIX, metric) {
            continue;
        }
        for (name, table) in &tables {
            let labels = format!("name=\"{}\",type=\"{}\"", escaped(name), table.type_name());
            out.sample(PREFIX, metric, &labels, show(table, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_choose() {
        let all = Query::parse("").unwrap_or_default();
        assert!(all.wants(Scope::Server) && all.wants_metric("haproxy_process_jobs"));
        let some = Query::parse("scope=server&scope=global&no-maint").unwrap_or_default();
        assert!(some.wants(Scope::Global) && !some.wants(Scope::Backend) && some.no_maint);
        assert_eq!(Query::parse("scope=bogus"), None);
        let none = Query::parse("scope=").unwrap_or_default();
        assert!(!none.wants(Scope::Global));
        let one = Query::parse("metrics=a,b,-b").unwrap_or_default();
        assert!(one.wants_metric("a") && !one.wants_metric("b") && !one.wants_metric("c"));
        let but = Query::parse("metrics=-a").unwrap_or_default();
        assert!(!but.wants_metric("a") && but.wants_metric("b"));
    }

    #[test]
    fn every_column_exists_and_no_name_is_there_twice() {
        for (table, own) in [
            (metrics::FRONTEND, metrics::FRONTEND),
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
}
