//! Conditions: named and anonymous ACLs, negated, joined by and, `or`, `||` (CFG 7.1, 7.2).
//!
//! What is here is the grammar whole ([`parse`]), and of the fetches those that Posthouse's own pages need
//! ([`fetch`]); a fetch that is missing is an error that says so. An ACL is resolved where it is named, as in
//! HAProxy: it must stand before. This file holds what is left of it at run time.

mod fetch;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use self::fetch::Fetch;
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

/// What a condition may ask of a request.
pub trait Request {
    /// `GET`.
    fn method(&self) -> &str;
    /// Path and query, as the client wrote them.
    fn url(&self) -> &str;
    /// The values of a header, whose name is in small letters.
    fn header(&self, name: &str) -> Vec<&str>;
    /// Who asks; `None` on a unix socket.
    fn source(&self) -> Option<IpAddr>;
    /// The port it asked at.
    fn port(&self) -> u16;
    /// The groups of the user it has given the password of; `None`: it is nobody of that userlist.
    fn groups(&self, userlist: &str) -> Option<Vec<&str>>;
    /// How many servers of a backend are usable.
    fn usable_servers(&self, backend: &str) -> u64;

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
    Truth(bool),
    /// Any of them may fit.
    Texts(Vec<Cow<'r, str>>),
    Address(Option<IpAddr>),
    Number(u64),
}

impl Condition {
    /// Whether it holds for that request.
    pub fn holds(&self, request: &dyn Request) -> bool {
        let all = |terms: &Vec<Term>| terms.iter().all(|term| term.holds(request));
        self.any.iter().any(all) != self.unless
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
    fn holds(&self, request: &dyn Request) -> bool {
        self.tests.iter().any(|test| test.holds(request)) != self.negated
    }
}

impl Test {
    fn holds(&self, request: &dyn Request) -> bool {
        self.patterns.fit(&self.fetch.sample(request))
    }
}
