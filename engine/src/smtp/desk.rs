//! What the mail sessions of a worker share: buffers to read into, and files of the spool that nobody uses now.

use std::cell::{Cell, RefCell};

use super::BUFFER;
use super::spool::Spare;

/// Buffers that lie ready at most: 16 MiB.
const MOST: usize = 128;

/// Made when the first session reads.
#[derive(Default)]
pub(crate) struct Desk {
    buffers: RefCell<Vec<Vec<u8>>>,
    /// So many of them nobody has needed since the last [`Self::rest`].
    unused: Cell<usize>,
    pub(super) spare: Spare,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// A buffer, with whatever is in it.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut buffers = self.buffers.borrow_mut();
        let kept = buffers.pop();
        self.unused.set(self.unused.get().min(buffers.len()));
        kept.unwrap_or_else(|| vec![0; BUFFER])
    }

    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < MOST {
            buffers.push(buffer);
        }
    }

    /// Frees what nobody has needed for a while.
    pub(crate) fn rest(&self) {
        let mut buffers = self.buffers.borrow_mut();
        let left = buffers.len() - self.unused.get();
        buffers.truncate(left.max(1));
        self.unused.set(buffers.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_freed_when_nobody_needs_them() {
        let desk = Desk::default();
        let many: Vec<_> = (0..200).map(|_| desk.take()).collect();
        many.into_iter().for_each(|buffer| desk.give(buffer));
        let ready = || desk.buffers.borrow().len();
        assert_eq!(ready(), MOST);
        // They were all in use since the last time.
        desk.rest();
        assert_eq!(ready(), MOST);
        let few: Vec<_> = (0..10).map(|_| desk.take()).collect();
        few.into_iter().for_each(|buffer| desk.give(buffer));
        desk.rest();
        assert_eq!(ready(), 10);
        desk.rest();
        assert_eq!(ready(), 1, "one lies ready, always");
    }
}
