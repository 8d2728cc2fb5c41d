//! The text format 0.0.4: two lines that say what a metric is, then its samples.

use std::fmt::{Display, Write as _};

use engine::histogram::{BOUNDS, Distribution};

use super::metrics::{Kind, Metric};
use super::query::Query;

/// The text so far.
pub(super) struct Writer<'q> {
    out: String,
    query: &'q Query,
}

impl<'q> Writer<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        Self {
            out: String::with_capacity(64 * 1024),
            query,
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn wants_descriptions(&self) -> bool {
        self.query.descriptions
    }

    /// The two lines before a metric's samples. False: it is not wanted.
    pub(super) fn head(&mut self, prefix: &str, metric: &Metric) -> bool {
        let name = format!("{prefix}_{}", metric.name);
        if !self.query.wants_metric(&name) {
            return false;
        }
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            self.out,
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            metric.help
        );
        true
    }

    /// A sample with the labels of its object and, of a metric that has one per state, the state's.
    pub(super) fn sample(
        &mut self,
        prefix: &str,
        metric: &Metric,
        (labels, state): (&str, Option<&str>),
        value: impl Display,
    ) {
        let out = &mut self.out;
        for piece in [prefix, "_", metric.name] {
            out.push_str(piece);
        }
        if !labels.is_empty() {
            out.push('{');
            out.push_str(labels);
            if let Some(state) = state {
                for piece in [",state=\"", state, "\""] {
                    out.push_str(piece);
                }
            }
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }

    /// The samples of a histogram, whose times are told in seconds.
    pub(super) fn histogram(
        &mut self,
        prefix: &str,
        metric: &Metric,
        labels: &str,
        found: &Distribution,
    ) {
        let (out, name) = (&mut self.out, metric.name);
        let mut all = 0;
        for (place, within) in found.within.iter().enumerate() {
            let _ = match BOUNDS.get(place) {
                Some(bound) => write!(
                    out,
                    "{prefix}_{name}_bucket{{{labels},le=\"{}\"}}",
                    *bound as f64 / 1e3
                ),
                None => write!(out, "{prefix}_{name}_bucket{{{labels},le=\"+Inf\"}}"),
            };
            let _ = writeln!(out, " {within}");
            all = *within;
        }
        let sum = found.sum_ms as f64 / 1e3;
        let _ = writeln!(out, "{prefix}_{name}_sum{{{labels}}} {sum:.3}");
        let _ = writeln!(out, "{prefix}_{name}_count{{{labels}}} {all}");
    }
}

/// A label's value.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::metrics;
    use super::*;

    #[test]
    fn a_histogram_adds_up_to_its_count() {
        let query = Query::default();
        let mut writer = Writer::new(&query);
        let mut found = Distribution {
            within: [3; BOUNDS.len() + 1],
            sum_ms: 1_234,
        };
        found.within[0] = 1;
        assert!(writer.head("posthouse_server", &metrics::GREETING));
        let labels = "proxy=\"be\",server=\"s1\"";
        writer.histogram("posthouse_server", &metrics::GREETING, labels, &found);
        let text = writer.finish();
        for line in [
            "# TYPE posthouse_server_greeting_seconds histogram",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"0.001\"} 1",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"2.5\"} 3",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"+Inf\"} 3",
            "posthouse_server_greeting_seconds_sum{proxy=\"be\",server=\"s1\"} 1.234",
            "posthouse_server_greeting_seconds_count{proxy=\"be\",server=\"s1\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
