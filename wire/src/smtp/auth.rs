//! AUTH (RFC 4954) as a proxy sees it: which mechanisms there are, who logs in, and what can be said again to another
//! server.
//!
//! The proxy knows no passwords: it passes on what the client says and tells what the server answers. What it keeps
//! of that is overwritten when it is let go, and is never shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

bitflags::bitflags! {
    /// The mechanisms that pass. What would be bound to one of the two TLS connections is not among them: `EXTERNAL`, and
    /// all with `-PLUS`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Mechanisms: u16 {
        /// RFC 4616.
        const PLAIN = 1;
        /// draft-murchison-sasl-login.
        const LOGIN = 1 << 1;
        /// Google's.
        const XOAUTH2 = 1 << 2;
        /// RFC 7628.
        const OAUTHBEARER = 1 << 3;
        /// RFC 2195.
        const CRAM_MD5 = 1 << 4;
        /// RFC 2831.
        const DIGEST_MD5 = 1 << 5;
        /// RFC 5802.
        const SCRAM_SHA_1 = 1 << 6;
        /// RFC 7677.
        const SCRAM_SHA_256 = 1 << 7;
        /// draft-melnikov-scram-sha-512.
        const SCRAM_SHA_512 = 1 << 8;
        /// MS-SMTPNTLM.
        const NTLM = 1 << 9;
        /// RFC 4752.
        const GSSAPI = 1 << 10;
        /// RFC 4505.
        const ANONYMOUS = 1 << 11;
    }
}

impl Default for Mechanisms {
    fn default() -> Self {
        Self::empty()
    }
}

const NAMES: &[(&str, Mechanisms)] = &[
    ("PLAIN", Mechanisms::PLAIN),
    ("LOGIN", Mechanisms::LOGIN),
    ("XOAUTH2", Mechanisms::XOAUTH2),
    ("OAUTHBEARER", Mechanisms::OAUTHBEARER),
    ("CRAM-MD5", Mechanisms::CRAM_MD5),
    ("DIGEST-MD5", Mechanisms::DIGEST_MD5),
    ("SCRAM-SHA-1", Mechanisms::SCRAM_SHA_1),
    ("SCRAM-SHA-256", Mechanisms::SCRAM_SHA_256),
    ("SCRAM-SHA-512", Mechanisms::SCRAM_SHA_512),
    ("NTLM", Mechanisms::NTLM),
    ("GSSAPI", Mechanisms::GSSAPI),
    ("ANONYMOUS", Mechanisms::ANONYMOUS),
];

/// Those of which the answers to another server's challenges are the same.
const UNDERSTOOD: Mechanisms = Mechanisms::PLAIN
    .union(Mechanisms::LOGIN)
    .union(Mechanisms::XOAUTH2)
    .union(Mechanisms::OAUTHBEARER);

impl Mechanisms {
    /// The mechanism of that name; empty where there is none that passes.
    pub fn named(name: &[u8]) -> Self {
        NAMES
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::empty(), |&(_, mechanism)| mechanism)
    }

    /// Those of a line `AUTH PLAIN LOGIN`, as in a reply to EHLO.
    pub fn listed(line: &[u8]) -> Self {
        words(line).skip(1).map(Self::named).collect()
    }

    /// Such a line with these alone, in its own order; `None`: none of them is in it.
    pub(super) fn within(self, line: &[u8]) -> Option<Vec<u8>> {
        let mut told = b"AUTH".to_vec();
        let kept = words(line).skip(1);
        for name in kept.filter(|name| self.intersects(Self::named(name))) {
            told.push(b' ');
            told.extend_from_slice(name);
        }
        (told.len() > b"AUTH".len()).then_some(told)
    }

    /// The name of one, as it is registered.
    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|&&(_, known)| known == self);
        found.map_or("", |&(name, _)| name)
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

