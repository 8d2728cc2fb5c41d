//! The text format 0.0.4: two lines that say what a metric is, then its samples.

use std::fmt::Write as _;
use std::sync::LazyLock;

use engine::histogram::{BOUNDS, Distribution};

use super::metrics::{Kind, Metric};
use super::query::Query;

/// The text so far, and the metric whose samples are being written.
pub(super) struct Writer<'q> {
    out: String,
    query: &'q Query,
    /// `haproxy_server_status`
    name: String,
}

/// A sample's value.
pub(super) enum Shown<'v> {
    Number(u64),
    Signed(i64),
    /// Milliseconds, as seconds.
    Millis(u64),
    Text(&'v str),
    /// There is none.
    Nothing,
}

impl<'q> Writer<'q> {
    /// For about so many bytes: a text of megabytes that grows is copied again and again.
    pub(super) fn new(query: &'q Query, expected: usize) -> Self {
        Self {
            out: String::with_capacity(expected),
            query,
            name: String::new(),
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
        self.name = format!("{prefix}_{}", metric.name);
        if !self.query.wants_metric(&self.name) {
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
            metric.help,
            name = self.name
        );
        true
    }

    /// A sample with the labels of its object.
    pub(super) fn sample(&mut self, labels: &str, value: Shown<'_>) {
        self.out.push_str(&self.name);
        if !labels.is_empty() {
            self.push(&["{", labels, "}"]);
        }
        self.value(value);
    }

    /// One sample of a metric that has one per state.
    pub(super) fn state(&mut self, labels: &str, state: &str, value: u64) {
        self.out.push_str(&self.name);
        self.push(&["{", labels, ",state=\"", state, "\"}"]);
        self.value(Shown::Number(value));
    }

    /// The samples of a histogram, whose times are told in seconds.
    pub(super) fn histogram(&mut self, labels: &str, found: &Distribution) {
        for (bound, within) in LE.iter().zip(found.within) {
            self.out.push_str(&self.name);
            self.push(&["_bucket{", labels, ",le=\"", bound, "\"}"]);
            self.value(Shown::Number(within));
        }
        let all = found.within.last().copied().unwrap_or(0);
        for (ending, value) in [
            ("_sum{", Shown::Millis(found.sum_ms)),
            ("_count{", Shown::Number(all)),
        ] {
            self.out.push_str(&self.name);
            self.push(&[ending, labels, "}"]);
            self.value(value);
        }
    }

    fn push(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.out.push_str(piece);
        }
    }

    fn value(&mut self, value: Shown<'_>) {
        let out = &mut self.out;
        out.push(' ');
        match value {
            Shown::Number(number) => push_number(out, number),
            Shown::Signed(number) => drop(write!(out, "{number}")),
            Shown::Millis(0) => out.push_str("0.000000"),
            Shown::Millis(ms) => drop(write!(out, "{}.{:03}000", ms / 1000, ms % 1000)),
            Shown::Text(text) => out.push_str(text),
            Shown::Nothing => out.push_str("NaN"),
        }
        out.push('\n');
    }
}

/// Most numbers are small, and there are very many of them.
fn push_number(out: &mut String, number: u64) {
    if number < 10 {
        out.push(char::from(b'0' + number as u8));
    } else {
        let _ = write!(out, "{number}");
    }
}

/// The bounds of histograms in seconds.
static LE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let bounds = BOUNDS.iter().map(|bound| (*bound as f64 / 1e3).to_string());
    bounds.chain(["+Inf".to_owned()]).collect()
});

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
        let mut writer = Writer::new(&query, 0);
        let mut found = Distribution {
            within: [3; BOUNDS.len() + 1],
            sum_ms: 1_234,
        };
        found.within[0] = 1;
        assert!(writer.head("posthouse_server", &metrics::GREETING));
        let labels = "proxy=\"be\",server=\"s1\"";
        writer.histogram(labels, &found);
        let text = writer.finish();
        for line in [
            "# TYPE posthouse_server_greeting_seconds histogram",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"0.001\"} 1",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"2.5\"} 3",
            "posthouse_server_greeting_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"+Inf\"} 3",
            "posthouse_server_greeting_seconds_sum{proxy=\"be\",server=\"s1\"} 1.234000",
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
