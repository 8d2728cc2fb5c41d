//! A real Postfix on a host of the lab: it accepts mail for `example.com` on 25, 587 and 10025 (the last
//! expects a PROXY header) and files each message in a directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::lab::{Host, Lab};
use crate::{need, run, wait_until};

/// A Postfix instance.
#[derive(Debug)]
pub struct Postfix<'l> {
    lab: &'l Lab,
    host: Host,
    directory: PathBuf,
}

impl<'l> Postfix<'l> {
    /// Configures and starts one.
    ///
    /// # Errors
    /// Postfix is not installed or does not start.
    pub fn start(lab: &'l Lab, host: Host) -> Result<Self> {
        Self::start_with(lab, host, "", "")
    }

    /// The same with STARTTLS by this certificate and key, both in PEM, and TLS from the first byte on 465.
    ///
    /// # Errors
    /// Postfix is not installed or does not start.
    pub fn start_within_tls(lab: &'l Lab, host: Host, pem: &str, main: &str) -> Result<Self> {
        let etc = lab.directory().join(host.name()).join("etc");
        fs::create_dir_all(&etc)?;
        let tls = certificate(&etc, pem)?;
        Self::start_with(lab, host, &format!("{tls}{main}"), SMTPS)
    }

    /// The same with STARTTLS by this certificate and key, both in PEM; on 587 who does not log in within it, by this
    /// name and password, gets nothing. On 465 TLS begins at once, and AUTH LOGIN is the only way in.
    ///
    /// # Errors
    /// Postfix or SASL is not installed or does not start.
    pub fn start_secured(lab: &'l Lab, host: Host, pem: &str, login: (&str, &str)) -> Result<Self> {
        need("saslpasswd2", "sasl2-bin")?;
        let etc = lab.directory().join(host.name()).join("etc");
        fs::create_dir_all(&etc)?;
        let main = secure(&etc, pem, login)?;
        Self::start_with(lab, host, &main, SUBMISSION)
    }

    /// The same where who likes to may log in, on 25 and on 465; `xclient` may say by XCLIENT who it speaks for.
    ///
    /// # Errors
    /// Postfix or SASL is not installed or does not start.
    pub fn start_with_logins(
        lab: &'l Lab,
        host: Host,
        pem: &str,
        login: (&str, &str),
        xclient: Host,
    ) -> Result<Self> {
        need("saslpasswd2", "sasl2-bin")?;
        let etc = lab.directory().join(host.name()).join("etc");
        fs::create_dir_all(&etc)?;
        let secure = secure(&etc, pem, login)?;
        let trust = format!("smtpd_authorized_xclient_hosts = {}\n", xclient.ip());
        Self::start_with(lab, host, &format!("{secure}{trust}"), SMTPS)
    }

    /// The same with more lines in main.cf, which count when they say it again, and in master.cf.
    ///
    /// # Errors
    /// Postfix is not installed or does not start.
    pub fn start_with(lab: &'l Lab, host: Host, main: &str, master: &str) -> Result<Self> {
        need("postfix", "postfix")?;
        let directory = lab.directory().join(host.name());
        for part in ["etc", "queue", "data", "mail"] {
            fs::create_dir_all(directory.join(part))?;
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        run(Command::new("chown")
            .arg("postfix")
            .arg(directory.join("data")))?;
        run(Command::new("chown")
            .arg("nobody")
            .arg(directory.join("mail")))?;
        let id = |flag| run(Command::new("id").args([flag, "nobody"]));
        let (uid, gid) = (id("-u")?, id("-g")?);
        let own = main_cf(&directory, host, uid.trim(), gid.trim(), lab.directory());
        fs::write(directory.join("etc/main.cf"), own + main)?;
        fs::write(
            directory.join("etc/master.cf"),
            format!("{MASTER_CF}{master}"),
        )?;
        // What runs before the log daemon does, and not as root, writes there itself: after a kill it has to warn.
        let log = directory.join("queue/maillog");
        fs::write(&log, "")?;
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666))?;
        let postfix = Self {
            lab,
            host,
            directory,
        };
        // Makes the queue's directories and complains about things of no concern here.
        let _ = postfix.control("check");
        postfix.resume()?;
        Ok(postfix)
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<()> {
        self.control("start")?;
        let address = std::net::SocketAddr::new(self.host.ip(), 25);
        wait_until("Postfix listens", || {
            self.lab
                .on(self.host, || {
                    Ok(std::net::TcpStream::connect(address).is_ok())
                })
                .unwrap_or(false)
        })
    }

    fn control(&self, word: &str) -> Result<String> {
        let mut command = self.lab.command(self.host, "postfix");
        run(command.arg("-c").arg(self.directory.join("etc")).arg(word))
    }

