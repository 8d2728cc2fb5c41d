//! Servers that come and go: `add server`, `del server`, and `wait` for one that may go (MGT 9.3).

use std::rc::Rc;
use std::time::Duration;

use config::units::{Unit, delay};
use engine::controller::Refused;

use super::server::{find, named};
use super::{Answer, Call, Later};
use crate::Desk;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// `add server <bk>/<srv> <address> [options]`: it begins in maintenance, its checks switched off.
pub(super) fn add(call: &mut Call<'_>) -> Answer {
    let name = call.arg(0).and_then(|word| word.split_once('/'));
    let (backend, server) = name
        .filter(|(_, server)| !server.is_empty())
        .ok_or("Require 'backend/server'.")?;
    let plane = &call.desk.plane;
    let proxy = plane.topology().find(backend).ok_or("No such backend.")?;
    let options = call.args[1..].iter().map(String::as_str);
    let words: Vec<_> = [server].into_iter().chain(options).collect();
    if proxy.back.is_none() {
        return Err(Refused::NoBackend.to_string());
    }
    let conf = config::added_server(proxy.name(), &words)?;
    plane
        .add_server(proxy.index, conf)
        .map_err(|error| error.to_string())?;
    Ok("New server registered.\n".into())
}

/// `del server <bk>/<srv>`: in maintenance, and without sessions.
pub(super) fn del(call: &mut Call<'_>) -> Answer {
    let at = named(call)?;
    let mut controller = call.desk.plane.controller().borrow_mut();
    controller.remove(at).map_err(|error| error.to_string())?;
    Ok("Server deleted.\n".into())
}

const HELP: &str = "\
Usage: wait {-h|<delay>} [<condition> [<args>...]]
Waits that long, in milliseconds unless a unit follows, or until the condition is met:
  srv-removable <bk>/<srv>  the server may be deleted: it is in maintenance and has no sessions
";

/// `wait <delay> [srv-removable <bk>/<srv>]`.
pub(super) fn wait(desk: Rc<Desk>, args: Vec<String>) -> Later {
    Box::pin(async move {
        let mut words = args.iter().map(String::as_str);
        let limit = match words.next() {
            None | Some("-h") => return Ok(HELP.into()),
            Some(word) => delay(word, Unit::Milliseconds).ok_or("Invalid delay.")?,
        };
        let server = match words.next() {
            None => {
                tokio::time::sleep(limit).await;
                return Ok("Done.\n".into());
            }
            // Its name before 3.0.
            Some("srv-removable" | "srv-unused") => words.next().unwrap_or_default(),
            Some(_) => return Err("Unsupported condition, see 'wait -h'.".into()),
        };
        let removable = || {
            let at = find(desk.plane.topology(), server)?;
            let controller = desk.plane.controller().borrow();
            match controller.removable(at) {
                Ok(()) => Ok(true),
                Err(Refused::InUse) => Ok(false),
                // No time helps.
                Err(refused) => Err(refused.to_string()),
            }
        };
        let met = async {
            while !removable()? {
                tokio::time::sleep(LOOK).await;
            }
            Ok("Done.\n".into())
        };
        let answer = tokio::time::timeout(limit, met).await;
        answer.unwrap_or_else(|_| Err("Wait delay expired.".into()))
    })
}
