//! What a `mode http` proxy serves: Posthouse's own pages, statistics and metrics (CFG 4.2 `stats ...`).

use std::time::Duration;

use crate::acl::Condition;

/// The pages of a `frontend` or `listen` in `mode http`.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// `http-request` rules, in order; the first whose condition holds decides.
    pub rules: Vec<PageRule>,
    /// `stats ...`, where any is written.
    pub stats: Option<StatsPage>,
}

/// An `http-request` line.
#[derive(Debug, Clone)]
pub struct PageRule {
    /// What is done.
    pub action: PageAction,
    /// When; `None`: always.
    pub condition: Option<Condition>,
}

/// What an `http-request` line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAction {
    /// `use-service prometheus-exporter`.
    Metrics,
    /// `deny`: 403.
    Deny,
    /// `allow`: the rules after it are not looked at.
    Allow,
}

/// `stats ...` of a proxy.
#[derive(Debug, Clone)]
pub struct StatsPage {
    /// `stats uri`; HAProxy's default is `/haproxy?stats`.
    pub uri: String,
    /// `stats auth`, each as `user:password`; empty: anybody.
    pub auth: Vec<String>,
    /// `stats realm`.
    pub realm: String,
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
}

impl Default for StatsPage {
    fn default() -> Self {
        Self {
            uri: "/haproxy?stats".to_owned(),
            auth: Vec::new(),
            realm: "HAProxy Statistics".to_owned(),
            refresh: None,
            admin: Vec::new(),
            hide_version: false,
            show_legends: false,
            show_node: false,
            show_desc: None,
        }
    }
}
