//! The stats sockets: made before rights are given up, then served on the control thread (MGT 9.3).
//!
//! By default a connection is one line of commands and their answers, then closed. After `prompt` it stays,
//! until `quit`, its end, or the idle timeout.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{BindAddress, Level, Model};
use engine::{BindError, Plane};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::command::{self, Caller};
use crate::line::{self, Lines, TooLong};
use crate::{Desk, Program, Running, http};

/// `stats timeout` where it is not written.
const IDLE: Duration = Duration::from_secs(10);
/// `stats maxconn` where it is not written.
const MAXCONN: u32 = 10;
/// How long a socket that cannot accept (no descriptors) is left alone.
const PAUSE: Duration = Duration::from_millis(100);
/// An answer is sent in pieces of that many bytes, each within the idle time.
const PIECE: usize = 16 * 1024;
/// A payload may be that long (`tune.cli.max-payload-size`).
const MAX_PAYLOAD: usize = 128 * 1024;
/// How long a client that has its answer may go on sending before it is cut off.
const FAREWELL: Duration = Duration::from_secs(1);

/// The bound stats sockets of a configuration.
#[derive(Debug)]
pub struct Sockets {
    bound: Vec<(OwnedFd, Described)>,
    pages: http::Bound,
}

/// A stats socket as `show cli sockets` tells it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) address: String,
    pub(crate) level: Level,
}

impl Sockets {
    /// Makes the sockets of all `stats socket` lines. A unix socket has its owner and mode before anyone
    /// can connect to it.
    ///
    /// # Errors
    /// The first that cannot be made.
    pub fn bind(model: &Model) -> Result<Self, BindError> {
        let mut bound = Vec::new();
        for stats in &model.global.stats_sockets {
            let address = match &stats.address {
                BindAddress::Ip(address) => address.to_string(),
                BindAddress::Unix(path) => format!("unix@{}", path.display()),
                BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
                BindAddress::Fd(number) => format!("fd@{number}"),
            };
            let level = stats.level;
            bound.push((engine::listen_stats(stats)?, Described { address, level }));
        }
        let pages = http::bind(model)?;
        Ok(Self { bound, pages })
    }

    /// Serves them until the process ends. Must be called inside the control thread's `LocalRuntime`.
    ///
    /// # Errors
    /// The runtime cannot watch a socket.
    pub fn serve(
        self,
        plane: &Rc<Plane>,
        outlets: &Rc<Running>,
        program: Program,
    ) -> std::io::Result<()> {
        let global = &plane.topology().model.global;
        let maxconn = global.stats_maxconn.unwrap_or(MAXCONN).max(1) as usize;
        let room = Arc::new(Semaphore::new(maxconn));
        let idle = global.stats_timeout.unwrap_or(IDLE);
        let sockets = self
            .bound
            .iter()
            .map(|(_, described)| described.clone())
            .collect();
        let desk = Rc::new(Desk {
            plane: Rc::clone(plane),
            outlets: Rc::clone(outlets),
            program,
            sockets,
            idle: crate::idle::Idle::default(),
            scraped: std::cell::Cell::default(),
        });
        http::serve(self.pages, &desk)?;
        for (socket, described) in self.bound {
            let listener = Listener::new(socket)?;
            let greeter = Greeter {
                desk: Rc::clone(&desk),
                room: Arc::clone(&room),
                idle,
            };
            tokio::task::spawn_local(greeter.accept(listener, described.level));
        }
        Ok(())
    }
}

