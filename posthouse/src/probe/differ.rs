//! What the servers of a backend offer that others of it do not.

use std::collections::BTreeMap;

/// A line for each extension that not all offer, or not alike; `offers`: names of servers, and the lines of their answers
/// to EHLO.
pub(super) fn differences(offers: &[(String, Vec<String>)]) -> Vec<String> {
    // By extension: who says what of it.
    let mut said: BTreeMap<String, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for (server, lines) in offers {
        for line in lines.iter().filter(|line| !line.is_empty()) {
            let (word, value) = line.split_once([' ', '=']).unwrap_or((line, ""));
            let values = said.entry(word.to_ascii_uppercase()).or_default();
            let servers = values.entry(value.trim().to_owned()).or_default();
            if servers.last() != Some(&server.as_str()) {
                servers.push(server);
            }
        }
    }
    let mut lines = Vec::new();
    for (word, values) in said {
        let has = |server: &str| values.values().flatten().any(|own| *own == server);
        let without: Vec<_> = offers
            .iter()
            .map(|(server, _)| server.as_str())
            .filter(|server| !has(server))
            .collect();
        if values.len() > 1 {
            let value = |value: &str| match value {
                "" => "no value".to_owned(),
                value => value.to_owned(),
            };
            let each = values
                .iter()
                .map(|(own, servers)| format!("{} on {}", value(own), servers.join(", ")));
            lines.push(format!("{word}: {}", each.collect::<Vec<_>>().join("; ")));
        }
        if !without.is_empty() {
            lines.push(format!("{word}: not on {}", without.join(", ")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_compared_by_word_and_value() {
        let offer = |server: &str, lines: &[&str]| {
            let lines = lines.iter().map(|&line| line.to_owned()).collect();
            (server.to_owned(), lines)
        };
        let alike = [
            offer("s1", &["SIZE 10", "8bitmime", ""]),
            offer("s2", &["8BITMIME", "size 10"]),
        ];
        assert_eq!(differences(&alike), [] as [&str; 0]);
        let unlike = [
            offer("s1", &["SIZE 10", "AUTH PLAIN", "AUTH=PLAIN", "DSN"]),
            offer("s2", &["SIZE 20", "AUTH PLAIN"]),
            offer("s3", &["SIZE", "AUTH PLAIN"]),
        ];
        assert_eq!(
            differences(&unlike),
            [
                "DSN: not on s2, s3",
                "SIZE: no value on s3; 10 on s1; 20 on s2"
            ]
        );
        assert_eq!(differences(&[]), [] as [&str; 0]);
    }
}
