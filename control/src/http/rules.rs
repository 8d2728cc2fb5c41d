//! What a request gets of a proxy's pages: the order of HAProxy's rules, and the replies that need no page.

use std::net::SocketAddr;

use config::acl::Request as Facts;
use config::model::{PageAction, PageRule, Pages, RedirectTo, StatsPage, UserList};
use engine::Plane;
use hyper::Request;
use hyper::header::{AUTHORIZATION, HOST};

use super::auth;

/// A request, for conditions.
pub(super) struct Asked<'r, B> {
    pub(super) request: &'r Request<B>,
    /// Path and query.
    pub(super) url: &'r str,
    /// The client's address and ours; `None` on a unix socket.
    pub(super) addresses: Option<[SocketAddr; 2]>,
    pub(super) plane: &'r Plane,
    /// What the `Authorization` header says: `user:password`.
    login: Option<String>,
}

impl<'r, B> Asked<'r, B> {
    pub(super) fn new(
        request: &'r Request<B>,
        plane: &'r Plane,
        addresses: Option<[SocketAddr; 2]>,
    ) -> Self {
        let url = request.uri().path_and_query();
        let given = request.headers().get(AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        Self {
            request,
            url: url.map_or("/", |url| url.as_str()),
            addresses,
            plane,
            login: given.and_then(auth::login),
        }
    }

    fn userlists(&self) -> &'r [UserList] {
        &self.plane.topology().model.userlists
    }

    /// Whether it may see the page of statistics, by `stats auth`.
    fn may_see(&self, page: &StatsPage) -> bool {
        auth::permits(&page.auth, self.login.as_deref())
    }
}

impl<B> Facts for Asked<'_, B> {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    fn url(&self) -> &str {
        self.url
    }

    fn header(&self, name: &str) -> Vec<&str> {
        let values = self.request.headers().get_all(name).iter();
        let found: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        // HTTP/2 and absolute addresses have it elsewhere.
        let authority = self.request.uri().authority();
        match authority {
            Some(host) if found.is_empty() && name == HOST.as_str() => vec![host.as_str()],
            _ => found,
        }
    }

    fn source(&self) -> Option<SocketAddr> {
        self.addresses.map(|[source, _]| source)
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.addresses.map(|[_, destination]| destination)
    }

    fn groups(&self, userlist: &str) -> Option<Vec<&str>> {
        let list = self.userlists().iter().find(|list| list.name == userlist)?;
        auth::groups(list, self.login.as_deref()?)
    }

    fn usable_servers(&self, backend: &str) -> u64 {
        let topology = self.plane.topology();
        let Some(proxy) = topology.find(backend) else {
            return 0;
        };
        let state = self.plane.controller().borrow().backend(proxy.index);
        let back = proxy.conf().back.as_ref();
        back.map_or(0, |back| u64::from(back.in_use(state.active, state.backup)))
    }
}

/// What is to be answered.
#[derive(Debug)]
pub(super) enum Verdict<'p> {
    Metrics,
    /// The page; and what follows its address.
    Statistics(&'p StatsPage, String),
    /// `monitor-uri`: whether we are well.
    Monitor(bool),
    Deny(u16),
    Text {
        status: u16,
        kind: &'p str,
        text: &'p str,
    },
    /// Whose login is wanted, as the realm says; `None`: of the proxy.
    Login(Option<&'p str>),
    Redirect(u16, String),
    /// No page has this address.
    Nothing,
}

/// Judges a request.
pub(super) fn judge<'p>(pages: &'p Pages, asked: &Asked<'_, impl Sized>) -> Verdict<'p> {
    if pages.monitor.as_deref() == Some(asked.url) {
        let fails = pages.monitor_fails.iter().any(|fails| fails.holds(asked));
        return Verdict::Monitor(!fails);
    }
    if let Some(verdict) = first(&pages.rules, asked).and_then(|action| verdict(action, asked)) {
        return verdict;
    }
    if let Some(page) = &pages.stats
        && let Some(rest) = asked.url.strip_prefix(page.uri.as_str())
    {
        return statistics(page, rest, asked);
    }
    let redirect = first(&pages.redirects, asked).and_then(|action| verdict(action, asked));
    redirect.unwrap_or_else(|| match &pages.backend {
        Some(pages) => judge(pages, asked),
        None => Verdict::Nothing,
    })
}

fn statistics<'p>(page: &'p StatsPage, rest: &str, asked: &Asked<'_, impl Sized>) -> Verdict<'p> {
    match first(&page.rules, asked) {
        Some(PageAction::Deny(status)) => return Verdict::Deny(*status),
        Some(PageAction::Auth(realm)) => {
            return Verdict::Login(Some(realm.as_deref().unwrap_or_else(|| page.realm())));
        }
        _ if !asked.may_see(page) => return Verdict::Login(Some(page.realm())),
        _ => {}
    }
    Verdict::Statistics(page, rest.to_owned())
}

/// The first rule whose condition holds.
fn first<'p>(rules: &'p [PageRule], asked: &Asked<'_, impl Sized>) -> Option<&'p PageAction> {
    let holds = |rule: &&PageRule| {
        let condition = rule.condition.as_ref();
        condition.is_none_or(|condition| condition.holds(asked))
    };
    rules.iter().find(holds).map(|rule| &rule.action)
}

/// What an action answers; `None`: it lets the request pass.
fn verdict<'p>(action: &'p PageAction, asked: &Asked<'_, impl Sized>) -> Option<Verdict<'p>> {
    Some(match action {
        PageAction::Allow => return None,
        PageAction::Metrics => Verdict::Metrics,
        PageAction::Deny(status) => Verdict::Deny(*status),
        PageAction::Auth(realm) => Verdict::Login(realm.as_deref()),
        PageAction::Return { status, kind, text } => Verdict::Text {
            status: *status,
            kind: kind.as_deref().unwrap_or("text/plain"),
            text,
        },
        PageAction::Redirect { status, to } => Verdict::Redirect(
            *status,
            match to {
                RedirectTo::Location(location) => location.clone(),
                RedirectTo::Prefix(prefix) => format!("{prefix}{}", asked.url),
                RedirectTo::Scheme(scheme) => {
                    let host = asked.header(HOST.as_str());
                    let host = host.first().copied().unwrap_or_default();
                    format!("{scheme}://{host}{}", asked.url)
                }
            },
        ),
    })
}
