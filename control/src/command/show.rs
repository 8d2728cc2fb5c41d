//! Commands that tell, and `clear counters`: `show stat`, `show info`, `show servers state` and small ones (MGT 9.3).

use std::fmt::Write as _;

use config::model::Level;

use super::{Answer, Call};
use crate::info::Form;
use crate::stat::Selection;
use crate::{info, stat, state};

/// `show backend`: the names of all backends.
pub(super) fn backend(call: &mut Call<'_>) -> Answer {
    let proxies = call.desk.plane.topology().proxies.iter();
    let names = proxies.filter(|proxy| proxy.back.is_some());
    let lines: String = names.map(|proxy| format!("{}\n", proxy.name())).collect();
    Ok(format!("# name\n{lines}"))
}

/// `show cli level`.
pub(super) fn cli_level(call: &mut Call<'_>) -> Answer {
    Ok(format!("{}\n", level_name(call.caller.level)))
}

/// `show cli sockets`.
pub(super) fn cli_sockets(call: &mut Call<'_>) -> Answer {
    let mut out = "# socket lvl processes\n".to_owned();
    for socket in &call.desk.sockets {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} {} all", socket.address, level_name(socket.level));
    }
    Ok(out)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

/// `show info [typed|json]`.
pub(super) fn info(call: &mut Call<'_>) -> Answer {
    let mut form = Form::Plain;
    for word in call.args {
        match word.as_str() {
            "typed" => form = Form::Typed,
            "json" => form = Form::Json,
            // Whole numbers are as exact as what is counted.
            "float" => {}
            other => return Err(not_yet("show info", other)),
        }
    }
    Ok(info::text(call.desk, form))
}

/// `show servers state [<backend>]`.
pub(super) fn servers_state(call: &mut Call<'_>) -> Answer {
    let plane = &call.desk.plane;
    let only = match call.arg(0) {
        None => None,
        Some(name) => {
            let proxy = plane
                .topology()
                .find(name)
                .filter(|proxy| proxy.back.is_some());
            Some(proxy.ok_or("Can't find backend.")?.index)
        }
    };
    Ok(state::text(plane, only))
}

/// `show stat [typed|json] [no-maint|up] [<iid>|<proxy> <type> <sid>]`, in any order.
pub(super) fn stat(call: &mut Call<'_>) -> Answer {
    let mut selection = Selection {
        proxy: None,
        kinds: -1,
        server: -1,
        no_maint: false,
        up: false,
    };
    let mut write: fn(&[stat::Row]) -> String = stat::csv;
    let mut args = call.args.iter().map(String::as_str);
    while let Some(word) = args.next() {
        match word {
            "no-maint" => selection.no_maint = true,
            "up" => selection.up = true,
            "typed" => write = stat::typed,
            "json" => write = stat::json,
            "domain" if args.next() == Some("proxy") => {}
            "desc" | "domain" => return Err(not_yet("show stat", word)),
            proxy => {
                let mut number = || args.next().and_then(|word| word.parse().ok());
                let (Some(kinds), Some(server)) = (number(), number()) else {
                    return Err("Require <proxy> <type> <sid>.".into());
                };
                selection = Selection {
                    proxy: Some(proxy),
                    kinds,
                    server,
                    ..selection
                };
            }
        }
    }
    let legends = call.caller.level >= Level::Operator;
    let rows = stat::rows(&call.desk.plane, &selection, legends).ok_or("No such proxy.")?;
    Ok(write(&rows))
}

/// `clear counters`: the maxima, with `all` the totals too.
pub(super) fn clear_counters(call: &mut Call<'_>) -> Answer {
    match call.arg(0) {
        None => {
            call.desk.plane.clear_maxima();
            Ok(String::new())
        }
        Some("all") if call.caller.level < Level::Admin => Err("Permission denied".into()),
        Some("all") => {
            call.desk.plane.clear_counters();
            Ok(String::new())
        }
        Some(word) => Err(format!(
            "'clear counters' takes 'all' or nothing, not '{word}'."
        )),
    }
}

/// HAProxy has it, Posthouse has not.
fn not_yet(command: &str, word: &str) -> String {
    format!("'{command} {word}' is not supported by Posthouse yet.")
}
