//! From words to drafts: sections, conditions, and the row of each keyword.

mod blocks;
mod head;
mod small;
mod wrong;

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Fault, Line, Report, Shape, Spot};
use crate::draft::{Draft, Settings};
use crate::env::Env;
use crate::keyword::address::Resolver;
use crate::keyword::{
    self, Args, BACKEND, DEFAULTS, FRONTEND, Keyword, LISTEN, Modifier, check, deep, global, http,
    log, mailers, option, proxy, rules, smtp, stick, suggest, unsupported,
};
use crate::lexer::{self, Word};
use crate::model::{Location, ProxyKind};
use crate::secret;
use blocks::Blocks;
use wrong::{belongs, check_modifier, misplaced, unknown};

/// Every table of proxies.
pub(crate) const PROXY_TABLES: &[&[Keyword<Settings>]] = &[
    proxy::ROWS,
    option::ROWS,
    check::ROWS,
    deep::ROWS,
    stick::ROWS,
    log::ROWS,
    http::ROWS,
    rules::ROWS,
    smtp::ROWS,
    mailers::EMAIL,
    unsupported::ROWS,
];

/// Names of sections.
const SECTIONS: &[&str] = &[
    "global", "defaults", "frontend", "backend", "listen", "userlist", "alerts", "mailers",
];

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first section of a file.
    Nowhere,
    Global,
    /// Index into the defaults.
    Defaults(usize),
    /// Index into the draft's proxies.
    Proxy(usize),
    /// In the draft's last userlist.
    UserList,
    /// In its last `alerts`.
    Alerts,
    /// In its last `mailers`.
    Mailers,
    /// In a section that was refused: nothing in it is judged.
    Skipped,
}