/// What a client has said to log in, and how far client and server are with it.
///
/// Three cursors, as on the tape: lines `sent` to this server, lines it has answered (`heard`), and lines whose answer the
/// client has (`told`). Another server hears the lines again, and its answers are kept from the client until `heard` is
/// where `told` is.
pub(super) struct Exchange {
    mechanism: Mechanisms,
    lines: Vec<Zeroizing<Vec<u8>>>,
    pub(super) sent: usize,
    pub(super) heard: usize,
    pub(super) told: usize,
    /// The client has its 235.
    pub(super) done: bool,
    /// The lines are still there.
    kept: bool,
    /// No server can go on with it: the client hears so at its next word.
    pub(super) spoiled: bool,
    /// The first response has come.
    responded: bool,
    login: Option<Box<str>>,
    /// It was told as whom to act, and that is another.
    for_another: bool,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.mechanism)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Begins with a line `AUTH <mechanism> [<initial response>]`, which ends in CRLF.
    pub(super) fn new(mechanism: Mechanisms, line: &[u8]) -> Self {
        let mut exchange = Self {
            mechanism,
            lines: Vec::with_capacity(3),
            sent: 0,
            heard: 0,
            told: 0,
            done: false,
            kept: true,
            spoiled: false,
            responded: false,
            login: None,
            for_another: false,
        };
        exchange.lines.push(Zeroizing::new(line.to_vec()));
        if let Some(initial) = words(line.trim_ascii_end()).nth(2) {
            exchange.note_login(initial);
        }
        exchange
    }

    /// The client's answer to a challenge.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.lines.push(Zeroizing::new(line.to_vec()));
        self.note_login(line.trim_ascii_end());
    }

    /// The first response alone tells a name: what follows is a secret, whatever the first one was.
    fn note_login(&mut self, response: &[u8]) {
        if !std::mem::replace(&mut self.responded, true) {
            let said = decode(response);
            let said = said.as_ref().map_or(&b""[..], |said| &said[..]);
            self.login = login_of(self.mechanism, said);
            let role = role_of(self.mechanism, said);
            self.for_another = !role.is_empty() && self.login().map(str::as_bytes) != Some(role);
        }
    }

    /// Whether it is longer than that of any mechanism.
    pub(super) fn is_endless(&self) -> bool {
        self.lines.len() >= 32
    }

    /// The mechanism's name.
    pub(super) fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    /// Who logs in, where the mechanism tells.
    pub(super) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Whom another server can be told to take the client for: nobody, where one logs in and acts as another.
    pub(super) fn account(&self) -> Option<&str> {
        self.login().filter(|_| !self.for_another)
    }

    /// Whether another server can hear it from the beginning: nothing in it answers a challenge that only one server
    /// has given.
    pub(super) fn is_replayable(&self) -> bool {
        let unchallenged = !self.done && self.told == 0;
        self.kept && (unchallenged || UNDERSTOOD.contains(self.mechanism))
    }

    /// Whether the client waits for an answer.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.done && self.told < self.lines.len()
    }

    /// Whether this server owes an answer.
    pub(super) fn is_awaited(&self) -> bool {
        self.heard < self.sent
    }

    /// Whether this server has answered all that the client has an answer to.
    pub(super) fn is_caught_up(&self) -> bool {
        self.heard >= self.told
    }

    /// The line to send now, if one is.
    pub(super) fn due(&self) -> Option<&[u8]> {
        let next = self.lines.get(self.sent).filter(|_| !self.is_awaited());
        next.map(|line| line.as_slice())
    }

    /// A server that takes over has answered. Whether as the one before.
    pub(super) fn repeats(&mut self, code: u16) -> bool {
        self.heard += 1;
        let last = self.done && self.heard == self.lines.len();
        if last { code / 100 == 2 } else { code == 334 }
    }

    /// Another server: from the beginning.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.heard = 0;
    }

    /// It need not be heard: this server knows who the client is.
    pub(super) fn skip(&mut self) {
        self.sent = self.lines.len();
        self.heard = self.sent;
    }

    /// The client is logged in. Without `keep` its secrets are let go.
    pub(super) fn succeed(&mut self, keep: bool) {
        self.done = true;
        self.told = self.lines.len();
        if !(keep && self.is_replayable()) {
            self.kept = false;
            self.lines = Vec::new();
            self.told = 0;
            self.rewind();
        }
    }
}

/// Who logs in with that response; `None` where it does not tell.
fn login_of(mechanism: Mechanisms, said: &[u8]) -> Option<Box<str>> {
    let field = |separator, at| field(said, separator, at);
    let name = match mechanism {
        Mechanisms::LOGIN => said,
        // [authzid] NUL authcid NUL password
        Mechanisms::PLAIN => field(0, 1)?,
        // user=<name> SOH auth=Bearer <token> SOH SOH
        Mechanisms::XOAUTH2 => field(1, 0)?.strip_prefix(b"user=")?,
        // n,a=<name>, SOH auth=Bearer <token> SOH SOH
        Mechanisms::OAUTHBEARER => field(b',', 1)?.strip_prefix(b"a=")?,
        // <name> <digest>
        Mechanisms::CRAM_MD5 => &said[..said.iter().rposition(|&byte| byte == b' ')?],
        // n,,n=<name>,r=<nonce>; a comma or an equals sign in a name is written otherwise, and then it is not told.
        Mechanisms::SCRAM_SHA_1 | Mechanisms::SCRAM_SHA_256 | Mechanisms::SCRAM_SHA_512 => {
            let name = field(b',', 2)?.strip_prefix(b"n=")?;
            Some(name).filter(|name| !name.contains(&b'='))?
        }
        _ => return None,
    };
    let name = std::str::from_utf8(name).ok()?;
    let plain = !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
    plain.then(|| name.into())
}

