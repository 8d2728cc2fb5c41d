//! `docs/keywords.md`: every keyword, from the rows that read them.

use std::fmt::Write as _;

use crate::keyword::{
    BACKEND, BIND, DEFAULT_SERVER, DEFAULTS, FRONTEND, Keyword, LISTEN, SERVER, Sections, Status,
    alerts, bind, global, mailers, server, userlist,
};
use crate::section::PROXY_TABLES;

/// Where a keyword may stand, with the letter the page has for it.
const PROXY_PLACES: &[(Sections, &str)] = &[
    (DEFAULTS, "D"),
    (FRONTEND, "F"),
    (LISTEN, "L"),
    (BACKEND, "B"),
];
const SERVER_PLACES: &[(Sections, &str)] =
    &[(SERVER, "server"), (DEFAULT_SERVER, "default-server")];

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Keywords\n\n\
         Every keyword Posthouse reads, made from the tables that read them. **yes**: does what HAProxy's manual\n\
         says. **no effect**: taken, changes nothing, and is told once at the start. **not yet**: an error that says so.\n\
         **refused**: an error that says why. A keyword that is not here is unknown, and is told with a suggestion.\n",
    );
    table(&mut page, "global", global::ROWS.iter(), &[]);
    let proxy = PROXY_TABLES.iter().flat_map(|rows| rows.iter());
    table(
        &mut page,
        "defaults (D), frontend (F), listen (L), backend (B)",
        proxy,
        PROXY_PLACES,
    );
    table(
        &mut page,
        "bind and stats socket",
        bind::ROWS.iter().filter(|row| row.sections.has(BIND)),
        &[],
    );
    table(
        &mut page,
        "server and default-server",
        server::ROWS.iter(),
        SERVER_PLACES,
    );
    table(&mut page, "userlist", userlist::ROWS.iter(), &[]);
    table(&mut page, "alerts", alerts::ROWS.iter(), &[]);
    table(&mut page, "alert webhook", alerts::OPTIONS.iter(), &[]);
    table(&mut page, "mailers", mailers::ROWS.iter(), &[]);
    table(&mut page, "mailer", mailers::OPTIONS.iter(), &[]);
    page
}

fn table<'r, T: 'static>(
    page: &mut String,
    title: &str,
    rows: impl Iterator<Item = &'r Keyword<T>>,
    places: &[(Sections, &str)],
) {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| row.name);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n\n| keyword | where | | what |\n|---|---|---|---|\n"
    );
    for row in rows {
        let mut names = places
            .iter()
            .filter(|(place, _)| row.sections.has(*place))
            .map(|(_, name)| *name);
        let separator = if places.iter().all(|(_, name)| name.len() == 1) {
            ""
        } else {
            ", "
        };
        let first = names.next().unwrap_or_default().to_owned();
        let places = names.fold(first, |all, name| all + separator + name);
        let space = if row.syntax.is_empty() { "" } else { " " };
        let form = format!("{}{space}{}", row.name, row.syntax).replace('|', "\\|");
        let (status, what) = status(row);
        let _ = writeln!(
            page,
            "| `{form}` | {places} | {status} | {} |",
            what.replace('|', "\\|")
        );
    }
}

fn status<T>(row: &Keyword<T>) -> (&'static str, String) {
    match row.status {
        Status::Supported(_) => ("yes", row.doc.to_owned()),
        Status::Ignored => ("no effect", row.doc.to_owned()),
        Status::NotYet => ("not yet", row.doc.to_owned()),
        Status::Refused { why, instead: "" } => ("refused", format!("{why}.")),
        Status::Refused { why, instead } => ("refused", format!("{why}; {instead}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `UPDATE_DOCS=1` to write the page anew.
    #[test]
    fn the_page_is_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keywords.md");
        let page = reference();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/keywords.md is not up to date: UPDATE_DOCS=1 cargo test -p posthouse-config"
        );
    }

    #[test]
    fn every_row_is_whole() {
        fn walk<T: 'static>(rows: &[&Keyword<T>]) {
            for (at, row) in rows.iter().enumerate() {
                let name = row.name;
                assert!(!name.is_empty() && name == name.trim(), "{name:?}");
                assert!(row.sections.0 != 0, "{name} stands nowhere");
                assert!(
                    row.args.0 <= row.args.1,
                    "{name} can never have enough words"
                );
                let twice = |other: &&Keyword<T>| {
                    other.name == name && other.sections.0 & row.sections.0 != 0
                };
                assert!(
                    !rows[at + 1..].iter().any(twice),
                    "{name} stands there twice"
                );
                match row.status {
                    Status::Refused { why, .. } => assert!(!why.is_empty(), "{name}: why?"),
                    _ => assert!(row.doc.ends_with('.'), "{name}: {:?}", row.doc),
                }
            }
        }
        walk(&global::ROWS.iter().collect::<Vec<_>>());
        walk(
            &PROXY_TABLES
                .iter()
                .flat_map(|rows| rows.iter())
                .collect::<Vec<_>>(),
        );
        walk(&bind::ROWS.iter().collect::<Vec<_>>());
        walk(&server::ROWS.iter().collect::<Vec<_>>());
        walk(&alerts::ROWS.iter().collect::<Vec<_>>());
        walk(&alerts::OPTIONS.iter().collect::<Vec<_>>());
        walk(&mailers::ROWS.iter().collect::<Vec<_>>());
        walk(&mailers::OPTIONS.iter().collect::<Vec<_>>());
    }

    /// What the article and its readers write must be there, and work.
    #[test]
    fn the_first_tier_is_supported() {
        let works = |wanted: &str| {
            let rows = PROXY_TABLES.iter().flat_map(|rows| rows.iter());
            let mut rows = rows.filter(|row| row.name == wanted);
            rows.any(|row| matches!(row.status, Status::Supported(_)))
        };
        for name in [
            "mode",
            "bind",
            "default_backend",
            "timeout client",
            "timeout server",
            "timeout connect",
            "timeout check",
            "timeout queue",
            "timeout tunnel",
            "timeout client-fin",
            "timeout server-fin",
            "option tcp-check",
            "tcp-check connect",
            "tcp-check send",
            "tcp-check expect",
            "option smtpchk",
            "option redispatch",
            "option allbackups",
            "option tcplog",
            "option log-health-checks",
            "option dontlognull",
            "option tcpka",
            "server",
            "default-server",
            "balance",
            "stick-table",
            "stick on",
            "stick match",
            "stick store-request",
            "log",
            "maxconn",
            "retries",
        ] {
            assert!(works(name), "{name}");
        }
    }
}
