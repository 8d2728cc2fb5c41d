//! TLS for tests: certificates made on the spot, and OpenSSL's client.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tempfile::TempDir;

use crate::output::Output;
use crate::{need, run};

/// Kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On P-256.
    Ecdsa,
    /// Of 2048 bits.
    Rsa,
}

/// An authority with a directory for what it issues.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is like.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Its names; the first is the common one.
    pub names: &'a [&'a str],
    /// The last year it is good in; it begins in 2020.
    pub until: i32,
    /// Days it is still good for, whatever `until` says.
    pub days: Option<u64>,
    /// Its key.
    pub kind: Kind,
    /// Its serial number.
    pub serial: u64,
}

impl Default for Order<'_> {
    fn default() -> Self {
        Self {
            names: &["mx.example.com"],
            until: 2090,
            days: None,
            kind: Kind::Ecdsa,
            serial: 7,
        }
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No directory.
    pub fn new() -> Result<Self> {
        static AUTHORITIES: AtomicU32 = AtomicU32::new(1);
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let own = params.self_signed(&key)?;
        let directory = TempDir::with_prefix("posthouse-tls-")?;
        fs::write(directory.path().join("ca.pem"), own.pem())?;
        fs::write(directory.path().join("ca.key"), key.serialize_pem())?;
        Ok(Self {
            directory,
            issuer: Issuer::new(params, key),
        })
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The file with its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Trust in what it issues.
    ///
    /// # Errors
    /// Its certificate cannot be read.
    pub fn trust(&self) -> Result<Trust> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca())?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(Trust(Arc::new(builder.with_no_client_auth())))
    }

    /// Issues a certificate: PEM text with its key behind it.
    ///
    /// # Errors
    /// A name that is none.
    pub fn pem(&self, order: &Order<'_>) -> Result<String> {
        let names: Vec<_> = order.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, order.names[0]);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match order.days {
            None => date_time_ymd(order.until, 12, 31),
            Some(days) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                date_time_ymd(1970, 1, 1) + now + Duration::from_secs(86_400 * days)
            }
        };
        params.serial_number = Some(SerialNumber::from(order.serial));
        let key = KeyPair::generate_for(match order.kind {
            Kind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
            Kind::Rsa => &PKCS_RSA_SHA256,
        })?;
        let issued = params.signed_by(&key, &self.issuer)?;
        Ok(issued.pem() + &key.serialize_pem())
    }

    /// The same in a file of that name.
    ///
    /// # Errors
    /// As above, or the file cannot be written.
    pub fn issue(&self, file: &str, order: &Order<'_>) -> Result<PathBuf> {
        let path = self.directory.path().join(file);
        fs::write(&path, self.pem(order)?)?;
        Ok(path)
    }

    /// The answer of OCSP that a certificate of that file and serial number is good, beside it.
    ///
    /// # Errors
    /// OpenSSL is not installed.
    pub fn staple(&self, file: &Path, serial: u8) -> Result<()> {
        need("openssl", "openssl")?;
        let place = |name: &str| self.directory.path().join(name);
        let index = format!("V\t910101000000Z\t\t{serial:02X}\tunknown\t/CN=any\n");
        fs::write(place("index"), index)?;
        let ca = place("ca.pem");
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-ndays", "30"]);
        command.arg("-index").arg(place("index"));
        command.arg("-rkey").arg(place("ca.key"));
        for option in ["-CA", "-rsigner", "-issuer"] {
            command.arg(option).arg(&ca);
        }
        // OpenSSL asks for the serial number behind the issuer.
        command.args(["-serial", &serial.to_string()]);
        let beside = format!("{}.ocsp", file.display());
        run(command.args(["-respout", &beside])).map(drop)
    }

    /// A list that revokes a serial number, in a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn revoke(&self, serial: u64) -> Result<PathBuf> {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2020, 6, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.directory.path().join("revoked.pem");
        fs::write(&path, list.signed_by(&self.issuer)?.pem()?)?;
        Ok(path)
    }
}

/// Whom a [`crate::client::Client`] takes for whom it says it is.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The client's side of a session with `mx.example.com`.
    pub(crate) fn connection(&self) -> Result<ClientConnection> {
        let name = ServerName::try_from("mx.example.com")?;
        Ok(ClientConnection::new(Arc::clone(&self.0), name)?)
    }
}

/// `openssl s_client` at work: within TLS it is a client that speaks lines.
#[derive(Debug)]
pub struct Client {
    child: Child,
    reader: BufReader<ChildStdout>,
    /// What OpenSSL has to say of it: why there is no session.
    pub complaints: Output,
}

impl Client {
    /// Connects, with more arguments for OpenSSL.
    ///
    /// # Errors
    /// OpenSSL is not installed.
    pub fn connect(to: SocketAddr, arguments: &[&str]) -> Result<Self> {
        need("openssl", "openssl")?;
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-ign_eof",
                "-connect",
                &to.to_string(),
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let complaints = Output::default();
        if let Some(stderr) = child.stderr.take() {
            complaints.follow(stderr);
        }
        Ok(Self {
            child,
            reader: BufReader::new(stdout),
            complaints,
        })
    }

    /// Reads a line; empty when the session is over.
    ///
    /// # Errors
    /// What was said is no text.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Sends a command and reads the first line of the answer.
    ///
    /// # Errors
    /// The session is over.
    pub fn command(&mut self, command: &str) -> Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The session is over.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no input")?;
        input.write_all(bytes)?;
        Ok(input.flush()?)
    }

    /// Sends a command and reads its whole reply; returns the last line.
    ///
    /// # Errors
    /// The session is over.
    pub fn reply(&mut self, command: &str) -> Result<String> {
        let mut line = self.command(command)?;
        while line.as_bytes().get(3) == Some(&b'-') {
            line = self.line()?;
        }
        Ok(line)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `openssl s_client` has to say about a handshake: everything it prints, with nothing to send.
///
/// # Errors
/// OpenSSL is not installed.
pub fn handshake(to: SocketAddr, arguments: &[&str]) -> Result<String> {
    need("openssl", "openssl")?;
    let output = Command::new("timeout")
        .args(["10", "openssl", "s_client", "-connect", &to.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok(text.into_owned())
}
