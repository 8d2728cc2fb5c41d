//! A leg of a session: one socket, watched by the runtime, TLS on it where there is any, and what it has not taken yet.
//!
//! It hands its [`Line`] out and takes it back where others have to look at the socket: a search, a handshake.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sock;
use crate::tls::Stream;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Some(usize),
    /// Nothing now.
    Nothing,
    /// It will send no more.
    End,
    /// The connection is broken.
    Broken(Errno),
}

/// A socket that nobody watches, and TLS on it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: OwnedFd,
    pub(super) tls: Option<Stream>,
}

/// A socket and its queue.
#[derive(Debug)]
pub(super) struct Leg {
    /// `None` only while it is handed from one registration to the next.
    socket: Option<AsyncFd<OwnedFd>>,
    tls: Option<Stream>,
    /// Its writability is watched, because once it took less than it was given.
    wide: bool,
    /// It takes nothing more now.
    full: bool,
    /// Bytes it has not taken, from `sent` on.
    queue: Vec<u8>,
    sent: usize,
    /// What a write has met; told by the next read.
    broken: Option<Errno>,
    /// Bytes it has taken.
    pub(super) taken: u64,
}

/// So many bytes are not copied to be sent with others.
const DIRECT: usize = 4096;

impl Leg {
    pub(super) fn new(line: Line) -> io::Result<Self> {
        Ok(Self {
            socket: Some(sock::watch(line.socket, Interest::READABLE)?),
            tls: line.tls,
            wide: false,
            full: false,
            queue: Vec::new(),
            sent: 0,
            broken: None,
            taken: 0,
        })
    }

    /// All that others need of it, not watched any more.
    pub(super) fn take_line(&mut self) -> Option<Line> {
        let socket = self.socket.take()?.into_inner();
        let tls = self.tls.take();
        Some(Line { socket, tls })
    }

    /// Watches it again.
    pub(super) fn put_line(&mut self, line: Line) -> io::Result<()> {
        let mut interest = Interest::READABLE;
        if self.wide {
            interest |= Interest::WRITABLE;
        }
        self.tls = line.tls;
        self.socket = Some(sock::watch(line.socket, interest)?);
        Ok(())
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether all it was given went out.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.tls.as_ref().is_some_and(Stream::has_unsent)
    }

