//! The body behind DATA: where it ends, and that no server can think it ends elsewhere.
//!
//! End of data is CRLF.CRLF and nothing else. A CR or LF that stands alone is made right on the way: some servers take it
//! for the end of a line, and then see commands where the sender has written text (CVE-2023-51764 and kin). LF
//! becomes CRLF, and a dot behind it is doubled, so that no end appears that was none; CR becomes a blank.

use std::ops::Range;

use memchr::memchr2;

/// Reads a body piece by piece. What it lets through has no bare CR or LF and no end of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanner {
    at: At,
    bare: bool,
}

/// What is known of the bytes before the next one. Those named "held" were not let through yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Within a line.
    Text,
    /// CR, held.
    Cr,
    /// A line begins behind CRLF.
    Start,
    /// A line begins behind an LF that was made right.
    Fresh,
    /// A line begins with a dot, held.
    Dot,
    /// The same with a CR, both held.
    DotCr,
}

/// So much is judged at once.
const BLOCK: usize = 512;

/// How much of a text, from within a line, is lines that end with CRLF and begin with no dot, in whole blocks. The text goes
/// on behind it within a line, or at a line's end.
///
/// Nearly all mail is like that, and it takes a few instructions for many bytes, where a look at each line takes
/// many for a few.
fn clean(input: &[u8]) -> usize {
    if input.first() == Some(&b'\n') {
        return 0;
    }
    let mut length = 0;
    while let Some(block) = input.get(length..=length + BLOCK) {
        let pairs = block.iter().zip(&block[1..]);
        let wrong = pairs.fold(false, |wrong, (a, b)| {
            let alone = (*a == b'\r') != (*b == b'\n');
            wrong | alone | (*a == b'\n') & (*b == b'.')
        });
        if wrong {
            break;
        }
        length += BLOCK;
    }
    // The LF belongs to its CR.
    let split = length > 0 && input[length - 1] == b'\r';
    length - usize::from(split)
}

/// How far a piece got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// All of it belongs to the body, and was let through or is held.
    More,
    /// The end was found.
    Ended {
        /// The part of the piece that was not let through yet: the last of the body.
        last: Range<usize>,
        /// Where the piece goes on behind the end of data.
        next: usize,
    },
}

impl Default for Scanner {
    /// At the beginning of a body: the CRLF of the DATA command counts, so that a dot can be the first line.
    fn default() -> Self {
        Self {
            at: At::Start,
            bare: false,
        }
    }
}

impl Scanner {
    /// Whether a bare CR or LF was there.
    pub fn found_bare(&self) -> bool {
        self.bare
    }

    /// Reads `input` and lets through what is of the body.
    pub fn scan<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(&'a [u8])) -> Scanned {
        let (mut from, mut at) = (0, 0);
        let mut tried = 0;
        let mut pass = |bytes: &'a [u8]| {
            if !bytes.is_empty() {
                emit(bytes);
            }
        };
        while let Some(&byte) = input.get(at) {
            match (self.at, byte) {
                (At::Text, _) => match self.text(input, at, &mut tried) {
                    None => break,
                    Some((found, next)) => {
                        at = next;
                        if self.at != At::Start {
                            pass(&input[from..found]);
                            from = next;
                        }
                        if self.at == At::Fresh {
                            pass(b"\r\n");
                        }
                    }
                },
                (At::Cr, b'\n') => {
                    pass(b"\r");
                    at += 1;
                    self.at = At::Start;
                }
                (At::Cr, _) => {
                    pass(b" ");
                    self.bare_return();
                }
                (At::Start, b'.') => match &input[at + 1..] {
                    [b'\r', b'\n', ..] => {
                        let (last, next) = (from..at, at + 3);
                        return Scanned::Ended { last, next };
                    }
                    [] | [b'\r' | b'\n', ..] => {
                        pass(&input[from..at]);
                        at += 1;
                        from = at;
                        self.at = At::Dot;
                    }
                    _ => self.at = At::Text,
                },
                (At::Fresh, b'.') => {
                    pass(&input[from..at]);
                    pass(b".");
                    from = at;
                    at += 1;
                    self.at = At::Text;
                }
                (At::Start | At::Fresh, _) => self.at = At::Text,
                (At::Dot, b'\r') => {
                    at += 1;
                    from = at;
                    self.at = At::DotCr;
                }
                (At::Dot, b'\n') => {
                    pass(b"..\r\n");
                    at += 1;
                    from = at;
                    self.bare_newline();
                }
                (At::Dot, _) => {
                    pass(b".");
                    self.at = At::Text;
                }
                (At::DotCr, b'\n') => {
                    let (last, next) = (from..from, at + 1);
                    return Scanned::Ended { last, next };
                }
                (At::DotCr, _) => {
                    pass(b". ");
                    self.bare_return();
                }
            }
        }
        pass(&input[from..]);
        Scanned::More
    }

    /// Reads on from within a line to an end of a line that has to be looked at: where that is, and where what follows it
    /// begins. Before `tried` there is no clean block.
    fn text(&mut self, input: &[u8], mut at: usize, tried: &mut usize) -> Option<(usize, usize)> {
        if at >= *tried {
            let run = clean(&input[at..]);
            at += run;
            // Where one block is not clean, the next seldom is.
            *tried = at + if run == 0 { 16 * BLOCK } else { BLOCK };
        }
        let found = at + memchr2(b'\r', b'\n', &input[at..])?;
        let crlf = input[found] == b'\r' && input.get(found + 1) == Some(&b'\n');
        if crlf {
            self.at = At::Start;
            return Some((found, found + 2));
        }
        if input[found] == b'\n' {
            self.bare_newline();
        } else {
            self.at = At::Cr;
        }
        Some((found, found + 1))
    }

    fn bare_newline(&mut self) {
        self.bare = true;
        self.at = At::Fresh;
    }

    fn bare_return(&mut self) {
        self.bare = true;
        self.at = At::Text;
    }
}
