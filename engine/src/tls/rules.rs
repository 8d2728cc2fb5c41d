//! What the configuration's words mean to the library.

use std::sync::Arc;

use config::model::{Group, Suite, TlsRules, TlsVersion};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// The library's ciphers and groups, as far as the rules allow them, in their order.
pub(super) fn provider(rules: &TlsRules) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if rules.ciphers.is_some() || rules.ciphersuites.is_some() {
        let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let (new, old): (Vec<_>, Vec<_>) = provider.cipher_suites.into_iter().partition(is_13);
        let chosen = |list: &Option<Vec<Suite>>, all: Vec<_>| match list {
            Some(list) => list.iter().map(|name| suite(*name)).collect(),
            None => all,
        };
        let mut suites = chosen(&rules.ciphersuites, new);
        suites.extend(chosen(&rules.ciphers, old));
        provider.cipher_suites = suites;
    }
    if let Some(curves) = &rules.curves {
        provider.kx_groups = curves.iter().map(|name| group(*name)).collect();
    }
    Arc::new(provider)
}

/// The versions between the lowest and the highest.
pub(super) fn versions(rules: &TlsRules) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (TlsVersion::V13, &version::TLS13),
        (TlsVersion::V12, &version::TLS12),
    ];
    let within = |known: &TlsVersion| {
        rules.min.is_none_or(|min| *known >= min) && rules.max.is_none_or(|max| *known <= max)
    };
    all.into_iter()
        .filter(|(known, _)| within(known))
        .map(|(_, version)| version)
        .collect()
}

/// `alpn` as the library takes it.
pub(super) fn alpn(rules: &TlsRules) -> Vec<Vec<u8>> {
    let names = rules.alpn.iter();
    names.map(|name| name.as_bytes().to_vec()).collect()
}

fn suite(name: Suite) -> SupportedCipherSuite {
    match name {
        Suite::Tls13Aes256 => cipher_suite::TLS13_AES_256_GCM_SHA384,
        Suite::Tls13Aes128 => cipher_suite::TLS13_AES_128_GCM_SHA256,
        Suite::Tls13ChaCha20 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        Suite::EcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Suite::EcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Suite::EcdsaChaCha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite::RsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Suite::RsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Suite::RsaChaCha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

/// What OpenSSL calls a suite.
pub(super) fn cipher_name(chosen: SupportedCipherSuite) -> Option<&'static str> {
    let known = Suite::ALL.iter().find(|name| suite(**name) == chosen);
    known.map(|name| name.name())
}

fn group(name: Group) -> &'static dyn SupportedKxGroup {
    match name {
        Group::X25519MlKem768 => kx_group::X25519MLKEM768,
        Group::Secp256r1MlKem768 => kx_group::SECP256R1MLKEM768,
        Group::X25519 => kx_group::X25519,
        Group::Secp256r1 => kx_group::SECP256R1,
        Group::Secp384r1 => kx_group::SECP384R1,
    }
}
