//! `maxsslconn`: how much TLS the process has at once, with the clients and the servers of its sessions. Checks and
//! alerts are not counted: a healthy server must not fail for want of room here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Failure;

/// All there are.
#[derive(Debug)]
pub struct Seats {
    /// The limit; 0 is none.
    pub most: u32,
    taken: AtomicU32,
}

/// One that is taken; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Seats {
    pub(crate) fn new(most: u32) -> Self {
        let taken = AtomicU32::new(0);
        Self { most, taken }
    }

    /// One for a connection that begins; `None` where there is no limit.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Option<Seat>, Failure> {
        if self.most == 0 {
            return Ok(None);
        }
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Failure::TooMany)?;
        Ok(Some(Seat(Arc::clone(self))))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_given_back() {
        let seats = Arc::new(Seats::new(2));
        let (first, second) = (seats.take().unwrap(), seats.take().unwrap());
        assert!(matches!(seats.take(), Err(Failure::TooMany)));
        drop(first);
        let third = seats.take().unwrap();
        assert!(third.is_some() && seats.take().is_err());
        drop((second, third));
        assert_eq!(seats.taken.load(Ordering::Relaxed), 0);
        assert!(Arc::new(Seats::new(0)).take().unwrap().is_none());
    }
}
