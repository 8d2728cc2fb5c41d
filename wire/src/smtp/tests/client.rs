//! A sending client that checks every reply: it must answer the command it stands for.

use std::collections::VecDeque;

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) mail: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// The sizes of its chunks; none: with DATA.
    pub(crate) chunks: Vec<usize>,
}

/// What became of a message, as the client knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    pub(crate) accepted: Vec<String>,
    /// The reply to the end of data.
    pub(crate) end: Option<String>,
    /// The first reply that said no, other than to a recipient.
    pub(crate) failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expect {
    Banner,
    Ehlo,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    Chunk,
    End,
    Reset,
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Envelope,
    /// Everything of the envelope is answered, or was sent with DATA behind it.
    Body,
    Done,
}

#[derive(Debug)]
pub(crate) struct Client {
    letters: Vec<Letter>,
    pipelining: bool,
    /// What it says to log in, line by line, the next one last.
    pub(crate) login: Vec<&'static str>,
    stage: Stage,
    at: usize,
    next_recipient: usize,
    input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    expected: VecDeque<Expect>,
    pub(crate) fates: Vec<Fate>,
    go_ahead: bool,
    pub(crate) finished: bool,
    /// The 421 that ended the session.
    pub(crate) dismissed: Option<String>,
}

impl Client {
    pub(crate) fn new(letters: Vec<Letter>, pipelining: bool) -> Self {
        Self {
            letters,
            pipelining,
            login: Vec::new(),
            stage: Stage::Begin,
            at: 0,
            next_recipient: 0,
            input: Vec::new(),
            output: Vec::new(),
            expected: VecDeque::from([Expect::Banner]),
            fates: Vec::new(),
            go_ahead: false,
            finished: false,
            dismissed: None,
        }
    }

