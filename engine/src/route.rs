//! Frontend to backend: `default_backend`, or the listen itself.

use std::sync::Arc;

use crate::end::{Cause, Ending, Phase};
use crate::session::Session;
use crate::worker::Worker;

/// Chooses the session's backend and counts it in.
pub(crate) fn choose_backend(worker: &Worker, session: &mut Session) -> Result<(), Ending> {
    let no_server = Ending::new(Cause::Server, Phase::Connect);
    let proxy = session.ingress.backend.as_ref().ok_or(no_server)?;
    let back = proxy
        .back
        .as_ref()
        .filter(|_| !proxy.conf().disabled)
        .ok_or(no_server)?;
    back.sessions.enter();
    back.totals.at(worker.id).sessions.add(1);
    back.rate.count(session.began);
    session.backend = Some(Arc::clone(proxy));
    Ok(())
}
