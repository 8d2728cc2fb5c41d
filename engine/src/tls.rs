//! TLS: the only place where the library's types are visible.
//!
//! A [`Stream`] is TLS on a socket that does not block: the library's state machine, fed and emptied by whoever
//! owns the socket (`leg.rs`). An [`Acceptor`] belongs to a `bind` line, a [`Connector`] to a server or its
//! checks; both are made once ([`Tls::load`]) and shared by all threads, so that a session is resumed by whichever
//! worker its client comes to. Certificates are in a [`Store`]: what changes there holds for the next handshake.

mod acceptor;
mod connector;
mod facts;
mod pem;
mod rules;
mod seats;
mod store;
mod stream;

use std::sync::Arc;

use config::diagnostic::{Diagnostic, Severity};
use config::model::{BindTls, Location, Model, ServerTls};

pub(crate) use self::acceptor::Acceptor;
pub use self::connector::Seen;
pub(crate) use self::connector::{Asked, Connector};
pub(crate) use self::seats::Seat;
pub use self::seats::Seats;
pub use self::store::{Bundle, Entry, Store, days_left};
pub(crate) use self::stream::{Failure, Stream, Want};

/// Webhooks and mailers with TLS: what they are called, where they are written, and what they say of it.
fn outgoing(model: &Model) -> impl Iterator<Item = (String, &Location, &Arc<ServerTls>)> {
    let webhooks = model.alerts.iter().flat_map(|alerts| {
        let webhooks = alerts.webhooks.iter();
        webhooks.filter_map(|webhook| {
            let line = format!("'alert webhook' in '{}'", alerts.name);
            Some((line, &webhook.at, webhook.tls.as_ref()?))
        })
    });
    let mailers = model.mailers.iter().flat_map(|section| {
        let mailers = section.mailers.iter();
        mailers.filter_map(|mailer| {
            let line = format!("'mailer {}' in '{}'", mailer.name, section.name);
            Some((line, &mailer.at, mailer.secrecy.tls()?))
        })
    });
    webhooks.chain(mailers)
}

/// Everything of TLS that a configuration asks for.
#[derive(Debug, Default)]
pub struct Tls {
    /// Our certificates, by file.
    pub store: Store,
    acceptors: Vec<(Arc<BindTls>, Arc<Acceptor>)>,
    connectors: Vec<(Arc<ServerTls>, Arc<Connector>)>,
}

/// What cannot be used, or soon cannot.
#[derive(Debug)]
pub(crate) struct Complaint {
    severity: Severity,
    text: String,
    help: &'static str,
}

impl Complaint {
    fn error(text: String, help: &'static str) -> Self {
        Self {
            severity: Severity::Alert,
            text,
            help,
        }
    }

    fn notice(text: String, help: &'static str) -> Self {
        Self {
            severity: Severity::Notice,
            ..Self::error(text, help)
        }
    }

    fn told(self, at: &Location, line: &str) -> Diagnostic {
        Diagnostic {
            severity: self.severity,
            code: "tls",
            location: Some(at.clone()),
            source: None,
            text: format!("config : [{at}] : {line} : {}", self.text),
            help: Some(self.help.to_owned()),
        }
    }
}

impl Tls {
    /// Reads every certificate, key and list that the model names. With an alert among what is to be told, the
    /// result is not to be used.
    pub fn load(model: &Model) -> (Self, Vec<Diagnostic>) {
        let mut tls = Self::default();
        let mut told = Vec::new();
        for proxy in model.proxies.iter().filter(|proxy| !proxy.disabled) {
            for bind in proxy.front.iter().flat_map(|front| &front.binds) {
                let line = format!("'bind' in '{}'", proxy.name);
                let mut tell = |complaint: Complaint| told.push(complaint.told(&bind.at, &line));
                if let Some(conf) = &bind.tls
                    && tls.acceptor(conf).is_none()
                    && let Some(acceptor) = Acceptor::new(conf, &mut tls.store, &mut tell)
                {
                    tls.acceptors.push((Arc::clone(conf), Arc::new(acceptor)));
                }
            }
            for server in proxy.back.iter().flat_map(|back| &back.servers) {
                let line = format!("'server {}/{}'", proxy.name, server.name);
                let mut tell = |complaint: Complaint| told.push(complaint.told(&server.at, &line));
                for conf in [&server.tls, &server.check_tls].into_iter().flatten() {
                    if tls.connector(conf).is_none()
                        && let Some(connector) = Connector::new(conf, &mut tls.store, &mut tell)
                    {
                        tls.connectors.push((Arc::clone(conf), Arc::new(connector)));
                    }
                }
            }
        }
        for (line, at, conf) in outgoing(model) {
            let mut tell = |complaint: Complaint| told.push(complaint.told(at, &line));
            if let Some(connector) = Connector::new(conf, &mut tls.store, &mut tell) {
                tls.connectors.push((Arc::clone(conf), Arc::new(connector)));
            }
        }
        (tls, told)
    }

    /// What belongs to a `bind` line.
    pub(crate) fn acceptor(&self, conf: &Arc<BindTls>) -> Option<&Arc<Acceptor>> {
        let found = self
            .acceptors
            .iter()
            .find(|(own, _)| Arc::ptr_eq(own, conf));
        found.map(|(_, acceptor)| acceptor)
    }

    /// What belongs to a server or to its checks.
    pub(crate) fn connector(&self, conf: &Arc<ServerTls>) -> Option<&Arc<Connector>> {
        let found = self
            .connectors
            .iter()
            .find(|(own, _)| Arc::ptr_eq(own, conf));
        found.map(|(_, connector)| connector)
    }

    /// Makes every listener look its certificates up anew: some have changed.
    pub fn refresh(&self) {
        for (_, acceptor) in &self.acceptors {
            acceptor.refresh();
        }
    }
}
