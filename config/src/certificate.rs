//! Options of one certificate in a `crt-list` (CFG 5.1): read as those of the `bind` line they add to.

use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Line, NO_EFFECT};
use crate::draft::BindDraft;
use crate::keyword::{Args, bind};
use crate::lexer;
use crate::model::{Authorities, BindTls, ClientVerify, Location};

/// Those that a certificate may have for itself, each with a value.
const OPTIONS: &[&str] = &[
    "alpn",
    "ca-file",
    "ciphers",
    "ciphersuites",
    "crl-file",
    "curves",
    "ecdhe",
    "ssl-max-ver",
    "ssl-min-ver",
    "verify",
];

/// Those that HAProxy takes there, and nothing here can do for one certificate.
const NOT_YET: &[&str] = &[
    "allow-0rtt",
    "ca-verify-file",
    "client-sigalgs",
    "no-alpn",
    "no-ca-names",
    "npn",
    "ocsp-update",
    "sigalgs",
];

/// What holds for a certificate with these options on a `bind` line that says `base`; and what of them is left out.
///
/// # Errors
/// What is wrong with them.
pub fn certificate_options(
    options: &str,
    base: &BindTls,
) -> Result<(BindTls, Vec<String>), String> {
    let words = lexer::split(options.as_bytes(), &|_| None).map_err(|fault| fault.text)?;
    // Every option has one value.
    for word in words.iter().step_by(2) {
        let name = word.text.as_str();
        if NOT_YET.contains(&name) {
            return Err(format!(
                "'{name}' is not supported by Posthouse yet for one certificate"
            ));
        } else if !OPTIONS.contains(&name) {
            return Err(format!(
                "'{name}' is no option of one certificate; there are {}",
                OPTIONS.join(", ")
            ));
        }
    }
    let at = Location {
        file: "crt-list".into(),
        line: 0,
    };
    let line = Arc::new(Line {
        at: at.clone(),
        text: options.into(),
    });
    let mut draft = BindDraft::new(at, Vec::new());
    draft.tls = base.clone();
    (draft.tls.ca, draft.tls.crl) = (None, None);
    let mut args = Args::new(&words, 0, &line, &|_| None);
    bind::options(&mut args, &mut draft).map_err(|fault| match fault.help {
        Some(help) => format!("{} ({help})", fault.text.trim_end_matches('.')),
        None => fault.text.trim_end_matches('.').to_owned(),
    })?;
    let left_out = args.warnings.iter().map(|warning| match warning.code {
        NO_EFFECT => format!("'{}' has no effect", warning.text),
        _ => warning.text.clone(),
    });
    let mut tls = draft.tls;
    let from = |path: PathBuf| match &base.ca_base {
        Some(directory) => directory.join(path),
        None => path,
    };
    tls.ca = match tls.ca {
        Some(Authorities::File(path)) => Some(Authorities::File(from(path))),
        other => other.or_else(|| base.ca.clone()),
    };
    tls.crl = tls.crl.map(from).or_else(|| base.crl.clone());
    if tls.verify != ClientVerify::None && tls.ca.is_none() {
        return Err("'verify' needs to know whom to trust: add 'ca-file <file>'".into());
    }
    Ok((tls, left_out.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsVersion;

    fn read(options: &str) -> Result<(BindTls, Vec<String>), String> {
        let base = BindTls {
            ca: Some(Authorities::File("base.pem".into())),
            ca_base: Some("/ca".into()),
            verify: ClientVerify::Optional,
            ..BindTls::default()
        };
        certificate_options(options, &base)
    }

    #[test]
    fn options_add_to_the_line() {
        let (tls, left_out) =
            read("ssl-min-ver TLSv1.3 ca-file own.pem verify required ciphersuites TLS_AES_256_GCM_SHA384:X")
                .expect("good options");
        assert_eq!(tls.rules.min, Some(TlsVersion::V13));
        assert_eq!(tls.ca, Some(Authorities::File("/ca/own.pem".into())));
        assert_eq!(tls.verify, ClientVerify::Required);
        assert_eq!(left_out, ["'ciphersuites X' has no effect"]);
        let (tls, _) = read("").expect("no options");
        assert_eq!(tls.ca, Some(Authorities::File("base.pem".into())));
        assert_eq!(tls.verify, ClientVerify::Optional);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (options, why) in [
            ("ocsp-update on", "'ocsp-update' is not supported"),
            ("crt x", "'crt' is no option"),
            ("ssl-min-ver", "'ssl-min-ver' expects"),
            ("ssl-max-ver TLSv1.1", "there is no TLSv1.1"),
            ("verify sometimes", "sometimes"),
            ("ciphers 'HIGH", "quote"),
        ] {
            let said = read(options).expect_err(options);
            assert!(said.contains(why), "{options}: {said}");
        }
        let alone = certificate_options("verify required", &BindTls::default());
        assert!(alone.is_err_and(|why| why.contains("whom to trust")));
    }
}
