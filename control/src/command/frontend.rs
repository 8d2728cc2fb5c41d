//! Commands about frontends and limits: `enable|disable|shutdown frontend`, `set maxconn`, `set rate-limit` (MGT 9.3).

use std::sync::Arc;

use engine::Proxy;
use engine::frontend::Frontend;

use super::server::named_by;
use super::{Answer, Call};

/// `disable frontend <name>`: it stops accepting; connections wait in the kernel's backlog.
pub(super) fn disable(call: &mut Call<'_>) -> Answer {
    pause(call, true, "All sockets are already disabled.")
}

/// `enable frontend <name>`.
pub(super) fn enable(call: &mut Call<'_>) -> Answer {
    pause(call, false, "All sockets are already enabled.")
}

fn pause(call: &Call<'_>, paused: bool, already: &str) -> Answer {
    let (proxy, front) = named(call, 0)?;
    if front.is_stopped() {
        let word = if paused { "disable" } else { "enable" };
        return Err(format!("Frontend was previously shut down, cannot {word}."));
    }
    if call.desk.plane.pause_frontend(proxy, paused) {
        Ok(String::new())
    } else {
        // What was wanted is so: no error.
        Ok(format!("{already}\n"))
    }
}

/// `shutdown frontend <name>`: its listeners are closed for good.
pub(super) fn shutdown(call: &mut Call<'_>) -> Answer {
    let (proxy, _) = named(call, 0)?;
    if call.desk.plane.stop_frontend(proxy) {
        Ok(String::new())
    } else {
        Err("Frontend was already shut down.".into())
    }
}

/// `set maxconn frontend <name> <n>`.
pub(super) fn set_maxconn(call: &mut Call<'_>) -> Answer {
    let (_, front) = named(call, 0)?;
    if call.arg(1).is_none() {
        return Err("Integer value expected.".into());
    }
    front.set_maxconn(integer(call, 1)?);
    Ok(String::new())
}

/// `set maxconn global <n>`; zero is what the process began with.
pub(super) fn set_maxconn_global(call: &mut Call<'_>) -> Answer {
    if call.desk.plane.process().set_maxconn(integer(call, 0)?) {
        Ok(String::new())
    } else {
        Err("Value out of range.".into())
    }
}

/// `set maxconn server <bk>/<srv> <n>`.
pub(super) fn set_maxconn_server(call: &mut Call<'_>) -> Answer {
    let at = named_by(call, 0)?;
    let word = call.arg(1).ok_or("Require <maxconn>.")?;
    let maxconn = word
        .parse()
        .map_err(|_| "maxconn string empty or preceded by garbage")?;
    call.desk
        .plane
        .controller()
        .borrow_mut()
        .set_maxconn(at, maxconn);
    Ok(String::new())
}

const RATES: &str = "'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the per-process maximum session rate
   - 'ssl-sessions global' to set the per-process maximum SSL session rate";

/// `set rate-limit connections|sessions|ssl-sessions global <n>`, per second; zero is no limit.
pub(super) fn set_rate_limit(call: &mut Call<'_>) -> Answer {
    let process = call.desk.plane.process();
    let limit = match (call.arg(0), call.arg(1)) {
        (Some("connections"), Some("global")) => &process.connection_limit,
        (Some("sessions"), Some("global")) => &process.session_limit,
        (Some("ssl-sessions"), Some("global")) => &process.ssl_limit,
        _ => return Err(RATES.into()),
    };
    let value = integer(call, 2)?;
    limit.store(value, std::sync::atomic::Ordering::Relaxed);
    Ok(String::new())
}

fn integer(call: &Call<'_>, at: usize) -> Result<u32, String> {
    let word = call.arg(at).ok_or("Expects an integer value.")?;
    word.parse().map_err(|_| "Value out of range.".into())
}

fn named<'c>(call: &'c Call<'_>, at: usize) -> Result<(&'c Arc<Proxy>, &'c Frontend), String> {
    let name = call.arg(at).ok_or("A frontend name is expected.")?;
    let proxy = call.desk.plane.topology().find(name);
    proxy
        .and_then(|proxy| Some((proxy, proxy.front.as_ref()?)))
        .ok_or_else(|| "No such frontend.".into())
}
