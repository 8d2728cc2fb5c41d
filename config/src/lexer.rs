//! Lines to words (CFG 2.1, 2.2). Knows quoting and variables, and no keyword.
//!
//! Called by the section reader, once per line. Everything here works on bytes, because what a check
//! sends or expects need not be text.

use std::borrow::Cow;
use std::ops::Range;

use crate::diagnostic::{Fault, Shape};

/// Words a line may have.
const MAX_WORDS: usize = 64;

/// One word with quotes and escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// What it says; bytes that are not UTF-8 are replaced.
    pub(crate) text: String,
    /// The bytes, where `text` is not faithful.
    raw: Option<Vec<u8>>,
    /// Where it stands in the line, quotes included.
    pub(crate) span: Range<usize>,
}

impl Word {
    /// Another text in the same place: what a word stands for.
    pub(crate) fn saying(&self, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            raw: None,
            span: self.span.clone(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// What `$NAME` stands for.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A line as it can be shown: offsets into it are those of the bytes.
pub(crate) fn shown(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => line
            .iter()
            .map(|&byte| if byte.is_ascii() { byte as char } else { '?' })
            .collect::<String>()
            .into(),
    }
}

/// The lines of a file without their ends; the last is `false` if its line feed is missing.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    text.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let Some(line) = line.strip_suffix(b"\n") else {
            return (line, false);
        };
        (line.strip_suffix(b"\r").unwrap_or(line), true)
    })
}

