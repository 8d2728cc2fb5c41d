//! A mail of our own, from the greeting to QUIT (RFC 5321, 3207, 4954): what is said next, and what became of it.
//!
//! One command at a time: a mail about a failure is no place to save round trips. A password is said only to a server
//! that TLS hides it with, unless the configuration has it in clear; and with `starttls` nothing at all is said before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Reply;

/// What is to be sent, and how.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What EHLO says.
    pub hostname: String,
    /// Without brackets.
    pub from: String,
    /// Without brackets.
    pub to: Vec<String>,
    /// Header and body, lines ending in CRLF.
    pub message: String,
}

/// How a server is spoken to.
#[derive(Clone, Default)]
pub struct Manner {
    /// TLS after EHLO, or nothing.
    pub starttls: bool,
    /// User and password.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        let mut shown = f.debug_struct("Manner");
        shown.field("starttls", &self.starttls).field("user", &user);
        shown.finish_non_exhaustive()
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Wait for more.
    Wait,
    /// Send this.
    Send(Vec<u8>),
    /// Begin TLS, then call [`Submission::secured`].
    Secure,
    /// The mail is taken; send this and leave. Recipients that were refused were not all of them.
    Taken {
        /// The farewell.
        quit: Vec<u8>,
        /// Whom the server does not take mail for.
        refused: Vec<String>,
    },
    /// The mail is not taken, for this reason, which may be shown.
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    /// TLS is being set up.
    Handshake,
    Plain,
    LoginUser,
    LoginPassword,
    LoginDone,
    From,
    /// The recipient of that place.
    To(usize),
    Data,
    Body,
    Over,
}

/// One attempt to hand a mail over.
#[derive(Debug)]
pub struct Submission<'m> {
    mail: &'m Mail,
    manner: &'m Manner,
    step: Step,
    /// TLS is on.
    secret: bool,
    heard: Vec<u8>,
    refused: Vec<(usize, String)>,
}

