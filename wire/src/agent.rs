//! What an agent on a server says of it (CFG 5.2 `agent-check`): one line of words, in any order.
//!
//! `up`, `down`, `stopped` and `fail` are about its health, `ready`, `drain` and `maint` about what is asked of it, `75%`
//! and `weight:20` about its weight, `maxconn:30` about its limit; behind a `#` stands a description. Of words of a kind
//! the last counts. Case does not matter.

use crate::check::{Outcome, Status};

/// More than that is no line of an agent.
pub const MAX_LINE: usize = 16 * 1024;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// `ready`.
    Ready,
    /// `drain`.
    Drain,
    /// `maint`.
    Maint,
}

/// An agent's line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it asks for.
    pub admin: Option<Admin>,
    /// The weight it asks for: `75%`, `20`.
    pub weight: Option<String>,
    /// The limit it asks for, as it is written.
    pub maxconn: Option<String>,
    /// The word about its health, and whether it says that it is up.
    health: Option<(String, bool)>,
    description: String,
    /// The first word that means nothing.
    unknown: Option<String>,
}

/// The line, once it has come: up to a CR, LF or NUL. `None`: there is more to come.
pub fn line(heard: &[u8]) -> Option<&[u8]> {
    let end = heard.iter().position(|byte| b"\r\n\0".contains(byte));
    end.map(|end| &heard[..end])
}

impl Answer {
    /// Reads a line. Nothing is an error: what means nothing is told.
    pub fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let mut answer = Self::default();
        let mut rest = text.trim_start_matches(BLANKS);
        while !rest.is_empty() {
            if let Some(description) = rest.strip_prefix('#') {
                answer.description = description.trim_start_matches([' ', '\t']).to_owned();
                break;
            }
            let (word, tail) = rest.split_at(rest.find(BLANKS).unwrap_or(rest.len()));
            answer.take(word);
            rest = tail.trim_start_matches(BLANKS);
        }
        answer
    }

    fn take(&mut self, word: &str) {
        let lower = word.to_ascii_lowercase();
        let health = |up| Some((word.to_owned(), up));
        match lower.as_str() {
            "up" => self.health = health(true),
            "down" | "stopped" | "fail" => self.health = health(false),
            "ready" => self.admin = Some(Admin::Ready),
            "drain" => self.admin = Some(Admin::Drain),
            "maint" => self.admin = Some(Admin::Maint),
            lower if lower.starts_with("maxconn:") => {
                self.maxconn = Some(word["maxconn:".len()..].to_owned());
            }
            lower if lower.starts_with("weight:") => {
                self.weight = Some(word["weight:".len()..].to_owned());
            }
            lower if lower.starts_with(|c: char| c.is_ascii_digit()) && lower.contains('%') => {
                self.weight = Some(word.to_owned());
            }
            _ => drop(self.unknown.get_or_insert_with(|| word.to_owned())),
        }
    }

    /// What it comes to. `warning`: why something it asked for was not done.
    pub fn outcome(&self, warning: Option<&str>) -> Outcome {
        let Some((word, up)) = &self.health else {
            let info = match (&self.unknown, warning) {
                (Some(word), _) => format!("agent reports an error : {word}"),
                (None, Some(warning)) => format!("agent warns : {warning}"),
                (None, None) => String::new(),
            };
            return outcome(Status::Checked, info);
        };
        let described = Some(self.description.as_str()).filter(|text| !text.is_empty());
        let odd = self.unknown.as_deref().or(warning);
        // That a server is down, and why, is not to be covered by an oddity.
        let why = if *up {
            odd.or(described)
        } else {
            described.or(odd)
        };
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let status = if *up { Status::L7Ok } else { Status::L7Sts };
        Outcome {
            code: Some(0),
            ..outcome(status, format!("via agent : {word}{why}"))
        }
    }
}

const BLANKS: [char; 3] = [' ', '\t', ','];

/// The end of what an agent says came before the end of its line.
pub fn cut_short(heard: &[u8], before: Status) -> Outcome {
    if heard.is_empty() {
        return outcome(
            Status::L7Rsp,
            "TCPCHK got an empty response at step 2".into(),
        );
    }
    Outcome {
        code: before.has_code().then_some(0),
        ..outcome(before, "Ignoring incomplete line from agent".into())
    }
}

fn outcome(status: Status, info: String) -> Outcome {
    Outcome {
        status,
        code: None,
        info,
        flaw: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(line: &str) -> (Status, String) {
        let outcome = Answer::parse(line.as_bytes()).outcome(None);
        (outcome.status, outcome.info)
    }

    #[test]
    fn words_about_health() {
        for (line, status, info) in [
            ("up", Status::L7Ok, "via agent : up"),
            ("UP READY 100%", Status::L7Ok, "via agent : UP"),
            ("up #fine", Status::L7Ok, "via agent : up (fine)"),
            ("up bogus", Status::L7Ok, "via agent : up (bogus)"),
            ("down", Status::L7Sts, "via agent : down"),
            (
                "down # broken disk",
                Status::L7Sts,
                "via agent : down (broken disk)",
            ),
            ("stopped,drain", Status::L7Sts, "via agent : stopped"),
            ("up fail", Status::L7Sts, "via agent : fail"),
            (
                "stopped#x y",
                Status::Checked,
                "agent reports an error : stopped#x",
            ),
            ("bogus", Status::Checked, "agent reports an error : bogus"),
            ("ready 50%", Status::Checked, ""),
            ("", Status::Checked, ""),
        ] {
            assert_eq!(said(line), (status, info.to_owned()), "{line}");
        }
    }

    #[test]
    fn words_about_the_rest() {
        let answer = Answer::parse(b"75%,maxconn:30\tready drain weight:20");
        assert_eq!(answer.admin, Some(Admin::Drain));
        assert_eq!(answer.weight.as_deref(), Some("20"));
        assert_eq!(answer.maxconn.as_deref(), Some("30"));
        assert_eq!(Answer::parse(b"75%").weight.as_deref(), Some("75%"));
        let warned = answer.outcome(Some("no such weight"));
        assert_eq!(warned.info, "agent warns : no such weight");
    }

    #[test]
    fn a_line_ends_as_lines_do() {
        assert_eq!(line(b"up"), None);
        assert_eq!(line(b"up\r\nmaint"), Some(&b"up"[..]));
        assert_eq!(line(b"\0"), Some(&b""[..]));
        assert_eq!(cut_short(b"", Status::L7Ok).status, Status::L7Rsp);
        assert_eq!(cut_short(b"up", Status::L7Ok).status, Status::L7Ok);
    }

    proptest! {
        /// Whatever an agent says is understood or told, and no word of it is a line of its own.
        #[test]
        fn nothing_breaks_it(heard in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(line) = line(&heard) {
                let outcome = Answer::parse(line).outcome(None);
                prop_assert!(!outcome.info.contains(['\n', '\r', '\0']));
                prop_assert!([Status::Checked, Status::L7Ok, Status::L7Sts].contains(&outcome.status));
            }
        }

        /// The order of words of different kinds does not matter.
        #[test]
        fn kinds_do_not_mix(order in Just(vec!["up", "drain", "30%", "maxconn:7"]).prop_shuffle()) {
            let answer = Answer::parse(order.join(" ").as_bytes());
            prop_assert_eq!(answer, Answer::parse(b"up,drain,30%,maxconn:7"));
        }
    }
}
