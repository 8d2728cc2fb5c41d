//! The grammar of conditions (CFG 7.2), and `acl` lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fetch::{self, Kind};
use super::pattern::{How, METHODS, Method, Patterns, Written};
use super::{Condition, Term, Test, Tests};
use crate::diagnostic::Fault;
use crate::keyword::{Args, suggest};
use crate::lexer::Word;

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
        let (name, tests) = match name {
            "" => continue,
            "or" | "||" => {
                any.push(Vec::new());
                continue;
            }
            "{" => (None, vec![Arc::new(braced(args, word)?)]),
            name => (Some(name.to_owned()), tests_of(name, word, named)?),
        };
        if let Some(all) = any.last_mut() {
            all.push(Term {
                negated,
                name,
                tests,
            });
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
    ("WAIT_END", &["wait_end"]),
    ("REQ_CONTENT", &["req.len", "gt", "0"]),
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

/// `fetch [flags] values`.
fn test(words: &[&Word]) -> Result<Test, Fault> {
    let Some((first, mut rest)) = words.split_first() else {
        return Err(Fault::new("bad-condition", "an empty condition."));
    };
    let (fetch, kind, ending) = fetch::find(first)?;
    let mut method = match ending {
        Some(ending) => by_name(ending, first)?,
        None => default_of(kind),
    };
    let (mut ignore_case, mut values) = (false, Vec::new());
    while let Some((flag, tail)) = rest.split_first() {
        match flag.text.as_str() {
            "-i" => ignore_case = true,
            "-n" => {}
            "-f" | "-m" => {
                let Some((word, after)) = tail.split_first() else {
                    let text = format!("'{}' expects a word.", flag.text);
                    return Err(Fault::new("bad-condition", text).on(&flag.span));
                };
                if flag.text == "-f" {
                    values.extend(list(word)?);
                } else {
                    method = by_name(&word.text, word)?;
                }
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
    // `ssl_fc 1`: a truth is a number where it is compared with one.
    if method == Method::Truth && !values.is_empty() {
        method = Method::Number;
    }
    let patterns = Patterns::read(method, ignore_case, values, first)?;
    Ok(Test { fetch, patterns })
}

fn default_of(kind: Kind) -> Method {
    match kind {
        Kind::Truth => Method::Truth,
        Kind::Text => Method::Text(How::Exact),
        Kind::Address => Method::Network,
        Kind::Number => Method::Number,
    }
}

fn by_name(name: &str, word: &Word) -> Result<Method, Fault> {
    let found = METHODS.iter().find(|(known, _)| *known == name);
    found.map(|(_, method)| *method).ok_or_else(|| {
        let text = format!("the matching method '{name}' is not supported by Posthouse yet.");
        let known: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
        let fault = Fault::new("not-yet", text).on(&word.span);
        fault.help(format!("there are {}", known.join(", ")))
    })
}

/// A file of values: a line each, `#` begins a comment.
fn list(file: &Word) -> Result<Vec<Written>, Fault> {
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
