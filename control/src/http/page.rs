//! The page of statistics: one self-contained document, readable without scripts.

use std::fmt::Write as _;
use std::time::Duration;

use config::model::StatsPage;

use crate::Desk;
use crate::info;
use crate::stat::{self, Kind, Row, Value};

/// What is shown of each row, and the words above it.
const COLUMNS: &[(&str, &str)] = &[
    ("svname", "server"),
    ("status", "status"),
    ("lastchg", "since (s)"),
    ("last_chk", "last check"),
    ("scur", "sessions"),
    ("smax", "most"),
    ("stot", "total"),
    ("rate", "per s"),
    ("qcur", "waiting"),
    ("bin", "bytes in"),
    ("bout", "bytes out"),
    ("econ", "failed"),
    ("wredis", "moved away"),
    ("ph_rescued", "rescued"),
    ("ph_greeting_ms", "greets in (ms)"),
];

const STYLE: &str = "
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.up { color: #1a7f37; } .down { color: #d1242f; font-weight: 600; } .other { color: #9a6700; }
.now { font-size: 1.1rem; }
@media (prefers-color-scheme: dark) { .up { color: #3fb950; } .down { color: #ff7b72; } .other { color: #d29922; } }
";

/// The document.
pub(super) fn html(
    desk: &Desk,
    conf: &StatsPage,
    refresh: Option<Duration>,
    rows: &[Row],
) -> String {
    let info = info::values(desk);
    let fact = |name: &str| {
        let found = info.iter().find(|(known, _)| *known == name);
        escaped(found.map_or("", |(_, value)| value))
    };
    let mut out =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    if let Some(refresh) = refresh {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<meta http-equiv=\"refresh\" content=\"{}\">",
            refresh.as_secs()
        );
    }
    let _ = writeln!(
        out,
        "<title>Posthouse: statistics</title><style>{STYLE}</style></head><body><main>"
    );
    out.push_str("<h1>Posthouse</h1>\n<p>");
    if !conf.hide_version {
        let _ = write!(out, "Version {}. ", fact("Version"));
    }
    if conf.show_node {
        let _ = write!(out, "Node {}. ", fact("node"));
    }
    if let Some(text) = &conf.show_desc {
        let text = if text.is_empty() {
            fact("description")
        } else {
            escaped(text)
        };
        let _ = write!(out, "{text}. ");
    }
    let _ = writeln!(
        out,
        "Up {}, {} of {} connections, {} sessions per second.</p>",
        fact("Uptime"),
        fact("CurrConns"),
        fact("Maxconn"),
        fact("SessRate"),
    );
    serving(&mut out, rows);
    let mut last = None;
    for row in rows {
        if last.replace(row.proxy) != Some(row.proxy) {
            if last.is_some() && !out.ends_with("<!-- -->") {
                close(&mut out);
            }
            open(&mut out, text(row, "pxname"));
        }
        line(&mut out, row);
    }
    close(&mut out);
    out.push_str("</main></body></html>\n");
    out
}

/// What one wants at 3 a.m.: who serves each service right now.
fn serving(out: &mut String, rows: &[Row]) {
    out.push_str("<h2>Who serves now</h2>\n<ul class=\"now\">\n");
    for backend in rows.iter().filter(|row| row.kind == Kind::Backend) {
        let servers = rows
            .iter()
            .filter(|row| row.kind == Kind::Server && row.proxy == backend.proxy);
        let usable: Vec<_> = servers
            .filter(|row| is_up(text(row, "status")) && number(row, "ph_reserve") == 0)
            .collect();
        let actives = usable.iter().filter(|row| number(row, "bck") == 0).count();
        let names: Vec<_> = if actives > 0 {
            usable
                .iter()
                .filter(|row| number(row, "bck") == 0)
                .map(|row| text(row, "svname"))
                .collect()
        } else {
            usable
                .iter()
                .take(1)
                .map(|row| text(row, "svname"))
                .collect()
        };
        let (class, who) = match (names.is_empty(), actives) {
            (true, _) => ("down", "nobody: no server is usable".to_owned()),
            (false, 0) => ("other", format!("backup {}", names.join(", "))),
            (false, _) => ("up", names.join(", ")),
        };
        let _ = writeln!(
            out,
            "<li><b>{}</b>: <span class=\"{class}\">{}</span></li>",
            escaped(text(backend, "pxname")),
            escaped(&who)
        );
    }
    out.push_str("</ul>\n");
}

fn open(out: &mut String, name: &str) {
    let name = escaped(name);
    let _ = write!(
        out,
        "<h2 id=\"{name}\">{name}</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{name}\"><table>\n<tr>"
    );
    for (_, title) in COLUMNS {
        let _ = write!(out, "<th scope=\"col\">{title}</th>");
    }
    out.push_str("</tr>\n");
}

fn close(out: &mut String) {
    if out.ends_with("</tr>\n") {
        out.push_str("</table></div>\n");
    }
}

fn line(out: &mut String, row: &Row) {
    out.push_str("<tr>");
    for (column, _) in COLUMNS {
        let value = stat::column(column).and_then(|column| row.values.get(column));
        let _ = match (value, *column) {
            (Some(Value::Text(text)), "svname") => {
                write!(out, "<th scope=\"row\">{}</th>", escaped(text))
            }
            (Some(Value::Text(text)), "status") => {
                write!(out, "<td class=\"{}\">{}</td>", class(text), escaped(text))
            }
            (Some(Value::Text(text)), _) => write!(out, "<td>{}</td>", escaped(text)),
            (Some(Value::Number(number)), _) => write!(out, "<td class=\"number\">{number}</td>"),
            (Some(Value::Signed(number)), _) => write!(out, "<td class=\"number\">{number}</td>"),
            (Some(Value::Empty) | None, _) => write!(out, "<td></td>"),
        };
    }
    out.push_str("</tr>\n");
}

fn class(status: &str) -> &'static str {
    match status.split(' ').next().unwrap_or_default() {
        "UP" if status.len() > 2 => "other",
        "UP" | "OPEN" | "no" => "up",
        "DOWN" | "STOP" => "down",
        _ => "other",
    }
}

fn is_up(status: &str) -> bool {
    status.starts_with("UP") || status == "no check"
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    match stat::column(column).and_then(|column| row.values.get(column)) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn number(row: &Row, column: &str) -> u64 {
    match stat::column(column).and_then(|column| row.values.get(column)) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
