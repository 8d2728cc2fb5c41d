//! XCLIENT (Postfix's XCLIENT_README): telling a server for whom the proxy speaks.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::reply::Reply;

bitflags::bitflags! {
    /// What a server wants to be told.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Attributes: u8 {
        /// The client's name.
        const NAME = 1;
        /// Its address.
        const ADDR = 1 << 1;
        /// Its port.
        const PORT = 1 << 2;
        /// SMTP or ESMTP.
        const PROTO = 1 << 3;
        /// Its name in EHLO or HELO.
        const HELO = 1 << 4;
        /// Who is logged in.
        const LOGIN = 1 << 5;
        /// The address it has connected to.
        const DESTADDR = 1 << 6;
        /// The port it has connected to.
        const DESTPORT = 1 << 7;
    }
}

/// In the order in which they are told.
const NAMES: &[(&str, Attributes)] = &[
    ("NAME", Attributes::NAME),
    ("ADDR", Attributes::ADDR),
    ("PORT", Attributes::PORT),
    ("PROTO", Attributes::PROTO),
    ("HELO", Attributes::HELO),
    ("LOGIN", Attributes::LOGIN),
    ("DESTADDR", Attributes::DESTADDR),
    ("DESTPORT", Attributes::DESTPORT),
];

/// A line has at most so many bytes, as any command; what does not fit goes into another, and what fits into none is not
/// told.
const LONGEST: usize = 510;

/// Whom the proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client; `None`: a local one.
    pub client: Option<SocketAddr>,
    /// What it has connected to.
    pub destination: Option<SocketAddr>,
}

/// What the session itself knows of the client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// The line of its EHLO or HELO.
    pub(super) hello: Option<&'a [u8]>,
    pub(super) login: Option<&'a str>,
}

impl Attributes {
    /// What a server's reply to EHLO asks for; `None`: it does not know XCLIENT.
    pub fn of(reply: &Reply<'_>) -> Option<Self> {
        let is = |line: &&[u8]| {
            let mut words = line.split(|&byte| byte == b' ');
            words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(b"XCLIENT"))
        };
        let line = reply.lines().skip(1).find(is)?;
        let known = |word: &[u8]| {
            let known = NAMES.iter();
            let mut known = known.filter(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
            known.next().map(|&(_, attribute)| attribute)
        };
        let words = line.split(|&byte| byte == b' ').skip(1);
        Some(words.filter_map(known).collect())
    }

    /// The commands that tell it.
    pub(crate) fn lines(self, origin: &Origin, known: Known<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::from("XCLIENT");
        for &(name, attribute) in NAMES {
            let Some(value) = self
                .contains(attribute)
                .then(|| value(attribute, origin, known))
            else {
                continue;
            };
            let Some(value) = value else { continue };
            let more = name.len() + value.len() + 2;
            if "XCLIENT".len() + more > LONGEST {
                continue;
            }
            if line.len() + more > LONGEST {
                lines.push(std::mem::replace(&mut line, String::from("XCLIENT")) + "\r\n");
            }
            // Writing to a string cannot fail.
            let _ = write!(line, " {name}={value}");
        }
        lines.push(line + "\r\n");
        lines.retain(|line| line.len() > "XCLIENT\r\n".len());
        lines
    }
}

/// `None`: it is not known yet, and the server learns it otherwise.
fn value(attribute: Attributes, origin: &Origin, known: Known<'_>) -> Option<String> {
    let (verb, name) = known.hello.map_or((&b""[..], &b""[..]), split);
    let address = |of: Option<SocketAddr>| of.map_or_else(unavailable, |of| shown(of.ip()));
    let port = |of: Option<SocketAddr>| of.map_or_else(unavailable, |of| of.port().to_string());
    Some(match attribute {
        // It is not looked up here; without a word the server would take the proxy's.
        Attributes::NAME => unavailable(),
        Attributes::ADDR => address(origin.client),
        Attributes::PORT => port(origin.client),
        Attributes::DESTADDR => address(origin.destination),
        Attributes::DESTPORT => port(origin.destination),
        Attributes::PROTO if verb.eq_ignore_ascii_case(b"EHLO") => "ESMTP".to_owned(),
        Attributes::PROTO if !verb.is_empty() => "SMTP".to_owned(),
        Attributes::HELO if !name.is_empty() && name.len() <= 255 => xtext(name),
        Attributes::LOGIN => xtext(known.login?.as_bytes()),
        _ => return None,
    })
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii();
    let end = line.iter().position(|&byte| byte == b' ');
    let end = end.unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii())
}

fn unavailable() -> String {
    "[UNAVAILABLE]".to_owned()
}

fn shown(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    }
}

/// RFC 3461, 4: what is not printable, `+` and `=` in hexadecimal.
fn xtext(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'!'..=b'~' if byte != b'+' && byte != b'=' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "+{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(line: &str) -> Option<Attributes> {
        let text = format!("250-mail\r\n250-{line}\r\n250 SIZE\r\n");
        Attributes::of(&Reply::first(text.as_bytes()).unwrap().unwrap())
    }

    #[test]
    fn a_server_is_told_what_it_asks_for_and_nothing_else() {
        let origin = Origin {
            client: Some("[2001:db8::1]:4711".parse().unwrap()),
            destination: Some("192.0.2.1:25".parse().unwrap()),
        };
        let all = offer("XCLIENT NAME ADDR PROTO HELO LOGIN DESTADDR DESTPORT PORT X-NEW").unwrap();
        let known = Known {
            hello: Some(b"EHLO a+b.example\r\n"),
            login: Some("ann=x"),
        };
        assert_eq!(
            all.lines(&origin, known).concat(),
            "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=4711 PROTO=ESMTP HELO=a+2Bb.example LOGIN=ann+3Dx \
             DESTADDR=192.0.2.1 DESTPORT=25\r\n"
        );
        let few = offer("xclient addr login").unwrap();
        let lines = few.lines(&origin, Known::default());
        assert_eq!(lines, ["XCLIENT ADDR=IPV6:2001:db8::1\r\n"]);
        assert_eq!(offer("XCLIENTS ADDR"), None);
        let mapped = Origin {
            client: Some("[::ffff:192.0.2.9]:1".parse().unwrap()),
            destination: None,
        };
        let lines = Attributes::ADDR.lines(&mapped, Known::default());
        assert_eq!(lines, ["XCLIENT ADDR=192.0.2.9\r\n"]);
    }

    #[test]
    fn what_is_too_long_for_a_line_goes_into_two() {
        let (hello, login) = ("EHLO ".to_owned() + &"é".repeat(60), "x".repeat(255));
        let known = Known {
            hello: Some(hello.as_bytes()),
            login: Some(&login),
        };
        let origin = Origin {
            client: None,
            destination: None,
        };
        let lines = Attributes::all().lines(&origin, known);
        assert_eq!(lines.len(), 2);
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= 512 && line.starts_with("XCLIENT "))
        );
    }

    proptest! {
        #[test]
        fn xtext_says_what_was_meant(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = xtext(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'='));
            let mut read = Vec::new();
            let mut rest = text.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                if byte == b'+' {
                    let (digits, after) = rest.split_at(2);
                    read.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
                    rest = after;
                } else {
                    read.push(byte);
                }
            }
            prop_assert_eq!(read, bytes);
        }
    }
}
