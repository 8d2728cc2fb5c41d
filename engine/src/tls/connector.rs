//! TLS with servers: what `server ... ssl` makes of a connection, for sessions and for checks.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use config::model::{Authorities, ServerAddress, ServerTls, Sni};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, Tls12Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};
use wire::x509::{self, Certificate};

use super::stream::fault_of;
use super::{Complaint, Entry, Failure, Store, Stream, pem, rules};

/// Sessions with a server that are kept to be resumed.
const SESSIONS: usize = 64;

/// The certificate a server showed last.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its facts.
    pub leaf: Certificate,
    /// How many stood behind it.
    pub chain: usize,
}

/// Makes sessions with a server.
#[derive(Debug)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    sni: Option<Sni>,
    verifier: Arc<Verifier>,
}

impl Connector {
    /// For a server; `None` when something was told that makes it impossible.
    pub(super) fn new(
        conf: &ServerTls,
        store: &mut Store,
        tell: &mut dyn FnMut(Complaint),
    ) -> Option<Self> {
        match build(conf, None, store, tell) {
            Ok(connector) => Some(connector),
            Err(why) => {
                let help = "certificates, keys and lists are read in PEM";
                tell(Complaint::error(format!("{why}."), help));
                None
            }
        }
    }

    /// One that no certificate ends: what is wrong with it is kept, and is told by [`Self::fault`]. Where the
    /// configuration does not verify, it is judged by those the system trusts.
    pub(crate) fn noting(conf: &ServerTls) -> Result<Self, String> {
        let noted = Some(Noted::default());
        build(conf, noted, &mut Store::default(), &mut |_| {})
    }

    /// What is wrong with the certificate, as [`Self::noting`] has it; `None`: nothing, or there was none yet.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        *self.verifier.noted.as_ref()?.0.get()?
    }

    /// A session with the server at that address. `client_name` is what our own client asked for; a check may
    /// ask for a name and protocols of its own.
    pub(crate) fn connect(
        &self,
        address: &ServerAddress,
        client_name: Option<&str>,
        asked: &Asked<'_>,
    ) -> Result<Stream, Failure> {
        let written = match &self.sni {
            Some(Sni::Name(name)) => Some(name.as_str()),
            Some(Sni::Client) => client_name,
            None => None,
        };
        let name = asked.name.or(written);
        let name = name.and_then(|name| DnsName::try_from(name.to_owned()).ok());
        let name = name.map_or_else(|| nameless(address), ServerName::DnsName);
        let config = Arc::clone(&self.config);
        let connection = if asked.alpn.is_empty() {
            ClientConnection::new(config, name)
        } else {
            let protocols = asked.alpn.iter().map(|name| name.as_bytes().to_vec());
            ClientConnection::new_with_alpn(config, name, protocols.collect())
        };
        connection.map(Stream::new).map_err(Failure::Protocol)
    }

    /// The certificate the server showed last.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let seen = self.verifier.seen.lock();
        let seen = seen.unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().map(|(_, seen)| seen.clone())
    }
}

/// What a check asks for that its server's line does not say.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) alpn: &'a [String],
}

/// Whom to call a server that is asked for no name: its address, which is not sent.
fn nameless(address: &ServerAddress) -> ServerName<'static> {
    let ip = match address {
        ServerAddress::Ip(address) => address.ip(),
        ServerAddress::IpRelative(ip, _) => *ip,
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    ServerName::IpAddress(ip.into())
}

