//! The columns: one row each, with what is shown and how it is sorted.

use std::cmp::Ordering;

use control::human::{span, units};

use super::board::{Kind, Line};

/// A column.
pub(super) struct Column {
    /// For `--sort`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Cells; 0 takes what the others leave.
    pub(super) width: u16,
    /// It is shown in terminals at least so wide.
    pub(super) from: u16,
    pub(super) right: bool,
    pub(super) cell: fn(&Line) -> String,
    /// The largest or worst first.
    pub(super) order: fn(&Line, &Line) -> Ordering,
}

const fn column(
    name: &'static str,
    title: &'static str,
    (width, from): (u16, u16),
    right: bool,
    cell: fn(&Line) -> String,
    order: fn(&Line, &Line) -> Ordering,
) -> Column {
    Column {
        name,
        title,
        width,
        from,
        right,
        cell,
        order,
    }
}

#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    column("proxy", "PROXY", (18, 0), false, |l| l.proxy.clone(), |_, _| Ordering::Equal),
    column("server", "SERVER", (18, 0), false, server, |a, b| a.server.cmp(&b.server)),
    column("status", "STATUS", (11, 0), false, |l| l.status.clone(), |a, b| a.mood().cmp(&b.mood())),
    column("since", "SINCE", (7, 0), true, |l| l.since.map_or(String::new(), span), |a, b| a.since.unwrap_or(u64::MAX).cmp(&b.since.unwrap_or(u64::MAX))),
    column("sessions", "SESS", (6, 0), true, |l| l.sessions.to_string(), |a, b| b.sessions.cmp(&a.sessions)),
    column("limit", "LIMIT", (6, 124), true, |l| l.limit.map_or(String::new(), |limit| limit.to_string()), |a, b| b.limit.cmp(&a.limit)),
    column("rate", "NEW/s", (6, 0), true, |l| l.rate.to_string(), |a, b| b.rate.cmp(&a.rate)),
    column("waiting", "WAIT", (5, 96), true, |l| l.waiting.to_string(), |a, b| b.waiting.cmp(&a.waiting)),
    column("in", "IN/s", (7, 140), true, |l| l.bytes_in.map_or_else(dash, |bytes| units(bytes, "")), |a, b| b.bytes_in.cmp(&a.bytes_in)),
    column("out", "OUT/s", (7, 140), true, |l| l.bytes_out.map_or_else(dash, |bytes| units(bytes, "")), |a, b| b.bytes_out.cmp(&a.bytes_out)),
    column("failed", "FAILED", (7, 104), true, |l| l.failed.to_string(), |a, b| b.failed.cmp(&a.failed)),
    column("moved", "MOVED", (6, 150), true, |l| l.moved.to_string(), |a, b| b.moved.cmp(&a.moved)),
    column("check", "LAST CHECK", (0, 80), false, |l| l.check.clone(), |a, b| a.check.cmp(&b.check)),
];

/// Those a terminal of that width has room for.
pub(super) fn shown(width: u16) -> impl Iterator<Item = (usize, &'static Column)> {
    COLUMNS
        .iter()
        .enumerate()
        .filter(move |(_, column)| column.from <= width)
}

pub(super) fn by_name(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

pub(super) fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

fn server(line: &Line) -> String {
    match (line.kind, line.backup) {
        (Kind::Server, true) => format!("{} (backup)", line.server),
        (Kind::Server, false) => line.server.clone(),
        (Kind::Frontend | Kind::Backend, _) => line.server.to_lowercase(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_where_they_are_shown() {
        for width in 80_u16..200 {
            let fixed: u16 = shown(width).map(|(_, column)| column.width + 1).sum();
            let left = width.saturating_sub(fixed);
            assert!(left >= if width < 96 { 7 } else { 16 }, "{width}: {left}");
        }
        let mut names = names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
