//! The names of check results, one row each (haproxy-compat 3.5; MGT 9.1 `check_status`).

use super::Status;

/// What a status means for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Says nothing.
    Neutral,
    /// The server works.
    Passed,
    /// The server works, and shall get no new sessions.
    Conditional,
    /// The server does not work.
    Failed,
}

struct Row(Status, &'static str, &'static str, Verdict);

use Verdict::{Conditional, Failed, Neutral, Passed};

const ROWS: &[Row] = &[
    Row(Status::Unknown, "UNK", "Unknown", Neutral),
    Row(Status::Initializing, "INI", "Initializing", Neutral),
    Row(Status::Checked, "CHECKED", "No status change", Neutral),
    Row(Status::Hana, "HANA", "Health analyze", Failed),
    Row(Status::SocketError, "SOCKERR", "Socket error", Failed),
    Row(Status::L4Ok, "L4OK", "Layer4 check passed", Passed),
    Row(Status::L4Timeout, "L4TOUT", "Layer4 timeout", Failed),
    Row(Status::L4Con, "L4CON", "Layer4 connection problem", Failed),
    Row(Status::L6Ok, "L6OK", "Layer6 check passed", Passed),
    Row(Status::L6Timeout, "L6TOUT", "Layer6 timeout", Failed),
    Row(Status::L6Rsp, "L6RSP", "Layer6 invalid response", Failed),
    Row(Status::L7Timeout, "L7TOUT", "Layer7 timeout", Failed),
    Row(Status::L7Rsp, "L7RSP", "Layer7 invalid response", Failed),
    Row(Status::L7Ok, "L7OK", "Layer7 check passed", Passed),
    Row(
        Status::L7Okc,
        "L7OKC",
        "Layer7 check conditionally passed",
        Conditional,
    ),
    Row(Status::L7Sts, "L7STS", "Layer7 wrong status", Failed),
    Row(Status::ProcErr, "PROCERR", "External check error", Failed),
    Row(
        Status::ProcTimeout,
        "PROCTOUT",
        "External check timeout",
        Failed,
    ),
    Row(Status::ProcOk, "PROCOK", "External check passed", Passed),
];

impl Status {
    fn row(self) -> &'static Row {
        // Every status has a row; a test walks them.
        ROWS.iter().find(|row| row.0 == self).unwrap_or(&ROWS[0])
    }

    /// The short name: `L7OK`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The words of the log: `Layer7 check passed`.
    pub fn description(self) -> &'static str {
        self.row().2
    }

    /// What it means for the server.
    pub fn verdict(self) -> Verdict {
        self.row().3
    }

    /// The number in `show servers state`.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether a reply code belongs to it; HAProxy shows `code: N` only then.
    pub fn has_code(self) -> bool {
        self as u8 >= Self::L7Ok as u8
    }
}

impl Verdict {
    /// The number in `show servers state` (`srv_check_result`).
    pub fn number(self) -> u8 {
        match self {
            Self::Neutral => 1,
            Self::Failed => 2,
            Self::Passed => 3,
            Self::Conditional => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_own_row() {
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!(row.0.name(), row.1);
            assert!(
                ROWS[place + 1..]
                    .iter()
                    .all(|other| other.1 != row.1 && other.0 != row.0)
            );
        }
        // 2 and 14 are numbers HAProxy skips; the last is 20.
        assert_eq!(ROWS.len(), 19);
    }
}
