//! `posthouse_smtp_*`: the mail of backends in `mode smtp`. No addresses and no content.

use engine::Topology;
use engine::backend::Backend;
use engine::counters::Total;
use engine::process::Process;
use engine::smtp::MailCounters;
use engine::smtp::counts::{self, MailTotals, Names};

use super::metrics::{Kind, Metric, Shape, metric};
use super::write::{Shown, Writer, escaped};

const PREFIX: &str = "posthouse_smtp";

/// A number of a backend.
type One = fn(&MailTotals) -> &Total;

/// Numbers of a backend by the values of a label.
type Many = fn(&MailTotals, usize) -> &Total;

/// A number of the process.
type OfProcess = fn(&Process) -> u64;

#[rustfmt::skip]
const SINGLES: &[(Metric, One)] = &[
    (counter("unprotected_total", "Messages that outgrew the journal: they could not have been carried over."), |t| &t.unprotected),
    (counter("outcome_unknown_total", "Messages whose server died before it answered their end."), |t| &t.outcome_unknown),
    (counter("normalised_total", "Messages with a bare CR or LF that was made right."), |t| &t.normalised),
    (counter("early_talkers_total", "Clients that spoke before they were greeted."), |t| &t.early_talkers),
    (counter("abuse_total", "Sessions that ended for a broken limit or protocol."), |t| &t.abuse),
    (counter("injections_total", "Sessions that ended for what was said in clear text behind STARTTLS."), |t| &t.injections),
    (counter("octets_total", "Octets of messages."), |t| &t.octets),
    (counter("recipients_total", "Recipients that servers accepted."), |t| &t.recipients),
];

#[rustfmt::skip]
const LABELLED: &[(Metric, &str, Names, Many)] = &[
    (counter("transactions_total", "Transactions that have ended, by what became of them."), "outcome", counts::OUTCOMES, |t, at| &t.transactions[at]),
    (counter("logins_total", "Logins of clients, by what became of them: failed are those that a server could not judge, limited those that reached none."), "outcome", counts::LOGINS, |t, at| &t.logins[at]),
    (counter("moves_total", "Sessions carried over to another server, by where in the dialogue they were."), "state", counts::STATES, |t, at| &t.moved[at]),
    (counter("moves_for_total", "The same, by why their server was left."), "reason", counts::REASONS, |t, at| &t.moved_for[at]),
    (counter("failures_total", "Failures of servers that clients had to be told of, by where in the dialogue they were."), "state", counts::STATES, |t, at| &t.not_moved[at]),
];

const REPLIES: Metric = counter(
    "replies_total",
    "Replies to clients, by what they answer and by their first digit.",
);

const LOST: Metric = metric(
    "move_seconds",
    Kind::Histogram,
    "-",
    Shape::Plain,
    "How long a client waited until another server was where the lost one had been.",
);

const JOURNAL: &[(Metric, OfProcess)] = &[
    (
        gauge(
            "journal_memory_bytes",
            "Octets of messages that are kept in memory now.",
        ),
        |process| process.journals.memory(),
    ),
    (
        gauge(
            "journal_spool_bytes",
            "Octets of messages that are kept in the spool now.",
        ),
        |process| process.journals.spooled(),
    ),
];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Counter, "-", Shape::Plain, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Gauge, "-", Shape::Plain, help)
}

/// Of the process, where any backend reads mail.
pub(super) fn process(out: &mut Writer<'_>, topology: &Topology, process: &Process) {
    if backends(topology).next().is_none() {
        return;
    }
    for (metric, value) in JOURNAL {
        if out.head(PREFIX, metric) {
            out.sample("", Shown::Number(value(process)));
        }
    }
}

/// Of backends.
pub(super) fn of_backends(out: &mut Writer<'_>, topology: &Topology) {
    let backends: Vec<_> = backends(topology).collect();
    if backends.is_empty() {
        return;
    }
    for (metric, field) in SINGLES {
        if out.head(PREFIX, metric) {
            for (labels, mail) in &backends {
                out.sample(labels, Shown::Number(mail.totals.sum(field)));
            }
        }
    }
    for (metric, label, names, field) in LABELLED {
        if !out.head(PREFIX, metric) {
            continue;
        }
        for (labels, mail) in &backends {
            for (at, name) in names.iter().enumerate() {
                let labels = format!("{labels},{label}=\"{name}\"");
                let value = mail.totals.sum(|totals| field(totals, at));
                out.sample(&labels, Shown::Number(value));
            }
        }
    }
    replies(out, &backends);
    if out.head(PREFIX, &LOST) {
        for (labels, mail) in &backends {
            out.histogram(labels, &mail.lost.distribution());
        }
    }
}

fn replies(out: &mut Writer<'_>, backends: &[(String, &MailCounters)]) {
    if !out.head(PREFIX, &REPLIES) {
        return;
    }
    for (labels, mail) in backends {
        for (phase, to) in counts::PHASES.iter().enumerate() {
            for (class, digit) in counts::CLASSES.iter().enumerate() {
                let labels = format!("{labels},phase=\"{to}\",class=\"{digit}\"");
                let value = mail.totals.sum(|totals| &totals.replies[phase][class]);
                out.sample(&labels, Shown::Number(value));
            }
        }
    }
}

/// Those that read mail, with their labels.
fn backends(topology: &Topology) -> impl Iterator<Item = (String, &MailCounters)> {
    let mail = |back: &'_ Option<Backend>| back.as_ref().is_some_and(|back| back.mail.is_some());
    let proxies = topology
        .proxies
        .iter()
        .filter(move |proxy| mail(&proxy.back));
    proxies.filter_map(|proxy| {
        let mail = proxy.back.as_ref()?.mail.as_ref()?;
        Some((format!("proxy=\"{}\"", escaped(proxy.name())), mail))
    })
}
