//! What is told of an incident: in a line, in a text, and as the JSON that webhooks get. Its names are in
//! `docs/alerts.md`; they are added to and do not change their meaning.

use engine::Level;
use serde::Serialize;

use super::certificate::Stage;
use super::incident::{Message, Problem, Status, Subject, Told};
use crate::event::utc;
use crate::human::span;

impl Message {
    /// The same for every attempt to tell it.
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.id, self.number)
    }

    /// How grave it is, as `email-alert level` asks.
    pub(super) fn level(&self) -> Level {
        let mut new = self.problems.iter().filter(|told| told.new);
        match self.status {
            Status::Resolved | Status::Abandoned => Level::Notice,
            _ if new.any(|told| told.problem == Problem::NoServer) => Level::Emerg,
            _ => Level::Alert,
        }
    }

    /// In a line.
    pub(super) fn title(&self) -> String {
        let of = match &self.subject {
            Subject::Backend(name) => format!("{name}: "),
            _ => String::new(),
        };
        let lasted = span(self.lasted.div_ceil(1000));
        match self.status {
            Status::Resolved if of.is_empty() => format!("{of}{} is renewed", self.subject),
            Status::Resolved => format!("{of}well again after {lasted}"),
            Status::Abandoned => {
                format!("{of}open for {lasted}, and no longer watched: this process stops")
            }
            Status::Open | Status::Update => of + &self.worst(),
        }
    }

    /// What is wrong now, the worst of it.
    fn worst(&self) -> String {
        let now = || self.problems.iter().filter(|told| told.now);
        let on_backup = now().find_map(|told| match &told.problem {
            Problem::OnBackup(servers) => Some(servers.join(", ")),
            _ => None,
        });
        let down: Vec<_> = now()
            .filter_map(|told| match &told.problem {
                Problem::Down(server) => Some(&**server),
                _ => None,
            })
            .collect();
        let down = match down.len() {
            0 => String::new(),
            1 => format!("server {} is DOWN", down[0]),
            2..4 => format!("servers {} are DOWN", down.join(", ")),
            many => format!("{} servers are DOWN", many + self.more),
        };
        if now().any(|told| told.problem == Problem::NoServer) {
            return "no server is left".into();
        }
        match (on_backup, down.is_empty()) {
            (Some(backup), true) => format!("runs on backup {backup}"),
            (Some(backup), false) => format!("{down}, runs on backup {backup}"),
            (None, false) => down,
            (None, true) => {
                let last = self.problems.iter().rfind(|told| told.now);
                let last = last.or_else(|| self.problems.last());
                last.map_or_else(String::new, |told| told.text.clone())
            }
        }
    }

    /// The title, and below it the lines of all that was told, the new ones marked.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![self.title()];
        let open = matches!(self.status, Status::Open | Status::Update);
        lines.extend(self.problems.iter().map(|told| {
            let mark = match told {
                Told { new: true, .. } => "*",
                Told { now: true, .. } => "-",
                _ if open => "(over)",
                _ => "-",
            };
            format!("{mark} {}", told.text)
        }));
        if self.more > 0 {
            lines.push(format!("And {} more.", self.more));
        }
        if self.flaps > 0 {
            let times = if self.flaps == 1 { "time" } else { "times" };
            lines.push(format!("Came and went {} more {times}.", self.flaps));
        }
        lines.join("\n")
    }

    /// For a webhook.
    pub(super) fn json(&self, host: &str) -> String {
        let (backend, server, certificate) = match &self.subject {
            Subject::Backend(name) => (Some(&**name), None, None),
            Subject::Certificate(file) => (None, None, Some(&**file)),
            Subject::ServerCertificate { backend, server } => {
                (Some(&**backend), Some(&**server), None)
            }
        };
        let record = Record {
            version: 1,
            incident: &self.id,
            message: self.number,
            status: match self.status {
                Status::Open => "open",
                Status::Update => "update",
                Status::Resolved => "resolved",
                Status::Abandoned => "stopped",
            },
            subject: match &self.subject {
                Subject::Backend(_) => "backend",
                Subject::Certificate(_) | Subject::ServerCertificate { .. } => "certificate",
            },
            backend,
            server,
            certificate,
            host,
            level: crate::event::level(self.level()),
            opened: utc(self.opened),
            opened_ms: self.opened,
            duration_ms: self.lasted,
            flaps: self.flaps,
            problems: self.problems.iter().map(Part::new).collect(),
            more_problems: self.more,
            title: self.title(),
            text: self.text(),
        };
        // Strings, numbers and keys that are strings: nothing here can fail.
        serde_json::to_string(&record).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Record<'m> {
    version: u32,
    incident: &'m str,
    message: u32,
    status: &'static str,
    subject: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'m str>,
    host: &'m str,
    level: &'static str,
    opened: String,
    opened_ms: u64,
    duration_ms: u64,
    flaps: u32,
    problems: Vec<Part<'m>>,
    more_problems: usize,
    title: String,
    text: String,
}

