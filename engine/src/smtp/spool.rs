//! What journals take: accounts that all workers share, and the spool for bodies that memory has no room for.
//!
//! A spool file has no name, so that it is gone with the process, however that ends. Workers keep a few, because to
//! write over pages that are there costs half of making new ones.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use config::model::SmtpTuning;
use rustix::fs::{AtFlags, Mode, OFlags, ftruncate, open, openat, unlinkat};
use rustix::io::{Errno, pread, pwrite};

/// Files a worker keeps for the next who need one.
const KEPT: usize = 4;

/// What such a file keeps of its pages.
const KEPT_SIZE: u64 = 16 << 20;

/// What all sessions together have in their journals, and may have.
#[derive(Debug)]
pub struct Journals {
    /// Octets of buffers that one session may keep.
    pub(super) session: u64,
    memory: Account,
    spool: Account,
    /// Where files are made; held open, because the process may lock itself into another directory.
    directory: Option<OwnedFd>,
}

/// Octets in use and allowed.
#[derive(Debug)]
struct Account {
    used: AtomicU64,
    most: u64,
}

impl Account {
    fn new(most: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            most,
        }
    }

    fn take(&self, octets: u64) -> bool {
        let before = self.used.fetch_add(octets, Relaxed);
        let fits = before + octets <= self.most;
        if !fits {
            self.give(octets);
        }
        fits
    }

    fn give(&self, octets: u64) {
        self.used.fetch_sub(octets, Relaxed);
    }
}

impl Journals {
    /// Opens the spool's directory. With an error there is no spool: long messages go unprotected.
    pub(crate) fn new(tuning: &SmtpTuning, wanted: bool) -> (Self, Option<io::Error>) {
        let mut trouble = None;
        let directory = (wanted && tuning.spool_size > 0)
            .then(|| {
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
                let opened = open(&tuning.spool_dir, flags, Mode::empty());
                opened.map_err(|error| trouble = Some(error.into())).ok()
            })
            .flatten();
        let spool = directory.as_ref().map_or(0, |_| tuning.spool_size);
        let journals = Self {
            session: tuning.journal_memory,
            memory: Account::new(tuning.total_memory),
            spool: Account::new(spool),
            directory,
        };
        (journals, trouble)
    }

    /// Octets in memory now.
    pub fn memory(&self) -> u64 {
        self.memory.used.load(Relaxed)
    }

    /// Octets in the spool now.
    pub fn spooled(&self) -> u64 {
        self.spool.used.load(Relaxed)
    }

    /// Whether so much more may be kept in memory.
    pub(super) fn permits(&self, octets: u64) -> bool {
        self.memory() + octets <= self.memory.most
    }

    /// A session keeps `now` octets in memory, and has kept `before`.
    pub(super) fn note(&self, before: u64, now: u64) {
        if now >= before {
            self.memory.used.fetch_add(now - before, Relaxed);
        } else {
            self.memory.give(before - now);
        }
    }

    /// A file without a name.
    fn file(&self) -> Result<OwnedFd, Errno> {
        let directory = self.directory.as_ref().ok_or(Errno::NOENT)?;
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match openat(directory, ".", flags | OFlags::TMPFILE, mode) {
            // Not every file system makes files without names.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let name = format!(".posthouse-{}-{:x}", std::process::id(), fastrand::u64(..));
                let file = openat(
                    directory,
                    &name,
                    flags | OFlags::CREATE | OFlags::EXCL,
                    mode,
                )?;
                unlinkat(directory, &name, AtFlags::empty())?;
                Ok(file)
            }
            made => made,
        }
    }
}

/// The files of a worker that nobody uses now.
#[derive(Debug, Default)]
pub(crate) struct Spare(RefCell<Vec<OwnedFd>>);

/// A session's file; made when it is first written to.
#[derive(Debug)]
pub(super) struct Spool {
    file: OwnedFd,
    length: u64,
    journals: Arc<crate::process::Process>,
}

impl Spool {
    /// `None`: there is no spool, or no room for a file.
    pub(super) fn new(journals: &Arc<crate::process::Process>, spare: &Spare) -> Option<Self> {
        let kept = spare.0.borrow_mut().pop();
        let file = match kept {
            Some(file) => file,
            None => journals.journals.file().ok()?,
        };
        Some(Self {
            file,
            length: 0,
            journals: Arc::clone(journals),
        })
    }

    /// Octets in it.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends. False: there is no room; what was written before is still there.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> bool {
        let octets = bytes.len() as u64;
        if !self.journals.journals.spool.take(octets) {
            return false;
        }
        let mut at = self.length;
        self.length += octets;
        while !bytes.is_empty() {
            match pwrite(&self.file, bytes, at) {
                Ok(0) => return false,
                Ok(written) => {
                    at += written as u64;
                    bytes = &bytes[written..];
                }
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads what lies at `at` to the end of `buffer`. False: it cannot be read.
    pub(super) fn read(&self, mut at: u64, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            match pread(&self.file, &mut *buffer, at) {
                Ok(0) => return false,
                Ok(read) => {
                    at += read as u64;
                    buffer = &mut buffer[read..];
                }
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Gives the file back to the worker.
    pub(super) fn discard(self, spare: &Spare) {
        let mut kept = spare.0.borrow_mut();
        if kept.len() >= KEPT
            || (self.length > KEPT_SIZE && ftruncate(&self.file, KEPT_SIZE).is_err())
        {
            return;
        }
        if let Ok(file) = self.file.try_clone() {
            kept.push(file);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.journals.journals.spool.give(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(spool_size: u64) -> Arc<crate::process::Process> {
        let mut global = config::model::Global::default();
        global.smtp.spool_size = spool_size;
        global.smtp.spool_dir = std::env::temp_dir();
        Arc::new(crate::process::Process::new(&global, 10, true))
    }

    #[test]
    fn what_is_written_is_read_again_and_the_account_is_balanced() {
        let (process, spare) = (process(100), Spare::default());
        let mut spool = Spool::new(&process, &spare).unwrap();
        assert!(spool.write(b"hello ") && spool.write(b"world"));
        let mut back = [0; 5];
        assert!(spool.read(6, &mut back));
        assert_eq!(&back, b"world");
        assert!(!spool.read(7, &mut back), "behind the end there is nothing");
        assert_eq!(process.journals.spooled(), 11);
        assert!(!spool.write(&[0; 90]), "one octet too many");
        spool.discard(&spare);
        assert_eq!(process.journals.spooled(), 0);
        let mut next = Spool::new(&process, &spare).unwrap();
        assert!(spare.0.borrow().is_empty(), "the kept file is used");
        assert!(next.write(b"HE") && next.read(0, &mut back[..2]));
        assert_eq!(&back[..2], b"HE");
    }

    #[test]
    fn without_a_spool_nothing_is_written() {
        let process = process(0);
        assert!(Spool::new(&process, &Spare::default()).is_none());
    }
}
