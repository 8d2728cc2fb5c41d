//! Commands that tell, and `clear counters`: `show stat`, `show info`, `show servers state` and small ones (MGT 9.3).

use std::fmt::Write as _;

use config::model::Level;

use super::caller::level_name;
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

/// `show version`.
pub(super) fn version(call: &mut Call<'_>) -> Answer {
    Ok(format!("{}\n", call.desk.program.version))
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

/// `show info [typed|json] [desc] [float]`; HAProxy overlooks other words.
pub(super) fn info(call: &mut Call<'_>) -> Answer {
    let mut form = Form::Plain;
    let said = |word: &str| call.args.iter().any(|arg| arg == word);
    for word in call.args {
        match word.as_str() {
            "typed" => form = Form::Typed,
            "json" => form = Form::Json,
            _ => {}
        }
    }
    Ok(info::text(call.desk, form, said("desc"), said("float")))
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

/// `show stat [domain proxy] [<iid>|<proxy> <type> <sid>] [typed|json] [desc] [no-maint|up]`. As in HAProxy what is
/// no word of these is overlooked, unless three of them name objects.
pub(super) fn stat(call: &mut Call<'_>) -> Answer {
    let mut args = call.args.iter().map(String::as_str).peekable();
    if args.next_if_eq(&"domain").is_some() {
        match args.next() {
            Some("proxy") => {}
            // There is no resolver, and so no counter of one.
            Some("resolvers") => return Ok(stat::RESOLVERS.into()),
            _ => return Err("Invalid statistics domain.".into()),
        }
    }
    let words: Vec<_> = args.collect();
    let mut selection = Selection {
        proxy: None,
        kinds: -1,
        server: -1,
        no_maint: false,
        up: false,
    };
    let known = |word: &&str| ["desc", "json", "no-maint", "typed", "up"].contains(word);
    let options = match words[..] {
        [proxy, kinds, server, ..] if !known(&proxy) => {
            let number = |word: &str| word.parse().unwrap_or(0);
            selection.proxy = Some(proxy);
            (selection.kinds, selection.server) = (number(kinds), number(server));
            &words[3..]
        }
        _ => &words[..],
    };
    let said = |word: &str| options.contains(&word);
    (selection.no_maint, selection.up) = (said("no-maint"), said("up"));
    let desc = said("desc");
    let legends = call.caller.level >= Level::Operator;
    let rows = stat::rows(&call.desk.plane, &selection, legends).ok_or("No such proxy.")?;
    Ok(match () {
        () if said("json") => stat::json(&rows),
        () if said("typed") => stat::typed(&rows, desc),
        () => stat::csv(&rows),
    })
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
