//! Version 1: one line of text (PP 2.1).

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::{Addresses, Error, Header, Parsed, same_family};

/// The longest line, CRLF included.
const LONGEST: usize = 107;

/// Appends a version 1 header; without addresses it says `UNKNOWN`.
pub fn encode_v1(addresses: Option<&Addresses>, out: &mut Vec<u8>) {
    let Some(addresses) = addresses else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let (source, destination) = same_family(addresses);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    const SIGNATURE: &[u8] = b"PROXY ";
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Error::NotAHeader);
    }
    let window = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = memchr::memmem::find(window, b"\r\n") else {
        return if bytes.len() < LONGEST {
            Ok(Parsed::Incomplete)
        } else {
            Err(Error::Invalid)
        };
    };
    let line = bytes.get(SIGNATURE.len()..end).ok_or(Error::Invalid)?;
    let line = std::str::from_utf8(line).map_err(|_| Error::Invalid)?;
    let header = header(line)?;
    Ok(Parsed::Complete {
        header,
        length: end + 2,
    })
}

fn header(line: &str) -> Result<Header, Error> {
    let mut words = line.split(' ');
    let ipv4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // Whatever follows is to be ignored up to the end of the line.
        Some("UNKNOWN") => return Ok(Header::Local),
        _ => return Err(Error::Invalid),
    };
    let mut word = || words.next().ok_or(Error::Invalid);
    let (source, destination) = (address(word()?, ipv4)?, address(word()?, ipv4)?);
    let (from, to) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(Error::Invalid);
    }
    Ok(Header::Proxied(Addresses {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    }))
}

fn address(word: &str, ipv4: bool) -> Result<IpAddr, Error> {
    let ip: IpAddr = word.parse().map_err(|_| Error::Invalid)?;
    if ip.is_ipv4() == ipv4 {
        Ok(ip)
    } else {
        Err(Error::Invalid)
    }
}

/// A port in decimal, without sign or leading zero.
fn port(word: &str) -> Result<u16, Error> {
    let plain =
        word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if !plain {
        return Err(Error::Invalid);
    }
    word.parse().map_err(|_| Error::Invalid)
}
