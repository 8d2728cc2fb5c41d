//! What the end-to-end tests run against: real programs, started and ended by the test that needs them.
//!
//! [`lab`] makes hosts as network namespaces, [`postfix`] puts real mail servers on them, [`proxy`] runs
//! Posthouse or HAProxy, [`server`] and [`client`] are scripted ends of a session. Everything is ended and
//! removed when its value is dropped, also when the test panics; only processes started here are ended, by pid.
//!
//! A program that is missing is an error that names its Debian package. Tests wait for events, not for time.

pub mod browser;
pub mod client;
pub mod cut;
pub mod fault;
pub mod flight;
pub mod lab;
pub mod load;
pub mod mta;
pub mod output;
pub mod port;
pub mod postfix;
pub mod proxy;
pub mod receiver;
pub mod server;
pub mod terminal;
pub mod tls;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long anything is waited for before a test fails: only one that fails takes so long.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `condition` holds.
///
/// # Errors
/// It did not within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} in vain: {what}");
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Sleeps; only a test's own thread does.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for workers; this thread carries one test"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Fails with the package to install unless `program` is on the path.
///
/// # Errors
/// It is not.
pub fn need(program: &str, package: &str) -> Result<()> {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"]
        .iter()
        .any(|place| std::path::Path::new(place).join(program).exists());
    if found {
        Ok(())
    } else {
        bail!("`{program}` is missing: apt-get install {package}, or run ./test as root")
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// It could not be started or failed; its words are in the error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        bail!("{command:?}: {}: {err}{out}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
