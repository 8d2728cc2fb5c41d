//! From drafts to the model: names become indices, what is missing gets its default, rules between
//! keywords are checked. One function and one code for each rule.

use std::collections::HashMap;
use std::sync::Arc;

use wire::check::{Kind, Script};

use crate::diagnostic::{At, Fault, Report, Shape, Spot};
use crate::draft::{
    BindDraft, CheckOption, Draft, GreetingOption, HttpKind, InitAddr, LogLine, Mode, ProxyDraft,
    ServerDraft,
};
use crate::keyword::address::{Resolver, ServerTarget};
use crate::keyword::stick::{self, SERVER_TYPES};
use crate::model::{
    Back, Bind, Front, Global, Keepalive, Mailers, Model, Proxy, Server, SmtpBack, StickRule,
    StickTable, StoreType, Switch,
};

mod agent;
mod alerts;
mod deep;
mod failover;
mod http;
mod smtp;
mod timeouts;
mod tls;
mod users;

/// Builds the model. Complaints go to `report`; with errors among them the result is not to be used.
pub(crate) fn resolve(draft: Draft, resolver: Resolver<'_>, report: &mut Report) -> Model {
    let global = draft.global.model;
    let ids = proxy_ids(&draft.proxies, report);
    let names: HashMap<Arc<str>, usize> = draft
        .proxies
        .iter()
        .enumerate()
        .map(|(index, proxy)| (Arc::clone(&proxy.name.value), index))
        .collect();
    let mut tables = tables(&draft.proxies);
    let userlists = users::lists(draft.userlists, report);
    users::check_names(&draft.proxies, &userlists, report);
    let alerts = alerts::alerts(draft.alerts, &global.tls, resolver, report);
    let mailers = alerts::mailers(draft.mailers, &global.tls, resolver, report);
    let context = Context {
        global: &global,
        names: &names,
        kinds: &kinds(&draft.proxies),
        drafts: &draft.proxies,
        mailers: &mailers,
        resolver,
    };
    let mut proxies: Vec<_> = draft
        .proxies
        .iter()
        .zip(&ids)
        .map(|(proxy, id)| context.proxy(proxy, *id, &mut tables, report))
        .collect();
    modes(&draft.proxies, &proxies, report);
    alerts::warn_of_circles(&draft.proxies, &proxies, &mailers, report);
    for (proxy, table) in proxies.iter_mut().zip(tables) {
        proxy.stick_table = table;
    }
    Model {
        global,
        userlists,
        alerts,
        mailers,
        proxies,
    }
}

/// What resolving one proxy needs of all.
struct Context<'c> {
    global: &'c Global,
    names: &'c HashMap<Arc<str>, usize>,
    /// Whether the proxy of that index has servers.
    kinds: &'c [bool],
    drafts: &'c [ProxyDraft],
    mailers: &'c [Mailers],
    resolver: Resolver<'c>,
}

fn kinds(proxies: &[ProxyDraft]) -> Vec<bool> {
    proxies.iter().map(ProxyDraft::has_servers).collect()
}

fn tables(proxies: &[ProxyDraft]) -> Vec<Option<StickTable>> {
    proxies
        .iter()
        .map(|proxy| {
            proxy
                .settings
                .stick_table
                .as_ref()
                .map(|table| table.value.clone())
        })
        .collect()
}

/// Written ids, and for the others the next free number from 2 (haproxy-compat 1.6).
fn proxy_ids(proxies: &[ProxyDraft], report: &mut Report) -> Vec<u32> {
    let mut taken: HashMap<u32, &ProxyDraft> = HashMap::new();
    for proxy in proxies {
        let Some(id) = &proxy.settings.id else {
            continue;
        };
        if let Some(first) = taken.insert(id.value, proxy) {
            let text = format!(
                "Custom id {} already used by {} '{}'.",
                id.value,
                first.kind_name(),
                first.name.value
            );
            report.fault(&id.spot, Fault::new("duplicate-id", text));
        }
    }
    let mut next = 2;
    proxies
        .iter()
        .map(|proxy| match &proxy.settings.id {
            Some(id) => id.value,
            None => {
                while taken.contains_key(&next) {
                    next += 1;
                }
                next += 1;
                next - 1
            }
        })
        .collect()
}

