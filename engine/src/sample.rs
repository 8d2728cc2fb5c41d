//! Samples: what a rule reads of a session (CFG 7.3), converted as the rule says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::model::{Converter, Expression, Fetch};

use crate::connect::destination;
use crate::prelude::Client;
use crate::session::{Peer, Session};

/// A sample's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Ip(IpAddr),
    Int(i64),
    Str(String),
}

/// Reads and converts; `None` where the session has no such thing (a unix client has no address), and
/// then the rule does not apply.
pub(crate) fn evaluate(
    expression: &Expression,
    session: &Session,
    client: &Client,
) -> Option<Value> {
    let value = fetch(&expression.fetch, session, client)?;
    Some(
        expression
            .converters
            .iter()
            .fold(value, |value, converter| convert(value, *converter)),
    )
}

fn fetch(fetch: &Fetch, session: &Session, client: &Client) -> Option<Value> {
    let source = || match session.client {
        Peer::Ip(address) => Some(address),
        Peer::Local => None,
    };
    Some(match fetch {
        Fetch::Src => Value::Ip(source()?.ip()),
        Fetch::SrcPort => Value::Int(source()?.port().into()),
        Fetch::Dst => Value::Ip(destination(session, client)?.ip()),
        Fetch::DstPort => Value::Int(destination(session, client)?.port().into()),
        Fetch::FeId => Value::Int(session.ingress.proxy.conf().id.into()),
        Fetch::FeName => Value::Str(session.ingress.proxy.name().to_string()),
        Fetch::Int(number) => Value::Int(*number),
        Fetch::Str(text) => Value::Str(text.clone()),
    })
}

fn convert(value: Value, converter: Converter) -> Value {
    match (converter, value) {
        (Converter::IpMask(bits, _), Value::Ip(IpAddr::V4(ip))) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            Value::Ip(Ipv4Addr::from_bits(ip.to_bits() & mask).into())
        }
        (Converter::IpMask(_, bits), Value::Ip(IpAddr::V6(ip))) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            Value::Ip(Ipv6Addr::from_bits(ip.to_bits() & mask).into())
        }
        (Converter::Lower, value) => Value::Str(text(&value).to_ascii_lowercase()),
        (Converter::Upper, value) => Value::Str(text(&value).to_ascii_uppercase()),
        (Converter::IpMask(..), value) => value,
    }
}

/// A value as text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Ip(ip) => ip.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(ip: &str, v4: u8, v6: u8) -> String {
        let value = Value::Ip(ip.parse().expect("an address"));
        text(&convert(value, Converter::IpMask(v4, v6)))
    }

    #[test]
    fn ipmask_keeps_the_leading_bits() {
        assert_eq!(masked("192.168.7.9", 24, 64), "192.168.7.0");
        assert_eq!(masked("192.168.7.9", 32, 64), "192.168.7.9");
        assert_eq!(masked("192.168.7.9", 0, 64), "0.0.0.0");
        assert_eq!(masked("2001:db8:1:2:3::4", 24, 64), "2001:db8:1:2::");
        assert_eq!(masked("2001:db8::1", 24, 0), "::");
    }

    #[test]
    fn case_converters_work_on_text() {
        assert_eq!(
            convert(Value::Str("aB".into()), Converter::Upper),
            Value::Str("AB".into())
        );
        assert_eq!(
            convert(Value::Str("aB".into()), Converter::Lower),
            Value::Str("ab".into())
        );
    }
}
