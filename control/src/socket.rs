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
use crate::line::{Lines, TooLong};
use crate::{Desk, Program, http};

/// `stats timeout` where it is not written.
const IDLE: Duration = Duration::from_secs(10);
/// `stats maxconn` where it is not written.
const MAXCONN: u32 = 10;
/// How long a socket that cannot accept (no descriptors) is left alone.
const PAUSE: Duration = Duration::from_millis(100);
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
    pub fn serve(self, plane: &Rc<Plane>, program: Program) -> std::io::Result<()> {
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
            program,
            sockets,
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
        let mut answer = match line {
            Ok(line) => command::answer(&desk, &mut caller, &line).await,
            Err(TooLong) => {
                caller.interactive = false;
                "Request too long.\n\n".into()
            }
        };
        if caller.interactive {
            answer.push_str("> ");
        }
        let written = timeout(caller.idle, stream.write_all(answer.as_bytes())).await;
        if !caller.interactive || !matches!(written, Ok(Ok(()))) {
            break;
        }
    }
    farewell(&mut *stream).await;
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