/// Splits one line into words.
pub(crate) fn split(line: &[u8], variables: Variables<'_>) -> Result<Vec<Word>, Fault> {
    let mut lexer = Lexer {
        line,
        at: 0,
        words: Vec::new(),
        word: None,
        variables,
    };
    lexer.run()?;
    let words = lexer.words;
    if let Some(extra) = words.get(MAX_WORDS) {
        let text = format!("too many words on this line, at most {MAX_WORDS} are read");
        return Err(Fault::new("too-many-words", text)
            .on(&extra.span)
            .shape(Shape::Line));
    }
    Ok(words)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

struct Lexer<'a> {
    line: &'a [u8],
    at: usize,
    words: Vec<Word>,
    /// The word under way: where it began, and what it holds.
    word: Option<(usize, Vec<u8>)>,
    variables: Variables<'a>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        let mut quote = Quote::None;
        let mut opened = 0;
        while let Some(&byte) = self.line.get(self.at) {
            match (byte, quote) {
                (0, _) => {
                    return Err(self.mistake("nul", self.at, 1, "unexpected NUL character"));
                }
                (b'"', Quote::Double) | (b'\'', Quote::Single) => quote = Quote::None,
                (b'"', Quote::None) | (b'\'', Quote::None) => {
                    quote = if byte == b'"' {
                        Quote::Double
                    } else {
                        Quote::Single
                    };
                    opened = self.at;
                    self.open();
                }
                (b'\\', Quote::None | Quote::Double) => {
                    self.escape(quote)?;
                    continue;
                }
                (b'$', Quote::Double) => {
                    self.variable()?;
                    continue;
                }
                (b'#', Quote::None) => break,
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, Quote::None) => self.close(),
                _ => self.put(byte),
            }
            self.at += 1;
        }
        if quote != Quote::None {
            let fault = self.mistake(
                "unmatched-quote",
                opened,
                self.line.len() - opened,
                "unmatched quote",
            );
            return Err(
                fault.help("close the quote on the same line; write \\\" for a literal one")
            );
        }
        self.close();
        Ok(())
    }

    fn open(&mut self) -> &mut Vec<u8> {
        let at = self.at;
        &mut self.word.get_or_insert_with(|| (at, Vec::new())).1
    }

    fn put(&mut self, byte: u8) {
        self.open().push(byte);
    }

    fn close(&mut self) {
        let Some((start, raw)) = self.word.take() else {
            return;
        };
        let span = start..self.at.min(self.line.len());
        self.words.push(match String::from_utf8(raw) {
            Ok(text) => Word {
                text,
                raw: None,
                span,
            },
            Err(error) => Word {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                raw: Some(error.into_bytes()),
                span,
            },
        });
    }

    /// At a backslash: one escape, or the backslash itself.
    fn escape(&mut self, quote: Quote) -> Result<(), Fault> {
        let Some(&next) = self.line.get(self.at + 1) else {
            self.put(b'\\');
            self.at += 1;
            return Ok(());
        };
        let byte = match next {
            b' ' | b'\\' | b'#' | b'\'' | b'"' => next,
            b'$' if quote == Quote::Double => next,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = self.line.get(self.at + 2..self.at + 4);
                let value = digits
                    .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(value) = value else {
                    let text = "truncated or invalid hexadecimal sequence";
                    return Err(self
                        .mistake("bad-escape", self.at, 2, text)
                        .help("write two hexadecimal digits after \\x"));
                };
                self.put(value);
                self.at += 4;
                return Ok(());
            }
            _ => {
                // Kept for whoever reads the word next: `\.` in a regular expression.
                self.put(b'\\');
                self.at += 1;
                if next != 0 {
                    self.put(next);
                    self.at += 1;
                }
                return Ok(());
            }
        };
        self.put(byte);
        self.at += 2;
        Ok(())
    }

    /// At a `$` inside double quotes: `$NAME`, `${NAME}`, `${NAME-default}`, `${NAME[*]}`.
    fn variable(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let braced = self.line.get(start + 1) == Some(&b'{');
        let from = start + 1 + usize::from(braced);
        let rest = self.line.get(from..).unwrap_or_default();
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        let length = rest.iter().take_while(|byte| named(byte)).count();
        let name = String::from_utf8_lossy(&rest[..length]).into_owned();
        if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
            let text = "forbidden first char in environment variable name";
            return Err(self
                .mistake("bad-variable", start, 1, text)
                .help("write \\$ for a literal dollar sign"));
        }
        let mut at = from + length;
        let (mut spread, mut default) = (false, None);
        if braced {
            if self.line[at..].starts_with(b"[*]") {
                spread = true;
                at += 3;
            }
            let close = self.line[at..].iter().position(|&byte| byte == b'}');
            let Some(close) = close else {
                let text = "unmatched brace in environment variable name";
                return Err(self.mistake("bad-variable", start, at - start, text));
            };
            let tail = &self.line[at..at + close];
            match tail.split_first() {
                None => {}
                Some((b'-', value)) => default = Some(value.to_vec()),
                Some(_) => {
                    let text = "unexpected character in environment variable name";
                    return Err(self.mistake("bad-variable", start, at + close + 1 - start, text));
                }
            }
            at += close + 1;
        }
        let value = (self.variables)(&name).map(String::into_bytes).or(default);
        let value = value.unwrap_or_default();
        self.open();
        for byte in value {
            if spread && byte == b' ' {
                self.close();
            } else {
                self.put(byte);
            }
        }
        self.at = at;
        Ok(())
    }

    fn mistake(&self, code: &'static str, start: usize, length: usize, text: &str) -> Fault {
        let end = (start + length).min(self.line.len());
        Fault::new(code, format!("{text} at position {}", start + 1))
            .on(&(start..end))
            .shape(Shape::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Vec<String> {
        let vars = |name: &str| match name {
            "A" => Some("1 2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let words = split(line, &vars).unwrap();
        words.into_iter().map(|word| word.text).collect()
    }

    fn fails(line: &[u8]) -> &'static str {
        split(line, &|_| None).unwrap_err().code
    }

    #[test]
    fn blanks_and_comments() {
        assert_eq!(words(b"  a\tb  c # d"), ["a", "b", "c"]);
        assert_eq!(words(b"global#x"), ["global"]);
        assert_eq!(words(b""), [] as [&str; 0]);
    }

    #[test]
    fn quotes_keep_blanks_and_concatenate() {
        assert_eq!(words(b"x \"220 \""), ["x", "220 "]);
        assert_eq!(words(b"a'b c'\"d e\"f"), ["ab cd ef"]);
        assert_eq!(words(b"'$A \\n'"), ["$A \\n"]);
        assert_eq!(words(b"\"\""), [""]);
    }

    #[test]
    fn escapes() {
        assert_eq!(
            words(br"a\ b \\ \# \' \n\x41 \.\$"),
            ["a b", "\\", "#", "'", "\nA", "\\.\\$"]
        );
        assert_eq!(words(br#""\$A \"""#), ["$A \""]);
        assert_eq!(fails(br"a \xZZ"), "bad-escape");
        assert_eq!(fails(br"a \x4"), "bad-escape");
        let raw = split(b"\\xff", &|_| None).unwrap();
        assert_eq!(raw[0].bytes(), b"\xff");
    }

    #[test]
    fn variables_only_in_double_quotes() {
        assert_eq!(words(b"$A \"$A\" \"${A}x\""), ["$A", "1 2", "1 2x"]);
        assert_eq!(words(b"\"${B-dflt}\" \"${EMPTY-dflt}\""), ["dflt", ""]);
        assert_eq!(words(b"\"${A[*]}\" x"), ["1", "2", "x"]);
        assert_eq!(fails(b"\"${A\""), "bad-variable");
        assert_eq!(fails(b"\"$\""), "bad-variable");
    }

    #[test]
    fn what_is_fatal() {
        assert_eq!(fails(b"a \"b"), "unmatched-quote");
        assert_eq!(fails(b"a\0b"), "nul");
        assert_eq!(fails("a ".repeat(65).as_bytes()), "too-many-words");
    }

    #[test]
    fn spans_cover_the_quotes() {
        let words = split(b" expect \"220 \"", &|_| None).unwrap();
        assert_eq!(words[1].span, 8..14);
    }

    #[test]
    fn line_ends() {
        let found: Vec<_> = lines(b"a\r\nb\nc").collect();
        assert_eq!(found, [(&b"a"[..], true), (b"b", true), (b"c", false)]);
    }
}
