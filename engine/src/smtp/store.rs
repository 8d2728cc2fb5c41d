//! Where a long body lies: in the very buffers it was read into while memory lasts, then in the spool's file.

use std::ops::Range;
use std::sync::Arc;

use super::Desk;
use super::spool::Spool;
use crate::process::Process;

/// A buffer with less of a body in it is not kept for that.
const WORTH_A_BUFFER: usize = super::BUFFER / 2;

/// A body's pieces, in order.
#[derive(Debug)]
pub(super) struct Store {
    process: Arc<Process>,
    pieces: Vec<Piece>,
    length: u64,
    /// The piece whose buffer somebody is still reading from.
    lent: Option<usize>,
    /// Octets of buffers.
    held: u64,
    spool: Option<Spool>,
}

#[derive(Debug)]
struct Piece {
    /// Where it begins in the body.
    at: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Buffer(Vec<u8>, Range<usize>),
    /// The same, in the buffer that is lent.
    Lent(Range<usize>),
    /// From there on in the file.
    File(u64),
}

/// The addresses of a buffer that may be kept after it was read from.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered(Range<usize>);

impl Offered {
    pub(super) fn new(buffer: &[u8]) -> Self {
        let begin = buffer.as_ptr().addr();
        Self(begin..begin + buffer.len())
    }

    /// Where in the buffer these bytes are, if they are.
    fn place(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let begin = bytes.as_ptr().addr();
        let within = self.0.start <= begin && begin + bytes.len() <= self.0.end;
        within.then(|| begin - self.0.start..begin - self.0.start + bytes.len())
    }
}

impl Store {
    pub(super) fn new(process: &Arc<Process>) -> Self {
        Self {
            process: Arc::clone(process),
            pieces: Vec::new(),
            length: 0,
            lent: None,
            held: 0,
            spool: None,
        }
    }

    /// Appends. False: there is no room.
    pub(super) fn append(&mut self, bytes: &[u8], offered: &Offered, desk: &Desk) -> bool {
        let at = self.length;
        self.length += bytes.len() as u64;
        let place = offered.place(bytes).filter(|_| self.has_room(bytes.len()));
        if let Some(range) = place {
            self.lent = Some(self.pieces.len());
            self.pieces.push(Piece {
                at,
                place: Place::Lent(range),
            });
            return true;
        }
        if self.spool.is_none() {
            self.spool = Spool::new(&self.process, &desk.spare);
        }
        let Some(spool) = &mut self.spool else {
            return false;
        };
        let filed = spool.length();
        if !matches!(
            self.pieces.last(),
            Some(Piece {
                place: Place::File(_),
                ..
            })
        ) {
            self.pieces.push(Piece {
                at,
                place: Place::File(filed),
            });
        }
        spool.write(bytes)
    }

    /// Whether another buffer may be kept for so many bytes.
    fn has_room(&self, bytes: usize) -> bool {
        let buffer = super::BUFFER as u64;
        self.lent.is_none()
            && bytes >= WORTH_A_BUFFER
            && self.held + buffer <= self.process.journals.session
            && self.process.journals.permits(buffer)
    }

    /// Takes a buffer that was read from, if a part of it is to be kept; else gives it back.
    pub(super) fn adopt(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let lent = self.lent.take();
        let piece = lent.and_then(|index| self.pieces.get_mut(index));
        if let Some(Piece { place, .. }) = piece
            && let Place::Lent(range) = &place
        {
            let octets = buffer.len() as u64;
            self.process.journals.note(0, octets);
            self.held += octets;
            *place = Place::Buffer(buffer, range.clone());
            return None;
        }
        Some(buffer)
    }

