//! TLS with clients: what a `bind ... ssl` line makes of a connection.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::model::{BindTls, ClientVerify};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ServerConfig, ServerConnection, SignatureAlgorithm, SignatureScheme};

use super::{Bundle, Complaint, Entry, Failure, Store, Stream, facts, pem, rules};

/// Sessions kept for clients that resume without a ticket.
const SESSIONS: usize = 8192;

/// Makes sessions with clients.
#[derive(Debug)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl Acceptor {
    /// For a `bind` line; `None` when something was told that makes it impossible.
    pub(super) fn new(
        conf: &BindTls,
        store: &mut Store,
        tell: &mut dyn FnMut(Complaint),
    ) -> Option<Self> {
        let mut slots = Vec::new();
        let failed = std::cell::Cell::new(false);
        let complain = |tell: &mut dyn FnMut(Complaint), why: String| {
            failed.set(true);
            tell(Complaint::error(
                format!("{why}."),
                "a certificate file has the certificate, its chain and its key, in PEM",
            ));
        };
        for path in &conf.crt {
            let files = files_of(path).unwrap_or_else(|why| {
                complain(tell, why);
                Vec::new()
            });
            for file in files {
                match store.load(&file, tell) {
                    Ok(entry) => slots.push(Slot::new(entry, &[])),
                    Err(why) => complain(tell, why),
                }
            }
        }
        for path in &conf.crt_list {
            if let Err(why) = list(path, conf.crt_base.as_deref(), store, &mut slots, tell) {
                complain(tell, why);
            }
        }
        let certificates = Arc::new(Certificates::new(slots, conf.strict_sni));
        match server_config(conf, &certificates) {
            Ok(config) if !failed.get() => Some(Self {
                config: Arc::new(config),
                certificates,
            }),
            Ok(_) => None,
            Err(why) => {
                complain(tell, why);
                None
            }
        }
    }

    /// A session with a client that has just connected.
    pub(crate) fn accept(&self) -> Result<Stream, Failure> {
        let connection = ServerConnection::new(Arc::clone(&self.config));
        connection.map(Stream::new).map_err(Failure::Protocol)
    }

    /// Looks the certificates up anew.
    pub(super) fn refresh(&self) {
        self.certificates.refresh();
    }
}

fn server_config(conf: &BindTls, certificates: &Arc<Certificates>) -> Result<ServerConfig, String> {
    let provider = rules::provider(&conf.rules);
    let versions = rules::versions(&conf.rules);
    let words = |error: rustls::Error| error.to_string();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(words)?;
    let builder = match client_verifier(conf, provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificates) as _);
    config.alpn_protocols = rules::alpn(&conf.rules);
    config.ignore_client_order = true;
    if conf.rules.no_tickets {
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    } else {
        config.ticketer = Ticketer::new().map_err(words)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    Ok(config)
}

fn client_verifier(
    conf: &BindTls,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let (Some(ca), true) = (&conf.ca, conf.verify != ClientVerify::None) else {
        return Ok(None);
    };
    let roots = Arc::new(pem::authorities(ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    if let Some(path) = &conf.crl {
        builder = builder
            .with_crls(pem::revocations(path)?)
            .enforce_revocation_expiration();
    }
    if conf.verify == ClientVerify::Optional {
        builder = builder.allow_unauthenticated();
    }
    let built = builder.build();
    built.map(Some).map_err(|error| error.to_string())
}

/// The files that `crt` means: one, those of a directory, or one for each kind of key.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_dir() {
        return pem::directory(path);
    }
    let with = |ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let kinds: Vec<_> = [".ecdsa", ".rsa"].map(with).into();
    let there: Vec<_> = kinds.into_iter().filter(|file| file.is_file()).collect();
    if path.is_file() || there.is_empty() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(there)
}

/// `crt-list`: `<file> [\[options\]] [\[!\]<name>...]` per line (CFG 5.1).
fn list(
    path: &Path,
    base: Option<&Path>,
    store: &mut Store,
    slots: &mut Vec<Slot>,
    tell: &mut dyn FnMut(Complaint),
) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| pem::unreadable(path, &error))?;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |why: String| format!("'{}:{}': {why}", path.display(), number + 1);
        if line.contains('[') {
            return Err(at(
                "options of one certificate are not supported by Posthouse yet".to_owned(),
            ));
        }
        let mut words = line.split_whitespace();
        let Some(file) = words.next() else { continue };
        let file = base.map_or_else(|| PathBuf::from(file), |base| base.join(file));
        let names: Vec<_> = words.collect();
        for file in files_of(&file).map_err(at)? {
            slots.push(Slot::new(store.load(&file, tell).map_err(at)?, &names));
        }
    }
    Ok(())
}

