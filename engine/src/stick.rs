//! Stick tables: what is remembered of clients (haproxy-compat 3.9, CFG 11).
//!
//! A table is shared by workers, the stats socket and whoever counts. Every touch moves an entry to the
//! end of its shard's order, so with one `expire` per table the order is also that of expiry: what is old is
//! at the front, and neither expiry nor eviction needs a timer or a search. Small tables are one shard,
//! which keeps `size` exact; large ones are sixteen.

mod dump;
mod entry;
mod key;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::model::{KeyType, Server, ServerAddress, StickTable};
use hashlink::LinkedHashMap;

pub use self::dump::{Filter, Operator};
use self::entry::Entry;
pub use self::entry::StoreError;
pub use self::key::Key;

/// Tables up to this many entries are one shard.
const ONE_SHARD: u64 = 4096;
const SHARDS: usize = 16;

/// What a lookup for a server finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The server's id.
    pub server_id: Option<u32>,
    /// The server's name, or its address with `srvkey addr`.
    pub server_key: Option<Arc<str>>,
}

/// A stick table at run time.
#[derive(Debug)]
pub struct Table {
    spec: StickTable,
    expire: Option<u64>,
    shards: Box<[Mutex<Shard>]>,
    shard_size: u64,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    entries: LinkedHashMap<Key, Entry>,
    serial: u64,
}

impl Table {
    /// An empty one.
    pub fn new(spec: &StickTable) -> Self {
        let shards = if spec.size <= ONE_SHARD { 1 } else { SHARDS };
        Self {
            spec: spec.clone(),
            expire: spec.expire.map(|time| time.as_millis() as u64),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_size: spec.size.div_ceil(shards as u64).max(1),
            hasher: RandomState::new(),
        }
    }

    /// As it is configured.
    pub fn spec(&self) -> &StickTable {
        &self.spec
    }

    /// What its keys are.
    pub fn key_type(&self) -> KeyType {
        self.spec.key
    }

    /// What a server is remembered by.
    pub(crate) fn server_key<'s>(&self, server: &'s Server) -> Cow<'s, str> {
        match (&server.address, self.spec.srvkey_addr) {
            (ServerAddress::Ip(address), true) => address.to_string().into(),
            _ => (*server.name).into(),
        }
    }

    /// Looks a client up and refreshes its entry.
    pub fn touch(&self, key: &Key, now: u64) -> Option<Remembered> {
        let mut shard = self.shard(key);
        shard.drop_expired(self.expire, now);
        let entry = shard.entries.to_back(key)?;
        entry.touched = now;
        Some(entry.remembered(&self.spec))
    }

    /// Remembers the server a client got. In a table that is full of what must stay, nothing happens.
    pub fn store_server(&self, key: Key, id: u32, server_key: &str, now: u64) {
        self.update(key, now, |entry, spec| {
            entry.set_server(spec, id, server_key)
        });
    }

    /// Sets data of an entry, which is made if need be (`set table`).
    ///
    /// # Errors
    /// The table does not store that type, or the value is none.
    pub fn set(&self, key: Key, data: &[(String, String)], now: u64) -> Result<(), StoreError> {
        let mut result = Ok(());
        self.update(key, now, |entry, spec| {
            result = data
                .iter()
                .try_for_each(|(name, value)| entry.set(spec, name, value, now));
        });
        result
    }

    fn update(&self, key: Key, now: u64, change: impl FnOnce(&mut Entry, &StickTable)) {
        let mut shard = self.shard(&key);
        shard.drop_expired(self.expire, now);
        if shard.entries.to_back(&key).is_none() {
            if shard.entries.len() as u64 >= self.shard_size
                && (self.spec.nopurge || !shard.evict())
            {
                return;
            }
            shard.serial += 1;
            let entry = Entry::new(&self.spec, shard.serial);
            shard.entries.insert(key.clone(), entry);
        }
        if let Some(entry) = shard.entries.get_mut(&key) {
            entry.touched = now;
            change(entry, &self.spec);
        }
    }

    /// Forgets entries (`clear table`); those in use stay.
    pub fn clear(&self, filter: &Filter, now: u64) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(shard);
            shard.drop_expired(self.expire, now);
            shard.entries.retain(|key, entry| {
                entry.in_use > 0 || !filter.matches(&self.spec, number, (key, entry), now)
            });
        }
    }

    /// Entries now.
    pub fn used(&self, now: u64) -> u64 {
        let count = |shard| {
            let mut shard = lock(shard);
            shard.drop_expired(self.expire, now);
            shard.entries.len() as u64
        };
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let place = match self.shards.len() {
            1 => 0,
            shards => self.hasher.hash_one(key) as usize % shards,
        };
        lock(&self.shards[place])
    }
}

impl Shard {
    /// Drops what has expired; it is at the front.
    fn drop_expired(&mut self, expire: Option<u64>, now: u64) {
        let Some(expire) = expire else { return };
        while let Some((_, entry)) = self.entries.front() {
            if entry.touched + expire > now {
                return;
            }
            let Some((key, mut entry)) = self.entries.pop_front() else {
                return;
            };
            if entry.in_use > 0 {
                // Sessions count in it: it is as good as touched.
                entry.touched = now;
                self.entries.insert(key, entry);
            }
        }
    }

    /// Drops the oldest entry that nobody uses; false when there is none.
    fn evict(&mut self) -> bool {
        let oldest = self.entries.iter().find(|(_, entry)| entry.in_use == 0);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        self.entries.remove(&key).is_some()
    }
}

/// A panic elsewhere leaves an entry half written at worst; the table goes on.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
