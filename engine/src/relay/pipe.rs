//! Pipes for splice: bytes go from socket to socket without being copied to user space.
//!
//! A pipe is lent while bytes are in it and goes back only when empty, so an idle session holds none.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// What a pipe is asked to hold: fewer, larger system calls. A user without privileges may own 64 of
/// this size; beyond that the kernel's default of 64 KiB has to do.
const CAPACITY: usize = 1 << 20;

/// Empty pipes kept for the next bulk transfer.
const KEPT: usize = 32;

/// A pipe and what is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    pub(super) filled: usize,
}

/// A worker's empty pipes.
#[derive(Debug)]
pub(super) struct PipePool {
    empty: Vec<Pipe>,
    enabled: bool,
}

impl PipePool {
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            empty: Vec::new(),
            enabled,
        }
    }

    pub(super) fn enabled(&self) -> bool {
        self.enabled
    }

    /// An empty pipe; `None` where the system has none left, and then bytes are copied.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        self.empty.pop().or_else(|| {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // Refused for the 65th of an unprivileged user: a small pipe still works.
            let _ = fcntl_setpipe_size(&write, CAPACITY);
            Some(Pipe {
                read,
                write,
                filled: 0,
            })
        })
    }

    /// Gives a pipe back. One with bytes in it belongs to a broken session and is closed.
    pub(super) fn give(&mut self, pipe: Pipe) {
        if pipe.filled == 0 && self.empty.len() < KEPT {
            self.empty.push(pipe);
        }
    }

    /// The most one splice is asked to move.
    pub(super) const fn chunk() -> usize {
        CAPACITY
    }
}
