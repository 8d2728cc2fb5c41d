//! Lines that are shown keep their secrets: what follows `password` and the name of a `header`, and what stands
//! before the `@` of a URL. Works on the line as it is written, since one that cannot be split is shown as well.

use std::borrow::Cow;
use std::ops::Range;

/// Lines that may have any begin with these.
const LINES: [&str; 3] = ["alert", "mailer", "user"];

/// The line with stars for its secrets; offsets into it stay what they are.
pub(crate) fn hide(line: Cow<'_, str>) -> Cow<'_, str> {
    let first = line.split_ascii_whitespace().next();
    if !first.is_some_and(|first| LINES.contains(&first)) {
        return line;
    }
    let words = words(&line);
    let mut out = line.clone().into_owned();
    for (at, word) in words.iter().enumerate() {
        let follows = |back: usize| at.checked_sub(back).map(|at| &line[words[at].clone()]);
        // Misspelt ones too, which is when the line is shown.
        let password = follows(1).is_some_and(|key| key.contains("pas") && !key.ends_with("-file"));
        if password || at > 2 && follows(2) == Some("header") {
            cover(&mut out, word.clone());
            continue;
        }
        let text = &line[word.clone()];
        if let (Some(scheme), Some(end)) = (text.find("://"), text.rfind('@')) {
            cover(
                &mut out,
                word.start + (scheme + 3).min(end)..word.start + end,
            );
        }
    }
    out.into()
}

fn cover(line: &mut String, range: Range<usize>) {
    let stars = "*".repeat(range.len());
    line.replace_range(range, &stars);
}

/// Where words are: blanks end them, but in quotes and behind a backslash.
fn words(line: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let (mut quote, mut escaped, mut inside) = (None, false, false);
    for (at, c) in line.char_indices() {
        let blank = c.is_ascii_whitespace() && quote.is_none() && !escaped;
        let end = at + c.len_utf8();
        match words.last_mut() {
            _ if blank => inside = false,
            Some(word) if inside => word.end = end,
            _ => {
                words.push(at..end);
                inside = true;
            }
        }
        let plain = !std::mem::take(&mut escaped);
        match (c, quote) {
            ('\\', None | Some('"')) if plain => escaped = true,
            ('"' | '\'', None) if plain => quote = Some(c),
            (c, Some(open)) if plain && c == open => quote = None,
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_and_nothing_else() {
        for (line, shown) in [
            (
                " mailer m h:1 user u password \"a b\" starttls",
                " mailer m h:1 user u password ***** starttls",
            ),
            ("mailer m h:1 pasword x", "mailer m h:1 pasword *"),
            (
                "mailer m h:1 password-file /x",
                "mailer m h:1 password-file /x",
            ),
            (
                "alert webhook https://u:p@h/ header X-Key k\u{e4}y timeout 1s",
                "alert webhook https://***@h/ header X-Key **** timeout 1s",
            ),
            (
                "alert webhook https://h header A 'b c",
                "alert webhook https://h header A ****",
            ),
            ("user x insecure-password y", "user x insecure-password *"),
            ("server password x", "server password x"),
        ] {
            assert_eq!(hide(line.into()), shown);
            assert_eq!(line.len(), shown.len());
        }
    }
}
