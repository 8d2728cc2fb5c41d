//! The servers of a backend.

use std::collections::HashMap;

use super::ids::ids;
use super::{Context, agent, tls};
use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::{InitAddr, ProxyDraft, ServerDraft};
use crate::keyword::address::ServerTarget;
use crate::model::Server;

impl Context<'_> {
    pub(super) fn servers(&self, draft: &ProxyDraft, report: &mut Report) -> Vec<Server> {
        let drafts = &draft.settings.servers;
        let mut names: HashMap<&str, &ServerDraft> = HashMap::new();
        for server in drafts {
            let Some(name) = &server.name else { continue };
            if let Some(first) = names.insert(&name.value, server) {
                let text = format!(
                    "backend '{}', another server named '{}' was already defined at line {}, please use distinct names.",
                    draft.name.value, name.value, first.server.at.line
                );
                report.fault(
                    &name.spot,
                    Fault::new("duplicate-server", text).shape(Shape::Whole),
                );
            }
        }
        let written: Vec<_> = drafts.iter().map(|server| server.id.as_ref()).collect();
        let taken = |id, _| format!("custom id {id} already used by another server.");
        let ids = ids(&written, 1, taken, report);
        let with_ids = drafts.iter().zip(ids);
        with_ids
            .filter_map(|(server, id)| self.server(draft, server, id, report))
            .collect()
    }

    fn server(
        &self,
        proxy: &ProxyDraft,
        draft: &ServerDraft,
        id: u32,
        report: &mut Report,
    ) -> Option<Server> {
        let target = draft.target.as_ref()?;
        let (address, fqdn) = match &target.value {
            ServerTarget::Known(address) => (address.clone(), None),
            ServerTarget::Name { host, port } => {
                let found = match draft.init_addr {
                    InitAddr::Fixed(ip) => Some(ip),
                    InitAddr::Resolve | InitAddr::None => (self.resolver)(host),
                };
                let Some(ip) = found else {
                    let name = draft.name.as_ref().map_or("", |name| &name.value);
                    let shape = Shape::Server(format!("{}/{name}", proxy.name.value));
                    let fault = Fault::new(
                        "unknown-host",
                        format!("could not resolve address '{host}'."),
                    );
                    report.fault(
                        &target.spot,
                        fault
                            .shape(shape)
                            .help("write an address, or make the name known"),
                    );
                    return None;
                };
                (port.with(ip), Some(host.clone()))
            }
        };
        if let Some(spot) = &draft.cookie {
            let text = format!(
                "server '{}' : cookie will be ignored for {} '{}' (needs 'mode http').",
                draft.server.name,
                proxy.kind_name(),
                proxy.name.value
            );
            report.fault(spot, Fault::warning("needs-http", text).shape(Shape::Whole));
        }
        if draft.proxy.has_stray_options() {
            let text = format!(
                "server '{}' : without 'send-proxy-v2' it gets a PROXY header of version 1, which has no room for \
                 'proxy-v2-options'.",
                draft.server.name
            );
            let fault = Fault::warning("stray-option", text).shape(Shape::Whole);
            report.fault(&target.spot, fault.help("add 'send-proxy-v2'"));
        }
        if let Some(spot) = draft.xclient.as_ref().filter(|_| !super::is_smtp(proxy)) {
            let fault = Fault::new("needs-smtp", "'xclient' needs 'mode smtp'.");
            let help = "write 'mode smtp'; or 'send-proxy-v2', which needs no dialogue";
            report.fault(spot, fault.help(help));
        }
        let agent = agent::resolve(proxy, draft, &target.spot, report);
        let (tls, check_tls, check_ssl) = tls::server(proxy, draft, &self.global.tls, report);
        Some(Server {
            agent,
            id,
            id_forced: draft.id.is_some(),
            address,
            fqdn,
            send_proxy: draft.proxy.header(),
            check_send_proxy: draft.proxy_of_checks(),
            xclient: draft.xclient.is_some(),
            tls,
            check_tls,
            check_ssl,
            ..draft.server.clone()
        })
    }
}
