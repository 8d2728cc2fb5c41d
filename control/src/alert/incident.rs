//! Incidents: what is wrong with a backend or a certificate, from the first sign until all has been well for a while.
//!
//! Pure: events and time go in, messages come out. One incident per subject. It is told when it opens; again only when
//! something is wrong that was not told of it yet (another server, a failover, no server left); and once when it is
//! over. What comes and goes in between counts as a flap. What operators do on purpose is no incident.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use engine::clock::Millis;
use engine::event::{Event, Kind, Named, ProcessState};
use engine::health::{Change, ServerState};

use super::certificate::{Expiry, Stage};

/// Between two messages of an incident, unless what is new cannot wait: servers that die one after the other are told
/// together.
const GATHER: Millis = 10_000;
/// Problems that an incident remembers; the first that is over makes room.
const REMEMBERED: usize = 500;
/// Problems that a message lists.
const LISTED: usize = 50;

/// What it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Backend(Arc<str>),
    /// A certificate of ours, by its file.
    Certificate(Arc<str>),
    /// That of a server.
    ServerCertificate {
        backend: Arc<str>,
        server: Arc<str>,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(name) => write!(f, "backend {name}"),
            Self::Certificate(file) => write!(f, "certificate {file}"),
            Self::ServerCertificate { backend, server } => {
                write!(f, "certificate of {backend}/{server}")
            }
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Problem {
    /// A server is DOWN, and nobody wanted that.
    Down(Arc<str>),
    /// A server answers its checks, and not as it should (`option smtpchk-deep`).
    Degraded(Arc<str>),
    /// New sessions go to backups: these.
    OnBackup(Vec<Arc<str>>),
    /// No server is left.
    NoServer,
    /// A certificate has few days left.
    Expires(Stage),
}

/// Why something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has begun.
    Open,
    /// Something else is wrong as well.
    Update,
    /// It is over.
    Resolved,
    /// It is not over, and the process stops watching it.
    Abandoned,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Of the incident.
    pub(crate) id: String,
    /// Counted from 1 in the incident.
    pub(crate) number: u32,
    pub(crate) subject: Subject,
    pub(crate) status: Status,
    /// When it opened, in ms since 1970.
    pub(crate) opened: u64,
    /// How long it has lasted, in ms.
    pub(crate) lasted: Millis,
    /// How often a problem that was told has come again.
    pub(crate) flaps: u32,
    /// What was told of it, in its order.
    pub(crate) problems: Vec<Told>,
    /// Problems that are not listed, because there are too many.
    pub(crate) more: usize,
}

/// A problem, its line, and whether it is one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) problem: Problem,
    pub(crate) text: String,
    pub(crate) now: bool,
    /// Of this message, and of none before.
    pub(crate) new: bool,
}

#[derive(Debug)]
struct Incident {
    id: String,
    opened: Millis,
    opened_wall: u64,
    told: Vec<Told>,
    flaps: u32,
    messages: u32,
    /// When the last one was.
    last: Millis,
    /// Since when nothing is wrong.
    well_since: Option<Millis>,
}

/// When and by which number something has happened.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Millis,
    wall_ms: u64,
    number: u64,
}

/// All that are open.
#[derive(Debug)]
pub(crate) struct Incidents {
    /// How long all must be well.
    settle: Millis,
    open: BTreeMap<Subject, Incident>,
    /// The last thing an operator took out of service: its backend and the event's number.
    planned: Option<(Arc<str>, u64)>,
    /// The process stops: nothing is begun any more.
    over: bool,
}

impl Incidents {
    pub(crate) fn new(settle: Millis) -> Self {
        Self {
            settle,
            open: BTreeMap::new(),
            planned: None,
            over: false,
        }
    }

