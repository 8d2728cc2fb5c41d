//! A mail about an incident, or about an event (RFC 5322). ASCII alone: no server has to be able to do more.

use config::model::EmailAlert;
use engine::event::Event;
use engine::host_name;
use wire::smtp::Mail;

use super::incident::Message;

/// Letters of a line; RFC 5322 allows 998.
const LINE: usize = 900;
/// Of a subject.
const SUBJECT: usize = 200;

/// What a mail says.
pub(super) struct Content<'c> {
    /// What makes it this mail and no other.
    key: String,
    /// The first mail of the same incident.
    answers: Option<String>,
    title: String,
    text: String,
    wall_ms: u64,
    host: &'c str,
}

impl<'c> Content<'c> {
    /// Of an incident.
    pub(super) fn of_message(message: &Message, wall_ms: u64, host: &'c str) -> Self {
        let first = format!("{}-1", message.id);
        Self {
            key: message.key(),
            answers: (message.number > 1).then_some(first),
            title: message.title(),
            text: message.text(),
            wall_ms,
            host,
        }
    }

    /// Of an event that is no incident.
    pub(super) fn of_event(event: &Event, host: &'c str) -> Self {
        Self {
            key: format!("event-{}-{}", event.wall_ms, event.seq),
            answers: None,
            title: event.text.clone(),
            text: event.text.clone(),
            wall_ms: event.wall_ms,
            host,
        }
    }

    /// To whom that `email-alert` names.
    pub(super) fn letter(&self, email: &EmailAlert) -> Mail {
        let hostname = email.hostname.as_deref().unwrap_or_else(|| host_name());
        let id = |key: &str| format!("<{key}@{hostname}>");
        let mut message = String::new();
        let mut line = |name: &str, value: &str| {
            message.push_str(&format!("{name}: {value}\r\n"));
        };
        line("Date", &date(self.wall_ms));
        line("From", &format!("<{}>", email.from));
        let to: Vec<_> = email.to.iter().map(|to| format!("<{to}>")).collect();
        line("To", &to.join(",\r\n "));
        let subject: String = plain(&self.title).chars().take(SUBJECT).collect();
        line("Subject", &format!("[Posthouse Alert] {subject}"));
        line("Message-ID", &id(&self.key));
        if let Some(first) = &self.answers {
            line("In-Reply-To", &id(first));
            line("References", &id(first));
        }
        line("Auto-Submitted", "auto-generated");
        line("MIME-Version", "1.0");
        line("Content-Type", "text/plain; charset=us-ascii");
        message.push_str("\r\n");
        for text in self.text.lines() {
            let text = plain(text);
            for piece in text.as_bytes().chunks(LINE) {
                message.push_str(&String::from_utf8_lossy(piece));
                message.push_str("\r\n");
            }
        }
        message.push_str(&format!("\r\n-- \r\nPosthouse on {}\r\n", plain(self.host)));
        Mail {
            hostname: hostname.to_owned(),
            from: email.from.clone(),
            to: email.to.clone(),
            message,
        }
    }
}

/// Without what a header or a line cannot have: servers' own words are in it.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        ' '..='~' => c,
        '\t' => ' ',
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// `Tue, 25 Nov 2026 02:10:42 +0000`.
fn date(wall_ms: u64) -> String {
    let millis = i64::try_from(wall_ms).unwrap_or(0);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use engine::Level;
    use engine::event::{Kind, ProcessState};

    use super::*;

    #[test]
    fn a_mail_has_what_it_needs_and_nothing_gets_into_its_header() {
        let event = Event {
            seq: 7,
            wall_ms: 1_764_000_000_123,
            at: 1,
            level: Level::Alert,
            proxy: Some("mail".into()),
            kind: Kind::Process(ProcessState::Started),
            text: format!("says \"\u{e4}\"\r\nBcc: x {}", "y".repeat(2_000)),
        };
        let email = EmailAlert {
            mailers: 0,
            from: "proxy@x".into(),
            to: vec!["a@x".into(), "b@x".into()],
            level: 1,
            hostname: Some("proxy.x".into()),
        };
        let mail = Content::of_event(&event, "mx").letter(&email);
        let (header, body) = mail.message.split_once("\r\n\r\n").unwrap();
        for line in [
            "Date: Mon, 24 Nov 2025 16:00:00 +0000",
            "From: <proxy@x>",
            "To: <a@x>,\r\n <b@x>",
            "Message-ID: <event-1764000000123-7@proxy.x>",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(header.contains(line), "{line}\n{header}");
        }
        assert!(header.contains("Subject: [Posthouse Alert] says \"?\"??Bcc: x yyy"));
        assert!(!header.lines().any(|line| line.starts_with("Bcc")));
        assert!(
            body.lines()
                .all(|line| line.len() <= LINE && line.is_ascii())
        );
    }
}
