//! One row per keyword: what it is called, where it may stand, how many words follow, what becomes of it.
//!
//! The section reader finds the row and checks what the row says; the row's parse function judges its own
//! value and records it. Suggestions and the reference page in `docs` come from the same rows.

pub(crate) mod address;
pub(crate) mod alerts;
pub(crate) mod args;
pub(crate) mod bind;
pub(crate) mod check;
pub(crate) mod deep;
pub(crate) mod global;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod mailers;
pub(crate) mod option;
pub(crate) mod page;
pub(crate) mod proxy;
pub(crate) mod rules;
pub(crate) mod server;
pub(crate) mod smtp;
pub(crate) mod stick;
pub(crate) mod suggest;
pub(crate) mod tls;
pub(crate) mod unsupported;
pub(crate) mod userlist;

use crate::diagnostic::Fault;
use crate::lexer::Word;
pub(crate) use args::{Args, Modifier};

/// Kinds of sections, and of option lists on one line, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sections(pub(crate) u16);

pub(crate) const GLOBAL: Sections = Sections(1);
pub(crate) const DEFAULTS: Sections = Sections(2);
pub(crate) const FRONTEND: Sections = Sections(4);
pub(crate) const LISTEN: Sections = Sections(8);
pub(crate) const BACKEND: Sections = Sections(16);
/// Options of `bind`.
pub(crate) const BIND: Sections = Sections(32);
/// Options of `server`.
pub(crate) const SERVER: Sections = Sections(64);
/// Options of `default-server`.
pub(crate) const DEFAULT_SERVER: Sections = Sections(128);
/// Lines of a `userlist`.
pub(crate) const USERLIST: Sections = Sections(256);
/// Lines of an `alerts` section.
pub(crate) const ALERTS: Sections = Sections(512);
/// Lines of a `mailers` section.
pub(crate) const MAILERS: Sections = Sections(1024);

/// Everywhere in proxies.
pub(crate) const ALL: Sections = DEFAULTS.and(FRONTEND).and(LISTEN).and(BACKEND);
/// What takes connections.
pub(crate) const FRONT: Sections = DEFAULTS.and(FRONTEND).and(LISTEN);
/// What has servers.
pub(crate) const BACK: Sections = DEFAULTS.and(LISTEN).and(BACKEND);
/// `server` and `default-server`.
pub(crate) const SERVERS: Sections = SERVER.and(DEFAULT_SERVER);

impl Sections {
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Judges the words after the keyword and records them.
pub(crate) type Parse<T> = fn(&mut Args<'_>, &mut T) -> Result<(), Fault>;

/// What becomes of a keyword.
pub(crate) enum Status<T> {
    /// Does what it says.
    Supported(Parse<T>),
    /// Read, and without effect, which is told once.
    Ignored,
    /// Never taken.
    Refused {
        why: &'static str,
        instead: &'static str,
    },
    /// HAProxy knows it, Posthouse does not yet.
    NotYet,
}

/// A row.
pub(crate) struct Keyword<T: 'static> {
    /// One or more words: `timeout client`.
    pub(crate) name: &'static str,
    pub(crate) sections: Sections,
    /// What follows, as it is told to people.
    pub(crate) syntax: &'static str,
    /// How many words must and may follow.
    pub(crate) args: (usize, usize),
    /// Whether `no` and `default` may stand before it.
    pub(crate) negatable: bool,
    pub(crate) status: Status<T>,
    /// One line of documentation.
    pub(crate) doc: &'static str,
}

/// Any number of words.
pub(crate) const ANY: usize = usize::MAX;

impl<T> Keyword<T> {
    /// A keyword that works. `args` is the least and the largest number of words after it.
    pub(crate) const fn new(
        name: &'static str,
        sections: Sections,
        syntax: &'static str,
        args: (usize, usize),
        parse: Parse<T>,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            sections,
            syntax,
            args,
            negatable: false,
            status: Status::Supported(parse),
            doc,
        }
    }

    /// An option: takes `no` and `default`.
    pub(crate) const fn option(
        name: &'static str,
        sections: Sections,
        parse: Parse<T>,
        doc: &'static str,
    ) -> Self {
        let row = Self::new(name, sections, "", (0, 0), parse, doc);
        Self {
            negatable: true,
            ..row
        }
    }

