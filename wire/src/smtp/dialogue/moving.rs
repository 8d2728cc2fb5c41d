//! Between two servers: leaving one, asking for another, catching up, giving up. The replay matrix lives here.

use super::{Count, Dialogue, End, Intake, Leg, Millis, Parting, Quest, Shell, State, Why, words};
use crate::smtp::ServerId;
use crate::smtp::record::Move;
use crate::smtp::reply::Reply;
use crate::smtp::tape::Kind;
use crate::smtp::verdict::Fault;

/// From the loss of a server until another has answered what that one could not.
#[derive(Debug)]
pub(super) struct Episode {
    began: Millis,
    pub(super) until: Millis,
    state: State,
    /// Why the first server was left, and why the last one.
    why: Why,
    last: Why,
    from: ServerId,
    avoid: Vec<ServerId>,
    /// What the client hears when no other server answers better, and the faults that were answered so far.
    spare: Option<Box<[u8]>>,
    seen: Vec<Fault>,
    caught_up: bool,
}

impl Episode {
    pub(super) fn quest(&self) -> Quest<'_> {
        Quest {
            why: self.last,
            avoid: &self.avoid,
            patient: self.spare.is_none(),
            until: self.until,
        }
    }
}

impl Dialogue {
    /// The server is lost, or to be left. What that means for the client is a question of where the session is.
    pub(super) fn lose(&mut self, why: Why, now: Millis, shell: &mut dyn Shell) {
        if !self.has_server() || self.over.is_some() {
            return;
        }
        let state = self.state();
        if self.keep_early_verdict(shell) {
            return;
        }
        match why {
            Why::Closed | Why::Reset | Why::Silent | Why::Nonsense => self.part_hard(shell),
            _ => {
                self.part(shell);
                self.without_server();
            }
        }
        self.left = why;
        let carried = self.keep_login(shell);
        let waits = self.waits_for_login();
        let in_body = self.is_in_body();
        let Some(work) = &mut self.work else {
            if waits {
                return self.seek_from(state, why, now);
            }
            self.episode = None;
            if state == State::S0 {
                self.seek(why, now);
            }
            return;
        };
        if work.verdict.is_some() {
            return;
        }
        if work.tape.last_kind() == Some(Kind::Quit) {
            let goodbye = words::goodbye(&self.settings.name);
            return self.finish_saying(goodbye.as_bytes(), End::Quit, now, shell);
        }
        let replay_end = self.settings.replay_after_data && why != Why::Silent;
        match state {
            State::S7 if !(replay_end && carried && work.body.is_whole()) => {
                self.outcome_unknown(now, shell)
            }
            _ if !carried && !in_body && !work.tape.is_answered() => {
                shell.count(Count::NotMoved { state, why });
                let reply = words::login_lost(&self.settings.name);
                self.close_record(Some(reply.as_bytes()), now, shell);
                self.finish_saying(reply.as_bytes(), End::NoServer, now, shell);
            }
            _ if state == State::S6Unprotected || work.spoiled || !carried => {
                shell.count(Count::NotMoved { state, why });
                self.spoil(words::TRY_AGAIN, now, shell);
            }
            _ => self.seek_from(state, why, now),
        }
    }

    /// A server that refuses a chunk before it has all of it, and then closes: that is its answer.
    fn keep_early_verdict(&mut self, shell: &mut dyn Shell) -> bool {
        if !self.reply_is_early() {
            return false;
        }
        let replies = std::mem::take(&mut self.replies);
        let verdict = match Reply::first(&replies) {
            Ok(Some(reply)) if reply.class() >= 4 && reply.code != 421 => reply.bytes,
            _ => return false,
        };
        self.part_hard(shell);
        self.left = Why::Failback;
        self.work().verdict = Some(verdict.into());
        true
    }

    /// The leg is gone.
    fn without_server(&mut self) {
        self.leg = Leg::None;
        self.naming = None;
        self.replies = Vec::new();
    }

    /// Leaves the server in the middle of something.
    pub(super) fn part_hard(&mut self, shell: &mut dyn Shell) {
        if self.has_server() {
            shell.release_server(Parting::Hard);
        }
        self.without_server();
    }

    pub(super) fn seek(&mut self, why: Why, now: Millis) {
        let state = self.state();
        self.seek_from(state, why, now);
    }

