//! What sections declare, before names are resolved. Inheritance from `defaults` is a clone.
//!
//! Only parse functions and the section reader write here; `resolve` turns it into the model.

mod server;

use std::sync::Arc;

use wire::check;

use crate::acl::Condition;
use crate::diagnostic::{At, Spot};
use crate::env::Change;
use crate::keyword::Args;
use crate::keyword::alerts::AlertsDraft;
use crate::keyword::deep::DeepDraft;
use crate::keyword::mailers::{EmailDraft, MailersDraft};
use crate::keyword::userlist::UserListDraft;
use crate::model::{
    Back, Balance, Bind, BindAddress, BindTls, Expression, Failback, Front, Global, Keepalive,
    LogTarget, Pages, ProxyKind, SmtpBack, SmtpFront, StickTable, TcpRequest, UnixPermissions,
};
pub(crate) use server::{InitAddr, ServerDraft};

/// All files together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) global: GlobalDraft,
    pub(crate) proxies: Vec<ProxyDraft>,
    pub(crate) userlists: Vec<UserListDraft>,
    pub(crate) alerts: Vec<AlertsDraft>,
    pub(crate) mailers: Vec<MailersDraft>,
}

/// The `global` section. Its values stand for themselves, so the model's own type holds them.
#[derive(Debug)]
pub(crate) struct GlobalDraft {
    pub(crate) model: Global,
    /// For the section reader: to be done before the next line is read.
    pub(crate) changes: Vec<Change>,
}

impl Default for GlobalDraft {
    fn default() -> Self {
        Self {
            model: Global {
                bufsize: 16_384,
                ..Global::default()
            },
            changes: Vec::new(),
        }
    }
}

/// A `frontend`, `backend` or `listen`.
#[derive(Debug)]
pub(crate) struct ProxyDraft {
    pub(crate) kind: ProxyKind,
    pub(crate) name: At<Arc<str>>,
    pub(crate) settings: Settings,
}

impl ProxyDraft {
    /// `frontend`, `backend`, or `proxy` for a listen: the words of HAProxy's messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            ProxyKind::Frontend => "frontend",
            ProxyKind::Backend => "backend",
            ProxyKind::Listen => "proxy",
        }
    }

    pub(crate) fn takes_connections(&self) -> bool {
        self.kind != ProxyKind::Backend
    }

    pub(crate) fn has_servers(&self) -> bool {
        self.kind != ProxyKind::Frontend
    }
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Tcp,
    Http,
    Smtp,
}

/// A `log` line of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogLine {
    Global,
    Target(LogTarget),
}

/// `option ...` that says how servers are checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum CheckOption {
    #[default]
    None,
    Tcp,
    /// A ClientHello, which something must answer.
    Hello,
    /// What the check says first: `HELO localhost`.
    Smtp(String),
    /// The domain in its EHLO.
    Deep(String),
}

/// A directive that needs HTTP: told, in a proxy where it could be expected to work.
#[derive(Debug, Clone)]
pub(crate) struct HttpOnly {
    pub(crate) spot: Spot,
    pub(crate) keyword: &'static str,
    pub(crate) kind: HttpKind,
}

/// How HAProxy tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpKind {
    /// `'x' rules ignored for frontend 'f' as they require HTTP mode.`
    Rules,
    /// `'x' statement ignored ... as it requires HTTP mode.`
    Statement,
    /// `'x' ignored ... as it requires HTTP mode.`
    Option,
    /// `x will be ignored for ... (needs 'mode http').`
    Cookie,
    /// `Layer 7 hash not possible ...`
    Hash,
    /// `'option httplog' not usable ... Falling back to 'option tcplog'.`
    LogFormat,
    /// `http-check` without `option httpchk`.
    Check,
}

/// A `use_backend` line.
#[derive(Debug, Clone)]
pub(crate) struct SwitchDraft {
    pub(crate) name: At<String>,
    pub(crate) condition: Option<Condition>,
}

