//! Conditions of `.if` and `-cc` (CFG 2.4).

use std::cmp::Ordering;

/// The version of HAProxy whose behaviour is meant.
pub const VERSION: &str = "3.4.0";

/// Features that exist here. `POSTHOUSE` is false in HAProxy: one file can serve both.
const FEATURES: &[&str] = &[
    "POSTHOUSE",
    "EPOLL",
    "POLL",
    "THREAD",
    "OPENSSL",
    "OPENSSL_AWSLC",
    "LINUX_SPLICE",
    "GETADDRINFO",
    "ACCEPT4",
    "TFO",
    "NS",
    "RT",
    "SHM_OPEN",
];

/// Judges a condition; `variable` looks environment variables up.
///
/// # Errors
/// The text is no condition; the words say why.
pub fn evaluate(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
    let mut parser = Parser {
        rest: text.trim(),
        variable,
    };
    if parser.rest.is_empty() {
        return Ok(false);
    }
    let value = parser.any()?;
    match parser.rest {
        "" => Ok(value),
        rest => Err(format!(
            "unexpected character '{}' at '{rest}'",
            rest.chars().next().unwrap_or(' ')
        )),
    }
}

struct Parser<'a> {
    rest: &'a str,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// A predicate: its name, how many arguments it takes, and its judgement of them.
type Predicate = (&'static str, usize, fn(&Parser<'_>, &[String]) -> bool);

const PREDICATES: &[Predicate] = &[
    ("defined", 1, |p, a| (p.variable)(&a[0]).is_some()),
    ("feature", 1, |_, a| FEATURES.contains(&a[0].as_str())),
    ("streq", 2, |_, a| a[0] == a[1]),
    ("strneq", 2, |_, a| a[0] != a[1]),
    ("strstr", 2, |_, a| a[0].contains(&a[1])),
    ("version_atleast", 1, |_, a| {
        compare(VERSION, &a[0]) != Ordering::Less
    }),
    ("version_before", 1, |_, a| {
        compare(VERSION, &a[0]) == Ordering::Less
    }),
    ("enabled", 1, |_, a| {
        ["POLL", "EPOLL", "SPLICE", "GETADDRINFO", "REUSEPORT"].contains(&a[0].as_str())
    }),
    ("openssl_version_atleast", 1, |_, _| false),
    ("openssl_version_before", 1, |_, _| false),
    ("ssllib_name_startswith", 1, |_, _| false),
    ("awslc_api_atleast", 1, |_, _| false),
    ("awslc_api_before", 1, |_, _| false),
];

/// How deep parentheses may nest: a condition is a line, not a program.
const DEEPEST: usize = 64;

impl Parser<'_> {
    fn any(&mut self) -> Result<bool, String> {
        self.any_at(0)
    }

    fn any_at(&mut self, depth: usize) -> Result<bool, String> {
        let mut value = self.all(depth)?;
        while self.take("||") {
            value |= self.all(depth)?;
        }
        Ok(value)
    }

    fn all(&mut self, depth: usize) -> Result<bool, String> {
        let mut value = self.term(depth)?;
        while self.take("&&") {
            value &= self.term(depth)?;
        }
        Ok(value)
    }

    fn term(&mut self, depth: usize) -> Result<bool, String> {
        if depth > DEEPEST {
            return Err("too many parentheses".into());
        }
        self.skip();
        if self.take("!") {
            return Ok(!self.term(depth + 1)?);
        }
        if self.take("(") {
            let value = self.any_at(depth + 1)?;
            return if self.take(")") {
                Ok(value)
            } else {
                Err("missing closing parenthesis".into())
            };
        }
        let word: String = self
            .rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if word.is_empty() {
            return Err(format!(
                "expected a predicate or a number at '{}'",
                self.rest
            ));
        }
        self.rest = &self.rest[word.len()..];
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(word.bytes().any(|byte| byte != b'0'));
        }
        self.predicate(&word)
    }

    fn predicate(&mut self, name: &str) -> Result<bool, String> {
        let Some((_, count, judge)) = PREDICATES.iter().find(|(known, ..)| *known == name) else {
            return Err(format!("unknown predicate '{name}'"));
        };
        let arguments = self
            .arguments()
            .ok_or_else(|| format!("missing closing parenthesis after '{name}'"))?;
        if arguments.len() != *count {
            return Err(format!(
                "'{name}' takes {count} argument(s), {} given",
                arguments.len()
            ));
        }
        Ok(judge(self, &arguments))
    }

    /// `(a,b)` with quotes and escapes.
    fn arguments(&mut self) -> Option<Vec<String>> {
        let mut chars = self.rest.strip_prefix('(')?.char_indices();
        let mut all = vec![String::new()];
        let mut quote = None;
        while let Some((at, c)) = chars.next() {
            let last = all.last_mut()?;
            match (c, quote) {
                ('\\', None | Some('"')) => last.push(chars.next()?.1),
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (',', None) => all.push(String::new()),
                (')', None) => {
                    self.rest = self.rest[at + 2..].trim_start();
                    return Some(all);
                }
                _ => last.push(c),
            }
        }
        None
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Compares versions as HAProxy does: number by number, what is missing counts as 0, `dev` before release.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<i64> {
        text.split(['.', '-'])
            .map(|part| match part.strip_prefix("dev") {
                Some(number) => number.parse().unwrap_or(0) - 1_000_000,
                None => part.parse().unwrap_or(0),
            })
            .collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    let at = |list: &[i64], place: usize| list.get(place).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .map(|place| at(&a, place).cmp(&at(&b, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<bool, String> {
        evaluate(text, &|name| (name == "HOME").then(|| "/root".to_owned()))
    }

    #[test]
    fn predicates() {
        for (text, expected) in [
            ("", false),
            ("0", false),
            ("1", true),
            ("feature(POSTHOUSE)", true),
            ("feature(OPENSSL)", true),
            ("defined(HOME)", true),
            ("defined(AWAY)", false),
            ("streq(a,a) && strneq(a,b)", true),
            ("strstr(\"a,b\",\",\")", true),
            ("version_atleast(2.6)", true),
            ("version_atleast(3.5-dev1)", false),
            ("version_before(3.5)", true),
            ("!feature(X) && (0 || 1)", true),
            ("1 || 0 && 0", true),
        ] {
            assert_eq!(judge(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition() {
        for text in [
            "1 && (",
            "foo(1)",
            "streq(a)",
            "streq(a,b",
            "1 1",
            "&&",
            "(",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
        assert!(judge(&"(".repeat(10_000)).is_err());
    }
}
