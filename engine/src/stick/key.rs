//! Keys of stick tables: what a sample becomes in a table of a given type (haproxy-compat 3.9).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::model::KeyType;

use crate::sample::{self, Value};

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// `type ip`.
    Ipv4(Ipv4Addr),
    /// `type ipv6`.
    Ipv6(Ipv6Addr),
    /// `type integer`.
    Integer(u32),
    /// `type string`, at most as long as the table says.
    String(Box<str>),
    /// `type binary`, exactly as long as the table says.
    Binary(Box<[u8]>),
}

impl Key {
    /// What a sample is in a table of that type; `None` where it cannot be: an IPv6 client in an IPv4 table.
    pub(crate) fn cast(value: &Value, kind: KeyType) -> Option<Self> {
        Some(match (kind, value) {
            (KeyType::Ipv4, Value::Ip(IpAddr::V4(ip))) => Self::Ipv4(*ip),
            (KeyType::Ipv4, Value::Ip(IpAddr::V6(ip))) => Self::Ipv4(embedded(*ip)?),
            (KeyType::Ipv4, Value::Int(number)) => Self::Ipv4(Ipv4Addr::from_bits(*number as u32)),
            (KeyType::Ipv6, Value::Ip(IpAddr::V6(ip))) => Self::Ipv6(*ip),
            (KeyType::Ipv6, Value::Ip(IpAddr::V4(ip))) => Self::Ipv6(ip.to_ipv6_mapped()),
            (KeyType::Integer, Value::Int(number)) => Self::Integer(*number as u32),
            (KeyType::Integer, Value::Ip(IpAddr::V4(ip))) => Self::Integer(ip.to_bits()),
            (KeyType::String(length), value) => Self::text(&sample::text(value), length),
            (KeyType::Binary(length), value) => Self::bytes(sample::text(value).as_bytes(), length),
            (_, Value::Str(text)) => Self::parse(text, kind)?,
            _ => return None,
        })
    }

    /// What an operator writes as a key; `None` where it is none of that type.
    pub fn parse(text: &str, kind: KeyType) -> Option<Self> {
        Some(match kind {
            KeyType::Ipv4 => Self::Ipv4(text.parse().ok()?),
            KeyType::Ipv6 => match text.parse().ok()? {
                IpAddr::V4(ip) => Self::Ipv6(ip.to_ipv6_mapped()),
                IpAddr::V6(ip) => Self::Ipv6(ip),
            },
            KeyType::Integer => Self::Integer(text.parse().ok()?),
            KeyType::String(length) => Self::text(text, length),
            KeyType::Binary(length) => Self::bytes(&unhex(text)?, length),
        })
    }

    fn text(text: &str, length: usize) -> Self {
        let end = (0..=length.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        Self::String(text[..end.unwrap_or(0)].into())
    }

    fn bytes(bytes: &[u8], length: usize) -> Self {
        let mut bytes = bytes.to_vec();
        bytes.resize(length, 0);
        Self::Binary(bytes.into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(ip) => ip.fmt(f),
            Self::Ipv6(ip) => ip.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::String(text) => f.write_str(text),
            Self::Binary(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}")),
        }
    }
}

/// The IPv4 address in a mapped or 6to4 address.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let six_to_four = || match ip.segments() {
        [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    };
    ip.to_ipv4_mapped().or_else(six_to_four)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
