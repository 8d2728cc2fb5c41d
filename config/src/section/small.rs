//! Sections that have nothing to do with proxies and their defaults: a name, and lines of one table.

use std::sync::Arc;

use super::{Place, Reader};
use crate::diagnostic::{At, Fault, Line, Spot};
use crate::keyword::address::Resolver;
use crate::keyword::alerts::{self, AlertsDraft};
use crate::keyword::mailers::{self, MailersDraft};
use crate::keyword::userlist::{self, UserListDraft};
use crate::keyword::{self, Args, Keyword, suggest};
use crate::lexer::Word;

/// Their kinds.
pub(super) const SMALL: &[&str] = &["userlist", "alerts", "mailers"];

impl Reader<'_> {
    /// `userlist <name>`, `alerts <name>`, `mailers <name>`.
    pub(super) fn begin_small(&mut self, kind: &str, name: &Word, spot: Spot) -> Result<(), Fault> {
        let draft = &mut self.draft;
        let known = match kind {
            "userlist" => draft.userlists.iter().any(|d| d.list.name == name.text),
            "alerts" => draft.alerts.iter().any(|d| d.name == name.text),
            _ => draft.mailers.iter().any(|d| d.name.value == name.text),
        };
        if known {
            let text = format!("{kind} '{}' is already there.", name.text);
            return Err(Fault::new("duplicate-section", text)
                .on(&name.span)
                .help("choose another name"));
        }
        self.place = match kind {
            "userlist" => {
                draft.userlists.push(UserListDraft::new(&name.text));
                Place::UserList
            }
            "alerts" => {
                draft.alerts.push(AlertsDraft::new(&name.text));
                Place::Alerts
            }
            _ => {
                let value = name.text.clone();
                draft.mailers.push(MailersDraft::new(At { value, spot }));
                Place::Mailers
            }
        };
        Ok(())
    }

    /// A line of one of those.
    pub(super) fn small(&mut self, words: &[Word], line: &Arc<Line>) -> Result<(), Fault> {
        let warnings = match self.place {
            Place::UserList => {
                let list = self.draft.userlists.last_mut();
                follow_small("userlist", userlist::ROWS, list, words, line, self.resolver)?
            }
            Place::Alerts => {
                let section = self.draft.alerts.last_mut();
                follow_small("alerts", alerts::ROWS, section, words, line, self.resolver)?
            }
            Place::Mailers => {
                let section = self.draft.mailers.last_mut();
                follow_small(
                    "mailers",
                    mailers::ROWS,
                    section,
                    words,
                    line,
                    self.resolver,
                )?
            }
            _ => Vec::new(),
        };
        for (spot, fault) in warnings {
            self.report.fault(&spot, fault);
        }
        Ok(())
    }
}

/// A line of a section whose rows are in one table; returns what there is to warn of.
fn follow_small<T>(
    kind: &'static str,
    rows: &'static [Keyword<T>],
    to: Option<&mut T>,
    words: &[Word],
    line: &Arc<Line>,
    resolver: Resolver<'_>,
) -> Result<Vec<(Spot, Fault)>, Fault> {
    let Some((row, count)) = keyword::find(&[rows], words) else {
        let first = words.first().map_or("", |word| word.text.as_str());
        // Keywords of two words are known by both.
        let second = words.get(1).map_or("", |word| word.text.as_str());
        let both = format!("{first} {second}");
        let family = rows
            .iter()
            .any(|row| row.name.starts_with(&format!("{first} ")));
        let name = if family { both.as_str() } else { first };
        let hint = suggest::hint(name, rows.iter().map(|row| row.name));
        let text = format!("unknown keyword '{name}' in '{kind}' section{hint}");
        return Err(Fault::new("unknown-keyword", text));
    };
    let Some(to) = to else { return Ok(Vec::new()) };
    let mut args = Args::new(words, count, line, resolver);
    args.section = kind;
    let done = keyword::follow(row, &mut args, to);
    let spot = args.spot();
    done.map_err(|fault| fault.or_on(&spot))?;
    let warnings = std::mem::take(&mut args.warnings);
    Ok(warnings
        .into_iter()
        .map(|fault| (spot.clone(), fault))
        .collect())
}
