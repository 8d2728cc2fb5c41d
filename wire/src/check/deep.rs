//! The deep check, `option smtpchk-deep`: what a [`Visit`] to the server means for it.
//!
//! A server can be UP and not well: *degraded*. It has no room for mail (452, 4.3.1), it is slow, or its certificate
//! ends soon. HAProxy knows no such state, so the status stays L7OK, and [`Flaw`] says the rest.

use crate::smtp::Status as Enhanced;
use crate::visit::{End, Mark, Plan, Said, Step, Visit};

use super::{Outcome, Status};

/// What a deep check asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deep {
    /// What is said. `tls` is the server's own affair.
    pub plan: Plan,
    /// What must be offered in the last answer to EHLO.
    pub require: Vec<String>,
    /// The answers to RCPT that are good; none: any that begins with 2.
    pub codes: Vec<u16>,
    /// Days a certificate must have left.
    pub days: i64,
    /// A step that takes longer, in ms, makes a server slow.
    pub slow: Option<u64>,
    /// A step that takes longer, in ms, has failed.
    pub limit: Option<u64>,
}

/// Why a server that is UP is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// It has no room for mail.
    Space,
    /// A step took longer than it should.
    Slow,
    /// Its certificate ends soon, or has ended.
    Certificate,
}

impl Flaw {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Slow => "slow",
            Self::Certificate => "certificate",
        }
    }

    /// Whether sessions are better off with another server. A certificate is good until it has ended.
    pub fn hurts(self) -> bool {
        self != Self::Certificate
    }
}

impl Deep {
    /// What the visit means. `days_left`: of the certificate the server has shown.
    pub fn judge(&self, visit: &Visit, days_left: Option<i64>) -> Outcome {
        let failed = visit.marks().iter().find_map(|mark| self.failure(mark));
        if let Some(outcome) = failed.or_else(|| self.missing(visit)) {
            return outcome;
        }
        if let Some(mark) = visit.marks().iter().find(|mark| lacks_space(mark)) {
            let code = said(mark).map(|said| said.code);
            return flawed(Flaw::Space, code, &at(mark));
        }
        let too_slow =
            |mark: &&Mark| mark.step != Step::Quit && self.slow.is_some_and(|slow| mark.ms > slow);
        if let Some(mark) = visit.marks().iter().find(too_slow) {
            let text = format!("{} took {} ms", mark.step.name(), mark.ms);
            return flawed(Flaw::Slow, None, &text);
        }
        if let Some(days) = days_left.filter(|days| *days < self.days) {
            let text = match days {
                ..0 => "its certificate has expired".to_owned(),
                0 => "its certificate expires today".to_owned(),
                1 => "its certificate has 1 day left".to_owned(),
                _ => format!("its certificate has {days} days left"),
            };
            return flawed(Flaw::Certificate, None, &text);
        }
        let last = visit.marks().iter().rev().find_map(said);
        Outcome {
            status: Status::L7Ok,
            code: last.map(|said| said.code),
            info: last.map_or_else(String::new, |said| said.text.clone()),
            flaw: None,
        }
    }

    /// What is wrong with a step, if it means that the server does not work.
    fn failure(&self, mark: &Mark) -> Option<Outcome> {
        let failed = |status, code| Outcome {
            status,
            code,
            info: at(mark),
            flaw: None,
        };
        match &mark.end {
            End::Done => None,
            // All is said and done: how it takes its leave is its own affair, as is what it makes of RSET.
            _ if matches!(mark.step, Step::Quit | Step::Reset) => None,
            End::Said(said) if self.is_good(mark.step, said) || lacks_space(mark) => None,
            End::Said(said) => Some(failed(Status::L7Sts, Some(said.code))),
            End::Silent => Some(failed(silent(mark.step), None)),
            End::Broken(_) => Some(failed(Status::L4Con, None)),
            End::NoTls(_) | End::Injected => Some(failed(Status::L6Rsp, None)),
            End::Garbage(_) | End::NotOffered | End::Withheld => Some(failed(Status::L7Rsp, None)),
        }
    }

    fn is_good(&self, step: Step, said: &Said) -> bool {
        match step {
            Step::Greeting | Step::StartTls => said.code == 220,
            Step::Rcpt if !self.codes.is_empty() => self.codes.contains(&said.code),
            _ => said.is_yes(),
        }
    }

    /// Something that is required and not offered.
    fn missing(&self, visit: &Visit) -> Option<Outcome> {
        let offer = visit.offer()?;
        let missing = self.require.iter().find(|keyword| !offer.has(keyword))?;
        Some(Outcome {
            status: Status::L7Rsp,
            code: None,
            info: format!("{missing} is not offered"),
            flaw: None,
        })
    }
}

fn flawed(flaw: Flaw, code: Option<u16>, why: &str) -> Outcome {
    Outcome {
        status: Status::L7Ok,
        code,
        info: format!("degraded: {why}"),
        flaw: Some(flaw),
    }
}

fn said(mark: &Mark) -> Option<&Said> {
    match &mark.end {
        End::Said(said) => Some(said),
        _ => None,
    }
}

/// `rcpt: 550 5.1.1 no such user`.
fn at(mark: &Mark) -> String {
    format!("{}: {}", mark.step.name(), mark.end)
}

