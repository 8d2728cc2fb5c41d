//! From drafts to the model: names become indices, what is missing gets its default, rules between
//! keywords are checked. One function and one code for each rule.

use std::collections::HashMap;
use std::sync::Arc;

use wire::check::{Kind, Script};

use crate::diagnostic::{At, Fault, Report, Shape, Spot};
use crate::draft::{CheckOption, Draft, GreetingOption, HttpKind, LogLine, Mode, ProxyDraft};
use crate::keyword::address::Resolver;
use crate::model::{
    Back, Front, Global, Keepalive, Mailers, Model, Proxy, SmtpBack, StickTable, Switch,
};

mod agent;
mod alerts;
mod binds;
mod deep;
mod failover;
mod http;
mod ids;
mod servers;
mod smtp;
mod stick;
mod timeouts;
mod tls;
mod users;

/// Builds the model. Complaints go to `report`; with errors among them the result is not to be used.
pub(crate) fn resolve(draft: Draft, resolver: Resolver<'_>, report: &mut Report) -> Model {
    let global = draft.global.model;
    let ids = ids::of_proxies(&draft.proxies, report);
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
            binds: binds::binds(draft, self.global, report),
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
