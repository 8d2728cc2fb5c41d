//! What a server has offered in its answer to EHLO.

use crate::smtp::{Attributes, Capabilities, Reply};

/// A positive reply to EHLO, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer(Vec<u8>);

impl Offer {
    pub(super) fn new(reply: &Reply<'_>) -> Self {
        Self(reply.bytes.to_vec())
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let reply = Reply::first(&self.0).ok().flatten();
        reply
            .into_iter()
            .flat_map(|reply| reply.lines().skip(1))
            .map(<[u8]>::trim_ascii)
    }

    /// What stands behind that keyword; `None`: it is not offered. `AUTH=` is an old way to write it.
    pub fn value(&self, keyword: &str) -> Option<String> {
        let found = |line: &[u8]| {
            let (word, rest) = line.split_at_checked(keyword.len())?;
            let ends = matches!(rest.first(), None | Some(b' ' | b'='));
            (ends && word.eq_ignore_ascii_case(keyword.as_bytes()))
                .then(|| super::shown(rest.get(1..).unwrap_or_default()))
        };
        self.lines().find_map(found)
    }

    /// Whether it is offered.
    pub fn has(&self, keyword: &str) -> bool {
        self.value(keyword).is_some()
    }

    /// The ways to log in, in capitals.
    pub fn mechanisms(&self) -> Vec<String> {
        let value = self.value("AUTH").unwrap_or_default();
        let words = value.split_ascii_whitespace();
        words.map(str::to_ascii_uppercase).collect()
    }

    /// What XCLIENT may tell; `None`: it is not offered.
    pub fn attributes(&self) -> Option<Attributes> {
        let reply = Reply::first(&self.0).ok().flatten();
        reply.and_then(|reply| Attributes::of(&reply))
    }

    /// All its lines but the first, as they are.
    pub fn words(&self) -> Vec<String> {
        self.lines().map(super::shown).collect()
    }

    /// What of it passes through the proxy in `mode smtp`.
    pub fn capabilities(&self) -> Capabilities {
        let reply = Reply::first(&self.0).ok().flatten();
        reply.map_or_else(Capabilities::default, |reply| Capabilities::of(&reply))
    }
}
