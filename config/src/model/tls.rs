//! TLS with clients and with servers (CFG 5.1, 5.2). What a name of OpenSSL means here is a table in
//! `keyword/tls.rs`; the engine's own table says what each means to its library.

use std::path::PathBuf;

/// Versions there are: nothing older is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// Cipher suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "their names are those of RFC 8446 and RFC 5289"
)]
pub enum Suite {
    Tls13Aes256,
    Tls13Aes128,
    Tls13ChaCha20,
    EcdsaAes256,
    EcdsaAes128,
    EcdsaChaCha20,
    RsaAes256,
    RsaAes128,
    RsaChaCha20,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Tls13Aes256,
        Self::Tls13Aes128,
        Self::Tls13ChaCha20,
        Self::EcdsaAes256,
        Self::EcdsaAes128,
        Self::EcdsaChaCha20,
        Self::RsaAes256,
        Self::RsaAes128,
        Self::RsaChaCha20,
    ];

    /// As OpenSSL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls13Aes256 => "TLS_AES_256_GCM_SHA384",
            Self::Tls13Aes128 => "TLS_AES_128_GCM_SHA256",
            Self::Tls13ChaCha20 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::EcdsaAes256 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            Self::EcdsaAes128 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            Self::EcdsaChaCha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            Self::RsaAes256 => "ECDHE-RSA-AES256-GCM-SHA384",
            Self::RsaAes128 => "ECDHE-RSA-AES128-GCM-SHA256",
            Self::RsaChaCha20 => "ECDHE-RSA-CHACHA20-POLY1305",
        }
    }
}

/// Groups of the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are IANA's")]
pub enum Group {
    X25519MlKem768,
    Secp256r1MlKem768,
    X25519,
    Secp256r1,
    Secp384r1,
}

/// What both legs have to say of the protocol; `None` is the library's own choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsRules {
    /// `ssl-min-ver`.
    pub min: Option<TlsVersion>,
    /// `ssl-max-ver`.
    pub max: Option<TlsVersion>,
    /// `ciphers`: those of TLS 1.2, in order.
    pub ciphers: Option<Vec<Suite>>,
    /// `ciphersuites`: those of TLS 1.3, in order.
    pub ciphersuites: Option<Vec<Suite>>,
    /// `curves`.
    pub curves: Option<Vec<Group>>,
    /// `alpn`, in order.
    pub alpn: Vec<String>,
    /// `no-tls-tickets`.
    pub no_tickets: bool,
}

impl TlsRules {
    /// Fills in what `common` says and these do not.
    pub(crate) fn or(&mut self, common: &Self) {
        self.min = self.min.or(common.min);
        self.max = self.max.or(common.max);
        for (own, common) in [
            (&mut self.ciphers, &common.ciphers),
            (&mut self.ciphersuites, &common.ciphersuites),
        ] {
            *own = own.take().or_else(|| common.clone());
        }
        self.curves = self.curves.take().or_else(|| common.curves.clone());
        self.no_tickets |= common.no_tickets;
    }
}

/// Whose word is taken for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Authorities {
    /// Those in this file.
    File(PathBuf),
    /// `@system-ca`: those the system trusts.
    System,
}

/// `verify` of a `bind` line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientVerify {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// They may have one, and it must be good.
    Optional,
    /// They must have a good one.
    Required,
}

/// When TLS with clients begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsStart {
    /// `ssl`: with the first byte.
    #[default]
    AtOnce,
    /// `starttls`: when the client asks for it; `required`: nothing is transferred before.
    OnRequest {
        /// `starttls required`.
        required: bool,
    },
}

/// `bind ... ssl` or `starttls`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindTls {
    /// When it begins.
    pub start: TlsStart,
    /// Versions, ciphers and the like.
    pub rules: TlsRules,
    /// `crt`: files and directories, in order. The first certificate is the default one.
    pub crt: Vec<PathBuf>,
    /// `crt-list` files.
    pub crt_list: Vec<PathBuf>,
    /// `crt-base`, for the entries of a list.
    pub crt_base: Option<PathBuf>,
    /// `verify`.
    pub verify: ClientVerify,
    /// `ca-file`.
    pub ca: Option<Authorities>,
    /// `ca-base`, for the entries of a list.
    pub ca_base: Option<PathBuf>,
    /// `crl-file`.
    pub crl: Option<PathBuf>,
    /// `strict-sni`: who asks for a name that no certificate has gets none.
    pub strict_sni: bool,
}

/// `sni` of a `server` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sni {
    /// `str(<name>)`.
    Name(String),
    /// `ssl_fc_sni`: what the client asked for.
    Client,
}

/// `server ... ssl` or `starttls`, or what its checks use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// `starttls`: it begins behind the server's greeting.
    pub starttls: bool,
    /// Versions, ciphers and the like.
    pub rules: TlsRules,
    /// `verify required`, the default: its certificate must be good.
    pub verify: bool,
    /// `verifyhost`: the name it must have; without it that of `sni`, and without both any.
    pub verifyhost: Option<String>,
    /// `ca-file`; there where `verify` is.
    pub ca: Option<Authorities>,
    /// `crl-file`.
    pub crl: Option<PathBuf>,
    /// `crt`: our own certificate.
    pub crt: Option<PathBuf>,
    /// `sni`.
    pub sni: Option<Sni>,
    /// `no-ssl-reuse`: no session is resumed.
    pub no_reuse: bool,
}
