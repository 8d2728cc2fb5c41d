//! The rows of TLS: whether it comes about, and what is to be said of the certificate.

use engine::tls::days_left;
use wire::visit::{End, Step};

use super::ask::{Asked, Facts};
use super::findings::{Found, Level, answer};

/// A certificate that ends sooner is warned about.
const SOON: i64 = 7;

const RENEW: &str = "renew it on the server";

/// TLS that comes before the greeting.
pub(super) fn at_once(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visited = asked.best();
    let mark = visited.visit.mark(Step::Tls)?;
    Some(match &mark.end {
        End::Done => certificate(facts, asked, visited.tls),
        end => Found::new(Level::Error, answer(end, facts.patience)),
    })
}

/// TLS behind the greeting.
pub(super) fn starttls(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visited = asked.upgraded();
    let visit = &visited.visit;
    let (outside, _) = visit.offers();
    let offered = outside?.has("STARTTLS");
    if asked.approach.plan.tls {
        return None;
    }
    let required = facts.subject.server.tls.is_some();
    let last = visit.mark(Step::Handshake);
    let mark = last.or_else(|| visit.mark(Step::StartTls));
    let wrong = match required {
        true => Level::Error,
        false => Level::Warning,
    };
    Some(match mark.map(|mark| &mark.end) {
        Some(End::Done) => certificate(facts, asked, visited.tls),
        Some(End::Injected) => Found::new(Level::Error, End::Injected.to_string())
            .help("somebody in between puts words into the dialogue, or the server is broken (CVE-2011-0411)"),
        Some(End::NotOffered) => Found::new(Level::Error, "not offered, and the server's line has 'starttls'")
            .help("set up TLS on the server ('smtpd_tls_security_level = may' in Postfix), or drop 'starttls'"),
        Some(end) => Found::new(wrong, format!("offered, and fails: {}", answer(end, facts.patience)))
            .help("the server's log says why: often its certificate and key cannot be read"),
        None if offered => Found::new(Level::Note, "offered"),
        None => Found::new(Level::Note, "not offered"),
    })
}

/// The certificate that was shown.
fn certificate(facts: &Facts<'_>, asked: &Asked, version: Option<&str>) -> Found {
    let version = version.unwrap_or("TLS").replace("TLSv", "TLS ");
    let Some((seen, fault)) = &asked.certificate else {
        return Found::new(Level::Warning, format!("{version}, no certificate"));
    };
    let leaf = &seen.leaf;
    let names = names(leaf);
    let days = days_left(leaf.not_after);
    let whose = names.first().map_or("nobody", String::as_str);
    let mut text = format!("{version}, certificate of {whose}, {}", left(days));
    let verdict = match (fault, asked.name()) {
        (Some(fault), _) => format!("not verified ({fault})"),
        (None, Some(name)) => format!("verified for {name}"),
        (None, None) => "verified, for whatever name".into(),
    };
    text = format!("{text}, {verdict}");
    let tls = facts.subject.server.tls.as_ref();
    let verify = tls.is_some_and(|tls| tls.verify);
    match fault {
        Some(_) if verify => {
            let found = Found::new(Level::Error, format!("{text}: sessions with it fail"));
            if days < 0 {
                return found.help(RENEW);
            }
            let expected = asked.name().unwrap_or("any");
            let names = names.join(", ");
            found.help(format!(
                "it must be of an authority in 'ca-file', and have the name that 'verifyhost' or 'sni' says ({expected}); it has {names}"
            ))
        }
        _ if days < SOON => Found::new(Level::Warning, text).help(RENEW),
        _ => Found::new(Level::Ok, text),
    }
}

fn names(leaf: &wire::x509::Certificate) -> Vec<String> {
    match leaf.names.is_empty() {
        false => leaf.names.clone(),
        true => leaf.common_name.clone().into_iter().collect(),
    }
}

fn left(days: i64) -> String {
    match days {
        ..0 => "expired".into(),
        0 => "expires today".into(),
        1 => "1 day left".into(),
        _ => format!("{days} days left"),
    }
}