    /// Takes an event in.
    pub(crate) fn see(&mut self, event: &Event) {
        if let Kind::Process(ProcessState::Stopping | ProcessState::Ended) = event.kind {
            self.over = true;
        }
        let Some(backend) = &event.proxy else { return };
        let subject = || Subject::Backend(Arc::clone(backend));
        let moment = Moment {
            at: event.at,
            wall_ms: event.wall_ms,
            number: event.seq,
        };
        match &event.kind {
            Kind::Server {
                server,
                from,
                to,
                change,
                ..
            } if from != to => {
                if let Change::EnteredMaint { .. } | Change::EnteredDrain { .. } = change {
                    self.planned = Some((Arc::clone(backend), event.seq));
                }
                let problem = Problem::Down(Arc::clone(&server.name));
                let unwanted = matches!(
                    change,
                    Change::WentDown {
                        expected: false,
                        ..
                    }
                );
                match to {
                    ServerState::Down if unwanted => {
                        self.begins(subject(), problem, &event.text, moment);
                    }
                    ServerState::Down => {}
                    _ => self.ends(&subject(), |known| *known == problem, event.at),
                }
            }
            Kind::Member {
                server,
                added: false,
            } => {
                let [down, degraded] = [Problem::Down, Problem::Degraded]
                    .map(|problem| problem(Arc::clone(&server.name)));
                let either = |known: &Problem| *known == down || *known == degraded;
                self.ends(&subject(), either, event.at);
            }
            Kind::Degraded { server, flaw, .. } => {
                let problem = Problem::Degraded(Arc::clone(&server.name));
                match flaw {
                    Some(_) => self.begins(subject(), problem, &event.text, moment),
                    None => self.ends(&subject(), |known| *known == problem, event.at),
                }
            }
            Kind::Backend { up: false, .. } => {
                self.begins(subject(), Problem::NoServer, &event.text, moment);
            }
            Kind::Backend { up: true, .. } => {
                self.ends(&subject(), |known| *known == Problem::NoServer, event.at);
            }
            Kind::Failover { to, .. } => {
                // Whichever backups had the sessions, they have them no longer.
                let on_backup = |known: &Problem| matches!(known, Problem::OnBackup(_));
                self.ends(&subject(), on_backup, event.at);
                // It is told right after what an operator did, with a weight or a backend's state between at most.
                let planned = self
                    .planned
                    .take()
                    .is_some_and(|(where_, number)| where_ == *backend && event.seq - number <= 3);
                if to.iter().any(|server| server.backup) && !planned {
                    let problem = Problem::OnBackup(names(to));
                    self.begins(subject(), problem, &event.text, moment);
                }
            }
            _ => {}
        }
    }

    /// Takes in how long all certificates are good.
    pub(crate) fn certificates(&mut self, all: &[Expiry], at: Millis, wall_ms: u64) {
        for expiry in all {
            self.expires(expiry, at, wall_ms);
        }
        // What is there no more is of no concern.
        let gone = |subject: &&Subject| {
            let backend = matches!(subject, Subject::Backend(_));
            !backend && !all.iter().any(|expiry| expiry.subject == **subject)
        };
        let gone: Vec<_> = self.open.keys().filter(gone).cloned().collect();
        for subject in &gone {
            self.ends(subject, |_| true, at);
        }
    }

    fn expires(&mut self, expiry: &Expiry, at: Millis, wall_ms: u64) {
        let subject = &expiry.subject;
        let wrong = expiry.stage.map(Problem::Expires);
        let other = |known: &Problem| Some(known) != wrong.as_ref();
        let known = self.open.get(subject);
        let same = known.is_some_and(|open| {
            let mut now = open.told.iter().filter(|told| told.now);
            now.any(|told| Some(&told.problem) == wrong.as_ref())
        });
        if same || known.is_none() && wrong.is_none() {
            return;
        }
        self.ends(subject, other, at);
        if let Some(problem) = wrong {
            let number = u64::try_from(expiry.not_after).unwrap_or(0);
            let moment = Moment {
                at,
                wall_ms,
                number,
            };
            self.begins(subject.clone(), problem, &expiry.text(), moment);
        }
    }

