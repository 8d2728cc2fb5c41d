//! What is shown, from two answers of the socket: the rows of `show stat`, and what has changed since. Pure.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use control::answer::{Row, Table, facts};

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Frontend,
    Server,
    Backend,
}

/// How a status is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mood {
    Bad,
    Apart,
    Doubtful,
    Good,
}

/// A frontend, server or backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) proxy: String,
    pub(super) server: String,
    pub(super) status: String,
    pub(super) backup: bool,
    /// Seconds since the status changed; frontends have none.
    pub(super) since: Option<u64>,
    pub(super) sessions: u64,
    pub(super) limit: Option<u64>,
    /// Sessions that began in the last second.
    pub(super) rate: u64,
    pub(super) waiting: u64,
    /// Bytes per second, once there are two answers.
    pub(super) bytes_in: Option<u64>,
    pub(super) bytes_out: Option<u64>,
    pub(super) failed: u64,
    pub(super) moved: u64,
    /// What the last check said.
    pub(super) check: String,
}

impl Line {
    pub(super) fn mood(&self) -> Mood {
        match self.status.split(' ').next().unwrap_or_default() {
            "UP" if self.status.len() > 2 => Mood::Doubtful,
            "UP" | "OPEN" | "no" => Mood::Good,
            "DOWN" | "STOP" => Mood::Bad,
            _ => Mood::Apart,
        }
    }

    /// Whether new sessions may go there.
    pub(super) fn serves(&self) -> bool {
        self.kind == Kind::Server && (self.status.starts_with("UP") || self.status == "no check")
    }

    fn key(&self) -> (String, String) {
        (self.proxy.clone(), self.server.clone())
    }
}

/// The last answer, and the one before it for what is per second.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) lines: Vec<Line>,
    facts: HashMap<String, String>,
    /// Bytes in and out by row, and when.
    bytes: HashMap<(String, String), (u64, u64)>,
    at: Duration,
}

impl Board {
    /// Takes the answer to `show info;show stat`; `now` grows.
    pub(super) fn take(&mut self, answer: &str, now: Duration) -> anyhow::Result<()> {
        let (info, csv) = answer
            .split_once("# pxname,")
            .context("this is no stats socket: it does not answer 'show stat'")?;
        let table = Table::parse(&format!("# pxname,{csv}")).context("no table")?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.facts = facts(info).map(owned).collect();
        let past = now.saturating_sub(self.at).as_millis() as u64;
        let mut bytes = HashMap::new();
        let mut lines = Vec::new();
        for row in table.rows() {
            let Some(mut line) = line(&row) else { continue };
            let count = |column| row.number(column).unwrap_or(0);
            let total = (count("bin"), count("bout"));
            if let Some(before) = self.bytes.get(&line.key()).filter(|_| past > 0) {
                let per_second = |new: u64, old: u64| Some(new.saturating_sub(old) * 1000 / past);
                line.bytes_in = per_second(total.0, before.0);
                line.bytes_out = per_second(total.1, before.1);
            }
            bytes.insert(line.key(), total);
            lines.push(line);
        }
        (self.lines, self.bytes, self.at) = (lines, bytes, now);
        Ok(())
    }

    /// A line of `show info`; nothing where it is not told.
    pub(super) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// How many servers are well, in doubt, down, and taken out by hand.
    pub(super) fn moods(&self) -> [(Mood, usize); 4] {
        let servers = || self.lines.iter().filter(|line| line.kind == Kind::Server);
        [Mood::Good, Mood::Doubtful, Mood::Bad, Mood::Apart]
            .map(|mood| (mood, servers().filter(|line| line.mood() == mood).count()))
    }

    /// Who gets a backend's new sessions, in words: active servers, or the backup that stands in.
    pub(super) fn serving(&self, backend: &str) -> String {
        let servers = |backup| {
            let of =
                move |line: &&Line| line.proxy == backend && line.serves() && line.backup == backup;
            self.lines
                .iter()
                .filter(of)
                .map(|line| line.server.as_str())
        };
        let active: Vec<_> = servers(false).collect();
        match (active.len(), servers(true).next()) {
            (0, None) => "nobody".to_owned(),
            (0, Some(backup)) => format!("backup {backup}"),
            (1..=3, _) => active.join(", "),
            (many, _) => format!("{many} servers"),
        }
    }

    /// Whether nobody would serve the backend without that server.
    pub(super) fn is_last(&self, backend: &str, server: &str) -> bool {
        let of = |line: &&Line| line.proxy == backend && line.serves();
        let mut serving = self.lines.iter().filter(of);
        serving.next().is_some_and(|line| line.server == server) && serving.next().is_none()
    }
}

