//! What an operator wants to know of an X.509 certificate (RFC 5280): names, times, serial number, key.
//!
//! Nothing here decides about trust; that is the TLS library's business. Times are seconds since 1970.

use std::fmt::Write as _;

/// A certificate's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The serial number's bytes.
    pub serial: Vec<u8>,
    /// Whose it is: `/CN=mx.example.com`.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Its common name; of more than one the first.
    pub common_name: Option<String>,
    /// DNS names it is for, as written.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// `RSA2048`, `EC256`: kind and size of its key.
    pub algorithm: String,
    /// How it is signed, as OpenSSL calls it: `ecdsa-with-SHA256`. `None`: in a way that is not known here.
    pub signature: Option<&'static str>,
}

/// One element: its tag, its content, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;

/// The first element of `der` (X.690, 8.1); lengths of more than four bytes are nobody's.
fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || count > rest.len() {
            return None;
        }
        let (bytes, after) = rest.split_at(count);
        rest = after;
        bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte))
    };
    let content = rest.get(..length)?;
    let rest = &rest[length..];
    Some(Element { tag, content, rest })
}

/// A walk over the elements of a content.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// The next element's content, which must have that tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let next = element(self.0).filter(|next| next.tag == tag)?;
        self.0 = next.rest;
        Some(next.content)
    }

    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let next = element(self.0)?;
        self.0 = next.rest;
        Some((next.tag, next.content))
    }

    /// The same if it has that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let there = self.0.first() == Some(&tag);
        there.then(|| self.expect(tag)).flatten()
    }
}

/// Reads a certificate; `None` where it is none.
pub fn parse(der: &[u8]) -> Option<Certificate> {
    let mut tbs = Walk(Walk(Walk(der).expect(SEQUENCE)?).expect(SEQUENCE)?);
    tbs.take(0xa0);
    let serial = tbs.expect(INTEGER)?.to_vec();
    let signature = signature(tbs.expect(SEQUENCE)?);
    let (issuer, _) = name(tbs.expect(SEQUENCE)?)?;
    let mut validity = Walk(tbs.expect(SEQUENCE)?);
    let (not_before, not_after) = (time(validity.any()?)?, time(validity.any()?)?);
    let (subject, common_name) = name(tbs.expect(SEQUENCE)?)?;
    let algorithm = key(tbs.expect(SEQUENCE)?)?;
    tbs.take(0x81);
    tbs.take(0x82);
    let names = match tbs.take(0xa3) {
        Some(extensions) => {
            alternative_names(Walk(extensions).expect(SEQUENCE)?).unwrap_or_default()
        }
        None => Vec::new(),
    };
    Some(Certificate {
        serial,
        subject,
        issuer,
        common_name,
        names,
        not_before,
        not_after,
        algorithm,
        signature,
    })
}

/// Attributes of names that have a short form (RFC 4519).
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
];

/// `/C=DE/CN=mx.example.com`, and the first common name alone.
fn name(content: &[u8]) -> Option<(String, Option<String>)> {
    let mut sets = Walk(content);
    let (mut text, mut common) = (String::new(), None);
    while let Some((_, set)) = sets.any() {
        let mut pair = Walk(Walk(set).expect(SEQUENCE)?);
        let kind = pair.expect(OID)?;
        let (_, value) = pair.any()?;
        let value = shown(value);
        let short = ATTRIBUTES.iter().find(|(oid, _)| *oid == kind);
        let _ = write!(text, "/{}={value}", short.map_or("?", |(_, short)| short));
        if short.is_some_and(|(_, short)| *short == "CN") {
            common.get_or_insert(value);
        }
    }
    Some((text, common))
}

