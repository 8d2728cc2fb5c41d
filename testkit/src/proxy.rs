//! The program under test: Posthouse, or Debian's HAProxy as the oracle.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::lab::{Host, Lab};
use crate::output::Output;
use crate::{need, wait_until};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Ours.
    Posthouse,
    /// Debian's.
    Haproxy,
}

impl Program {
    /// Where it is.
    ///
    /// # Errors
    /// It is not built or not installed.
    pub fn path(self) -> Result<PathBuf> {
        match self {
            Self::Haproxy => {
                need("haproxy", "haproxy")?;
                Ok("/usr/sbin/haproxy".into())
            }
            Self::Posthouse => {
                if let Some(path) = std::env::var_os("POSTHOUSE_BIN") {
                    return Ok(path.into());
                }
                // Tests lie in <target>/<profile>/deps, the program beside that.
                let own = std::env::current_exe()?;
                let place = own
                    .parent()
                    .and_then(Path::parent)
                    .context("no target directory")?;
                let path = place.join("posthouse");
                if !path.exists() {
                    bail!(
                        "{} is not built: run ./test, or cargo build first",
                        path.display()
                    );
                }
                Ok(path)
            }
        }
    }

    /// A command that runs it to its end: `-c`, `-v`.
    ///
    /// # Errors
    /// It is not built or not installed.
    pub fn command(self) -> Result<Command> {
        Ok(Command::new(self.path()?))
    }
}

/// A running proxy with a directory of its own.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    directory: TempDir,
    /// What it prints, standard output and error together.
    pub output: Output,
}

impl Proxy {
    /// Starts it on this machine's loopback. `@dir@` in the configuration becomes the proxy's own
    /// directory; with a `stats socket @dir@/socket` the start is waited for.
    ///
    /// # Errors
    /// It does not start; its words are in the error.
    pub fn start(program: Program, configuration: &str) -> Result<Self> {
        Self::start_by(Command::new(program.path()?), configuration)
    }

    /// The same on a host of the lab.
    ///
    /// # Errors
    /// It does not start; its words are in the error.
    pub fn start_on(lab: &Lab, host: Host, program: Program, configuration: &str) -> Result<Self> {
        let path = program.path()?;
        Self::start_by(lab.command(host, &path.to_string_lossy()), configuration)
    }

    /// The same by a command of the caller's, which is given `-db -f <file>` at its end.
    ///
    /// # Errors
    /// It does not start; its words are in the error.
    pub fn start_by(mut command: Command, configuration: &str) -> Result<Self> {
        let directory = TempDir::with_prefix("posthouse-test-")?;
        let text = configuration.replace("@dir@", &directory.path().to_string_lossy());
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, &text)?;
        let mut child = command
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let output = Output::default();
        if let Some(stdout) = child.stdout.take() {
            output.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.follow(stderr);
        }
        let mut proxy = Self {
            child,
            directory,
            output,
        };
        if text.contains("/socket") {
            proxy.wait_for_socket()?;
        }
        Ok(proxy)
    }

    fn wait_for_socket(&mut self) -> Result<()> {
        let socket = self.socket();
        let mut ended = None;
        wait_until("the stats socket answers", || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || UnixStream::connect(&socket).is_ok()
        })
        .with_context(|| self.output.lines().join("\n"))?;
        match ended {
            Some(status) => {
                // Its last words are still on their way.
                crate::pause(std::time::Duration::from_millis(200));
                bail!(
                    "it ended at once, {status}:\n{}",
                    self.output.lines().join("\n")
                )
            }
            None => Ok(()),
        }
    }

    /// Its directory: `@dir@`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its stats socket, if it was told to have one there.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Asks on the stats socket.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut socket = UnixStream::connect(self.socket())?;
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        socket.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Waits until a server's status in `show stat` begins with `status`.
    ///
    /// # Errors
    /// It does not within [`crate::PATIENCE`].
    pub fn wait_for_status(&self, backend: &str, server: &str, status: &str) -> Result<()> {
        let mut last = String::new();
        wait_until(&format!("{backend}/{server} is {status}"), || {
            last = self.status(backend, server).unwrap_or_default();
            last.starts_with(status)
        })
        .with_context(|| format!("it is {last:?}\n{}", self.output.lines().join("\n")))
    }

    /// The status column of `show stat`.
    ///
    /// # Errors
    /// There is no such server.
    pub fn status(&self, proxy: &str, server: &str) -> Result<String> {
        self.stat(proxy, server, "status")
    }

    /// A column of `show stat` by its name.
    ///
    /// # Errors
    /// There is no such row or column.
    pub fn stat(&self, proxy: &str, server: &str, column: &str) -> Result<String> {
        self.stats(proxy, server, &[column])
            .map(|values| values.concat())
    }

    /// Columns of one answer to `show stat` by their names: what they say was so at one moment.
    ///
    /// # Errors
    /// There is no such row or column.
    pub fn stats(&self, proxy: &str, server: &str, columns: &[&str]) -> Result<Vec<String>> {
        let table = self.ask("show stat")?;
        let mut lines = table.lines();
        let header = lines.next().unwrap_or_default().trim_start_matches("# ");
        let names: Vec<_> = header.split(',').collect();
        let start = format!("{proxy},{server},");
        let row = lines
            .find(|line| line.starts_with(&start))
            .context("no such row")?;
        let values: Vec<_> = fields(row).collect();
        let value = |column: &&str| {
            let place = names.iter().position(|name| name == column);
            let place = place.with_context(|| format!("no column {column}"))?;
            Ok(values.get(place).copied().unwrap_or_default().to_owned())
        };
        columns.iter().map(value).collect()
    }

    /// Waits until a column of `show stat` is so.
    ///
    /// # Errors
    /// It is not within [`crate::PATIENCE`]; what it is instead is in the error.
    pub fn wait_for_stat(
        &self,
        proxy: &str,
        server: &str,
        column: &str,
        value: &str,
    ) -> Result<()> {
        let mut last = String::new();
        wait_until(&format!("{column} of {proxy}/{server} is {value}"), || {
            last = self
                .stat(proxy, server, column)
                .unwrap_or_else(|error| error.to_string());
            last == value
        })
        .with_context(|| format!("it is {last:?}\n{}", self.output.lines().join("\n")))
    }

    /// Waits until nobody is connected to a frontend: then all its sessions are counted.
    ///
    /// # Errors
    /// Somebody stays.
    pub fn wait_until_idle(&self, frontend: &str) -> Result<()> {
        self.wait_for_stat(frontend, "FRONTEND", "scur", "0")
    }

    /// Waits until the first check of a server has passed, and none runs.
    ///
    /// # Errors
    /// It does not pass.
    pub fn wait_for_first_check(&self, backend: &str, server: &str) -> Result<()> {
        let mut last = String::new();
        wait_until(&format!("{backend}/{server} was checked"), || {
            last = self
                .stat(backend, server, "check_status")
                .unwrap_or_default();
            last.ends_with("OK") && !last.starts_with('*')
        })
        .with_context(|| {
            format!(
                "its check says {last:?}\n{}",
                self.output.lines().join("\n")
            )
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// The most memory it ever had resident, in KiB.
    ///
    /// # Errors
    /// It has ended.
    pub fn most_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let words = line.context("no VmHWM")?.trim();
        Ok(words.trim_end_matches(" kB").parse()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within [`crate::PATIENCE`].
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        wait_until("the proxy ends", || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status.context("no exit status")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// The fields of a line of CSV; commas within quotes separate nothing.
fn fields(row: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    row.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
