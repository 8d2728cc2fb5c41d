//! STARTTLS with a server (RFC 3207), before any session has it: greeting, EHLO, STARTTLS, and not a byte behind
//! the 220.
//!
//! Whatever a server says before it is asked was put there by somebody in between: such a connection is given up
//! (CVE-2011-0411 and kin, from the other side). So is one whose server does not offer STARTTLS, or refuses it: it is
//! never spoken to in clear text instead.

use super::reply::Reply;

/// A connection on its way to TLS.
#[derive(Debug)]
pub struct Upgrade {
    stage: Stage,
    name: Box<str>,
    said: Vec<u8>,
    greeting: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Hello,
    Start,
    Done,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The server has more to say.
    More,
    /// It is to be told this.
    Say(String),
    /// Now TLS.
    Secure,
}

/// Why it comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its list has no STARTTLS.
    #[error("STARTTLS is not offered")]
    NotOffered,
    /// It offered STARTTLS, and then refused it; or refused EHLO.
    #[error("STARTTLS is refused")]
    Refused,
    /// It, or somebody in between, said more than it was asked.
    #[error("an answer came before it was asked for: injected in clear text")]
    Injected,
    /// What it says is not SMTP.
    #[error("not SMTP")]
    NoSmtp,
}

impl Upgrade {
    /// Of a connection whose greeting is still to come. EHLO is said in that name.
    pub fn new(name: &str) -> Self {
        Self {
            stage: Stage::Greeting,
            name: name.into(),
            said: Vec::new(),
            greeting: Vec::new(),
        }
    }

    /// The server has said `bytes`.
    ///
    /// # Errors
    /// The connection is of no use.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        self.said.extend_from_slice(bytes);
        let Some(reply) = Reply::first(&self.said).map_err(|_| Refusal::NoSmtp)? else {
            return Ok(Progress::More);
        };
        if reply.bytes.len() < self.said.len() {
            return Err(Refusal::Injected);
        }
        let (next, progress) = match self.stage {
            Stage::Greeting if reply.code == 220 => {
                self.greeting = reply.bytes.to_vec();
                let hello = format!("EHLO {}\r\n", self.name);
                (Stage::Hello, Progress::Say(hello))
            }
            Stage::Hello if reply.class() == 2 => {
                let mut words = reply.lines().skip(1).map(<[u8]>::trim_ascii_end);
                if !words.any(|word| word.eq_ignore_ascii_case(b"STARTTLS")) {
                    return Err(Refusal::NotOffered);
                }
                (Stage::Start, Progress::Say("STARTTLS\r\n".to_owned()))
            }
            Stage::Start if reply.code == 220 => (Stage::Done, Progress::Secure),
            Stage::Greeting | Stage::Hello | Stage::Start => return Err(Refusal::Refused),
            Stage::Done => return Err(Refusal::Injected),
        };
        self.stage = next;
        self.said = Vec::new();
        Ok(progress)
    }

    /// What it has greeted with.
    pub fn into_greeting(self) -> Vec<u8> {
        self.greeting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "250-mail\r\n250-SIZE\r\n250 starttls\r\n";

    /// All of it in pieces of that size, each when the one before was dealt with.
    fn play(replies: &[&str], size: usize) -> Result<Vec<String>, Refusal> {
        let mut upgrade = Upgrade::new("proxy.example");
        let mut said = Vec::new();
        for reply in replies {
            for piece in reply.as_bytes().chunks(size) {
                match upgrade.take(piece)? {
                    Progress::More => {}
                    Progress::Say(line) => said.push(line),
                    Progress::Secure => said.push("TLS".to_owned()),
                }
            }
        }
        Ok(said)
    }

    #[test]
    fn it_asks_for_tls_and_gets_it_however_replies_are_cut() {
        for size in [1, 7, 1000] {
            let said = play(&["220-wait\r\n220 mail\r\n", OFFER, "220 go\r\n"], size);
            let expected = ["EHLO proxy.example\r\n", "STARTTLS\r\n", "TLS"];
            assert_eq!(said.unwrap(), expected);
        }
        let mut upgrade = Upgrade::new("p");
        upgrade.take(b"220-a\r\n220 b\r\n").unwrap();
        assert_eq!(upgrade.into_greeting(), b"220-a\r\n220 b\r\n");
    }

    #[test]
    fn whatever_comes_before_it_was_asked_for_is_an_injection() {
        let ahead = "220 go\r\n250 injected\r\n";
        for replies in [
            &["220 mail\r\n250 x\r\n"][..],
            &["220 mail\r\n", "250-mail\r\n250 STARTTLS\r\n220 go\r\n"],
            &["220 mail\r\n", OFFER, ahead],
            &["220 mail\r\n", OFFER, "220 go\r\n2"],
        ] {
            assert_eq!(play(replies, 1000), Err(Refusal::Injected), "{replies:?}");
        }
    }

    #[test]
    fn without_tls_there_is_no_server() {
        for (replies, refusal) in [
            (&["554 no\r\n"][..], Refusal::Refused),
            (&["220 mail\r\n", "502 what\r\n"], Refusal::Refused),
            (
                &["220 mail\r\n", "250-mail\r\n250 XSTARTTLS\r\n"],
                Refusal::NotOffered,
            ),
            (
                &["220 mail\r\n", OFFER, "454 4.7.0 not now\r\n"],
                Refusal::Refused,
            ),
            (&["220 mail\r\n", OFFER, "SSH-2.0\r\n"], Refusal::NoSmtp),
        ] {
            assert_eq!(play(replies, 1000), Err(refusal), "{replies:?}");
        }
    }

    fn any_reply() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "220 mail\r\n",
            "220-mail\r\n",
            "250-mail\r\n",
            "250 STARTTLS\r\n",
            "250-starttls\r\n",
            "250 SIZE\n",
            "454 4.7.0 no\r\n",
            "22",
            "SSH-2.0\r\n",
        ]);
        prop::collection::vec(line, 0..4).prop_map(|lines| lines.concat())
    }

    proptest! {
        /// TLS begins behind a greeting, an offer and a leave, each whole and alone; how they are cut is all the same.
        #[test]
        fn tls_begins_behind_three_replies_and_nothing_else(
            replies in prop::collection::vec(any_reply(), 0..5), size in 1usize..9,
        ) {
            let replies: Vec<_> = replies.iter().map(String::as_str).collect();
            let whole = play(&replies, 1000);
            if whole != Err(Refusal::Injected) {
                prop_assert_eq!(&play(&replies, size), &whole);
            }
            let Ok(said) = whole else { return Ok(()) };
            if said.last().is_some_and(|last| last == "TLS") {
                prop_assert_eq!(said, ["EHLO proxy.example\r\n", "STARTTLS\r\n", "TLS"]);
                let text = replies.concat();
                let (_, offer) = text.split_once("220 mail\r\n").unwrap();
                prop_assert!(text.starts_with("220"));
                prop_assert!(offer.to_ascii_uppercase().contains("STARTTLS"), "{}", text);
            }
        }
    }
}
