//! `option smtpchk` as a script (haproxy-compat 3.6), and which checks expect a greeting.
//!
//! Two things are better than in HAProxy, on purpose: a greeting of several lines (`220-...`, as Exim and
//! postscreen send) passes, and a refused HELO is judged at once instead of at the timeout.

use regex::bytes::Regex;

use super::{Connect, Deep, Expect, Kind, Pattern, Rule, Script, Send, Status};

/// The beginning of a reply, once there are four bytes to judge.
const BEGUN: &str = r"^[0-9]{3}[- \r\n]";
/// A reply that is complete: any continuation lines, then a code and a blank or the end of the line.
const COMPLETE: &str = r"^(?:[0-9]{3}-[^\n]*\n)*[0-9]{3}(?:[ \r][^\n]*)?\n";
/// The same with a code that says yes.
const POSITIVE: &str = r"^(?:2[0-9]{2}-[^\n]*\n)*2[0-9]{2}[ \r\n]";

impl Script {
    /// The script of `option smtpchk`; `hello` is the whole command: `EHLO mx.example.com`.
    pub fn smtp(hello: &str) -> Self {
        let connect = Connect {
            default: true,
            linger: true,
            ..Connect::default()
        };
        let send = |line: &str| {
            Rule::Send(Send {
                data: format!("{line}\r\n").into_bytes(),
                comment: None,
            })
        };
        let mut rules = vec![Rule::Connect(connect)];
        rules.extend(reply(Status::L7Rsp));
        rules.push(send(hello));
        rules.extend(reply(Status::L7Sts));
        rules.push(send("QUIT"));
        rules.extend(reply(Status::L7Sts));
        Self {
            kind: Kind::Smtp,
            rules,
            deep: None,
        }
    }

    /// The script of `option smtpchk-deep`.
    pub fn deep(deep: Deep) -> Self {
        Self {
            kind: Kind::Deep,
            rules: Vec::new(),
            deep: Some(deep),
        }
    }

    /// Whether a server that passes speaks first: its check waits for a `220` right after connect.
    pub fn expects_greeting(&self) -> bool {
        if matches!(self.kind, Kind::Smtp | Kind::Deep) {
            return true;
        }
        let first = self
            .rules
            .iter()
            .find(|rule| !matches!(rule, Rule::Connect(_)));
        match first {
            Some(Rule::Expect(expect)) if !expect.negate => match &expect.pattern {
                Pattern::String(text) | Pattern::Binary(text) => text.starts_with(b"220"),
                Pattern::Regex(regex) => regex.as_str().trim_start_matches('^').starts_with("220"),
                Pattern::RegexBinary(_) => false,
            },
            _ => false,
        }
    }

    /// Whether it connects and no more.
    pub fn is_bare(&self) -> bool {
        self.deep.is_none()
            && self
                .rules
                .iter()
                .all(|rule| matches!(rule, Rule::Connect(_)))
    }

    /// Whether it has a dialogue that ends without QUIT.
    pub fn ends_without_quit(&self) -> bool {
        let quits = |rule: &Rule| match rule {
            Rule::Send(send) => send.data.to_ascii_uppercase().starts_with(b"QUIT"),
            _ => false,
        };
        self.deep.is_none() && !self.is_bare() && !self.rules.iter().any(quits)
    }

    /// Whether a `tcp-check connect` says neither `default` nor `send-proxy`: HAProxy sends no PROXY header then.
    pub fn connects_without_proxy(&self) -> bool {
        let plain = |rule: &Rule| match rule {
            Rule::Connect(connect) => !connect.default && !connect.send_proxy,
            _ => false,
        };
        self.rules.iter().any(plain)
    }
}

/// The rules for one reply: it must begin like one, is waited for to its end, and must say yes.
fn reply(no_reply: Status) -> impl Iterator<Item = Rule> {
    let rules = [
        (BEGUN, Some(4), no_reply),
        (COMPLETE, None, no_reply),
        (POSITIVE, Some(4), Status::L7Sts),
    ];
    rules
        .into_iter()
        .filter_map(|(pattern, min_recv, error_status)| {
            Some(Rule::Expect(Expect {
                // The patterns are constants; a test walks the whole script.
                pattern: Pattern::Regex(Regex::new(pattern).ok()?),
                negate: false,
                min_recv,
                ok_status: Status::L7Ok,
                error_status,
                tout_status: Status::L7Timeout,
                on_success: None,
                on_error: None,
                comment: None,
            }))
        })
}
