//! From bytes to commands and words (MGT 9.3). Pure: knows no socket.

/// A request may be that long; a longer one is refused, as HAProxy refuses what exceeds its buffer.
pub const MAX_LINE: usize = 16 * 1024;

/// The word that ends a payload may be that long.
const MAX_PATTERN: usize = 64;

/// A line that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Collects bytes and hands out whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// How much of `bytes` is known to hold no end of line.
    looked_at: usize,
}

impl Lines {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// There is none, and what there is has outgrown [`MAX_LINE`].
    pub fn next_line(&mut self) -> Result<Option<String>, TooLong> {
        let end = self.bytes[self.looked_at..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.looked_at) else {
            self.looked_at = self.bytes.len();
            return if self.bytes.len() > MAX_LINE {
                Err(TooLong)
            } else {
                Ok(None)
            };
        };
        if end > MAX_LINE {
            return Err(TooLong);
        }
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        self.looked_at = 0;
        Ok(Some(text(&line[..end])))
    }

    /// What is left when the client has closed its side: HAProxy takes a last line without its end.
    pub fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.bytes);
        self.looked_at = 0;
        (!rest.is_empty()).then(|| text(&rest))
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// A line without the mark of a payload at its end, and what ends the payload: ` <<` and an empty line, ` <<EOF` and
/// the line `EOF` (MGT 9.3).
pub fn payload(line: &str) -> (&str, Option<&str>) {
    let marked = line
        .rsplit_once(' ')
        .filter(|(before, _)| !before.ends_with('\\'));
    match marked.and_then(|(before, last)| Some((before, last.strip_prefix("<<")?))) {
        Some((before, end)) if end.len() <= MAX_PATTERN => (before, Some(end)),
        _ => (line, None),
    }
}

/// The commands of a line: `;` separates them, `\;` is a semicolon of a word.
pub fn commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, char) in line.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ';' => {
                commands.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    commands.push(&line[start..]);
    commands
}

/// The words of a command: blanks separate them, a backslash takes the meaning of what follows.
pub fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => words.extend(word.take()),
            // A backslash at the very end stands for itself.
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().unwrap_or('\\')),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        lines.push(b"show st");
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(b"at\r\nhelp\nquit");
        assert_eq!(lines.next_line(), Ok(Some("show stat".into())));
        assert_eq!(lines.next_line(), Ok(Some("help".into())));
        assert_eq!(lines.next_line(), Ok(None));
        assert_eq!(lines.rest(), Some("quit".into()));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn payloads_end_as_their_line_says() {
        assert_eq!(payload("show stat"), ("show stat", None));
        assert_eq!(payload("add map x <<"), ("add map x", Some("")));
        assert_eq!(payload("add map x <<EOF"), ("add map x", Some("EOF")));
        assert_eq!(payload(r"echo \ <<EOF"), (r"echo \ <<EOF", None));
        assert_eq!(payload("echo a<<b"), ("echo a<<b", None));
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE + 1]);
        assert_eq!(lines.next_line(), Err(TooLong));
    }

    #[test]
    fn semicolons_and_blanks() {
        assert_eq!(commands("a b;c"), ["a b", "c"]);
        assert_eq!(commands(r"a\;b;c"), [r"a\;b", "c"]);
        assert_eq!(words(r"set  x\ y a\;b "), ["set", "x y", "a;b"]);
        assert_eq!(words(r"end\"), [r"end\"]);
        assert!(words("  ").is_empty());
    }

    proptest! {
        /// However the bytes are cut, the same lines come out.
        #[test]
        fn cuts_do_not_matter(text in "[ -~\n]{0,200}", cut in 0_usize..200) {
            let cut = cut.min(text.len());
            let mut whole = Lines::default();
            whole.push(text.as_bytes());
            let mut pieces = Lines::default();
            pieces.push(&text.as_bytes()[..cut]);
            let mut said = Vec::new();
            while let Ok(Some(line)) = pieces.next_line() {
                said.push(line);
            }
            pieces.push(&text.as_bytes()[cut..]);
            while let Ok(Some(line)) = pieces.next_line() {
                said.push(line);
            }
            for line in said {
                prop_assert_eq!(whole.next_line(), Ok(Some(line)));
            }
            prop_assert_eq!(whole.next_line(), Ok(None));
            prop_assert_eq!(whole.rest(), pieces.rest());
        }

        /// Any words survive the way through a line of several commands.
        #[test]
        fn escaping_keeps_words(said in proptest::collection::vec("[ -~]{1,8}", 1..5)) {
            let escape = |word: &String| word.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let command = said.iter().map(escape).collect::<Vec<_>>().join(" ");
            let line = format!("{command};{command}");
            let split = commands(&line);
            prop_assert_eq!(split.len(), 2);
            prop_assert_eq!(&words(split[1]), &said);
        }
    }
}
