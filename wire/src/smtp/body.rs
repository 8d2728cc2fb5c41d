//! The journal's body: what was sent of a message, kept until somebody has it for good.
//!
//! In memory up to a small size, then in the shell's spool file. A body that outgrows its bounds is given up: the
//! session goes on, but it cannot be moved any more.

use super::settings::JournalBounds;
use super::shell::Shell;

/// What is asked of memory or file at once, and the smallest piece worth a write of its own.
const PIECE: usize = 64 * 1024;
const WORTH_A_WRITE: usize = 16 * 1024;

/// A body from its first byte, without the end of data.
#[derive(Debug)]
pub(super) struct Body {
    /// What follows the spooled part.
    memory: Vec<u8>,
    spooled: u64,
    length: u64,
    whole: bool,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            memory: Vec::new(),
            spooled: 0,
            length: 0,
            whole: true,
        }
    }
}

impl Body {
    /// Bytes that went into it, kept or not.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes in memory and in the file.
    pub(super) fn held(&self) -> (usize, u64) {
        (self.memory.capacity(), self.spooled)
    }

    /// Takes a piece. `false` the one time it does not fit: from then on nothing is kept.
    pub(super) fn append(
        &mut self,
        piece: &[u8],
        bounds: &JournalBounds,
        shell: &mut dyn Shell,
    ) -> bool {
        self.length += piece.len() as u64;
        if !self.whole {
            return true;
        }
        let kept = self.length <= bounds.total && self.keep(piece, bounds, shell);
        if !kept {
            self.give_up(shell);
        }
        kept
    }

    fn keep(&mut self, piece: &[u8], bounds: &JournalBounds, shell: &mut dyn Shell) -> bool {
        let spooling = self.spooled > 0;
        let bound = if spooling {
            PIECE.min(bounds.memory)
        } else {
            bounds.memory
        };
        let large = piece.len() >= WORTH_A_WRITE;
        if !(spooling && large) && self.fits(piece.len(), bound, shell) {
            self.memory.extend_from_slice(piece);
            return true;
        }
        if !self.flush(shell) {
            return false;
        }
        if !large && self.fits(piece.len(), bound, shell) {
            self.memory.extend_from_slice(piece);
            return true;
        }
        self.spooled += piece.len() as u64;
        shell.spool(piece)
    }

    /// Whether memory has room for so many bytes more, if need be after it has grown.
    fn fits(&mut self, more: usize, bound: usize, shell: &mut dyn Shell) -> bool {
        let (held, room) = (self.memory.len(), self.memory.capacity());
        let needed = held + more;
        if needed <= room {
            return true;
        }
        let wanted = needed.next_power_of_two().max(1024).min(bound);
        let grows = needed <= bound && shell.permits(wanted - room);
        if grows {
            self.memory.reserve_exact(wanted - held);
        }
        grows
    }

    fn flush(&mut self, shell: &mut dyn Shell) -> bool {
        let memory = std::mem::take(&mut self.memory);
        self.spooled += memory.len() as u64;
        memory.is_empty() || shell.spool(&memory)
    }

    fn give_up(&mut self, shell: &mut dyn Shell) {
        self.whole = false;
        self.forget(shell);
    }

    /// Frees memory and file.
    pub(super) fn forget(&mut self, shell: &mut dyn Shell) {
        self.memory = Vec::new();
        if self.spooled > 0 {
            self.spooled = 0;
            shell.discard_spool();
        }
    }

    /// Sends one piece of `from..to` to the server; where the next one begins, or `None`: it cannot be read.
    pub(super) fn send(&self, from: u64, to: u64, shell: &mut dyn Shell) -> Option<u64> {
        let length = (to - from).min(PIECE as u64);
        if from < self.spooled {
            let length = length.min(self.spooled - from);
            return shell
                .unspool(from, length as usize)
                .then_some(from + length);
        }
        let begin = (from - self.spooled) as usize;
        let piece = self.memory.get(begin..begin + length as usize)?;
        shell.to_server(piece);
        Some(from + length)
    }
}
