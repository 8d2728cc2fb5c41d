//! One session: what client and server say passes here, and what was said is kept as long as another server
//! may have to hear it.
//!
//! Inputs are methods; each may call the [`Shell`] any number of times. Afterwards the shell looks at what the
//! dialogue waits for: [`Dialogue::ended`], [`Dialogue::quest`], [`Dialogue::reads_client`],
//! [`Dialogue::wants_written`], [`Dialogue::wants_acknowledgement`], [`Dialogue::deadline`]. These are levels, not
//! events: they hold until something changes them.
//!
//! The client's way is in `client.rs`, `login.rs` and `bodies.rs`, the server's in `naming.rs` and `server.rs`, and what
//! happens between two servers in `moving.rs`.

mod bodies;
mod client;
mod login;
mod moving;
mod naming;
mod secure;
mod server;
mod timing;

use std::sync::Arc;

use super::auth::Exchange;
use super::capabilities::Capabilities;
use super::data::Scanner;
use super::settings::{Security, Settings};
use super::shell::{Count, End, Lost, Millis, Parting, Phase, Quest, ServerId, Shell, State, Why};
use super::words;
use super::work::Work;
use moving::Episode;
use naming::Naming;
use zeroize::Zeroize;

/// Bytes of the client's that may wait here for their turn, besides a line; with more the shell stops reading.
const MAX_INBOX: usize = 16 * 1024;

/// A session in `mode smtp`.
#[derive(Debug)]
pub struct Dialogue {
    settings: Arc<Settings>,
    leg: Leg,
    /// The server of the leg, or the last there was.
    server: Option<ServerId>,
    /// What this server offered in its reply to EHLO.
    offer: Capabilities,
    /// What every server of the backend offers, as far as it is known.
    common: Option<Capabilities>,
    /// What the client was promised.
    promised: Option<Capabilities>,
    /// The client's EHLO or HELO line that a server has accepted.
    hello: Option<Box<[u8]>>,
    intake: Intake,
    /// What the client has sent and what could not be dealt with yet.
    inbox: Vec<u8>,
    /// The beginning of a reply.
    replies: Vec<u8>,
    work: Option<Box<Work>>,
    /// Who has logged in, or is about to.
    login: Option<Box<Exchange>>,
    /// What the server of the leg is told of the client.
    naming: Option<Box<Naming>>,
    episode: Option<Box<Episode>>,
    /// Why there is no server when there is none.
    left: Why,
    /// When the client was last heard, and when the server last did what it was waited for.
    client_since: Millis,
    server_since: Millis,
    errors: u32,
    transactions: u32,
    idle_commands: u32,
    /// The server has said its last word: 221 or 421.
    server_has_left: bool,
    greeted: bool,
    /// TLS with the client stands.
    secured: bool,
    client_ended: bool,
    over: Option<End>,
}

/// The server's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// None, and nothing that needs one.
    None,
    /// The shell was asked for one.
    Seeking,
    /// Connected; the greeting is not complete.
    Greeting,
    /// It was asked whether it takes XCLIENT.
    Asking,
    /// It is told who the client is.
    Naming,
    /// It was told the client's EHLO again.
    Hello,
    /// It is told the client's AUTH again.
    Login,
    /// It can be talked to.
    Up,
}

/// How the client's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    Command,
    /// The rest of a line that is too long.
    LongLine,
    /// An answer to a challenge of AUTH.
    Response,
    /// Not at all: TLS is about to begin.
    Handshake,
    /// The body behind DATA.
    Data(Scanner),
    /// A chunk: how much of it is missing. It may be that nobody wants it.
    Chunk {
        left: u64,
        unwanted: bool,
    },
}

impl Dialogue {
    /// A session whose server is being looked for: [`Self::quest`] says so.
    pub fn new(settings: Arc<Settings>, now: Millis) -> Self {
        Self {
            leg: Leg::Seeking,
            server: None,
            offer: Capabilities::default(),
            common: None,
            promised: None,
            hello: None,
            intake: Intake::Command,
            inbox: Vec::new(),
            replies: Vec::new(),
            work: None,
            login: None,
            naming: None,
            episode: None,
            left: Why::First,
            client_since: now,
            server_since: now,
            errors: 0,
            transactions: 0,
            idle_commands: 0,
            server_has_left: false,
            greeted: false,
            secured: settings.security == Security::Implicit,
            client_ended: false,
            over: None,
            settings,
        }
    }

    // Inputs.

    /// The client has sent `bytes`. All of them are taken.
    pub fn client_bytes(&mut self, bytes: &[u8], now: Millis, shell: &mut dyn Shell) {
        if self.over.is_some() {
            return;
        }
        self.client_since = now;
        if !self.greeted && self.inbox.is_empty() {
            shell.count(Count::EarlyTalker);
        }
        if self.inbox.is_empty() {
            let used = self.take(bytes, now, shell);
            self.inbox.extend_from_slice(&bytes[used..]);
        } else {
            self.inbox.extend_from_slice(bytes);
        }
        self.resume(now, shell);
    }

