//! The shell of `wire::visit`: its connection, TLS on it, its time. For the deep check and for the probe.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wire::visit::{Action, Event, Plan, Step, Visit};

use crate::call::Call;
use crate::tls::{Failure, Stream as Tls};

/// How long a visit and its steps may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// All of it.
    pub(crate) until: Instant,
    /// To connect.
    pub(crate) connect: Instant,
    /// Each step.
    pub(crate) step: Option<Duration>,
}

/// Visits a server. `words` tells errors, `dial` connects, `tls` makes what runs on it; what comes back is what there is
/// to judge, and the connection, if it may still stand.
pub(crate) async fn pay(
    plan: Plan,
    patience: Patience,
    words: fn(&io::Error) -> String,
    dial: impl Future<Output = io::Result<Call>>,
    tls: impl Fn() -> Result<Tls, Failure>,
) -> (Visit, Option<Call>) {
    let begun = Instant::now();
    let now = || begun.elapsed().as_millis() as u64;
    let mut visit = Visit::new(plan, 0);
    let event = match timeout_at(patience.connect, dial).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Event::Broken(words(&error))),
        Err(_) => Err(Event::TimedOut),
    };
    let mut stream = match event {
        Ok(stream) => stream,
        Err(event) => {
            visit.on(event, now());
            return (visit, None);
        }
    };
    let mut buffer = vec![0; 4096];
    let mut action = visit.on(Event::Connected, now());
    let (mut step, mut limit) = (Step::Connect, patience.until);
    loop {
        if visit.step() != step {
            step = visit.step();
            let own = patience.step.map(|step| Instant::now() + step);
            limit = own.map_or(patience.until, |own| own.min(patience.until));
        }
        let event = match &action {
            Action::Secure => match timeout_at(limit, secure(&mut stream, &tls)).await {
                Ok(Ok(())) => Event::Secured,
                Ok(Err(failure)) => Event::NotSecured(failure.to_string()),
                Err(_) => Event::TimedOut,
            },
            Action::Send(bytes) => match timeout_at(limit, stream.write_all(bytes)).await {
                Ok(Ok(())) => Event::Sent,
                Ok(Err(error)) => Event::Broken(words(&error)),
                Err(_) => Event::TimedOut,
            },
            Action::Receive => match timeout_at(limit, stream.read(&mut buffer)).await {
                Ok(Ok(0)) => Event::Broken("connection closed".into()),
                Ok(Ok(read)) => Event::Received(&buffer[..read]),
                Ok(Err(error)) => Event::Broken(words(&error)),
                Err(_) => Event::TimedOut,
            },
            // It stands already.
            Action::Connect => Event::Connected,
            Action::Finish => return (visit, Some(stream)),
        };
        action = visit.on(event, now());
    }
}

async fn secure(stream: &mut Call, tls: &impl Fn() -> Result<Tls, Failure>) -> Result<(), Failure> {
    stream.upgrade(tls()?).await
}
