//! One side of a session while it is async: a socket, watched by the runtime, and TLS on it where there is any.
//!
//! What is plain can be upgraded, once. It leaves the runtime again through [`Leg::into_parts`].

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sock;
use crate::tls::{Failure, Stream, Want};

/// A socket with what runs on it.
#[derive(Debug)]
pub(crate) struct Leg {
    watched: AsyncFd<OwnedFd>,
    tls: Option<Stream>,
}

impl Leg {
    /// Bytes as they are.
    pub(crate) fn plain(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket, None)
    }

    /// With what runs on it already.
    pub(crate) fn new(socket: OwnedFd, tls: Option<Stream>) -> io::Result<Self> {
        let watched = sock::watch(socket, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { watched, tls })
    }

    /// The socket, no longer watched, and TLS on it.
    pub(crate) fn into_parts(self) -> (OwnedFd, Option<Stream>) {
        (self.watched.into_inner(), self.tls)
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        self.watched.get_ref()
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
        let Self { watched, tls } = self;
        let Some(tls) = tls else {
            return Poll::Ready(Ok(()));
        };
        let mut want = tls.handshake(watched.get_ref().as_fd())?;
        loop {
            let ready = match want {
                Want::Nothing => return Poll::Ready(Ok(())),
                Want::Read => ready!(watched.poll_read_ready(context)),
                Want::Write => ready!(watched.poll_write_ready(context)),
            };
            let mut ready = ready.map_err(|_| Failure::Closed { silent: false })?;
            let next = tls.handshake(watched.get_ref().as_fd())?;
            if next == want {
                ready.clear_ready();
            }
            want = next;
        }
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { watched, tls } = self;
        // What TLS holds already makes no socket readable.
        if let Some(tls) = tls
            && tls.holds_something()
        {
            match tls.read(watched.get_ref().as_fd(), into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
        loop {
            let mut ready = ready!(watched.poll_read_ready(context))?;
            let read = match tls {
                Some(tls) => tls.read(watched.get_ref().as_fd(), into),
                None => recv(watched.get_ref(), &mut into[..], RecvFlags::empty())
                    .map(|(read, _)| read)
                    .map_err(Into::into),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
        let Self { watched, tls } = self;
        loop {
            let mut ready = ready!(watched.poll_write_ready(context))?;
            let sent = match tls {
                Some(tls) => tls.write(watched.get_ref().as_fd(), bytes),
                None => send(watched.get_ref(), bytes, SendFlags::NOSIGNAL).map_err(Into::into),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Sends what TLS has taken and not sent yet.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { watched, tls } = self;
        let Some(tls) = tls.as_mut().filter(|tls| tls.has_unsent()) else {
            return Poll::Ready(Ok(()));
        };
        loop {
            let mut ready = ready!(watched.poll_write_ready(context))?;
            if tls.flush(watched.get_ref().as_fd())? {
                return Poll::Ready(Ok(()));
            }
            ready.clear_ready();
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
