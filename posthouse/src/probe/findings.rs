//! The table of what is said of a server: a row is a line, made of what was seen.

use std::time::Duration;

use config::model::ProxyHeader;
use wire::visit::{End, Mark, Offer, Step};

use super::ask::{Asked, Facts, Question};
use super::{relay, tls};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Neither good nor bad.
    Note,
    /// As it should be.
    Ok,
    /// Likely not as meant.
    Warning,
    /// Sessions fail, or everybody relays.
    Error,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: &'static str,
    pub(super) level: Level,
    pub(super) text: String,
    /// The way out.
    pub(super) help: Option<String>,
    /// How long it took.
    pub(super) ms: Option<u64>,
}

/// What is found, before it stands in its row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) level: Level,
    pub(super) text: String,
    pub(super) help: Option<String>,
    pub(super) ms: Option<u64>,
}

impl Found {
    pub(super) fn new(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
            help: None,
            ms: None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    pub(super) fn after(self, ms: u64) -> Self {
        Self {
            ms: Some(ms),
            ..self
        }
    }
}

type Look = fn(&Facts<'_>, &Asked) -> Option<Found>;

/// In the order in which they are said; a row whose step was not reached says nothing.
const ROWS: &[(&str, Look)] = &[
    ("connect", connect),
    ("PROXY", proxy_header),
    ("TLS", tls::at_once),
    ("greeting", greeting),
    ("EHLO", hello),
    ("STARTTLS", tls::starttls),
    ("XCLIENT", xclient),
    ("AUTH", auth),
    ("relay", relay::relay),
    ("QUIT", quit),
];

/// What is to be said of a server.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Finding> {
    let finding = |what, found: Found| Finding {
        what,
        level: found.level,
        text: found.text,
        help: found.help,
        ms: found.ms,
    };
    let asked = match &*facts.asked {
        Ok(asked) => asked,
        Err(why) => return vec![finding("TLS", Found::new(Level::Error, why.clone()))],
    };
    let found = |&(what, look): &(&'static str, Look)| Some(finding(what, look(facts, asked)?));
    ROWS.iter().filter_map(found).collect()
}

/// How bad it is that it does not speak SMTP.
fn wrong(facts: &Facts<'_>) -> Level {
    match facts.subject.is_mail() {
        true => Level::Error,
        false => Level::Note,
    }
}

/// `10 s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn connect(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let mark = asked.first.visit.mark(Step::Connect)?;
    Some(match &mark.end {
        End::Done => {
            let from = asked.first.from.map(|from| format!("from {}", from.ip()));
            Found::new(Level::Ok, from.unwrap_or_else(|| "connected".into())).after(mark.ms)
        }
        End::Silent => {
            let text = format!("no connection within {}", seconds(facts.patience));
            let help =
                "nothing answers there: is the host up, and does a firewall let the proxy pass?";
            Found::new(Level::Error, text).help(help)
        }
        end => Found::new(Level::Error, end.to_string())
            .help("is the server running, and is its line's address right?"),
    })
}

/// How servers are told to wait for a PROXY header.
pub(super) const TAKE_HEADER: &str = "'smtpd_upstream_proxy_protocol = haproxy' in Postfix, \
                                      'postscreen_upstream_proxy_protocol = haproxy' for postscreen, 'hosts_proxy' in Exim";

fn proxy_header(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let greets = asked.first.visit.offer().is_some();
    let Some(header) = asked.approach.header else {
        if asked.is_answered(Question::WithHeader) {
            let text = "the server waits for a PROXY header, and none is configured; the rest was asked with one";
            let help = "add 'send-proxy-v2' to the server's line";
            return Some(Found::new(Level::Error, text).help(help));
        }
        return greets.then(|| Found::new(Level::Note, "not sent, and not waited for"));
    };
    let version = match header.kind {
        ProxyHeader::V1 => "v1",
        ProxyHeader::V2(_) => "v2",
    };
    if asked.is_answered(Question::WithoutHeader) {
        let text = format!(
            "{version} is sent, and the server does not take it; the rest was asked without"
        );
        let help = format!("set {TAKE_HEADER}; or drop 'send-proxy' from the server's line");
        return Some(Found::new(Level::Error, text).help(help));
    }
    let client = header.client.ip();
    let took = "taken; the client it was told is";
    greets
        .then(|| Found::new(Level::Ok, format!("{version} {took} {client}")))
        .or_else(|| {
            (facts.subject.is_mail() && asked.first.from.is_some())
                .then(|| Found::new(Level::Note, format!("{version} sent, for {client}")))
        })
}

fn greeting(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let mark = asked.best().visit.mark(Step::Greeting)?;
    let back = facts.subject.back;
    let limit = back.timeout_greeting.unwrap_or(Duration::from_secs(5));
    let gated = back.greeting.is_some() || back.smtp.is_some();
    Some(match &mark.end {
        End::Said(said) if said.code == 220 => {
            let slow = gated && Duration::from_millis(mark.ms) > limit;
            let found = Found::new(Level::Ok, &*said.text).after(mark.ms);
            if !slow {
                return Some(found);
            }
            let limit = seconds(limit);
            let text = format!(
                "after more than 'timeout greeting' ({limit}): {}",
                said.text
            );
            let help = "sessions go to another server meanwhile; raise 'timeout greeting'";
            Found {
                level: Level::Warning,
                text,
                ..found
            }
            .help(help)
        }
        End::Said(said) => Found::new(Level::Error, format!("refuses: {}", said.text)).help(
            "the server's log says why; it may not like the address that the proxy comes from",
        ),
        End::Silent => {
            let text = format!("nothing within {}", seconds(facts.patience));
            let found = Found::new(wrong(facts), text);
            match facts.patience < Duration::from_secs(30) {
                true => found.help("some wait before they greet: --timeout 30 is more patient"),
                false => found,
            }
        }
        end => Found::new(wrong(facts), end.to_string()),
    })
}

fn hello(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visit = &asked.best().visit;
    let mark = visit.mark(Step::Hello)?;
    let later = visit.mark(Step::HelloAfter);
    let later = later.or_else(|| visit.mark(Step::HelloAgain));
    let last = later.unwrap_or(mark);
    let end = answer(&last.end, facts.patience);
    let name = &asked.approach.plan.hello;
    Some(match (&last.end, visit.offer()) {
        (End::Said(said), Some(offer)) if said.is_yes() => {
            Found::new(Level::Ok, capabilities(offer)).after(mark.ms)
        }
        _ => Found::new(Level::Error, format!("EHLO {name}: {end}")),
    })
}

/// An answer, or that there was none.
pub(super) fn answer(end: &End, patience: Duration) -> String {
    match end {
        End::Silent => format!("no answer within {}", seconds(patience)),
        end => end.to_string(),
    }
}

/// What has a row of its own.
const APART: [&str; 3] = ["STARTTLS", "XCLIENT", "AUTH"];

fn capabilities(offer: &Offer) -> String {
    let words = offer.words().into_iter();
    let apart = |line: &String| {
        let word = line.split([' ', '=']).next().unwrap_or_default();
        APART.iter().any(|own| own.eq_ignore_ascii_case(word))
    };
    let rest: Vec<_> = words
        .filter(|line| !line.is_empty() && !apart(line))
        .collect();
    match rest.is_empty() {
        true => "no extensions".into(),
        false => rest.join(", "),
    }
}

fn xclient(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visit = &asked.best().visit;
    let (outside, inside) = visit.offers();
    let offered = inside.or(outside)?.value("XCLIENT");
    if asked.approach.plan.origin.is_none() {
        return Some(match offered {
            Some(attributes) => Found::new(Level::Ok, format!("offered: {attributes}")),
            None => Found::new(Level::Note, "not offered"),
        });
    }
    let last = visit.mark(Step::HelloAfter);
    let mark = last.or_else(|| visit.mark(Step::Xclient))?;
    let client = asked.client();
    Some(match (&mark.end, client) {
        (End::Said(said), Some(client)) if said.is_yes() => {
            let attributes = offered.unwrap_or_default();
            let text = format!("taken; the client it was told is {client} (offered: {attributes})");
            Found::new(Level::Ok, text)
        }
        (End::NotOffered, _) => {
            let proxy = asked.best().from.map_or_else(
                || "the proxy's address".to_owned(),
                |from| from.ip().to_string(),
            );
            let text = "not offered to the proxy, and the server's line has 'xclient'";
            Found::new(Level::Error, text).help(format!(
                "add {proxy} to 'smtpd_authorized_xclient_hosts' in Postfix; or drop 'xclient'"
            ))
        }
        (end, _) => {
            let end = answer(end, facts.patience);
            Found::new(Level::Error, format!("offered, and refused: {end}"))
        }
    })
}

fn auth(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visit = &asked.best().visit;
    let mechanisms = |offer: Option<&Offer>| offer.map(Offer::mechanisms).unwrap_or_default();
    let (outside, inside) = visit.offers();
    outside?;
    let (first, secret) = (mechanisms(outside), mechanisms(inside));
    // A password that is said in so many words.
    let open = |own: &[String]| own.iter().any(|it| it == "PLAIN" || it == "LOGIN");
    let mode_smtp = facts.subject.back.smtp.is_some();
    Some(match (first.join(" "), secret.join(" ")) {
        (first, secret) if first.is_empty() && secret.is_empty() => {
            Found::new(Level::Note, "not offered")
        }
        (all, _) if asked.approach.plan.tls => Found::new(Level::Ok, format!("{all}, within TLS")),
        (none, secret) if none.is_empty() => {
            Found::new(Level::Ok, format!("{secret}, only within TLS"))
        }
        (clear, _) if open(&first) && !mode_smtp => {
            let text = format!("{clear}, also in clear: passwords can be overheard");
            Found::new(Level::Warning, text).help(
                "in Postfix 'smtpd_tls_auth_only = yes'; in Dovecot 'auth_allow_cleartext = no'",
            )
        }
        (clear, _) => Found::new(Level::Note, format!("{clear}, also in clear")),
    })
}

/// Only what is not as it should be.
fn quit(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let Mark { end, .. } = asked.best().visit.mark(Step::Quit)?;
    let polite = matches!(end, End::Said(said) if said.code == 221);
    let text = format!("not answered with 221: {}", answer(end, facts.patience));
    (!polite).then(|| Found::new(Level::Note, text))
}
