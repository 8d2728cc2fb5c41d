//! Addresses as `bind`, `server`, `log` and `source` write them (CFG 2.8, 4.2 `bind`, 5.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::model::{BindAddress, ServerAddress};

/// Makes an address of a host name.
pub type Resolver<'a> = &'a dyn Fn(&str) -> Option<IpAddr>;

/// Where a `server` is, its name not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerTarget {
    Known(ServerAddress),
    Name { host: String, port: Port },
}

/// The port behind a server's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Fixed(u16),
    /// The client's destination port plus this.
    Relative(i32),
}

impl Port {
    pub(crate) fn with(self, ip: IpAddr) -> ServerAddress {
        match self {
            Self::Fixed(port) => ServerAddress::Ip(SocketAddr::new(ip, port)),
            Self::Relative(offset) => ServerAddress::IpRelative(ip, offset),
        }
    }
}

/// Which of IPv4 and IPv6 a prefix allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

/// What stands before `@`.
fn prefix(text: &str) -> (&str, &str) {
    if text.starts_with('/') {
        return ("unix", text);
    }
    text.split_once('@').unwrap_or(("", text))
}

fn family(prefix: &str) -> Option<Family> {
    match prefix {
        "" | "tcp" => Some(Family::Any),
        "ipv4" | "tcp4" => Some(Family::V4),
        "ipv6" | "tcp6" => Some(Family::V6),
        _ => None,
    }
}

/// The comma separated addresses of a `bind` line.
pub(crate) fn bind(text: &str, resolver: Resolver<'_>) -> Result<Vec<BindAddress>, String> {
    let mut all = Vec::new();
    for one in text.split(',') {
        bind_one(one, resolver, &mut all)?;
    }
    Ok(all)
}

fn bind_one(text: &str, resolver: Resolver<'_>, all: &mut Vec<BindAddress>) -> Result<(), String> {
    let (prefix, rest) = prefix(text);
    match prefix {
        "unix" => all.push(BindAddress::Unix(path(rest)?)),
        "abns" => all.push(BindAddress::Abstract(abstract_name(rest)?)),
        "fd" => {
            let number = rest.parse().ok().filter(|fd| *fd >= 0);
            all.push(BindAddress::Fd(number.ok_or_else(|| {
                format!("invalid file descriptor '{rest}' in '{text}'")
            })?));
        }
        _ => {
            let Some(family) = family(prefix) else {
                return Err(format!(
                    "address family '{prefix}@' is not supported in '{text}'"
                ));
            };
            let (host, ports) = rest
                .rsplit_once(':')
                .ok_or_else(|| format!("missing port specification in '{text}'"))?;
            if ports.is_empty() {
                return Err(format!("missing port specification in '{text}'"));
            }
            let ip = ip(host, family, resolver)?;
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(format!("invalid port range '{ports}'"));
            }
            let addresses = first..=last;
            all.extend(addresses.map(|port| BindAddress::Ip(SocketAddr::new(ip, port))));
        }
    }
    Ok(())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("invalid port '{text}'"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    // sun_path holds 108 bytes with its NUL.
    match text.len() {
        0 => Err("missing path of a unix socket".into()),
        1..=107 => Ok(PathBuf::from(text)),
        _ => Err(format!(
            "socket path '{text}' is too long (at most 107 bytes)"
        )),
    }
}

fn abstract_name(text: &str) -> Result<Vec<u8>, String> {
    match text.len() {
        0 => Err("missing name of an abstract socket".into()),
        1..=107 => Ok(text.as_bytes().to_vec()),
        _ => Err(format!(
            "socket name '{text}' is too long (at most 107 bytes)"
        )),
    }
}