    fn seek_from(&mut self, state: State, why: Why, now: Millis) {
        self.leg = Leg::Seeking;
        let until = now + self.settings.budget;
        let from = self.server;
        if let Some(work) = &mut self.work {
            work.rewind();
        }
        if let Some(login) = &mut self.login {
            login.rewind();
        }
        let Some(from) = from else { return };
        let episode = self.episode.get_or_insert_with(|| {
            Box::new(Episode {
                began: now,
                until,
                state,
                why,
                last: why,
                from,
                avoid: Vec::new(),
                spare: None,
                seen: Vec::new(),
                caught_up: false,
            })
        });
        if why != Why::Failback && !episode.avoid.contains(&from) {
            episode.avoid.push(from);
        }
        episode.last = why;
        episode.caught_up = false;
    }

    /// Whether this answer is worth another server: it is the first of its kind to this command, and the client
    /// still listens.
    pub(super) fn may_move_for(&self, fault: Fault, kind: Kind) -> bool {
        let seen = self
            .episode
            .as_ref()
            .is_some_and(|episode| episode.seen.contains(&fault));
        let Some(work) = &self.work else { return false };
        let whole = !kind.is_end() || work.body.is_whole();
        !seen && whole && !work.spoiled && !self.client_ended && kind != Kind::Quit
    }

