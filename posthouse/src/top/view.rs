//! What the user has set, and what a key does. Pure: knows no terminal.

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::board::{Board, Kind, Line};
use super::column::COLUMNS;

/// What is to happen after a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    None,
    Quit,
    Suspend,
    /// A command for the socket.
    Send(String),
}

/// What the keys `d`, `r` and `m` ask for, before it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    /// It leaves a backend without a server.
    pub(super) grave: bool,
    command: String,
}

/// The user's choices.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) sort: usize,
    pub(super) reverse: bool,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    /// Frontends and backends too.
    pub(super) all: bool,
    pub(super) help: bool,
    pub(super) question: Option<Question>,
    /// What became of the last command, and whether it failed.
    pub(super) message: Option<(String, bool)>,
    /// Why the proxy is not reached.
    pub(super) lost: Option<String>,
    /// By name, so that it stays when rows move.
    selected: Option<(String, String)>,
    /// Rows a page has: told by who draws.
    pub(super) page: usize,
}

impl View {
    pub(super) fn new(sort: usize, filter: String) -> Self {
        Self {
            sort,
            filter,
            all: true,
            page: 10,
            ..Self::default()
        }
    }

    pub(super) fn tell(&mut self, text: String, failed: bool) {
        self.message = Some((text, failed));
    }

    pub(super) fn reached(&mut self, lost: Option<String>) {
        self.lost = lost;
    }

