//! The tables of the page: a card for each service with its servers, and HAProxy's table of all proxies.

use std::fmt::Write as _;

use super::super::House;
use super::super::board::{Board, COLUMNS, Cell, Column, Item};
use super::{Look, escaped};
use crate::stat::Kind;

/// Rows of HAProxy's table that are open at first; with more, each proxy's is folded.
const OPEN: usize = 60;

/// What can be done to a server: HAProxy's word, and a verb.
const ACTIONS: [(&str, &str); 3] = [("ready", "Ready"), ("drain", "Drain"), ("maint", "Maint")];

/// The cards.
pub(super) fn services(out: &mut String, house: &House, look: &Look<'_>, board: &Board) {
    out.push_str(
        "<section id=\"services\" aria-labelledby=\"services-title\">\n<div class=\"bar\"><h2 id=\"services-title\">Services</h2>\
         <label class=\"only\"><input type=\"checkbox\" id=\"only\"> only what is not up</label></div>\n<div class=\"cards\">\n",
    );
    let services = board.items.iter().filter(|item| item.serving.is_some());
    let mut any = false;
    for service in services {
        any = true;
        card(out, house, look, board, service);
    }
    out.push_str("</div>\n");
    if !any {
        out.push_str("<p>No backend with servers is shown here.</p>\n");
    }
    out.push_str("</section>\n");
}

