//! The receiving side of a mail dialogue (RFC 5321), as small as a demonstration allows.
//!
//! Pure: a line in, an answer out. [`super::server`] owns the sockets, one dialogue per connection.

/// What a line leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Say this.
    Say(String),
    /// Nothing: a line of a message.
    Listen,
    /// Say this; the message is ours now.
    Taken(String, Vec<u8>),
    /// Say this and close.
    Bye(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Greeted,
    Sender,
    Recipients,
    Data(Vec<u8>),
}

/// One connection's dialogue.
#[derive(Debug)]
pub(super) struct Dialogue {
    name: &'static str,
    stage: Stage,
    taken: u32,
}

impl Dialogue {
    /// A dialogue with the server of this name.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            stage: Stage::Fresh,
            taken: 0,
        }
    }

    /// The first words, unasked.
    pub(super) fn greeting(&self) -> String {
        format!("220 {}.demo.test ESMTP\r\n", self.name)
    }

    /// The last words of a server that is being shut down (RFC 5321 3.8).
    pub(super) fn farewell(&self) -> String {
        format!("421 4.3.2 {}.demo.test is shutting down\r\n", self.name)
    }

    /// A line, with or without its end.
    pub(super) fn line(&mut self, line: &[u8]) -> Answer {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Stage::Data(message) = &mut self.stage {
            if line != b"." {
                // The dot a sender put before a line that begins with one (RFC 5321 4.5.2).
                message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                message.extend_from_slice(b"\r\n");
                return Answer::Listen;
            }
            let message = std::mem::take(message);
            self.stage = Stage::Greeted;
            self.taken += 1;
            let text = format!("250 2.0.0 Ok: taken as {}-{}\r\n", self.name, self.taken);
            return Answer::Taken(text, message);
        }
        let text = String::from_utf8_lossy(line);
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        self.command(&verb.to_ascii_uppercase(), rest.trim())
    }

    fn command(&mut self, verb: &str, rest: &str) -> Answer {
        let upper = rest.to_ascii_uppercase();
        let (stage, reply) = match (verb, &self.stage) {
            ("QUIT", _) => return Answer::Bye("221 2.0.0 Bye\r\n".into()),
            ("HELO" | "EHLO", _) if rest.is_empty() => (None, "501 5.5.4 Say who you are"),
            ("HELO", _) => (Some(Stage::Greeted), "250 Hello"),
            ("EHLO", _) => {
                self.stage = Stage::Greeted;
                return Answer::Say(format!(
                    "250-{}.demo.test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
                    self.name
                ));
            }
            ("NOOP", _) => (None, "250 2.0.0 Ok"),
            ("RSET", Stage::Fresh) => (None, "250 2.0.0 Ok"),
            ("RSET", _) => (Some(Stage::Greeted), "250 2.0.0 Ok"),
            ("VRFY", _) => (None, "252 2.0.0 Send it and see"),
            ("MAIL", Stage::Greeted) if upper.starts_with("FROM:<") => {
                (Some(Stage::Sender), "250 2.1.0 Ok")
            }
            ("RCPT", Stage::Sender | Stage::Recipients) if upper.starts_with("TO:<") => {
                (Some(Stage::Recipients), "250 2.1.5 Ok")
            }
            ("DATA", Stage::Recipients) if rest.is_empty() => (
                Some(Stage::Data(Vec::new())),
                "354 End with a dot on a line of its own",
            ),
            ("MAIL", Stage::Greeted)
            | ("RCPT", Stage::Sender | Stage::Recipients)
            | ("DATA", Stage::Recipients) => (None, "501 5.5.4 Syntax error"),
            ("MAIL" | "RCPT" | "DATA", _) => (None, "503 5.5.1 Not now"),
            _ => (None, "500 5.5.2 Unknown command"),
        };
        if let Some(stage) = stage {
            self.stage = stage;
        }
        Answer::Say(format!("{reply}\r\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(dialogue: &mut Dialogue, line: &str) -> String {
        match dialogue.line(line.as_bytes()) {
            Answer::Say(text) | Answer::Bye(text) | Answer::Taken(text, _) => text[..3].into(),
            Answer::Listen => "...".into(),
        }
    }

    #[test]
    fn a_message_is_taken_and_its_dots_are_undone() {
        let mut dialogue = Dialogue::new("mail1");
        assert!(dialogue.greeting().starts_with("220 mail1"));
        for (line, wanted) in [
            ("EHLO me\r\n", "250"),
            ("mail from:<a@demo.test> BODY=8BITMIME\r\n", "250"),
            ("RCPT TO:<b@demo.test>\r\n", "250"),
            ("RCPT TO:<c@demo.test>\r\n", "250"),
            ("DATA\r\n", "354"),
            ("QUIT\r\n", "..."),
            ("..dot\r\n", "..."),
        ] {
            assert_eq!(code(&mut dialogue, line), wanted, "{line}");
        }
        let Answer::Taken(text, message) = dialogue.line(b".\r\n") else {
            panic!();
        };
        assert_eq!(text, "250 2.0.0 Ok: taken as mail1-1\r\n");
        assert_eq!(message, b"QUIT\r\n.dot\r\n");
        assert_eq!(code(&mut dialogue, "QUIT\r\n"), "221");
    }

    #[test]
    fn order_is_kept() {
        let mut dialogue = Dialogue::new("mail1");
        for (line, wanted) in [
            ("MAIL FROM:<a@demo.test>", "503"),
            ("EHLO", "501"),
            ("HELO me", "250"),
            ("RCPT TO:<b@demo.test>", "503"),
            ("MAIL a@demo.test", "501"),
            ("MAIL FROM:<>", "250"),
            ("DATA", "503"),
            ("RCPT TO:<b@demo.test>", "250"),
            ("NOOP", "250"),
            ("RSET", "250"),
            ("DATA", "503"),
            ("VRFY b", "252"),
            ("TURN", "500"),
        ] {
            assert_eq!(code(&mut dialogue, line), wanted, "{line}");
        }
    }
}