fn line(row: &Row<'_>) -> Option<Line> {
    let kind = match row.number("type")? {
        0 => Kind::Frontend,
        1 => Kind::Backend,
        2 => Kind::Server,
        // Listeners have nothing to say here.
        _ => return None,
    };
    let count = |column| row.number(column).unwrap_or(0);
    Some(Line {
        kind,
        proxy: row.text("pxname").to_owned(),
        server: row.text("svname").to_owned(),
        status: status(row),
        backup: kind == Kind::Server && count("bck") > 0,
        since: row.number("lastchg"),
        sessions: count("scur"),
        limit: row.number("slim"),
        rate: count("rate"),
        waiting: count("qcur"),
        bytes_in: None,
        bytes_out: None,
        failed: count("econ") + count("eresp"),
        moved: count("wredis"),
        check: check(row),
    })
}

/// `UP`, and whether it is well: HAProxy has no word for that.
fn status(row: &Row<'_>) -> String {
    let status = row.text("status");
    match row.number("ph_degraded") {
        Some(1) => format!("{status} degraded"),
        _ => status.to_owned(),
    }
}

fn check(row: &Row<'_>) -> String {
    let words = [
        row.text("check_status"),
        row.text("check_code"),
        row.text("last_chk"),
    ];
    let said: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    // A server's words go to a terminal: nothing of them may steer it.
    said.join(" ")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frontend, a backend with an active, a backup and a server in maintenance.
    pub(crate) fn answer(bytes: u64, s1: &str) -> String {
        format!(
            "Name: HAProxy\nVersion: 3.4\nUptime: 0d 0h01m02s\nCurrConns: 3\nMaxconn: 100\n\n\
             # pxname,svname,type,status,bck,lastchg,scur,slim,rate,qcur,bin,bout,econ,eresp,wredis,check_status,check_code,last_chk,\n\
             fe,FRONTEND,0,OPEN,,,3,100,7,,9,9,,,,,,,\n\
             be,s1,2,{s1},0,65,3,,7,0,{bytes},0,1,1,2,L7OK,220,220 mail ready,\n\
             be,s2,2,UP,1,5,0,10,0,0,0,0,0,0,0,* L4OK,,,\n\
             be,s3,2,MAINT,0,5,0,,0,0,0,0,0,0,0,,,,\n\
             be,BACKEND,1,UP,1,65,3,10,7,0,9,9,1,1,2,,,,\n\n"
        )
    }

    pub(crate) fn board(s1: &str) -> Board {
        let mut board = Board::default();
        board.take(&answer(0, s1), Duration::ZERO).unwrap();
        board
    }

    #[test]
    fn rates_are_of_two_answers() {
        let mut board = board("UP");
        assert_eq!(board.lines[1].bytes_in, None);
        board
            .take(&answer(3000, "UP"), Duration::from_millis(1500))
            .unwrap();
        assert_eq!(board.lines[1].bytes_in, Some(2000));
        // A proxy that has begun anew.
        board
            .take(&answer(10, "UP"), Duration::from_millis(2500))
            .unwrap();
        assert_eq!(board.lines[1].bytes_in, Some(0));
        assert_eq!(board.fact("CurrConns"), "3");
        assert_eq!(board.lines[1].check, "L7OK 220 220 mail ready");
        assert_eq!(board.lines[1].failed, 2);
        assert!(board.take("HTTP/1.1 400 Bad\n", Duration::MAX).is_err());
    }

    #[test]
    fn who_is_degraded_serves_and_is_in_doubt() {
        let mut board = Board::default();
        let answer = answer(0, "UP")
            .replace("last_chk,\n", "last_chk,ph_degraded,\n")
            .replace("220 mail ready,\n", "degraded: full,1,\n");
        board.take(&answer, Duration::ZERO).unwrap();
        assert_eq!(board.lines[1].status, "UP degraded");
        assert_eq!(board.lines[1].mood(), Mood::Doubtful);
        assert_eq!(board.serving("be"), "s1");
    }

    #[test]
    fn who_serves_and_who_is_the_last() {
        assert_eq!(board("UP").serving("be"), "s1");
        assert!(!board("UP").is_last("be", "s1"));
        let on_backup = board("DOWN");
        assert_eq!(on_backup.serving("be"), "backup s2");
        assert!(on_backup.is_last("be", "s2") && !on_backup.is_last("be", "s1"));
        assert_eq!(board("UP").serving("nope"), "nobody");
        let moods = on_backup.moods().map(|(_, count)| count);
        assert_eq!(moods, [1, 0, 1, 1]);
    }
}
