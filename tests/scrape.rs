//! What tests of monitoring share: fetching pages, reading metrics, running a monitor beside the proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use testkit::{need, run};

/// A file of `dist/`.
pub(crate) fn dist(name: &str) -> String {
    format!("{}/../dist/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What curl gets.
pub(crate) fn curl(arguments: &[&str]) -> Result<String> {
    need("curl", "curl")?;
    run(Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(arguments))
}

/// `http://<address>/metrics<query>`.
pub(crate) fn metrics(pages: SocketAddr, query: &str) -> Result<String> {
    curl(&["--globoff", &format!("http://{pages}/metrics{query}")])
}

/// Metrics in Prometheus's text format.
#[derive(Debug)]
pub(crate) struct Scrape {
    /// Names, with their types.
    pub(crate) kinds: BTreeMap<String, String>,
    /// Samples, labels and all, with their values.
    pub(crate) samples: BTreeMap<String, String>,
}

impl Scrape {
    pub(crate) fn parse(text: &str) -> Self {
        let kinds = text.lines().filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some((name.to_owned(), kind.to_owned()))
        });
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        Self {
            kinds: kinds.collect(),
            samples: samples
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The value of a sample.
    pub(crate) fn value(&self, sample: &str) -> Result<f64> {
        let value = self.samples.get(sample);
        let value = value.with_context(|| format!("there is no {sample}"))?;
        Ok(value.parse()?)
    }
}

/// A program that is ended with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(program: &str, arguments: &[String]) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
