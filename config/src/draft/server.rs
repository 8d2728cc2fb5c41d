//! What `server` and `default-server` lines declare.

use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{At, Spot};
use crate::keyword::address::ServerTarget;
use crate::model::{OnError, ProxyHeader, ProxyOptions, Server, ServerAddress, ServerTls};

/// A `server` line, or what `default-server` says so far.
#[derive(Debug, Clone)]
pub(crate) struct ServerDraft {
    pub(crate) server: Server,
    pub(crate) name: Option<At<Arc<str>>>,
    pub(crate) id: Option<At<u32>>,
    /// Where it is; unset in `default-server`.
    pub(crate) target: Option<At<ServerTarget>>,
    pub(crate) proxy: ProxyHeaderDraft,
    pub(crate) check_send_proxy: bool,
    pub(crate) agent: AgentDraft,
    /// `ssl`.
    pub(crate) ssl: bool,
    /// Where `starttls` is asked for, and where `xclient`.
    pub(crate) starttls: Option<Spot>,
    pub(crate) xclient: Option<Spot>,
    /// What it says of TLS; `verify` as below.
    pub(crate) tls: ServerTls,
    /// `verify` as written.
    pub(crate) verify: Option<bool>,
    /// `check-ssl`, `no-check-ssl`.
    pub(crate) check_ssl: Option<bool>,
    /// `check-sni`.
    pub(crate) check_sni: Option<String>,
    /// `check-alpn`.
    pub(crate) check_alpn: Option<Vec<String>>,
    /// What to do where a name is unknown at the start (`init-addr`).
    pub(crate) init_addr: InitAddr,
    pub(crate) cookie: Option<Spot>,
}

/// `send-proxy`, `send-proxy-v2` and `proxy-v2-options`, each of which may be taken back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProxyHeaderDraft {
    pub(crate) v1: bool,
    pub(crate) v2: bool,
    pub(crate) options: ProxyOptions,
}

impl ProxyHeaderDraft {
    /// Options that no header has room for: they alone make one of version 1, as in HAProxy.
    pub(crate) fn has_stray_options(&self) -> bool {
        !self.v2 && self.options != ProxyOptions::default()
    }

    /// What comes of it.
    pub(crate) fn header(&self) -> Option<ProxyHeader> {
        if self.v2 {
            return Some(ProxyHeader::V2(self.options));
        }
        (self.v1 || self.has_stray_options()).then_some(ProxyHeader::V1)
    }
}

/// `agent-*` options, which may come in any order and from `default-server`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentDraft {
    pub(crate) check: bool,
    pub(crate) port: Option<u16>,
    pub(crate) addr: Option<std::net::IpAddr>,
    pub(crate) inter: Option<Duration>,
    pub(crate) send: String,
}

/// `init-addr` (CFG 5.2): what helps when a name has no address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum InitAddr {
    /// `libc`, and an error without.
    #[default]
    Resolve,
    /// `none`: start without an address, which is not supported; told when it matters.
    None,
    /// An address to begin with.
    Fixed(std::net::IpAddr),
}

impl Default for ServerDraft {
    fn default() -> Self {
        Self {
            server: Server {
                at: crate::model::Location {
                    file: "".into(),
                    line: 0,
                },
                name: "".into(),
                id: 0,
                id_forced: false,
                address: ServerAddress::Unix(std::path::PathBuf::new()),
                fqdn: None,
                check: false,
                backup: false,
                disabled: false,
                inter: Duration::from_secs(2),
                fastinter: None,
                downinter: None,
                rise: 2,
                fall: 3,
                check_port: None,
                check_addr: None,
                weight: 1,
                maxconn: 0,
                minconn: 0,
                maxqueue: 0,
                send_proxy: None,
                xclient: false,
                check_send_proxy: None,
                on_marked_down_shutdown: false,
                on_marked_up_shutdown_backups: false,
                observe_layer4: false,
                error_limit: 10,
                on_error: OnError::FailCheck,
                non_stick: false,
                slowstart: None,
                tcp_ut: None,
                source: None,
                agent: None,
                tls: None,
                check_tls: None,
                check_ssl: false,
            },
            name: None,
            id: None,
            target: None,
            proxy: ProxyHeaderDraft::default(),
            check_send_proxy: false,
            agent: AgentDraft::default(),
            ssl: false,
            starttls: None,
            xclient: None,
            tls: ServerTls::default(),
            verify: None,
            check_ssl: None,
            check_sni: None,
            check_alpn: None,
            init_addr: InitAddr::Resolve,
            cookie: None,
        }
    }
}

impl ServerDraft {
    /// The PROXY header checks send: `send-proxy` counts unless checks go elsewhere.
    pub(crate) fn proxy_of_checks(&self) -> Option<ProxyHeader> {
        let elsewhere = self.server.check_port.is_some() || self.server.check_addr.is_some();
        let header = self.proxy.header();
        if self.check_send_proxy {
            return header.or(Some(ProxyHeader::V1));
        }
        header.filter(|_| !elsewhere)
    }
}
