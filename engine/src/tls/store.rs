//! Our certificates by file: what is used now, and what `set ssl cert` has put beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::Complaint;
use super::pem;
pub use super::pem::Bundle;

/// A certificate of ours is told when it has fewer days left.
const SOON: i64 = 7;

/// All of them.
#[derive(Debug, Default)]
pub struct Store(BTreeMap<PathBuf, Arc<Entry>>);

/// One file.
#[derive(Debug)]
pub struct Entry {
    /// Its name, as the configuration has it.
    pub path: PathBuf,
    current: ArcSwap<Bundle>,
    pending: Mutex<Option<Arc<Bundle>>>,
}

impl Entry {
    /// What handshakes get.
    pub fn current(&self) -> Arc<Bundle> {
        self.current.load_full()
    }

    /// What waits for `commit ssl cert`.
    pub fn pending(&self) -> Option<Arc<Bundle>> {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// `set ssl cert`: PEM text that is used when it is committed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn propose(&self, text: &[u8]) -> Result<(), String> {
        let bundle = pem::parse(text, None)?;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(bundle));
        Ok(())
    }

    /// `abort ssl cert`. False: there was nothing.
    pub fn forget(&self) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.take().is_some()
    }

    /// `commit ssl cert`; whoever does this calls [`super::Tls::refresh`]. False: there was nothing.
    pub fn commit(&self) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let bundle = pending.take();
        let there = bundle.is_some();
        if let Some(bundle) = bundle {
            self.current.store(bundle);
        }
        there
    }
}

impl Store {
    /// The certificate of that file.
    pub fn get(&self, path: &Path) -> Option<&Arc<Entry>> {
        self.0.get(path)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.values()
    }

    /// The certificate of that file, which is read if nobody has asked for it before.
    pub(super) fn load(
        &mut self,
        path: &Path,
        tell: &mut dyn FnMut(Complaint),
    ) -> Result<Arc<Entry>, String> {
        if let Some(entry) = self.0.get(path) {
            return Ok(Arc::clone(entry));
        }
        let bundle = pem::load(path)?;
        if let Some(complaint) = expiry(path, bundle.leaf.not_after) {
            tell(complaint);
        }
        let entry = Arc::new(Entry {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(bundle),
            pending: Mutex::default(),
        });
        self.0.insert(path.to_owned(), Arc::clone(&entry));
        Ok(entry)
    }
}

/// Whole days until then; negative: it is over.
pub fn days_left(not_after: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs() as i64);
    (not_after - now).div_euclid(86_400)
}

fn expiry(path: &Path, not_after: i64) -> Option<Complaint> {
    let days = days_left(not_after);
    let text = match days {
        ..0 => format!("the certificate in '{}' has expired.", path.display()),
        _ if days < SOON => format!(
            "the certificate in '{}' has {days} days left.",
            path.display()
        ),
        _ => return None,
    };
    Some(Complaint::notice(
        text,
        "renew it; 'set ssl cert' and 'commit ssl cert' put it to use without a restart",
    ))
}
