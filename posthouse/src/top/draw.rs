//! Board and view on the screen: facts above, the table, the keys or a question below.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};

use super::board::{Board, Kind, Line, Mood};
use super::column;
use super::view::View;

const KEYS: &str = "q quit  ? help  / filter  < > sort  o order  a all  d drain  r ready  m maint";

const HELP: &[&str] = &[
    "up down j k PgUp PgDn g G   select a row",
    "d  drain: sessions go on, no new ones come",
    "m  maintenance: no sessions, no checks",
    "r  ready: back in service",
    "   each asks first; only y confirms",
    "/  filter by proxy, server or status; Esc clears it",
    "< >  sort by another column    o  the other way round",
    "a  with frontends and backends, or servers alone",
    "q  quit    Ctrl-Z  suspend",
    "",
    "any key leaves this page",
];

pub(super) fn style(mood: Mood) -> Style {
    match mood {
        Mood::Good => Style::new().fg(Color::Green),
        Mood::Doubtful => Style::new().fg(Color::Yellow),
        Mood::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Mood::Apart => Style::new().fg(Color::Cyan),
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, view: &mut View, address: &str) {
    let [head, serving, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(self::head(board, address), head);
    frame.render_widget(self::serving(board, view), serving);
    rows(frame, table, board, view);
    frame.render_widget(self::foot(view), foot);
    if view.help {
        help(frame);
    }
}

fn head(board: &Board, address: &str) -> Paragraph<'static> {
    let facts = format!(
        "{address}  {}  up {}  {} of {} connections  {} new/s",
        board.fact("Version"),
        board.fact("Uptime"),
        board.fact("CurrConns"),
        board.fact("Maxconn"),
        board.fact("SessRate"),
    );
    Paragraph::new(facts).style(Style::new().add_modifier(Modifier::BOLD))
}

/// How the servers are, and who serves each backend now; or that the proxy is not reached.
fn serving(board: &Board, view: &View) -> Paragraph<'static> {
    if let Some(why) = &view.lost {
        let text = format!("NOT REACHED, what is shown is old: {why}");
        return Paragraph::new(text).style(style(Mood::Bad).add_modifier(Modifier::REVERSED));
    }
    let words = ["up", "in doubt", "DOWN", "out"];
    let mut spans = Vec::new();
    for ((mood, count), word) in board.moods().into_iter().zip(words) {
        let quiet = count == 0;
        let style = if quiet {
            Style::new().add_modifier(Modifier::DIM)
        } else {
            style(mood)
        };
        spans.push(Span::styled(format!("{count} {word}  "), style));
    }
    let backends = board.lines.iter().filter(|line| line.kind == Kind::Backend);
    let mut backends: Vec<_> = backends
        .map(|line| {
            let who = board.serving(&line.proxy);
            let mood = match who.as_str() {
                "nobody" => Mood::Bad,
                who if who.starts_with("backup ") => Mood::Doubtful,
                _ => Mood::Good,
            };
            (mood, &line.proxy, who)
        })
        .collect();
    // What is wrong first: the line may be too short for all.
    backends.sort_by_key(|(mood, ..)| *mood);
    for (mood, backend, who) in backends {
        spans.push(Span::raw(format!(" {backend} <- ")));
        spans.push(Span::styled(who, style(mood)));
    }
    Paragraph::new(Text::from(spans))
}

