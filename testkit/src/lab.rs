//! Hosts on one machine: network namespaces on a bridge, with the addresses the article uses.
//!
//! `lb` 192.168.1.1, `mail1` 192.168.1.10, `mail2` 192.168.1.11, `client` 192.168.1.100, and the same
//! numbers in fd00:1::/64. Every lab has names of its own, so tests run side by side.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::{need, run};

/// A host of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The proxy's.
    Lb,
    /// The primary's.
    Mail1,
    /// The backup's.
    Mail2,
    /// The sender's.
    Client,
}

impl Host {
    const ALL: [Self; 4] = [Self::Lb, Self::Mail1, Self::Mail2, Self::Client];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Mail1 => "mail1",
            Self::Mail2 => "mail2",
            Self::Client => "client",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Lb => 1,
            Self::Mail1 => 10,
            Self::Mail2 => 11,
            Self::Client => 100,
        }
    }

    /// Its IPv4 address.
    pub fn ip(self) -> IpAddr {
        Ipv4Addr::new(192, 168, 1, self.number()).into()
    }

    /// Its IPv6 address.
    pub fn ipv6(self) -> IpAddr {
        Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, u16::from(self.number())).into()
    }
}

/// Four hosts and the network between them.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    directory: TempDir,
}

impl Lab {
    /// Makes the hosts.
    ///
    /// # Errors
    /// Not root, no `ip`, or the kernel refuses namespaces.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        need("ip", "iproute2")?;
        if !rustix::process::geteuid().is_root() {
            bail!("network namespaces need root: run ./test as root");
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = TempDir::with_prefix("posthouse-lab-")?;
        run(Command::new("chmod").arg("755").arg(directory.path()))?;
        let lab = Self {
            prefix: format!("ph{}x{count}", std::process::id()),
            directory,
        };
        lab.ip(&format!("netns add {}", lab.namespace("net")))?;
        lab.ip(&format!(
            "-n {} link add br0 type bridge",
            lab.namespace("net")
        ))?;
        lab.ip(&format!("-n {} link set br0 up", lab.namespace("net")))?;
        for host in Host::ALL {
            lab.add(host)?;
        }
        Ok(lab)
    }

    fn add(&self, host: Host) -> Result<()> {
        let (own, net, port) = (
            self.of(host),
            self.namespace("net"),
            format!("to-{}", host.name()),
        );
        for command in [
            format!("netns add {own}"),
            format!("-n {own} link set lo up"),
            format!("link add {port} netns {net} type veth peer name eth0 netns {own}"),
            format!("-n {net} link set {port} master br0 up"),
            format!("-n {own} addr add {}/24 dev eth0", host.ip()),
            format!("-n {own} addr add {}/64 dev eth0 nodad", host.ipv6()),
            format!("-n {own} link set eth0 up"),
        ] {
            self.ip(&command)?;
        }
        Ok(())
    }

    fn ip(&self, words: &str) -> Result<String> {
        run(Command::new("ip").args(words.split(' ')))
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The name of a host's namespace.
    pub fn of(&self, host: Host) -> String {
        self.namespace(host.name())
    }

    /// A directory of the lab's own, readable by everyone.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A command that will run on a host.
    pub fn command(&self, host: Host, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.of(host), program]);
        command
    }

    /// Runs `work` in a thread that is on a host: sockets it opens are that host's.
    ///
    /// # Errors
    /// The thread could not move there, or `work` failed.
    pub fn on<T: Send>(&self, host: Host, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.of(host)))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = rustix::thread::LinkNameSpaceType::Network;
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(network),
                )
                .context("entering the host's namespace")?;
                work()
            });
            thread
                .join()
                .map_err(|_| anyhow!("a thread on {} panicked", host.name()))?
        })
    }

    /// Takes a host's cable out, or puts it back.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn plug(&self, host: Host, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.ip(&format!(
            "-n {} link set to-{} {state}",
            self.namespace("net"),
            host.name()
        ))?;
        Ok(())
    }

    /// The processes on a host.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn processes(&self, host: Host) -> Result<Vec<u32>> {
        let list = self.ip(&format!("netns pids {}", self.of(host)))?;
        Ok(list
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect())
    }

    /// Sends a signal to every process on a host, also to those that are born meanwhile.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn signal(&self, host: Host, signal: rustix::process::Signal) -> Result<()> {
        let mut reached = BTreeSet::new();
        // Stopped or killed, nobody bears more for long; those that go on may.
        for _ in 0..10 {
            let mut news = self.processes(host)?;
            news.retain(|pid| reached.insert(*pid));
            if news.is_empty() {
                break;
            }
            for pid in news {
                let pid = i32::try_from(pid).ok();
                if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                    // It may have ended by itself meanwhile.
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        use rustix::process::Signal;
        for host in Host::ALL {
            let _ = self.signal(host, Signal::CONT);
            let _ = self.signal(host, Signal::KILL);
            let _ = self.ip(&format!("netns del {}", self.of(host)));
        }
        let _ = self.ip(&format!("netns del {}", self.namespace("net")));
    }
}
