//! Conditions: named and anonymous ACLs, negated, joined by and, `or`, `||` (CFG 7.1, 7.2).
//!
//! What is here is the grammar whole, and of the fetches those that Posthouse's own pages need; a fetch that is
//! missing is an error that says so. An ACL is resolved where it is named, as in HAProxy: it must stand before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use regex::Regex;

use crate::diagnostic::Fault;
use crate::keyword::Args;
use crate::keyword::suggest;
use crate::lexer::Word;

#[cfg(test)]
mod tests;

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
    pattern: Patterns,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetch {
    Always(bool),
    Path,
    Url,
    Method,
    Host,
    Source,
    DestinationPort,
}

/// How it is compared; any pattern that fits is enough.
#[derive(Debug)]
enum Patterns {
    /// A fetch that is true or false by itself.
    Truth,
    Text {
        how: How,
        ignore_case: bool,
        values: Vec<String>,
    },
    Regexes(Vec<Regex>),
    Networks(Vec<(IpAddr, u8)>),
    Numbers(Vec<(u64, u64)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Exact,
    Begins,
    Ends,
    Contains,
    Directory,
}

/// What a request is, for a condition.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// `GET`.
    pub method: &'r str,
    /// Path and query.
    pub url: &'r str,
    /// The `Host` header.
    pub host: &'r str,
    /// Who asks; `None` on a unix socket.
    pub source: Option<IpAddr>,
    /// The port it asked at.
    pub port: u16,
}

impl Request<'_> {
    /// The path alone.
    pub fn path(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

impl Condition {
    /// Whether it holds for that request.
    pub fn holds(&self, request: &Request<'_>) -> bool {
        let all = |terms: &Vec<Term>| terms.iter().all(|term| term.holds(request));
        self.any.iter().any(all) != self.unless
    }
}

impl Term {
    fn holds(&self, request: &Request<'_>) -> bool {
        self.tests.iter().any(|test| test.holds(request)) != self.negated
    }
}

impl Test {
    fn holds(&self, request: &Request<'_>) -> bool {
        let text = match self.fetch {
            Fetch::Always(truth) => return truth,
            Fetch::Path => request.path(),
            Fetch::Url => request.url,
            Fetch::Method => request.method,
            Fetch::Host => request.host,
            Fetch::Source => {
                return request
                    .source
                    .is_some_and(|ip| self.pattern.has_address(ip));
            }
            Fetch::DestinationPort => return self.pattern.has_number(u64::from(request.port)),
        };
        self.pattern.has_text(text)
    }
}

impl Patterns {
    fn has_text(&self, text: &str) -> bool {
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
            Self::Truth | Self::Networks(_) | Self::Numbers(_) => false,
        }
    }

    fn has_address(&self, ip: IpAddr) -> bool {
        let Self::Networks(networks) = self else {
            return false;
        };
        let ip = ip.to_canonical();
        networks
            .iter()
            .any(|(network, bits)| within(ip, *network, *bits))
    }

    fn has_number(&self, number: u64) -> bool {
        let Self::Numbers(ranges) = self else {
            return false;
        };
        ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&number))
    }
}