/// The server has no room: 4.3.1, or 452 without a reason or with that one (RFC 3463, 3.4; RFC 5321, 4.2.3).
fn lacks_space(mark: &Mark) -> bool {
    let full = Enhanced {
        subject: 3,
        detail: 1,
    };
    let asks = matches!(mark.step, Step::Mail | Step::Rcpt);
    asks && said(mark).is_some_and(|said| match said.status {
        Some(status) => said.code / 100 == 4 && status == full,
        None => said.code == 452,
    })
}

fn silent(step: Step) -> Status {
    match step {
        Step::Connect => Status::L4Timeout,
        Step::Tls | Step::Handshake => Status::L6Timeout,
        _ => Status::L7Timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visit::{Action, Envelope, Event};

    fn deep() -> Deep {
        Deep {
            plan: Plan {
                hello: "h".into(),
                envelopes: vec![Envelope {
                    sender: String::new(),
                    recipient: Some("postmaster@example.com".into()),
                }],
                ..Plan::default()
            },
            require: vec!["SIZE".into()],
            days: 7,
            slow: Some(100),
            ..Deep::default()
        }
    }

    /// The outcome for a server that answers with these, each `pause` ms after it was asked; then it is silent.
    fn outcome(deep: &Deep, answers: &[&str], pause: u64, days: Option<i64>) -> Outcome {
        let mut visit = Visit::new(deep.plan.clone(), 0);
        let mut answers = answers.iter();
        let mut now = 0;
        let mut action = visit.on(Event::Connected, now);
        while action != Action::Finish {
            action = match action {
                Action::Send(_) => visit.on(Event::Sent, now),
                _ => {
                    now += pause;
                    match answers.next() {
                        Some(answer) => visit.on(Event::Received(answer.as_bytes()), now),
                        None => visit.on(Event::TimedOut, now),
                    }
                }
            };
        }
        deep.judge(&visit, days)
    }

    const WELL: [&str; 6] = [
        "220 mx\r\n",
        "250-mx\r\n250 SIZE\r\n",
        "250 2.1.0 ok\r\n",
        "250 2.1.5 ok\r\n",
        "250 2.0.0 ok\r\n",
        "221 2.0.0 bye\r\n",
    ];

    /// A well server, but for one answer.
    fn but(place: usize, answer: &str) -> Outcome {
        let mut answers = WELL;
        answers[place] = answer;
        outcome(&deep(), &answers, 1, None)
    }

    #[test]
    fn a_server_that_is_well() {
        let all = outcome(&deep(), &WELL, 1, Some(80));
        assert_eq!((all.status, all.flaw), (Status::L7Ok, None));
        assert_eq!((all.code, &*all.info), (Some(221), "221 2.0.0 bye"));
        // How it takes its leave does not matter.
        assert_eq!(but(5, "500 what\r\n").status, Status::L7Ok);
        assert_eq!(outcome(&deep(), &WELL[..5], 1, None).status, Status::L7Ok);
    }

    #[test]
    fn no_room_is_a_flaw_and_a_refusal_is_a_failure() {
        for answer in ["452 4.3.1 full\r\n", "452 full\r\n", "450 4.3.1 full\r\n"] {
            for place in [2, 3] {
                let full = but(place, answer);
                assert_eq!((full.status, full.flaw), (Status::L7Ok, Some(Flaw::Space)));
                assert!(full.info.starts_with("degraded: "), "{full:?}");
            }
        }
        for answer in [
            "452 4.2.2 your mailbox\r\n",
            "451 4.3.0 sick\r\n",
            "550 5.1.1 who\r\n",
            "552 5.3.1 full\r\n",
        ] {
            let no = but(3, answer);
            assert_eq!((no.status, no.flaw), (Status::L7Sts, None), "{answer}");
            assert_eq!(no.info, format!("rcpt: {}", answer.trim_end()));
        }
        // Only mail needs room.
        assert_eq!(but(0, "452 full\r\n").status, Status::L7Sts);
    }

    #[test]
    fn an_answer_that_is_expected_is_good() {
        let deep = Deep {
            codes: vec![550],
            ..deep()
        };
        let mut answers = WELL;
        answers[3] = "550 5.1.1 who\r\n";
        assert_eq!(outcome(&deep, &answers, 1, None).status, Status::L7Ok);
        assert_eq!(outcome(&deep, &WELL, 1, None).status, Status::L7Sts);
    }

    #[test]
    fn what_must_be_offered() {
        let bare = but(1, "250 mx\r\n");
        assert_eq!(bare.status, Status::L7Rsp);
        assert_eq!(bare.info, "SIZE is not offered");
    }

    #[test]
    fn slow_and_silent() {
        let slow = outcome(&deep(), &WELL, 101, None);
        assert_eq!((slow.status, slow.flaw), (Status::L7Ok, Some(Flaw::Slow)));
        assert_eq!(slow.info, "degraded: greeting took 101 ms");
        let silent = outcome(&deep(), &WELL[..3], 1, None);
        assert_eq!(silent.status, Status::L7Timeout);
        assert_eq!(silent.info, "rcpt: no answer in time");
    }

    #[test]
    fn certificates_end() {
        for (days, text) in [
            (6, "degraded: its certificate has 6 days left"),
            (1, "degraded: its certificate has 1 day left"),
            (0, "degraded: its certificate expires today"),
            (-1, "degraded: its certificate has expired"),
        ] {
            let soon = outcome(&deep(), &WELL, 1, Some(days));
            assert_eq!((soon.flaw, &*soon.info), (Some(Flaw::Certificate), text));
        }
        assert_eq!(outcome(&deep(), &WELL, 1, Some(7)).flaw, None);
    }
}