fn field(said: &[u8], separator: u8, at: usize) -> Option<&[u8]> {
    said.split(move |&byte| byte == separator).nth(at)
}

/// As whom to act (RFC 4422, 3.4.1); empty: as who logs in.
fn role_of(mechanism: Mechanisms, said: &[u8]) -> &[u8] {
    let field = |separator, at| field(said, separator, at);
    let role = match mechanism {
        Mechanisms::PLAIN => field(0, 0),
        Mechanisms::SCRAM_SHA_1 | Mechanisms::SCRAM_SHA_256 | Mechanisms::SCRAM_SHA_512 => {
            field(b',', 1).and_then(|role| role.strip_prefix(b"a="))
        }
        _ => None,
    };
    role.unwrap_or_default()
}

/// Reads base64.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // What grows leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    BASE64.decode_vec(text, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_logs_in_is_read_from_what_mechanisms_tell() {
        for (mechanism, response, login) in [
            (
                Mechanisms::PLAIN,
                "AGFubkBleGFtcGxlAHNlY3JldA==",
                Some("ann@example"),
            ),
            (Mechanisms::PLAIN, "eABhbm4Ac2VjcmV0", Some("ann")),
            (Mechanisms::LOGIN, "YW5u", Some("ann")),
            (
                Mechanisms::XOAUTH2,
                "dXNlcj1hbm4BYXV0aD1CZWFyZXIgeAEB",
                Some("ann"),
            ),
            (
                Mechanisms::OAUTHBEARER,
                "bixhPWFubiwBaG9zdD14AWF1dGg9QmVhcmVyIHgBAQ==",
                Some("ann"),
            ),
            (Mechanisms::CRAM_MD5, "YW5uIDEyMzQ=", Some("ann")),
            (
                Mechanisms::SCRAM_SHA_256,
                "biwsbj1hbm4scj1hYmM=",
                Some("ann"),
            ),
            (Mechanisms::SCRAM_SHA_256, "biwsbj1hPTJDLHI9YWJj", None),
            (Mechanisms::NTLM, "YW5uIDEyMzQ=", None),
            (Mechanisms::PLAIN, "=", None),
            (Mechanisms::PLAIN, "*", None),
            (Mechanisms::PLAIN, "", None),
            (Mechanisms::LOGIN, "YQBi", None),
        ] {
            let said = decode(response.as_bytes()).unwrap_or_default();
            let found = login_of(mechanism, &said);
            assert_eq!(found.as_deref(), login, "{response}");
        }
    }

    #[test]
    fn a_password_is_never_taken_for_a_name() {
        let mut exchange = Exchange::new(Mechanisms::LOGIN, b"AUTH LOGIN\r\n");
        exchange.add(b"not base64\r\n");
        exchange.add(b"c2VjcmV0\r\n");
        assert_eq!(exchange.login(), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let exchange = Exchange::new(Mechanisms::PLAIN, b"AUTH PLAIN AGEAc2VjcmV0\r\n");
        let shown = format!("{exchange:?}");
        assert!(
            !shown.contains("c2VjcmV0") && !shown.contains("115, 101"),
            "{shown}"
        );
    }

    #[test]
    fn a_list_keeps_what_passes_and_its_order() {
        let line = b"AUTH login EXTERNAL SCRAM-SHA-256-PLUS PLAIN X-OWN";
        let all = Mechanisms::listed(line);
        assert_eq!(all, Mechanisms::LOGIN | Mechanisms::PLAIN);
        assert_eq!(all.within(line).as_deref(), Some(&b"AUTH login PLAIN"[..]));
        assert_eq!(Mechanisms::NTLM.within(line), None);
    }

    proptest! {
        #[test]
        fn any_response_is_read_without_harm(bytes in "[A-Za-z0-9+/=* ]{0,24}") {
            for (_, mechanism) in NAMES {
                let mut exchange = Exchange::new(*mechanism, b"AUTH X\r\n");
                exchange.add(bytes.as_bytes());
                prop_assert!(exchange.account().is_none() || exchange.account() == exchange.login());
            }
        }
    }
}
