//! One end of a row: a socket, what waits to be sent to it, and what is known of it.

use super::pipe::Pipe;
use crate::socket::Socket;
use crate::tls::Stream;

/// What a session brings along when it enters the relay.
#[derive(Debug)]
pub(crate) struct Legs {
    /// The client's socket.
    pub(crate) client: Socket,
    /// TLS on it.
    pub(crate) client_tls: Option<Stream>,
    /// The server's socket, connected.
    pub(crate) server: Socket,
    /// TLS on it.
    pub(crate) server_tls: Option<Stream>,
    /// Bytes already read from the server that the client has not taken yet.
    pub(crate) to_client: Vec<u8>,
    /// Bytes already read from the client (after a PROXY header), or a header the server has not taken.
    pub(crate) to_server: Vec<u8>,
    /// Bytes that went from the server to the client before the hand-over.
    pub(crate) already_out: u64,
}

impl Legs {
    /// Whether anything is encrypted: then it is no matter of bytes alone.
    pub(crate) fn has_tls(&self) -> bool {
        self.client_tls.is_some() || self.server_tls.is_some()
    }
}

/// One side of a relayed session.
#[derive(Debug)]
pub(super) struct End {
    pub(super) socket: Socket,
    /// It will send no more.
    pub(super) eof: bool,
    /// We have told it that no more will come.
    pub(super) shut: bool,
    /// Bytes read from it.
    pub(super) moved: u64,
    /// When it last sent or took bytes, in milliseconds of the process, wrapping.
    pub(super) last: u32,
    /// What it has not taken yet; boxed, because most ends never need one.
    pub(super) pending: Option<Box<Pending>>,
}

/// Bytes on their way to an end that could not take them at once.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Copied bytes, sent from `sent` on.
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    /// Bytes in a pipe, in splice mode. Never at the same time as `bytes`.
    pub(super) pipe: Option<Pipe>,
}

impl Pending {
    /// Bytes that wait.
    pub(super) fn left(&self) -> u64 {
        let piped = self.pipe.as_ref().map_or(0, |pipe| pipe.filled);
        (self.bytes.len() - self.sent + piped) as u64
    }
}

impl End {
    pub(super) fn new(socket: Socket, pending: Vec<u8>, now: u32) -> Self {
        let pending = (!pending.is_empty()).then(|| {
            Box::new(Pending {
                bytes: pending,
                ..Pending::default()
            })
        });
        Self {
            socket,
            eof: false,
            shut: false,
            moved: 0,
            last: now,
            pending,
        }
    }
}
