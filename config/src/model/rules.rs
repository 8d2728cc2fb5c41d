//! Rules on connections, sessions and what clients say first: `tcp-request`, `use_backend` (CFG 4.2).

use std::time::Duration;

use crate::acl::{Answer, Condition, Request};

/// `tcp-request` of a proxy: each list in its order, the first rule whose condition holds decides.
#[derive(Debug, Clone, Default)]
pub struct TcpRequest {
    /// `connection`: before anything is read.
    pub connection: Vec<TcpRule>,
    /// `session`: behind PROXY header and TLS.
    pub session: Vec<TcpRule>,
    /// `content`: on what the client says.
    pub content: Vec<TcpRule>,
    /// `inspect-delay`: how long `content` may wait for it.
    pub inspect_delay: Option<Duration>,
}

/// A rule of `tcp-request`.
#[derive(Debug, Clone)]
pub struct TcpRule {
    /// `accept`; else `reject`.
    pub accept: bool,
    /// When; `None`: always.
    pub condition: Option<Condition>,
}

/// `use_backend`.
#[derive(Debug, Clone)]
pub struct Switch {
    /// An index into [`super::Model::proxies`].
    pub backend: usize,
    /// When; `None`: always.
    pub condition: Option<Condition>,
}

impl TcpRule {
    /// What a list of rules says: `Yes` is accept, which is also what no rule says.
    pub fn first(rules: &[Self], request: &dyn Request) -> Answer {
        for rule in rules {
            match judge(rule.condition.as_ref(), request) {
                Answer::Yes if rule.accept => return Answer::Yes,
                Answer::Yes => return Answer::No,
                Answer::Unknown => return Answer::Unknown,
                Answer::No => {}
            }
        }
        Answer::Yes
    }
}

impl Switch {
    /// The backend that a list of rules names.
    pub fn first(rules: &[Self], request: &dyn Request) -> Option<usize> {
        let holds = |rule: &&Self| judge(rule.condition.as_ref(), request) == Answer::Yes;
        rules.iter().find(holds).map(|rule| rule.backend)
    }
}

impl super::Front {
    /// Where its sessions may go: the default first. A `listen` may have none but itself.
    pub fn backends(&self) -> impl Iterator<Item = usize> {
        let switched = self.switches.iter().map(|switch| switch.backend);
        self.default_backend.into_iter().chain(switched)
    }
}

fn judge(condition: Option<&Condition>, request: &dyn Request) -> Answer {
    condition.map_or(Answer::Yes, |condition| condition.judge(request))
}
