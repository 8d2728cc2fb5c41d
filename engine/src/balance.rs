//! Whom a new session gets: `balance`, backups, and what comes after a failure (haproxy-compat 3.1).
//!
//! A [`Selector`] is built by the controller whenever a server's state changes and never changes
//! itself; workers share it. It knows who is usable and the algorithm's tables; how busy servers are it
//! is told with every question.

mod algorithm;
mod sequence;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use config::model::Balance;

use self::algorithm::Algorithm;

/// A server as the selector sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the backend.
    pub index: usize,
    /// Its id, by which `balance first` orders.
    pub id: u32,
    /// UP, and neither drained nor in maintenance.
    pub usable: bool,
    /// `backup`.
    pub backup: bool,
    /// Its effective weight, in any unit common to all; 0 is not usable.
    pub weight: u32,
    /// Usable, and left alone while others serve.
    pub reserve: bool,
    /// May be tried when nothing else is left: anything that is not in maintenance.
    pub last_resort: bool,
}

/// How busy a server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Sessions it has.
    pub served: u32,
    /// Sessions that wait for it.
    pub queued: u32,
    /// The sessions it may have now; 0 is no limit.
    pub maxconn: u32,
}

impl Load {
    fn is_full(self) -> bool {
        self.maxconn > 0 && (self.queued > 0 || self.served >= self.maxconn)
    }

    fn sum(self) -> u64 {
        u64::from(self.served) + u64::from(self.queued)
    }
}

/// Servers a session has tried in vain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    first: u64,
    more: Vec<u64>,
}

impl Tried {
    /// Notes a server.
    pub fn insert(&mut self, index: usize) {
        let Some(word) = (index / 64).checked_sub(1) else {
            self.first |= 1 << index;
            return;
        };
        if self.more.len() <= word {
            self.more.resize(word + 1, 0);
        }
        self.more[word] |= 1 << (index % 64);
    }

    /// Forgets a server.
    pub(crate) fn remove(&mut self, index: usize) {
        let word = match (index / 64).checked_sub(1) {
            None => Some(&mut self.first),
            Some(word) => self.more.get_mut(word),
        };
        if let Some(word) = word {
            *word &= !(1 << (index % 64));
        }
    }

    /// Whether a server was noted.
    pub fn contains(&self, index: usize) -> bool {
        let word = match (index / 64).checked_sub(1) {
            None => self.first,
            Some(word) => self.more.get(word).copied().unwrap_or(0),
        };
        word >> (index % 64) & 1 == 1
    }
}

/// What a choice depends on.
pub struct Pick<'p> {
    /// The client, for `balance source`; `None` on a unix socket, and then it goes round robin.
    pub source: Option<IpAddr>,
    /// How busy the server at that place in the backend is.
    pub loads: &'p dyn Fn(usize) -> Load,
    /// Not these.
    pub tried: &'p Tried,
}

impl std::fmt::Debug for Pick<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pick")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The selector's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// That server, by its place in the backend.
    Server(usize),
    /// There are servers, and each has all the sessions it may have: wait for any.
    Full,
    /// There is no server.
    None,
}

/// An immutable view of a backend's servers, ready to choose.
#[derive(Debug)]
pub struct Selector {
    /// Who shares the load.
    algorithm: Algorithm,
    /// The one backup that takes everything, where that is so.
    sole_backup: Option<usize>,
    actives: usize,
    backups: Vec<usize>,
    last_resorts: Vec<usize>,
}

impl Selector {
    /// Without servers: chooses none.
    pub fn empty() -> Self {
        Self::new(&[], Balance::RoundRobin, false)
    }

    /// From a backend's servers, in the order they are written.
    pub fn new(candidates: &[Candidate], balance: Balance, allbackups: bool) -> Self {
        let usable =
            |candidate: &&Candidate| candidate.usable && candidate.weight > 0 && !candidate.reserve;
        let group = |backup: bool| -> Vec<Candidate> {
            candidates
                .iter()
                .filter(usable)
                .filter(|c| c.backup == backup)
                .copied()
                .collect()
        };
        let (actives, backups) = (group(false), group(true));
        let alone = actives.is_empty() && !allbackups;
        let sole_backup = backups
            .first()
            .filter(|_| alone)
            .map(|candidate| candidate.index);
        let shared = match (actives.is_empty(), allbackups) {
            (false, _) => &actives[..],
            (true, true) => &backups[..],
            (true, false) => &[],
        };
        // Servers that answered their checks first: one in reserve or drained, then those marked DOWN.
        let mut last_resorts: Vec<_> = candidates
            .iter()
            .filter(|candidate| candidate.last_resort && !usable(candidate))
            .collect();
        last_resorts.sort_by_key(|candidate| (!candidate.usable, candidate.backup));
        Self {
            algorithm: Algorithm::new(shared, balance),
            sole_backup,
            actives: actives.len(),
            backups: backups.iter().map(|candidate| candidate.index).collect(),
            last_resorts: last_resorts
                .iter()
                .map(|candidate| candidate.index)
                .collect(),
        }
    }

    /// Usable servers that are not backups (`act` of `show stat`).
    pub fn actives(&self) -> usize {
        self.actives
    }

    /// Usable backups (`bck` of `show stat`).
    pub fn backups(&self) -> usize {
        self.backups.len()
    }

    /// Whether that server may take sessions that wait for any: it is among those the load is shared by,
    /// or the backup that takes everything.
    pub fn serves_any(&self, index: usize) -> bool {
        self.sole_backup == Some(index)
            || self
                .algorithm
                .group()
                .iter()
                .any(|candidate| candidate.index == index)
    }

    /// Whether others would get that server's sessions, were they new.
    pub(crate) fn is_passed_over(&self, index: usize) -> bool {
        let others = self.sole_backup.is_some() || !self.algorithm.group().is_empty();
        others && !self.serves_any(index)
    }

    /// The balance algorithm's choice. A lone backup is chosen even when it is full: sessions wait for
    /// it, and the next backup is left alone.
    pub fn choose(&self, pick: &Pick<'_>) -> Choice {
        if let Some(backup) = self.sole_backup {
            let tried = pick.tried.contains(backup);
            return if tried {
                Choice::None
            } else {
                Choice::Server(backup)
            };
        }
        self.algorithm.choose(pick)
    }

    /// Whom to try beside a server that is silent: a usable one with room, and not `pick.tried`.
    pub fn spare(&self, pick: &Pick<'_>) -> Option<usize> {
        if let Choice::Server(index) = self.choose(pick)
            && !(pick.loads)(index).is_full()
        {
            return Some(index);
        }
        let free = |&&index: &&usize| !pick.tried.contains(index) && !(pick.loads)(index).is_full();
        self.backups.iter().find(free).copied()
    }

    /// Whom to try after a failure (smtp-failover section 2): the other servers that share the load, the
    /// backups in order, and at last whatever is not in maintenance. Each once: `pick.tried` tells.
    pub fn fallback(&self, pick: &Pick<'_>) -> Choice {
        match self.choose(pick) {
            Choice::Server(index) => return Choice::Server(index),
            // Somebody is alive and busy: to wait there beats a server that may be dead.
            Choice::Full => {
                if let Some(index) = self.algorithm.least_full(pick) {
                    return Choice::Server(index);
                }
            }
            Choice::None => {}
        }
        let rest = self.backups.iter().chain(&self.last_resorts).copied();
        match rest.into_iter().find(|&index| !pick.tried.contains(index)) {
            Some(index) => Choice::Server(index),
            None => Choice::None,
        }
    }
}