    fn begins(&mut self, subject: Subject, problem: Problem, text: &str, moment: Moment) {
        if self.over {
            return;
        }
        let id = || {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let subject: String = subject.to_string().chars().map(plain).collect();
            format!("{subject}-{}-{}", moment.wall_ms, moment.number)
        };
        let incident = self
            .open
            .entry(subject.clone())
            .or_insert_with(|| Incident {
                id: id(),
                opened: moment.at,
                opened_wall: moment.wall_ms,
                told: Vec::new(),
                flaps: 0,
                messages: 0,
                last: 0,
                well_since: None,
            });
        incident.well_since = None;
        match incident
            .told
            .iter_mut()
            .find(|told| told.problem == problem)
        {
            Some(told) => {
                incident.flaps += u32::from(!told.now);
                told.now = true;
                text.clone_into(&mut told.text);
            }
            None => {
                if incident.told.len() >= REMEMBERED
                    && let Some(at) = incident.told.iter().position(|told| !told.now)
                {
                    incident.told.remove(at);
                }
                incident.told.push(Told {
                    problem,
                    text: text.to_owned(),
                    now: true,
                    new: true,
                });
            }
        }
    }

    fn ends(&mut self, subject: &Subject, which: impl Fn(&Problem) -> bool, at: Millis) {
        let Some(incident) = self.open.get_mut(subject) else {
            return;
        };
        for told in &mut incident.told {
            told.now &= !which(&told.problem);
        }
        if incident.told.iter().all(|told| !told.now) {
            incident.well_since.get_or_insert(at);
        }
    }

    /// When there may be something to tell without an event.
    pub(crate) fn due(&self) -> Option<Millis> {
        let due = self.open.values().flat_map(|incident| {
            let over = incident.well_since.map(|since| since + self.settle);
            let news = incident.told.iter().any(|told| told.new);
            [over, news.then_some(incident.last + GATHER)]
        });
        due.flatten().min()
    }

    /// What is open, and since when: ms since 1970.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&Subject, &str, u64)> {
        let open = self.open.iter();
        open.map(|(subject, incident)| (subject, &*incident.id, incident.opened_wall))
    }

    /// What is to be told now; each thing once.
    pub(crate) fn messages(&mut self, now: Millis) -> Vec<Message> {
        let mut messages = Vec::new();
        let (settle, over) = (self.settle, self.over);
        self.open.retain(|subject, incident| {
            if incident.has_news(now) {
                let status = if incident.messages == 0 {
                    Status::Open
                } else {
                    Status::Update
                };
                messages.push(incident.message(subject, status, now));
            }
            let end = match incident.well_since {
                Some(since) if over || now >= since + settle => (Status::Resolved, since),
                None if over => (Status::Abandoned, now),
                _ => return true,
            };
            messages.push(incident.message(subject, end.0, end.1));
            false
        });
        messages
    }
}

impl Incident {
    /// Whether there is something to tell that was not told, and it is time to.
    fn has_news(&self, now: Millis) -> bool {
        let urgent =
            |problem: &Problem| !matches!(problem, Problem::Down(_) | Problem::Degraded(_));
        let due = self.messages == 0 || now >= self.last + GATHER;
        let mut news = self.told.iter().filter(|told| told.new);
        news.any(|told| due || urgent(&told.problem))
    }

    fn message(&mut self, subject: &Subject, status: Status, until: Millis) -> Message {
        self.messages += 1;
        self.last = until;
        let mut problems = self.told.clone();
        // What is new goes before what is known, and what is so before what was.
        if problems.len() > LISTED {
            problems.sort_by_key(|told| (!told.new, !told.now));
        }
        let more = problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        self.told.iter_mut().for_each(|told| told.new = false);
        Message {
            id: self.id.clone(),
            number: self.messages,
            subject: subject.clone(),
            status,
            opened: self.opened_wall,
            lasted: until.saturating_sub(self.opened),
            flaps: self.flaps,
            problems,
            more,
        }
    }
}

fn names(servers: &[Named]) -> Vec<Arc<str>> {
    servers
        .iter()
        .map(|server| Arc::clone(&server.name))
        .collect()
}

#[cfg(test)]
mod tests;
