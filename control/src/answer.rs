//! Answers of the stats socket read back, HAProxy's and our own: `posthouse ctl` and `posthouse top` stand on this.
//!
//! Pure, and takes whatever comes: a line that is not understood is left out or stays text.

mod json;

use std::collections::HashMap;

pub use json::json;

/// `show stat` (MGT 9.1): rows by the names of their columns.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    places: HashMap<String, usize>,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'t> {
    table: &'t Table,
    cells: &'t [String],
}

impl Table {
    /// Reads CSV (RFC 4180) whose header begins with `# `. `None`: there is no such header.
    pub fn parse(text: &str) -> Option<Self> {
        let mut records = records(text.trim_start().strip_prefix("# ")?).into_iter();
        let mut names = records.next()?;
        // Every line ends with a comma.
        names.pop_if(|last| last.is_empty());
        let places = names.iter().cloned().zip(0..).collect();
        let rows = records.filter(|cells| cells.len() > 1).collect();
        Some(Self {
            places,
            names,
            rows,
        })
    }

    /// In the order they came.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { table: self, cells })
    }
}

impl<'t> Row<'t> {
    /// What stands in a column; nothing where there is none of that name.
    pub fn text(&self, column: &str) -> &'t str {
        let place = self.table.places.get(column);
        let cell = place.and_then(|place| self.cells.get(*place));
        cell.map_or("", String::as_str)
    }

    /// A column's number. `None`: it is empty, missing or none.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }
}

/// Records of CSV: commas between cells, cells in quotes where they hold a comma, a quote or an end of line.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            char if quoted => cell.push(char),
            ',' => record.push(std::mem::take(&mut cell)),
            '\n' => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            '\r' => {}
            char => cell.push(char),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

/// The lines `Name: value` of `show info`.
pub fn facts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(fact)
}

fn fact(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    // Names have no blanks but those of words (`Build info`); a sentence with a colon is none.
    let named = !name.is_empty() && name.len() < 40 && !name.starts_with([' ', '\'', '[']);
    (named && (value.is_empty() || value.starts_with(' '))).then(|| (name, value.trim()))
}

/// Messages carry their severity after `set severity-output number` (MGT 9.3).
const LEVELS: std::ops::RangeInclusive<u8> = b'0'..=b'7';

/// What a line of commands is preceded with, so that a refusal can be told from an answer.
pub const WITH_SEVERITY: &str = "set severity-output number;";

/// Reads the answer to a line that began with [`WITH_SEVERITY`], line by line as it comes.
#[derive(Debug, Default)]
pub struct Hearing {
    /// The answer to `set severity-output` is over.
    begun: bool,
    /// The next line is not an answer's first.
    within: bool,
    /// An empty line ends an answer; it is told when another follows.
    ended: bool,
    refused: bool,
}

impl Hearing {
    /// Takes a line with its end; returns what of it is to be shown.
    pub fn line(&mut self, line: &str) -> String {
        let empty = line.trim_end_matches(['\r', '\n']).is_empty();
        if !self.begun {
            // A server that does not know `set severity-output` says so here.
            self.begun = empty;
            return String::new();
        }
        if empty {
            let twice = std::mem::replace(&mut self.ended, true);
            self.within = false;
            return if twice {
                "\n".to_owned()
            } else {
                String::new()
            };
        }
        let (level, said) = match self.within {
            true => (None, line),
            false => severity(line),
        };
        self.refused |= !self.within && (level.is_some_and(|level| level <= 3) || is_refusal(said));
        self.within = true;
        let gap = if std::mem::take(&mut self.ended) {
            "\n"
        } else {
            ""
        };
        format!("{gap}{said}")
    }

    /// Whether a command was refused so far.
    pub fn refused(&self) -> bool {
        self.refused
    }
}

fn severity(line: &str) -> (Option<u8>, &str) {
    match line.as_bytes() {
        [b'[', level, b']', b':', b' ', ..] if LEVELS.contains(level) => {
            (Some(level - b'0'), &line[5..])
        }
        _ => (None, line),
    }
}

/// What is said below the severity of an error, or by a server that tells none.
fn is_refusal(line: &str) -> bool {
    line.starts_with("Unknown command") || line.starts_with("Permission denied")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stat;

    #[test]
    fn tables_are_read_by_name() {
        let text = "# pxname,svname,last_chk,scur,\nbe,s1,\"says \"\"no\"\", twice\nover\",7,\nbe,s2,,,\n\n";
        let table = Table::parse(text).unwrap();
        let rows: Vec<_> = table.rows().collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].text("last_chk"), "says \"no\", twice\nover");
        assert_eq!(rows[0].number("scur"), Some(7));
        assert_eq!(rows[1].number("scur"), None);
        assert_eq!(rows[1].text("nothing"), "");
        assert_eq!(Table::parse("No such proxy.\n"), None);
    }

    #[test]
    fn facts_are_lines_with_a_colon() {
        let said: Vec<_> = facts("Name: HAProxy\nBuild info: 3.4\ndescription: \n\nx\n").collect();
        assert_eq!(
            said,
            [
                ("Name", "HAProxy"),
                ("Build info", "3.4"),
                ("description", "")
            ]
        );
    }

    /// What is shown of an answer, and whether it is a refusal.
    fn heard(text: &str) -> (String, bool) {
        let mut hearing = Hearing::default();
        let lines = text.split_inclusive('\n');
        let shown = lines.map(|line| hearing.line(line)).collect();
        (shown, hearing.refused())
    }

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        for (said, shown, refused) in [
            ("\n\n", "", false),
            ("\nname: x\n\n", "name: x\n", false),
            ("\n[3]: No such server.\n\n", "No such server.\n", true),
            ("\n[4]: IP changed\n\n", "IP changed\n", false),
            (
                "\n[6]: Unknown command: 'x'\n  help\n\n",
                "Unknown command: 'x'\n  help\n",
                true,
            ),
            // Several on a line, the second refused.
            ("\none\n\n[3]: two\n\n", "one\n\ntwo\n", true),
            // Only what begins an answer is a message.
            ("\nsubject\n[3]: text\n\n", "subject\n[3]: text\n", false),
            // A server that tells no severities.
            (
                "Unknown command: 'set'\n  help\n\nanswer\n\n",
                "answer\n",
                false,
            ),
        ] {
            assert_eq!(heard(said), (shown.to_owned(), refused), "{said}");
        }
    }

    proptest! {
        /// What `show stat` writes is what is read.
        #[test]
        fn csv_survives_the_way(said in "[ -~\n\"]{0,40}", number in any::<u64>()) {
            let mut values = vec![stat::Value::Empty; 119];
            values[0] = stat::Value::Text("be".into());
            values[stat::column("last_chk").unwrap()] = stat::Value::Text(said.clone());
            values[stat::column("scur").unwrap()] = stat::Value::Number(number);
            let row = stat::Row { kind: stat::Kind::Server, proxy: 1, id: 1, place: (0, 0), values };
            let table = Table::parse(&stat::csv(&[row])).unwrap();
            let read = table.rows().next().unwrap();
            prop_assert_eq!(read.text("last_chk"), said);
            prop_assert_eq!(read.number("scur"), Some(number));
        }

        /// Whatever is answered, reading it ends, and is JSON.
        #[test]
        fn anything_is_read(text in "(# pxname,|# |0x1: |Name: |\\[3\\]: |[ -~\n])*") {
            let _ = heard(&text);
            let said = json(&text);
            prop_assert!(!said.is_empty() && !said.contains('\n'));
        }
    }
}
