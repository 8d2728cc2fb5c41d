//! Rows as text: CSV (RFC 4180), `typed` (a line per value) and `json` (MGT 9.3).

use std::fmt::Write as _;

use super::fields::{FIELDS, Field};
use super::{Kind, Row, Value};
use crate::describe;
use crate::typed::{self, Tag};

/// Header first, every line ends with a comma.
pub(crate) fn csv(rows: &[Row]) -> String {
    let mut out = String::from("# ");
    for field in FIELDS {
        out.push_str(field.name);
        out.push(',');
    }
    out.push('\n');
    for row in rows {
        for value in &row.values {
            match value {
                Value::Empty => {}
                // Writing to a string cannot fail.
                Value::Number(number) => drop(write!(out, "{number}")),
                Value::Signed(number) => drop(write!(out, "{number}")),
                Value::Text(text) => push_quoted(&mut out, text),
            }
            out.push(',');
        }
        out.push('\n');
    }
    out
}

/// `show stat domain resolvers`: its header, and no row.
pub(crate) const RESOLVERS: &str = "# id,pid,sent,send_error,valid,update,cname,cname_error,any_err,nx,timeout,refused,\
    other,invalid,too_big,truncated,outdated,\n";

/// `S.<iid>.<sid>.<column>.<name>.<process>:<tags>:<type>:<value>`; an empty line after each row. With `desc` a line
/// ends with what the column is.
pub(crate) fn typed(rows: &[Row], desc: bool) -> String {
    let mut out = String::new();
    for row in rows {
        let letter = match row.kind {
            Kind::Frontend => 'F',
            Kind::Listener => 'L',
            Kind::Backend => 'B',
            Kind::Server => 'S',
        };
        for (column, field, value) in told(row) {
            let _ = writeln!(
                out,
                "{letter}.{}.{}.{column}.{}.1:{}:{}{}",
                row.proxy,
                row.id,
                field.name,
                tag(row, field).text(),
                plain(value),
                describe::suffix(desc, field.name),
            );
        }
        out.push('\n');
    }
    // The answer's own empty line ends the last row.
    out.pop();
    out
}

/// An array of rows, each an array of values.
pub(crate) fn json(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        let kind = match row.kind {
            Kind::Frontend => "Frontend",
            Kind::Listener => "Listener",
            Kind::Backend => "Backend",
            Kind::Server => "Server",
        };
        let values = told(row).map(|(column, field, value)| {
            let head = format!(
                "\"objType\":\"{kind}\",\"proxyId\":{},\"id\":{},",
                row.proxy, row.id
            );
            let value = match value {
                Value::Text(text) => typed::string(text),
                number => plain(number),
            };
            tag(row, field).json(&head, column, field.name, &value)
        });
        format!("[{}]", typed::join(values))
    });
    format!("[{}]\n", typed::join(rows))
}

/// The values there are. The separator column is for CSV alone.
fn told(row: &Row) -> impl Iterator<Item = (usize, &'static Field, &Value)> {
    FIELDS
        .iter()
        .enumerate()
        .zip(&row.values)
        .map(|((column, field), value)| (column, field, value))
        .filter(|(_, field, value)| **value != Value::Empty && field.name != "-")
}

/// HAProxy calls some of a backend's numbers gauges that are other things elsewhere.
fn tag(row: &Row, field: &'static Field) -> Tag {
    let gauge =
        row.kind == Kind::Backend && ["act", "bck", "rate", "rate_max"].contains(&field.name);
    Tag(if gauge { "MGP:u32" } else { field.tag })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Number(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// A field in quotes where CSV needs them (RFC 4180).
fn push_quoted(out: &mut String, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) {
        let _ = write!(out, "\"{}\"", text.replace('"', "\"\""));
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_is_quoted() {
        let mut out = String::new();
        push_quoted(&mut out, "plain text");
        push_quoted(&mut out, "a,\"b\"");
        assert_eq!(out, "plain text\"a,\"\"b\"\"\"");
    }
}
