//! Commands about sessions: `show sess`, `shutdown session(s)` (MGT 9.3). The workers are asked.

mod form;

use std::rc::Rc;

use engine::{Killer, SessionId, SessionReport, Which};

use super::server::named;
use super::{Answer, Call, Later};
use crate::Desk;

const HELP: &str = "\
Usage: show sess [<id>|all|help] [<filter>]*
  <id>           this session, in detail
  all            every session, in detail
  older <age>    only those that are older, in seconds unless a unit follows
  susp           only those that something waits for: bytes their receiver does not take, or a half-closed side
  frontend <f>   only those of a frontend
  backend <b>    only those of a backend
  server <b/s>   only those on a server
";

const UNKNOWN: &str = "No such session (use 'show sess').";

/// What `show sess` is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    id: Option<SessionId>,
    detail: bool,
    older_ms: Option<u64>,
    suspicious: bool,
    frontend: Option<String>,
    backend: Option<String>,
    server: Option<String>,
}

impl Wanted {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut wanted = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().cloned();
                value.ok_or_else(|| format!("'{word}' expects an argument."))
            };
            match word.as_str() {
                "all" => wanted.detail = true,
                "susp" => wanted.suspicious = true,
                // For URIs, which there are none of.
                "show-uri" => {}
                "older" => {
                    let age = value()?;
                    let age = config::units::delay(&age, config::units::Unit::Seconds)
                        .ok_or("Invalid time value.")?;
                    wanted.older_ms = Some(age.as_millis() as u64);
                }
                "frontend" => wanted.frontend = Some(value()?),
                "backend" => wanted.backend = Some(value()?),
                "server" => wanted.server = Some(value()?),
                word => {
                    let id = parse(word);
                    wanted.id = Some(id.ok_or_else(|| {
                        format!("Unsupported option '{word}', try 'help' for more info.")
                    })?);
                    wanted.detail = true;
                }
            }
        }
        Ok(wanted)
    }

    /// The names that are asked for must exist.
    fn check(&self, desk: &Desk) -> Result<(), String> {
        let topology = desk.plane.topology();
        let find = |name: &str| topology.find(name);
        if self
            .frontend
            .as_ref()
            .is_some_and(|name| find(name).is_none_or(|p| p.front.is_none()))
        {
            return Err("No such frontend.".into());
        }
        if self
            .backend
            .as_ref()
            .is_some_and(|name| find(name).is_none_or(|p| p.back.is_none()))
        {
            return Err("No such backend.".into());
        }
        self.server
            .as_ref()
            .map_or(Ok(()), |name| super::server::find(topology, name).map(drop))
    }

    fn matches(&self, session: &SessionReport, now: u64) -> bool {
        let is = |wanted: &Option<String>, name: Option<&str>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| Some(wanted.as_str()) == name)
        };
        let back = session
            .backend
            .as_ref()
            .map(|backend| backend.name().to_string());
        let on = back.as_ref().zip(session.server.as_ref());
        let on = on.map(|(backend, server)| format!("{backend}/{}", server.name()));
        self.id.is_none_or(|id| id == session.id)
            && self
                .older_ms
                .is_none_or(|age| now.saturating_sub(session.began) >= age)
            && (!self.suspicious || form::is_stuck(session))
            && is(&self.frontend, Some(session.frontend.name()))
            && is(&self.backend, back.as_deref())
            && is(&self.server, on.as_deref())
    }
}

/// `show sess [<id>|all|help] [<filter>]*`: a line for each, or all there is to know.
pub(super) fn show(desk: Rc<Desk>, args: Vec<String>) -> Later {
    Box::pin(async move {
        if args.first().is_some_and(|word| word == "help") {
            return Ok(HELP.into());
        }
        let wanted = Wanted::parse(&args)?;
        wanted.check(&desk)?;
        let sessions = desk.plane.sessions().await;
        let now = desk.plane.now();
        let mut out = String::new();
        for session in sessions
            .iter()
            .filter(|session| wanted.matches(session, now))
        {
            if wanted.detail {
                form::detail(&mut out, session, now);
            } else {
                form::line(&mut out, session, now);
            }
        }
        if out.is_empty() && wanted.id.is_some() {
            return Err("Session not found.".into());
        }
        Ok(out)
    })
}

/// `shutdown session <id>`.
pub(super) fn shutdown(desk: Rc<Desk>, args: Vec<String>) -> Later {
    Box::pin(async move {
        let id = args.first().and_then(|word| parse(word));
        let id = id.ok_or("Session pointer expected (use 'show sess').")?;
        let sessions = desk.plane.sessions().await;
        if !sessions.iter().any(|session| session.id == id) {
            return Err(UNKNOWN.into());
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
    use crate::line::words;

    #[test]
    fn only_pointers_name_sessions() {
        assert_eq!(parse("0x1f"), Some(SessionId(31)));
        assert_eq!(parse("31"), None);
        assert_eq!(parse("0xzz"), None);
    }

    #[test]
    fn filters_add_up() {
        let wanted = |line: &str| Wanted::parse(&words(line));
        assert_eq!(
            wanted("all older 2m server be/s1"),
            Ok(Wanted {
                detail: true,
                older_ms: Some(120_000),
                server: Some("be/s1".into()),
                ..Wanted::default()
            })
        );
        assert!(wanted("0x10").is_ok_and(|wanted| wanted.detail));
        assert_eq!(wanted("older"), Err("'older' expects an argument.".into()));
        assert!(wanted("nope").is_err_and(|error| error.contains("'nope'")));
    }
}