/// A certificate and for which names it is meant.
#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// Written names; without any, those of the certificate.
    names: Vec<String>,
    /// Names it is not for, although they fit.
    not: Arc<[String]>,
}

impl Slot {
    fn new(entry: Arc<Entry>, filters: &[&str]) -> Self {
        let (not, names): (Vec<_>, Vec<_>) = filters
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .partition(|name| name.starts_with('!'));
        Self {
            entry,
            names,
            not: not.iter().map(|name| name[1..].to_owned()).collect(),
        }
    }

    /// The names it is for now.
    fn names(&self) -> Vec<String> {
        if !self.names.is_empty() {
            return self.names.clone();
        }
        let leaf = &self.entry.current().leaf;
        let names = leaf.names.iter().chain(&leaf.common_name);
        names.map(|name| name.to_ascii_lowercase()).collect()
    }
}

/// One that could serve.
#[derive(Debug, Clone)]
struct Candidate {
    bundle: Arc<Bundle>,
    not: Arc<[String]>,
}

impl Candidate {
    fn key(&self) -> &dyn SigningKey {
        &*self.bundle.key.key
    }
}

/// Certificates by name.
#[derive(Debug, Default)]
struct Index {
    /// Exact names, and `*.example.com`.
    by_name: HashMap<String, Vec<Candidate>>,
    /// Who gets no name, or one that nobody has.
    default: Vec<Candidate>,
}

/// All certificates of a `bind` line.
struct Certificates {
    slots: Vec<Slot>,
    strict: bool,
    index: ArcSwap<Index>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl Certificates {
    fn new(slots: Vec<Slot>, strict: bool) -> Self {
        let certificates = Self {
            slots,
            strict,
            index: ArcSwap::default(),
        };
        certificates.refresh();
        certificates
    }

    fn refresh(&self) {
        let mut index = Index::default();
        let first = self.slots.first().map(Slot::names).unwrap_or_default();
        for (place, slot) in self.slots.iter().enumerate() {
            let candidate = Candidate {
                bundle: slot.entry.current(),
                not: Arc::clone(&slot.not),
            };
            let names = slot.names();
            // The default one may come in two kinds.
            if place == 0 || names.iter().any(|name| first.contains(name)) {
                index.default.push(candidate.clone());
            }
            for name in names {
                index
                    .by_name
                    .entry(name)
                    .or_default()
                    .push(candidate.clone());
            }
        }
        self.index.store(Arc::new(index));
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<Bundle>> {
        let index = self.index.load();
        let name = name.map(str::to_ascii_lowercase);
        if let Some(name) = &name {
            let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            for key in [Some(name), wild.as_ref()].into_iter().flatten() {
                let known = index.by_name.get(key).map_or(&[][..], Vec::as_slice);
                if let Some(found) = pick(known.iter().filter(|c| !c.not.contains(name)), schemes) {
                    return Some(found);
                }
            }
        }
        if self.strict {
            return None;
        }
        let default = pick(index.default.iter(), schemes);
        default.or_else(|| index.default.first().map(|first| Arc::clone(&first.bundle)))
    }
}

/// The first that the client can check; the cheaper kind of key first.
fn pick<'c>(
    candidates: impl Iterator<Item = &'c Candidate> + Clone,
    schemes: &[SignatureScheme],
) -> Option<Arc<Bundle>> {
    let fits = |candidate: &&Candidate| candidate.key().choose_scheme(schemes).is_some();
    let cheap = |candidate: &&Candidate| candidate.key().algorithm() != SignatureAlgorithm::RSA;
    let found = candidates.clone().filter(fits).find(cheap);
    let found = found.or_else(|| candidates.clone().find(fits));
    found.map(|candidate| Arc::clone(&candidate.bundle))
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let bundle = self.choose(hello.server_name(), hello.signature_schemes())?;
        facts::show(&bundle);
        Some(Arc::clone(&bundle.key))
    }
}
