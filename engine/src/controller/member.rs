//! Servers that come and go at run time (`add server`, `del server`), and limits that change.

use std::sync::Arc;

use config::model;
use tokio::task::AbortHandle;

use super::{At, Controller, Unit};
use crate::clock::Clock;
use crate::event::Kind;
use crate::health::Health;
use crate::plane::is_dynamic;
use crate::server::Server;

/// Why a server was not added or deleted; the words go to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The proxy has no servers, or there is none of that number.
    #[error("No such backend.")]
    NoBackend,
    /// `static-rr` and `source` are not rebuilt at run time.
    #[error("Backend must use a dynamic load balancing to support dynamic servers.")]
    StaticBalance,
    /// The name is taken.
    #[error("Already exists a server with the same name in backend.")]
    SameName,
    /// The written id is taken.
    #[error("Already exists a server with the same id in backend.")]
    SameId,
    /// There is none at that place.
    #[error("No such server.")]
    NoServer,
    /// It could still be given sessions.
    #[error("Only servers in maintenance mode can be deleted.")]
    NotInMaintenance,
    /// Sessions are on it, or wait for it.
    #[error("Server still has connections attached to it, cannot remove it.")]
    InUse,
}

impl Controller {
    /// Adds a server to a backend, in maintenance and with its checks switched off.
    ///
    /// # Errors
    /// The backend takes none, or not this one.
    pub(crate) fn add(
        &mut self,
        proxy: usize,
        mut conf: model::Server,
        workers: usize,
    ) -> Result<(At, Arc<Server>), Refused> {
        let topology = Arc::clone(&self.topology);
        let proxy_ref = topology.proxies.get(proxy).ok_or(Refused::NoBackend)?;
        let (Some(back), Some(section)) = (&proxy_ref.back, &proxy_ref.conf().back) else {
            return Err(Refused::NoBackend);
        };
        if !is_dynamic(section.balance) {
            return Err(Refused::StaticBalance);
        }
        let servers = back.servers();
        if servers.iter().any(|server| *server.name() == conf.name) {
            return Err(Refused::SameName);
        }
        match conf.id_forced {
            true if servers.iter().any(|server| server.conf.id == conf.id) => {
                return Err(Refused::SameId);
            }
            true => {}
            false => conf.id = servers.free_id(),
        }
        let now = Clock::get().now();
        let health = Health::added(&conf, section.failback, now);
        let place = self.places[proxy].take();
        let greets = section.is_gated();
        let server = Arc::new(Server::new(conf, place, workers, greets, &topology.tls));
        let units = &mut self.units[proxy];
        if units.len() <= place {
            units.resize_with(place + 1, || None);
        }
        units[place] = Some(Unit::new(health));
        back.queue.add(&servers, &server);
        self.publish_servers(proxy, Arc::new(servers.with(Arc::clone(&server))), now);
        self.tell_member((proxy, place), true);
        Ok(((proxy, place), server))
    }

    /// What runs for a server, so that it ends with it.
    pub(crate) fn runs_for(&mut self, at: At, task: AbortHandle) {
        if let Some(unit) = self.unit(at) {
            unit.tasks.push(task);
        }
    }

    /// Whether a server could be deleted now.
    ///
    /// # Errors
    /// Why not.
    pub fn removable(&self, at: At) -> Result<(), Refused> {
        let health = self.health(at).ok_or(Refused::NoServer)?;
        let proxy = self.topology.proxies.get(at.0);
        let back = proxy.and_then(|proxy| proxy.back.as_ref());
        let back = back.ok_or(Refused::NoBackend)?;
        let servers = back.servers();
        let server = servers.at(at.1).ok_or(Refused::NoServer)?;
        if !health.in_maint() {
            return Err(Refused::NotInMaintenance);
        }
        if server.sessions.get() > 0 || back.queue.depth(at.1).now > 0 {
            return Err(Refused::InUse);
        }
        Ok(())
    }

    /// Deletes a server: nobody finds it any more, its checks end.
    ///
    /// # Errors
    /// It is not in maintenance, or not idle.
    pub fn remove(&mut self, at: At) -> Result<(), Refused> {
        self.removable(at)?;
        let (proxy, place) = at;
        let topology = Arc::clone(&self.topology);
        let back = topology.proxies[proxy].back.as_ref();
        let back = back.ok_or(Refused::NoBackend)?;
        let servers = back.servers();
        self.tell_member(at, false);
        for task in self.units[proxy][place]
            .take()
            .into_iter()
            .flat_map(|unit| unit.tasks)
        {
            task.abort();
        }
        if let Some(server) = servers.at(place) {
            self.places[proxy].give_back(server);
        }
        back.queue.adjust(place, false, 100);
        let left = Arc::new(servers.without(place));
        self.publish_servers(proxy, left, Clock::get().now());
        Ok(())
    }

    /// `set maxconn server`: sessions at once, 0 for any number.
    pub fn set_maxconn(&mut self, (proxy, place): At, maxconn: u32) {
        let topology = Arc::clone(&self.topology);
        let Some(back) = &topology.proxies[proxy].back else {
            return;
        };
        let servers = back.servers();
        if let Some(server) = servers.at(place) {
            back.queue.set_maxconn(&servers, server, maxconn);
            self.publish(proxy, Clock::get().now());
        }
    }

    fn tell_member(&self, at: At, added: bool) {
        let server = self.named(at);
        self.bus.publish(Some(at.0), Kind::Member { server, added });
    }
}