    pub(crate) fn letters(&self) -> &[Letter] {
        &self.letters
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.input.push(byte);
            if byte == b'\n' {
                let begin = self.input[..self.input.len() - 1]
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |at| at + 1);
                if self.input[begin + 3] == b' ' {
                    let reply = String::from_utf8(std::mem::take(&mut self.input)).expect("text");
                    self.reply(&reply);
                }
            }
        }
        if self.expected.is_empty() && !self.finished {
            self.go_on();
        }
    }

    fn reply(&mut self, reply: &str) {
        if reply.starts_with("421") {
            self.dismissed = Some(reply.to_owned());
            self.finished = true;
            if let Some(fate) = self.fates.last_mut() {
                fate.failure.get_or_insert_with(|| reply.to_owned());
            }
            return;
        }
        let expected = self
            .expected
            .pop_front()
            .unwrap_or_else(|| panic!("nobody has asked: {reply}"));
        let (class, letter) = (&reply[..1], self.letters.get(self.at));
        // A yes is a server's, and names what it says yes to.
        let echo = |text: &str| assert!(reply.contains(text), "{reply:?} does not answer {text:?}");
        match expected {
            Expect::Banner => return assert!(reply.starts_with("220 "), "{reply}"),
            Expect::Ehlo => return assert_eq!(class, "2", "{reply}"),
            Expect::Auth => {
                let code = if self.login.is_empty() { "235" } else { "334" };
                return assert_eq!(&reply[..3], code, "{reply}");
            }
            Expect::Quit => {
                assert_eq!(&reply[..3], "221");
                self.finished = true;
                return;
            }
            Expect::Reset => {
                assert!(reply.contains("reset"), "{reply}");
                return;
            }
            _ => {}
        }
        let letter = letter.expect("a message is at work").clone();
        let fate = self.fates.last_mut().expect("a message is at work");
        match expected {
            Expect::Rcpt(which) if class == "2" => {
                echo(&letter.recipients[which]);
                fate.accepted.push(letter.recipients[which].clone());
            }
            Expect::Rcpt(which) if class == "5" && reply.contains("5.1.1") => {
                echo(&letter.recipients[which]);
            }
            Expect::Rcpt(_) => {
                fate.failure.get_or_insert_with(|| reply.to_owned());
            }
            Expect::Data => self.go_ahead = reply.starts_with("354"),
            Expect::Mail if class == "2" => echo(&letter.mail),
            Expect::Chunk if class == "2" => echo("chunk"),
            Expect::End => {
                if class == "2" {
                    echo(&format!("queued{}", letter.mail));
                }
                fate.end = Some(reply.to_owned());
            }
            _ => {}
        }
        let refused = matches!(
            expected,
            Expect::Mail | Expect::Data | Expect::Chunk | Expect::End
        ) && !matches!(class, "2" | "3");
        if refused {
            fate.failure.get_or_insert_with(|| reply.to_owned());
        }
    }

    fn send(&mut self, bytes: &[u8], expect: Expect) {
        self.output.extend_from_slice(bytes);
        self.expected.push_back(expect);
    }

    fn line(&mut self, text: &str, expect: Expect) {
        self.send(format!("{text}\r\n").as_bytes(), expect);
    }

    /// Everything is answered: what is to be said next.
    fn go_on(&mut self) {
        match self.stage {
            Stage::Begin if self.fates.is_empty() && self.at == 0 => {
                self.line("EHLO client", Expect::Ehlo);
                self.stage = Stage::Done;
            }
            Stage::Begin | Stage::Done => match self.login.pop() {
                Some(line) => self.line(line, Expect::Auth),
                None => self.next_letter(),
            },
            Stage::Envelope => self.envelope(),
            Stage::Body => self.body(),
        }
    }

    fn next_letter(&mut self) {
        if !self.fates.is_empty() {
            self.at += 1;
        }
        let Some(letter) = self.letters.get(self.at).cloned() else {
            return self.line("QUIT", Expect::Quit);
        };
        self.fates.push(Fate::default());
        self.go_ahead = false;
        self.next_recipient = 0;
        self.stage = Stage::Envelope;
        self.line(&format!("MAIL{}", letter.mail), Expect::Mail);
        if self.pipelining {
            for which in 0..letter.recipients.len() {
                self.recipient(which);
            }
            if letter.chunks.is_empty() {
                self.line("DATA", Expect::Data);
                self.stage = Stage::Body;
            }
        }
    }

    fn recipient(&mut self, which: usize) {
        let recipient = self.letters[self.at].recipients[which].clone();
        self.line(&format!("RCPT{recipient}"), Expect::Rcpt(which));
        self.next_recipient = which + 1;
    }

    fn failed(&self) -> bool {
        self.fates.last().is_some_and(|fate| fate.failure.is_some())
    }

    fn envelope(&mut self) {
        let letter = &self.letters[self.at];
        if !self.failed() && self.next_recipient < letter.recipients.len() {
            return self.recipient(self.next_recipient);
        }
        let nobody = self
            .fates
            .last()
            .is_none_or(|fate| fate.accepted.is_empty());
        if self.failed() || nobody {
            return self.give_up();
        }
        if letter.chunks.is_empty() {
            self.line("DATA", Expect::Data);
            self.stage = Stage::Body;
        } else {
            self.chunks();
        }
    }

    fn give_up(&mut self) {
        self.stage = Stage::Done;
        self.line("RSET", Expect::Reset);
    }

    fn body(&mut self) {
        if !self.go_ahead {
            return self.give_up();
        }
        let body = [&self.letters[self.at].body[..], b".\r\n"].concat();
        self.stage = Stage::Done;
        self.send(&body, Expect::End);
    }

    fn chunks(&mut self) {
        let letter = self.letters[self.at].clone();
        let (mut from, last) = (0, letter.chunks.len() - 1);
        self.stage = Stage::Done;
        for (index, size) in letter.chunks.iter().enumerate() {
            let tail = if index == last { " LAST" } else { "" };
            let expect = if index == last {
                Expect::End
            } else {
                Expect::Chunk
            };
            let bytes = &letter.body[from..from + size];
            let chunk = [format!("BDAT {size}{tail}\r\n").as_bytes(), bytes].concat();
            self.send(&chunk, expect);
            from += size;
        }
        // A failed chunk is followed by RSET, whatever became of the last.
        self.stage = Stage::Done;
    }
}
