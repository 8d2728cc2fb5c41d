//! A backend's servers and whom of them a new session gets: one snapshot, replaced as a whole by the controller.
//!
//! A server has a **place**, by which selector, slots, states and reports name it; it keeps it for life. The place of
//! one that was deleted is given away again when nobody holds that server any more: no session, no check, no older
//! snapshot. What is said of a place is so never heard of another server.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use crate::balance::Selector;
use crate::server::Server;

/// Whom workers choose from.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) servers: Arc<Servers>,
    pub(crate) selector: Selector,
}

/// The servers of a backend, in the order they are written; added ones follow.
#[derive(Debug, Default)]
pub struct Servers {
    listed: Vec<Arc<Server>>,
    /// Where in the list the server of a place is; beyond its end: nowhere.
    places: Vec<usize>,
}

/// No place in any list.
const NOWHERE: usize = usize::MAX;

impl Servers {
    pub(crate) fn new(listed: Vec<Arc<Server>>) -> Self {
        let most = listed.iter().map(|server| server.index + 1).max();
        let mut places = vec![NOWHERE; most.unwrap_or(0)];
        for (at, server) in listed.iter().enumerate() {
            places[server.index] = at;
        }
        Self { listed, places }
    }

    /// The server at that place.
    pub fn at(&self, place: usize) -> Option<&Arc<Server>> {
        self.listed.get(*self.places.get(place)?)
    }

    /// The same servers and one more.
    pub(crate) fn with(&self, server: Arc<Server>) -> Self {
        let listed = self.listed.iter().cloned().chain([server]);
        Self::new(listed.collect())
    }

    /// The same servers without that one.
    pub(crate) fn without(&self, place: usize) -> Self {
        let listed = self.listed.iter().filter(|server| server.index != place);
        Self::new(listed.cloned().collect())
    }

    /// The first id that nobody has.
    pub(crate) fn free_id(&self) -> u32 {
        let taken = |id: &u32| self.listed.iter().any(|server| server.conf.id == *id);
        (1..).find(|id| !taken(id)).unwrap_or(u32::MAX)
    }
}

impl Deref for Servers {
    type Target = [Arc<Server>];

    fn deref(&self) -> &Self::Target {
        &self.listed
    }
}

/// Who gives places away.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Places ever given.
    given: usize,
    deleted: Vec<(usize, Weak<Server>)>,
}

impl Places {
    /// The first so many are taken.
    pub(crate) fn new(given: usize) -> Self {
        Self {
            given,
            deleted: Vec::new(),
        }
    }

    /// A place that nobody has or is remembered at.
    pub(crate) fn take(&mut self) -> usize {
        let forgotten = |(_, server): &(usize, Weak<Server>)| server.strong_count() == 0;
        match self.deleted.iter().position(forgotten) {
            Some(at) => self.deleted.swap_remove(at).0,
            None => {
                self.given += 1;
                self.given - 1
            }
        }
    }

    /// That server is deleted.
    pub(crate) fn give_back(&mut self, server: &Arc<Server>) {
        self.deleted.push((server.index, Arc::downgrade(server)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Tls;

    fn server(place: usize, id: u32) -> Arc<Server> {
        let mut conf = config::added_server("be", &["s", "192.0.2.1:25"]).expect("a server");
        conf.id = id;
        Arc::new(Server::new(conf, place, 1, false, &Tls::default()))
    }

    #[test]
    fn a_place_finds_its_server_wherever_it_is_listed() {
        let servers = Servers::new(vec![server(0, 1), server(2, 5)]).with(server(1, 2));
        let found = |place| servers.at(place).map(|server| server.conf.id);
        assert_eq!(
            [found(0), found(1), found(2), found(3)],
            [Some(1), Some(2), Some(5), None]
        );
        assert_eq!(servers.free_id(), 3);
        let fewer = servers.without(2);
        assert_eq!((fewer.len(), fewer.at(2).is_none()), (2, true));
        assert!(fewer.at(1).is_some_and(|server| server.conf.id == 2));
    }

    #[test]
    fn a_place_is_given_again_when_its_server_is_forgotten() {
        let mut places = Places::new(2);
        let held = server(1, 1);
        places.give_back(&held);
        assert_eq!(places.take(), 2);
        drop(held);
        assert_eq!(places.take(), 1);
        assert_eq!(places.take(), 3);
    }
}
