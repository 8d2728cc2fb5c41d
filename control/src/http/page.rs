//! The page of statistics: one self-contained document. It is whole and can be used without scripts; with them it
//! stays as it is and is brought up to date in place (`page/page.js`, by [`super::live`]).
//!
//! Above what a mail operator wants at night: who serves, what happened, what the checks say. Below HAProxy's table.

mod table;

use std::fmt::Write as _;
use std::time::Duration;

use config::model::StatsPage;
use engine::event::Event;

use super::House;
use super::board::{Board, Item, Mood};
use super::live::{Scope, sees};
use crate::event;
use crate::info;
use crate::stat::Kind;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// A mark for a tab: the sign of a post house.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%23475569'/%3E%3Cpath d='M3 5h10v7H3z M3 5l5 4 5-4' fill='none' stroke='white'/%3E%3C/svg%3E";

/// What is asked for.
pub(super) struct Look<'l> {
    pub(super) conf: &'l StatsPage,
    pub(super) scope: &'l Scope,
    /// `;up`: without what is down.
    pub(super) up: bool,
    /// `;no-maint`.
    pub(super) no_maint: bool,
    pub(super) refresh: Option<Duration>,
    /// Whether there are buttons.
    pub(super) admin: bool,
    /// `;st=`: how a form went.
    pub(super) result: Option<&'l str>,
    /// What stands behind the page's address.
    pub(super) asked: &'l str,
}

impl Look<'_> {
    fn shows(&self, item: &Item) -> bool {
        let down = matches!(item.mood, Mood::Down | Mood::Apart);
        let maint = item
            .cell("status")
            .is_some_and(|status| status.text(0) == "MAINT");
        item.kind != Kind::Server || !(self.up && down || self.no_maint && maint)
    }
}

/// The document.
pub(super) fn html(house: &House, look: &Look<'_>, nonce: &str) -> String {
    let desk = &house.desk;
    let shown = |proxy: &engine::Proxy| sees(look.scope, proxy.index);
    let mut board = Board::now(desk, &shown, look.conf.show_legends);
    board.items.retain(|item| look.shows(item));
    let mut out = String::with_capacity(32 * 1024 + board.items.len() * 4096);
    head(&mut out, house, look, nonce, &board);
    out.push_str("<main>\n");
    if let Some(result) = look.result {
        self::result(&mut out, result, &look.conf.uri);
    }
    table::services(&mut out, house, look, &board);
    timeline(&mut out, house, look);
    table::numbers(&mut out, house, look, &board);
    out.push_str("</main>\n");
    if look.admin {
        dialog(&mut out, look, house.token.as_deref().unwrap_or_default());
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<script nonce=\"{nonce}\">{SCRIPT}</script>\n</body></html>"
    );
    out
}

fn head(out: &mut String, house: &House, look: &Look<'_>, nonce: &str, board: &Board) {
    let (conf, uri) = (look.conf, escaped(&look.conf.uri));
    let info = info::values(&house.desk);
    let fact = |name: &str| {
        let found = info.iter().find(|(known, _)| *known == name);
        escaped(found.map_or("", |(_, value)| value))
    };
    let (verdict, mood) = &board.verdict;
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} Posthouse</title>\n<link rel=\"icon\" href=\"{ICON}\">\n",
        escaped(verdict)
    );
    if let Some(refresh) = look.refresh {
        let _ = writeln!(
            out,
            "<noscript><meta http-equiv=\"refresh\" content=\"{}\"></noscript>",
            refresh.as_secs()
        );
    }
    // What the script has to know; a page that leaves servers out does not miss them.
    let whole = !(look.up || look.no_maint);
    let query = look
        .asked
        .split([';', '?', '&'])
        .find(|word| word.starts_with("scope="));
    let query = query.map_or(String::new(), |scope| format!(";{}", escaped(scope)));
    let _ = write!(
        out,
        "<style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n\
         <body data-uri=\"{uri}\" data-query=\"{query}\" data-now=\"{}\" data-whole=\"{whole}\">\n\
         <a class=\"skip\" href=\"#services\">To the services</a>\n<header>\n<h1>Posthouse",
        board.wall_ms
    );
    if conf.show_node {
        let _ = write!(out, " <span class=\"node\">on {}</span>", fact("node"));
    }
    out.push_str("</h1>\n");
    let _ = writeln!(
        out,
        "<p id=\"verdict\" role=\"status\" data-mood=\"{}\"><span class=\"mark\"></span><span>{}</span></p>",
        mood.name(),
        escaped(verdict)
    );
    let mut first = Vec::new();
    if let Some(text) = &conf.show_desc {
        first.push(if text.is_empty() {
            fact("description")
        } else {
            escaped(text)
        });
    }
    if !conf.hide_version {
        first.push(format!("version {}", fact("Version")));
    }
    first.retain(|text| !text.is_empty());
    let first: String = first
        .iter()
        .map(|text| format!("<span>{text}</span> "))
        .collect();
    let _ = writeln!(
        out,
        "<p class=\"facts\">{first}<span>up <span data-f=\"Uptime\">{}</span></span> \
         <span><span data-f=\"CurrConns\">{}</span> of <span data-f=\"Maxconn\">{}</span> connections</span> \
         <span><span data-f=\"SessRate\">{}</span> new per second</span> \
         <span id=\"live\">as of {}</span></p>",
        fact("Uptime"),
        fact("CurrConns"),
        fact("Maxconn"),
        fact("SessRate"),
        clock(board.wall_ms),
    );
    out.push_str(
        "<nav aria-label=\"Parts of this page\"><a href=\"#services\">Services</a> <a href=\"#happened\">What happened</a> \
         <a href=\"#numbers\">All numbers</a></nav>\n</header>\n",
    );
}