fn card(out: &mut String, house: &House, look: &Look<'_>, board: &Board, service: &Item) {
    let name = proxy_name(house, service);
    let (key, wall) = (&service.key, board.wall_ms / 1000);
    let text = |column: &str| {
        service
            .cell(column)
            .map_or(String::new(), |cell| cell.text(wall))
    };
    let (said, last) = match &service.serving {
        Some(serving) => (
            serving.text.as_str(),
            serving.last.as_deref().unwrap_or_default(),
        ),
        None => ("", ""),
    };
    let messages = match house.live.messages(service.place.0) {
        Some(rate) => format!("<span><b data-f=\"mail {key}\">{rate}</b> messages/s</span>"),
        None => "<span>messages are not known in mode tcp</span>".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<article class=\"service\" data-k=\"{key}\" data-mood=\"{}\" data-last=\"{}\" aria-labelledby=\"t{key}\">\n\
         <h3 id=\"t{key}\"><span class=\"mark\"></span>{name}</h3>\n\
         <p class=\"now\" data-c=\"serving\">{}</p>\n\
         <p class=\"pulse\">\
         <span><b data-c=\"rate\">{}</b> sessions/s</span> <span><b data-c=\"scur\">{}</b> open</span> {messages}{}<svg viewBox=\"0 0 120 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><polyline points=\"\"/></svg></p>\n",
        service.mood.name(),
        escaped(last),
        escaped(said),
        text("rate"),
        text("scur"),
        legend(service),
    );
    let servers = || {
        board
            .items
            .iter()
            .filter(|item| item.kind == Kind::Server && item.place.0 == service.place.0)
    };
    let long = if servers().count() > 12 { " long" } else { "" };
    let _ = write!(
        out,
        "<div class=\"scroll{long}\" tabindex=\"0\" role=\"region\" aria-label=\"Servers of {name}\"><table class=\"servers\">\n\
         <thead><tr><th scope=\"col\">Server</th><th scope=\"col\">Status</th>\
         <th scope=\"col\">Last check</th><th scope=\"col\" class=\"n\">Open</th><th scope=\"col\" class=\"n\">New/s</th>"
    );
    if look.admin {
        out.push_str("<th scope=\"col\" class=\"do\">Do</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for server in servers() {
        self::server(out, house, look, server, wall);
    }
    out.push_str("</tbody></table></div>\n</article>\n");
}

fn server(out: &mut String, house: &House, look: &Look<'_>, item: &Item, wall: u64) {
    let proxy = &house.desk.plane.topology().proxies[item.place.0];
    let name = escaped(&item.name);
    let servers = proxy.back.as_ref().map(engine::backend::Backend::servers);
    let server = servers
        .as_ref()
        .and_then(|servers| servers.at(item.place.1));
    let backup = match server.is_some_and(|server| server.conf.backup) {
        true => " <span class=\"tag\">backup</span>",
        false => "",
    };
    let _ = write!(
        out,
        "<tr data-k=\"{}\" data-mood=\"{}\"><th scope=\"row\"{}>{name}{backup}</th>",
        item.key,
        item.mood.name(),
        hint(&item.legend),
    );
    let cell = |column: &str| {
        let since = match item.cell(column) {
            Some(Cell::Since(then)) => format!(" data-since=\"{then}\""),
            _ => String::new(),
        };
        let text = item
            .cell(column)
            .map_or(String::new(), |cell| cell.text(wall));
        format!("data-c=\"{column}\"{since}>{}", escaped(&text))
    };
    let _ = write!(
        out,
        "<td class=\"status\"><span class=\"mark\"></span><span {}</span><span class=\"since\" {}</span></td>\
         <td class=\"check\" {}</td><td class=\"n\" {}</td><td class=\"n\" {}</td>",
        cell("status"),
        cell("lastchg"),
        cell("check"),
        cell("scur"),
        cell("rate")
    );
    if look.admin {
        let backend = escaped(proxy.name());
        out.push_str("<td class=\"do\">");
        for (action, verb) in ACTIONS {
            let _ = write!(
                out,
                "<button form=\"act\" name=\"do\" value=\"{action} {backend} {name}\" aria-label=\"{verb} {backend}/{name}\">{verb}</button>"
            );
        }
        out.push_str("</td>");
    }
    out.push_str("</tr>\n");
}

/// HAProxy's table.
pub(super) fn numbers(out: &mut String, house: &House, look: &Look<'_>, board: &Board) {
    let uri = escaped(&look.conf.uri);
    let _ = writeln!(
        out,
        "<section id=\"numbers\" aria-labelledby=\"numbers-title\"><div class=\"bar\"><h2 id=\"numbers-title\">All numbers</h2>\
         <p>as <a href=\"{uri};csv\">CSV</a>, <a href=\"{uri};json\">JSON</a></p></div>"
    );
    let open = if board.items.len() <= OPEN {
        " open"
    } else {
        ""
    };
    let mut rest = &board.items[..];
    while let Some(first) = rest.first() {
        let own = rest
            .iter()
            .take_while(|item| item.place.0 == first.place.0)
            .count();
        let (items, after) = rest.split_at(own);
        rest = after;
        let name = proxy_name(house, first);
        let _ = write!(
            out,
            "<details{open}><summary><h3>{name}</h3></summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
             aria-label=\"Numbers of {name}\"><table class=\"numbers\">\n<thead>{}</thead>\n<tbody>\n",
            heading()
        );
        for item in items {
            line(out, item, board.wall_ms / 1000);
        }
        out.push_str("</tbody></table></div></details>\n");
    }
    out.push_str("</section>\n");
}

/// Groups above, columns below.
fn heading() -> String {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for column in COLUMNS {
        match groups.last_mut() {
            Some((group, count)) if *group == column.group => *count += 1,
            _ => groups.push((column.group, 1)),
        }
    }
    let group = |(group, count): &(&str, usize)| {
        format!("<th scope=\"colgroup\" colspan=\"{count}\">{group}</th>")
    };
    let column = |column: &Column| {
        format!(
            "<th scope=\"col\"{}{}>{}</th>",
            wide(column),
            hint(column.hint),
            column.title
        )
    };
    format!(
        "<tr><td></td>{}</tr>\n<tr><td></td>{}</tr>",
        groups.iter().map(group).collect::<String>(),
        COLUMNS.iter().map(column).collect::<String>(),
    )
}

fn line(out: &mut String, item: &Item, wall: u64) {
    let name = match item.kind {
        Kind::Server | Kind::Listener => escaped(&item.name),
        Kind::Backend => "Backend".to_owned(),
        Kind::Frontend => "Frontend".to_owned(),
    };
    let _ = write!(
        out,
        "<tr data-k=\"{}\" data-mood=\"{}\" data-kind=\"{:?}\"><th scope=\"row\"{}>{name}</th>",
        item.key,
        item.mood.name(),
        item.kind,
        hint(&item.legend),
    );
    for (column, cell) in COLUMNS.iter().zip(&item.cells) {
        let since = match cell {
            Cell::Since(then) => format!(" data-since=\"{then}\""),
            _ => String::new(),
        };
        let class = wide(column);
        let _ = write!(
            out,
            "<td{class} data-c=\"{}\"{since}>{}</td>",
            column.name,
            escaped(&cell.text(wall))
        );
    }
    out.push_str("</tr>\n");
}

fn proxy_name(house: &House, item: &Item) -> String {
    escaped(house.desk.plane.topology().proxies[item.place.0].name())
}

/// Columns of words.
fn wide(column: &Column) -> &'static str {
    match column.name {
        "status" | "check" => " class=\"w\"",
        _ => "",
    }
}

fn hint(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(" title=\"{}\"", escaped(text)),
    }
}

fn legend(item: &Item) -> String {
    match item.legend.as_str() {
        "" => String::new(),
        text => format!(" <span class=\"legend\">balance {}</span>", escaped(text)),
    }
}
