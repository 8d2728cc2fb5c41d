//! Exim and OpenSMTPD on a host of the lab, which take mail for everybody and keep it in their queues.
//!
//! Debian's packages of them do not go together with Postfix, so `./test` unpacks them without installing. Their users and
//! places are made by mounts that only they see.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::lab::{Host, Lab};
use crate::wait_until;

/// Where `./test` unpacks them.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/mta");

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `exim4-daemon-light`.
    Exim,
    /// `opensmtpd`.
    OpenSmtpd,
}

impl Kind {
    fn package(self) -> &'static str {
        match self {
            Self::Exim => "exim4-daemon-light",
            Self::OpenSmtpd => "opensmtpd",
        }
    }

    /// Names and numbers of the users it has to have.
    fn users(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Exim => &[("Debian-exim", EXIM)],
            Self::OpenSmtpd => &[("opensmtpd", 65_531), ("opensmtpq", 65_532)],
        }
    }
}

const EXIM: u32 = 65_530;

/// A running one.
#[derive(Debug)]
pub struct Mta<'l> {
    lab: &'l Lab,
    host: Host,
    directory: PathBuf,
    process: Child,
}

impl<'l> Mta<'l> {
    /// Configures and starts one on port 25.
    ///
    /// # Errors
    /// It was not unpacked, or does not start.
    pub fn start(lab: &'l Lab, host: Host, kind: Kind) -> Result<Self> {
        let package = Path::new(PACKAGES).join(kind.package());
        ensure!(
            package.exists(),
            "{} is missing: run ./test as root, which unpacks it",
            kind.package()
        );
        let directory = lab.directory().join(host.name());
        for place in [
            "var/spool/smtpd",
            "var/lib/opensmtpd/empty",
            "var/run",
            "spool",
            "log",
        ] {
            fs::create_dir_all(directory.join(place))?;
        }
        for place in ["spool", "log"] {
            chown(directory.join(place), Some(EXIM), Some(EXIM))?;
        }
        let spool = directory.join("var/spool/smtpd");
        fs::set_permissions(spool, fs::Permissions::from_mode(0o711))?;
        for (file, is_passwd) in [("passwd", true), ("group", false)] {
            let mut text = fs::read_to_string(format!("/etc/{file}"))?;
            for (name, id) in kind.users() {
                text += &match is_passwd {
                    true => format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"),
                    false => format!("{name}:x:{id}:\n"),
                };
            }
            fs::write(directory.join(file), text)?;
        }
        let (d, package) = (directory.display(), package.display());
        let users =
            format!("mount --bind {d}/passwd /etc/passwd && mount --bind {d}/group /etc/group");
        let script = match kind {
            Kind::Exim => {
                fs::write(directory.join("exim.conf"), exim_conf(&directory, host))?;
                format!("{users} && exec {package}/usr/sbin/exim4 -C {d}/exim.conf -bdf")
            }
            Kind::OpenSmtpd => {
                fs::write(directory.join("smtpd.conf"), SMTPD_CONF)?;
                let helpers = "/usr/libexec/opensmtpd";
                format!(
                    "{users} && mount -t tmpfs tmpfs /usr/libexec && mkdir {helpers} &&
                     mount --bind {package}{helpers} {helpers} && mount --bind {d}/var /var &&
                     exec {package}/usr/sbin/smtpd -d -f {d}/smtpd.conf"
                )
            }
        };
        let said = fs::File::create(directory.join("output"))?;
        let mut command = lab.command(host, "unshare");
        command.args(["-m", "sh", "-c", &script]);
        let process = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let mta = Self {
            lab,
            host,
            directory,
            process,
        };
        let address = std::net::SocketAddr::new(host.ip(), 25);
        let listens = || Ok(std::net::TcpStream::connect(address).is_ok());
        wait_until("it listens", || lab.on(host, listens).unwrap_or(false)).with_context(|| {
            fs::read_to_string(mta.directory.join("output")).unwrap_or_default()
        })?;
        Ok(mta)
    }

    /// `kill -9` for all of it.
    ///
    /// # Errors
    /// It survives.
    pub fn kill(&self) -> Result<()> {
        self.lab.signal(self.host, Signal::KILL)?;
        wait_until("it is dead", || {
            let left = self.lab.processes(self.host);
            left.is_ok_and(|pids| pids.is_empty())
        })
    }

    /// The files of its queue: envelopes and messages.
    pub fn queue(&self) -> Vec<String> {
        let places = ["spool/input", "var/spool/smtpd/queue"];
        let mut waiting: Vec<_> = places.map(|place| self.directory.join(place)).into();
        let mut texts = Vec::new();
        while let Some(path) = waiting.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => texts.extend(
                    fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                ),
            }
        }
        texts
    }
}

impl Drop for Mta<'_> {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = self.process.wait();
    }
}

fn exim_conf(directory: &Path, host: Host) -> String {
    let (d, name) = (directory.display(), host.name());
    format!(
        "spool_directory = {d}/spool
log_file_path = {d}/log/%slog
pid_file_path = {d}/spool/exim.pid
primary_hostname = {name}.example.com
daemon_smtp_ports = 25
queue_only = true
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
acl_smtp_rcpt = accept
acl_smtp_data = accept
"
    )
}

const SMTPD_CONF: &str = "\
listen on 0.0.0.0 port 25
action \"later\" relay host smtp://127.0.0.1:1
match from any for any action \"later\"
";
