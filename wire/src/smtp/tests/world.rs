//! Client, dialogue and servers, with wires between them that carry as many bytes as chance has it.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::client::{Client, Letter};
use super::server::{Mailbox, Mood, Server};
use super::*;

/// A session and everybody in it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dialogue: Dialogue,
    pub(crate) room: Room,
    pub(crate) client: Client,
    pub(crate) server: Option<Server>,
    pub(crate) mailbox: Mailbox,
    pub(crate) now: Millis,
    pub(crate) next_server: ServerId,
    pub(crate) nonsense: Vec<String>,
    /// Bytes that have reached a server and a client so far.
    pub(crate) to_server: usize,
    pub(crate) from_server: usize,
    /// Whether everything that happens is printed.
    pub(crate) traced: bool,
}

impl World {
    pub(crate) fn new(settings: Settings, letters: Vec<Letter>, pipelining: bool) -> Self {
        Self {
            dialogue: Dialogue::new(Arc::new(settings), 0),
            room: Room {
                spool_limit: usize::MAX,
                ..Room::default()
            },
            client: Client::new(letters, pipelining),
            server: None,
            mailbox: Rc::default(),
            now: 0,
            next_server: 1,
            nonsense: Vec::new(),
            to_server: 0,
            from_server: 0,
            traced: false,
        }
    }

    fn trace(&self, what: &str, bytes: &[u8]) {
        if self.traced {
            eprintln!("{} {what} {:?}", self.now, String::from_utf8_lossy(bytes));
        }
    }

    /// A server answers the quest.
    pub(crate) fn join(&mut self, mood: Mood) {
        let mut server = Server::new(mood, &self.mailbox);
        let greeting = std::mem::take(&mut server.output);
        // The race hands over what it has read, which may be half a greeting.
        let (now, later) = greeting.split_at(greeting.len() / 2);
        server.output = later.to_vec();
        self.bury();
        self.trace("a server joins", now);
        self.server = Some(server);
        let id = self.next_server;
        self.next_server += 1;
        self.dialogue
            .server_ready(id, None, now, self.now, &mut self.room);
    }

    /// The server dies with all that is on its wires.
    pub(crate) fn kill(&mut self) {
        if self.bury() {
            self.trace("the server is lost", b"");
            self.dialogue
                .server_lost(Lost::Reset, self.now, &mut self.room);
        }
    }

    fn bury(&mut self) -> bool {
        self.room.server.clear();
        let Some(server) = self.server.take() else {
            return false;
        };
        self.nonsense.extend(server.nonsense);
        true
    }

    /// The dialogue has left the server; a polite goodbye still arrives.
    fn leave_if_released(&mut self) {
        if self.dialogue.has_server() || self.room.released.is_empty() {
            return;
        }
        let parting = self.room.released.pop();
        self.trace(&format!("left {parting:?}"), &self.room.server);
        self.room.released.clear();
        if parting == Some(Parting::Polite)
            && let Some(server) = &mut self.server
        {
            server.feed(&self.room.server);
        }
        self.bury();
    }

    pub(crate) fn client_speaks(&mut self, most: usize) -> bool {
        let count = self.client.output.len().min(most);
        if count == 0 || !self.dialogue.reads_client() {
            return false;
        }
        let bytes: Vec<u8> = self.client.output.drain(..count).collect();
        self.trace("client says", &bytes);
        self.dialogue.client_bytes(&bytes, self.now, &mut self.room);
        self.leave_if_released();
        true
    }

    pub(crate) fn client_hears(&mut self, most: usize) -> bool {
        let count = self.room.client.len().min(most);
        let bytes: Vec<u8> = self.room.client.drain(..count).collect();
        if count > 0 {
            self.trace("client hears", &bytes);
        }
        self.client.feed(&bytes);
        count > 0
    }

    pub(crate) fn server_hears(&mut self, most: usize) -> bool {
        let count = self.room.server.len().min(most);
        if self.server.is_none() || count == 0 {
            return false;
        }
        let bytes: Vec<u8> = self.room.server.drain(..count).collect();
        self.trace("server hears", &bytes);
        let Some(server) = &mut self.server else {
            return false;
        };
        self.to_server += count;
        server.feed(&bytes);
        count > 0
    }

    /// The kernel has taken all, and perhaps the other side's as well.
    pub(crate) fn server_took(&mut self, acknowledges: bool) -> bool {
        if !self.room.server.is_empty() {
            return false;
        }
        if self.dialogue.wants_written() {
            self.dialogue.written(self.now, &mut self.room);
            self.leave_if_released();
            return true;
        }
        if acknowledges && self.dialogue.wants_acknowledgement() {
            self.dialogue.acknowledged(self.now, &mut self.room);
            return true;
        }
        false
    }

    pub(crate) fn server_speaks(&mut self, most: usize) -> bool {
        let Some(server) = &mut self.server else {
            return false;
        };
        let count = server.output.len().min(most);
        if count == 0 {
            if server.closed {
                self.kill();
                return true;
            }
            return false;
        }
        let bytes: Vec<u8> = server.output.drain(..count).collect();
        self.from_server += count;
        self.trace("server says", &bytes);
        self.dialogue.server_bytes(&bytes, self.now, &mut self.room);
        self.leave_if_released();
        true
    }

    pub(crate) fn wait(&mut self) -> bool {
        let Some(deadline) = self.dialogue.deadline() else {
            return false;
        };
        self.now = self.now.max(deadline);
        self.trace("time passes", b"");
        self.dialogue.tick(self.now, &mut self.room);
        self.leave_if_released();
        true
    }

    /// What holds at the end, whatever has happened.
    #[track_caller]
    pub(crate) fn check(&mut self, may_double: bool) {
        self.bury();
        assert_eq!(
            self.nonsense,
            Vec::<String>::new(),
            "no server hears nonsense"
        );
        let deliveries = self.mailbox.borrow();
        for (letter, fate) in self.client.letters().iter().zip(&self.client.fates) {
            let copies: Vec<_> = deliveries
                .iter()
                .filter(|delivery| delivery.mail == letter.mail)
                .collect();
            let yes = fate.end.as_ref().is_some_and(|end| end.starts_with('2'));
            let unknown = fate
                .end
                .as_ref()
                .is_some_and(|end| end.starts_with("451 4.4.2"));
            if yes {
                assert!(!copies.is_empty(), "a message that was accepted is lost");
            } else if !unknown {
                // The client hears no more than that the session has ended.
                let cut = fate.end.is_none();
                assert!(
                    copies.is_empty() || cut,
                    "refused, and yet delivered: {fate:?}"
                );
            }
            assert!(
                copies.len() <= 1 || may_double,
                "delivered {} times",
                copies.len()
            );
            for copy in copies {
                assert_eq!(copy.body, letter.body, "the body is the client's");
                let got: BTreeSet<_> = copy.recipients.iter().collect();
                let told: BTreeSet<_> = fate.accepted.iter().collect();
                assert_eq!(got, told, "all recipients, and no other");
                assert_eq!(got.len(), copy.recipients.len(), "each once");
            }
        }
    }
}
