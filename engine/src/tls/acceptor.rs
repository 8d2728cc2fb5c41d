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
    /// That of the line, and one for each set of options that certificates of a list have for themselves.
    configs: Vec<Arc<ServerConfig>>,
    certificates: Arc<Certificates>,
}

impl Acceptor {
    /// For a `bind` line; `None` when something was told that makes it impossible.
    pub(super) fn new(
        conf: &BindTls,
        store: &mut Store,
        tell: &mut dyn FnMut(Complaint),
    ) -> Option<Self> {
        let failed = std::cell::Cell::new(false);
        let complain = |tell: &mut dyn FnMut(Complaint), why: String| {
            failed.set(true);
            tell(Complaint::error(
                format!("{why}."),
                "a certificate file has the certificate, its chain and its key, in PEM",
            ));
        };
        let mut gathered = Gathered::new(conf);
        for path in &conf.crt {
            let files = files_of(path).unwrap_or_else(|why| {
                complain(tell, why);
                Vec::new()
            });
            for file in files {
                match store.load(&file, tell) {
                    Ok(entry) => gathered.slots.push(Slot::new(entry, &[], 0)),
                    Err(why) => complain(tell, why),
                }
            }
        }
        for path in &conf.crt_list {
            if let Err(why) = gathered.list(path, store, tell) {
                complain(tell, why);
            }
        }
        let Gathered { slots, options } = gathered;
        let certificates = Arc::new(Certificates::new(slots, conf.strict_sni));
        let mut configs = Vec::new();
        for (options, written) in &options {
            match server_config(options, &certificates) {
                Ok(config) => configs.push(Arc::new(config)),
                Err(why) => complain(tell, format!("{written}{why}")),
            }
        }
        (!failed.get()).then_some(Self {
            configs,
            certificates,
        })
    }

    /// A session with a client that has just connected.
    pub(crate) fn accept(self: &Arc<Self>) -> Result<Stream, Failure> {
        let connection = ServerConnection::new(Arc::clone(&self.configs[0]));
        let stream = connection.map(Stream::new).map_err(Failure::Protocol)?;
        Ok(match self.configs.len() {
            1 => stream,
            _ => stream.undecided(Arc::clone(self)),
        })
    }

    /// A session with a client that asks for that name, where its certificate has options for itself.
    pub(super) fn accept_for(&self, name: Option<&str>) -> Result<ServerConnection, rustls::Error> {
        let config = &self.configs[self.certificates.options_for(name)];
        ServerConnection::new(Arc::clone(config))
    }

    /// Looks the certificates up anew.
    pub(super) fn refresh(&self) {
        self.certificates.refresh();
    }
}

/// What a `bind` line names, before anything is made of it.
struct Gathered {
    slots: Vec<Slot>,
    /// What the line says, and what it says together with options of a list; with where these are written.
    options: Vec<(BindTls, String)>,
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

impl Gathered {
    fn new(conf: &BindTls) -> Self {
        Self {
            slots: Vec::new(),
            options: vec![(conf.clone(), String::new())],
        }
    }

    /// `crt-list`: `<file> [\[options\]] [\[!\]<name>...]` per line (CFG 5.1).
    fn list(
        &mut self,
        path: &Path,
        store: &mut Store,
        tell: &mut dyn FnMut(Complaint),
    ) -> Result<(), String> {
        let text = std::fs::read_to_string(path).map_err(|error| pem::unreadable(path, &error))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("'{}:{}': ", path.display(), number + 1);
            let at = |why: String| format!("{place}{why}");
            let (file, options, names) = parts(line).map_err(at)?;
            let options = match options {
                Some(options) => self.options(options, &place, tell).map_err(at)?,
                None => 0,
            };
            let base = self.options[0].0.crt_base.as_deref();
            let file = base.map_or_else(|| PathBuf::from(file), |base| base.join(file));
            let names: Vec<_> = names.split_whitespace().collect();
            for file in files_of(&file).map_err(at)? {
                let entry = store.load(&file, tell).map_err(at)?;
                self.slots.push(Slot::new(entry, &names, options));
            }
        }
        Ok(())
    }

    /// Which of the sets of options these are, together with the line's.
    fn options(
        &mut self,
        written: &str,
        place: &str,
        tell: &mut dyn FnMut(Complaint),
    ) -> Result<usize, String> {
        let (options, left_out) = config::certificate_options(written, &self.options[0].0)?;
        for what in left_out {
            let help = "remove it: it is not available here";
            tell(Complaint::notice(format!("{place}{what}."), help));
        }
        let known = self.options.iter().position(|(known, _)| *known == options);
        Ok(known.unwrap_or_else(|| {
            self.options.push((options, place.to_owned()));
            self.options.len() - 1
        }))
    }
}

/// File, options and names of a list's line.
fn parts(line: &str) -> Result<(&str, Option<&str>, &str), String> {
    let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let Some(options) = rest.strip_prefix('[') else {
        return match file.contains('[') || rest.contains(['[', ']']) {
            true => Err("options stand in brackets between file and names".to_owned()),
            false => Ok((file, None, rest)),
        };
    };
    let (options, names) = options
        .split_once(']')
        .ok_or("']' is missing behind the options")?;
    Ok((file, Some(options), names))
}

/// A certificate and for which names it is meant.
#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// Written names; without any, those of the certificate.
    names: Vec<String>,
    /// Names it is not for, although they fit.
    not: Arc<[String]>,
    /// Which options hold for it.
    options: usize,
}

impl Slot {
    fn new(entry: Arc<Entry>, filters: &[&str], options: usize) -> Self {
        let (not, names): (Vec<_>, Vec<_>) = filters
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .partition(|name| name.starts_with('!'));
        Self {
            entry,
            names,
            not: not.iter().map(|name| name[1..].to_owned()).collect(),
            options,
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
    options: usize,
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
                options: slot.options,
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
        let meant =
            name.and_then(|name| index.meant(name, |fits| pick(fits.iter().copied(), schemes)));
        if meant.is_some() || self.strict {
            return meant;
        }
        let default = pick(index.default.iter(), schemes);
        default.or_else(|| index.default.first().map(|first| Arc::clone(&first.bundle)))
    }

    /// The options of the first certificate for that name.
    fn options_for(&self, name: Option<&str>) -> usize {
        let index = self.index.load();
        let first = |fits: &[&Candidate]| fits.first().map(|first| first.options);
        let meant = name.and_then(|name| index.meant(name, first));
        let default = || index.default.first().map(|first| first.options);
        meant.or_else(default).unwrap_or(0)
    }
}

impl Index {
    /// What `wanted` finds among those for that very name, then among those for all names of its domain.
    fn meant<T>(&self, name: &str, wanted: impl Fn(&[&Candidate]) -> Option<T>) -> Option<T> {
        let name = name.to_ascii_lowercase();
        let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        [Some(&name), wild.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|key| {
                let known = self.by_name.get(key).map_or(&[][..], Vec::as_slice);
                let fits: Vec<_> = known
                    .iter()
                    .filter(|known| !known.not.contains(&name))
                    .collect();
                wanted(&fits)
            })
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