impl Context<'_> {
    /// The `default_backend` of a proxy of pages, if that has only pages as well.
    fn page_backend(&self, draft: &ProxyDraft) -> Option<&ProxyDraft> {
        let name = draft.settings.default_backend.as_ref()?;
        let index = *self.names.get(&*name.value)?;
        let backend = &self.drafts[index];
        (is_http(backend) && http::has_pages(backend)).then_some(backend)
    }

    fn proxy(
        &self,
        draft: &ProxyDraft,
        id: u32,
        tables: &mut [Option<StickTable>],
        report: &mut Report,
    ) -> Proxy {
        let settings = &draft.settings;
        let pages = http::pages(draft, self.page_backend(draft), report);
        http::tell(draft, report);
        smtp::tell(draft, report);
        smtp::tell_of_tunnel(draft, report);
        self.warn_of_unused_log(draft, report);
        let front = draft.takes_connections().then(|| self.front(draft, report));
        let back = draft
            .has_servers()
            .then(|| self.back(draft, tables, report));
        timeouts::warn_of_missing(draft, report);
        Proxy {
            at: draft.name.spot.at(),
            name: Arc::clone(&draft.name.value),
            kind: draft.kind,
            id,
            id_forced: settings.id.is_some(),
            disabled: settings.disabled,
            description: settings.description.clone(),
            log: self.log(draft),
            log_tag: settings.log_tag.clone(),
            front,
            tcp_request: settings.tcp_request.clone(),
            pages,
            back,
            no_lint: settings.no_lint.clone(),
            email: alerts::email(draft, self.mailers, report),
            stick_table: None,
        }
    }

    fn log(&self, draft: &ProxyDraft) -> Vec<crate::model::LogTarget> {
        let lines = draft.settings.log.iter();
        lines
            .flat_map(|line| match line {
                LogLine::Global => self.global.log.clone(),
                LogLine::Target(target) => vec![target.clone()],
            })
            .collect()
    }

    fn warn_of_unused_log(&self, draft: &ProxyDraft, report: &mut Report) {
        if let (Some(spot), true, true) = (
            &draft.settings.log_format,
            self.log(draft).is_empty(),
            draft.takes_connections(),
        ) {
            let text = format!(
                "log format ignored for {} '{}' since it has no log address.",
                draft.kind_name(),
                draft.name.value
            );
            report.fault(
                spot,
                Fault::warning("log-without-target", text)
                    .shape(Shape::Whole)
                    .help("add 'log global', or a log line of its own"),
            );
        }
    }

    fn front(&self, draft: &ProxyDraft, report: &mut Report) -> Front {
        let settings = &draft.settings;
        let default_backend = settings
            .default_backend
            .as_ref()
            .and_then(|name| self.backend(draft, "default_backend", name, report));
        let switches = settings.use_backend.iter().filter_map(|switch| {
            Some(Switch {
                backend: self.backend(draft, "use_backend", &switch.name, report)?,
                condition: switch.condition.clone(),
            })
        });
        Front {
            switches: switches.collect(),
            binds: binds(draft, self.global, report),
            default_backend,
            smtp: is_smtp(draft).then(|| settings.smtp.front.clone()),
            keepalive: settings.clitcpka.then_some(settings.client_keepalive),
            ..settings.front.clone()
        }
    }

    /// The backend that a keyword names: it must exist and have servers.
    fn backend(
        &self,
        draft: &ProxyDraft,
        keyword: &str,
        name: &At<String>,
        report: &mut Report,
    ) -> Option<usize> {
        let found = self
            .names
            .get(name.value.as_str())
            .copied()
            .filter(|index| self.kinds[*index]);
        if found.is_none() {
            let names = self
                .names
                .iter()
                .filter(|(_, index)| self.kinds[**index])
                .map(|(name, _)| &**name);
            let help = match crate::keyword::suggest::closest(&name.value, names) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("add a section 'backend {}'", name.value),
            };
            let text = format!(
                "Proxy '{}': unable to find required {keyword}: '{}'.",
                draft.name.value, name.value
            );
            report.fault(
                &name.spot,
                Fault::new("unknown-backend", text)
                    .shape(Shape::Whole)
                    .help(help),
            );
        }
        found
    }

    fn back(
        &self,
        draft: &ProxyDraft,
        tables: &mut [Option<StickTable>],
        report: &mut Report,
    ) -> Back {
        let settings = &draft.settings;
        let keepalive: Option<Keepalive> = settings.srvtcpka.then_some(settings.server_keepalive);
        let check = script(draft, report);
        let servers = self.servers(draft, report);
        let tls_hello = tls::clients_begin(draft, &servers, report);
        let greeting = match &settings.greeting {
            _ if is_smtp(draft) => smtp::greeting(draft, report),
            GreetingOption::Inferred if tls_hello == Some(true) => None,
            GreetingOption::Inferred => check.expects_greeting().then(|| b"220".to_vec()),
            GreetingOption::Off => None,
            GreetingOption::Prefix(prefix) => Some(prefix.clone()),
        };
        failover::tell_of_both_ways(draft, report);
        deep::tell(draft, &servers, report);
        Back {
            servers,
            check: Arc::new(check),
            greeting,
            tls_hello,
            smtp: is_smtp(draft).then(|| settings.smtp.back.clone()),
            timeout_hold: match settings.back.timeout_hold {
                None if is_smtp(draft) => Some(SmtpBack::HOLD),
                written => written.filter(|time| !time.is_zero()),
            },
            stick: self.stick(draft, tables, report),
            keepalive,
            ..settings.back.clone()
        }
    }

    fn stick(
        &self,
        draft: &ProxyDraft,
        tables: &mut [Option<StickTable>],
        report: &mut Report,
    ) -> Vec<StickRule> {
        let mut rules = Vec::new();
        for stick in &draft.settings.stick {
            let name = stick
                .table
                .as_ref()
                .map_or(&*draft.name.value, |table| table.value.as_str());
            let index = self.names.get(name).copied();
            let table = index.and_then(|index| tables[index].as_mut());
            let (Some(index), Some(table)) = (index, table) else {
                let spot = stick
                    .table
                    .as_ref()
                    .map_or(&stick.spot, |table| &table.spot);
                let text = format!(
                    "Proxy '{}': unable to find stick-table '{name}'.",
                    draft.name.value
                );
                let help = "add a 'stick-table' line to the section of that name";
                report.fault(
                    spot,
                    Fault::new("unknown-table", text)
                        .shape(Shape::Whole)
                        .help(help),
                );
                continue;
            };
            for name in SERVER_TYPES {
                if table.store.iter().all(|stored| stored.name != name) {
                    table.store.push(StoreType { name, period: None });
                }
            }
            stick::sort(&mut table.store);
            rules.push(StickRule {
                match_: stick.match_,
                store: stick.store,
                expression: stick.expression.clone(),
                table: index,
            });
        }
        rules
    }

    fn servers(&self, draft: &ProxyDraft, report: &mut Report) -> Vec<Server> {
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
        let taken: Vec<_> = drafts
            .iter()
            .filter_map(|server| server.id.as_ref())
            .collect();
        for (place, id) in taken.iter().enumerate() {
            if taken[..place].iter().any(|other| other.value == id.value) {
                report.fault(
                    &id.spot,
                    Fault::new(
                        "duplicate-id",
                        format!("custom id {} already used by another server.", id.value),
                    ),
                );
            }
        }
        let mut next = 1;
        let mut servers = Vec::new();
        for server in drafts {
            let id = server.id.as_ref().map(|id| id.value).unwrap_or_else(|| {
                while taken.iter().any(|id| id.value == next) {
                    next += 1;
                }
                next += 1;
                next - 1
            });
            servers.extend(self.server(draft, server, id, report));
        }
        servers
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
        let agent = agent::resolve(proxy, draft, &target.spot, report);
        let (tls, check_tls, check_ssl) = tls::server(proxy, draft, &self.global.tls, report);
        Some(Server {
            agent,
            id,
            id_forced: draft.id.is_some(),
            address,
            fqdn,
            check_send_proxy: draft.proxy_of_checks(),
            tls,
            check_tls,
            check_ssl,
            ..draft.server.clone()
        })
    }
}