    /// Reads what lies at `at` to the end of `buffer`. False: it cannot be read.
    pub(super) fn read(&self, mut at: u64, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            let index = self.pieces.partition_point(|piece| piece.at <= at);
            let Some(piece) = index
                .checked_sub(1)
                .and_then(|index| self.pieces.get(index))
            else {
                return false;
            };
            let end = self.pieces.get(index).map_or(self.length, |next| next.at);
            let within = (at - piece.at) as usize;
            let length = buffer.len().min((end - at) as usize);
            let (now, later) = buffer.split_at_mut(length);
            let read = length > 0
                && match (&piece.place, &self.spool) {
                    (Place::Buffer(kept, range), _) => {
                        let from = range.start + within;
                        let kept = kept.get(from..from + length);
                        kept.map(|kept| now.copy_from_slice(kept)).is_some()
                    }
                    (Place::File(filed), Some(spool)) => spool.read(filed + within as u64, now),
                    (Place::Lent(_) | Place::File(_), _) => false,
                };
            if !read {
                return false;
            }
            at += length as u64;
            buffer = later;
        }
        true
    }

    /// Gives buffers and file back to the worker.
    pub(super) fn discard(mut self, desk: &Desk) {
        for piece in self.pieces.drain(..) {
            if let Place::Buffer(buffer, _) = piece.place {
                desk.give(buffer);
            }
        }
        if let Some(spool) = self.spool.take() {
            spool.discard(&desk.spare);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.process.journals.note(self.held, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Arc<Process> {
        let mut global = config::model::Global::default();
        global.smtp.spool_dir = std::env::temp_dir();
        global.smtp.journal_memory = 2 * super::super::BUFFER as u64;
        Arc::new(Process::new(&global, 10, true))
    }

    /// Appends a part of a buffer full of that letter, as a read would bring it.
    fn read_into(store: &mut Store, desk: &Desk, letter: u8, length: usize) {
        let mut buffer = desk.take();
        buffer.fill(letter);
        let offered = Offered::new(&buffer);
        assert!(store.append(&buffer[5..5 + length], &offered, desk));
        if let Some(buffer) = store.adopt(buffer) {
            desk.give(buffer);
        }
    }

    #[test]
    fn buffers_are_kept_while_there_is_room_and_the_rest_is_filed() {
        let (process, desk) = (process(), Desk::default());
        let mut store = Store::new(&process);
        let long = WORTH_A_BUFFER + 100;
        // A buffer is worth keeping for the long ones, and there is room for two.
        let lengths = [long, 10, 20, long, long, 30];
        for (index, length) in lengths.iter().enumerate() {
            read_into(&mut store, &desk, b'a' + index as u8, *length);
        }
        assert_eq!(process.journals.memory(), 2 * super::super::BUFFER as u64);
        assert_eq!(process.journals.spooled(), (long + 60) as u64);
        let letters = lengths.iter().enumerate();
        let expected: Vec<u8> = letters
            .flat_map(|(index, length)| vec![b'a' + index as u8; *length])
            .collect();
        let mut all = vec![0; expected.len()];
        assert!(store.read(0, &mut all) && all == expected);
        let mut some = vec![0; long];
        assert!(store.read(long as u64 - 7, &mut some));
        assert_eq!(some, expected[long - 7..2 * long - 7]);
        assert!(!store.read(expected.len() as u64, &mut [0]));
        store.discard(&desk);
        assert_eq!(
            (process.journals.memory(), process.journals.spooled()),
            (0, 0)
        );
    }

    #[test]
    fn one_buffer_is_kept_for_one_piece() {
        let (process, desk) = (process(), Desk::default());
        let mut store = Store::new(&process);
        let mut buffer = desk.take();
        buffer.fill(b'a');
        let offered = Offered::new(&buffer);
        let (first, second) = buffer.split_at(WORTH_A_BUFFER);
        assert!(store.append(first, &offered, &desk));
        assert!(store.append(b"b", &offered, &desk));
        assert!(store.append(second, &offered, &desk));
        assert!(store.adopt(buffer).is_none() && store.adopt(vec![0]).is_some());
        let mut all = vec![0; 2 * WORTH_A_BUFFER + 1];
        assert!(store.read(0, &mut all) && all[WORTH_A_BUFFER] == b'b');
        assert_eq!(process.journals.spooled(), WORTH_A_BUFFER as u64 + 1);
    }

    #[test]
    fn what_lies_elsewhere_is_copied() {
        let (process, desk) = (process(), Desk::default());
        let mut store = Store::new(&process);
        let buffer = desk.take();
        let offered = Offered::new(&buffer);
        assert!(store.append(&vec![b'x'; WORTH_A_BUFFER], &offered, &desk));
        assert!(store.adopt(buffer).is_some());
        assert_eq!(process.journals.memory(), 0);
    }
}
