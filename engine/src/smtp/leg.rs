//! A leg of a session: one socket, TLS on it where there is any, and what it has not taken yet.
//!
//! It hands its [`Line`] out and takes it back where others have to look at the socket: a search, a handshake.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, shutdown};

use zeroize::Zeroize;

use crate::socket::Socket;
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

/// A socket, and TLS on it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: Socket,
    pub(super) tls: Option<Stream>,
}

/// A socket and its queue.
#[derive(Debug)]
pub(super) struct Leg {
    /// `None` only while another holds it.
    socket: Option<Socket>,
    tls: Option<Stream>,
    /// Bytes it has not taken, from `sent` on.
    queue: Vec<u8>,
    sent: usize,
    /// There is a secret in the queue.
    secret: bool,
    /// What a write has met; told by the next read.
    broken: Option<Errno>,
    /// Bytes it has taken.
    pub(super) taken: u64,
}

/// So many bytes are not copied to be sent with others.
const DIRECT: usize = 4096;

impl Leg {
    pub(super) fn new(line: Line) -> Self {
        Self {
            socket: Some(line.socket),
            tls: line.tls,
            queue: Vec::new(),
            sent: 0,
            secret: false,
            broken: None,
            taken: 0,
        }
    }

    /// All that others need of it.
    pub(super) fn take_line(&mut self) -> Option<Line> {
        let socket = self.socket.take()?;
        let tls = self.tls.take();
        Some(Line { socket, tls })
    }

    /// Takes it back.
    pub(super) fn put_line(&mut self, line: Line) {
        self.tls = line.tls;
        self.socket = Some(line.socket);
    }

    /// It takes nothing more now.
    fn is_full(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| socket.state().full)
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
            match socket.poll_readable(context) {
                Poll::Pending => return Read::Nothing,
                Poll::Ready(Err(_)) => return Read::Broken(Errno::NOMEM),
                Poll::Ready(Ok(())) => {}
            }
            if let Some(tls) = tls {
                match read_secret(tls, socket, buffer) {
                    Some(read) => return read,
                    None => continue,
                }
            }
            match socket.recv(buffer) {
                Ok(0) => return Read::End,
                Ok(read) => return Read::Some(read),
                Err(Errno::AGAIN) => {}
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
            if self.queue.is_empty() && !self.is_full() && self.broken.is_none() {
                let taken = self.send(bytes, false);
                bytes = &bytes[taken..];
            }
        }
        if self.broken.is_none() {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// The same; the queue is overwritten when it is out.
    pub(super) fn give_secret(&mut self, bytes: &[u8]) {
        // What grows leaves a copy behind.
        let all = self.queue.len() + bytes.len();
        let mut queue = Vec::with_capacity(all);
        queue.extend_from_slice(&self.queue);
        queue.extend_from_slice(bytes);
        self.queue.zeroize();
        self.queue = queue;
        self.secret = true;
    }

    /// Sends what is queued as far as it goes.
    pub(super) fn flush(&mut self) {
        self.push(false);
    }

    fn push(&mut self, more: bool) {
        if self.is_empty() {
            return;
        }
        while self.sent < self.queue.len() && !self.is_full() && self.broken.is_none() {
            let queue = std::mem::take(&mut self.queue);
            let taken = self.send(&queue[self.sent..], more);
            self.queue = queue;
            self.sent += taken;
            if taken == 0 {
                break;
            }
        }
        if self.sent == self.queue.len() || self.broken.is_some() {
            // An idle leg has no memory.
            self.sent = 0;
            if std::mem::take(&mut self.secret) {
                self.queue.zeroize();
            }
            self.queue = Vec::new();
        }
        if !self.is_full() && self.broken.is_none() {
            self.push_secret();
        }
    }

    /// Sends on what TLS has taken.
    fn push_secret(&mut self) {
        let (Some(tls), Some(socket)) = (&mut self.tls, &self.socket) else {
            return;
        };
        if let Err(error) = tls.flush(socket) {
            self.broken = Some(errno_of(&error));
        }
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> usize {
        let Some(socket) = &self.socket else {
            return 0;
        };
        if let Some(tls) = &mut self.tls {
            let taken = match tls.write(socket, bytes) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.broken = Some(errno_of(&error));
                    return 0;
                }
            };
            self.taken += taken as u64;
            return taken;
        }
        let mut flags = SendFlags::empty();
        flags.set(SendFlags::MORE, more);
        match socket.send(bytes, flags) {
            Ok(taken) => {
                self.taken += taken as u64;
                taken
            }
            Err(errno) => {
                self.broken = Some(errno);
                0
            }
        }
    }

    /// Sends on what is queued when it takes bytes again. Ready: something went out, or it is broken.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Pending;
        }
        let before = self.taken;
        while let Some(socket) = &self.socket {
            match socket.poll_writable(context) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => self.broken = Some(Errno::NOMEM),
                Poll::Ready(Ok(())) => self.flush(),
            }
            if self.is_empty() || self.broken.is_some() {
                break;
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

    /// Says that no more will be sent.
    pub(super) fn finish(&mut self) {
        let Some(socket) = &self.socket else { return };
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye();
            let _ = tls.flush(socket);
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
fn read_secret(tls: &mut Stream, socket: &Socket, buffer: &mut [u8]) -> Option<Read> {
    match tls.read(socket, buffer) {
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