    /// The rows in their order.
    pub(super) fn rows<'b>(&self, board: &'b Board) -> Vec<&'b Line> {
        let wanted = self.filter.to_lowercase();
        let fits = |line: &&Line| {
            let has = |text: &str| text.to_lowercase().contains(&wanted);
            (self.all || line.kind == Kind::Server)
                && (wanted.is_empty() || has(&line.proxy) || has(&line.server) || has(&line.status))
        };
        let mut rows: Vec<_> = board.lines.iter().filter(fits).collect();
        let order = COLUMNS.get(self.sort).map(|column| column.order);
        // Stable: what is equal stays in the order of the configuration.
        rows.sort_by(|a, b| order.map_or(Ordering::Equal, |order| order(a, b)));
        if self.reverse {
            rows.reverse();
        }
        rows
    }

    /// Where the selected row is: the first, where it is gone or nothing was selected.
    pub(super) fn place(&self, rows: &[&Line]) -> usize {
        let is_it = |line: &&Line| {
            self.selected
                .as_ref()
                .is_some_and(|(proxy, server)| *proxy == line.proxy && *server == line.server)
        };
        rows.iter().position(is_it).unwrap_or(0)
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent, board: &Board) -> Act {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Act::Quit,
                KeyCode::Char('z') => Act::Suspend,
                _ => Act::None,
            };
        }
        self.message = None;
        if let Some(question) = self.question.take() {
            return self.confirm(question, key.code);
        }
        if self.typing {
            self.type_filter(key.code);
            return Act::None;
        }
        if std::mem::take(&mut self.help) {
            return Act::None;
        }
        match key.code {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('<') | KeyCode::Left => self.sort = self.sort.saturating_sub(1),
            KeyCode::Char('>') | KeyCode::Right => {
                self.sort = (self.sort + 1).min(COLUMNS.len() - 1);
            }
            KeyCode::Char('o') => self.reverse = !self.reverse,
            KeyCode::Char('a') => self.all = !self.all,
            KeyCode::Char('d') => self.ask("drain", board),
            KeyCode::Char('r') => self.ask("ready", board),
            KeyCode::Char('m') => self.ask("maint", board),
            code => self.move_to(code, board),
        }
        Act::None
    }

    /// Only `y` confirms; any other key leaves all as it is.
    fn confirm(&mut self, question: Question, code: KeyCode) -> Act {
        if let KeyCode::Char('y' | 'Y') = code {
            return Act::Send(question.command);
        }
        self.tell("nothing done".into(), false);
        Act::None
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(char) => self.filter.push(char),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => (self.typing, self.filter) = (false, String::new()),
            _ => {}
        }
    }

    fn move_to(&mut self, code: KeyCode, board: &Board) {
        let rows = self.rows(board);
        let (at, last) = (self.place(&rows), rows.len().saturating_sub(1));
        let at = match code {
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
            KeyCode::PageUp => at.saturating_sub(self.page),
            KeyCode::PageDown | KeyCode::Char(' ') => (at + self.page).min(last),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => return,
        };
        self.selected = rows
            .get(at)
            .map(|line| (line.proxy.clone(), line.server.clone()));
    }

    /// Asks before anything is done to the selected server.
    fn ask(&mut self, state: &str, board: &Board) {
        let rows = self.rows(board);
        let Some(line) = rows
            .get(self.place(&rows))
            .filter(|line| line.kind == Kind::Server)
        else {
            return self.tell("select a server first".into(), true);
        };
        let (backend, server) = (&line.proxy, &line.server);
        let grave = state != "ready" && board.is_last(backend, server);
        let what = match state {
            "drain" => format!(
                "Drain {backend}/{server}? Its {} sessions go on, no new ones come.",
                line.sessions
            ),
            "maint" => format!("Maintenance for {backend}/{server}? No new sessions, no checks."),
            _ => format!("Make {backend}/{server} ready?"),
        };
        let last = match grave {
            true => format!(" It is the LAST server that serves {backend}!"),
            false => String::new(),
        };
        // The question is about what was selected when it was asked, whatever moves meanwhile.
        self.selected = Some((backend.clone(), server.clone()));
        self.question = Some(Question {
            text: format!("{what}{last} [y/N]"),
            grave,
            command: format!("set server {backend}/{server} state {state}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::board;
    use super::super::column::by_name;
    use super::*;

    fn press(view: &mut View, board: &Board, keys: &str) -> Act {
        let mut act = Act::None;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                key => KeyCode::Char(key),
            };
            act = view.key(KeyEvent::new(code, KeyModifiers::NONE), board);
        }
        act
    }

    fn names(view: &View, board: &Board) -> Vec<String> {
        let rows = view.rows(board).into_iter();
        rows.map(|line| line.server.clone()).collect()
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        let board = board("UP");
        let mut view = View::new(0, String::new());
        assert_eq!(press(&mut view, &board, "d"), Act::None);
        assert!(view.question.is_none(), "a frontend cannot be drained");
        assert_eq!(press(&mut view, &board, "jdn"), Act::None);
        assert_eq!(press(&mut view, &board, "dq"), Act::None, "q is no yes");
        let sent = |state: &str| Act::Send(format!("set server be/s1 state {state}"));
        assert_eq!(press(&mut view, &board, "dy"), sent("drain"));
        assert_eq!(press(&mut view, &board, "mY"), sent("maint"));
        assert_eq!(press(&mut view, &board, "ry"), sent("ready"));
        assert_eq!(press(&mut view, &board, "q"), Act::Quit);
    }

    #[test]
    fn the_last_server_is_told() {
        let board = board("DOWN");
        let mut view = View::new(0, String::new());
        press(&mut view, &board, "jjd");
        let question = view.question.clone().unwrap();
        assert!(
            question.grave && question.text.contains("be/s2"),
            "{question:?}"
        );
        press(&mut view, &board, "nkd");
        assert!(!view.question.unwrap().grave);
    }

    #[test]
    fn filter_and_order() {
        let board = board("DOWN");
        let mut view = View::new(0, String::new());
        assert_eq!(
            names(&view, &board),
            ["FRONTEND", "s1", "s2", "s3", "BACKEND"]
        );
        press(&mut view, &board, "a/dOwN\n");
        assert_eq!(names(&view, &board), ["s1"]);
        press(&mut view, &board, "\x1b");
        view.sort = by_name("status").unwrap();
        assert_eq!(names(&view, &board), ["s1", "s3", "s2"]);
        press(&mut view, &board, "o");
        assert_eq!(names(&view, &board), ["s2", "s3", "s1"]);
        // `d` and `q` are letters while a filter is typed.
        assert_eq!(press(&mut view, &board, "/dq"), Act::None);
        assert_eq!(view.filter, "dq");
    }

    #[test]
    fn the_selection_stays_with_its_server() {
        let board = board("UP");
        let mut view = View::new(0, String::new());
        press(&mut view, &board, "jj");
        assert_eq!(view.place(&view.rows(&board)), 2);
        view.sort = by_name("sessions").unwrap();
        view.reverse = true;
        let rows = view.rows(&board);
        assert_eq!(rows[view.place(&rows)].server, "s2");
        press(&mut view, &board, "GjjG");
        press(&mut view, &board, "gk");
        assert_eq!(view.place(&view.rows(&board)), 0);
    }
}
