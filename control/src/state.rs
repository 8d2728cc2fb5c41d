//! `show servers state`: a server's state in numbers, made to be read back by the next process (MGT 9.3).

use std::fmt::Write as _;
use std::net::IpAddr;

use config::model::ServerAddress;
use engine::backend::Backend;
use engine::health::Health;
use engine::server::Server;
use engine::{Plane, Proxy};

const HEADER: &str = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
    srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health \
    srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord \
    srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";

/// Format version 1, the header, a line per server. `only`: of one backend.
pub(crate) fn text(plane: &Plane, only: Option<usize>) -> String {
    let mut out = format!("1\n{HEADER}\n");
    let controller = plane.controller().borrow();
    let now = plane.now();
    let meant = |proxy: &&std::sync::Arc<Proxy>| only.is_none_or(|index| index == proxy.index);
    for proxy in plane.topology().proxies.iter().filter(meant) {
        let servers = proxy.back.as_ref().map(Backend::servers);
        for server in servers.iter().flat_map(|servers| servers.iter()) {
            if let Some(health) = controller.health((proxy.index, server.index)) {
                line(&mut out, proxy, server, health, now);
            }
        }
    }
    out
}

fn line(out: &mut String, proxy: &Proxy, server: &Server, health: &Health, now: u64) {
    let (backend, conf) = (proxy.conf(), &server.conf);
    let place = server.place();
    let (address, port) = address(&place.address);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{} {} {} {} {address} {} {} {} {} {} {} {} {} {} {} {} {} {} {port} - 0 {} {} {} {}",
        backend.id,
        backend.name,
        conf.id,
        conf.name,
        health.op() as u8,
        health.admin_bits().bits(),
        health.uweight(),
        health.iweight(),
        now.saturating_sub(health.last_change()) / 1000,
        health.check_status().number(),
        health.check_result(),
        health.health(),
        health.check_state(),
        health.agent_state(),
        u8::from(backend.id_forced),
        u8::from(conf.id_forced),
        place.fqdn.as_deref().unwrap_or("-"),
        place.check_port.unwrap_or(0),
        or_dash(place.check_addr),
        or_dash(place.agent_addr),
        place.agent_port,
    );
}

fn or_dash(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "-".into(), |address| address.to_string())
}

fn address(address: &ServerAddress) -> (String, u16) {
    match address {
        ServerAddress::Ip(address) => (address.ip().to_string(), address.port()),
        ServerAddress::IpRelative(address, _) => (address.to_string(), 0),
        ServerAddress::Unix(path) => (path.display().to_string(), 0),
        ServerAddress::Abstract(name) => (format!("abns@{}", String::from_utf8_lossy(name)), 0),
    }
}
