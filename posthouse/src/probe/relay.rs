//! Whether a server takes mail of strangers for strangers (RFC 5321, 7.9): an open relay is found and abused within
//! hours, and a proxy that is trusted in place of its clients makes one.

use wire::visit::{End, Envelope, Mark, Said, Step};

use super::ask::{Asked, Facts};
use super::findings::{Found, Level, TAKE_HEADER, answer};

/// What the answers to MAIL and RCPT mean.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'v> {
    /// It takes such mail: which envelope, and what it said.
    Open(usize, &'v Said),
    /// It does not.
    Refused(&'v Said),
    /// It refuses for now, or for another reason, so that nothing is known.
    Unclear(&'v End),
}

/// Subjects and details of statuses that are about a name of ours, not about relaying (RFC 3463, 3.2 and 3.6; RFC 7505):
/// the sender or the recipient has no such domain, EHLO's name is wrong.
const ELSEWHERE: [(u16, u16); 9] = [
    (1, 2),
    (1, 7),
    (1, 8),
    (1, 10),
    (5, 1),
    (5, 2),
    (5, 4),
    (7, 25),
    (7, 27),
];

/// `None`: it was not asked.
fn verdict(marks: &[Mark]) -> Option<Verdict<'_>> {
    let mut unclear = None;
    let mut refused = None;
    let mut envelope = 0;
    for mark in marks {
        if !matches!(mark.step, Step::Mail | Step::Rcpt) {
            continue;
        }
        match &mark.end {
            End::Said(said) if said.is_yes() && mark.step == Step::Rcpt => {
                return Some(Verdict::Open(envelope, said));
            }
            End::Said(said) if said.is_yes() => continue,
            End::Said(said) if is_final(said) => refused = Some(said),
            end => unclear = Some(end),
        }
        envelope += 1;
    }
    let refused = refused.map(Verdict::Refused);
    refused.or_else(|| unclear.map(Verdict::Unclear))
}

fn is_final(said: &Said) -> bool {
    let elsewhere = said
        .status
        .is_some_and(|it| ELSEWHERE.contains(&(it.subject, it.detail)));
    said.is_no() && !elsewhere
}

pub(super) fn relay(facts: &Facts<'_>, asked: &Asked) -> Option<Found> {
    let visit = &asked.best().visit;
    Some(match verdict(visit.marks())? {
        Verdict::Refused(said) => {
            Found::new(Level::Ok, format!("refused to strangers: {}", said.text))
        }
        Verdict::Unclear(end) => {
            let end = answer(end, facts.patience);
            Found::new(
                Level::Warning,
                format!("not known, refused for another reason: {end}"),
            )
            .help(
                "ask with --from and --to: addresses whose domains exist, and are not the server's",
            )
        }
        Verdict::Open(envelope, said) => open(
            facts,
            asked,
            asked.approach.plan.envelopes.get(envelope)?,
            said,
        ),
    })
}

fn open(facts: &Facts<'_>, asked: &Asked, envelope: &Envelope, said: &Said) -> Found {
    let (from, to) = (
        &envelope.sender,
        envelope.recipient.as_deref().unwrap_or_default(),
    );
    let takes = format!("takes mail of <{from}> for <{to}> ({})", said.text);
    // A section that says so relays on purpose: for clients that it has let in itself.
    if facts.subject.proxy.no_lint.contains(&"open-relay") {
        let text = format!("{takes}; 'no lint open-relay' says that this is meant");
        return Found::new(Level::Note, text);
    }
    let from_proxy = asked.best().from.map(|from| from.ip());
    let (because, help) = match (asked.client(), from_proxy) {
        (Some(client), _) => (
            format!("of the client {client} as well, whom nobody knows"),
            "'mynetworks' or the relay restrictions of the server allow everybody; in Postfix \
             'smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination'"
                .to_owned(),
        ),
        (None, from) => {
            let offer = asked.best().visit.offer();
            let hears = offer.is_some_and(|offer| offer.attributes().is_some());
            let xclient = match facts.subject.back.smtp.is_some() && hears {
                true => "'xclient' on the server's line; or ",
                false => "",
            };
            let proxy = from.map_or_else(|| "a local one".to_owned(), |ip| ip.to_string());
            (
                format!(
                    "because it takes the proxy ({proxy}) for the client, and trusts it: so may everybody who reaches the proxy"
                ),
                format!(
                    "tell it the client: {xclient}'send-proxy-v2' on the server's line, and {TAKE_HEADER}; or take {proxy} out of what it trusts, \
                     in Postfix 'mynetworks'"
                ),
            )
        }
    };
    Found::new(Level::Error, format!("open relay: {takes} {because}")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::visit::{Action, Event, Plan, Visit};

    /// The marks of a visit to a server that answers these to MAIL, RCPT and RSET.
    fn marks(answers: &[&str]) -> Vec<Mark> {
        let envelope = |sender: &str| Envelope {
            sender: sender.into(),
            recipient: Some("b@b.invalid".into()),
        };
        let plan = Plan {
            envelopes: vec![envelope("a@a.invalid"), envelope("")],
            ..Plan::default()
        };
        let mut visit = Visit::new(plan, 0);
        let answers = ["220 mx", "250 mx"]
            .into_iter()
            .chain(answers.iter().copied());
        let mut answers = answers;
        let mut action = visit.on(Event::Connected, 0);
        while action != Action::Finish {
            action = match action {
                Action::Send(_) => visit.on(Event::Sent, 0),
                _ => match answers.next() {
                    Some(line) => visit.on(Event::Received(format!("{line}\r\n").as_bytes()), 0),
                    None => visit.on(Event::TimedOut, 0),
                },
            };
        }
        visit.marks().to_vec()
    }

    fn told(answers: &[&str]) -> String {
        match verdict(&marks(answers)) {
            Some(Verdict::Open(envelope, said)) => format!("open {envelope} {}", said.code),
            Some(Verdict::Refused(said)) => format!("refused {}", said.code),
            Some(Verdict::Unclear(end)) => format!("unclear {end}"),
            None => "not asked".into(),
        }
    }

    #[test]
    fn who_takes_mail_of_strangers_is_open() {
        assert_eq!(
            told(&["250 ok", "250 ok", "250 ok", "221 bye"]),
            "open 0 250"
        );
        // The first sender was refused, the second had none.
        let second = [
            "250 ok",
            "450 4.1.8 no domain",
            "250 ok",
            "250 ok",
            "251 ok",
        ];
        assert_eq!(told(&second), "open 1 251");
        assert_eq!(
            told(&["550 5.1.8 who", "250 ok", "250 ok", "250 ok"]),
            "open 1 250"
        );
    }

    #[test]
    fn one_clear_refusal_is_enough() {
        let relay = "554 5.7.1 Relay access denied";
        assert_eq!(
            told(&["250 ok", relay, "250 ok", "250 ok", relay]),
            "refused 554"
        );
        let first = ["250 ok", "450 4.1.8 no domain", "250 ok", "250 ok", relay];
        assert_eq!(told(&first), "refused 554");
        assert_eq!(
            told(&["530 5.7.0 log in", "250 ok", "530 5.7.0 log in"]),
            "refused 530"
        );
        assert_eq!(told(&["250 ok", "550 relay not permitted"]), "refused 550");
    }

    #[test]
    fn what_is_about_something_else_says_nothing() {
        for line in [
            "450 4.3.2 later",
            "550 5.1.8 no such domain",
            "504 5.5.2 EHLO",
        ] {
            let told = told(&["250 ok", line, "250 ok", "250 ok", line]);
            assert_eq!(told, format!("unclear {line}"));
        }
        assert_eq!(told(&["250 ok"]), "unclear no answer in time");
        assert_eq!(told(&[]), "unclear no answer in time");
    }
}
