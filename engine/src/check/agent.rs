//! The agent of a server is asked (CFG 5.2 `agent-check`): connect, send, hear one line. What it means is
//! [`wire::agent`]'s and the controller's business.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{Agent, Back, ServerAddress};
use tokio::time::{Instant, timeout};
use wire::agent::{Answer, MAX_LINE, cut_short, line};
use wire::check::{Outcome, Status};

use super::words;
use crate::call::Call;
use crate::controller::{At, Controller};
use crate::server::{Place, Server};

/// What the task of an agent needs to know; nothing of it changes.
pub(crate) struct Subject {
    at: At,
    server: Arc<Server>,
    inter: Duration,
    /// How long it may take.
    limit: Duration,
}

/// What was heard of an agent.
pub(crate) enum Heard {
    /// A line.
    Line(Answer),
    /// The beginning of one, or nothing.
    CutShort(Vec<u8>),
    /// It could not be asked, or did not answer.
    Failed(Outcome),
}

impl Heard {
    /// What it comes to: `before` is the status of the time before, `warning` why something was not done.
    pub(crate) fn outcome(&self, before: Status, warning: Option<&str>) -> Outcome {
        match self {
            Self::Line(answer) => answer.outcome(warning),
            Self::CutShort(heard) => cut_short(heard, before),
            Self::Failed(outcome) => outcome.clone(),
        }
    }
}

impl Subject {
    pub(crate) fn new(at: At, server: Arc<Server>, agent: &Agent, back: &Back) -> Self {
        let limit = back.timeout_check.filter(|limit| !limit.is_zero());
        Self {
            at,
            server,
            inter: agent.inter,
            limit: limit.unwrap_or(agent.inter),
        }
    }
}

/// Asks for as long as the server lives.
pub(crate) async fn run(controller: Rc<RefCell<Controller>>, subject: Subject, first: Duration) {
    let mut pause = first;
    loop {
        tokio::time::sleep(pause).await;
        pause = subject.inter;
        if !controller.borrow_mut().agent_begins(subject.at) {
            continue;
        }
        let begun = Instant::now();
        let heard = ask(&subject).await;
        let took = begun.elapsed();
        pause = controller
            .borrow_mut()
            .agent_ended(subject.at, &heard, took, subject.inter);
    }
}

async fn ask(subject: &Subject) -> Heard {
    let place = subject.server.place();
    let failed = |status: Status, error: Option<&io::Error>| {
        Heard::Failed(Outcome {
            status,
            code: None,
            info: error.map_or_else(String::new, words),
            flaw: None,
        })
    };
    let Some(address) = address(&place) else {
        let error = io::Error::other("the server has no address; 'agent-addr' names one");
        return failed(Status::SocketError, Some(&error));
    };
    let deadline = Instant::now() + subject.limit;
    let stream = Call::tcp(address, subject.server.conf.source);
    let mut stream = match tokio::time::timeout_at(deadline, stream).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(Status::L4Con, Some(&error)),
        Err(_) => return failed(Status::L4Timeout, None),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    match timeout(left, hear(&mut stream, place.agent_send.as_bytes())).await {
        Ok(Ok(heard)) => heard,
        Ok(Err(error)) => failed(Status::L7Rsp, Some(&error)),
        Err(_) => failed(Status::L7Timeout, None),
    }
}

/// A line, or what came of one.
async fn hear(stream: &mut Call, question: &[u8]) -> io::Result<Heard> {
    if !question.is_empty() {
        stream.write_all(question).await?;
    }
    let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let read = stream.read(&mut buffer).await?;
        heard.extend_from_slice(&buffer[..read]);
        if let Some(line) = line(&heard) {
            return Ok(Heard::Line(Answer::parse(line)));
        }
        if read == 0 || heard.len() > MAX_LINE {
            return Ok(Heard::CutShort(heard));
        }
    }
}

fn address(place: &Place) -> Option<SocketAddr> {
    let own = match &place.address {
        ServerAddress::Ip(address) => Some(address.ip()),
        ServerAddress::IpRelative(ip, _) => Some(*ip),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => None,
    };
    let ip = place.agent_addr.or(own)?;
    Some(SocketAddr::new(ip, place.agent_port))
}