#[derive(Serialize)]
struct Part<'m> {
    problem: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    now: bool,
    new: bool,
    text: &'m str,
}

impl<'m> Part<'m> {
    fn new(told: &'m Told) -> Self {
        let (problem, servers, stage) = match &told.problem {
            Problem::Down(server) => ("server-down", vec![&**server], None),
            Problem::Degraded(server) => ("server-degraded", vec![&**server], None),
            Problem::OnBackup(servers) => {
                let servers = servers.iter().map(|server| &**server);
                ("on-backup", servers.collect(), None)
            }
            Problem::NoServer => ("no-server", Vec::new(), None),
            Problem::Expires(stage) => {
                let stage = match stage {
                    Stage::Soon => "soon",
                    Stage::VerySoon => "very-soon",
                    Stage::Expired => "expired",
                };
                ("certificate", Vec::new(), Some(stage))
            }
        };
        Self {
            problem,
            servers,
            stage,
            now: told.now,
            new: told.new,
            text: &told.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problem: Problem, text: &str) -> Told {
        Told {
            problem,
            text: text.into(),
            now: true,
            new: true,
        }
    }

    fn message(status: Status, problems: Vec<Told>) -> Message {
        Message {
            id: "backend-mail-1-2".into(),
            number: 1,
            subject: Subject::Backend("mail".into()),
            status,
            opened: 1_764_000_000_123,
            lasted: 61_000,
            flaps: 0,
            problems,
            more: 0,
        }
    }

    #[test]
    fn titles_say_the_worst() {
        let down = || told(Problem::Down("m1".into()), "m1 is DOWN.");
        let backup = || told(Problem::OnBackup(vec!["b1".into()]), "fails over.");
        let none = || told(Problem::NoServer, "none.");
        for (status, problems, title) in [
            (Status::Open, vec![down()], "mail: server m1 is DOWN"),
            (
                Status::Open,
                vec![down(), backup()],
                "mail: server m1 is DOWN, runs on backup b1",
            ),
            (Status::Update, vec![backup()], "mail: runs on backup b1"),
            (
                Status::Update,
                vec![down(), none()],
                "mail: no server is left",
            ),
            (
                Status::Resolved,
                vec![down()],
                "mail: well again after 1m01s",
            ),
        ] {
            assert_eq!(message(status, problems).title(), title);
        }
    }

    /// What is documented, to the byte.
    #[test]
    fn a_message_as_json() {
        let problems = vec![told(Problem::Down("m1".into()), "m1 is \"DOWN\".")];
        assert_eq!(
            message(Status::Open, problems).json("mx"),
            "{\"version\":1,\"incident\":\"backend-mail-1-2\",\"message\":1,\"status\":\"open\",\"subject\":\"backend\",\
             \"backend\":\"mail\",\"host\":\"mx\",\"level\":\"alert\",\"opened\":\"2025-11-24T16:00:00.123Z\",\
             \"opened_ms\":1764000000123,\"duration_ms\":61000,\"flaps\":0,\"problems\":[{\"problem\":\"server-down\",\
             \"servers\":[\"m1\"],\"now\":true,\"new\":true,\"text\":\"m1 is \\\"DOWN\\\".\"}],\"more_problems\":0,\
             \"title\":\"mail: server m1 is DOWN\",\"text\":\"mail: server m1 is DOWN\\n* m1 is \\\"DOWN\\\".\"}"
        );
    }
}