fn binds(draft: &ProxyDraft, global: &Global, report: &mut Report) -> Vec<Bind> {
    let smtp = is_smtp(draft);
    let lines = &draft.settings.binds;
    let written: Vec<_> = lines.iter().filter_map(|bind| bind.id.as_ref()).collect();
    for (place, id) in written.iter().enumerate() {
        if written[..place].iter().any(|other| other.value == id.value) {
            report.fault(
                &id.spot,
                Fault::new(
                    "duplicate-id",
                    format!("custom id {} already used by another listener.", id.value),
                ),
            );
        }
    }
    let mut next = 1;
    let mut id = |bind: &BindDraft, first: bool| match &bind.id {
        Some(id) if first => id.value,
        _ => {
            while written.iter().any(|id| id.value == next) {
                next += 1;
            }
            next += 1;
            next - 1
        }
    };
    let mut binds = Vec::new();
    for line in lines {
        let tls = tls::bind(line, smtp, &global.tls, report);
        for (place, address) in line.addresses.iter().enumerate() {
            let mut bind = Bind {
                address: address.clone(),
                id: id(line, place == 0),
                tls: tls.clone(),
                ..line.bind.clone()
            };
            let (own, common) = (&mut bind.permissions, &global.unix_bind);
            own.mode = own.mode.or(common.mode);
            own.user = own.user.take().or_else(|| common.user.clone());
            own.group = own.group.take().or_else(|| common.group.clone());
            binds.push(bind);
        }
    }
    binds
}

