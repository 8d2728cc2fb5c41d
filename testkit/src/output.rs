//! The lines a program prints, while it runs.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::PATIENCE;

/// Lines gathered by a thread of its own; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Output {
    /// Reads `source` to its end in the background.
    pub fn follow(&self, source: impl Read + Send + 'static) {
        let own = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                own.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
    }

    /// Adds a line.
    pub fn push(&self, line: String) {
        self.lines_locked().push(line);
        self.0.1.notify_all();
    }

    fn lines_locked(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines_locked().clone()
    }

    /// Waits for the first line that contains `part`.
    ///
    /// # Errors
    /// None came within [`PATIENCE`]; the error shows what did.
    pub fn wait_for(&self, part: &str) -> Result<String> {
        self.wait_for_nth(part, 1)
    }

    /// Waits for the `nth` line (from 1) that contains `part`.
    ///
    /// # Errors
    /// It did not come within [`PATIENCE`]; the error shows what did.
    pub fn wait_for_nth(&self, part: &str, nth: usize) -> Result<String> {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.lines_locked();
        loop {
            if let Some(line) = lines.iter().filter(|line| line.contains(part)).nth(nth - 1) {
                return Ok(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "no line number {nth} with {part:?} among:\n{}",
                    lines.join("\n")
                );
            }
            lines = self
                .0
                .1
                .wait_timeout(lines, left)
                .map_or_else(|e| e.into_inner().0, |(l, _)| l);
        }
    }
}
