//! What servers offer in their reply to EHLO, and what of it a backend can promise.
//!
//! A session may be carried over to any server, so it is promised what all of them have. Each server's list is
//! learned from checks that say EHLO and from sessions.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use wire::smtp::Capabilities;

use crate::backend::Backend;

/// What one server offers, once that is known.
#[derive(Debug, Default)]
pub struct ServerOffer(ArcSwapOption<Capabilities>);

impl ServerOffer {
    /// What it offers.
    pub fn get(&self) -> Option<Capabilities> {
        self.0.load().as_deref().copied()
    }

    /// False: it was known.
    fn learn(&self, offer: Capabilities) -> bool {
        let new = self.get() != Some(offer);
        if new {
            self.0.store(Some(Arc::new(offer)));
        }
        new
    }
}

/// What all usable servers of a backend offer.
#[derive(Debug, Default)]
pub struct CommonOffer(ArcSwap<Option<Capabilities>>);

impl CommonOffer {
    /// `None`: nothing is known of any.
    pub fn get(&self) -> Option<Capabilities> {
        **self.0.load()
    }
}

impl Backend {
    /// A server has answered EHLO.
    pub(crate) fn learn_offer(&self, server: usize, offer: Capabilities) {
        let servers = self.servers();
        let Some(learned) = servers.at(server) else {
            return;
        };
        if learned.offer.learn(offer) {
            self.refresh_offer();
        }
    }

    /// Servers have changed, or what is known of them has.
    pub(crate) fn refresh_offer(&self) {
        let servers = self.servers();
        let known = |usable: bool| {
            servers
                .iter()
                .filter(|server| !usable || server.honours_stick())
                .filter_map(|server| server.offer.get())
                .reduce(Capabilities::common)
        };
        // While none is usable, what the last ones had holds.
        let common = known(true).or_else(|| known(false));
        if self.offer.get() != common {
            self.offer.0.store(Arc::new(common));
        }
    }
}
