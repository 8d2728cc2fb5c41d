//! `agent-check` with what belongs to it (CFG 5.2).

use std::time::Duration;

use crate::diagnostic::{Fault, Report, Shape, Spot};
use crate::draft::{ProxyDraft, ServerDraft};
use crate::model::Agent;

/// Where the agent listens must be said.
pub(super) fn resolve(
    proxy: &ProxyDraft,
    draft: &ServerDraft,
    spot: &Spot,
    report: &mut Report,
) -> Option<Agent> {
    let agent = Some(&draft.agent).filter(|agent| agent.check)?;
    let Some(port) = agent.port else {
        let name = &draft.server.name;
        let text =
            format!("server {name} does not have agent port. Agent check has been disabled.");
        let fault = Fault::new("agent-port", text)
            .shape(Shape::Server(format!("{}/{name}", proxy.name.value)))
            .help("write 'agent-port <port>' behind it, or leave 'agent-check' out");
        report.fault(spot, fault);
        return None;
    };
    Some(Agent {
        port,
        addr: agent.addr,
        inter: agent.inter.unwrap_or(Duration::from_secs(2)),
        send: agent.send.clone(),
    })
}
