//! No text breaks the reader: it ends in a model or in the reason why not.

use config::{Source, load_sources};
use proptest::prelude::*;

/// Reads a text with no environment and no names; checks what must hold for any.
fn read(text: &[u8]) -> Result<bool, TestCaseError> {
    let source = Source {
        name: "any.cfg".into(),
        text: text.to_vec(),
    };
    let loaded = load_sources(&[source], &|_| None, &|_| None);
    for diagnostic in &loaded.diagnostics {
        prop_assert!(!diagnostic.render().is_empty());
    }
    prop_assert!(loaded.model.is_some() || !loaded.diagnostics.is_empty());
    Ok(loaded.model.is_some())
}

/// Words that get far into the reader.
const VOCABULARY: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "bind",
    "server",
    "timeout",
    "client",
    "server",
    "connect",
    "option",
    "tcp-check",
    "expect",
    "send",
    "string",
    "rstring",
    "!",
    "stick-table",
    "type",
    "ip",
    "size",
    "10k",
    "stick",
    "on",
    "src",
    "balance",
    "roundrobin",
    "log",
    "stdout",
    "local0",
    "stats",
    "socket",
    "level",
    "no",
    "default",
    "127.0.0.1:25",
    "[::1]:25",
    "*:25",
    "unix@/x",
    "1m",
    "-1",
    "0",
    "check",
    "weight",
    "maxconn",
    "from",
    "mode",
    "tcp",
    "http",
    "use_backend",
    "if",
    "{",
    "}",
    ".if",
    ".endif",
    "feature(X)",
    "\"",
    "'",
    "\\",
    "$X",
    "#",
    "\n",
    "\n",
    "\n",
    "\n",
];

proptest! {
    #[test]
    fn bytes(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&text)?;
    }

    #[test]
    fn words(text in proptest::collection::vec(proptest::sample::select(VOCABULARY), 0..80)) {
        read(format!("{}\n", text.join(" ")).as_bytes())?;
    }

    /// Whatever a word holds, quoting brings it through: a tag of any characters is that tag.
    #[test]
    fn quoting(tag in "[ -~]{1,40}") {
        let mut quoted = String::new();
        for char in tag.chars() {
            if "\"\\$".contains(char) {
                quoted.push('\\');
            }
            quoted.push(char);
        }
        let text = format!("global\n log-tag \"{quoted}\"\n");
        let source = Source { name: "any.cfg".into(), text: text.into_bytes() };
        let loaded = load_sources(&[source], &|_| None, &|_| None);
        let model = loaded.model.ok_or_else(|| TestCaseError::fail(format!("{:?}", loaded.diagnostics)))?;
        prop_assert_eq!(model.global.log_tag, Some(tag));
    }
}