    /// The client has ended its side. What it has sent before is still answered; but nothing is moved any more.
    pub fn client_end(&mut self, now: Millis, shell: &mut dyn Shell) {
        self.client_ended = true;
        self.end_if_done(now, shell);
    }

    /// The client's connection is broken.
    pub fn client_gone(&mut self, now: Millis, shell: &mut dyn Shell) {
        self.finish(End::ClientGone, now, shell);
    }

    /// A server was found: its connection stands, and `greeting` is what has come of it so far (it may be the
    /// beginning of a greeting of several lines). `common` is what every server of the backend is known to
    /// offer; `None`: nothing is known yet.
    pub fn server_ready(
        &mut self,
        server: ServerId,
        common: Option<Capabilities>,
        greeting: &[u8],
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        if self.leg != Leg::Seeking || self.over.is_some() {
            shell.release_server(Parting::Hard);
            return;
        }
        self.leg = Leg::Greeting;
        self.server = Some(server);
        self.server_has_left = false;
        self.common = common;
        self.replies = Vec::new();
        self.server_since = now;
        self.server_bytes(greeting, now, shell);
    }

    /// The race is over without a server. `reply` is what the client shall hear (the last server's own refusal, or
    /// `unavailable-reply`); without it is 421 4.3.2.
    pub fn no_server(&mut self, reply: Option<&[u8]>, now: Millis, shell: &mut dyn Shell) {
        if self.leg == Leg::Seeking {
            self.give_up(reply, now, shell);
            self.resume(now, shell);
        }
    }

    /// The server has sent `bytes`.
    pub fn server_bytes(&mut self, bytes: &[u8], now: Millis, shell: &mut dyn Shell) {
        self.take_replies(bytes, now, shell);
        self.resume(now, shell);
    }

    /// The server's connection has ended or broken. The shell has closed it already, or does so now.
    pub fn server_lost(&mut self, how: Lost, now: Millis, shell: &mut dyn Shell) {
        let why = match how {
            Lost::Closed => Why::Closed,
            Lost::Reset | Lost::TimedOut => Why::Reset,
        };
        self.lose(why, now, shell);
        self.resume(now, shell);
    }

    /// Health checks or an operator say that this server is not to be relied on: it is left where that is safe.
    pub fn server_down(&mut self, now: Millis, shell: &mut dyn Shell) {
        let stays = matches!(self.state(), State::S6Unprotected | State::S7);
        let spoiled = self.work.as_ref().is_some_and(|work| work.spoiled);
        if stays || spoiled || !self.carries_login() {
            return;
        }
        self.lose(Why::Down, now, shell);
        self.resume(now, shell);
    }

    /// Whether the session is between transactions, with nothing outstanding: [`Self::leave`] may be called.
    pub fn may_leave(&self) -> bool {
        let idle = self.leg == Leg::Up && self.work.is_none() && self.intake == Intake::Command;
        idle && self.carries_login()
    }

    /// Leaves the server of one's own accord (`option failback`, a drain), where [`Self::may_leave`] says so. The
    /// next server is to follow with [`Self::server_ready`].
    pub fn leave(&mut self, now: Millis, shell: &mut dyn Shell) {
        if self.may_leave() {
            self.lose(Why::Failback, now, shell);
            self.seek(Why::Failback, now);
        }
    }

    /// All that was handed to [`Shell::to_server`] is in the kernel's hands.
    pub fn written(&mut self, now: Millis, shell: &mut dyn Shell) {
        if let Some(work) = &mut self.work {
            work.waits_written = false;
            self.server_since = now;
            self.advance(now, shell);
            self.resume(now, shell);
        }
    }

    /// The server's TCP has acknowledged all that was written (`SIOCOUTQ` is 0).
    pub fn acknowledged(&mut self, now: Millis, shell: &mut dyn Shell) {
        if self.wants_acknowledgement()
            && let Some(work) = &mut self.work
        {
            work.ack = super::work::Ack::Done;
            self.advance(now, shell);
            self.resume(now, shell);
        }
    }

    // What it waits for.

    /// How the session ended, when it has: write what is queued for the client, then close it.
    pub fn ended(&self) -> Option<End> {
        self.over
    }

