//! What a sample is compared with; any pattern that fits is enough (CFG 7.1).

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};

use super::Sample;
use crate::diagnostic::Fault;
use crate::lexer::Word;

/// The patterns of a test.
#[derive(Debug)]
pub(super) enum Patterns {
    /// A fetch that is true or false by itself.
    Truth,
    /// `-m found`: there is a sample.
    Found,
    Text {
        how: How,
        ignore_case: bool,
        values: Vec<String>,
    },
    Regexes(Vec<Regex>),
    Networks(Vec<(IpAddr, u8)>),
    /// From and to.
    Numbers(Vec<(u64, u64)>),
}

/// How a text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Exact,
    Begins,
    Ends,
    Contains,
    /// As a part between these characters.
    Part(&'static [char]),
}

/// A method: `-m <method>`, or the ending of a fetch's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Truth,
    Found,
    Text(How),
    Regex,
    Network,
    Number,
}

/// Methods by their names.
pub(super) const METHODS: &[(&str, Method)] = &[
    ("bool", Method::Truth),
    ("found", Method::Found),
    ("str", Method::Text(How::Exact)),
    ("beg", Method::Text(How::Begins)),
    ("end", Method::Text(How::Ends)),
    ("sub", Method::Text(How::Contains)),
    ("dir", Method::Text(How::Part(&['/', '?']))),
    ("dom", Method::Text(How::Part(&['.', '/', ':', '?']))),
    ("reg", Method::Regex),
    ("ip", Method::Network),
    ("int", Method::Number),
];

/// A value, and the word to name when it is wrong.
pub(super) type Written = (String, Word);

impl Patterns {
    /// Reads the values of a test.
    pub(super) fn read(
        method: Method,
        ignore_case: bool,
        values: Vec<Written>,
        fetch: &Word,
    ) -> Result<Self, Fault> {
        let bad = |why: String, word: &Word| Fault::new("bad-pattern", why).on(&word.span);
        match method {
            Method::Truth => return Ok(Self::Truth),
            Method::Found => return Ok(Self::Found),
            _ => {}
        }
        if values.is_empty() {
            let text = format!("'{}' needs something to be compared with.", fetch.text);
            return Err(bad(text, fetch));
        }
        Ok(match method {
            Method::Network => {
                let read = values.iter().map(|(text, word)| {
                    let wrong = || bad(format!("'{text}' is not a valid address."), word);
                    network(text).ok_or_else(wrong)
                });
                Self::Networks(read.collect::<Result<_, _>>()?)
            }
            Method::Number => Self::Numbers(numbers(&values)?),
            Method::Regex => {
                let read = values.iter().map(|(text, word)| {
                    let built = RegexBuilder::new(text)
                        .case_insensitive(ignore_case)
                        .build();
                    built.map_err(|error| bad(format!("regex '{text}' is invalid: {error}."), word))
                });
                Self::Regexes(read.collect::<Result<_, _>>()?)
            }
            Method::Text(how) => Self::Text {
                how,
                ignore_case,
                values: values
                    .into_iter()
                    .map(|(text, _)| {
                        if ignore_case {
                            text.to_ascii_lowercase()
                        } else {
                            text
                        }
                    })
                    .collect(),
            },
            Method::Truth | Method::Found => Self::Truth,
        })
    }

    /// Whether one of them fits the sample.
    pub(super) fn fit(&self, sample: &Sample<'_>) -> bool {
        match (self, sample) {
            (_, Sample::Nothing) => false,
            (Self::Truth, Sample::Truth(truth)) => *truth,
            (Self::Truth, Sample::Number(number)) => *number > 0,
            (Self::Truth | Self::Found, Sample::Texts(texts)) => !texts.is_empty(),
            (Self::Truth | Self::Found, Sample::Address(address)) => address.is_some(),
            (Self::Found, Sample::Truth(_) | Sample::Number(_)) => true,
            (_, Sample::Texts(texts)) => texts.iter().any(|text| self.fit_text(text)),
            (Self::Networks(networks), Sample::Address(Some(ip))) => {
                let ip = ip.to_canonical();
                networks
                    .iter()
                    .any(|(network, bits)| within(ip, *network, *bits))
            }
            (Self::Numbers(ranges), Sample::Number(number)) => fits(ranges, *number),
            (Self::Numbers(ranges), Sample::Truth(truth)) => fits(ranges, u64::from(*truth)),
            (_, Sample::Truth(_) | Sample::Address(_) | Sample::Number(_)) => false,
        }
    }

    fn fit_text(&self, text: &str) -> bool {
        match self {
            Self::Text {
                how,
                ignore_case,
                values,
            } => {
                let lowered;
                let text = if *ignore_case {
                    lowered = text.to_ascii_lowercase();
                    &lowered
                } else {
                    text
                };
                values.iter().any(|value| how.fits(text, value))
            }
            Self::Regexes(regexes) => regexes.iter().any(|regex| regex.is_match(text)),
            Self::Networks(networks) => text.parse().is_ok_and(|ip| {
                networks
                    .iter()
                    .any(|(network, bits)| within(ip, *network, *bits))
            }),
            Self::Numbers(ranges) => text.parse().is_ok_and(|number| fits(ranges, number)),
            Self::Truth | Self::Found => true,
        }
    }
}

impl How {
    fn fits(self, text: &str, value: &str) -> bool {
        match self {
            Self::Exact => text == value,
            Self::Begins => text.starts_with(value),
            Self::Ends => text.ends_with(value),
            Self::Contains => text.contains(value),
            Self::Part(between) => {
                let value = value.trim_matches(between);
                let at_edge = |rest: &str, edge: Option<char>| {
                    rest.is_empty() || edge.is_some_and(|edge| between.contains(&edge))
                };
                text.match_indices(value).any(|(at, _)| {
                    let (before, after) = (&text[..at], &text[at + value.len()..]);
                    at_edge(before, before.chars().next_back())
                        && at_edge(after, after.chars().next())
                })
            }
        }
    }
}

fn fits(ranges: &[(u64, u64)], number: u64) -> bool {
    let mut ranges = ranges.iter();
    ranges.any(|(from, to)| (*from..=*to).contains(&number))
}

pub(super) fn within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (ip, network, width) = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let free = u32::from(width - bits.min(width));
    // A shift by the whole width is no shift at all.
    ip.checked_shr(free).unwrap_or(0) == network.checked_shr(free).unwrap_or(0)
}

/// `192.0.2.0/24`, `::1`.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((ip, bits))
}

/// `25 587`, `1024:65535`, `lt 2`: an operator goes on until the next.
fn numbers(values: &[Written]) -> Result<Vec<(u64, u64)>, Fault> {
    let mut operator = "eq";
    let mut ranges = Vec::new();
    for (text, word) in values {
        if ["eq", "ge", "gt", "le", "lt"].contains(&text.as_str()) {
            operator = text;
            continue;
        }
        let wrong = || {
            let text = format!("'{text}' is not a number or a range.");
            Fault::new("bad-pattern", text).on(&word.span)
        };
        let (from, to) = range(text).ok_or_else(wrong)?;
        ranges.extend(match operator {
            "ge" => Some((from, u64::MAX)),
            "gt" => to.checked_add(1).map(|from| (from, u64::MAX)),
            "le" => Some((0, to)),
            "lt" => from.checked_sub(1).map(|to| (0, to)),
            _ => Some((from, to)),
        });
    }
    Ok(ranges)
}

/// `25`, `1024:65535`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    Some((from.parse().ok()?, to.parse().ok()?))
}