impl How {
    fn fits(self, text: &str, value: &str) -> bool {
        match self {
            Self::Exact => text == value,
            Self::Begins => text.starts_with(value),
            Self::Ends => text.ends_with(value),
            Self::Contains => text.contains(value),
            Self::Directory => text.split('/').any(|part| part == value.trim_matches('/')),
        }
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (ip, network, width) = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let free = u32::from(width - bits.min(width));
    // A shift by the whole width is no shift at all.
    ip.checked_shr(free).unwrap_or(0) == network.checked_shr(free).unwrap_or(0)
}

/// Reads `if ...` or `unless ...`; `None` where nothing follows.
pub(crate) fn condition(
    args: &mut Args<'_>,
    named: &BTreeMap<String, Tests>,
) -> Result<Option<Condition>, Fault> {
    let Some(word) = args.next() else {
        return Ok(None);
    };
    let unless = match word.text.as_str() {
        "if" => false,
        "unless" => true,
        other => {
            let text = format!("expects 'if' or 'unless', got '{other}'.");
            return Err(Fault::new("bad-condition", text).on(&word.span));
        }
    };
    let mut any = vec![Vec::new()];
    let mut negated = false;
    let mut last = word;
    while let Some(word) = args.next() {
        last = word;
        let name = word.text.trim_start_matches('!');
        negated ^= (word.text.len() - name.len()) % 2 == 1;
        let tests = match name {
            "" => continue,
            "or" | "||" => {
                any.push(Vec::new());
                continue;
            }
            "{" => vec![Arc::new(braced(args, word)?)],
            name => tests_of(name, word, named)?,
        };
        if let Some(all) = any.last_mut() {
            all.push(Term { negated, tests });
        }
        negated = false;
    }
    if negated || any.iter().any(Vec::is_empty) {
        let text = "a condition needs an ACL on each side of 'or' and behind '!'.";
        return Err(Fault::new("bad-condition", text).on(&last.span));
    }
    Ok(Some(Condition { unless, any }))
}

/// Names that HAProxy defines itself (CFG 7.4), as far as their fetches are here.
const PREDEFINED: &[(&str, &[&str])] = &[
    ("TRUE", &["always_true"]),
    ("FALSE", &["always_false"]),
    ("LOCALHOST", &["src", "127.0.0.1/8", "::1"]),
    ("METH_GET", &["method", "GET", "HEAD"]),
    ("METH_HEAD", &["method", "HEAD"]),
    ("METH_POST", &["method", "POST"]),
    ("HTTP_URL_SLASH", &["url_beg", "/"]),
];

fn tests_of(name: &str, word: &Word, named: &BTreeMap<String, Tests>) -> Result<Tests, Fault> {
    if let Some(tests) = named.get(name) {
        return Ok(tests.clone());
    }
    if let Some((_, words)) = PREDEFINED.iter().find(|(known, _)| *known == name) {
        let words: Vec<_> = words.iter().map(|text| word.saying(text)).collect();
        let words: Vec<_> = words.iter().collect();
        return Ok(vec![Arc::new(test(&words)?)]);
    }
    let hint = suggest::hint(name, named.keys().map(String::as_str));
    let text = format!("no such ACL : '{name}'{hint}");
    Err(Fault::new("unknown-acl", text)
        .on(&word.span)
        .help("an 'acl' line of that name must stand before this one"))
}

/// `{ fetch values }`.
fn braced(args: &mut Args<'_>, open: &Word) -> Result<Test, Fault> {
    let mut words = Vec::new();
    loop {
        match args.next() {
            Some(word) if word.text == "}" => return test(&words),
            Some(word) => words.push(word),
            None => {
                let text = "missing closing '}' in condition.";
                return Err(Fault::new("bad-condition", text)
                    .on(&open.span)
                    .help("blanks must stand around '{' and '}'"));
            }
        }
    }
}

/// `acl <name> <fetch> [flags] <value>...`: adds to what the name stands for.
pub(crate) fn define(
    args: &mut Args<'_>,
    named: &mut BTreeMap<String, Tests>,
) -> Result<(), Fault> {
    let name = args.word()?;
    if name.text == "or" || name.text.starts_with(['!', '{']) {
        let text = format!("acl name '{}' is reserved.", name.text);
        return Err(Fault::new("bad-name", text).on(&name.span));
    }
    crate::draft::check_name(&name.text).map_err(|c| {
        let text = format!(
            "character '{c}' is not permitted in acl name '{}'.",
            name.text
        );
        Fault::new("bad-name", text).on(&name.span)
    })?;
    let words: Vec<_> = std::iter::from_fn(|| args.next()).collect();
    if words.is_empty() {
        let text = format!("missing fetch method in ACL '{}'.", name.text);
        return Err(Fault::new("bad-condition", text).on(&name.span));
    }
    let test = Arc::new(test(&words)?);
    named.entry(name.text.clone()).or_default().push(test);
    Ok(())
}

/// Names of fetches, with what they look at and how their values are meant.
const FETCHES: &[(&str, Fetch, Option<How>)] = &[
    ("always_true", Fetch::Always(true), None),
    ("always_false", Fetch::Always(false), None),
    ("path", Fetch::Path, Some(How::Exact)),
    ("url", Fetch::Url, Some(How::Exact)),
    ("method", Fetch::Method, Some(How::Exact)),
    ("hdr(host)", Fetch::Host, Some(How::Exact)),
    ("req.hdr(host)", Fetch::Host, Some(How::Exact)),
    ("src", Fetch::Source, None),
    ("dst_port", Fetch::DestinationPort, None),
];

/// What follows a fetch's name: another way to compare.
const ENDINGS: &[(&str, Option<How>)] = &[
    ("_beg", Some(How::Begins)),
    ("_end", Some(How::Ends)),
    ("_sub", Some(How::Contains)),
    ("_dir", Some(How::Directory)),
    ("_reg", None),
];

fn test(words: &[&Word]) -> Result<Test, Fault> {
    let Some((first, mut rest)) = words.split_first() else {
        return Err(Fault::new("bad-condition", "an empty condition."));
    };
    let (fetch, mut how, mut regex) = fetch(first)?;
    let (mut ignore_case, mut values) = (false, Vec::new());
    while let Some((flag, tail)) = rest.split_first() {
        match flag.text.as_str() {
            "-i" => ignore_case = true,
            "-n" => {}
            "-f" => {
                let Some((file, after)) = tail.split_first() else {
                    return Err(Fault::new("bad-condition", "'-f' expects a file.").on(&flag.span));
                };
                values.extend(list(file)?);
                rest = after;
                continue;
            }
            "-m" => {
                let Some((method, after)) = tail.split_first() else {
                    return Err(
                        Fault::new("bad-condition", "'-m' expects a method.").on(&flag.span)
                    );
                };
                (how, regex) = matching(method)?;
                rest = after;
                continue;
            }
            "--" => {
                rest = tail;
                break;
            }
            other if other.starts_with('-') && other.len() == 2 => {
                let text = format!("flag '{other}' is not supported by Posthouse yet.");
                return Err(Fault::new("not-yet", text).on(&flag.span));
            }
            _ => break,
        }
        rest = tail;
    }
    values.extend(rest.iter().map(|word| (word.text.clone(), (*word).clone())));
    let pattern = patterns(first, fetch, how, regex, ignore_case, values)?;
    Ok(Test { fetch, pattern })
}

/// A fetch by its name, how it compares, and whether that is by regular expression.
fn fetch(word: &Word) -> Result<(Fetch, Option<How>, bool), Fault> {
    let name = word.text.to_ascii_lowercase();
    let by_name = |name: &str| FETCHES.iter().find(|(known, ..)| *known == name);
    if let Some((_, fetch, how)) = by_name(&name) {
        return Ok((*fetch, *how, false));
    }
    for (ending, how) in ENDINGS {
        // `hdr_beg(host)` and `path_beg`.
        let base = name.replacen(ending, "", 1);
        if base != name
            && let Some((_, fetch, Some(_))) = by_name(&base)
        {
            return Ok((*fetch, *how, how.is_none()));
        }
    }
    let text = format!(
        "the fetch '{}' is not supported by Posthouse yet.",
        word.text
    );
    let known = FETCHES.iter().map(|(name, ..)| *name).collect::<Vec<_>>();
    Err(Fault::new("not-yet", text)
        .on(&word.span)
        .help(format!("there are {}", known.join(", "))))
}

fn matching(word: &Word) -> Result<(Option<How>, bool), Fault> {
    Ok(match word.text.as_str() {
        "str" => (Some(How::Exact), false),
        "beg" => (Some(How::Begins), false),
        "end" => (Some(How::Ends), false),
        "sub" => (Some(How::Contains), false),
        "dir" => (Some(How::Directory), false),
        "reg" => (None, true),
        other => {
            let text = format!("the matching method '{other}' is not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text).on(&word.span));
        }
    })
}

/// A file of values: a line each, `#` begins a comment.
fn list(file: &Word) -> Result<Vec<(String, Word)>, Fault> {
    let text = std::fs::read_to_string(&file.text).map_err(|error| {
        let text = format!("failed to open pattern file <{}>: {error}.", file.text);
        Fault::new("unreadable", text).on(&file.span)
    })?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| (line.to_owned(), file.clone()))
        .collect())
}

