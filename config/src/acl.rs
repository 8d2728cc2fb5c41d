//! Conditions: named and anonymous ACLs, negated, joined by and, `or`, `||` (CFG 7.1, 7.2).
//!
//! What is here is the grammar whole ([`parse`]), and of the fetches those that rules on connections and Posthouse's
//! own pages need ([`fetch`]); a fetch that is missing is an error that says so. An ACL is resolved where it is named, as in
//! HAProxy: it must stand before. This file holds what is left of it at run time.

mod fetch;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use self::fetch::Fetch;
pub(crate) use self::fetch::Needs;
pub(crate) use self::parse::{condition, define};
use self::pattern::Patterns;

/// `if` or `unless`, and what follows: any of the lists holds when all of its terms do.
#[derive(Debug, Clone)]
pub struct Condition {
    unless: bool,
    any: Vec<Vec<Term>>,
}

/// One word of a condition, or one in braces.
#[derive(Debug, Clone)]
struct Term {
    negated: bool,
    /// Its name; `None` in braces.
    name: Option<String>,
    /// The tests of a name: one that holds is enough.
    tests: Tests,
}

/// What a name stands for: several lines may add to it.
pub(crate) type Tests = Vec<Arc<Test>>;

/// A fetch and what it is compared with.
#[derive(Debug)]
pub(crate) struct Test {
    fetch: Fetch,
    patterns: Patterns,
}

/// Whether something holds. What is not known yet makes nothing certain that it could still change, and `and`, `or`
/// and `not` are the least, the greatest and the opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It does not.
    No,
    /// It depends on what comes.
    Unknown,
    /// It does.
    Yes,
}

impl Answer {
    fn of(truth: bool) -> Self {
        if truth { Self::Yes } else { Self::No }
    }

    fn not_if(self, negated: bool) -> Self {
        match self {
            Self::No if negated => Self::Yes,
            Self::Yes if negated => Self::No,
            same => same,
        }
    }
}

/// What a client has said so far, before anybody answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'s> {
    /// From its first byte on.
    pub bytes: &'s [u8],
    /// More may come, and is waited for.
    pub goes_on: bool,
}

/// What a condition may ask of a connection, or of a request.
pub trait Request {
    /// Who asks; `None` on a unix socket.
    fn source(&self) -> Option<SocketAddr>;
    /// What it asked at; `None` on a unix socket.
    fn destination(&self) -> Option<SocketAddr>;
    /// How many servers of a backend are usable.
    fn usable_servers(&self, backend: &str) -> u64;

    /// What the client has said.
    fn said(&self) -> Said<'_> {
        Said::default()
    }

    /// TLS with the client is ours: the name it asked for, where it did.
    fn tls(&self) -> Option<Option<String>> {
        None
    }

    /// `GET`.
    fn method(&self) -> &str {
        ""
    }

    /// Path and query, as the client wrote them.
    fn url(&self) -> &str {
        ""
    }

    /// The values of a header, whose name is in small letters.
    fn header(&self, _name: &str) -> Vec<&str> {
        Vec::new()
    }

    /// The groups of the user it has given the password of; `None`: it is nobody of that userlist.
    fn groups(&self, _userlist: &str) -> Option<Vec<&str>> {
        None
    }

    /// The path alone.
    fn path(&self) -> &str {
        self.url().split(['?', '#']).next().unwrap_or_default()
    }

    /// What follows the `?`.
    fn query(&self) -> &str {
        let rest = self.url().split_once('?').map_or("", |(_, rest)| rest);
        rest.split('#').next().unwrap_or_default()
    }
}

/// What a fetch found.
#[derive(Debug, PartialEq)]
enum Sample<'r> {
    Nothing,
    Truth(bool),
    /// Any of them may fit.
    Texts(Vec<Cow<'r, str>>),
    Address(Option<IpAddr>),
    Number(u64),
}

impl Condition {
    /// Whether it holds for that request.
    pub fn holds(&self, request: &dyn Request) -> bool {
        self.judge(request) == Answer::Yes
    }

    /// The same where more may be known later.
    pub fn judge(&self, request: &dyn Request) -> Answer {
        let all = |terms: &Vec<Term>| {
            first_certain(terms, Answer::No, |term| term.judge(request)).unwrap_or(Answer::Yes)
        };
        let any = first_certain(&self.any, Answer::Yes, all).unwrap_or(Answer::No);
        any.not_if(self.unless)
    }

    /// What does not fit where the condition stands: the name of the ACL, where it has one, and the fetch.
    pub(crate) fn beyond(&self, most: Needs) -> impl Iterator<Item = (Option<&str>, &Fetch)> {
        let terms = self.any.iter().flatten();
        let tests =
            terms.flat_map(|term| term.tests.iter().map(|test| (term.name.as_deref(), test)));
        tests
            .map(|(name, test)| (name, &test.fetch))
            .filter(move |(_, fetch)| fetch.needs() > most)
    }

    fn fetches(&self) -> impl Iterator<Item = &Fetch> {
        let terms = self.any.iter().flatten();
        terms.flat_map(|term| &term.tests).map(|test| &test.fetch)
    }

    /// The userlists it names.
    pub(crate) fn userlists(&self) -> impl Iterator<Item = &str> {
        self.fetches().filter_map(Fetch::userlist)
    }

    /// The backends it names.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &str> {
        self.fetches().filter_map(Fetch::backend)
    }
}

impl Term {
    fn judge(&self, request: &dyn Request) -> Answer {
        let any = first_certain(&self.tests, Answer::Yes, |test| test.judge(request));
        any.unwrap_or(Answer::No).not_if(self.negated)
    }
}

impl Test {
    fn judge(&self, request: &dyn Request) -> Answer {
        let fits = self.patterns.fit(&self.fetch.sample(request));
        match Answer::of(fits) {
            Answer::No if self.fetch.may_change(request) => Answer::Unknown,
            answer => answer,
        }
    }
}

/// The first of them that decides the matter; else whether something is unknown, or nothing.
fn first_certain<T>(
    all: &[T],
    decides: Answer,
    mut judge: impl FnMut(&T) -> Answer,
) -> Option<Answer> {
    let mut unknown = None;
    for one in all {
        match judge(one) {
            answer if answer == decides => return Some(decides),
            Answer::Unknown => unknown = Some(Answer::Unknown),
            Answer::No | Answer::Yes => {}
        }
    }
    unknown
}
