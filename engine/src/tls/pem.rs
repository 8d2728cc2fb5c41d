//! Certificates, keys and lists as they come in files (RFC 7468; CFG 5.1 `crt`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::model::Authorities;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use wire::x509::{self, Certificate};

/// A certificate with its chain and its key.
#[derive(Debug)]
pub struct Bundle {
    pub(super) key: Arc<CertifiedKey>,
    /// What is known of the certificate itself.
    pub leaf: Certificate,
    /// And of those behind it.
    pub chain: Vec<Certificate>,
    /// SHA-1 of the certificate, by which people compare.
    pub fingerprint: Vec<u8>,
    /// It comes with an OCSP answer.
    pub has_ocsp: bool,
}

/// Reads `<path>`, and what belongs to it: `<path>.key` where the key is not in it, `<path>.ocsp`.
pub(super) fn load(path: &Path) -> Result<Bundle, String> {
    let mut pem = read(path)?;
    if PrivateKeyDer::from_pem_slice(&pem).is_err() {
        let beside = beside(path, "key");
        if let Ok(key) = std::fs::read(&beside) {
            pem.push(b'\n');
            pem.extend(key);
        }
    }
    let ocsp = std::fs::read(beside(path, "ocsp")).ok();
    parse(&pem, ocsp).map_err(|why| format!("'{}': {why}", path.display()))
}

/// The file of that ending beside another.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// What PEM text has of a certificate, its chain and its key, in whatever order.
pub(super) fn parse(pem: &[u8], ocsp: Option<Vec<u8>>) -> Result<Bundle, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("broken PEM: {error}"))?;
    let leaf = certificates.first().ok_or("no certificate in it")?;
    let leaf = x509::parse(leaf).ok_or("its certificate cannot be read")?;
    let chain = certificates[1..].iter().filter_map(|der| x509::parse(der));
    let chain = chain.collect();
    let digest = aws_lc_rs_digest(&certificates[0]);
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            "no private key in it, nor in the file of that name with .key behind it".to_owned()
        }
        error => format!("its private key cannot be read: {error}"),
    })?;
    let provider = aws_lc_rs::default_provider();
    let mut key =
        CertifiedKey::from_der(certificates, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the private key is that of another certificate".to_owned()
            }
            error => format!("{error}"),
        })?;
    let ocsp = ocsp.filter(|answer| !answer.is_empty());
    let has_ocsp = ocsp.is_some();
    key.ocsp = ocsp;
    Ok(Bundle {
        key: Arc::new(key),
        leaf,
        chain,
        fingerprint: digest,
        has_ocsp,
    })
}

fn aws_lc_rs_digest(der: &[u8]) -> Vec<u8> {
    use ::aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    format!("cannot read '{}': {reason}", path.display())
}

/// Whom to trust.
pub(super) fn authorities(ca: &Authorities) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let (name, certificates) = match ca {
        Authorities::System => {
            let found = rustls_native_certs::load_native_certs();
            ("@system-ca".to_owned(), found.certs)
        }
        Authorities::File(path) => {
            let pem = read(path)?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let name = path.display().to_string();
            let all = all.map_err(|error| format!("'{name}': broken PEM: {error}"))?;
            (name, all)
        }
    };
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(format!("'{name}': no certificate of an authority in it"));
    }
    Ok(store)
}

/// Who is revoked.
pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let pem = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let lists = lists.map_err(|error| format!("'{}': broken PEM: {error}", path.display()))?;
    if lists.is_empty() {
        return Err(format!("'{}': no revocation list in it", path.display()));
    }
    Ok(lists)
}

/// Files of a directory that are certificates, in their order.
pub(super) fn directory(path: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let other = file.extension().is_some_and(|ending| {
            ["key", "ocsp", "issuer", "sctl"]
                .iter()
                .any(|known| ending == *known)
        });
        if !hidden && !other && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
