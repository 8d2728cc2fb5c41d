//! Commands that tools ask and that have little to tell here: `show servers conn`, `show errors`, `show env`,
//! `show schema json` and others (MGT 9.3).

use std::fmt::Write as _;

use config::model::ServerAddress;
use engine::backend::Backend;
use engine::clock::Clock;

use super::{Answer, Call};

/// `show peers [<section>]`: there are none.
pub(super) fn peers(call: &mut Call<'_>) -> Answer {
    match call.arg(0) {
        Some(word) if word != "dict" && word != "-" => Err("No such peers".into()),
        _ => Ok(String::new()),
    }
}

/// `show resolvers [<section>]`: there are none.
pub(super) fn resolvers(call: &mut Call<'_>) -> Answer {
    match call.arg(0) {
        Some(_) => Err("Can't find that resolvers section".into()),
        None => Ok(String::new()),
    }
}

/// `show startup-logs`: what was said before the process served.
pub(super) fn startup_logs(call: &mut Call<'_>) -> Answer {
    Ok(format!("{}\n", call.desk.program.startup_logs))
}

/// `show errors [<proxy>|<iid>]`: HTTP's; there are none.
pub(super) fn errors(call: &mut Call<'_>) -> Answer {
    let names_nobody = |word: &str| {
        let number = word.parse::<i64>().is_ok_and(|id| id != 0);
        let mut proxies = call.desk.plane.topology().proxies.iter();
        !number
            && !["request", "response"].contains(&word)
            && !proxies.any(|proxy| **proxy.name() == *word)
    };
    if call.arg(0).is_some_and(names_nobody) {
        return Err("No such proxy.".into());
    }
    let clock = Clock::get();
    let wall = i64::try_from(clock.wall_ms(clock.now())).unwrap_or(0);
    let stamp = jiff::Timestamp::from_millisecond(wall).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = stamp.to_zoned(jiff::tz::TimeZone::system());
    let text = local.strftime("%d/%b/%Y:%H:%M:%S");
    Ok(format!(
        "Total events captured on [{text}.{:03}] : 0\n",
        wall % 1000
    ))
}

/// `show env [<name>]`.
pub(super) fn env(call: &mut Call<'_>) -> Answer {
    let wanted = call.arg(0);
    let mut out = String::new();
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if wanted.is_none_or(|wanted| wanted == name) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name}={value}");
        }
    }
    if out.is_empty() && wanted.is_some() {
        return Err("Variable not found".into());
    }
    Ok(out)
}

/// `show servers conn [<backend>]`: connections are not kept for reuse, so most of it is zero.
pub(super) fn servers_conn(call: &mut Call<'_>) -> Answer {
    let plane = &call.desk.plane;
    let topology = plane.topology();
    let only = match call.arg(0) {
        None => None,
        Some(name) => {
            let found = topology.find(name).filter(|proxy| proxy.back.is_some());
            Some(found.ok_or("Can't find backend.")?.index)
        }
    };
    let threads = plane.workers();
    let mut out = format!(
        "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim \
         idle_cur idle_per_thr[{threads}]\n"
    );
    let meant = |index: usize| only.is_none_or(|only| only == index);
    for proxy in topology.proxies.iter().filter(|proxy| meant(proxy.index)) {
        let servers = proxy
            .back
            .as_ref()
            .map(Backend::servers)
            .unwrap_or_default();
        for server in servers.iter() {
            let (address, port) = match &server.place().address {
                ServerAddress::Ip(address) => (address.ip().to_string(), address.port()),
                ServerAddress::IpRelative(ip, _) => (ip.to_string(), 0),
                ServerAddress::Unix(_) | ServerAddress::Abstract(_) => ("-".to_owned(), 0),
            };
            let _ = writeln!(
                out,
                "{}/{} {}/{} {address} {port} - 5000 {} {} 0 0 0 -1 0{}",
                proxy.name(),
                server.name(),
                proxy.conf().id,
                server.conf.id,
                server.sessions.get(),
                server.sessions.most(),
                " 0".repeat(threads),
            );
        }
    }
    Ok(out)
}

/// `show schema json`: of what `show info json` and `show stat json` print.
pub(super) fn schema(_: &mut Call<'_>) -> Answer {
    Ok(schema_text())
}

/// The same for pages.
pub(crate) fn schema_text() -> String {
    format!("{}\n", include_str!("schema.json").replace('\n', ""))
}
