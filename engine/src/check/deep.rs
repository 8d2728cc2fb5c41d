//! `option smtpchk-deep`: a visit to the server, and what it means.

use tokio::time::Instant;
use wire::check::{Deep, Outcome};
use wire::visit::{Plan, StartTls};

use super::{Subject, connect, part, wants_tls};
use crate::tls::{Asked, Failure, days_left};
use crate::visit::{self, Patience};

/// One check, from connect to verdict.
pub(super) async fn once(subject: &Subject, deep: &Deep, begun: Instant) -> Outcome {
    let server = &subject.server;
    let place = server.place();
    let tls = wants_tls(&server.conf, &place, None);
    let plan = Plan {
        tls,
        starttls: if tls {
            StartTls::No
        } else {
            deep.plan.starttls
        },
        ..deep.plan.clone()
    };
    let step = deep.limit.map(std::time::Duration::from_millis);
    let patience = Patience {
        until: subject.limits.for_script(begun, begun),
        connect: subject.limits.for_connect(begun, begun),
        step,
    };
    let secure = || match &server.check_tls {
        Some(connector) => connector.connect(&place.address, None, &Asked::default()),
        None => Err(Failure::Unknown),
    };
    let (visit, stream) =
        visit::pay(plan, patience, super::words, connect(subject, None), secure).await;
    if let Some(offer) = visit.offer() {
        subject.learn_offer(offer.capabilities(), tls || visit.is_secured());
    }
    let shown = server.check_tls.as_ref().filter(|_| visit.is_secured());
    let shown = shown.and_then(|connector| connector.seen());
    let outcome = deep.judge(&visit, shown.map(|seen| days_left(seen.leaf.not_after)));
    server.note_steps(&visit);
    if let Some(stream) = stream {
        // QUIT was said, where there was anybody to hear it.
        tokio::task::spawn_local(part(stream, None));
    }
    outcome
}
