//! Commands about sessions: `show sess`, `shutdown session(s)` (MGT 9.3). The workers are asked.

use std::fmt::Write as _;
use std::rc::Rc;

use engine::{Killer, SessionId, SessionReport, Which};

use super::server::named;
use super::{Answer, Call, Later};
use crate::Desk;

/// `show sess [<id>|all]`: a line per session.
pub(super) fn show(desk: Rc<Desk>, args: Vec<String>) -> Later {
    Box::pin(async move {
        let only = match args.first().map(String::as_str) {
            None | Some("all") => None,
            Some(word) => Some(parse(word).ok_or("No such session (use 'show sess').")?),
        };
        let mut sessions = desk.plane.sessions().await;
        sessions.retain(|session| only.is_none_or(|id| session.id == id));
        if only.is_some() && sessions.is_empty() {
            return Err("No such session (use 'show sess').".into());
        }
        let now = desk.plane.now();
        let mut out = String::new();
        for session in &sessions {
            line(&mut out, session, now);
        }
        Ok(out)
    })
}

/// Tools read the pointer, `src`, `fe`, `be`, `srv` and `age`; the rest is there for its shape.
fn line(out: &mut String, session: &SessionReport, now: u64) {
    let (proto, source) = match session.source {
        Some(address) if address.is_ipv4() => ("tcpv4", address.to_string()),
        Some(address) => ("tcpv6", address.to_string()),
        None => ("unix_stream", "unix:1".into()),
    };
    let (bytes_in, bytes_out) = session.bytes.unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "0x{:x}: proto={proto} src={source} fe={} be={} srv={} ts=00 epoch=0 age={} calls=0 rate=0 \
         cpu=0 lat=0 rq[i={bytes_in}] rp[i={bytes_out}] exp=",
        session.id.0,
        session.frontend,
        session.backend.as_deref().unwrap_or("<NONE>"),
        session.server.as_deref().unwrap_or("<none>"),
        age(now.saturating_sub(session.began) / 1000),
    );
}

/// `2d3h`, `1h5m`, `4m10s`, `7s`: the two largest units.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// `shutdown session <id>`.
pub(super) fn shutdown(desk: Rc<Desk>, args: Vec<String>) -> Later {
    Box::pin(async move {
        let id = args.first().and_then(|word| parse(word));
        let id = id.ok_or("Session pointer expected (use 'show sess').")?;
        let sessions = desk.plane.sessions().await;
        if !sessions.iter().any(|session| session.id == id) {
            return Err("No such session (use 'show sess').".into());
        }
        desk.plane.end_sessions(&Which::One(id), Killer::Operator);
        Ok(String::new())
    })
}

/// `shutdown sessions server <bk>/<srv>`.
pub(super) fn shutdown_on_server(call: &mut Call<'_>) -> Answer {
    let (proxy, server) = named(call)?;
    call.desk
        .plane
        .end_sessions(&Which::OnServer { proxy, server }, Killer::Operator);
    Ok(String::new())
}

fn parse(word: &str) -> Option<SessionId> {
    let digits = word.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(SessionId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        assert_eq!(age(7), "7s");
        assert_eq!(age(250), "4m10s");
        assert_eq!(age(3900), "1h5m");
        assert_eq!(age(183_600), "2d3h");
    }

    #[test]
    fn only_pointers_name_sessions() {
        assert_eq!(parse("0x1f"), Some(SessionId(31)));
        assert_eq!(parse("31"), None);
        assert_eq!(parse("0xzz"), None);
    }
}
