//! A dialogue between a scripted client and scripted servers, without sockets.

mod client;
mod edge;
mod kill;
mod login;
mod matrix;
mod naming;
mod plain;
mod properties;
mod secure;
mod server;
mod simulation;
mod world;

use std::sync::Arc;

use super::*;

/// What a dialogue has said, and what it may do.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
    pub(crate) released: Vec<Parting>,
    pub(crate) file: Vec<u8>,
    pub(crate) records: Vec<Record>,
    pub(crate) counts: Vec<Count>,
    pub(crate) spool_limit: usize,
    pub(crate) stuck: bool,
    pub(crate) reach: Reach,
    /// Logins that failed too often.
    pub(crate) banned: Vec<String>,
    /// Mechanism, name and code of what was tried.
    pub(crate) logins: Vec<(String, Option<String>, u16)>,
    /// What every session is promised from now on.
    pub(crate) learned: Vec<Capabilities>,
}

impl Shell for Room {
    fn to_client(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
    }

    fn to_server(&mut self, bytes: &[u8]) {
        self.server.extend_from_slice(bytes);
    }

    fn release_server(&mut self, parting: Parting) {
        self.released.push(parting);
    }

    fn permits(&mut self, _: usize) -> bool {
        true
    }

    fn spool(&mut self, bytes: &[u8]) -> bool {
        self.file.extend_from_slice(bytes);
        self.file.len() <= self.spool_limit
    }

    fn unspool(&mut self, at: u64, length: usize) -> bool {
        let at = at as usize;
        let piece = self.file[at..at + length].to_vec();
        self.server.extend_from_slice(&piece);
        true
    }

    fn discard_spool(&mut self) {
        self.file.clear();
    }

    fn server_is_stuck(&mut self) -> bool {
        self.stuck
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn origin(&self) -> Origin {
        Origin {
            client: "192.0.2.7:4711".parse().ok(),
            destination: "192.0.2.1:587".parse().ok(),
        }
    }

    fn may_log_in(&mut self, name: Option<&str>) -> bool {
        !name.is_some_and(|name| self.banned.iter().any(|banned| banned == name))
    }

    fn login(&mut self, login: &Login<'_>) {
        let name = login.name.map(str::to_owned);
        self.logins
            .push((login.mechanism.to_owned(), name, login.code));
    }

    fn learned(&mut self, _: ServerId, offer: Capabilities) {
        self.learned.push(offer);
    }

    fn record(&mut self, record: Box<Record>) {
        self.records.push(*record);
    }

    fn count(&mut self, what: Count) {
        self.counts.push(what);
    }
}

/// A dialogue in its room, with the clock in hand.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) dialogue: Dialogue,
    pub(crate) room: Room,
    pub(crate) now: Millis,
    next_server: ServerId,
}

/// What a server offers unless a test says otherwise.
pub(crate) const OFFER: &str = "250-mail.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-XSECRET 1\r\n250-CHUNKING\r\n250-DSN\r\n250-8BITMIME\r\n250 STARTTLS\r\n";
/// The same as the client hears it.
pub(crate) const TOLD: &str = "250-proxy.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-CHUNKING\r\n250-DSN\r\n250 8BITMIME\r\n";

impl Play {
    pub(crate) fn new() -> Self {
        Self::with(|settings| settings.hold_back = None)
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new("proxy.example");
        settings.flight = 0;
        change(&mut settings);
        Self {
            dialogue: Dialogue::new(Arc::new(settings), 0),
            room: Room {
                spool_limit: usize::MAX,
                ..Room::default()
            },
            now: 0,
            next_server: 1,
        }
    }

    /// A session with a server that was told EHLO.
    pub(crate) fn open() -> Self {
        let mut play = Self::new();
        play.open_now();
        play
    }

    pub(crate) fn open_now(&mut self) {
        self.greeted("220 mail.example\r\n");
        self.hears("220 proxy.example ESMTP\r\n");
        self.client("EHLO client.example\r\n");
        self.asked("EHLO client.example\r\n");
        self.server(OFFER);
        self.hears(TOLD);
    }

    /// EHLO, answered with what the server offers.
    pub(crate) fn turn_hello(&mut self, offer: &str) {
        self.client("EHLO client.example\r\n");
        self.server(offer);
        self.room.client.clear();
        self.room.server.clear();
    }

    pub(crate) fn client(&mut self, bytes: &str) {
        self.dialogue
            .client_bytes(bytes.as_bytes(), self.now, &mut self.room);
        self.write();
    }

    pub(crate) fn server(&mut self, bytes: &str) {
        self.dialogue
            .server_bytes(bytes.as_bytes(), self.now, &mut self.room);
        self.write();
    }

    pub(crate) fn greeted(&mut self, greeting: &str) {
        let server = self.next_server;
        self.next_server += 1;
        self.dialogue
            .server_ready(server, None, greeting.as_bytes(), self.now, &mut self.room);
        self.write();
    }

    pub(crate) fn lost(&mut self) {
        self.dialogue
            .server_lost(Lost::Reset, self.now, &mut self.room);
        self.room.server.clear();
        self.write();
    }

    pub(crate) fn nobody(&mut self) {
        self.dialogue.no_server(None, self.now, &mut self.room);
        self.write();
    }

    pub(crate) fn wait(&mut self, time: Millis) {
        self.now += time;
        self.dialogue.tick(self.now, &mut self.room);
        self.write();
    }

    /// The kernel takes everything.
    fn write(&mut self) {
        while self.dialogue.wants_written() {
            self.dialogue.written(self.now, &mut self.room);
        }
    }

    /// What the client has heard since this was last asked.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &str) {
        let said = std::mem::take(&mut self.room.client);
        assert_eq!(String::from_utf8_lossy(&said), expected, "the client hears");
    }

    /// What the server has been told since this was last asked.
    #[track_caller]
    pub(crate) fn asked(&mut self, expected: &str) {
        let said = std::mem::take(&mut self.room.server);
        assert_eq!(String::from_utf8_lossy(&said), expected, "the server hears");
    }

    /// A command and its reply, with nothing in between.
    #[track_caller]
    pub(crate) fn turn(&mut self, command: &str, reply: &str) {
        self.client(command);
        self.asked(command);
        self.server(reply);
        self.hears(reply);
    }
}
