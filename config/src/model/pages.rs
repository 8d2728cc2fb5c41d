//! What a `mode http` proxy serves: Posthouse's own pages, statistics and metrics (CFG 4.2 `stats ...`).

use std::time::Duration;

use crate::acl::Condition;

/// The pages of a proxy in `mode http`. A request meets, in this order: `monitor`, `rules`, `stats`,
/// `redirects`, and then those of `backend`.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// `monitor-uri`: where others ask whether we are alive.
    pub monitor: Option<String>,
    /// `monitor fail`: any of them that holds says that we are not.
    pub monitor_fails: Vec<Condition>,
    /// `http-request` rules, in order; the first whose condition holds decides.
    pub rules: Vec<PageRule>,
    /// `stats ...`, where any is written.
    pub stats: Option<StatsPage>,
    /// `redirect` rules.
    pub redirects: Vec<PageRule>,
    /// The pages of the `default_backend`.
    pub backend: Option<Box<Self>>,
}

/// A rule: `http-request`, `stats http-request`, `redirect`.
#[derive(Debug, Clone)]
pub struct PageRule {
    /// What is done.
    pub action: PageAction,
    /// When; `None`: always.
    pub condition: Option<Condition>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageAction {
    /// `use-service prometheus-exporter`.
    Metrics,
    /// `deny`, with that status.
    Deny(u16),
    /// `allow`: the rules after it are not looked at.
    Allow,
    /// `auth`: asks who it is, for that realm; `None`: the proxy's name.
    Auth(Option<String>),
    /// `return`: a text of one's own.
    Return {
        /// `status`.
        status: u16,
        /// `content-type`.
        kind: Option<String>,
        /// `string`.
        text: String,
    },
    /// `redirect`.
    Redirect {
        /// `code`.
        status: u16,
        /// Where to.
        to: RedirectTo,
    },
}

/// Where a `redirect` leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectTo {
    /// `location`: there.
    Location(String),
    /// `prefix`: to that, and behind it what was asked for.
    Prefix(String),
    /// `scheme`: to the same, in another scheme.
    Scheme(String),
}

/// `stats ...` of a proxy.
#[derive(Debug, Clone)]
pub struct StatsPage {
    /// `stats uri`; HAProxy's default is `/haproxy?stats`.
    pub uri: String,
    /// `stats auth`, each as `user:password`; empty: anybody.
    pub auth: Vec<String>,
    /// `stats http-request`, in order.
    pub rules: Vec<PageRule>,
    /// `stats realm`; HAProxy's default is `HAProxy Statistics`.
    pub realm: Option<String>,
    /// `stats refresh`.
    pub refresh: Option<Duration>,
    /// `stats admin`: who may act; `None` in it is everybody.
    pub admin: Vec<Option<Condition>>,
    /// `stats hide-version`.
    pub hide_version: bool,
    /// `stats show-legends`.
    pub show_legends: bool,
    /// `stats show-node`.
    pub show_node: bool,
    /// `stats show-desc`.
    pub show_desc: Option<String>,
    /// `stats scope`: the proxies that are shown, `.` is the page's own; empty: all.
    pub scope: Vec<String>,
}

impl StatsPage {
    /// The realm a login is asked for.
    pub fn realm(&self) -> &str {
        self.realm.as_deref().unwrap_or("HAProxy Statistics")
    }
}

impl Default for StatsPage {
    fn default() -> Self {
        Self {
            uri: "/haproxy?stats".to_owned(),
            auth: Vec::new(),
            rules: Vec::new(),
            realm: None,
            refresh: None,
            admin: Vec::new(),
            hide_version: false,
            show_legends: false,
            show_node: false,
            show_desc: None,
            scope: Vec::new(),
        }
    }
}
