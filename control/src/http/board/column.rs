//! The columns of the page: HAProxy's, in its groups, and how each is written.

use serde_json::{Value as Json, json};

use crate::human::{span, units};
use crate::stat::{self, Row, Value};

/// A column.
pub(in crate::http) struct Column {
    /// As in `show stat`; `check` is made of several.
    pub(in crate::http) name: &'static str,
    /// The heading over several.
    pub(in crate::http) group: &'static str,
    pub(in crate::http) title: &'static str,
    /// In full, where the title is short.
    pub(in crate::http) hint: &'static str,
    form: Form,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    /// Bytes, in units of 1000.
    Bytes,
    /// Seconds that have passed since: the moment is kept.
    Since,
    /// Seconds.
    Span,
    /// What the last check said.
    Check,
}

const fn column(
    name: &'static str,
    group: &'static str,
    title: &'static str,
    hint: &'static str,
    form: Form,
) -> Column {
    Column {
        name,
        group,
        title,
        hint,
        form,
    }
}

#[rustfmt::skip]
pub(in crate::http) const COLUMNS: &[Column] = &[
    column("qcur", "Queue", "Cur", "Sessions waiting for a slot", Form::Number),
    column("qmax", "Queue", "Max", "Most that have waited", Form::Number),
    column("qlimit", "Queue", "Limit", "maxqueue", Form::Number),
    column("rate", "Session rate", "Cur", "Sessions per second", Form::Number),
    column("rate_max", "Session rate", "Max", "Most sessions per second", Form::Number),
    column("rate_lim", "Session rate", "Limit", "rate-limit sessions", Form::Number),
    column("scur", "Sessions", "Cur", "Sessions now", Form::Number),
    column("smax", "Sessions", "Max", "Most sessions at once", Form::Number),
    column("slim", "Sessions", "Limit", "maxconn", Form::Number),
    column("stot", "Sessions", "Total", "Sessions since the start", Form::Number),
    column("lbtot", "Sessions", "LbTot", "Times it was chosen by the balance", Form::Number),
    column("lastsess", "Sessions", "Last", "Since the last session", Form::Since),
    column("bin", "Bytes", "In", "Bytes from clients", Form::Bytes),
    column("bout", "Bytes", "Out", "Bytes to clients", Form::Bytes),
    column("dcon", "Denied", "Conn", "Connections denied by rules", Form::Number),
    column("dses", "Denied", "Sess", "Sessions denied by rules", Form::Number),
    column("ereq", "Errors", "Req", "Client errors", Form::Number),
    column("econ", "Errors", "Conn", "Failed attempts to connect", Form::Number),
    column("eresp", "Errors", "Resp", "Sessions the server broke", Form::Number),
    column("wretr", "Warnings", "Retr", "Attempts repeated", Form::Number),
    column("wredis", "Warnings", "Redis", "Sessions moved to another server", Form::Number),
    column("status", "Server", "Status", "", Form::Text),
    column("lastchg", "Server", "Since", "Since the status changed", Form::Since),
    column("check", "Server", "LastChk", "What the last check said", Form::Check),
    column("weight", "Server", "Wght", "Weight", Form::Number),
    column("act", "Server", "Act", "Active servers that are usable", Form::Number),
    column("bck", "Server", "Bck", "Backup servers that are usable", Form::Number),
    column("chkfail", "Server", "Chk", "Failed checks", Form::Number),
    column("chkdown", "Server", "Dwn", "Times it went DOWN", Form::Number),
    column("downtime", "Server", "Dwntme", "Time it was DOWN", Form::Span),
    column("throttle", "Server", "Thrtle", "Percent of its weight while it warms up", Form::Number),
    column("ph_rescued", "Rescue", "Saved", "Sessions taken over from a server that failed them", Form::Number),
    column("ph_greeting_ms", "Rescue", "Greets", "Milliseconds it usually takes to greet", Form::Number),
];

/// What the check cell is made of.
const CHECK: [&str; 4] = ["check_status", "check_code", "check_duration", "last_chk"];

/// Whether it is UP and not well: a word behind its status.
const DEGRADED: &str = "ph_degraded";

/// What is told of an item beside its cells, on pages with `stats show-legends`.
const LEGENDS: [&str; 2] = ["addr", "algo"];

/// The places in `show stat` of what is needed: one for each column, then those of the check, whether it is degraded, the
/// legends and the name.
pub(super) fn picked() -> Vec<usize> {
    let names = COLUMNS.iter().map(|column| column.name);
    // The check's own place holds its status.
    let names = names.map(|name| if name == "check" { CHECK[0] } else { name });
    let names = names
        .chain(CHECK[1..].iter().copied())
        .chain([DEGRADED])
        .chain(LEGENDS)
        .chain(["svname"]);
    names
        .map(|name| stat::column(name).unwrap_or_default())
        .collect()
}

/// What stands in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Cell {
    /// Nothing: it does not apply.
    Empty,
    Text(String),
    /// Seconds since 1970.
    Since(u64),
    Number(u64),
    Bytes(u64),
    Span(u64),
}

