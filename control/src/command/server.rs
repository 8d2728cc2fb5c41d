//! Commands about one server: `set server`, `enable` and `disable`, weights (MGT 9.3).

use engine::Topology;
use engine::controller::At;
use engine::health::{Admin, Claim};

use super::{Answer, Call, address, agent};

/// `set server <bk>/<srv> state|weight|health <value>`.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    match call.arg(1) {
        Some("state") => set_state(call, at),
        Some("weight") => change_weight(call, at, call.arg(2)),
        Some("health") => set_health(call, at),
        Some("addr") => address::set(call, at),
        Some("check-addr") => address::set_check_addr(call, at),
        Some("check-port") => address::set_check_port(call, at),
        Some("fqdn") => address::set_fqdn(call, at),
        Some("agent") => agent::set(call, at),
        Some("agent-addr") => agent::set_addr(call, at),
        Some("agent-port") => agent::set_port(call, at),
        Some("agent-send") => agent::set_send(call, at),
        Some("ssl") => Err("'set server ... ssl' is not supported by Posthouse yet.".into()),
        _ => Err("usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
                  check-addr | check-port | fqdn | health | ssl | state | weight"
            .into()),
    }
}

fn set_state(call: &Call<'_>, at: At) -> Answer {
    let wanted = match call.arg(2) {
        Some("ready") => Admin::Ready,
        Some("drain") => Admin::Drain,
        Some("maint") => Admin::Maint,
        _ => return Err("'set server <srv> state' expects 'ready', 'drain' and 'maint'.".into()),
    };
    admin(call, at, wanted)
}

fn set_health(call: &Call<'_>, at: At) -> Answer {
    let claim = match call.arg(2) {
        Some("up") => Claim::Up,
        Some("stopping") => Claim::Stopping,
        Some("down") => Claim::Down,
        _ => {
            return Err("'set server <srv> health' expects 'up', 'stopping', or 'down'.".into());
        }
    };
    call.desk
        .plane
        .controller()
        .borrow_mut()
        .set_health(at, claim);
    call.desk.plane.flush_endings();
    Ok(String::new())
}

/// `set weight <bk>/<srv> <weight>`.
pub(super) fn set_weight(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    change_weight(call, at, call.arg(1))
}

fn change_weight(call: &Call<'_>, at: At, weight: Option<&str>) -> Answer {
    let weight = weight.ok_or("Require <weight> or <weight%>.")?;
    let mut controller = call.desk.plane.controller().borrow_mut();
    controller
        .set_weight(at, weight)
        .map_err(|error| error.to_string())?;
    Ok(String::new())
}

/// `get weight <bk>/<srv>`.
pub(super) fn get_weight(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    let controller = call.desk.plane.controller().borrow();
    let health = controller.health(at).ok_or("No such server.")?;
    Ok(format!(
        "{} (initial {})\n",
        health.uweight(),
        health.iweight()
    ))
}

/// `enable server`: out of maintenance; a drain stays.
pub(super) fn enable(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    admin(call, at, Admin::Ready)
}

/// `disable server`.
pub(super) fn disable(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    admin(call, at, Admin::Maint)
}

/// `enable health`.
pub(super) fn enable_health(call: &mut Call<'_>) -> Answer {
    if switch_check(call, true)? {
        Ok(String::new())
    } else {
        Err("Health check was not configured on this server, cannot enable.".into())
    }
}

/// `disable health`.
pub(super) fn disable_health(call: &mut Call<'_>) -> Answer {
    // Where there is none, it is off.
    switch_check(call, false).map(|_| String::new())
}

fn switch_check(call: &Call<'_>, on: bool) -> Result<bool, String> {
    let at = named(call)?;
    let mut controller = call.desk.plane.controller().borrow_mut();
    Ok(controller.enable_check(at, on))
}

fn admin(call: &Call<'_>, at: At, wanted: Admin) -> Answer {
    call.desk.plane.controller().borrow_mut().admin(at, wanted);
    call.desk.plane.flush_endings();
    Ok(String::new())
}

/// The server the first argument names.
pub(super) fn named(call: &Call<'_>) -> Result<At, String> {
    named_by(call, 0)
}

/// The server that argument names.
pub(super) fn named_by(call: &Call<'_>, at: usize) -> Result<At, String> {
    let word = call.arg(at).unwrap_or_default();
    find(call.desk.plane.topology(), word)
}

/// `<backend>/<server>`; either may be `#<id>`.
pub(super) fn find(topology: &Topology, word: &str) -> Result<At, String> {
    let (backend, server) = word.split_once('/').ok_or("Require 'backend/server'.")?;
    let found = topology
        .find(backend)
        .and_then(|proxy| Some((proxy.index, proxy.back.as_ref()?)));
    let (index, back) = found.ok_or("No such backend.")?;
    let id = server
        .strip_prefix('#')
        .and_then(|id| id.parse::<u32>().ok());
    let meant = |candidate: &&std::sync::Arc<engine::server::Server>| match id {
        Some(id) => candidate.conf.id == id,
        None => **candidate.name() == *server,
    };
    let servers = back.servers();
    let server = servers.iter().find(meant).ok_or("No such server.")?;
    Ok((index, server.index))
}