    /// Leaves a server for what it answered; the answer is kept for the case that there is no better one.
    pub(super) fn leave_for(
        &mut self,
        fault: Fault,
        reply: &Reply<'_>,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        let state = match self.state() {
            State::S7 => State::S8,
            state => state,
        };
        self.work().tape.hear();
        self.ask_another(state, fault, reply, now, shell);
    }

    fn ask_another(
        &mut self,
        state: State,
        fault: Fault,
        reply: &Reply<'_>,
        now: Millis,
        shell: &mut dyn Shell,
    ) {
        let why = match fault {
            Fault::Leaving => Why::Leaving,
            Fault::Busy => Why::Busy,
        };
        self.part(shell);
        self.without_server();
        self.left = why;
        self.seek_from(state, why, now);
        if let Some(episode) = &mut self.episode {
            episode.seen.push(fault);
            episode.spare = Some(reply.bytes.into());
        }
    }

    /// The same within AUTH. `false`: the answer is worth no other server, or none can go on.
    pub(super) fn leave_in_login(
        &mut self,
        reply: &Reply<'_>,
        now: Millis,
        shell: &mut dyn Shell,
    ) -> bool {
        let seen = |episode: &Episode| episode.seen.contains(&Fault::Leaving);
        let seen = self.episode.as_deref().is_some_and(seen);
        if seen || !self.carries_login() || self.client_ended {
            return false;
        }
        self.ask_another(self.state(), Fault::Leaving, reply, now, shell);
        true
    }

    /// A server is gone that knew who the client is, or was about to. Whether another can know it; if not, the client
    /// hears so: now if it waits, else at its next word.
    fn keep_login(&mut self, shell: &mut dyn Shell) -> bool {
        if self.carries_login() {
            return true;
        }
        if self.waits_for_login() {
            self.fail_login(words::AUTH_LATER, shell);
        } else if let Some(login) = &mut self.login {
            login.spoiled = true;
        }
        false
    }

    /// The server died with the whole message in its hands.
    fn outcome_unknown(&mut self, now: Millis, shell: &mut dyn Shell) {
        shell.count(Count::OutcomeUnknown);
        for phase in self.work().tape.unanswered_phases() {
            self.say(words::UNKNOWN, phase, shell);
        }
        self.close_record(Some(words::UNKNOWN), now, shell);
        self.drop_work(shell);
        self.episode = None;
    }

    /// The transaction cannot be had from another server: what waits for an answer hears so, and what follows in
    /// the transaction as well.
    pub(super) fn spoil(&mut self, verdict: &[u8], now: Millis, shell: &mut dyn Shell) {
        if self.has_server() {
            self.part(shell);
            self.without_server();
        }
        self.leg = Leg::None;
        if let Some(episode) = self.episode.take() {
            let (state, why) = (episode.state, episode.why);
            shell.count(Count::NotMoved { state, why });
            self.note_move(&episode, None);
        }
        self.close_record(Some(verdict), now, shell);
        let body = self.is_in_body();
        let Some(work) = &mut self.work else { return };
        let ended = work.tape.any_unanswered(Kind::is_end);
        let mut phases = work.tape.unanswered_phases();
        if matches!(self.intake, Intake::Chunk { .. }) {
            // A chunk that is still coming is answered when it is here.
            phases.pop();
        }
        work.verdict = Some(verdict.into());
        work.tape.clear();
        work.body.forget(shell);
        for phase in phases {
            self.say(verdict, phase, shell);
        }
        if ended && !body {
            self.drop_work(shell);
        }
    }

    /// No other server is to be had.
    pub(super) fn give_up(&mut self, reply: Option<&[u8]>, now: Millis, shell: &mut dyn Shell) {
        self.leg = Leg::None;
        if self.greeted && self.work.is_none() && !self.waits_for_login() {
            // Nobody waits for it; the next command asks again.
            self.episode = None;
            return;
        }
        let unavailable = words::unavailable(&self.settings.name);
        let reply = reply.unwrap_or(unavailable.as_bytes());
        let in_body = self.is_in_body();
        let spare = self
            .episode
            .as_mut()
            .and_then(|episode| episode.spare.take());
        if in_body && spare.is_none() {
            return self.spoil(reply, now, shell);
        }
        if let Some(episode) = self.episode.take() {
            let (state, why) = (episode.state, episode.why);
            shell.count(Count::NotMoved { state, why });
            self.note_move(&episode, None);
        }
        if let Some(spare) = spare {
            return self.pass_spare(&spare, now, shell);
        }
        self.close_record(Some(reply), now, shell);
        self.finish_saying(reply, End::NoServer, now, shell);
    }

    /// The answer that was kept is the best there is.
    fn pass_spare(&mut self, spare: &[u8], now: Millis, shell: &mut dyn Shell) {
        let Ok(Some(reply)) = Reply::first(spare) else {
            return;
        };
        if self.waits_for_login() {
            self.pass_login(&reply, now, shell);
        } else {
            let work = self.work();
            let Some(entry) = work.tape.get(work.tape.told) else {
                return;
            };
            work.tape.heard = work.tape.told;
            work.tape.sent = work.tape.told + 1;
            self.pass(entry, &reply, now, shell);
        }
        if reply.code == 421 {
            self.finish(End::ServerLeft, now, shell);
        }
    }

    /// Sends what may be sent.
    pub(super) fn advance(&mut self, now: Millis, shell: &mut dyn Shell) {
        if self.leg != Leg::Up {
            return;
        }
        self.advance_login(now, shell);
        let Some(work) = &mut self.work else { return };
        let pipelining = self
            .offer
            .extensions
            .contains(crate::smtp::Extension::PIPELINING);
        match work.advance(pipelining, &self.settings, now, shell) {
            Ok(true) => self.server_since = now,
            Ok(false) => {}
            Err(_) => {
                self.part_hard(shell);
                self.spoil(words::TRY_AGAIN, now, shell);
            }
        }
        self.note_caught_up(now, shell);
    }

    /// Counts the move when the new server is where the old one was.
    pub(super) fn note_caught_up(&mut self, now: Millis, shell: &mut dyn Shell) {
        let caught_up =
            self.leg == Leg::Up && self.work.as_ref().is_none_or(|work| work.is_caught_up());
        let Some(mut episode) = self.episode.take_if(|_| caught_up) else {
            return;
        };
        if !episode.caught_up {
            episode.caught_up = true;
            let lost = now - episode.began;
            let (state, why) = (episode.state, episode.why);
            shell.count(Count::Moved { state, why, lost });
            self.note_move(&episode, Some(lost));
        }
        let work = self.work.as_ref();
        let waits = work.is_some_and(|work| !work.tape.is_answered());
        if waits || self.waits_for_login() {
            self.episode = Some(episode);
        }
    }

    /// The command that the episode was about is answered.
    pub(super) fn note_answered(&mut self) {
        if self
            .episode
            .as_ref()
            .is_some_and(|episode| episode.caught_up)
        {
            self.episode = None;
        }
    }

    fn note_move(&mut self, episode: &Episode, lost: Option<Millis>) {
        let Some(work) = &mut self.work else { return };
        let moves = match &mut work.record {
            Some(record) => &mut record.moves,
            None => &mut work.moved,
        };
        moves.push(Move {
            state: episode.state,
            why: episode.why,
            from: episode.from,
            lost,
        });
    }
}
