//! What `typed` and `json` outputs say beside a value: where it is from, what it is, of what (MGT 9.3).

/// Three letters and a type: `MGP:u32`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag(pub(crate) &'static str);

/// The words for the letters: origin, nature, scope.
const WORDS: [&[(u8, &str)]; 3] = [
    &[
        (b'M', "Metric"),
        (b'S', "Status"),
        (b'K', "Key"),
        (b'C', "Config"),
        (b'P', "Product"),
    ],
    &[
        (b'A', "Age"),
        (b'a', "Avg"),
        (b'C', "Counter"),
        (b'D', "Duration"),
        (b'G', "Gauge"),
        (b'L', "Limit"),
        (b'M', "Max"),
        (b'N', "Name"),
        (b'O', "Output"),
        (b'R', "Rate"),
    ],
    &[(b'P', "Process"), (b'S', "Service")],
];

impl Tag {
    /// As `typed` has it.
    pub(crate) fn text(self) -> &'static str {
        self.0
    }

    fn word(self, place: usize) -> &'static str {
        let letter = self.0.as_bytes().get(place);
        let found = WORDS[place].iter().find(|(known, _)| Some(known) == letter);
        found.map_or("", |(_, word)| word)
    }

    /// An object of `json`: `head` begins it, `value` is JSON already.
    pub(crate) fn json(self, head: &str, place: usize, name: &str, value: &str) -> String {
        let kind = self.0.split_once(':').map_or("", |(_, kind)| kind);
        format!(
            "{{{head}\"field\":{{\"pos\":{place},\"name\":\"{name}\"}},\"processNum\":1,\
             \"tags\":{{\"origin\":\"{}\",\"nature\":\"{}\",\"scope\":\"{}\"}},\
             \"value\":{{\"type\":\"{kind}\",\"value\":{value}}}}}",
            self.word(0),
            self.word(1),
            self.word(2),
        )
    }
}

/// A string of JSON (RFC 8259, 7).
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            char if u32::from(char) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// With commas between them.
pub(crate) fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_words_and_strings_are_escaped() {
        let said = Tag("MaP:u32").json("", 5, "qtime", "7");
        assert_eq!(
            said,
            "{\"field\":{\"pos\":5,\"name\":\"qtime\"},\"processNum\":1,\"tags\":{\"origin\":\"Metric\",\
             \"nature\":\"Avg\",\"scope\":\"Process\"},\"value\":{\"type\":\"u32\",\"value\":7}}"
        );
        assert_eq!(string("a\"b\\c\u{1}é"), "\"a\\\"b\\\\c\\u0001é\"");
    }
}