    /// Read and without effect.
    pub(crate) const fn ignored(name: &'static str, sections: Sections, doc: &'static str) -> Self {
        Self {
            name,
            sections,
            syntax: "...",
            args: (0, ANY),
            negatable: true,
            status: Status::Ignored,
            doc,
        }
    }

    /// Never taken: `why`, and what to write instead.
    pub(crate) const fn refused(
        name: &'static str,
        sections: Sections,
        why: &'static str,
        instead: &'static str,
    ) -> Self {
        Self {
            status: Status::Refused { why, instead },
            ..Self::ignored(name, sections, why)
        }
    }

    /// HAProxy's, not yet ours.
    pub(crate) const fn not_yet(name: &'static str, sections: Sections, doc: &'static str) -> Self {
        Self {
            status: Status::NotYet,
            ..Self::ignored(name, sections, doc)
        }
    }

    /// How many of `words` the name takes, if it is this keyword.
    fn matches(&self, words: &[Word]) -> Option<usize> {
        // Every row is asked for every line: most say no by their first two letters; none has only one.
        if words.first()?.text.as_bytes().get(..2) != self.name.as_bytes().get(..2) {
            return None;
        }
        let mut left = self.name;
        for (before, word) in words.iter().enumerate() {
            left = left.strip_prefix(word.text.as_str())?;
            if left.is_empty() {
                return Some(before + 1);
            }
            left = left.strip_prefix(' ')?;
        }
        None
    }
}

/// The row whose name is the longest beginning of `words`, and how many words that is.
pub(crate) fn find<'r, T>(
    tables: &[&'r [Keyword<T>]],
    words: &[Word],
) -> Option<(&'r Keyword<T>, usize)> {
    let rows = tables.iter().flat_map(|table| table.iter());
    rows.filter_map(|row| Some((row, row.matches(words)?)))
        .max_by_key(|(_, count)| *count)
}

/// Does what the row says with the words after the name; the section was checked before.
pub(crate) fn follow<T>(row: &Keyword<T>, args: &mut Args<'_>, to: &mut T) -> Result<(), Fault> {
    args.keyword = row.name;
    args.syntax = row.syntax;
    match row.status {
        Status::Supported(parse) => {
            args.check_count(row.args)?;
            parse(args, to)
        }
        Status::Ignored => {
            args.warn(Fault::no_effect(row.name));
            Ok(())
        }
        Status::Refused { why, instead } => {
            let fault = Fault::new("refused", why);
            Err(if instead.is_empty() {
                fault
            } else {
                fault.help(instead)
            })
        }
        Status::NotYet => {
            let text = format!("'{}' is not supported by Posthouse yet.", row.name);
            Err(Fault::new("not-yet", text)
                .help("HAProxy knows this keyword; remove the line, or stay with HAProxy for it"))
        }
    }
}

/// Reads the options that fill the rest of a `bind` or `server` line.
pub(crate) fn follow_options<T>(
    rows: &'static [Keyword<T>],
    list: Sections,
    args: &mut Args<'_>,
    to: &mut T,
) -> Result<(), Fault> {
    while let Some(word) = args.next() {
        let name = word.text.as_str();
        let Some(row) = rows.iter().find(|row| row.name == name) else {
            let names = rows
                .iter()
                .filter(|row| row.sections.has(list))
                .map(|row| row.name);
            let hint = suggest::hint(name, names);
            let text = format!("unknown keyword '{name}'{hint}");
            return Err(Fault::new("unknown-option", text).on(&word.span));
        };
        if !row.sections.has(list) {
            let text = format!("'{name}' is not usable here");
            return Err(Fault::new("misplaced-option", text).on(&word.span));
        }
        let (keyword, syntax) = (args.keyword, args.syntax);
        let done = option(row, args, to);
        (args.keyword, args.syntax) = (keyword, syntax);
        done.map_err(|fault| Fault {
            span: fault.span.or_else(|| Some(word.span.clone())),
            ..fault
        })?;
    }
    Ok(())
}

/// One option; those without effect skip as many words as their row says they need.
fn option<T>(row: &'static Keyword<T>, args: &mut Args<'_>, to: &mut T) -> Result<(), Fault> {
    args.keyword = row.name;
    args.syntax = row.syntax;
    if let Status::Supported(parse) = row.status {
        return parse(args, to);
    }
    if let Status::Ignored = row.status {
        for _ in 0..row.args.0 {
            args.word()?;
        }
    }
    follow(row, args, to)
}