    /// Says something else in main.cf, and has it read.
    ///
    /// # Errors
    /// Postfix does not take it.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = self.directory.join("etc/main.cf");
        let text = fs::read_to_string(&path)?;
        fs::write(&path, format!("{text}{name} = {value}\n"))?;
        self.control("reload").map(drop)
    }

    /// Stops it as an operator would.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&self) -> Result<()> {
        self.control("stop").map(drop)
    }

    /// `kill -9` for all of it.
    ///
    /// # Errors
    /// Its processes cannot be listed.
    pub fn kill(&self) -> Result<()> {
        self.lab.signal(self.host, rustix::process::Signal::KILL)?;
        wait_until("Postfix is dead", || {
            self.lab
                .processes(self.host)
                .is_ok_and(|pids| pids.is_empty())
        })?;
        for left in ["queue/pid/master.pid", "data/master.lock"] {
            let _ = fs::remove_file(self.directory.join(left));
        }
        Ok(())
    }

    /// Stops the clock for all of it, or lets it run again.
    ///
    /// # Errors
    /// Its processes cannot be listed.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        use rustix::process::Signal;
        self.lab
            .signal(self.host, if frozen { Signal::STOP } else { Signal::CONT })
    }

    /// What it has logged.
    ///
    /// # Errors
    /// There is no log yet.
    pub fn log(&self) -> Result<String> {
        let path = self.directory.join("queue/maillog");
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The messages it has filed.
    pub fn delivered(&self) -> Vec<String> {
        let inbox = self.directory.join("mail/inbox/new");
        let entries = fs::read_dir(inbox).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .collect()
    }

    /// Waits for a message that contains `mark`.
    ///
    /// # Errors
    /// It does not come.
    pub fn wait_for_message(&self, mark: &str) -> Result<()> {
        wait_until(&format!("{} files {mark}", self.host.name()), || {
            self.delivered()
                .iter()
                .any(|message| message.contains(mark))
        })
    }
}

fn main_cf(directory: &Path, host: Host, uid: &str, gid: &str, lab: &Path) -> String {
    let (d, lab, name) = (directory.display(), lab.display(), host.name());
    format!(
        "compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {name}.example.com
mydestination =
inet_interfaces = all
inet_protocols = all
mynetworks = 127.0.0.0/8
relay_domains =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
virtual_mailbox_domains = example.com
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
maillog_file = {d}/queue/maillog
maillog_file_prefixes = {lab}
smtpd_peername_lookup = no
smtp_host_lookup = native
in_flow_delay = 0
"
    )
}

/// The file of STARTTLS; returns what main.cf says of it.
fn certificate(etc: &Path, pem: &str) -> Result<String> {
    let file = etc.join("tls.pem");
    fs::write(&file, pem)?;
    let file = file.display();
    Ok(format!(
        "smtpd_tls_cert_file = {file}
smtpd_tls_key_file = {file}
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
"
    ))
}

/// Files of STARTTLS and SASL; returns what main.cf says of them.
fn secure(etc: &Path, pem: &str, (user, password): (&str, &str)) -> Result<String> {
    let tls = certificate(etc, pem)?;
    fs::create_dir_all(etc.join("sasl"))?;
    let accounts = etc.join("sasldb2");
    let mut command = Command::new("saslpasswd2");
    command.args(["-p", "-c", "-u", "example.com", "-f"]);
    let mut child = command
        .arg(&accounts)
        .arg(user)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, password.as_bytes())?;
    }
    anyhow::ensure!(child.wait()?.success(), "saslpasswd2 fails");
    run(Command::new("chown").arg("postfix").arg(&accounts))?;
    for (service, mechanisms) in [("smtpd", "PLAIN LOGIN"), ("login", "LOGIN")] {
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: {mechanisms}\n",
            accounts.display()
        );
        fs::write(etc.join(format!("sasl/{service}.conf")), sasl)?;
    }
    let etc = etc.display();
    Ok(format!(
        "{tls}smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = example.com
cyrus_sasl_config_path = {etc}/sasl
"
    ))
}

const SMTPS: &str = "465       inet  n - n - - smtpd -o smtpd_tls_wrappermode=yes\n";

const SUBMISSION: &str = "\
587       inet  n - n - - smtpd -o smtpd_client_restrictions=permit_sasl_authenticated,reject
465       inet  n - n - - smtpd -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_path=login
";

const MASTER_CF: &str = "\
smtp      inet  n - n - - smtpd
587       inet  n - n - - smtpd
10025     inet  n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
error     unix  - - n - - error
retry     unix  - - n - - error
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
virtual   unix  - n n - - virtual
tlsmgr    unix  - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
";