/// A `stick` line.
#[derive(Debug, Clone)]
pub(crate) struct StickDraft {
    pub(crate) match_: bool,
    pub(crate) store: bool,
    pub(crate) expression: Expression,
    /// `table`; else the section's own.
    pub(crate) table: Option<At<String>>,
    pub(crate) spot: Spot,
}

/// What a proxy says, or its defaults said for it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Option<At<Mode>>,
    pub(crate) front: Front,
    /// `check`, `servers` and `stick` are filled when everything is read.
    pub(crate) back: Back,
    pub(crate) default_backend: Option<At<String>>,
    pub(crate) use_backend: Vec<SwitchDraft>,
    pub(crate) tcp_request: TcpRequest,
    pub(crate) clitcpka: bool,
    pub(crate) srvtcpka: bool,
    pub(crate) client_keepalive: Keepalive,
    pub(crate) server_keepalive: Keepalive,
    pub(crate) log: Vec<LogLine>,
    /// Where a line format is asked for.
    pub(crate) log_format: Option<Spot>,
    pub(crate) log_tag: Option<String>,
    /// `no lint`.
    pub(crate) no_lint: Vec<&'static str>,
    pub(crate) disabled: bool,
    pub(crate) http: Vec<HttpOnly>,
    /// What a `mode http` proxy serves itself.
    pub(crate) pages: Pages,
    /// Rules of HTTP that Posthouse's pages do not know: an error in `mode http`.
    pub(crate) strange_rules: Vec<Spot>,
    /// Rules of HTTP that change nothing for a page, by their names.
    pub(crate) idle_rules: Vec<At<String>>,
    /// Userlists and backends that conditions name.
    pub(crate) named_lists: Vec<At<String>>,
    pub(crate) named_backends: Vec<At<String>>,
    pub(crate) acls: std::collections::BTreeMap<String, crate::acl::Tests>,
    pub(crate) email: EmailDraft,
    pub(crate) check: CheckOption,
    pub(crate) deep: DeepDraft,
    pub(crate) greeting: GreetingOption,
    /// `option tls-hello`; `None`: ports and checks tell.
    pub(crate) tls_hello: Option<At<bool>>,
    pub(crate) smtp: SmtpDraft,
    pub(crate) rules: Vec<At<check::Rule>>,
    /// `tcp-check comment`, and the kind of rule it went to, of which it follows more.
    pub(crate) comment: Option<(String, Option<std::mem::Discriminant<check::Rule>>)>,
    /// Whether `rules` were inherited: a rule of one's own replaces them all.
    pub(crate) inherited_rules: bool,
    pub(crate) default_server: ServerDraft,
    // What a section has for itself alone:
    pub(crate) id: Option<At<u32>>,
    pub(crate) description: Option<String>,
    pub(crate) binds: Vec<BindDraft>,
    pub(crate) servers: Vec<ServerDraft>,
    pub(crate) stick_table: Option<At<StickTable>>,
    pub(crate) stick: Vec<StickDraft>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: None,
            front: Front::default(),
            back: empty_back(),
            default_backend: None,
            use_backend: Vec::new(),
            tcp_request: TcpRequest::default(),
            clitcpka: false,
            srvtcpka: false,
            client_keepalive: Keepalive::default(),
            server_keepalive: Keepalive::default(),
            log: Vec::new(),
            log_format: None,
            log_tag: None,
            no_lint: Vec::new(),
            disabled: false,
            http: Vec::new(),
            pages: Pages::default(),
            strange_rules: Vec::new(),
            idle_rules: Vec::new(),
            named_lists: Vec::new(),
            named_backends: Vec::new(),
            acls: std::collections::BTreeMap::new(),
            email: EmailDraft::default(),
            check: CheckOption::None,
            deep: DeepDraft::default(),
            greeting: GreetingOption::Inferred,
            tls_hello: None,
            smtp: SmtpDraft::default(),
            rules: Vec::new(),
            comment: None,
            inherited_rules: false,
            default_server: ServerDraft::default(),
            id: None,
            description: None,
            binds: Vec::new(),
            servers: Vec::new(),
            stick_table: None,
            stick: Vec::new(),
        }
    }
}

