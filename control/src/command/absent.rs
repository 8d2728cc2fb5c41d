//! HAProxy's commands that are not here, and why: who says one is told, and `docs/runtime-api.md` lists them. A test
//! compares them with what Debian's HAProxy lists.

const ACLS: &str = "lists of conditions are files, and read again by a reload";
const MAPS: &str = "there are no maps";
const FILES: &str =
    "such files are read again by a reload; 'set ssl cert' changes a certificate at run time";
const INSIDES: &str = "it looks into HAProxy's own insides";
const HTTP: &str = "it is for HTTP";
const VARIABLES: &str = "there are no variables";
const OCSP: &str = "staples are files beside the certificate, and read again by a reload";
const TICKETS: &str = "keys of session tickets are made by the process, and change by themselves";

/// Their first words, in order, and why.
#[rustfmt::skip]
pub(super) const ABSENT: &[(&str, &str)] = &[
    ("_getsocks", "a new process binds beside the old one; no sockets are handed over"),
    ("abort ssl ca-file", FILES),
    ("abort ssl crl-file", FILES),
    ("acme", "certificates come from files"),
    ("add acl", ACLS),
    ("add map", MAPS),
    ("add ssl", FILES),
    ("clear acl", ACLS),
    ("clear map", MAPS),
    ("commit acl", ACLS),
    ("commit map", MAPS),
    ("commit ssl ca-file", FILES),
    ("commit ssl crl-file", FILES),
    ("debug", INSIDES),
    ("del acl", ACLS),
    ("del map", MAPS),
    ("del ssl", FILES),
    ("disable dynamic-cookie", HTTP),
    ("dump ssl cert", "a key is not handed out"),
    ("dump stats-file", "counters begin anew with each process"),
    ("enable dynamic-cookie", HTTP),
    ("get acl", ACLS),
    ("get map", MAPS),
    ("get var", VARIABLES),
    ("httpclient", HTTP),
    ("new ssl", FILES),
    ("prepare acl", ACLS),
    ("prepare map", MAPS),
    ("publish backend", "a backend is used by who names it; 'set server' takes its servers out"),
    ("set anon", "nothing is made anonymous; 'option smtp-hash-addresses' does so for mail addresses in the log"),
    ("set dynamic-cookie-key", HTTP),
    ("set map", MAPS),
    ("set profiling", INSIDES),
    ("set ssl ca-file", FILES),
    ("set ssl crl-file", FILES),
    ("set ssl ocsp-response", OCSP),
    ("set ssl tls-key", TICKETS),
    ("set var", VARIABLES),
    ("show acl", ACLS),
    ("show anon", "nothing is made anonymous"),
    ("show cache", HTTP),
    ("show dev", INSIDES),
    ("show libs", INSIDES),
    ("show map", MAPS),
    ("show profiling", INSIDES),
    ("show quic", HTTP),
    ("show ssl ca-file", FILES),
    ("show ssl crl-file", FILES),
    ("show ssl crt-list", FILES),
    ("show ssl ocsp-response", OCSP),
    ("show ssl ocsp-updates", OCSP),
    ("show ssl providers", "TLS is not OpenSSL's here"),
    ("show ssl sni", "'show ssl cert <file>' has the names of a certificate"),
    ("show tls-keys", TICKETS),
    ("show trace", INSIDES),
    ("trace", INSIDES),
    ("unpublish backend", "a backend is used by who names it; 'set server' takes its servers out"),
    ("update ssl ocsp-response", OCSP),
];

/// Which of them a line begins with, and why it is not here.
pub(super) fn absent(line: &[String]) -> Option<(&'static str, &'static str)> {
    ABSENT.iter().copied().find(|(words, _)| {
        let mut pairs = words.split(' ').zip(line);
        words.split(' ').count() <= line.len() && pairs.all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::super::COMMANDS;
    use super::*;
    use crate::line::words;

    #[test]
    fn they_are_in_order_and_none_is_there() {
        assert!(ABSENT.is_sorted_by(|a, b| a.0 < b.0));
        for command in COMMANDS {
            let command = command.words.join(" ");
            assert_eq!(absent(&words(&command)), None);
        }
        assert_eq!(absent(&words("show map x")), Some(("show map", MAPS)));
        assert_eq!(absent(&words("show mapx")), None);
    }
}
