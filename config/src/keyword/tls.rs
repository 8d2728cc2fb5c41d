//! What `bind`, `server` and `global` say of TLS (CFG 3.1, 5.1, 5.2). OpenSSL's names are read as far as there is
//! something behind them here; what is left out of a list is told.

use std::path::PathBuf;

use super::Args;
use crate::diagnostic::Fault;
use crate::lexer::Word;
use crate::model::{Authorities, ClientVerify, Group, Sni, Suite, TlsRules, TlsVersion};

/// Suites of TLS 1.2 with the properties by which its lists can name them, best first.
const CIPHERS: &[(Suite, &[&str])] = &[
    (
        Suite::EcdsaAes256,
        &["ECDSA", "AES256", "AES", "AESGCM", "SHA384"],
    ),
    (
        Suite::RsaAes256,
        &["RSA", "AES256", "AES", "AESGCM", "SHA384"],
    ),
    (
        Suite::EcdsaAes128,
        &["ECDSA", "AES128", "AES", "AESGCM", "SHA256"],
    ),
    (
        Suite::RsaAes128,
        &["RSA", "AES128", "AES", "AESGCM", "SHA256"],
    ),
    (Suite::EcdsaChaCha20, &["ECDSA", "CHACHA20", "SHA256"]),
    (Suite::RsaChaCha20, &["RSA", "CHACHA20", "SHA256"]),
];

/// Properties that all of them have.
const COMMON: &[&str] = &[
    "ALL",
    "DEFAULT",
    "HIGH",
    "COMPLEMENTOFDEFAULT",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "TLSv1.2",
    "FIPS",
    "SUITEB128",
];

const CIPHERSUITES: &[(&str, Suite)] = &[
    (Suite::Tls13Aes256.name(), Suite::Tls13Aes256),
    (Suite::Tls13Aes128.name(), Suite::Tls13Aes128),
    (Suite::Tls13ChaCha20.name(), Suite::Tls13ChaCha20),
];

const CURVES: &[(&str, Group)] = &[
    ("X25519MLKEM768", Group::X25519MlKem768),
    ("SECP256R1MLKEM768", Group::Secp256r1MlKem768),
    ("X25519", Group::X25519),
    ("P-256", Group::Secp256r1),
    ("PRIME256V1", Group::Secp256r1),
    ("SECP256R1", Group::Secp256r1),
    ("P-384", Group::Secp384r1),
    ("SECP384R1", Group::Secp384r1),
];

/// Versions by name; `None`: older than what there is.
const VERSIONS: &[(&str, Option<TlsVersion>)] = &[
    ("SSLv3", None),
    ("TLSv1.0", None),
    ("TLSv1.1", None),
    ("TLSv1.2", Some(TlsVersion::V12)),
    ("TLSv1.3", Some(TlsVersion::V13)),
];

/// Whether a word of a list, as `EECDH+AESGCM`, means that suite.
fn names(word: &str, name: &str, properties: &[&str]) -> bool {
    let has = |part: &str| {
        let part = part
            .strip_prefix('a')
            .filter(|rest| ["RSA", "ECDSA"].contains(rest))
            .unwrap_or(part);
        COMMON.contains(&part) || properties.contains(&part)
    };
    word == name || word.split('+').all(has)
}

/// `ciphers <list>`, with OpenSSL's `!`, `-`, `+` and `@`.
pub(crate) fn ciphers(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    let word = args.word()?;
    let mut list = Vec::new();
    let mut banned = Vec::new();
    for item in word
        .text
        .split([':', ',', ' '])
        .filter(|item| !item.is_empty() && !item.starts_with('@'))
    {
        let bare = item.trim_start_matches(['!', '-', '+']);
        let meant: Vec<_> = CIPHERS
            .iter()
            .filter(|(suite, properties)| names(bare, suite.name(), properties))
            .map(|(suite, _)| *suite)
            .collect();
        match item.as_bytes()[0] {
            b'!' => {
                list.retain(|suite| !meant.contains(suite));
                banned.extend(meant);
            }
            b'-' => list.retain(|suite| !meant.contains(suite)),
            b'+' => {}
            _ if meant.is_empty() => {
                args.warn(Fault::no_effect(&format!("{} {item}", args.keyword)))
            }
            _ => {
                for suite in meant {
                    if !list.contains(&suite) && !banned.contains(&suite) {
                        list.push(suite);
                    }
                }
            }
        }
    }
    rules.ciphers = Some(some(
        args,
        word,
        list,
        &mut CIPHERS.iter().map(|(suite, _)| suite.name()),
    )?);
    Ok(())
}