impl Settings {
    /// What a section begins with that has these defaults.
    pub(crate) fn inherit(&self) -> Self {
        Self {
            inherited_rules: true,
            comment: None,
            description: None,
            smtp: SmtpDraft {
                written: Vec::new(),
                ..self.smtp.clone()
            },
            deep: DeepDraft {
                written: None,
                ..self.deep.clone()
            },
            ..self.clone()
        }
    }
}

/// `option greeting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GreetingOption {
    /// Not written: the check tells whether servers speak first.
    Inferred,
    /// `no option greeting`.
    Off,
    /// What a greeting begins with.
    Prefix(Vec<u8>),
}

/// What is said for `mode smtp`, in effect or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct SmtpDraft {
    pub(crate) front: SmtpFront,
    pub(crate) back: SmtpBack,
    /// The keywords of this very section: told where the mode is another.
    pub(crate) written: Vec<(&'static str, Spot)>,
}

impl SmtpDraft {
    pub(crate) fn note(&mut self, args: &Args<'_>) {
        self.written.push((args.keyword, args.spot()));
    }
}

/// HAProxy 3.4's defaults for a backend.
fn empty_back() -> Back {
    Back {
        servers: Vec::new(),
        balance: Balance::Random(2),
        timeout_connect: None,
        timeout_server: None,
        timeout_server_fin: None,
        timeout_queue: None,
        timeout_tunnel: None,
        timeout_greeting: None,
        timeout_hedge: None,
        timeout_hold: None,
        maxhold: 1000,
        failover: None,
        failback: Failback::Now,
        unavailable_reply: None,
        greeting: None,
        tls_hello: None,
        timeout_check: None,
        retries: None,
        redispatch: None,
        allbackups: false,
        persist: false,
        log_health_checks: false,
        keepalive: None,
        check: Arc::default(),
        stick: Vec::new(),
        smtp: None,
        fullconn: None,
        source: None,
    }
}

/// A `bind` line: its addresses, and what holds for each.
#[derive(Debug, Clone)]
pub(crate) struct BindDraft {
    pub(crate) addresses: Vec<BindAddress>,
    /// Its address is the first; the others get a copy.
    pub(crate) bind: Bind,
    /// Where `ssl` is asked for, and where `starttls`.
    pub(crate) ssl: Option<Spot>,
    pub(crate) starttls: Option<Spot>,
    /// What it says of TLS, of use with `ssl`.
    pub(crate) tls: BindTls,
    /// `id` as written.
    pub(crate) id: Option<At<u32>>,
    /// Of a stats socket.
    pub(crate) level: Option<crate::model::Level>,
    /// Of a stats socket.
    pub(crate) expose_fd: bool,
}

impl BindDraft {
    pub(crate) fn new(at: crate::model::Location, addresses: Vec<BindAddress>) -> Self {
        Self {
            addresses,
            bind: Bind {
                at,
                address: BindAddress::Fd(-1),
                name: None,
                id: 0,
                defer_accept: false,
                accept_proxy: false,
                backlog: None,
                maxconn: None,
                interface: None,
                transparent: false,
                v6: None,
                mss: None,
                tcp_ut: None,
                tls: None,
                permissions: UnixPermissions::default(),
            },
            ssl: None,
            starttls: None,
            tls: BindTls::default(),
            id: None,
            level: None,
            expose_fd: false,
        }
    }
}

/// Names are letters, digits and `-_.:` (CFG 2).
pub(crate) fn check_name(name: &str) -> Result<(), char> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    name.chars().find(|&c| !plain(c)).map_or(Ok(()), Err)
}
