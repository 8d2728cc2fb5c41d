//! What is counted of the mail of a backend. No addresses, no content.

use wire::smtp::{Count, Outcome, Phase, State, Why};

use crate::counters::{PerWorker, Total, Totals};
use crate::histogram::Histogram;

/// The words of a label, in the order of its values.
pub type Names = &'static [&'static str];

/// First digits of replies.
pub const CLASSES: Names = &["2xx", "3xx", "4xx", "5xx"];
/// Where in a dialogue a reply stands.
pub const PHASES: Names = &[
    "hello", "auth", "mail", "rcpt", "data", "end", "chunk", "other",
];
/// States of the replay matrix (docs/smtp.md).
pub const STATES: Names = &["S0", "S1", "S2", "S4", "S5", "S6", "S6'", "S7", "S8", "S9"];
/// Why a server was left.
pub const REASONS: Names = &[
    "first", "closed", "reset", "silent", "down", "leaving", "busy", "unfit", "nonsense",
    "failback",
];
/// What became of a login: the last ones are failures of a server, and those that no server was asked for.
pub const LOGINS: Names = &["accepted", "refused", "failed", "limited"];
/// What became of a transaction.
pub const OUTCOMES: Names = &["delivered", "refused", "abandoned", "cut", "unknown"];

/// What a worker adds up for the mail of a backend.
#[derive(Debug, Default)]
pub struct MailTotals {
    /// Replies to clients, by [`PHASES`] and [`CLASSES`].
    pub replies: [[Total; CLASSES.len()]; PHASES.len()],
    /// Transactions that have ended, by [`OUTCOMES`].
    pub transactions: [Total; OUTCOMES.len()],
    /// Sessions carried over to another server, by [`STATES`].
    pub moved: [Total; STATES.len()],
    /// The same by [`REASONS`].
    pub moved_for: [Total; REASONS.len()],
    /// Failures that clients had to be told of, by [`STATES`].
    pub not_moved: [Total; STATES.len()],
    /// Logins, by [`LOGINS`].
    pub logins: [Total; LOGINS.len()],
    /// Messages that outgrew the journal.
    pub unprotected: Total,
    /// Messages whose server died before it answered their end.
    pub outcome_unknown: Total,
    /// Messages with a bare CR or LF that was made right.
    pub normalised: Total,
    /// Clients that spoke before they were greeted.
    pub early_talkers: Total,
    /// Sessions that ended for a broken limit or protocol.
    pub abuse: Total,
    /// Sessions ended for what was said in clear text behind STARTTLS.
    pub injections: Total,
    /// Octets of messages.
    pub octets: Total,
    /// Recipients that servers accepted.
    pub recipients: Total,
}

impl Totals for MailTotals {
    fn each(&self, visit: &mut dyn FnMut(&Total)) {
        let singles = [
            &self.unprotected,
            &self.outcome_unknown,
            &self.normalised,
            &self.early_talkers,
            &self.abuse,
            &self.injections,
            &self.octets,
            &self.recipients,
        ];
        let rows = [
            &self.transactions[..],
            &self.logins,
            &self.moved,
            &self.moved_for,
            &self.not_moved,
        ];
        let all = singles
            .into_iter()
            .chain(self.replies.iter().flatten())
            .chain(rows.into_iter().flatten());
        all.for_each(visit);
    }
}

/// What is counted of the mail of a backend, over all workers.
#[derive(Debug)]
pub struct MailCounters {
    /// Numbers.
    pub totals: PerWorker<MailTotals>,
    /// How long sessions waited until another server was where the lost one had been.
    pub lost: PerWorker<Histogram>,
}

impl MailCounters {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            totals: PerWorker::new(workers),
            lost: PerWorker::new(workers),
        }
    }

    /// Counts anew.
    pub(crate) fn clear(&self) {
        self.totals.clear();
        self.lost.clear();
    }

    /// Something has happened to a session of that worker.
    pub(super) fn count(&self, worker: usize, what: Count) {
        if let Count::Moved { lost, .. } = what {
            self.lost.at(worker).add(lost);
        }
        self.totals.at(worker).count(what);
    }
}

impl MailTotals {
    /// Something has happened.
    fn count(&self, what: Count) {
        match what {
            Count::Reply { class, phase } => {
                if let Some(total) = class
                    .checked_sub(2)
                    .and_then(|class| self.replies[phase_of(phase)].get(usize::from(class)))
                {
                    total.add(1);
                }
            }
            Count::Moved { state, why, .. } => {
                self.moved[state_of(state)].add(1);
                self.moved_for[reason_of(why)].add(1);
            }
            Count::NotMoved { state, .. } => self.not_moved[state_of(state)].add(1),
            Count::Unprotected => self.unprotected.add(1),
            Count::OutcomeUnknown => self.outcome_unknown.add(1),
            Count::Normalised => self.normalised.add(1),
            Count::EarlyTalker => self.early_talkers.add(1),
            Count::Abuse => self.abuse.add(1),
            Count::Injection => self.injections.add(1),
            // Told with its server.
            Count::Untold => {}
        }
    }

    /// A transaction has ended.
    pub(super) fn ended(&self, outcome: Outcome, octets: u64, recipients: u32) {
        self.transactions[outcome_of(outcome)].add(1);
        self.octets.add(octets);
        self.recipients.add(u64::from(recipients));
    }
}

fn phase_of(phase: Phase) -> usize {
    match phase {
        Phase::Hello => 0,
        Phase::Auth => 1,
        Phase::Mail => 2,
        Phase::Rcpt => 3,
        Phase::Data => 4,
        Phase::End => 5,
        Phase::Chunk => 6,
        Phase::Other => 7,
    }
}

fn state_of(state: State) -> usize {
    match state {
        State::S0 => 0,
        State::S1 => 1,
        State::S2 => 2,
        State::S4 => 3,
        State::S5 => 4,
        State::S6 => 5,
        State::S6Unprotected => 6,
        State::S7 => 7,
        State::S8 => 8,
        State::S9 => 9,
    }
}

fn reason_of(why: Why) -> usize {
    match why {
        Why::First => 0,
        Why::Closed => 1,
        Why::Reset => 2,
        Why::Silent => 3,
        Why::Down => 4,
        Why::Leaving => 5,
        Why::Busy => 6,
        Why::Unfit => 7,
        Why::Nonsense => 8,
        Why::Failback => 9,
    }
}

fn outcome_of(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Delivered => 0,
        Outcome::Refused => 1,
        Outcome::Abandoned => 2,
        Outcome::Cut => 3,
        Outcome::Unknown => 4,
    }
}

/// The name of a state in logs.
pub(super) fn state_name(state: State) -> &'static str {
    STATES[state_of(state)]
}

/// The word for a reason in logs.
pub(super) fn reason_name(why: Why) -> &'static str {
    REASONS[reason_of(why)]
}

/// The word for an outcome in logs.
pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    OUTCOMES[outcome_of(outcome)]
}