fn patterns(
    first: &Word,
    fetch: Fetch,
    how: Option<How>,
    regex: bool,
    ignore_case: bool,
    values: Vec<(String, Word)>,
) -> Result<Patterns, Fault> {
    let bad = |why: String, word: &Word| Fault::new("bad-pattern", why).on(&word.span);
    if matches!(fetch, Fetch::Always(_)) {
        return Ok(Patterns::Truth);
    }
    if values.is_empty() {
        let text = format!("'{}' needs something to be compared with.", first.text);
        return Err(bad(text, first));
    }
    let each = |parse: &dyn Fn(&str) -> Option<(IpAddr, u8)>| {
        let parsed = values.iter().map(|(text, word)| {
            parse(text).ok_or_else(|| bad(format!("'{text}' is not a valid address."), word))
        });
        parsed.collect::<Result<Vec<_>, _>>()
    };
    match fetch {
        Fetch::Source => Ok(Patterns::Networks(each(&network)?)),
        Fetch::DestinationPort => {
            let parsed = values.iter().map(|(text, word)| {
                range(text)
                    .ok_or_else(|| bad(format!("'{text}' is not a number or a range."), word))
            });
            Ok(Patterns::Numbers(parsed.collect::<Result<_, _>>()?))
        }
        _ if regex => {
            let parsed = values.iter().map(|(text, word)| {
                let built = regex::RegexBuilder::new(text)
                    .case_insensitive(ignore_case)
                    .build();
                built.map_err(|error| bad(format!("regex '{text}' is invalid: {error}."), word))
            });
            Ok(Patterns::Regexes(parsed.collect::<Result<_, _>>()?))
        }
        _ => Ok(Patterns::Text {
            how: how.unwrap_or(How::Exact),
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
        }),
    }
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

/// `25`, `1024:65535`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    Some((from.parse().ok()?, to.parse().ok()?))
}
