//! The words of a line as a parse function reads them: one after the other, each judged where it is used.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::address::Resolver;
use crate::diagnostic::{At, Fault, Line, Spot};
use crate::lexer::Word;
use crate::units::{self, Bad, Unit};

/// What stands before the keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    None,
    /// `no`
    No,
    /// `default`
    Default,
}

/// A cursor over the words after a keyword.
pub(crate) struct Args<'a> {
    words: &'a [Word],
    at: usize,
    line: &'a Arc<Line>,
    /// The keyword's words.
    named: Range<usize>,
    /// Its name, for messages.
    pub(crate) keyword: &'static str,
    /// What it takes, for messages.
    pub(crate) syntax: &'static str,
    pub(crate) modifier: Modifier,
    /// The section's kind: `frontend`.
    pub(crate) section: &'static str,
    /// The section's name.
    pub(crate) proxy: &'a str,
    pub(crate) warnings: Vec<Fault>,
    /// Makes addresses of host names.
    pub(crate) resolver: Resolver<'a>,
}

impl<'a> Args<'a> {
    /// `at` is the first word after the keyword.
    pub(crate) fn new(
        words: &'a [Word],
        at: usize,
        line: &'a Arc<Line>,
        resolver: Resolver<'a>,
    ) -> Self {
        let start = words.first().map_or(0, |word| word.span.start);
        let end = words[..at].last().map_or(start, |word| word.span.end);
        Self {
            words,
            at,
            line,
            named: start..end,
            keyword: "",
            syntax: "",
            modifier: Modifier::None,
            section: "",
            proxy: "",
            warnings: Vec::new(),
            resolver,
        }
    }

    /// Where the keyword is written.
    pub(crate) fn spot(&self) -> Spot {
        self.spot_of(&self.named)
    }

    pub(crate) fn spot_of(&self, span: &Range<usize>) -> Spot {
        Spot {
            line: Arc::clone(self.line),
            span: span.clone(),
        }
    }

    /// `value` with the place of the word it was read from.
    pub(crate) fn placed<T>(&self, value: T, word: &Word) -> At<T> {
        At {
            value,
            spot: self.spot_of(&word.span),
        }
    }

    /// The word that was just taken, an option without a value.
    pub(crate) fn flag(&self) -> At<()> {
        let word = self.at.checked_sub(1).and_then(|at| self.words.get(at));
        let span = word.map_or(&self.named, |word| &word.span);
        At {
            value: (),
            spot: self.spot_of(span),
        }
    }

    /// What `read` makes of the next word, with that word's place; without a word the keyword's.
    pub(crate) fn spotted<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<At<T>, Fault> {
        let span = self
            .peek()
            .map_or_else(|| self.named.clone(), |word| word.span.clone());
        match read(self) {
            Ok(value) => Ok(At {
                value,
                spot: self.spot_of(&span),
            }),
            Err(fault) => Err(Fault {
                span: fault.span.or(Some(span)),
                ..fault
            }),
        }
    }

    pub(crate) fn warn(&mut self, fault: Fault) {
        self.warnings.push(fault);
    }

    /// Whether the option is asked for (no `no`, no `default`: every default is off).
    pub(crate) fn on(&self) -> bool {
        self.modifier == Modifier::None
    }

