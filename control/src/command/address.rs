//! `set server ... addr|check-addr|check-port|fqdn`: where a server and its check are (MGT 9.3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::model::ServerAddress;
use engine::controller::At;
use engine::health::Health;
use engine::server::{Place, Server};

use super::{Answer, Call};

const BY: &str = "by 'stats socket command'";

pub(super) fn server(call: &Call<'_>, (proxy, server): At) -> Result<Arc<Server>, String> {
    let back = call.desk.plane.topology().proxies[proxy].back.as_ref();
    let server = back.and_then(|back| back.servers().at(server).cloned());
    server.ok_or_else(|| "No such server.".into())
}

/// Where sessions go: a port, or the client's moved by so many (`+0`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Fixed(u16),
    Moved(i32),
}

impl Port {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.strip_prefix(['+', '-']) {
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                Self::Moved(word.parse().ok()?)
            }
            Some(_) => return None,
            None => Self::Fixed(word.parse().ok()?),
        })
    }

    fn with(self, ip: IpAddr) -> ServerAddress {
        match self {
            Self::Fixed(port) => ServerAddress::Ip(SocketAddr::new(ip, port)),
            Self::Moved(by) => ServerAddress::IpRelative(ip, by),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(port) => port.fmt(f),
            Self::Moved(by) => write!(f, "{by:+}"),
        }
    }
}

const NO_MAP: &str = "can't change <port> to port map because it is incompatible with current health check port \
    configuration (use 'port' statement from the 'server' directive.";

/// `addr <ip> [port <port>]`: for sessions that begin from now on. Where one part is wrong, neither is changed.
pub(super) fn set(call: &Call<'_>, at: At) -> Answer {
    let server = server(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> addr requires an address and optionally a port.")?;
    let place = server.place();
    let (old_ip, old_port) = match place.address {
        ServerAddress::Ip(old) => (old.ip(), Port::Fixed(old.port())),
        ServerAddress::IpRelative(ip, by) => (ip, Port::Moved(by)),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => {
            return Err(format!(
                "This server has no address of its own to change {BY}"
            ));
        }
    };
    let ip: IpAddr = word
        .parse()
        .map_err(|_| format!("Invalid addr '{word}' {BY}"))?;
    let port = match call.arg(3) {
        Some("port") => {
            let word = call.arg(4).unwrap_or_default();
            let problem = || format!("problem converting port '{word}' to an int {BY}");
            Some(Port::parse(word).ok_or_else(problem)?)
        }
        _ => None,
    };
    if matches!(port, Some(Port::Moved(_))) && server.conf.check && place.check_port.is_none() {
        return Err(format!("{NO_MAP} {BY}"));
    }
    let mut said = if ip == old_ip {
        "no need to change the addr".to_owned()
    } else {
        format!("IP changed from '{old_ip}' to '{ip}'")
    };
    match port {
        None => {}
        Some(port) if port == old_port => said.push_str(", no need to change the port"),
        Some(port) => said.push_str(&format!(", port changed from '{old_port}' to '{port}'")),
    }
    let address = port.unwrap_or(old_port).with(ip);
    if address != place.address {
        server.set_place(Place {
            address,
            ..(*place).clone()
        });
        call.desk.plane.controller().borrow().tell_moved(at, &said);
    }
    Ok(format!("{said} {BY}\n"))
}

fn is_checked(call: &Call<'_>, at: At) -> Result<(), String> {
    let controller = call.desk.plane.controller().borrow();
    let checked = controller.health(at).is_some_and(Health::has_check);
    checked
        .then_some(())
        .ok_or_else(|| "health checks are not enabled on this server".into())
}

/// `check-addr <ip> [port <port>]`.
pub(super) fn set_check_addr(call: &Call<'_>, at: At) -> Answer {
    is_checked(call, at)?;
    let server = server(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> check-addr requires an address and optionally a port.")?;
    let mut place = (*server.place()).clone();
    place.check_addr = Some(word.parse().map_err(|_| format!("invalid addr '{word}'"))?);
    if let (Some("port"), Some(word)) = (call.arg(3), call.arg(4)) {
        place.check_port = Some(port(word)?);
    }
    server.set_place(place);
    Ok(String::new())
}

/// `check-port <port>`.
pub(super) fn set_check_port(call: &Call<'_>, at: At) -> Answer {
    is_checked(call, at)?;
    let server = server(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> check-port requires a port.")?;
    let check_port = Some(port(word)?);
    let place = (*server.place()).clone();
    server.set_place(Place {
        check_port,
        ..place
    });
    Ok(String::new())
}

pub(super) fn port(word: &str) -> Result<u16, String> {
    let number: i64 = word
        .parse()
        .map_err(|_| "provided port is not an integer")?;
    u16::try_from(number).map_err(|_| "provided port is invalid".into())
}

/// `fqdn <name>`: for servers with `resolvers`, which there are none of; HAProxy says the same of the others.
pub(super) fn set_fqdn(call: &Call<'_>, at: At) -> Answer {
    server(call, at)?;
    call.arg(2)
        .ok_or("set server <b>/<s> fqdn requires a FQDN.")?;
    Err("set server <b>/<s> fqdn failed because no resolution is configured.".into())
}
