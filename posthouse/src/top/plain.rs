//! The table as plain text, for `--once`: every column as wide as it must be.

use super::board::{Board, Kind};
use super::column::{COLUMNS, Column};
use super::view::View;

/// Who serves, then the rows.
pub(super) fn table(board: &Board, view: &View) -> String {
    let mut out = format!(
        "{}  up {}  {} of {} connections  {} new/s\n",
        board.fact("Version"),
        board.fact("Uptime"),
        board.fact("CurrConns"),
        board.fact("Maxconn"),
        board.fact("SessRate"),
    );
    for line in board.lines.iter().filter(|line| line.kind == Kind::Backend) {
        out.push_str(&format!(
            "{} <- {}\n",
            line.proxy,
            board.serving(&line.proxy)
        ));
    }
    // What is per second needs a second answer.
    let per_second = |column: &&Column| !["in", "out"].contains(&column.name);
    let columns: Vec<_> = COLUMNS.iter().filter(per_second).collect();
    let titles = columns.iter().map(|column| column.title.to_owned());
    let mut rows = vec![titles.collect::<Vec<_>>()];
    rows.extend(view.rows(board).into_iter().map(|line| {
        let cells = columns.iter().map(|column| (column.cell)(line));
        cells.collect()
    }));
    let width = |place: usize| {
        rows.iter()
            .map(|row| row[place].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    out.push('\n');
    for row in &rows {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&columns).zip(&widths) {
            line.push_str(&match column.right {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:<width$}  "),
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::board;
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let said = table(&board("DOWN"), &View::new(0, "s".into()));
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines[0],
            "3.4  up 0d 0h01m02s  3 of 100 connections   new/s"
        );
        assert_eq!(lines[1], "be <- backup s2");
        let at = |line: &str, what: &str| line.find(what).unwrap();
        assert_eq!(at(lines[3], "STATUS"), at(lines[4], "DOWN"));
        assert_eq!(lines.len(), 7, "{said}");
    }
}
