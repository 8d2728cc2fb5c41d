//! A connection to a receiver: its name is looked up each time, because receivers move.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use config::model::Host;
use engine::Call;
use engine::call::words;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// Connects within `limit`. `known` is an address from the start of the process: in a chroot names may not be found.
pub(super) async fn dial(
    host: &Host,
    port: u16,
    known: Option<IpAddr>,
    limit: Duration,
) -> Result<Call, String> {
    let begun = Instant::now();
    let addresses = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => look_up(name, port, known, limit / 2).await?,
    };
    let mut why = String::from("no address");
    for (place, address) in addresses.iter().enumerate() {
        // One that says nothing leaves time for the others.
        let left = limit.saturating_sub(begun.elapsed());
        let share = left / u32::try_from(addresses.len() - place).unwrap_or(1);
        why = match timeout(share, Call::tcp(*address, None)).await {
            Ok(Ok(call)) => return Ok(call),
            Ok(Err(error)) => format!("{address}: {}", words(&error)),
            Err(_) => format!("{address}: no connection in time"),
        };
    }
    Err(why)
}

/// The system's resolver blocks, so it has a thread of its own, which nobody waits for at the end of the process.
async fn look_up(
    name: &str,
    port: u16,
    known: Option<IpAddr>,
    limit: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let (answer, answered) = oneshot::channel();
    let asked = name.to_owned();
    let thread = std::thread::Builder::new().name("lookup".into());
    let started = thread.spawn(move || {
        let found = (asked.as_str(), port).to_socket_addrs();
        // Who asked may have lost patience.
        let _ = answer.send(found.map(Iterator::collect::<Vec<_>>));
    });
    let found = match started {
        Ok(_) => timeout(limit, answered).await,
        Err(error) => return Err(format!("{name} cannot be looked up: {error}")),
    };
    let mut found = match found {
        Ok(Ok(Ok(found))) => found,
        _ => Vec::new(),
    };
    found.truncate(ADDRESSES);
    if found.is_empty() {
        found.extend(known.map(|ip| SocketAddr::new(ip, port)));
    }
    if found.is_empty() {
        return Err(format!("the name {name} has no address"));
    }
    Ok(found)
}