    /// How much it has not taken.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// Reads once.
    pub(super) fn read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Read {
        if let Some(errno) = self.broken.take() {
            return Read::Broken(errno);
        }
        let Self { socket, tls, .. } = self;
        let Some(socket) = socket else {
            return Read::Broken(Errno::BADF);
        };
        // What TLS holds already makes no socket readable.
        if let Some(tls) = tls
            && tls.holds_something()
            && let Some(read) = read_secret(tls, socket, buffer)
        {
            return read;
        }
        loop {
            let Poll::Ready(ready) = socket.poll_read_ready(context) else {
                return Read::Nothing;
            };
            let Ok(mut ready) = ready else {
                return Read::Broken(Errno::BADF);
            };
            if let Some(tls) = tls {
                match read_secret(tls, socket, buffer) {
                    Some(read) => return read,
                    None => ready.clear_ready(),
                }
                continue;
            }
            match recv(&*socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Read::End,
                Ok((read, _)) => {
                    // A short read has emptied the socket, unless its end is near as well.
                    if read < buffer.len() && !ready.ready().is_read_closed() {
                        ready.clear_ready();
                    }
                    return Read::Some(read);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Read::Broken(errno),
            }
        }
    }

    /// Gives it bytes. A few are gathered until [`Self::flush`]; many go out at once, without a copy, as far as
    /// the socket takes them.
    pub(super) fn give(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if bytes.len() >= DIRECT {
            self.push(true);
            if self.queue.is_empty() && !self.full && self.broken.is_none() {
                let taken = self.send(bytes, false);
                bytes = &bytes[taken..];
            }
        }
        if self.broken.is_none() {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// Sends what is queued as far as it goes.
    pub(super) fn flush(&mut self) {
        self.push(false);
    }

    fn push(&mut self, more: bool) {
        if self.is_empty() {
            return;
        }
        while self.sent < self.queue.len() && !self.full && self.broken.is_none() {
            let queue = std::mem::take(&mut self.queue);
            self.sent += self.send(&queue[self.sent..], more);
            self.queue = queue;
        }
        if self.sent == self.queue.len() || self.broken.is_some() {
            // An idle leg has no memory.
            self.sent = 0;
            self.queue = Vec::new();
        }
        if !self.full && self.broken.is_none() {
            self.push_secret();
        }
    }

    /// Sends on what TLS has taken.
    fn push_secret(&mut self) {
        let (Some(tls), Some(socket)) = (&mut self.tls, &self.socket) else {
            return;
        };
        match tls.flush(socket.as_fd()) {
            Ok(done) => self.full = !done,
            Err(error) => self.broken = Some(errno_of(&error)),
        }
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> usize {
        let Some(socket) = &self.socket else {
            return 0;
        };
        if let Some(tls) = &mut self.tls {
            let taken = match tls.write(socket.as_fd(), bytes) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.broken = Some(errno_of(&error));
                    return 0;
                }
            };
            self.taken += taken as u64;
            self.full = tls.has_unsent() || taken < bytes.len();
            return taken;
        }
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        loop {
            match send(socket, bytes, flags) {
                Ok(taken) => {
                    self.taken += taken as u64;
                    self.full = taken < bytes.len();
                    return taken;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.full = true;
                    return 0;
                }
                Err(errno) => {
                    self.broken = Some(errno);
                    return 0;
                }
            }
        }
    }

    /// Sends on what is queued when it takes bytes again. Ready: something went out, or it is broken.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Pending;
        }
        if self.full && !self.wide && self.widen().is_err() {
            self.broken = Some(Errno::NOMEM);
            return Poll::Ready(());
        }
        let before = self.taken;
        loop {
            if self.full {
                let Some(Poll::Ready(ready)) = self
                    .socket
                    .as_ref()
                    .map(|socket| socket.poll_write_ready(context))
                else {
                    break;
                };
                match ready {
                    Ok(_) => self.full = false,
                    Err(_) => self.broken = Some(Errno::BADF),
                }
            }
            self.flush();
            if !self.full || self.broken.is_some() {
                break;
            }
            if let Some(socket) = &self.socket
                && let Poll::Ready(Ok(mut ready)) = socket.poll_write_ready(context)
            {
                ready.clear_ready();
            }
        }
        if self.taken > before || self.is_empty() || self.broken.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits until something of the queue went out. False: the connection is broken.
    pub(super) async fn flushed(&mut self) -> bool {
        poll_fn(|context| self.poll_flush(context)).await;
        self.broken.is_none()
    }

    /// Waits for the end, whatever comes before it.
    pub(super) async fn drained(&mut self) {
        let mut sink = [0; 512];
        loop {
            let read = poll_fn(|context| match self.read(context, &mut sink) {
                Read::Nothing => Poll::Pending,
                read => Poll::Ready(read),
            });
            if !matches!(read.await, Read::Some(_)) {
                return;
            }
        }
    }

    /// Has writability watched too.
    fn widen(&mut self) -> io::Result<()> {
        self.wide = true;
        match self.take_line() {
            Some(line) => self.put_line(line),
            None => Ok(()),
        }
    }

    /// Says that no more will be sent.
    pub(super) fn finish(&mut self) {
        let Some(socket) = &self.socket else { return };
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye();
            let _ = tls.flush(socket.as_fd());
        }
        let _ = shutdown(socket, Shutdown::Write);
    }

    /// Has the socket reset when it is closed: the peer must not take what it has for all there is.
    pub(super) fn reset_on_close(&self) {
        if let Some(socket) = &self.socket {
            let _ =
                rustix::net::sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO));
        }
    }
}

/// Reads from within TLS; `None`: the socket has nothing.
fn read_secret(tls: &mut Stream, socket: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> Option<Read> {
    match tls.read(socket.get_ref().as_fd(), buffer) {
        Ok(0) => Some(Read::End),
        Ok(read) => Some(Read::Some(read)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => Some(Read::Broken(errno_of(&error))),
    }
}

/// What the system said; what is not the system's is a broken protocol.
fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::PROTO)
}
