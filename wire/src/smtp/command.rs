//! Commands of a client: which one a line is, and what of its parameters matters here.

use super::capabilities::Extension;

/// What a command means to the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth,
    /// NOOP.
    Noop,
    /// Not known here, or a promise that the proxy cannot keep, or what would lend its own trust to the client (XCLIENT):
    /// refused here, as nobody knows what it would mean to a server.
    Refused,
    /// Another protocol's first word: a browser was made to talk to this port.
    Foreign,
    /// VRFY, EXPN, HELP and ETRN: passed through.
    Other,
}

/// One row per command that is known here.
const VERBS: &[(&str, Verb)] = &[
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("QUIT", Verb::Quit),
    ("NOOP", Verb::Noop),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("VRFY", Verb::Other),
    ("EXPN", Verb::Other),
    ("HELP", Verb::Other),
    ("ETRN", Verb::Other),
    ("GET", Verb::Foreign),
    ("POST", Verb::Foreign),
    ("PUT", Verb::Foreign),
    ("CONNECT", Verb::Foreign),
    ("OPTIONS", Verb::Foreign),
];

impl Verb {
    /// The command of a line. Case does not matter; the word ends at a blank, a tab or the line's end.
    pub fn of(line: &[u8]) -> Self {
        let word = word(line);
        VERBS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
            .map_or(Self::Refused, |&(_, verb)| verb)
    }
}

/// Whether a line begins with what can be the name of a command: letters, digits, hyphens. Servers look for one behind
/// blanks, quotes and controls as well, and would find what is refused here.
pub(super) fn is_named(line: &[u8]) -> bool {
    let word = word(line);
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    !word.is_empty() && word.iter().all(named)
}

fn word(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    &line[..end.unwrap_or(line.len())]
}

/// What follows the verb, without the blanks around it and without the line's end.
pub fn arguments(line: &[u8]) -> &[u8] {
    line[word(line).len()..].trim_ascii()
}

/// The arguments of BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes that follow the line.
    pub size: u64,
    /// Whether the message ends with them.
    pub last: bool,
}

impl Chunk {
    /// Reads `size [LAST]`. Strictly: whoever reads a length otherwise than the server does sees other commands in
    /// the bytes that follow.
    pub fn parse(arguments: &[u8]) -> Option<Self> {
        let mut words = arguments
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        let digits = words.next()?;
        let plain = digits.iter().all(u8::is_ascii_digit) && digits.len() <= 18;
        let leading_zero = digits.len() > 1 && digits[0] == b'0';
        if !plain || leading_zero {
            return None;
        }
        let size = digits
            .iter()
            .fold(0, |size, digit| size * 10 + u64::from(digit - b'0'));
        let last = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { size, last })
    }

    /// The line that says so, in the one spelling that every server reads alike.
    pub fn line(self) -> String {
        let last = if self.last { " LAST" } else { "" };
        format!("BDAT {}{last}\r\n", self.size)
    }
}

/// The extensions that a MAIL or RCPT line makes use of. Parameters are read leniently: a word too many only
/// makes fewer servers fit.
pub fn extensions_used(line: &[u8]) -> Extension {
    let mut used = Extension::empty();
    for word in line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        let name_end = word.iter().position(|&byte| byte == b'=');
        let (name, value) = match name_end {
            Some(end) => (&word[..end], &word[end + 1..]),
            None => (word, &word[word.len()..]),
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("BODY") && value.eq_ignore_ascii_case(b"8BITMIME") {
            used |= Extension::EIGHTBITMIME;
        } else if is("BODY") && value.eq_ignore_ascii_case(b"BINARYMIME") {
            used |= Extension::BINARYMIME | Extension::CHUNKING;
        } else if is("SMTPUTF8") {
            used |= Extension::SMTPUTF8;
        } else if is("RET") || is("ENVID") || is("NOTIFY") || is("ORCPT") {
            used |= Extension::DSN;
        }
    }
    used
}

/// The value of `SIZE=` on a MAIL line.
pub fn declared_size(line: &[u8]) -> Option<u64> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .find_map(|word| {
            let (name, value) = word.split_at_checked(5)?;
            let value = std::str::from_utf8(value).ok()?;
            name.eq_ignore_ascii_case(b"SIZE=")
                .then(|| value.parse().ok())?
        })
}