/// How a form went, for who has no scripts; the words are HAProxy's meanings.
fn result(out: &mut String, code: &str, uri: &str) {
    let (mood, text) = match code {
        "DONE" => (Mood::Up, "Done."),
        "NONE" => (Mood::Doubt, "Nothing was changed: no server was chosen."),
        "PART" => (
            Mood::Doubt,
            "Done for some of the servers; the others refused.",
        ),
        "ERRP" => (
            Mood::Down,
            "Nothing was changed: there is no such server or action.",
        ),
        "EXCD" => (Mood::Down, "Nothing was changed: the form was too long."),
        "DENY" => (
            Mood::Down,
            "Nothing was changed: `stats admin` does not allow it from here.",
        ),
        _ => (Mood::Doubt, "It is not known what became of the form."),
    };
    let _ = writeln!(
        out,
        "<p class=\"result\" role=\"status\" data-mood=\"{}\"><span class=\"mark\"></span>{text} <a href=\"{}\">Close</a></p>",
        mood.name(),
        escaped(uri)
    );
}

/// The newest first.
fn timeline(out: &mut String, house: &House, look: &Look<'_>) {
    out.push_str(
        "<section id=\"happened\" aria-labelledby=\"happened-title\"><h2 id=\"happened-title\">What happened</h2>\n\
         <ol id=\"events\">\n",
    );
    for event in house.live.lately(look.scope) {
        entry(out, &event);
    }
    out.push_str("</ol>\n<p class=\"empty\">Nothing has happened since the start.</p></section>\n");
}

fn entry(out: &mut String, event: &Event) {
    let level = event::level(event.level);
    let _ = writeln!(
        out,
        "<li data-level=\"{level}\"><time datetime=\"{}\">{}</time> <span class=\"mark\"></span><span>{}</span></li>",
        event::utc(event.wall_ms),
        clock(event.wall_ms),
        escaped(&event.text)
    );
}

/// Asks before a button acts, and the form the buttons belong to.
fn dialog(out: &mut String, look: &Look<'_>, token: &str) {
    let _ = write!(
        out,
        "<form id=\"act\" method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{token}\"></form>\n\
         <dialog id=\"ask\" aria-labelledby=\"ask-title\"><form method=\"dialog\"><h2 id=\"ask-title\"></h2><p id=\"ask-text\"></p>\n\
         <p class=\"buttons\"><button value=\"no\" autofocus>Leave it</button> <button value=\"yes\" id=\"ask-yes\"></button></p></form></dialog>\n\
         <p id=\"toast\" role=\"status\"></p>\n",
        escaped(&look.conf.uri)
    );
}

/// The hour, as the machine has it.
fn clock(wall_ms: u64) -> String {
    let millis = i64::try_from(wall_ms).unwrap_or(0);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = stamp.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%b %d %H:%M:%S").to_string()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What a server says must not steer what shows it.
            char if char.is_control() => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for part in [STYLE, SCRIPT] {
            for word in [
                "http:",
                "https:",
                "//cdn",
                "@import",
                "url(",
                "eval(",
                "innerHTML",
                "</script",
                "</style",
            ] {
                assert!(!part.contains(word), "{word}");
            }
        }
    }

    proptest! {
        /// Nothing a server or a configuration says becomes markup.
        #[test]
        fn text_stays_text(text in any::<String>()) {
            let safe = escaped(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            prop_assert!(safe.chars().all(|char| !char.is_control()));
        }
    }
}