/// `ciphersuites <list>`.
pub(crate) fn ciphersuites(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    rules.ciphersuites = Some(plain_list(args, CIPHERSUITES, |text| text.to_owned())?);
    Ok(())
}

/// `curves <list>`.
pub(crate) fn curves(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    rules.curves = Some(plain_list(args, CURVES, str::to_ascii_uppercase)?);
    Ok(())
}

fn plain_list<T: Copy + 'static>(
    args: &mut Args<'_>,
    known: &'static [(&'static str, T)],
    spell: fn(&str) -> String,
) -> Result<Vec<T>, Fault> {
    let word = args.word()?;
    let mut list = Vec::new();
    for item in word.text.split([':', ',']).filter(|item| !item.is_empty()) {
        match known.iter().find(|(name, _)| *name == spell(item)) {
            Some((_, value)) => list.push(*value),
            None => args.warn(Fault::no_effect(&format!("{} {item}", args.keyword))),
        }
    }
    some(args, word, list, &mut known.iter().map(|(name, _)| *name))
}

/// A list that is not empty.
fn some<T>(
    args: &Args<'_>,
    word: &Word,
    list: Vec<T>,
    known: &mut dyn Iterator<Item = &'static str>,
) -> Result<Vec<T>, Fault> {
    if !list.is_empty() {
        return Ok(list);
    }
    let known: Vec<_> = known.collect();
    let text = format!(
        "'{}' : nothing in '{}' is available in Posthouse.",
        args.keyword, word.text
    );
    Err(Fault::new("bad-choice", text)
        .on(&word.span)
        .help(format!("there are {}", known.join(":"))))
}

/// `ssl-min-ver`: what is older than TLS 1.2 is raised to it, and told.
pub(crate) fn min(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    let old = args
        .peek()
        .map(|word| word.text.clone())
        .unwrap_or_default();
    rules.min = args.choice(VERSIONS)?;
    if rules.min.is_none() {
        args.warn(Fault::no_effect(&format!("{} {old}", args.keyword)));
    }
    check(args, rules)
}

/// `ssl-max-ver`.
pub(crate) fn max(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    let word = args.peek();
    rules.max = args.choice(VERSIONS)?;
    match (rules.max, word) {
        (None, Some(word)) => Err(too_old(args, word)),
        _ => check(args, rules),
    }
}

fn too_old(args: &Args<'_>, word: &Word) -> Fault {
    let text = format!(
        "'{}' : there is no {} in Posthouse: TLSv1.2 is the lowest version.",
        args.keyword, word.text
    );
    Fault::new("bad-choice", text)
        .on(&word.span)
        .help("write TLSv1.2 or TLSv1.3")
}

/// `no-tlsv12`, `force-tlsv13` and their kin.
pub(crate) fn only(
    args: &Args<'_>,
    rules: &mut TlsRules,
    min: TlsVersion,
    max: TlsVersion,
) -> Result<(), Fault> {
    (rules.min, rules.max) = (Some(min), Some(max));
    check(args, rules)
}

fn check(args: &Args<'_>, rules: &TlsRules) -> Result<(), Fault> {
    match (rules.min, rules.max) {
        (Some(min), Some(max)) if min > max => {
            let text = format!("'{}' : no version of TLS is left.", args.keyword);
            Err(Fault::new("bad-choice", text)
                .help("the lowest version must not be above the highest"))
        }
        _ => Ok(()),
    }
}