impl<'m> Submission<'m> {
    /// Waits for the greeting.
    pub fn new(mail: &'m Mail, manner: &'m Manner) -> Self {
        Self {
            mail,
            manner,
            step: Step::Greeting,
            secret: false,
            heard: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The server has said that. None of it: it has closed.
    pub fn hear(&mut self, bytes: &[u8]) -> Next {
        if bytes.is_empty() {
            return self.fail(format!("the connection was closed {}", self.step.when()));
        }
        self.heard.extend_from_slice(bytes);
        let heard = std::mem::take(&mut self.heard);
        match Reply::first(&heard) {
            Ok(None) => {
                self.heard = heard;
                Next::Wait
            }
            Ok(Some(reply)) => {
                // What came with the leave to begin TLS is not from the server that TLS will prove (RFC 3207, 5).
                let early = heard.len() > reply.bytes.len();
                if early && self.step == Step::StartTls {
                    return self.fail("it said more than the reply to STARTTLS".into());
                }
                self.heard = heard[reply.bytes.len()..].to_vec();
                self.on(&reply)
            }
            Err(_) => self.fail(format!("what it said {} is not SMTP", self.step.when())),
        }
    }

    /// TLS is on, with a certificate that is good enough.
    pub fn secured(&mut self) -> Next {
        if self.step != Step::Handshake {
            return self.fail("TLS was not asked for".into());
        }
        self.secret = true;
        self.ehlo()
    }

    fn on(&mut self, reply: &Reply<'_>) -> Next {
        let positive = reply.class() == 2;
        match self.step {
            Step::Greeting if positive => self.ehlo(),
            Step::Ehlo if positive => self.capable(reply),
            // An old server (RFC 5321, 3.2); it has neither STARTTLS nor AUTH.
            Step::Ehlo
                if reply.class() == 5 && !self.manner.starttls && self.manner.login.is_none() =>
            {
                self.say(Step::Helo, format!("HELO {}", self.mail.hostname))
            }
            Step::Helo if positive => self.from(),
            Step::StartTls if reply.code == 220 => {
                self.step = Step::Handshake;
                Next::Secure
            }
            Step::Plain | Step::LoginDone if reply.code == 235 => self.from(),
            Step::LoginUser if reply.code == 334 => {
                self.secret(Step::LoginPassword, |(user, _)| user)
            }
            Step::LoginPassword if reply.code == 334 => {
                self.secret(Step::LoginDone, |(_, password)| password)
            }
            Step::From if positive => self.to(0),
            Step::To(place) => {
                if !positive {
                    self.refused.push((place, shown(reply)));
                }
                self.to(place + 1)
            }
            Step::Data if reply.code == 354 => {
                self.step = Step::Body;
                Next::Send(stuffed(&self.mail.message))
            }
            Step::Body if positive => self.taken(),
            // Who would answer to a password with a password of ours in it?
            Step::Plain | Step::LoginUser | Step::LoginPassword | Step::LoginDone => {
                self.fail(format!("it does not let us log in ({})", reply.code))
            }
            step => self.fail(format!("it said {}: {}", step.when(), shown(reply))),
        }
    }

    fn ehlo(&mut self) -> Next {
        self.say(Step::Ehlo, format!("EHLO {}", self.mail.hostname))
    }

    /// Its reply to EHLO.
    fn capable(&mut self, reply: &Reply<'_>) -> Next {
        if self.manner.starttls && !self.secret {
            let mut offers = reply.lines().skip(1);
            if !offers.any(|line| line.trim_ascii().eq_ignore_ascii_case(b"STARTTLS")) {
                return self.fail("it does not offer STARTTLS".into());
            }
            return self.say(Step::StartTls, "STARTTLS".into());
        }
        let Some((user, password)) = &self.manner.login else {
            return self.from();
        };
        let offers = |mechanism: &str| reply.lines().skip(1).any(|line| has(line, mechanism));
        if offers("PLAIN") {
            let token = BASE64.encode(format!("\0{user}\0{password}"));
            return self.say(Step::Plain, format!("AUTH PLAIN {token}"));
        }
        if offers("LOGIN") {
            return self.say(Step::LoginUser, "AUTH LOGIN".into());
        }
        self.fail("it offers neither AUTH PLAIN nor AUTH LOGIN".into())
    }

    fn secret(&mut self, step: Step, which: impl Fn(&(String, String)) -> &String) -> Next {
        let text = self.manner.login.as_ref().map(which);
        let token = BASE64.encode(text.map_or("", String::as_str));
        self.say(step, token)
    }

    fn from(&mut self) -> Next {
        self.say(Step::From, format!("MAIL FROM:<{}>", self.mail.from))
    }

    fn to(&mut self, place: usize) -> Next {
        if let Some(to) = self.mail.to.get(place) {
            return self.say(Step::To(place), format!("RCPT TO:<{to}>"));
        }
        if self.refused.len() < self.mail.to.len() {
            return self.say(Step::Data, "DATA".into());
        }
        let why = self
            .refused
            .first()
            .map_or("there are none", |(_, why)| why);
        self.fail(format!("it takes no mail for the recipients: {why}"))
    }

    fn taken(&mut self) -> Next {
        self.step = Step::Over;
        let refused = self.refused.iter();
        Next::Taken {
            quit: b"QUIT\r\n".to_vec(),
            refused: refused
                .map(|(place, _)| self.mail.to[*place].clone())
                .collect(),
        }
    }

    fn say(&mut self, step: Step, line: String) -> Next {
        self.step = step;
        Next::Send((line + "\r\n").into_bytes())
    }

    fn fail(&mut self, why: String) -> Next {
        self.step = Step::Over;
        self.heard.clear();
        Next::Failed(why)
    }
}

impl Step {
    fn when(self) -> &'static str {
        match self {
            Self::Greeting => "in place of a greeting",
            Self::Ehlo => "to EHLO",
            Self::Helo => "to HELO",
            Self::StartTls | Self::Handshake => "to STARTTLS",
            Self::Plain | Self::LoginUser | Self::LoginPassword | Self::LoginDone => "to AUTH",
            Self::From => "to MAIL",
            Self::To(_) => "to RCPT",
            Self::Data => "to DATA",
            Self::Body => "to the mail",
            Self::Over => "after the end",
        }
    }
}

/// `AUTH PLAIN LOGIN`, and `AUTH=PLAIN` of old servers.
fn has(line: &[u8], mechanism: &str) -> bool {
    let mut words = line.split(|byte| *byte == b' ' || *byte == b'=');
    let is = |word: &[u8], text: &str| word.trim_ascii().eq_ignore_ascii_case(text.as_bytes());
    words.next().is_some_and(|word| is(word, "AUTH")) && words.any(|word| is(word, mechanism))
}

/// Its first line, as much of it as can be shown.
fn shown(reply: &Reply<'_>) -> String {
    let text = String::from_utf8_lossy(reply.first_line());
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(120).collect()
}

/// With a dot before each dot that begins a line, and the end (RFC 5321, 4.5.2).
fn stuffed(message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive('\n') {
        if line.starts_with('.') {
            out.push(b'.');
        }
        out.extend_from_slice(line.as_bytes());
    }
    if !message.ends_with("\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mail() -> Mail {
        Mail {
            hostname: "proxy.example".into(),
            from: "a@x".into(),
            to: vec!["b@x".into(), "c@x".into()],
            message: "Subject: x\r\n\r\n.dot\r\n".into(),
        }
    }

    fn manner(starttls: bool, login: bool) -> Manner {
        Manner {
            starttls,
            login: login.then(|| ("me".into(), "s3cret".into())),
        }
    }

    /// What is said to these replies, one for each line that was sent; TLS succeeds.
    fn talk(manner: &Manner, replies: &[&str]) -> (Vec<String>, Next) {
        let mail = mail();
        let mut submission = Submission::new(&mail, manner);
        let mut said = Vec::new();
        for reply in replies {
            let mut next = submission.hear(reply.as_bytes());
            if next == Next::Secure {
                said.push("(TLS)".into());
                next = submission.secured();
            }
            match next {
                Next::Send(bytes) => said.push(String::from_utf8(bytes).unwrap().trim_end().into()),
                other => return (said, other),
            }
        }
        (said, Next::Wait)
    }

    #[test]
    fn a_mail_is_handed_over() {
        let replies = [
            "220 x\r\n",
            "250-x\r\n250 SIZE\r\n",
            "250 ok\r\n",
            "550 no\r\n",
            "250 ok\r\n",
        ];
        let (said, next) = talk(
            &manner(false, false),
            &[&replies[..], &["354 go\r\n", "250 ok\r\n"]].concat(),
        );
        assert_eq!(
            said,
            [
                "EHLO proxy.example",
                "MAIL FROM:<a@x>",
                "RCPT TO:<b@x>",
                "RCPT TO:<c@x>",
                "DATA",
                "Subject: x\r\n\r\n..dot\r\n."
            ]
        );
        let refused = vec!["b@x".to_owned()];
        let quit = b"QUIT\r\n".to_vec();
        assert_eq!(next, Next::Taken { quit, refused });
    }

    #[test]
    fn nothing_is_said_before_tls() {
        let tls = manner(true, true);
        let (said, next) = talk(&tls, &["220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n"]);
        assert_eq!(said, ["EHLO proxy.example"]);
        assert_eq!(next, Next::Failed("it does not offer STARTTLS".into()));
        let offer = "250-x\r\n250-starttls\r\n250 AUTH LOGIN PLAIN\r\n";
        let (said, _) = talk(&tls, &["220 x\r\n", offer, "220 go\r\n", offer]);
        let token = BASE64.encode("\0me\0s3cret");
        let plain = format!("AUTH PLAIN {token}");
        let ehlo = "EHLO proxy.example";
        assert_eq!(said, [ehlo, "STARTTLS", "(TLS)", ehlo, &plain]);
        // Smuggled in before TLS.
        let (said, next) = talk(&tls, &["220 x\r\n", offer, "220 go\r\n250 injected\r\n"]);
        assert_eq!(said.len(), 2);
        assert!(matches!(next, Next::Failed(_)));
    }

    #[test]
    fn the_old_way_to_log_in() {
        let offer = "250-x\r\n250 AUTH=LOGIN\r\n";
        let replies = [
            "220 x\r\n",
            offer,
            "334 VXNlcm5hbWU6\r\n",
            "334 x\r\n",
            "535 czNjcmV0\r\n",
        ];
        let (said, next) = talk(&manner(false, true), &replies);
        assert_eq!(
            said[1..],
            ["AUTH LOGIN", &BASE64.encode("me"), &BASE64.encode("s3cret")]
        );
        assert_eq!(next, Next::Failed("it does not let us log in (535)".into()));
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let plain = manner(false, false);
        let why = |replies: &[&str]| match talk(&plain, replies) {
            (_, Next::Failed(why)) => why,
            (said, next) => panic!("{said:?} {next:?}"),
        };
        assert_eq!(
            why(&["554 no\u{7}t you\r\n"]),
            "it said in place of a greeting: 554 no t you"
        );
        assert_eq!(
            why(&["HTTP/1.1 400\r\n"]),
            "what it said in place of a greeting is not SMTP"
        );
        assert_eq!(
            why(&[""]),
            "the connection was closed in place of a greeting"
        );
        let none = [
            "220 x\r\n",
            "502 ?\r\n",
            "250 x\r\n",
            "250 ok\r\n",
            "550 a\r\n",
            "550 b\r\n",
        ];
        assert_eq!(why(&none), "it takes no mail for the recipients: 550 a");
    }

    proptest! {
        /// Whatever a server says: in TLS or not at all, and nothing after the end.
        #[test]
        fn passwords_are_for_tls(
            replies in proptest::collection::vec(prop_oneof![
                3 => "(220|250|235|334|354)[- ](x|STARTTLS|AUTH PLAIN|AUTH LOGIN)?\r\n",
                1 => "[2-5][0-9]{2}[- ]?[ -~]{0,8}\r\n",
                1 => "\\PC{0,5}",
            ], 1..30),
            starttls: bool,
        ) {
            let (mail, manner) = (mail(), manner(starttls, true));
            let mut submission = Submission::new(&mail, &manner);
            let (mut secret, mut over) = (false, false);
            for reply in replies {
                let mut next = submission.hear(reply.as_bytes());
                if next == Next::Secure {
                    prop_assert!(starttls && !secret);
                    secret = true;
                    next = submission.secured();
                }
                if over {
                    prop_assert!(matches!(next, Next::Wait | Next::Failed(_)), "{next:?}");
                }
                match next {
                    Next::Send(bytes) => {
                        let line = String::from_utf8_lossy(&bytes).into_owned();
                        let harmless = line.starts_with("EHLO") || line.starts_with("STARTTLS");
                        prop_assert!(harmless || secret || !starttls, "{line}");
                        prop_assert!(line.ends_with("\r\n"));
                    }
                    Next::Taken { .. } | Next::Failed(_) => over = true,
                    Next::Wait | Next::Secure => {}
                }
            }
        }
    }
}
