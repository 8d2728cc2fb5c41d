//! The far end of the log: framing and sending.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use config::model::{LogDestination, LogFormat, LogTarget};
use wire::syslog::{Format, Frame, Stamp};

use super::{Level, Line, Logger, Route, line};
use crate::clock::Clock;

/// Sockets, and the time of the second that is being written.
#[derive(Debug)]
pub(super) struct Output {
    clock: Clock,
    pid: u32,
    quiet: bool,
    udp: Option<(UdpSocket, Option<UdpSocket>)>,
    unix: Option<UnixDatagram>,
    files: HashMap<i32, File>,
    frame: Vec<u8>,
    /// Lines that the system had no room for.
    pub(super) lost: u64,
    second: (u64, Stamp),
}

impl Output {
    pub(super) fn new(clock: Clock, quiet: bool) -> Self {
        Self {
            clock,
            pid: std::process::id(),
            quiet,
            udp: None,
            unix: None,
            files: HashMap::new(),
            frame: Vec::with_capacity(1024),
            lost: 0,
            second: (u64::MAX, Stamp::default()),
        }
    }

    /// For a thread that must not wait: it may write what [`Self::never_blocks`].
    pub(super) fn of_worker() -> Self {
        Self::new(Clock::get(), true)
    }

    /// Whether nobody who shall have a line keeps the sender waiting.
    pub(super) fn never_blocks(line: &Line) -> bool {
        let at_once = |target: &LogTarget| matches!(target.to, LogDestination::Udp(_));
        match &line.route {
            Route::Console => false,
            Route::Proxy(logger) => logger.targets.iter().all(at_once),
        }
    }

    /// Sends a line to everyone who shall have it. A target that fails loses the line, nobody else does.
    pub(super) fn write(&mut self, line: &Line) {
        match &line.route {
            Route::Console if self.quiet => {}
            Route::Console => console(line),
            Route::Proxy(logger) => {
                for target in &logger.targets {
                    if line.level as u8 <= target.max_level {
                        self.send(line, logger, target);
                    }
                }
            }
        }
    }

    fn send(&mut self, line: &Line, logger: &Logger, target: &LogTarget) {
        let stamp = self.stamp(self.clock.wall_ms(line.at));
        let level = (line.level as u8).max(target.min_level);
        self.frame.clear();
        let frame = Frame {
            format: format(target.format),
            facility: target.facility,
            level,
            stamp,
            host: logger.host.as_deref(),
            tag: &logger.tag,
            pid: self.pid,
            max_len: target.len,
        };
        frame.write(&line.text, &mut self.frame);
        let sent = match &target.to {
            LogDestination::Udp(address) => self.send_udp(*address),
            LogDestination::Unix(path) => self.send_unix(path),
            LogDestination::Stdout => self.write_line(std::io::stdout().lock()),
            LogDestination::Stderr => self.write_line(std::io::stderr().lock()),
            LogDestination::Fd(number) => self.write_fd(*number),
        };
        // A log that is away is not worth a word per line: the next line tries again.
        self.lost += u64::from(sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }

    fn send_udp(&mut self, to: SocketAddr) -> std::io::Result<()> {
        let (v4, v6) = match &mut self.udp {
            Some(sockets) => sockets,
            none => {
                let v4 = UdpSocket::bind("0.0.0.0:0")?;
                let v6 = UdpSocket::bind("[::]:0").ok();
                for socket in v6.iter().chain([&v4]) {
                    socket.set_nonblocking(true)?;
                }
                none.insert((v4, v6))
            }
        };
        let socket = if to.is_ipv4() {
            v4
        } else {
            v6.as_ref().unwrap_or(v4)
        };
        socket.send_to(&self.frame, to).map(drop)
    }

    fn send_unix(&mut self, to: &PathBuf) -> std::io::Result<()> {
        let socket = match &mut self.unix {
            Some(socket) => socket,
            none => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(std::time::Duration::from_millis(100)))?;
                none.insert(socket)
            }
        };
        socket.send_to(&self.frame, to).map(drop)
    }

    fn write_line(&self, mut out: impl std::io::Write) -> std::io::Result<()> {
        out.write_all(&self.frame)?;
        out.flush()
    }

    fn write_fd(&mut self, number: i32) -> std::io::Result<()> {
        let file = match self.files.entry(number) {
            std::collections::hash_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let path = format!("/proc/self/fd/{number}");
                place.insert(File::options().append(true).open(path)?)
            }
        };
        file.write_all(&self.frame)
    }

    /// The local time of a moment; the calendar is asked once per second.
    fn stamp(&mut self, wall_ms: u64) -> Stamp {
        if self.second.0 != wall_ms / 1000 {
            let local = line::local(wall_ms);
            self.second = (
                wall_ms / 1000,
                Stamp {
                    year: local.year().unsigned_abs(),
                    month: local.month().unsigned_abs(),
                    day: local.day().unsigned_abs(),
                    hour: local.hour().unsigned_abs(),
                    minute: local.minute().unsigned_abs(),
                    second: local.second().unsigned_abs(),
                    micros: 0,
                    offset_minutes: (local.offset().seconds() / 60) as i16,
                },
            );
        }
        Stamp {
            micros: (wall_ms % 1000) as u32 * 1000,
            ..self.second.1
        }
    }
}

/// A message of the process to whoever started it, in HAProxy's shape (haproxy-compat 1.3).
fn console(line: &Line) {
    let word = match line.level {
        Level::Emerg | Level::Alert => "[ALERT]",
        Level::Err | Level::Warning => "[WARNING]",
        Level::Notice | Level::Info => "[NOTICE]",
    };
    let _ = writeln!(
        std::io::stderr().lock(),
        "{word:<10} ({}) : {}",
        std::process::id(),
        line.text
    );
}

fn format(format: LogFormat) -> Format {
    match format {
        LogFormat::Local => Format::Local,
        LogFormat::Rfc3164 => Format::Rfc3164,
        LogFormat::Rfc5424 => Format::Rfc5424,
        LogFormat::Priority => Format::Priority,
        LogFormat::Short => Format::Short,
        LogFormat::Timed => Format::Timed,
        LogFormat::Iso => Format::Iso,
        LogFormat::Raw => Format::Raw,
    }
}
