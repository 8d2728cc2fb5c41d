//! What is said of a keyword that is not known, or not where it stands.

use super::PROXY_TABLES;
use crate::diagnostic::Fault;
use crate::draft::Settings;
use crate::keyword::{
    self, BACKEND, DEFAULTS, GLOBAL, Keyword, Modifier, Sections, global, suggest,
};
use crate::lexer::Word;

pub(super) fn check_modifier(negatable: bool, modifier: Modifier, name: &str) -> Result<(), Fault> {
    if negatable || modifier == Modifier::None {
        return Ok(());
    }
    let text = format!("negation or default is not supported for '{name}'.");
    Err(Fault::new("not-negatable", text).help("remove the word before it"))
}

/// The section a keyword would be known in.
pub(super) fn belongs(tables: &[&[Keyword<Settings>]], words: &[Word]) -> Option<String> {
    keyword::find(tables, words)
        .map(|(row, _)| format!("'{}' belongs into a proxy section", row.name))
}

pub(super) fn unknown(words: &[Word], kind: &str, own: Sections) -> Fault {
    let name = words.first().map_or("", |word| word.text.as_str());
    let rows = || {
        PROXY_TABLES
            .iter()
            .flat_map(|table| table.iter())
            .filter(|row| row.sections.has(own))
    };
    // Families of two words: the second is the one to look at.
    let family = format!("{name} ");
    let members: Vec<_> = rows()
        .filter_map(|row| row.name.strip_prefix(&family))
        .collect();
    if let (false, Some(second)) = (members.is_empty(), words.get(1)) {
        let hint = suggest::hint(&second.text, members.into_iter());
        let text = match name {
            "option" => format!("unknown option '{}'{hint}", second.text),
            _ => format!(
                "unknown keyword '{name} {}' in '{kind}' section{hint}",
                second.text
            ),
        };
        return Fault::new("unknown-keyword", text).on(&second.span);
    }
    let hint = suggest::hint(name, rows().map(|row| row.name));
    let text = format!("unknown keyword '{name}' in '{kind}' section{hint}");
    let fault = Fault::new("unknown-keyword", text);
    let fault = match words.first() {
        Some(word) => fault.on(&word.span),
        None => fault,
    };
    match keyword::find(&[global::ROWS], words) {
        Some((row, _)) if row.sections.has(GLOBAL) => {
            fault.help(format!("'{}' belongs into the global section", row.name))
        }
        _ => fault,
    }
}

/// In a section that has no use for it a keyword is told and ignored, as HAProxy does; in `defaults` it is an
/// error, and so is a server in a frontend.
pub(super) fn misplaced<T>(
    row: &Keyword<T>,
    own: Sections,
    kind: &str,
    name: &str,
) -> Result<(), Fault> {
    if own == DEFAULTS {
        let text = format!("'{}' not allowed in 'defaults' section.", row.name);
        return Err(Fault::new("misplaced-keyword", text).help("move it into a proxy section"));
    }
    let lacks = if own == BACKEND {
        "frontend"
    } else {
        "backend"
    };
    let because = format!("because {kind} '{name}' has no {lacks} capability.");
    // A server that nobody uses is more than a slip.
    if SERVER_LINES.contains(&row.name) {
        let text = format!("'{}' not allowed {because}", row.name);
        return Err(Fault::new("misplaced-keyword", text).help("move it into a backend or listen"));
    }
    let text = format!("'{}' ignored {because}", row.name);
    Err(Fault::warning("misplaced-keyword", text))
}

const SERVER_LINES: &[&str] = &["server", "default-server", "server-template"];
