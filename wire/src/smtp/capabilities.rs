//! What a server offers in its reply to EHLO, and what of it the proxy can promise.

use super::auth::Mechanisms;
use super::reply::Reply;

bitflags::bitflags! {
    /// The extensions that pass through the proxy. Any other is dropped from the list: nobody can promise that
    /// the next server has it, or that it survives a replay.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Extension: u16 {
        /// RFC 2920.
        const PIPELINING = 1;
        /// RFC 1870.
        const SIZE = 1 << 1;
        /// RFC 6152.
        const EIGHTBITMIME = 1 << 2;
        /// RFC 6531.
        const SMTPUTF8 = 1 << 3;
        /// RFC 3461.
        const DSN = 1 << 4;
        /// RFC 3030.
        const CHUNKING = 1 << 5;
        /// RFC 3030.
        const BINARYMIME = 1 << 6;
        /// RFC 2034.
        const ENHANCEDSTATUSCODES = 1 << 7;
        /// RFC 5321.
        const VRFY = 1 << 8;
        /// RFC 5321.
        const EXPN = 1 << 9;
        /// RFC 5321.
        const HELP = 1 << 10;
        /// RFC 1985.
        const ETRN = 1 << 11;
    }
}

const KEYWORDS: &[(&str, Extension)] = &[
    ("PIPELINING", Extension::PIPELINING),
    ("SIZE", Extension::SIZE),
    ("8BITMIME", Extension::EIGHTBITMIME),
    ("SMTPUTF8", Extension::SMTPUTF8),
    ("DSN", Extension::DSN),
    ("CHUNKING", Extension::CHUNKING),
    ("BINARYMIME", Extension::BINARYMIME),
    ("ENHANCEDSTATUSCODES", Extension::ENHANCEDSTATUSCODES),
    ("VRFY", Extension::VRFY),
    ("EXPN", Extension::EXPN),
    ("HELP", Extension::HELP),
    ("ETRN", Extension::ETRN),
];

/// Those whose absence a client would notice after it was promised them. PIPELINING is not among them: towards a
/// server without it the proxy sends one command at a time.
const PROMISES: Extension = Extension::EIGHTBITMIME
    .union(Extension::SMTPUTF8)
    .union(Extension::DSN)
    .union(Extension::CHUNKING)
    .union(Extension::BINARYMIME);

/// What a server, or every server, offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The extensions.
    pub extensions: Extension,
    /// The value of SIZE, the largest message; 0: no limit is told.
    pub size: u64,
    /// How a client may log in (RFC 4954).
    pub auth: Mechanisms,
}

impl Capabilities {
    /// Reads a reply to EHLO.
    pub fn of(reply: &Reply<'_>) -> Self {
        let mut found = Self::default();
        for line in reply.lines().skip(1) {
            let extension = extension_of(line);
            found.extensions |= extension;
            if extension == Extension::SIZE {
                let value = line.get(4..).unwrap_or_default().trim_ascii();
                let value = std::str::from_utf8(value).unwrap_or_default();
                found.size = value.parse().unwrap_or(0);
            } else if extension.is_empty() && is_auth(line) {
                found.auth |= Mechanisms::listed(line);
            }
        }
        found
    }

    /// What both offer: the extensions and mechanisms in both, the smaller SIZE.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        let size = match (self.size, other.size) {
            (0, size) | (size, 0) => size,
            (one, two) => one.min(two),
        };
        Self {
            extensions: self.extensions & other.extensions,
            size,
            auth: self.auth & other.auth,
        }
    }

    /// Whether a server with these can keep what was promised to a client.
    pub fn keeps(self, promised: Self) -> bool {
        let missing = promised.extensions.difference(self.extensions);
        let smaller = self.size != 0 && (promised.size == 0 || self.size < promised.size);
        let too_small = smaller && promised.extensions.contains(Extension::SIZE);
        let less = !self.auth.contains(promised.auth);
        !(missing.intersects(PROMISES) || too_small || less)
    }

    /// Whether a server with these can take a transaction that uses `used` and has told `size`.
    pub fn serves(self, used: Extension, size: u64) -> bool {
        self.extensions.contains(used & PROMISES) && (self.size == 0 || size <= self.size)
    }

    /// The server's reply to EHLO as the client hears it: in the proxy's name, without what is not promised. STARTTLS is
    /// the proxy's own.
    pub fn filter(self, reply: &Reply<'_>, name: &str, starttls: bool) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = vec![name.as_bytes().to_vec()];
        for line in reply.lines().skip(1) {
            match extension_of(line) {
                Extension::SIZE if self.extensions.contains(Extension::SIZE) => {
                    let size = match self.size {
                        0 => "SIZE".to_owned(),
                        size => format!("SIZE {size}"),
                    };
                    lines.push(size.into_bytes());
                }
                known if !known.is_empty() && self.extensions.contains(known) => {
                    lines.push(line.to_vec());
                }
                _ if is_auth(line) => lines.extend(self.auth.within(line)),
                _ => {}
            }
        }
        if starttls {
            lines.push(b"STARTTLS".to_vec());
        }
        let last = lines.len() - 1;
        let mut told = Vec::with_capacity(reply.bytes.len());
        for (index, line) in lines.iter().enumerate() {
            told.extend_from_slice(if index == last { b"250 " } else { b"250-" });
            told.extend_from_slice(line);
            told.extend_from_slice(b"\r\n");
        }
        told
    }
}

fn is_auth(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH "))
}

fn extension_of(line: &[u8]) -> Extension {
    let end = line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'='));
    let word = &line[..end.unwrap_or(line.len())];
    KEYWORDS
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
        .map_or(Extension::empty(), |&(_, extension)| extension)
}
