//! `set server ... addr|check-addr|check-port|fqdn`: where a server and its check are (MGT 9.3).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::model::ServerAddress;
use engine::controller::At;
use engine::server::{Place, Server};

use super::{Answer, Call};

const BY: &str = "by 'stats socket command'";

pub(super) fn server(call: &Call<'_>, (proxy, server): At) -> Result<Arc<Server>, String> {
    let back = call.desk.plane.topology().proxies[proxy].back.as_ref();
    let server = back.and_then(|back| back.servers().at(server).cloned());
    server.ok_or_else(|| "No such server.".into())
}

/// `addr <ip> [port <port>]`: for sessions that begin from now on.
pub(super) fn set(call: &Call<'_>, at: At) -> Answer {
    let server = server(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> addr requires an address and optionally a port.")?;
    let place = server.place();
    let ServerAddress::Ip(old) = place.address else {
        return Err(format!(
            "This server has no address of its own to change {BY}"
        ));
    };
    let ip: IpAddr = word
        .parse()
        .map_err(|_| format!("Invalid addr '{word}' {BY}"))?;
    let port = match (call.arg(3), call.arg(4)) {
        (None, _) => None,
        (Some("port"), Some(word)) => Some(
            word.parse()
                .map_err(|_| format!("provided port is not an integer {BY}"))?,
        ),
        _ => return Err("usage: set server <backend>/<server> addr <ip> [port <port>]".into()),
    };
    let mut said = if ip == old.ip() {
        "no need to change the addr".to_owned()
    } else {
        format!("IP changed from '{}' to '{ip}'", old.ip())
    };
    if let Some(port) = port {
        if port == old.port() {
            said.push_str(", no need to change the port");
        } else {
            said.push_str(&format!(", port changed from '{}' to '{port}'", old.port()));
        }
    }
    let new = SocketAddr::new(ip, port.unwrap_or_else(|| old.port()));
    if new != old {
        server.set_place(Place {
            address: ServerAddress::Ip(new),
            ..(*place).clone()
        });
        call.desk.plane.controller().borrow().tell_moved(at, &said);
    }
    Ok(format!("{said} {BY}\n"))
}

/// `check-addr <ip> [port <port>]`.
pub(super) fn set_check_addr(call: &Call<'_>, at: At) -> Answer {
    let server = server(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> check-addr requires an address and optionally a port.")?;
    let mut place = (*server.place()).clone();
    place.check_addr = Some(word.parse().map_err(|_| format!("Invalid addr '{word}'"))?);
    if let (Some("port"), Some(word)) = (call.arg(3), call.arg(4)) {
        place.check_port = Some(port(word)?);
    }
    server.set_place(place);
    Ok(String::new())
}

/// `check-port <port>`.
pub(super) fn set_check_port(call: &Call<'_>, at: At) -> Answer {
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
    u16::try_from(number).map_err(|_| "provided port is not valid".into())
}

/// `fqdn <name>`: asked of the system's resolver, once.
pub(super) fn set_fqdn(call: &Call<'_>, at: At) -> Answer {
    server(call, at)?;
    Err("set server <b>/<s> fqdn failed because no resolution is configured.".into())
}