fn build(
    conf: &ServerTls,
    noted: Option<Noted>,
    store: &mut Store,
    tell: &mut dyn FnMut(Complaint),
) -> Result<Connector, String> {
    let provider = rules::provider(&conf.rules);
    let versions = rules::versions(&conf.rules);
    let words = |error: Error| error.to_string();
    let host = match &conf.verifyhost {
        Some(host) => {
            let name = ServerName::try_from(host.clone());
            Some(name.map_err(|_| format!("'{host}' is not the name of a host"))?)
        }
        None => None,
    };
    let verifier = Arc::new(Verifier {
        judge: match &noted {
            Some(_) if !conf.verify => {
                let system = ServerTls {
                    verify: true,
                    ca: Some(Authorities::System),
                    ..ServerTls::default()
                };
                // Where it trusts nobody there is no judge.
                judge(&system, &provider).unwrap_or_default()
            }
            _ => judge(conf, &provider)?,
        },
        noted,
        strict: conf.verify,
        host,
        seen: Mutex::default(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(words)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
    let mut config = match &conf.crt {
        None => builder.with_no_client_auth(),
        Some(path) => {
            builder.with_client_cert_resolver(Arc::new(Own(store.load(path, tell)?)) as _)
        }
    };
    config.alpn_protocols = rules::alpn(&conf.rules);
    config.resumption = if conf.no_reuse {
        Resumption::disabled()
    } else {
        let how = if conf.rules.no_tickets {
            Tls12Resumption::SessionIdOnly
        } else {
            Tls12Resumption::SessionIdOrTickets
        };
        Resumption::in_memory_sessions(SESSIONS).tls12_resumption(how)
    };
    Ok(Connector {
        config: Arc::new(config),
        sni: conf.sni.clone(),
        verifier,
    })
}

fn judge(
    conf: &ServerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, String> {
    let (Some(ca), true) = (&conf.ca, conf.verify) else {
        return Ok(None);
    };
    let roots = Arc::new(pem::authorities(ca)?);
    let mut builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
    if let Some(path) = &conf.crl {
        builder = builder
            .with_crls(pem::revocations(path)?)
            .enforce_revocation_expiration();
    }
    let built = builder.build();
    built.map(Some).map_err(|error| error.to_string())
}

/// Our certificate, as it is when it is asked for.
#[derive(Debug)]
struct Own(Arc<Entry>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = Arc::clone(&self.0.current().key);
        key.key.choose_scheme(schemes).is_some().then_some(key)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Judges a server's certificate, and remembers it for whoever asks how long it is good.
#[derive(Debug)]
struct Verifier {
    /// `None`: `verify none`.
    judge: Option<Arc<WebPkiServerVerifier>>,
    /// Where verdicts go that end no handshake.
    noted: Option<Noted>,
    /// `verify required`.
    strict: bool,
    /// `verifyhost`.
    host: Option<ServerName<'static>>,
    seen: Mutex<Option<(Vec<u8>, Seen)>>,
}

/// What is wrong with the certificate that was shown first.
#[derive(Debug, Default)]
struct Noted(OnceLock<Option<&'static str>>);

impl Noted {
    fn take(&self, verdict: Result<ServerCertVerified, Error>, judged: bool) {
        let fault = match verdict {
            _ if !judged => Some("not judged: nobody is trusted on this system"),
            Ok(_) => None,
            Err(Error::InvalidCertificate(why)) => Some(fault_of(&why)),
            Err(_) => Some("bad certificate"),
        };
        // Another handshake with the same server shows the same.
        let _ = self.0.set(fault);
    }
}

impl Verifier {
    /// Who judges signatures.
    fn strict_judge(&self) -> Option<&WebPkiServerVerifier> {
        self.judge.as_deref().filter(|_| self.strict)
    }

    fn verdict(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(judge) = &self.judge else {
            return Ok(ServerCertVerified::assertion());
        };
        let name = self.host.as_ref().unwrap_or(asked);
        match judge.verify_server_cert(leaf, chain, name, ocsp, now) {
            // The name is looked at last: all else is well. Where none was asked for, none is required (CFG 5.2).
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.host.is_none() && matches!(name, ServerName::IpAddress(_)) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn remember(&self, leaf: &CertificateDer<'_>, chain: usize) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|(der, _)| **der == **leaf) {
            return;
        }
        *seen = x509::parse(leaf).map(|facts| (leaf.to_vec(), Seen { leaf: facts, chain }));
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.remember(leaf, chain.len());
        let verdict = self.verdict(leaf, chain, asked, ocsp, now);
        match &self.noted {
            None => verdict,
            Some(noted) => {
                noted.take(verdict, self.judge.is_some());
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.strict_judge() {
            Some(judge) => judge.verify_tls12_signature(message, cert, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.strict_judge() {
            Some(judge) => judge.verify_tls13_signature(message, cert, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let all = rustls::crypto::aws_lc_rs::default_provider();
        all.signature_verification_algorithms.supported_schemes()
    }
}