/// Reads files one after the other.
pub(crate) struct Reader<'a> {
    pub(crate) draft: Draft,
    pub(crate) report: Report,
    env: Env<'a>,
    resolver: Resolver<'a>,
    defaults: Vec<(Option<String>, Settings)>,
    /// Where the proxy of a name is among the draft's.
    names: HashMap<Arc<str>, usize>,
    place: Place,
    blocks: Blocks,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: Env<'a>, resolver: Resolver<'a>) -> Self {
        Self {
            draft: Draft::default(),
            report: Report::default(),
            env,
            resolver,
            defaults: Vec::new(),
            names: HashMap::new(),
            place: Place::Nowhere,
            blocks: Blocks::default(),
        }
    }

    /// Reads a file. A section ends with it.
    pub(crate) fn file(&mut self, name: &str, text: &[u8]) {
        self.place = Place::Nowhere;
        self.blocks = Blocks::default();
        let name: Arc<str> = name.into();
        for ((text, whole), number) in lexer::lines(text).zip(1..) {
            if self.report.full() {
                return;
            }
            let at = Location {
                file: Arc::clone(&name),
                line: number,
            };
            let line = Arc::new(Line {
                at,
                text: secret::hide(lexer::shown(text)).into(),
            });
            self.line(text, &line);
            if !whole && !text.is_empty() {
                let end = line.text.len();
                let spot = Spot {
                    line,
                    span: end..end,
                };
                let fault = Fault::new(
                    "missing-lf",
                    "Missing LF on last line, file might have been truncated",
                )
                .shape(Shape::Line)
                .help("end the file with a line feed");
                self.report.fault(&spot, fault);
            }
        }
        if let Some(spot) = self.blocks.unclosed() {
            let fault = Fault::new("open-block", "this '.if' is not closed")
                .shape(Shape::Line)
                .help("end it with '.endif' in the same file");
            self.report.fault(&spot, fault);
        }
    }

    fn line(&mut self, text: &[u8], line: &Arc<Line>) {
        let active = self.blocks.active();
        let trimmed = text.trim_ascii_start();
        let directive = trimmed.starts_with(b".");
        if !active && !directive {
            return;
        }
        self.env.set(".FILE", line.at.file.to_string());
        self.env.set(".LINE", line.at.line.to_string());
        let env = &self.env;
        let words = match lexer::split(text, &|name| env.get(name)) {
            Ok(words) => words,
            Err(fault) => {
                let spot = Spot {
                    line: Arc::clone(line),
                    span: 0..line.text.len(),
                };
                // In a branch that is not taken only its end matters.
                if active {
                    self.report.fault(&spot, fault);
                }
                return;
            }
        };
        let Some(first) = words.first() else { return };
        let spot = Spot {
            line: Arc::clone(line),
            span: first.span.clone(),
        };
        let done = if directive {
            self.blocks
                .directive(&words, &spot, &|name| self.env.get(name))
        } else {
            self.statement(&words, line)
        };
        if let Err(fault) = done {
            self.report.fault(&spot, fault);
        }
    }

    fn statement(&mut self, words: &[Word], line: &Arc<Line>) -> Result<(), Fault> {
        if let Some((place, empty)) = words
            .iter()
            .enumerate()
            .find(|(_, word)| word.bytes().is_empty())
        {
            let text = format!(
                "argument number {place} at position {} is empty and marks the end of the argument list",
                empty.span.start + 1
            );
            return Err(Fault::new("empty-argument", text)
                .on(&empty.span)
                .shape(Shape::Line)
                .help("a variable without a value? write \"${NAME-default}\""));
        }
        let name = words[0].text.as_str();
        if SECTIONS.contains(&name) {
            return self.section(words, line);
        }
        if unsupported::SECTIONS.contains(&name)
            && !matches!(self.place, Place::Defaults(_) | Place::Proxy(_))
            || self.is_foreign_section(words)
        {
            self.place = Place::Skipped;
            let text = format!("section '{name}' is not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text)
                .help("HAProxy knows this section; remove it, or stay with HAProxy for it"));
        }
        if name.starts_with('[') {
            return Ok(());
        }
        match self.place {
            Place::Skipped => Ok(()),
            Place::Nowhere => Err(Fault::new(
                "no-section",
                format!("unknown keyword '{name}' out of section."),
            )
            .help("a file begins with a section: global, defaults, frontend, backend or listen")),
            Place::Global => self.global(words, line),
            Place::Defaults(_) | Place::Proxy(_) => self.proxy(words, line),
            Place::UserList | Place::Alerts | Place::Mailers => self.small(words, line),
        }
    }

    /// A section HAProxy knows, written where a keyword of a proxy could stand.
    fn is_foreign_section(&self, words: &[Word]) -> bool {
        let name = words[0].text.as_str();
        unsupported::SECTIONS.contains(&name) && keyword::find(PROXY_TABLES, words).is_none()
    }

    fn global(&mut self, words: &[Word], line: &Arc<Line>) -> Result<(), Fault> {
        let (modifier, words) = modifier(words);
        let Some((row, count)) = keyword::find(&[global::ROWS], words) else {
            let name = words.first().map_or("", |word| word.text.as_str());
            if global::is_foreign_tuning(name) {
                return Err(Fault::no_effect(name));
            }
            let hint = suggest::hint(name, global::ROWS.iter().map(|row| row.name));
            let elsewhere = belongs(PROXY_TABLES, words);
            return Err(Fault {
                help: elsewhere,
                ..Fault::new(
                    "unknown-keyword",
                    format!("unknown keyword '{name}' in 'global' section{hint}"),
                )
            });
        };
        check_modifier(row.negatable, modifier, row.name)?;
        let mut args = Args::new(words, count, line, self.resolver);
        args.modifier = modifier;
        args.section = "global";
        let done = keyword::follow(row, &mut args, &mut self.draft.global);
        let spot = args.spot();
        let warnings = std::mem::take(&mut args.warnings);
        for change in std::mem::take(&mut self.draft.global.changes) {
            self.env.apply(change);
        }
        warnings
            .into_iter()
            .for_each(|fault| self.report.fault(&spot, fault));
        done.map_err(|fault| fault.or_on(&spot))
    }

    fn proxy(&mut self, words: &[Word], line: &Arc<Line>) -> Result<(), Fault> {
        let (own, kind, name) = match self.place {
            Place::Defaults(index) => {
                let name = self.defaults[index].0.clone();
                (DEFAULTS, "defaults", name.unwrap_or_default())
            }
            Place::Proxy(index) => {
                let proxy = &self.draft.proxies[index];
                let (section, kind) = match proxy.kind {
                    ProxyKind::Frontend => (FRONTEND, "frontend"),
                    ProxyKind::Backend => (BACKEND, "backend"),
                    ProxyKind::Listen => (LISTEN, "listen"),
                };
                (section, kind, proxy.name.value.to_string())
            }
            _ => return Ok(()),
        };
        let (modifier, words) = modifier(words);
        let Some((row, count)) = keyword::find(PROXY_TABLES, words) else {
            return Err(unknown(words, kind, own));
        };
        if !row.sections.has(own) {
            return misplaced(row, own, kind, &name);
        }
        check_modifier(row.negatable, modifier, row.name)?;
        let settings = match self.place {
            Place::Defaults(index) => &mut self.defaults[index].1,
            Place::Proxy(index) => &mut self.draft.proxies[index].settings,
            _ => return Ok(()),
        };
        let mut args = Args::new(words, count, line, self.resolver);
        (args.modifier, args.section, args.proxy) = (modifier, kind, &name);
        let done = keyword::follow(row, &mut args, settings);
        let spot = args.spot();
        let warnings = std::mem::take(&mut args.warnings);
        warnings
            .into_iter()
            .for_each(|fault| self.report.fault(&spot, fault));
        done.map_err(|fault| fault.or_on(&spot))
    }
}

/// `no` and `default` before a keyword.
fn modifier(words: &[Word]) -> (Modifier, &[Word]) {
    match words.first().map(|word| word.text.as_str()) {
        Some("no") if words.len() > 1 => (Modifier::No, &words[1..]),
        Some("default") if words.len() > 1 => (Modifier::Default, &words[1..]),
        _ => (Modifier::None, words),
    }
}

impl Fault {
    /// With the keyword's own place, where none of its words is meant in particular.
    fn or_on(self, spot: &Spot) -> Self {
        let span = self.span.clone().or_else(|| Some(spot.span.clone()));
        Self { span, ..self }
    }
}
