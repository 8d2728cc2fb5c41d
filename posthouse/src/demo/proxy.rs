//! The proxy of the demonstration: this very program as a process of its own, with a small
//! configuration in the shape everybody uses for mail (active, passive, checked by greeting).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

use super::board::Event;

/// How long it may take until the first greeting comes through.
const START: Duration = Duration::from_secs(10);

/// The configuration: what is listened on, and the two servers.
pub(super) fn configuration(front: SocketAddr, mail1: SocketAddr, mail2: SocketAddr) -> String {
    format!(
        "frontend smtp_inbound
    bind {front}
    mode tcp
    timeout client 1m
    default_backend mail_servers

backend mail_servers
    mode tcp
    timeout connect 2s
    timeout server 1m
    option tcp-check
    tcp-check connect
    tcp-check expect string \"220 \"
    server mail1 {mail1} check inter 500ms fall 2 rise 2
    server mail2 {mail2} check inter 500ms fall 2 rise 2 backup
"
    )
}

/// A free port on loopback. Somebody else could take it before the proxy does; that is told then.
pub(super) fn free_address() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// The running proxy and its configuration file; both go with it.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    directory: PathBuf,
}

impl Proxy {
    /// Starts it; what it says comes as events.
    pub(super) fn start(text: &str, events: &UnboundedSender<Event>) -> anyhow::Result<Self> {
        let name = format!("posthouse-demo-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let file = directory.join("demo.cfg");
        let spawned = std::fs::write(&file, text)
            .context("cannot write the configuration")
            .and_then(|()| spawn(&file));
        let mut child = match spawned {
            Ok(child) => child,
            Err(why) => {
                // The error told is why it could not start.
                let _ = std::fs::remove_dir_all(&directory);
                return Err(why);
            }
        };
        forward(child.stdout.take(), events);
        forward(child.stderr.take(), events);
        Ok(Self { child, directory })
    }

    /// Waits until a greeting comes through it.
    pub(super) async fn wait_until_it_serves(&mut self, front: SocketAddr) -> anyhow::Result<()> {
        let greeted = async {
            loop {
                if super::client::greeted(front).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            status = self.child.wait() => bail!("the proxy ended: {}", status?),
            waited = tokio::time::timeout(START, greeted) => {
                waited.context("no greeting came through the proxy")
            }
        }
    }

    /// Ends when the process does, which it should not.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(why) => why.to_string(),
        }
    }

    /// Stops it as a service manager would, and cleans up.
    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // Not waited for yet: the process id is still its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(2), self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A file left in /tmp is all that could come of it.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(file: &Path) -> anyhow::Result<Child> {
    Command::new("/proc/self/exe")
        .arg("-db")
        .arg("-f")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the demonstration, which then stops the proxy.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the proxy")
}

fn forward(stream: Option<impl AsyncRead + Unpin + Send + 'static>, to: &UnboundedSender<Event>) {
    let Some(stream) = stream else { return };
    let to = to.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if to.send(Event::Said(line)).is_err() {
                return;
            }
        }
    });
}