    pub(crate) fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    pub(crate) fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// Takes the next word if it is `text`.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text);
        self.at += usize::from(found);
        found
    }

    /// The next word, which must be there.
    pub(crate) fn word(&mut self) -> Result<&'a Word, Fault> {
        self.next().ok_or_else(|| self.missing())
    }

    pub(crate) fn text(&mut self) -> Result<String, Fault> {
        Ok(self.word()?.text.clone())
    }

    fn missing(&self) -> Fault {
        let what = if self.syntax.is_empty() {
            "an argument"
        } else {
            self.syntax
        };
        Fault::new(
            "missing-argument",
            format!("'{}' expects {what} as argument.", self.keyword),
        )
    }

    pub(crate) fn check_count(&self, (least, most): (usize, usize)) -> Result<(), Fault> {
        let rest = &self.words[self.at..];
        if rest.len() < least {
            return Err(self.missing());
        }
        rest.get(most)
            .map_or(Ok(()), |word| Err(self.unexpected(word)))
    }

    /// No more words.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        self.peek()
            .map_or(Ok(()), |word| Err(self.unexpected(word)))
    }

    fn unexpected(&self, word: &Word) -> Fault {
        let text = format!(
            "'{}' cannot handle unexpected argument '{}'.",
            self.keyword, word.text
        );
        let fault = Fault::new("unexpected-argument", text).on(&word.span);
        if self.syntax.is_empty() {
            return fault.help("remove it, and what follows");
        }
        fault.help(format!("it takes {}", self.syntax))
    }

    /// A whole number in a range that `T` and `range` allow.
    pub(crate) fn number<T>(&mut self, range: std::ops::RangeInclusive<T>) -> Result<T, Fault>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let word = self.word()?;
        let value = word.text.parse().ok().filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let text = format!(
                "'{}' expects a number between {least} and {most}, got '{}'.",
                self.keyword, word.text
            );
            Fault::new("bad-number", text).on(&word.span)
        })
    }

    pub(crate) fn count(&mut self) -> Result<u32, Fault> {
        self.number(0..=i32::MAX as u32)
    }

    /// A time whose bare number is milliseconds.
    pub(crate) fn time(&mut self) -> Result<Duration, Fault> {
        self.time_in(Unit::Milliseconds)
    }

    pub(crate) fn time_in(&mut self, unit: Unit) -> Result<Duration, Fault> {
        let word = self.word()?;
        let time = units::time(&word.text, unit).map_err(|bad| self.bad_time(bad, word))?;
        if let Some(junk) = time.junk {
            let text = format!(
                "unexpected character '{junk}' after the timer value '{}' in '{}'; what follows the unit is not read.",
                word.text, self.keyword
            );
            self.warn(
                Fault::warning("time-junk", text)
                    .on(&word.span)
                    .help("write one number and one of us, ms, s, m, h, d"),
            );
        }
        Ok(time.value)
    }

    /// A time that is not zero, for this reason.
    pub(crate) fn some_time(&mut self, why: &str) -> Result<Duration, Fault> {
        let word = self.peek();
        let time = self.time()?;
        if !time.is_zero() {
            return Ok(time);
        }
        let text = format!("'{}' cannot be 0: {why}.", self.keyword);
        let fault = Fault::new("bad-time", text).help("write a time, as in 10s");
        Err(match word {
            Some(word) => fault.on(&word.span),
            None => fault,
        })
    }

    /// `timeout`s: zero is never.
    pub(crate) fn timeout(&mut self) -> Result<Option<Duration>, Fault> {
        Ok(Some(self.time()?).filter(|time| !time.is_zero()))
    }

    fn bad_time(&self, bad: Bad, word: &Word) -> Fault {
        let keyword = self.keyword;
        let fault = match bad {
            Bad::Overflow => Fault::new(
                "time-overflow",
                format!(
                    "timer overflow in argument '{}' to '{keyword}' (maximum value is 2147483647 ms or ~24.8 days)",
                    word.text
                ),
            ),
            Bad::Character(c) => {
                Fault::new("bad-time", format!("unexpected character '{c}' in '{keyword}'"))
                    .help("a time is a number and one of us, ms, s, m, h, d, as 30s; a bare number is milliseconds")
            }
            Bad::Empty => return self.missing(),
        };
        fault.on(&word.span)
    }

    pub(crate) fn size(&mut self) -> Result<u64, Fault> {
        let word = self.word()?;
        units::size(&word.text).map_err(|bad| {
            let what = match bad {
                Bad::Character(c) => format!(
                    "unexpected character '{c}' in argument of '{}'",
                    self.keyword
                ),
                Bad::Overflow => format!("'{}' is too large for '{}'", word.text, self.keyword),
                Bad::Empty => return self.missing(),
            };
            Fault::new("bad-size", what)
                .on(&word.span)
                .help("a size is a number and maybe one of k, m, g (1024 each)")
        })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T, Fault> {
        let word = self.word()?;
        let found = choices.iter().find(|(name, _)| *name == word.text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("'{name}'"))
                .collect();
            let text = format!(
                "'{}' expects one of {} but got '{}'.",
                self.keyword,
                names.join(", "),
                word.text
            );
            let hint = super::suggest::closest(&word.text, choices.iter().map(|(name, _)| *name));
            let fault = Fault::new("bad-choice", text).on(&word.span);
            match hint {
                Some(name) => fault.help(format!("did you mean '{name}'?")),
                None => fault,
            }
        })
    }
}
