//! The line that begins a section: its kind, its name, and the defaults it begins with.

use std::sync::Arc;

use super::small::SMALL;
use super::{Place, Reader};
use crate::diagnostic::{At, Fault, Line, Shape, Spot};
use crate::draft::{ProxyDraft, Settings, check_name};
use crate::keyword::suggest;
use crate::lexer::Word;
use crate::model::ProxyKind;

impl Reader<'_> {
    pub(super) fn section(&mut self, words: &[Word], line: &Arc<Line>) -> Result<(), Fault> {
        self.place = Place::Skipped;
        let kind = words[0].text.as_str();
        let name = words.get(1).filter(|word| word.text != "from");
        if let Some(word) = name {
            check_name(&word.text).map_err(|c| {
                let text = format!(
                    "character '{c}' is not permitted in '{kind}' name '{}'.",
                    word.text
                );
                Fault::new("bad-name", text).on(&word.span)
            })?;
        }
        let mut rest = words.iter().skip(1 + usize::from(name.is_some()));
        let from = match rest.next() {
            None => None,
            Some(word) if word.text == "from" && kind != "global" && !SMALL.contains(&kind) => {
                let from = rest.next().ok_or_else(|| {
                    Fault::new("missing-argument", "missing name after 'from'.").on(&word.span)
                })?;
                Some(from)
            }
            Some(word) => return Err(unexpected(kind, word)),
        };
        if let Some(word) = rest.next() {
            return Err(unexpected(kind, word));
        }
        if kind == "global" {
            if let Some(word) = name {
                return Err(unexpected(kind, word));
            }
            self.place = Place::Global;
            return Ok(());
        }
        let base = self.base(from, kind)?;
        if kind == "defaults" {
            self.defaults
                .push((name.map(|word| word.text.clone()), base));
            self.place = Place::Defaults(self.defaults.len() - 1);
            return Ok(());
        }
        let Some(word) = name else {
            let text = format!(
                "'{kind}' expects an <id> argument and optionally supports 'from' <defaults_name>."
            );
            return Err(Fault::new("missing-argument", text));
        };
        let spot = Spot {
            line: Arc::clone(line),
            span: word.span.clone(),
        };
        if SMALL.contains(&kind) {
            return self.begin_small(kind, word, spot);
        }
        let kind = match kind {
            "frontend" => ProxyKind::Frontend,
            "backend" => ProxyKind::Backend,
            _ => ProxyKind::Listen,
        };
        let name: Arc<str> = word.text.as_str().into();
        self.refuse_second(&name, word)?;
        self.names
            .insert(Arc::clone(&name), self.draft.proxies.len());
        self.draft.proxies.push(ProxyDraft {
            kind,
            name: At { value: name, spot },
            settings: base,
        });
        self.place = Place::Proxy(self.draft.proxies.len() - 1);
        Ok(())
    }

    /// HAProxy 3.4: any two proxies of one name are an error.
    fn refuse_second(&self, name: &str, word: &Word) -> Result<(), Fault> {
        let Some(&first) = self.names.get(name) else {
            return Ok(());
        };
        let first = &self.draft.proxies[first];
        let text = format!(
            "{} '{name}' has the same name as {} '{name}' declared at {}.",
            "proxy",
            first.kind_name(),
            first.name.spot.at()
        );
        Err(Fault::new("duplicate-proxy", text)
            .on(&word.span)
            .shape(Shape::Name)
            .help("choose another name"))
    }

    /// What a section begins with: the named defaults, else the last ones.
    fn base(&self, from: Option<&Word>, kind: &str) -> Result<Settings, Fault> {
        let found = match from {
            Some(word) => {
                let named = self
                    .defaults
                    .iter()
                    .rev()
                    .find(|(name, _)| name.as_deref() == Some(&word.text));
                let names = self.defaults.iter().filter_map(|(name, _)| name.as_deref());
                let hint = suggest::hint(&word.text, names);
                let text = format!(
                    "unknown defaults section '{}' referenced as default section of '{kind}'{hint}",
                    word.text
                );
                Some(named.ok_or_else(|| Fault::new("unknown-defaults", text).on(&word.span))?)
            }
            // A defaults section without `from` starts afresh.
            None if kind == "defaults" => None,
            None => self.defaults.last(),
        };
        Ok(found
            .map(|(_, settings)| settings.inherit())
            .unwrap_or_default())
    }
}

fn unexpected(kind: &str, word: &Word) -> Fault {
    let text = format!(
        "'{kind}' cannot handle unexpected argument '{}'.",
        word.text
    );
    Fault::new("unexpected-argument", text).on(&word.span)
}
