//! One side of a session while it is async: a socket, and TLS on it where there is any.
//!
//! What is plain can be upgraded, once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, Shutdown, shutdown};

use crate::socket::Socket;
use crate::tls::{Failure, Stream, Want};

/// A socket with what runs on it.
#[derive(Debug)]
pub(crate) struct Leg {
    socket: Socket,
    tls: Option<Stream>,
}

impl Leg {
    /// Bytes as they are.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self::new(socket, None)
    }

    /// With what runs on it already.
    pub(crate) fn new(socket: Socket, tls: Option<Stream>) -> Self {
        Self { socket, tls }
    }

    /// The socket, and TLS on it.
    pub(crate) fn into_parts(self) -> (Socket, Option<Stream>) {
        (self.socket, self.tls)
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The version of TLS, where it runs.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        self.tls.as_ref().and_then(Stream::version)
    }

    /// From here on TLS: the handshake.
    pub(crate) async fn upgrade(&mut self, tls: Stream) -> Result<(), Failure> {
        self.tls = Some(tls);
        poll_fn(|context| self.poll_handshake(context)).await
    }

    // Readiness is asked for before the attempt that may use it up: an event between the two is not lost.

    pub(crate) fn poll_handshake(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let Self { socket, tls } = self;
        let Some(tls) = tls else {
            return Poll::Ready(Ok(()));
        };
        let mut want = tls.handshake(socket)?;
        loop {
            let ready = match want {
                Want::Nothing => return Poll::Ready(Ok(())),
                Want::Read => ready!(socket.poll_readable(context)),
                Want::Write => ready!(socket.poll_writable(context)),
            };
            ready.map_err(|_| Failure::Closed { silent: false })?;
            want = tls.handshake(socket)?;
        }
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, tls } = self;
        // What TLS holds already makes no socket readable.
        if let Some(tls) = tls
            && tls.holds_something()
        {
            match tls.read(socket, into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
        loop {
            ready!(socket.poll_readable(context))?;
            let read = match tls {
                Some(tls) => tls.read(socket, into),
                None => socket.recv(into).map_err(Into::into),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Sends some of it, at least a byte.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, tls } = self;
        loop {
            ready!(socket.poll_writable(context))?;
            let sent = match tls {
                Some(tls) => tls.write(socket, bytes),
                None => match socket.send(bytes, SendFlags::empty()) {
                    Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
                    other => other.map_err(Into::into),
                },
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Sends what TLS has taken and not sent yet.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, tls } = self;
        let Some(tls) = tls.as_mut().filter(|tls| tls.has_unsent()) else {
            return Poll::Ready(Ok(()));
        };
        loop {
            ready!(socket.poll_writable(context))?;
            if tls.flush(socket)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Says that no more will come.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye();
        }
        ready!(self.poll_flush(context))?;
        Poll::Ready(shutdown(self.socket(), Shutdown::Write).map_err(io::Error::from))
    }

    pub(crate) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|context| self.poll_write(context, bytes)).await?;
            bytes = &bytes[sent..];
        }
        poll_fn(|context| self.poll_flush(context)).await
    }

    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_shutdown(context)).await
    }
}
