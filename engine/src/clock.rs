//! Time as the engine counts it: milliseconds since the process started, never backwards.
//!
//! Workers read it once per turn and keep the value; nothing on the data path asks for more.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the process started.
pub type Millis = u64;

/// Monotonic time and the wall clock that belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_wall_ms: u64,
}

impl Clock {
    /// The process's one clock; the first call starts it.
    pub fn get() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| Self {
            started: Instant::now(),
            started_wall_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
        })
    }

    /// Milliseconds since the start.
    pub fn now(self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }

    /// Microseconds since the start: the resolution of the times in a session's log line.
    pub fn micros(self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Milliseconds since 1970 of a moment of this clock. Wall clock jumps after the start do not show.
    pub fn wall_ms(self, at: Millis) -> u64 {
        self.started_wall_ms + at
    }
}
