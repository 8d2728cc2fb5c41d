//! `mode smtp`: what its two halves and the process are told.

use std::path::PathBuf;
use std::time::Duration;

/// What a proxy in `mode smtp` does with its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpFront {
    /// `smtp-name`: whose name greets; `None`: the host's.
    pub name: Option<String>,
    /// `option smtp-bare-lf`.
    pub bare_lf: BareLf,
    /// `option smtp-hash-addresses`.
    pub hash_addresses: bool,
    /// `option smtp-auth`.
    pub auth: SmtpAuth,
    /// `smtp-limit`, each.
    pub limits: SmtpLimits,
}

impl Default for SmtpFront {
    fn default() -> Self {
        Self {
            name: None,
            bare_lf: BareLf::Normalise,
            hash_addresses: false,
            auth: SmtpAuth::Tls,
            limits: SmtpLimits::default(),
        }
    }
}

/// What becomes of a line feed without its carriage return, and of a carriage return without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareLf {
    /// The server gets CRLF.
    Normalise,
    /// The message is refused: 550 5.5.2.
    Reject,
}

/// Where clients may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpAuth {
    /// Within TLS.
    Tls,
    /// In clear text, too.
    Always,
    /// Nowhere.
    Never,
}

/// `smtp-limit`: bounds of one session, and of failed logins; zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmtpLimits {
    /// `errors`: replies of 5xx that a client may earn.
    pub errors: u32,
    /// `recipients` of one message.
    pub recipients: u32,
    /// `transactions`: messages.
    pub transactions: u32,
    /// `command-line`: octets with its end.
    pub command_line: u32,
    /// `failed-logins-per-source`: logins that servers refused in ten minutes, from one address.
    pub failed_logins_per_source: u32,
    /// `failed-logins-per-name`: the same, for one name.
    pub failed_logins_per_name: u32,
}

impl Default for SmtpLimits {
    /// Postfix's limits, where it has one: who is served by it is served the same.
    fn default() -> Self {
        Self {
            errors: 20,
            recipients: 1_000,
            transactions: 0,
            command_line: 4_096,
            failed_logins_per_source: 0,
            failed_logins_per_name: 0,
        }
    }
}

/// What a proxy in `mode smtp` does with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpBack {
    /// `option smtp-replay-after-data`: a message whose fate is unknown is sent to another server.
    pub replay_after_data: bool,
    /// `option smtp-replay-auth`: secrets are kept while their session lasts, and another server hears them.
    pub replay_auth: bool,
    /// `timeout smtp-failover`: how long a command may wait for another server.
    pub failover: Duration,
}

impl SmtpBack {
    /// The default of `timeout hold` in `mode smtp`: a restart does not take longer.
    pub const HOLD: Duration = Duration::from_secs(30);
}

impl Default for SmtpBack {
    fn default() -> Self {
        Self {
            replay_after_data: false,
            replay_auth: false,
            failover: Duration::from_secs(30),
        }
    }
}

/// `tune.smtp.*`: what journals may take, in octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpTuning {
    /// `tune.smtp.journal-memory`: of one session in memory; more goes to the spool.
    pub journal_memory: u64,
    /// `tune.smtp.journal-size`: of one session in all.
    pub journal_size: u64,
    /// `tune.smtp.total-memory`: of all sessions in memory.
    pub total_memory: u64,
    /// `tune.smtp.spool-size`: of all sessions in the spool; zero: no spool.
    pub spool_size: u64,
    /// `tune.smtp.spool-dir`.
    pub spool_dir: PathBuf,
    /// `tune.smtp.ack-wait`: how long the end of a message waits for TCP to acknowledge what went before it.
    pub ack_wait: Option<Duration>,
}

impl Default for SmtpTuning {
    fn default() -> Self {
        Self {
            journal_memory: 16 << 20,
            journal_size: 64 << 20,
            total_memory: 256 << 20,
            spool_size: 1 << 30,
            spool_dir: PathBuf::from("/var/tmp"),
            ack_wait: None,
        }
    }
}
