//! A connected or listening socket that does not block, and waiting for it.
//!
//! It belongs to the thread that first waits for it ([`crate::poller`]). Reading and writing go through it, so that what
//! they find out (nothing there, no room) is known to whoever waits next, be it a task or a row of the relay table.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::task::coop;

use crate::poller::{self, State};
use crate::turns;

/// Nobody has waited for it yet.
const UNKNOWN: u32 = u32::MAX;

/// A socket.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    /// By what the thread's poller knows it.
    key: Cell<u32>,
    /// Another thread's poller does not know it.
    here: PhantomData<*const ()>,
}

impl From<OwnedFd> for Socket {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            key: Cell::new(UNKNOWN),
            here: PhantomData,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Socket {
    /// Has it watched. `full`: it is on its way, and whether it takes bytes is to be reported.
    ///
    /// # Errors
    /// The system has no room for another watched descriptor.
    pub(crate) fn watch(&self, full: bool) -> io::Result<()> {
        if self.key.get() == UNKNOWN {
            self.key.set(poller::enter(self.as_fd(), full)?);
        }
        Ok(())
    }

    /// Has it no longer watched: for one that is not closed when this descriptor is.
    pub(crate) fn unwatch(&self) {
        if self.key.get() != UNKNOWN {
            poller::forget(self.as_fd());
        }
    }

    /// Hands it to a row of the relay table: events go there from now on. True: something was reported already.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub(crate) fn give_to_row(&self, place: u32) -> io::Result<bool> {
        self.watch(false)?;
        poller::give_to_row(self.key.get(), place);
        Ok(self.state().readable)
    }

    /// Until there may be something to read.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(false)?;
        if self.state().readable {
            // Whoever is never done (a peer that sends faster than it is read) lets others have their turn.
            if !coop::has_budget_remaining() {
                turns::wake_in_next(context.waker());
                return Poll::Pending;
            }
            return pin!(coop::consume_budget()).poll(context).map(Ok);
        }
        poller::wake_for(self.key.get(), context.waker());
        Poll::Pending
    }

    /// Until it may take bytes.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "the shape of every poll")]
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(false)?;
        if !self.state().full {
            return Poll::Ready(Ok(()));
        }
        self.report_room()?;
        poller::wake_for(self.key.get(), context.waker());
        Poll::Pending
    }

    /// Has it reported when a full socket takes bytes again.
    ///
    /// # Errors
    /// The system has no memory for that.
    pub(crate) fn report_room(&self) -> io::Result<()> {
        self.watch(false)?;
        poller::widen(self.key.get(), self.as_fd())
    }

    /// What is known of it without asking.
    pub(crate) fn state(&self) -> State {
        match self.key.get() {
            UNKNOWN => State::default(),
            key => poller::state(key),
        }
    }

    /// Somebody has found that there is nothing to read now.
    pub(crate) fn is_drained(&self) {
        self.set(|state| state.readable = false);
    }

    /// Somebody has seen that there is something to read, and has left it there.
    pub(crate) fn is_readable(&self) {
        self.set(|state| state.readable = true);
    }

    /// Somebody has found that it takes no more now.
    pub(crate) fn is_full(&self) {
        // Where there is no room for it among the watched, whoever waits next is told.
        let _ = self.watch(true);
        self.set(|state| state.full = true);
    }

    fn set(&self, set: impl FnOnce(&mut State)) {
        if self.key.get() != UNKNOWN {
            poller::set_state(self.key.get(), set);
        }
    }

    /// Reads once; 0 is the end.
    ///
    /// # Errors
    /// `EAGAIN`: nothing there. Else it is broken.
    pub(crate) fn recv(&self, into: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match recv(self, &mut *into, RecvFlags::empty()) {
                Ok((read, _)) => {
                    // A short read has drained it, unless an end or an error waits behind the bytes.
                    if read < into.len() {
                        self.set(|state| state.readable = state.hangup);
                    }
                    return Ok(read);
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    if error == Errno::AGAIN {
                        self.is_drained();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Sends what it takes now, 0 if that is nothing.
    ///
    /// # Errors
    /// It is broken.
    pub(crate) fn send(&self, bytes: &[u8], flags: SendFlags) -> Result<usize, Errno> {
        loop {
            let sent = match send(self, bytes, flags | SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(Errno::AGAIN) => 0,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            if sent < bytes.len() {
                self.is_full();
            }
            return Ok(sent);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.key.get() != UNKNOWN {
            poller::leave(self.key.get());
        }
    }
}
