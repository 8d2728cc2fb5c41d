//! A session as `show sess` writes it: HAProxy's shape, for the tools that cut pointer, `src`, `fe`, `be`, `srv` and
//! `age` out of it. What only HAProxy has (flags, analysers, tasks) is left out or zero.

use std::fmt::Write as _;

use config::model::ServerAddress;
use engine::clock::Clock;
use engine::{SessionLeg, SessionReport};

const NEVER: &str = "<NEVER>";

/// A line.
pub(super) fn line(out: &mut String, session: &SessionReport, now: u64) {
    let (proto, source) = source(session);
    let [client, server] = match &session.legs {
        Some([client, server]) => [Some(client), Some(server)],
        None => [None, None],
    };
    let pending = |leg: Option<&SessionLeg>| leg.map_or(0, |leg| leg.pending);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "0x{:x}: proto={proto} src={source} fe={} be={} srv={} ts=00 epoch=0 age={} calls=0 rate=0 \
         cpu=0 lat=0 rq[f=0h,i={},an=00h,ax=] rp[f=0h,i={},an=00h,ax=] scf=[{}] scb=[{}] exp={} rc={} c_exp=",
        session.id.0,
        session.frontend.name(),
        session
            .backend
            .as_ref()
            .map_or("<NONE>", |proxy| proxy.name()),
        session
            .server
            .as_ref()
            .map_or("<none>", |server| server.name()),
        span(now.saturating_sub(session.began)),
        pending(server),
        pending(client),
        short(client),
        short(server),
        next_end(session).map_or_else(String::new, span),
        session.retries,
    );
}

/// `8,0h,fd=11,rex=59s,wex=`: state (8 is established), descriptor, what is left of its timeout.
fn short(leg: Option<&SessionLeg>) -> String {
    let Some(leg) = leg else {
        return "0,0h,fd=-1,rex=,wex=".into();
    };
    let left = leg.left.map_or_else(String::new, span);
    let (reading, writing) = if leg.pending > 0 {
        ("", &*left)
    } else {
        (&*left, "")
    };
    format!(
        "{},0h,fd={},rex={reading},wex={writing}",
        if leg.eof { 9 } else { 8 },
        leg.fd
    )
}

/// All there is to know.
pub(super) fn detail(out: &mut String, session: &SessionReport, now: u64) {
    let (proto, source) = source(session);
    let began = Clock::get().wall_ms(session.began);
    let stamp = jiff::Timestamp::from_millisecond(began as i64).unwrap_or_default();
    let local = stamp.to_zoned(jiff::tz::TimeZone::system());
    let _ = writeln!(
        out,
        "0x{:x}: [{}.{:03}000] id={} proto={proto} source={source}",
        session.id.0,
        local.strftime("%d/%b/%Y:%H:%M:%S"),
        began % 1000,
        session.number,
    );
    let _ = writeln!(
        out,
        "  flags=0x0, conn_retries={}, redispatched={}, epoch=0x0, age={}, exp={}",
        session.retries,
        u8::from(session.redispatched),
        span(now.saturating_sub(session.began)),
        next_end(session).map_or_else(|| NEVER.into(), span),
    );
    let front = session.frontend.conf();
    let bind = front
        .front
        .as_ref()
        .and_then(|front| front.binds.get(session.bind));
    let destination = session
        .destination
        .map_or_else(|| "?".into(), |to| to.to_string());
    let _ = writeln!(
        out,
        "  frontend={} (id={} mode=tcp), listener={} (id={}) addr={destination}",
        front.name,
        front.id,
        bind.and_then(|bind| bind.name.as_deref()).unwrap_or("?"),
        bind.map_or(0, |bind| bind.id),
    );
    let _ = match &session.backend {
        Some(back) => writeln!(
            out,
            "  backend={} (id={} mode=tcp)",
            back.name(),
            back.conf().id
        ),
        None => writeln!(out, "  backend=<NONE> (id=-1 mode=-)"),
    };
    let _ = match &session.server {
        Some(server) => writeln!(
            out,
            "  server={} (id={}) addr={}",
            server.name(),
            server.conf.id,
            match &server.place().address {
                ServerAddress::Ip(address) => address.to_string(),
                ServerAddress::IpRelative(address, _) => address.to_string(),
                ServerAddress::Unix(path) => format!("unix:{}", path.display()),
                ServerAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
            }
        ),
        None => writeln!(out, "  server=<NONE> (id=-1)"),
    };
    match &session.legs {
        Some([client, server]) => {
            leg(out, ("scf", "req"), client, server);
            leg(out, ("scb", "res"), server, client);
        }
        None => out.push_str("  scf=-, scb=-: something is still decided about it\n"),
    }
}

/// A side, and what came from it; `other` is who takes that.
fn leg(out: &mut String, (name, channel): (&str, &str), leg: &SessionLeg, other: &SessionLeg) {
    let _ = writeln!(
        out,
        "  {name}: state={} fd={} idle={} exp={}\n  {channel}: total={} pending={}",
        if leg.eof { "CLO" } else { "EST" },
        leg.fd,
        span(leg.idle),
        leg.left.map_or_else(|| NEVER.into(), span),
        leg.moved,
        other.pending,
    );
}

/// Something waits: bytes that are not taken, or one side that has gone while the other stays.
pub(super) fn is_stuck(session: &SessionReport) -> bool {
    let legs = session.legs.iter().flatten();
    legs.clone().any(|leg| leg.pending > 0) || legs.clone().any(|leg| leg.eof)
}

/// When the first of its timeouts will end it, in ms.
fn next_end(session: &SessionReport) -> Option<u64> {
    let legs = session.legs.iter().flatten();
    legs.filter_map(|leg| leg.left).min().or(session.left)
}

fn source(session: &SessionReport) -> (&'static str, String) {
    match session.source {
        Some(address) if address.is_ipv4() => ("tcpv4", address.to_string()),
        Some(address) => ("tcpv6", address.to_string()),
        None => ("unix_stream", "unix:1".into()),
    }
}

/// Milliseconds as `2d3h`, `1h5m`, `4m10s`, `7s`: the two largest units.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        assert_eq!(span(7_000), "7s");
        assert_eq!(span(250_000), "4m10s");
        assert_eq!(span(3_900_000), "1h5m");
        assert_eq!(span(183_600_000), "2d3h");
    }
}
