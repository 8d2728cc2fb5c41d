//! `alerts` and `mailers` sections, and `email-alert`: who is told when something is wrong.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{Location, ServerTls};

/// An `alerts` section (Posthouse's own).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Its name.
    pub name: String,
    /// `alert webhook`, each.
    pub webhooks: Vec<Webhook>,
    /// `alert settle`: how long all must be well until an incident is over.
    pub settle: Duration,
}

impl Alerts {
    /// Unless `alert settle` says otherwise; also for mail.
    pub const SETTLE: Duration = Duration::from_secs(30);
}

/// Where incidents are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is written.
    pub at: Location,
    /// Where to.
    pub url: Url,
    /// Its host's address at the start, for when names cannot be looked up any more.
    pub known: Option<IpAddr>,
    /// For one attempt, from the look-up of the name to the answer.
    pub timeout: Duration,
    /// Lines of the request beside our own.
    pub headers: Vec<(String, Secret)>,
    /// With `https`.
    pub tls: Option<Arc<ServerTls>>,
}

/// A `mailers` section (CFG 12.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailers {
    /// Its name.
    pub name: String,
    /// `timeout mail`: for one attempt at one mailer, from the connection to its answer to the mail.
    pub timeout: Duration,
    /// `mailer` lines, in the order they are tried.
    pub mailers: Vec<Mailer>,
}

/// A `mailer` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailer {
    /// Where it is written.
    pub at: Location,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Its host's address at the start, for when names cannot be looked up any more.
    pub known: Option<IpAddr>,
    /// How the mail is kept from other eyes.
    pub secrecy: Secrecy,
    /// `user` and `password`.
    pub login: Option<Login>,
}

/// How a mailer is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrecy {
    /// In clear text.
    None,
    /// `starttls`: TLS after EHLO, or no mail at all (RFC 3207).
    StartTls(Arc<ServerTls>),
    /// `ssl`: TLS from the first byte (RFC 8314).
    Tls(Arc<ServerTls>),
}

impl Secrecy {
    /// Its settings.
    pub fn tls(&self) -> Option<&Arc<ServerTls>> {
        match self {
            Self::None => None,
            Self::StartTls(tls) | Self::Tls(tls) => Some(tls),
        }
    }
}

/// Who a mailer is told we are (RFC 4954).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `user`.
    pub user: String,
    /// `password`.
    pub password: Secret,
}

/// `email-alert` of a proxy (CFG 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAlert {
    /// `email-alert mailers`: an index into [`super::Model::mailers`].
    pub mailers: usize,
    /// `email-alert from`.
    pub from: String,
    /// `email-alert to`.
    pub to: Vec<String>,
    /// `email-alert level`: syslog's number; what is graver or as grave is told.
    pub level: u8,
    /// `email-alert myhostname`: what EHLO says; else the host's own name.
    pub hostname: Option<String>,
}

/// What is for nobody's eyes: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one whom it is told.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The host of a URL or of a mailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name that is looked up each time.
    Name(String),
}

impl Host {
    /// `name:port`, `1.2.3.4`, `[::1]:port`; `Err` says what is wrong.
    pub fn parse(text: &str) -> Result<(Self, Option<u16>), &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("a ']' is missing")?;
                let ip: Ipv6Addr = host
                    .parse()
                    .map_err(|_| "there is no IPv6 address between the brackets")?;
                let port = match port.strip_prefix(':') {
                    None if port.is_empty() => None,
                    Some(port) => Some(port),
                    None => return Err("something stands between ']' and the port"),
                };
                (Self::Ip(ip.into()), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (Self::named(host)?, port)
            }
        };
        let port = port.filter(|port| !port.is_empty()).map(|port| {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse().ok().filter(|port| *port > 0 && digits);
            number.ok_or("its port is no number from 1 to 65535")
        });
        Ok((host, port.transpose()?))
    }

    fn named(text: &str) -> Result<Self, &'static str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if text.is_empty() {
            return Err("it names no host");
        }
        if text.len() > 253 || !text.bytes().all(fits) {
            return Err("its host is neither a name nor an address");
        }
        // `127.1` and the like would be an address to some and a name to others.
        match text.parse() {
            Ok(ip) => Ok(Self::Ip(ip)),
            Err(_) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                Err("its host is neither a name nor an address")
            }
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A URL of HTTP, in parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// `https`.
    pub tls: bool,
    /// Whom it names.
    pub host: Host,
    /// As written, else 80 or 443.
    pub port: u16,
    /// From the first slash on, query and all. Often this is the secret.
    pub path: String,
}

impl Url {
    /// Reads a URL; `Err` says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SCHEME: &str = "it does not begin with http:// or https://";
        let (scheme, rest) = text.split_once("://").ok_or(SCHEME)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(SCHEME),
        };
        // What RFC 3986 leaves out cannot stand in a request.
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if !rest.bytes().all(fits) {
            return Err("it has a character that must be escaped with %");
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        if place.contains('@') {
            return Err(
                "a user and a password do not belong into it: write 'header Authorization ...'",
            );
        }
        let (host, port) = Host::parse(place)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            path: format!("{slash}{path}"),
        })
    }

    /// `host:port` as a `Host` line has it (RFC 9110, 7.2).
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/...", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_read_in_parts() {
        let parts = |text| {
            let url = Url::parse(text).unwrap();
            (url.tls, url.authority(), url.port, url.path)
        };
        assert_eq!(
            parts("https://hooks.example.org/T/x?y=1#z"),
            (true, "hooks.example.org".into(), 443, "/T/x?y=1".into())
        );
        assert_eq!(
            parts("HTTP://127.0.0.1:8080"),
            (false, "127.0.0.1:8080".into(), 8080, "/".into())
        );
        assert_eq!(
            parts("http://[::1]:80?q"),
            (false, "[::1]".into(), 80, "/?q".into())
        );
    }

    #[test]
    fn what_is_no_url_is_told() {
        for (text, why) in [
            ("hooks.example.org/x", "begin with"),
            ("ftp://x/", "begin with"),
            ("http://", "names no host"),
            ("http:///x", "names no host"),
            ("http://x:0/", "port"),
            ("http://x:65536/", "port"),
            ("http://x:+1/", "port"),
            ("http://[::1/", "missing"),
            ("http://[x]/", "IPv6"),
            ("http://[::1]x/", "between"),
            ("http://127.1/", "neither"),
            ("http://a,b/", "neither"),
            ("https://user:pw@x/", "password"),
            ("https://x/a b", "escaped"),
            ("https://x/\u{e4}", "escaped"),
        ] {
            let said = Url::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = Url::parse("https://hooks.example.org/T0/secret").unwrap();
        let shown = format!("{url:?} {:?}", Secret::new("secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_not(text in "(https?://)?\\PC{0,40}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert!(url.path.starts_with('/') && url.port > 0);
                let scheme = if url.tls { "https" } else { "http" };
                let again = Url::parse(&format!("{scheme}://{}{}", url.authority(), url.path));
                prop_assert_eq!(again.as_ref(), Ok(&url));
            }
        }
    }
}
