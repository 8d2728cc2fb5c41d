//! What the loader has to say: HAProxy's one line, and under it the source line with the word marked.
//!
//! Parse functions return a [`Fault`] about one word of their line; the section reader, which knows
//! where that line stands, makes a [`Diagnostic`] of it and keeps it in a [`Report`].

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::model::Location;

/// Errors after which the loader gives up, as HAProxy does.
const MAX_ERRORS: usize = 50;

/// The code of [`Fault::no_effect`].
pub(crate) const NO_EFFECT: &str = "no-effect";

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Alert,
    /// Likely not as meant; the configuration can be used.
    Warning,
    /// Worth knowing.
    Notice,
    /// Shown with `-dD` only.
    Diag,
}

/// One message about the configuration.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the rule that was broken, as `unknown-keyword`.
    pub code: &'static str,
    /// The line it is about.
    pub location: Option<Location>,
    /// That line's text and the bytes of it that are meant.
    pub source: Option<Snippet>,
    /// The one line, as HAProxy words it after `[ALERT] (pid) : `.
    pub text: String,
    /// A way out.
    pub help: Option<String>,
}

/// A source line and the part of it a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The line, without its line feed.
    pub line: Arc<str>,
    /// Byte offsets into it.
    pub span: Range<usize>,
}

impl Diagnostic {
    /// The one line, then lines beginning with `   | `: source, carets, help. No line feed at the end.
    pub fn render(&self) -> String {
        let mut out = self.text.clone();
        if let Some(source) = &self.source {
            let line = source.line.replace('\t', " ");
            let before = source.line.get(..source.span.start).unwrap_or("");
            let marked = source.line.get(source.span.clone()).unwrap_or("");
            let indent = " ".repeat(before.chars().count());
            let carets = "^".repeat(marked.chars().count().max(1));
            // What is judged when all is read does not begin with its place.
            let named = |at: &&Location| !self.text.contains(&at.to_string());
            if let Some(at) = self.location.as_ref().filter(named) {
                let _ = write!(out, "\n   | [{at}]");
            }
            let _ = write!(out, "\n   | {}\n   | {indent}{carets}", line.trim_end());
        }
        if let Some(help) = &self.help {
            let _ = write!(out, "\n   | help: {help}");
        }
        out
    }
}

/// A source line with its place.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: Location,
    pub(crate) text: Arc<str>,
}

/// Some bytes of a source line: where a value was written.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) line: Arc<Line>,
    pub(crate) span: Range<usize>,
}

impl Spot {
    pub(crate) fn at(&self) -> Location {
        self.line.at.clone()
    }
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) spot: Spot,
}

/// What is wrong with one word, before anyone said where its line stands.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    /// `None`: the keyword itself.
    pub(crate) span: Option<Range<usize>>,
    pub(crate) text: String,
    pub(crate) help: Option<String>,
    pub(crate) shape: Shape,
}

impl Fault {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Alert,
            code,
            span: None,
            text: text.into(),
            help: None,
            shape: Shape::Keyword,
        }
    }

    pub(crate) fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::new(code, text)
        }
    }

    pub(crate) fn on(mut self, span: &Range<usize>) -> Self {
        self.span = Some(span.clone());
        self
    }

    pub(crate) fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// A keyword that is taken and changes nothing.
    pub(crate) fn no_effect(keyword: &str) -> Self {
        Self {
            severity: Severity::Notice,
            ..Self::new(NO_EFFECT, keyword)
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The words HAProxy puts before a message, which differ by what was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `config : parsing [file:line] : `
    Keyword,
    /// `config : parsing [file:line]: `: the lexer, conditions and modifiers.
    Line,
    /// `config : [file:line] : `: `server` and `default-server`.
    ServerLine,
    /// `config : [file:line] : 'server be/srv' : `.
    Server(String),
    /// `Parsing [file:line]: `: names that exist already.
    Name,
    /// Nothing: rules that are checked when all files were read.
    Whole,
}

/// Everything said so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Keywords that were read and change nothing, each with its first place: told together.
    pub(crate) without_effect: Vec<(String, Location)>,
    alerts: usize,
}

impl Report {
    pub(crate) fn failed(&self) -> bool {
        self.alerts > 0
    }

    /// Whether enough errors were found to stop reading.
    pub(crate) fn full(&self) -> bool {
        self.alerts >= MAX_ERRORS
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Alert {
            if self.full() {
                return;
            }
            self.alerts += 1;
        }
        self.diagnostics.push(diagnostic);
    }

    /// Files `fault`, which is about a word of the line `spot` is in (else about `spot` itself).
    pub(crate) fn fault(&mut self, spot: &Spot, fault: Fault) {
        let at = &spot.line.at;
        if fault.code == NO_EFFECT {
            if !self
                .without_effect
                .iter()
                .any(|(name, _)| *name == fault.text)
            {
                self.without_effect.push((fault.text, at.clone()));
            }
            return;
        }
        let text = match fault.shape {
            Shape::Keyword => format!("config : parsing [{at}] : {}", fault.text),
            Shape::Line => format!("config : parsing [{at}]: {}", fault.text),
            Shape::ServerLine => format!("config : [{at}] : {}", fault.text),
            Shape::Server(name) => format!("config : [{at}] : 'server {name}' : {}", fault.text),
            Shape::Name => format!("Parsing [{at}]: {}", fault.text),
            Shape::Whole => fault.text,
        };
        self.push(Diagnostic {
            severity: fault.severity,
            code: fault.code,
            location: Some(at.clone()),
            source: Some(Snippet {
                line: Arc::clone(&spot.line.text),
                span: fault.span.unwrap_or_else(|| spot.span.clone()),
            }),
            text,
            help: fault.help,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_underlined() {
        let line = Arc::new(Line {
            at: Location {
                file: "f".into(),
                line: 3,
            },
            text: "\tbäd wörd".into(),
        });
        let mut report = Report::default();
        let spot = Spot { line, span: 6..11 };
        report.fault(&spot, Fault::new("x", "no").help("yes"));
        assert_eq!(
            report.diagnostics[0].render(),
            "config : parsing [f:3] : no\n   |  bäd wörd\n   |      ^^^^\n   | help: yes"
        );
    }
}