/// What `check` runs.
fn script(draft: &ProxyDraft, report: &mut Report) -> Script {
    let settings = &draft.settings;
    match &settings.check {
        CheckOption::Smtp(hello) => Script::smtp(hello),
        CheckOption::Deep(hello) => deep::script(draft, hello),
        CheckOption::Hello => Script::tls_hello(),
        CheckOption::Tcp => Script {
            kind: Kind::TcpCheck,
            rules: settings
                .rules
                .iter()
                .map(|rule| rule.value.clone())
                .collect(),
            deep: None,
        },
        CheckOption::None => {
            if let Some(rule) = settings.rules.first().filter(|_| !settings.inherited_rules) {
                let text = format!(
                    "Proxy '{}' uses tcp-check rules without 'option tcp-check', so the rules are ignored.",
                    draft.name.value
                );
                let fault = Fault::warning("check-without-option", text)
                    .shape(Shape::Whole)
                    .help("add 'option tcp-check'");
                report.fault(&rule.spot, fault);
            }
            Script::default()
        }
    }
}

/// The place of a proxy's name.
fn place(draft: &ProxyDraft) -> &Spot {
    &draft.name.spot
}

/// Whether a proxy was meant for HTTP.
fn is_http(draft: &ProxyDraft) -> bool {
    is_in(draft, Mode::Http)
}

/// Whether a proxy reads mail.
fn is_smtp(draft: &ProxyDraft) -> bool {
    is_in(draft, Mode::Smtp)
}

fn is_in(draft: &ProxyDraft, mode: Mode) -> bool {
    let written = draft.settings.mode.as_ref();
    written.is_some_and(|written| written.value == mode)
}

/// Frontends and the backends they use must read the same protocol.
fn modes(drafts: &[ProxyDraft], proxies: &[Proxy], report: &mut Report) {
    for (draft, proxy) in drafts.iter().zip(proxies) {
        let Some(front) = &proxy.front else { continue };
        for target in front.backends() {
            let switched = front.default_backend != Some(target);
            smtp::agree(draft, &drafts[target], switched, report);
        }
    }
}

/// How a directive of HTTP is named in a message.
fn words(kind: HttpKind) -> &'static str {
    match kind {
        HttpKind::Rules => "rules",
        HttpKind::Statement => "statement",
        _ => "",
    }
}