fn rows(frame: &mut Frame<'_>, area: Rect, board: &Board, view: &mut View) {
    view.page = usize::from(area.height.saturating_sub(2)).max(1);
    let columns: Vec<_> = column::shown(area.width).collect();
    let lines = view.rows(board);
    let mark = if view.reverse { "▲" } else { "▼" };
    let header = columns.iter().map(|(place, column)| {
        let title = match *place == view.sort && view.sort > 0 {
            true => format!("{}{mark}", column.title),
            false => column.title.to_owned(),
        };
        aligned(title, column.right)
    });
    let selected = view.place(&lines);
    // Only what is on the screen is made.
    let first = selected.saturating_sub(view.page.saturating_sub(1));
    let seen = lines.iter().skip(first).take(view.page + 1);
    let body = seen.map(|line| {
        let cells = columns.iter().map(|(_, column)| {
            let cell = aligned((column.cell)(line), column.right);
            if column.name == "status" {
                cell.style(style(line.mood()))
            } else {
                cell
            }
        });
        Row::new(cells.collect::<Vec<_>>()).style(tone(line))
    });
    let widths = columns.iter().map(|(_, column)| match column.width {
        0 => Constraint::Fill(1),
        width => Constraint::Length(width),
    });
    let header =
        Row::new(header.collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::REVERSED));
    let table = Table::new(body.collect::<Vec<_>>(), widths.collect::<Vec<_>>())
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected((!lines.is_empty()).then(|| selected - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn tone(line: &Line) -> Style {
    match line.kind {
        Kind::Server => Style::new(),
        Kind::Frontend | Kind::Backend => Style::new().add_modifier(Modifier::DIM),
    }
}

fn aligned(text: String, right: bool) -> Cell<'static> {
    let alignment = if right {
        Alignment::Right
    } else {
        Alignment::Left
    };
    Cell::from(Text::from(text).alignment(alignment))
}

fn foot(view: &View) -> Paragraph<'_> {
    if let Some(question) = &view.question {
        let mood = if question.grave {
            Mood::Bad
        } else {
            Mood::Doubtful
        };
        return Paragraph::new(question.text.as_str())
            .style(style(mood).add_modifier(Modifier::REVERSED));
    }
    if view.typing {
        return Paragraph::new(format!("filter: {}_", view.filter));
    }
    let filter = match view.filter.as_str() {
        "" => String::new(),
        filter => format!("filter: {filter} (Esc clears)  "),
    };
    let said = match &view.message {
        Some((text, true)) => Span::styled(text.as_str(), style(Mood::Bad)),
        Some((text, false)) => Span::styled(text.as_str(), style(Mood::Good)),
        None => Span::raw(KEYS),
    };
    Paragraph::new(Text::from(vec![Span::raw(filter), said]))
}

fn help(frame: &mut Frame<'_>) {
    let all = frame.area();
    let (width, height) = (60.min(all.width), (HELP.len() as u16 + 2).min(all.height));
    let area = Rect::new(
        (all.width - width) / 2,
        (all.height - height) / 2,
        width,
        height,
    );
    let text: Vec<Text<'_>> = HELP.iter().map(|line| Text::from(*line)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(text).block(Block::bordered().title(" Keys ")),
        area,
    );
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::board::tests::board;
    use super::*;

    fn screen(board: &Board, view: &mut View, size: (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal
            .draw(|frame| draw(frame, board, view, "/run/x"))
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines = buffer.content().chunks(usize::from(size.0));
        lines
            .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>() + "\n")
            .collect()
    }

    #[test]
    fn it_is_all_there_and_in_words() {
        let board = board("DOWN");
        let mut view = View::new(0, String::new());
        let said = screen(&board, &mut view, (140, 12));
        for part in [
            "/run/x  3.4  up 0d 0h01m02s",
            "1 DOWN",
            "be <- backup s2",
            "s2 (backup)",
            "L7OK 220",
            "q quit",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        view.reached(Some("nobody listens there".into()));
        assert!(screen(&board, &mut view, (140, 12)).contains("NOT REACHED"));
    }

    #[test]
    fn any_size_is_drawn() {
        let board = board("UP");
        let mut view = View::new(2, String::new());
        for code in ['j', 'd', 'n', '?'] {
            view.key(
                KeyEvent::new(KeyCode::Char(code), KeyModifiers::NONE),
                &board,
            );
            for size in [(1, 1), (10, 3), (40, 5), (80, 24), (300, 80)] {
                screen(&board, &mut view, size);
            }
        }
    }
}
