//! What the proxy's side of TLS offers, found out from outside with OpenSSL, and the same as docs/tls.md says:
//! `UPDATE_DOCS=1` writes it there.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Kind, Order, handshake};

use crate::support::{config, free_port};

/// Where the table is.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tls.md");
const MARKS: [&str; 2] = [
    "<!-- what is offered -->\n",
    "<!-- end of what is offered -->\n",
];

/// Everything OpenSSL has, however weak.
const ALL: &str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";

/// TLS 1.3 with everything OpenSSL has.
const SUITES: [&str; 5] = [
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_256_GCM_SHA384",
];

/// The groups OpenSSL has, and how it tells them.
const GROUPS: [(&str, &str); 8] = [
    ("P-521", "secp521r1"),
    ("P-384", "secp384r1"),
    ("P-256", "prime256v1"),
    ("X448", "X448"),
    ("X25519", "X25519"),
    ("ffdhe2048", "DH, 2048"),
    ("ffdhe3072", "DH, 3072"),
    ("ffdhe4096", "DH, 4096"),
];

/// A place that is asked, and how TLS begins there.
#[derive(Clone, Copy)]
struct Place {
    address: SocketAddr,
    starttls: bool,
}

impl Place {
    /// What OpenSSL says when it offers this alone.
    fn offered(self, arguments: &[&str]) -> Result<String> {
        let how: &[&str] = if self.starttls {
            &["-starttls", "smtp"]
        } else {
            &[]
        };
        handshake(self.address, &[how, arguments].concat())
    }

    /// The suite that is chosen, if any.
    fn suite(self, arguments: &[&str]) -> Result<Option<String>> {
        let said = self.offered(arguments)?;
        let line = said
            .lines()
            .find_map(|line| line.split_once(", Cipher is "));
        let (version, suite) = line.with_context(|| said.clone())?;
        Ok((suite != "(NONE)" && version.starts_with("New, TLSv1")).then(|| suite.to_owned()))
    }

    /// Every suite of TLS 1.2 and older that is taken, best first: what was chosen is left out the next time.
    fn old(self, version: &str) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let without: String = found.iter().map(|suite| format!(":!{suite}")).collect();
            match self.suite(&[version, "-cipher", &format!("{ALL}{without}")])? {
                Some(suite) => found.push(suite),
                None => return Ok(found),
            }
            ensure!(found.len() < 200, "{found:?}");
        }
    }

    /// The same of TLS 1.3.
    fn latest(self) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        let mut left = SUITES.to_vec();
        while !left.is_empty() {
            let Some(suite) = self.suite(&["-tls1_3", "-ciphersuites", &left.join(":")])? else {
                break;
            };
            left.retain(|other| *other != suite);
            found.push(suite);
        }
        Ok(found)
    }

    /// Groups, each offered alone.
    fn groups(self) -> Result<Vec<&'static str>> {
        let mut found = Vec::new();
        for (name, told) in GROUPS {
            let said = self.offered(&["-tls1_3", "-groups", name])?;
            let key = said
                .lines()
                .find(|line| line.starts_with("Server Temp Key: "));
            if let Some(key) = key {
                ensure!(key.contains(told), "{name}: {key}");
                found.push(name);
            }
        }
        Ok(found)
    }

    /// All of it, as a table.
    fn table(self) -> Result<String> {
        let mut lines = vec![
            "| offered by a client | taken, best first |".to_owned(),
            "|---|---|".to_owned(),
        ];
        let mut row = |name: &str, found: Vec<String>| {
            let quoted: Vec<_> = found.iter().map(|name| format!("`{name}`")).collect();
            let cell = if quoted.is_empty() {
                "nothing".to_owned()
            } else {
                quoted.join(", ")
            };
            lines.push(format!("| {name} | {cell} |"));
        };
        row("TLS 1.0, every cipher of OpenSSL", self.old("-tls1")?);
        row("TLS 1.1, the same", self.old("-tls1_1")?);
        row("TLS 1.2, the same", self.old("-tls1_2")?);
        row("TLS 1.3, every suite of OpenSSL", self.latest()?);
        let groups = self.groups()?.into_iter().map(str::to_owned);
        row("every group of OpenSSL, one by one", groups.collect());
        let said = self.offered(&["-tls1_2"])?;
        let said_of = |word: &str| said.lines().any(|line| line.trim() == word);
        ensure!(
            said_of("Compression: NONE") && said_of("Secure Renegotiation IS supported"),
            "{said}"
        );
        Ok(lines.join("\n") + "\n")
    }
}

#[test]
fn the_documented_offer_is_the_offer() -> Result<()> {
    let authority = Authority::new()?;
    for (file, kind) in [("mx.pem.ecdsa", Kind::Ecdsa), ("mx.pem.rsa", Kind::Rsa)] {
        authority.issue(
            file,
            &Order {
                kind,
                ..Order::default()
            },
        )?;
    }
    let crt = authority.directory().join("mx.pem");
    let server = Server::start(Manner::Mail)?;
    let (plain, ssl, starttls, theirs) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let binds = |old: &str| format!("bind {theirs} ssl crt {} {old}", crt.display());
    let backend = format!("server s1 {}", server.address());
    let own = format!(
        "bind {ssl} ssl crt {0}\n    bind {starttls} starttls crt {0}",
        crt.display()
    );
    let text = config(plain, &own, &backend).replace("mode tcp", "mode smtp");
    let _proxy = Proxy::start(Program::Posthouse, &text)?;
    let at = |address, starttls| Place { address, starttls };
    let found = at(ssl, false).table()?;
    ensure!(found == at(starttls, true).table()?, "STARTTLS differs");
    // What OpenSSL is refused it could do: HAProxy takes it where it is told to.
    let lax = binds("ssl-min-ver TLSv1.0 ciphers ALL:@SECLEVEL=0");
    let _lax = Proxy::start(Program::Haproxy, &config(free_port()?, &lax, &backend))?;
    for version in ["-tls1", "-tls1_1"] {
        let taken = at(theirs, false).suite(&[version, "-cipher", ALL])?;
        ensure!(taken.is_some(), "OpenSSL cannot do {version}");
    }
    let docs = std::fs::read_to_string(DOCS)?;
    let (before, rest) = docs
        .split_once(MARKS[0])
        .context("no mark in docs/tls.md")?;
    let (written, after) = rest
        .split_once(MARKS[1])
        .context("no end mark in docs/tls.md")?;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = [before, MARKS[0], &found, MARKS[1], after].concat();
        return Ok(std::fs::write(DOCS, text)?);
    }
    ensure!(
        written == found,
        "docs/tls.md says\n{written}and found is\n{found}(UPDATE_DOCS=1 writes it)"
    );
    Ok(())
}