    /// The server that is wanted, while one is.
    pub fn quest(&self) -> Option<Quest<'_>> {
        if self.leg != Leg::Seeking || self.over.is_some() {
            return None;
        }
        Some(match &self.episode {
            None => Quest {
                why: self.left,
                avoid: &[],
                patient: true,
                until: Millis::MAX,
            },
            Some(episode) => episode.quest(),
        })
    }

    /// Whether the client's bytes are wanted. The shell must also wait while its own queue for the server is
    /// not empty.
    pub fn reads_client(&self) -> bool {
        self.over.is_none()
            && !self.client_ended
            && self.intake != Intake::Handshake
            && self.inbox.len() < MAX_INBOX + self.settings.limits.line
    }

    /// Whether [`Self::written`] is waited for.
    pub fn wants_written(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.waits_written)
    }

    /// Whether [`Self::acknowledged`] is waited for. Ask the kernel when everything is written, then every few
    /// milliseconds; the dialogue bounds the wait by its own deadline.
    pub fn wants_acknowledgement(&self) -> bool {
        let asked = |work: &Work| matches!(work.ack, super::work::Ack::Asked(_));
        self.work.as_ref().is_some_and(|work| asked(work))
    }

    /// Whether a server's connection belongs to the session.
    pub fn has_server(&self) -> bool {
        !matches!(self.leg, Leg::None | Leg::Seeking)
    }

    /// The server the session has, or had last.
    pub fn server(&self) -> Option<ServerId> {
        self.server
    }

    /// Bytes of journal: in memory, and in the spool file.
    pub fn journal_bytes(&self) -> (usize, u64) {
        self.work.as_ref().map_or((0, 0), |work| {
            let (memory, file) = work.body.held();
            (memory + work.tape.size(), file)
        })
    }

    /// Where the session is, in the words of the replay matrix.
    pub fn state(&self) -> State {
        if !self.greeted {
            return State::S0;
        }
        if let Some(state) = self.work.as_ref().and_then(|work| work.state()) {
            return state;
        }
        match (&self.hello, self.transactions) {
            (None, _) => State::S1,
            (Some(_), 0) if self.is_logged_in() => State::S4,
            (Some(_), 0) => State::S2,
            (Some(_), _) => State::S9,
        }
    }

    // What the files below share.

    /// Says something to the client in the proxy's own name.
    fn say(&mut self, reply: &[u8], phase: Phase, shell: &mut dyn Shell) {
        shell.to_client(reply);
        let class = reply.first().map_or(0, |digit| digit.wrapping_sub(b'0'));
        if class == 5 {
            self.errors += 1;
        }
        shell.count(Count::Reply { class, phase });
    }

    /// Whether the client is sending a message.
    fn is_in_body(&self) -> bool {
        matches!(self.intake, Intake::Data(_) | Intake::Chunk { .. })
    }

    fn work(&mut self) -> &mut Work {
        self.work.get_or_insert_default()
    }

    /// Goes on with what the server and the client have sent already.
    fn resume(&mut self, now: Millis, shell: &mut dyn Shell) {
        if !self.replies.is_empty() && !self.reply_is_early() {
            self.take_replies(&[], now, shell);
        }
        if !self.inbox.is_empty() {
            let secret = self.hears_secrets();
            let mut inbox = std::mem::take(&mut self.inbox);
            let used = self.take(&inbox, now, shell);
            if secret || self.hears_secrets() {
                inbox[..used].zeroize();
            }
            if used < inbox.len() {
                inbox.drain(..used);
                self.inbox = inbox;
            }
        }
        self.end_if_done(now, shell);
    }

    /// After the client has ended its side: the session is over when everything that can be answered is.
    fn end_if_done(&mut self, now: Millis, shell: &mut dyn Shell) {
        if !self.client_ended || self.over.is_some() {
            return;
        }
        let answered = self
            .work
            .as_ref()
            .is_none_or(|work| work.tape.is_answered() && work.verdict.is_none());
        let answered = answered && !self.waits_for_login();
        if self.leg == Leg::Seeking || answered {
            let clean = self.work.is_none() && self.inbox.is_empty();
            let end = if clean { End::Quit } else { End::ClientGone };
            self.finish(end, now, shell);
        }
    }

    /// The end of the session.
    fn finish(&mut self, end: End, now: Millis, shell: &mut dyn Shell) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(end);
        self.part(shell);
        self.leg = Leg::None;
        self.close_record(None, now, shell);
        self.drop_work(shell);
        self.login = None;
        self.episode = None;
        self.inbox.zeroize();
        self.inbox = Vec::new();
        self.replies = Vec::new();
    }

    /// Leaves the server, with a QUIT where the dialogue has room for one.
    fn part(&self, shell: &mut dyn Shell) {
        if !self.has_server() {
            return;
        }
        let listens = self.work.as_ref().is_none_or(|work| work.server_listens());
        let listens = listens && !self.is_logging_in();
        let body = self.is_in_body();
        let parting = if self.server_has_left {
            Parting::Done
        } else if self.leg == Leg::Up && listens && !body {
            shell.to_server(b"QUIT\r\n");
            Parting::Polite
        } else {
            Parting::Hard
        };
        shell.release_server(parting);
    }

    fn drop_work(&mut self, shell: &mut dyn Shell) {
        if let Some(mut work) = self.work.take() {
            work.body.forget(shell);
        }
    }
}