fn ip(host: &str, family: Family, resolver: Resolver<'_>) -> Result<IpAddr, String> {
    if host.is_empty() || host == "*" {
        return Ok(match family {
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            Family::Any | Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        });
    }
    let found = literal(host).or_else(|| resolver(host));
    let found = found.ok_or_else(|| format!("could not resolve address '{host}'"))?;
    match (family, found) {
        (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => Err(format!(
            "'{host}' is not of the address family that is asked for"
        )),
        _ => Ok(found),
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// A `server`'s address. Without a port it is the client's destination port.
pub(crate) fn server(text: &str) -> Result<ServerTarget, String> {
    let (prefix, rest) = prefix(text);
    match prefix {
        "unix" => return Ok(ServerTarget::Known(ServerAddress::Unix(path(rest)?))),
        "abns" => {
            return Ok(ServerTarget::Known(ServerAddress::Abstract(abstract_name(
                rest,
            )?)));
        }
        _ => {}
    }
    let Some(family) = family(prefix) else {
        return Err(format!(
            "address family '{prefix}@' is not supported in '{text}'"
        ));
    };
    let (host, port) = host_and_port(rest)?;
    if host.is_empty() && rest.is_empty() {
        return Err(format!("missing address in '{text}'"));
    }
    if host.is_empty() || host == "*" || literal(host).is_some() {
        return ip(host, family, &|_| None).map(|ip| ServerTarget::Known(port.with(ip)));
    }
    let odd = |c: char| !(c.is_alphanumeric() || "-_.".contains(c));
    if host.contains(odd) {
        return Err(format!("invalid address: '{host}' in '{text}'"));
    }
    Ok(ServerTarget::Name {
        host: host.to_owned(),
        port,
    })
}

fn host_and_port(text: &str) -> Result<(&str, Port), String> {
    // A bare IPv6 address ends in something that looks like a port: HAProxy reads it as one, and so do
    // we, unless brackets or the missing port say otherwise.
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Ok((text, Port::Relative(0)));
    };
    if port.is_empty() {
        return Ok((host, Port::Relative(0)));
    }
    let invalid = || format!("invalid port '{port}'");
    if port.starts_with(['+', '-']) {
        let offset: i32 = port.parse().map_err(|_| invalid())?;
        if offset.unsigned_abs() > 65_535 {
            return Err(invalid());
        }
        return Ok((host, Port::Relative(offset)));
    }
    match port.parse::<u16>().map_err(|_| invalid())? {
        // Port 0 is "map to the client's", as no port is.
        0 => Ok((host, Port::Relative(0))),
        port => Ok((host, Port::Fixed(port))),
    }
}

/// `addr[:port]` where a missing port is `default`: `log`, `source`.
pub(crate) fn socket(
    text: &str,
    default: u16,
    resolver: Resolver<'_>,
) -> Result<SocketAddr, String> {
    let (prefix, rest) = prefix(text);
    let Some(family) = family(prefix).or_else(|| (prefix == "udp").then_some(Family::Any)) else {
        return Err(format!(
            "address family '{prefix}@' is not supported in '{text}'"
        ));
    };
    if let Some(found) = rest.parse::<Ipv4Addr>().ok().map(IpAddr::V4) {
        return Ok(SocketAddr::new(found, default));
    }
    let (host, port) = host_and_port(rest)?;
    let port = match port {
        Port::Fixed(port) => port,
        Port::Relative(0) => default,
        Port::Relative(_) => return Err(format!("port offset not allowed in '{text}'")),
    };
    ip(host, family, resolver).map(|ip| SocketAddr::new(ip, port))
}

/// A plain address, for `addr`.
pub(crate) fn host(text: &str, resolver: Resolver<'_>) -> Result<IpAddr, String> {
    ip(text, Family::Any, resolver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binds(text: &str) -> Result<Vec<String>, String> {
        let found = bind(text, &|name| {
            (name == "local").then_some(Ipv4Addr::LOCALHOST.into())
        })?;
        let shown = found.into_iter().map(|address| match address {
            BindAddress::Ip(ip) => ip.to_string(),
            other => format!("{other:?}"),
        });
        Ok(shown.collect())
    }

    #[test]
    fn where_to_listen() {
        assert_eq!(binds("*:25").unwrap(), ["0.0.0.0:25"]);
        assert_eq!(binds(":25,[::1]:26").unwrap(), ["0.0.0.0:25", "[::1]:26"]);
        assert_eq!(binds(":::25").unwrap(), ["[::]:25"]);
        assert_eq!(binds("ipv6@:25").unwrap(), ["[::]:25"]);
        assert_eq!(
            binds("local:7-9").unwrap(),
            ["127.0.0.1:7", "127.0.0.1:8", "127.0.0.1:9"]
        );
        assert_eq!(binds("fd@4").unwrap(), ["Fd(4)"]);
        assert_eq!(binds("/run/x").unwrap(), ["Unix(\"/run/x\")"]);
        for bad in [
            "1.2.3.4",
            ":0",
            ":25-20",
            ":70000",
            "quic4@:25",
            "nope:25",
            "ipv4@[::1]:3",
            "unix@",
            "fd@x",
            "",
        ] {
            assert!(binds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn where_servers_are() {
        let known = |text: &str| match server(text) {
            Ok(ServerTarget::Known(address)) => format!("{address:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(known("1.2.3.4:25"), "Ip(1.2.3.4:25)");
        assert_eq!(known("1.2.3.4"), "IpRelative(1.2.3.4, 0)");
        assert_eq!(known("[::1]:+1000"), "IpRelative(::1, 1000)");
        assert_eq!(known("[::1]"), "IpRelative(::1, 0)");
        assert_eq!(known("/run/s"), "Unix(\"/run/s\")");
        assert_eq!(
            known("mx.example:25"),
            "Ok(Name { host: \"mx.example\", port: Fixed(25) })"
        );
        assert!(server("1.2.3.4:99999").is_err());
        assert!(server("a b:25").is_err());
    }

    #[test]
    fn where_logs_go() {
        let to = |text| socket(text, 514, &|_| None).map(|to| to.to_string());
        assert_eq!(to("127.0.0.1").unwrap(), "127.0.0.1:514");
        assert_eq!(to("127.0.0.1:5140").unwrap(), "127.0.0.1:5140");
        assert!(to("foo").is_err());
    }
}
