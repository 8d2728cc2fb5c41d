//! `event-log`: every event as a line of JSON in a file.
//!
//! Events are rare, so the file is opened for each batch and closed again: whatever `logrotate` or an operator does
//! to it, the next event is in the file of that name. The directory is opened before a chroot and before rights are
//! dropped, and files are made in it from there on. A thread of its own writes, because a disk may block.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use config::model::Global;
use engine::{Level, Plane};
use rustix::fs::{FileType, Mode, OFlags};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::event;

/// Batches that may wait for the disk.
const QUEUE: usize = 1024;
/// How long the end of the process waits for the disk.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Not for everybody: addresses and names of servers are in it.
const MODE: Mode = Mode::from_raw_mode(0o640);

/// A file that is opened anew whenever it is written.
#[derive(Debug)]
pub(crate) struct EventLog {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
    /// The last write broke off in the middle of a line.
    torn: bool,
}

impl EventLog {
    /// Opens the directory and makes the file, as its owner-to-be where we are root.
    ///
    /// # Errors
    /// The directory or the file cannot be opened; the error names it.
    pub(crate) fn prepare(path: &Path, global: &Global) -> io::Result<Self> {
        let named = |why: io::Error| {
            io::Error::new(why.kind(), format!("event-log {}: {why}", path.display()))
        };
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory);
        let name = name.map_err(|kind| named(kind.into()))?.to_owned();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(
            parent.unwrap_or_else(|| Path::new(".")),
            flags,
            Mode::empty(),
        );
        let log = Self {
            directory: directory.map_err(|why| named(why.into()))?,
            name,
            path: path.to_owned(),
            torn: false,
        };
        let file = log.open().map_err(named)?;
        if rustix::process::getuid().is_root() {
            let user = engine::user_id(global.user.as_ref()).map_err(named)?;
            let group = engine::group_id(global.group.as_ref()).map_err(named)?;
            std::os::unix::fs::fchown(&file, user, group).map_err(named)?;
        }
        Ok(log)
    }

    fn open(&self) -> io::Result<File> {
        // A pipe without a reader must not hold us up.
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC
            | OFlags::NOCTTY;
        let file = rustix::fs::openat(&self.directory, &self.name, flags, MODE)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(file.into())
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        let mut file = self.open()?;
        if std::mem::take(&mut self.torn) {
            file.write_all(b"\n")?;
        }
        let written = file.write_all(lines.as_bytes());
        self.torn = written.is_err();
        written
    }

    /// Starts the thread, and the task that feeds it. Must be called inside the control thread's `LocalRuntime`.
    pub(crate) fn start(self, plane: &Rc<Plane>) -> io::Result<Writing> {
        let (batches, inbox) = sync_channel(QUEUE);
        let (trouble, troubles) = unbounded_channel();
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("events".into())
            .spawn(move || write(self, &inbox, &trouble, &counter))?;
        let writing = Writing { batches, lost };
        tokio::task::spawn_local(feed(Rc::clone(plane), writing.clone(), troubles));
        Ok(writing)
    }
}

/// What travels to the thread.
#[derive(Debug)]
enum Batch {
    /// A line, with its end.
    Line(String),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub(crate) struct Writing {
    batches: SyncSender<Batch>,
    lost: Arc<AtomicU64>,
}

impl Writing {
    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn send(&self, line: String) {
        if self.batches.try_send(Batch::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits a moment until what was sent is written.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.batches.try_send(Batch::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

/// Hands events to the thread as they come, and says on standard error what keeps it from writing.
async fn feed(plane: Rc<Plane>, writing: Writing, mut troubles: UnboundedReceiver<String>) {
    let mut events = plane.events().read(false);
    loop {
        tokio::select! {
            seen = events.next() => {
                if seen.missed > 0 {
                    writing.lost.fetch_add(seen.missed, Ordering::Relaxed);
                }
                writing.send(event::json(&seen.event) + "\n");
            }
            Some(text) = troubles.recv() => plane.console(Level::Warning, text),
        }
    }
}

fn write(
    mut log: EventLog,
    batches: &Receiver<Batch>,
    trouble: &UnboundedSender<String>,
    lost: &AtomicU64,
) {
    let mut broken = false;
    while let Ok(first) = batches.recv() {
        let mut lines = String::new();
        let mut count = 0;
        let mut flushed = Vec::new();
        for batch in std::iter::once(first).chain(batches.try_iter()) {
            match batch {
                Batch::Line(line) => {
                    lines.push_str(&line);
                    count += 1;
                }
                Batch::Flush(done) => flushed.push(done),
            }
        }
        let written = if lines.is_empty() {
            Ok(())
        } else {
            log.append(&lines)
        };
        let path = log.path.display();
        match written {
            Err(why) => {
                lost.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut broken, true) {
                    let _ = trouble.send(format!("event-log {path}: {why}; events are lost."));
                }
            }
            Ok(()) if count > 0 && std::mem::take(&mut broken) => {
                let lost = lost.load(Ordering::Relaxed);
                let _ = trouble.send(format!(
                    "event-log {path}: written again, {lost} events were lost."
                ));
            }
            Ok(()) => {}
        }
        for done in flushed {
            // Who asked may have lost patience.
            let _ = done.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_is_moved_away_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.json");
        let mut log = EventLog::prepare(&path, &Global::default()).unwrap();
        log.append("1\n").unwrap();
        let old = dir.path().join("events.json.1");
        std::fs::rename(&path, &old).unwrap();
        log.append("2\n").unwrap();
        assert_eq!((read(&old), read(&path)), ("1\n".into(), "2\n".into()));
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.json");
        let mut log = EventLog::prepare(&path, &Global::default()).unwrap();
        log.append("{\"half").unwrap();
        log.torn = true;
        log.append("2\n").unwrap();
        assert_eq!(read(&path), "{\"half\n2\n");
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let nowhere = Path::new("/no/such/place/events.json");
        let why = EventLog::prepare(nowhere, &Global::default()).unwrap_err();
        assert!(
            why.to_string()
                .starts_with("event-log /no/such/place/events.json: "),
            "{why}"
        );
        let why = EventLog::prepare(Path::new("/dev/null"), &Global::default()).unwrap_err();
        assert!(why.to_string().contains("not a regular file"), "{why}");
    }

    #[test]
    fn what_is_lost_is_counted_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.json");
        let log = EventLog::prepare(&path, &Global::default()).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let (batches, inbox) = sync_channel(QUEUE);
        let (trouble, mut troubles) = unbounded_channel();
        let writing = Writing {
            batches,
            lost: Arc::default(),
        };
        let counter = Arc::clone(&writing.lost);
        let thread = std::thread::spawn(move || write(log, &inbox, &trouble, &counter));
        for line in ["1\n", "2\n"] {
            writing.send(line.into());
            writing.flush();
        }
        assert_eq!(writing.lost(), 2);
        std::fs::remove_dir(&path).unwrap();
        writing.send("3\n".into());
        writing.flush();
        drop(writing);
        thread.join().unwrap();
        assert_eq!(read(&path), "3\n");
        assert!(troubles.try_recv().unwrap().contains("events are lost"));
        assert!(troubles.try_recv().unwrap().contains("2 events were lost"));
        assert!(troubles.try_recv().is_err());
    }
}