impl Cell {
    /// As text. A moment is told by how long ago it was.
    pub(in crate::http) fn text(&self, wall: u64) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Since(then) => span(wall.saturating_sub(*then)),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => units(*bytes, "\u{202f}"),
            Self::Span(seconds) => span(*seconds),
        }
    }

    /// Moments stay numbers: how long ago they were is the reader's.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Since(then) => json!(then),
            other => json!(other.text(0)),
        }
    }

    /// Whether it is worth telling. Moments are made of whole seconds and may move by one.
    pub(super) fn differs(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Since(new), Self::Since(old)) => new.abs_diff(*old) > 1,
            _ => self != old,
        }
    }
}

/// A row's cells; `wall` is now, in seconds since 1970.
pub(super) fn cells(row: &Row, wall: u64) -> Vec<Cell> {
    let extra = &row.values[COLUMNS.len().min(row.values.len())..];
    let columns = COLUMNS.iter().zip(&row.values);
    columns
        .map(|(column, value)| match (column.form, value) {
            (_, Value::Empty) => Cell::Empty,
            (Form::Check, value) => check(value, extra),
            (Form::Text, Value::Text(text)) if column.name == "status" && degraded(extra) => {
                Cell::Text(format!("{text} degraded"))
            }
            (Form::Since, Value::Signed(ago)) => match u64::try_from(*ago) {
                Ok(ago) => Cell::Since(wall.saturating_sub(ago)),
                Err(_) => Cell::Empty,
            },
            (Form::Since, Value::Number(ago)) => Cell::Since(wall.saturating_sub(*ago)),
            (Form::Bytes, Value::Number(bytes)) => Cell::Bytes(*bytes),
            (Form::Span, Value::Number(seconds)) => Cell::Span(*seconds),
            (_, Value::Number(number)) => Cell::Number(*number),
            (_, Value::Signed(number)) => Cell::Text(number.to_string()),
            (_, Value::Text(text)) => Cell::Text(text.clone()),
        })
        .collect()
}

fn degraded(extra: &[Value]) -> bool {
    extra.get(CHECK.len() - 1) == Some(&Value::Number(1))
}

/// Its name.
pub(super) fn name(row: &Row) -> String {
    match row.values.last() {
        Some(Value::Text(name)) => name.clone(),
        _ => String::new(),
    }
}

/// A server's address, or a backend's balance; nothing where they are not for everyone's eyes.
pub(super) fn legend(row: &Row) -> String {
    let values = row.values.iter().rev().skip(1).take(LEGENDS.len());
    let mut texts = values.filter_map(|value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    });
    texts.next_back().unwrap_or_default()
}

/// The status among a row's cells.
pub(super) fn status(cells: &[Cell]) -> &str {
    let place = COLUMNS.iter().position(|column| column.name == "status");
    match place.and_then(|place| cells.get(place)) {
        Some(Cell::Text(text)) => text,
        _ => "",
    }
}

/// `L7OK 220 in 3 ms: 220 mail ready`. That a check runs right now is no news.
fn check(status: &Value, extra: &[Value]) -> Cell {
    let Value::Text(status) = status else {
        return Cell::Empty;
    };
    let mut said = status.trim_start_matches("* ").to_owned();
    let [code, duration, info, ..] = extra else {
        return Cell::Text(said);
    };
    if let Value::Number(code) = code {
        said.push_str(&format!(" {code}"));
    }
    if let Value::Number(duration) = duration {
        said.push_str(&format!(" in {duration} ms"));
    }
    if let Value::Text(info) = info
        && !info.is_empty()
    {
        said.push_str(&format!(": {info}"));
    }
    Cell::Text(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_one_of_show_stat() {
        let places = picked();
        assert_eq!(places.len(), COLUMNS.len() + 7);
        for (column, place) in COLUMNS.iter().zip(&places) {
            let name = if column.name == "check" {
                "check_status"
            } else {
                column.name
            };
            assert_eq!(stat::column(name), Some(*place), "{name}");
        }
    }

    #[test]
    fn what_a_check_said() {
        let text = |text: &str| Value::Text(text.into());
        let said = check(
            &text("* L7OK"),
            &[Value::Number(220), Value::Number(3), text("220 mail ready")],
        );
        assert_eq!(said, Cell::Text("L7OK 220 in 3 ms: 220 mail ready".into()));
        assert_eq!(
            check(&text("INI"), &[Value::Empty, Value::Empty, Value::Empty]),
            Cell::Text("INI".into())
        );
    }

    #[test]
    fn a_moment_that_wavers_is_no_news() {
        assert!(!Cell::Since(100).differs(&Cell::Since(101)));
        assert!(Cell::Since(100).differs(&Cell::Since(102)));
        assert!(Cell::Number(1).differs(&Cell::Number(2)));
        assert_eq!(Cell::Since(100).text(165), "1m05s");
        assert_eq!(Cell::Bytes(4_200).text(0), "4.2\u{202f}k");
    }
}