/// Text that stays on its line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// UTCTime or GeneralizedTime, both in UTC with seconds (RFC 5280, 4.1.2.5).
fn time((tag, content): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (0x17, 12) => {
            let year: i64 = text[..2].parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        (0x18, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let field = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day) = (field(0)?, field(2)?);
    let seconds = field(4)? * 3600 + field(6)? * 60 + field(8)?;
    (1..=12)
        .contains(&month)
        .then(|| days(year, month, day) * 86_400 + seconds)
}

/// Days from 1970 to a date of the Gregorian calendar; a year begins in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const CURVES: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "EC256"),
    (&[0x2b, 0x81, 4, 0, 0x22], "EC384"),
    (&[0x2b, 0x81, 4, 0, 0x23], "EC521"),
];

/// Kind and size of a key.
fn key(content: &[u8]) -> Option<String> {
    let mut info = Walk(content);
    let mut algorithm = Walk(info.expect(SEQUENCE)?);
    let kind = algorithm.expect(OID)?;
    if kind == RSA {
        let bits = info.expect(0x03)?.get(1..)?;
        let modulus = Walk(Walk(bits).expect(SEQUENCE)?).expect(INTEGER)?;
        let first = modulus.iter().position(|byte| *byte != 0)?;
        let size = (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize;
        return Some(format!("RSA{size}"));
    }
    let curve = algorithm.take(OID);
    let known = CURVES.iter().find(|(oid, _)| Some(*oid) == curve);
    Some(match known {
        Some((_, name)) => (*name).to_owned(),
        None if kind == ED25519 => "ED25519".to_owned(),
        None => "unknown".to_owned(),
    })
}

/// Ways to sign, by OpenSSL's short names.
const SIGNATURES: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "RSA-SHA1"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10],
        "RSASSA-PSS",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
        "RSA-SHA256",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
        "RSA-SHA384",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
        "RSA-SHA512",
    ),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
        "ecdsa-with-SHA256",
    ),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
        "ecdsa-with-SHA384",
    ),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
        "ecdsa-with-SHA512",
    ),
    (ED25519, "ED25519"),
];

fn signature(content: &[u8]) -> Option<&'static str> {
    let kind = Walk(content).expect(OID)?;
    let known = SIGNATURES.iter().find(|(oid, _)| *oid == kind);
    known.map(|(_, name)| *name)
}

/// DNS names of the extension for them.
fn alternative_names(content: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Walk(content);
    while let Some(extension) = extensions.take(SEQUENCE) {
        let mut parts = Walk(extension);
        if parts.expect(OID)? != [0x55, 0x1d, 0x11] {
            continue;
        }
        parts.take(0x01);
        let mut names = Walk(Walk(parts.expect(0x04)?).expect(SEQUENCE)?);
        let mut found = Vec::new();
        while let Some((tag, value)) = names.any() {
            if tag == 0x82 {
                found.push(shown(value));
            }
        }
        return Some(found);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A certificate for mx.example.com and *.example.org, P-256, valid for all of 2026, issued by itself.
    const SAMPLE: &str = include_str!("x509/sample.hex");

    fn sample() -> Vec<u8> {
        let digits: Vec<_> = SAMPLE.chars().filter_map(|c| c.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    }

    #[test]
    fn facts_of_a_certificate() {
        let facts = parse(&sample()).expect("a certificate");
        assert_eq!(facts.subject, "/O=Example/CN=mx.example.com");
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!(facts.common_name.as_deref(), Some("mx.example.com"));
        assert_eq!(facts.names, ["mx.example.com", "*.example.org"]);
        assert_eq!(facts.algorithm, "EC256");
        assert_eq!(facts.signature, Some("ecdsa-with-SHA256"));
        assert_eq!(
            (facts.not_before, facts.not_after),
            (1_767_225_600, 1_798_761_599)
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (date, day) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 25), 20_782),
        ] {
            assert_eq!(days(date.0, date.1, date.2), day, "{date:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
            let mut der = sample();
            let length = der.len();
            der[at % length] = byte;
            parse(&der);
            parse(&der[..cut % length]);
        }

        #[test]
        fn anything_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }
    }
}