/// `alpn a,b`.
pub(crate) fn alpn(args: &mut Args<'_>, rules: &mut TlsRules) -> Result<(), Fault> {
    let word = args.word()?;
    rules.alpn = word.text.split(',').map(str::to_owned).collect();
    match rules
        .alpn
        .iter()
        .find(|name| name.is_empty() || name.len() > 255)
    {
        Some(_) => {
            let text = format!(
                "'{}' : a protocol's name has 1 to 255 letters.",
                args.keyword
            );
            Err(Fault::new("bad-choice", text).on(&word.span))
        }
        None => Ok(()),
    }
}

/// `ca-file <file>|@system-ca`.
pub(crate) fn authorities(args: &mut Args<'_>) -> Result<Authorities, Fault> {
    let text = args.text()?;
    Ok(match text.as_str() {
        "@system-ca" => Authorities::System,
        _ => Authorities::File(PathBuf::from(text)),
    })
}

/// `verify none|optional|required` of a bind line.
pub(crate) fn client_verify(args: &mut Args<'_>) -> Result<ClientVerify, Fault> {
    args.choice(&[
        ("none", ClientVerify::None),
        ("optional", ClientVerify::Optional),
        ("required", ClientVerify::Required),
    ])
}

/// `verify none|required` of a server line, and `ssl-server-verify`.
pub(crate) fn server_verify(args: &mut Args<'_>) -> Result<bool, Fault> {
    args.choice(&[("none", false), ("required", true)])
}

/// `sni str(<name>)` or `sni ssl_fc_sni`.
pub(crate) fn sni(args: &mut Args<'_>) -> Result<Sni, Fault> {
    let word = args.word()?;
    let text = word.text.as_str();
    if text == "ssl_fc_sni" {
        return Ok(Sni::Client);
    }
    let name = text
        .strip_prefix("str(")
        .and_then(|rest| rest.strip_suffix(')'));
    name.filter(|name| !name.is_empty())
        .map(|name| Sni::Name(name.to_owned()))
        .ok_or_else(|| {
            let text = format!("'sni' : the expression '{text}' is not supported by Posthouse.");
            Fault::new("not-yet", text)
                .on(&word.span)
                .help("write str(<name>), or ssl_fc_sni for the name the client asked for")
        })
}

/// `ssl-default-bind-options`, `ssl-default-server-options`.
pub(crate) fn default_options(
    args: &mut Args<'_>,
    rules: &mut TlsRules,
    strict_sni: &mut bool,
) -> Result<(), Fault> {
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "ssl-min-ver" => min(args, rules)?,
            "ssl-max-ver" => max(args, rules)?,
            "no-tls-tickets" => rules.no_tickets = true,
            "tls-tickets" => rules.no_tickets = false,
            "strict-sni" => *strict_sni = true,
            "no-tlsv12" | "force-tlsv13" => only(args, rules, TlsVersion::V13, TlsVersion::V13)?,
            "no-tlsv13" | "force-tlsv12" => only(args, rules, TlsVersion::V12, TlsVersion::V12)?,
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" => {}
            other => args.warn(Fault::no_effect(&format!("{} {other}", args.keyword))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(word: &str) -> Vec<&'static str> {
        CIPHERS
            .iter()
            .filter(|(suite, properties)| names(word, suite.name(), properties))
            .map(|(suite, _)| suite.name())
            .collect()
    }

    #[test]
    fn words_of_openssl_mean_what_is_here() {
        assert_eq!(meant("HIGH").len(), 6);
        assert_eq!(meant("EECDH+AESGCM").len(), 4);
        assert_eq!(
            meant("ECDHE-RSA-AES128-GCM-SHA256"),
            ["ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(meant("aECDSA+CHACHA20"), ["ECDHE-ECDSA-CHACHA20-POLY1305"]);
        assert!(meant("DHE-RSA-AES128-GCM-SHA256").is_empty());
        assert!(meant("RC4").is_empty() && meant("kRSA").is_empty());
    }
}
