//! Log lines on their way out: never in the way of a session.
//!
//! A worker buffers its lines until the end of its turn. What goes out by UDP alone it sends itself, because that never
//! waits for anybody; the rest it hands over: one thread of its own frames and sends them, because a pipe behind
//! `stdout` or a full socket may block. Between the two is a bounded channel: when it is full, lines are dropped and
//! counted (`DroppedLogs` of `show info`).

pub(crate) mod line;
mod output;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use config::model::LogTarget;

use crate::clock::{Clock, Millis};

/// Syslog levels used (RFC 5424 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// No server left.
    Emerg = 0,
    /// A server went DOWN.
    Alert = 1,
    /// A session ended in error, with `option log-separate-errors`.
    Err = 3,
    /// Something an operator did or should see.
    Warning = 4,
    /// A server came UP; details of checks.
    Notice = 5,
    /// Sessions.
    Info = 6,
}

/// Where the lines of one proxy go.
#[derive(Debug)]
pub struct Logger {
    pub(crate) targets: Vec<LogTarget>,
    pub(crate) tag: String,
    pub(crate) host: Option<String>,
}

impl Logger {
    pub(crate) fn new(targets: &[LogTarget], tag: Option<&str>, host: Option<&str>) -> Self {
        Self {
            targets: targets.to_vec(),
            tag: tag.unwrap_or("posthouse").to_owned(),
            host: host.map(str::to_owned),
        }
    }

    /// Whether anybody listens: a line that nobody wants is not even formatted.
    pub(crate) fn is_on(&self) -> bool {
        !self.targets.is_empty()
    }
}

/// Which of a line's outputs are meant.
#[derive(Debug)]
pub(crate) enum Route {
    /// The targets of a proxy.
    Proxy(Arc<Logger>),
    /// The process's own standard error, in HAProxy's `[LEVEL]  (pid) : text` shape.
    Console,
}

/// One line, not framed yet.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) route: Route,
    pub(crate) level: Level,
    pub(crate) at: Millis,
    pub(crate) text: String,
}

/// What travels to the log thread.
#[derive(Debug)]
enum Batch {
    Lines(Vec<Line>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to the log thread; cheap to clone, one per thread that logs.
#[derive(Debug, Clone)]
pub(crate) struct LogSink {
    channel: SyncSender<Batch>,
    dropped: Arc<AtomicU64>,
}

/// Batches that may wait for the log thread.
const QUEUE: usize = 1024;

impl LogSink {
    /// Starts the log thread. It ends when the last sink is gone.
    pub(crate) fn start(quiet: bool) -> std::io::Result<Self> {
        let (channel, lines) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || drain(&lines, quiet))?;
        Ok(Self {
            channel,
            dropped: Arc::default(),
        })
    }

    /// Hands lines over, or drops and counts them.
    pub(crate) fn send(&self, lines: Vec<Line>) {
        let count = lines.len() as u64;
        if count > 0 && self.channel.try_send(Batch::Lines(lines)).is_err() {
            self.count_dropped(count);
        }
    }

    fn count_dropped(&self, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until what was sent is written, at most `patience`: a log that blocks must not keep a
    /// process from ending.
    pub(crate) fn flush(&self, patience: Duration) {
        let (done, written) = sync_channel(1);
        if self.channel.try_send(Batch::Flush(done)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }

    /// Lines dropped because the log thread could not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// How long the log thread lets lines gather after it has written some. Waking it costs a worker more
/// than a line does; while it rests, sending is only a push.
const GATHER: Duration = Duration::from_millis(5);

fn drain(batches: &Receiver<Batch>, quiet: bool) {
    let mut output = output::Output::new(Clock::get(), quiet);
    let mut write = |batch| match batch {
        Batch::Lines(lines) => {
            let lines: Vec<Line> = lines;
            lines.iter().for_each(|line| output.write(line));
        }
        Batch::Flush(done) => drop(done.try_send(())),
    };
    while let Ok(batch) = batches.recv() {
        write(batch);
        #[allow(clippy::disallowed_methods, reason = "no session lives on this thread")]
        std::thread::sleep(GATHER);
        batches.try_iter().for_each(&mut write);
    }
}

/// A worker's lines of this turn.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    sink: LogSink,
    lines: RefCell<Vec<Line>>,
    output: RefCell<output::Output>,
}

impl LogBuffer {
    pub(crate) fn new(sink: LogSink) -> Self {
        Self {
            sink,
            lines: RefCell::default(),
            output: RefCell::new(output::Output::of_worker()),
        }
    }

    pub(crate) fn push(&self, line: Line) {
        self.lines.borrow_mut().push(line);
    }

    /// Sends what never blocks and hands over the rest, at the end of a turn.
    pub(crate) fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return;
        }
        let mut output = self.output.borrow_mut();
        lines.retain(|line| {
            let sent = output::Output::never_blocks(line);
            if sent {
                output.write(line);
            }
            !sent
        });
        self.sink.count_dropped(std::mem::take(&mut output.lost));
        if !lines.is_empty() {
            self.sink.send(std::mem::take(&mut *lines));
        }
    }
}