/// A listener the runtime watches.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl Listener {
    pub(crate) fn new(socket: OwnedFd) -> std::io::Result<Self> {
        let domain = rustix::net::sockopt::socket_domain(&socket)?;
        Ok(if domain == rustix::net::AddressFamily::UNIX {
            Self::Unix(UnixListener::from_std(socket.into())?)
        } else {
            Self::Tcp(TcpListener::from_std(socket.into())?)
        })
    }

    async fn accept(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Accepts for one socket, as long as there is room on all of them together.
struct Greeter {
    desk: Rc<Desk>,
    room: Arc<Semaphore>,
    idle: Duration,
}

impl Greeter {
    async fn accept(self, listener: Listener, level: Level) {
        loop {
            let Ok(stream) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // Who has been accepted waits for a place; a listener with nobody to serve holds none.
            let Ok(place) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            let caller = Caller::new(level, self.idle);
            let desk = Rc::clone(&self.desk);
            tokio::task::spawn_local(async move {
                converse(stream, desk, caller).await;
                drop(place);
            });
        }
    }
}

/// One connection. A client that goes away or stalls ends it, which is nobody's error.
async fn converse(mut stream: Box<dyn Stream>, desk: Rc<Desk>, mut caller: Caller) {
    let mut lines = Lines::default();
    while let Some(line) = read_line(&mut *stream, &mut lines, caller.idle).await {
        let served = match line {
            Ok(line) => serve_line(&mut *stream, &mut lines, &desk, &mut caller, &line).await,
            Err(TooLong) => {
                caller.dismiss();
                write(&mut *stream, "Request too long.\n\n", caller.idle).await
            }
        };
        if served.is_none() || !caller.stays() {
            break;
        }
        let prompt = caller.prompt(desk.plane.now() / 1000);
        if write(&mut *stream, &prompt, caller.idle).await.is_none() {
            break;
        }
    }
    farewell(&mut *stream).await;
}

/// Each command's answer is sent before the next is looked at: a line of many has no more in memory than one.
async fn serve_line(
    stream: &mut dyn Stream,
    lines: &mut Lines,
    desk: &Rc<Desk>,
    caller: &mut Caller,
    line: &str,
) -> Option<()> {
    let (line, payload_end) = line::payload(line);
    if let Some(end) = payload_end {
        read_payload(stream, lines, caller, end).await?;
    }
    for command in line::commands(line) {
        let answer = command::answer(desk, caller, command).await?;
        if let Some(watch) = caller.watch.take() {
            watch.run(stream, caller.idle).await?;
        }
        write(stream, &answer, caller.idle).await?;
        // Sessions are served by others, but checks are not.
        tokio::task::yield_now().await;
    }
    caller.payload = None;
    Some(())
}

/// Reads a payload to its end, for the command that takes one; another one overlooks it.
async fn read_payload(
    stream: &mut dyn Stream,
    lines: &mut Lines,
    caller: &mut Caller,
    end: &str,
) -> Option<()> {
    let mut payload = String::new();
    loop {
        match read_line(stream, lines, caller.idle).await? {
            Ok(line) if line == end => {
                caller.payload = Some(payload);
                return Some(());
            }
            Ok(line) if line.len() < MAX_PAYLOAD - payload.len() => {
                payload.push_str(&line);
                payload.push('\n');
            }
            _ => {
                caller.dismiss();
                return write(stream, "Request too long.\n\n", caller.idle).await;
            }
        }
    }
}

/// `None`: the client is gone, or has taken nothing for its idle time.
async fn write(stream: &mut dyn Stream, answer: &str, idle: Duration) -> Option<()> {
    for piece in answer.as_bytes().chunks(PIECE) {
        timeout(idle, stream.write_all(piece)).await.ok()?.ok()?;
    }
    Some(())
}

/// The next line, with what is left at the end of the stream as a last one.
async fn read_line(
    stream: &mut dyn Stream,
    lines: &mut Lines,
    idle: Duration,
) -> Option<Result<String, TooLong>> {
    let mut buffer = [0; 4096];
    loop {
        match lines.next_line() {
            Ok(Some(line)) => return Some(Ok(line)),
            Ok(None) => {}
            Err(too_long) => return Some(Err(too_long)),
        }
        match timeout(idle, stream.read(&mut buffer)).await {
            Ok(Ok(0)) => return lines.rest().map(Ok),
            Ok(Ok(read)) => lines.push(&buffer[..read]),
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

/// Closes so that the answer arrives: what is still unread would turn the close into a reset.
async fn farewell(stream: &mut dyn Stream) {
    let mut buffer = [0; 4096];
    let end = async {
        stream.shutdown().await?;
        while stream.read(&mut buffer).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, end).await;
}
