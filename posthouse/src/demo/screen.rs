//! The demonstration's terminal: a block of lines redrawn in place, or plain lines where standard
//! output is no terminal.

use std::io::{IsTerminal, Write};

/// Where the board is drawn. The cursor comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    live: bool,
    height: usize,
}

impl Screen {
    /// Standard output, as it is.
    pub(super) fn open() -> Self {
        let live = std::io::stdout().is_terminal();
        if live {
            put("\x1b[?25l");
        }
        Self { live, height: 0 }
    }

    /// Whether a block can be redrawn.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Draws the block over the last one.
    pub(super) fn draw(&mut self, lines: &[String]) {
        put(&frame(lines, self.height));
        self.height = lines.len();
    }

    /// A line of its own.
    pub(super) fn say(&self, line: &str) {
        put(&format!("{line}\n"));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            put("\x1b[?25h");
        }
    }
}

/// Up to the first line of the last block, then every line with its old end wiped.
fn frame(lines: &[String], height: usize) -> String {
    let mut text = match height {
        0 => String::new(),
        up => format!("\x1b[{up}A"),
    };
    for line in lines {
        text.push_str(line);
        text.push_str("\x1b[K\n");
    }
    text
}

fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody watches any more: the demonstration ends by itself.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_one_before() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(frame(&lines, 0), "a\x1b[K\nb\x1b[K\n");
        assert_eq!(frame(&lines, 2), "\x1b[2Aa\x1b[K\nb\x1b[K\n");
    }
}
