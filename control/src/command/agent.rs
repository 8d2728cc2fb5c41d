//! Commands about a server's agent: `set server ... agent*`, `enable agent`, `disable agent` (MGT 9.3).

use engine::controller::At;
use engine::health::Claim;
use engine::server::Place;

use super::address::{port, server};
use super::server::named;
use super::{Answer, Call};

/// HAProxy ends it with a stop for some commands and not for others.
const NOT_ENABLED: &str = "agent checks are not enabled on this server";

/// `set server <bk>/<srv> agent up|down`: as if it had said so.
pub(super) fn set(call: &Call<'_>, at: At) -> Answer {
    is_enabled(call, at).map_err(stopped)?;
    let claim = match call.arg(2) {
        Some("up") => Claim::Up,
        Some("down") => Claim::Down,
        _ => return Err("'set server <srv> agent' expects 'up' or 'down'.".into()),
    };
    let plane = &call.desk.plane;
    plane.controller().borrow_mut().set_agent(at, claim);
    plane.flush_endings();
    Ok(String::new())
}

/// `agent-addr <ip> [port <port>]`: for what it is asked from now on.
pub(super) fn set_addr(call: &Call<'_>, at: At) -> Answer {
    is_enabled(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> agent-addr requires an address and optionally a port.")?;
    let address = word.parse().map_err(|_| format!("Invalid addr '{word}'"))?;
    let port = match (call.arg(3), call.arg(4)) {
        (Some("port"), Some(word)) => Some(port(word)?),
        _ => None,
    };
    place(call, at, |place| {
        place.agent_addr = Some(address);
        place.agent_port = port.unwrap_or(place.agent_port);
    })
}

/// `agent-port <port>`.
pub(super) fn set_port(call: &Call<'_>, at: At) -> Answer {
    is_enabled(call, at)?;
    let word = call
        .arg(2)
        .ok_or("set server <b>/<s> agent-port requires a port.")?;
    let port = port(word)?;
    place(call, at, |place| place.agent_port = port)
}

/// `agent-send <text>`.
pub(super) fn set_send(call: &Call<'_>, at: At) -> Answer {
    is_enabled(call, at).map_err(stopped)?;
    let text = call
        .arg(2)
        .ok_or("set server <b>/<s> agent-send requires a string.")?
        .to_owned();
    place(call, at, |place| place.agent_send = text)
}

fn place(call: &Call<'_>, at: At, change: impl FnOnce(&mut Place)) -> Answer {
    let server = server(call, at)?;
    let mut place = (*server.place()).clone();
    change(&mut place);
    server.set_place(place);
    Ok(String::new())
}

fn is_enabled(call: &Call<'_>, at: At) -> Result<(), String> {
    let controller = call.desk.plane.controller().borrow();
    let enabled = controller
        .health(at)
        .is_some_and(|health| health.has_agent());
    enabled.then_some(()).ok_or_else(|| NOT_ENABLED.into())
}

fn stopped(text: String) -> String {
    text + "."
}

/// `enable agent <bk>/<srv>`.
pub(super) fn enable(call: &mut Call<'_>) -> Answer {
    if switch(call, true)? {
        Ok(String::new())
    } else {
        Err("Agent was not configured on this server, cannot enable.".into())
    }
}

/// `disable agent <bk>/<srv>`: where there is none, it is off.
pub(super) fn disable(call: &mut Call<'_>) -> Answer {
    switch(call, false).map(|_| String::new())
}

fn switch(call: &Call<'_>, on: bool) -> Result<bool, String> {
    let at = named(call)?;
    let mut controller = call.desk.plane.controller().borrow_mut();
    Ok(controller.enable_agent(at, on))
}
