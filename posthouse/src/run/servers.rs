//! SIGHUP: the state of every server, a line each (MGT 4).

use engine::Plane;

/// `SIGHUP: Server be/s1 is UP. Conn: 0 act, 0 pend, 0 tot.`
pub(super) fn lines(plane: &Plane) -> Vec<String> {
    let controller = plane.controller().borrow();
    let mut lines = Vec::new();
    for proxy in &plane.topology().proxies {
        let Some(back) = &proxy.back else { continue };
        for server in back.servers().iter() {
            let health = controller.health((proxy.index, server.index));
            let up = health.is_some_and(|health| health.is_up());
            lines.push(format!(
                "SIGHUP: Server {}/{} is {}. Conn: {} act, {} pend, {} tot.",
                proxy.name(),
                server.name(),
                if up { "UP" } else { "DOWN" },
                server.sessions.get(),
                back.queue.depth(server.index).now,
                server.totals.sum(|totals| &totals.sessions),
            ));
        }
    }
    lines
}
