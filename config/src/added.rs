//! A server that is added at run time (`add server`, MGT 9.3): its words are read as those of a `server` line in a
//! backend of that name, with no `default-server` before it.

use crate::diagnostic::Severity;
use crate::load::{Source, load_sources};
use crate::model::Server;

/// Options that mean nothing to a server that is added.
const NOT_ACCEPTED: &[&str] = &["cookie", "init-addr"];

/// Reads `<name> <address>[:<port>] [options]`. The server has the id that was written, or 1: the caller knows which
/// are free. Names are not resolved.
///
/// # Errors
/// What is wrong with it, in HAProxy's words where it has some.
pub fn added_server(backend: &str, words: &[&str]) -> Result<Server, String> {
    if words.len() < 2 {
        return Err("'server' expects <name> and <addr>[:<port>] as arguments.".into());
    }
    if let Some(word) = words[2..].iter().find(|word| NOT_ACCEPTED.contains(word)) {
        return Err(format!(
            "'{word}' option is not accepted for dynamic server"
        ));
    }
    let line: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let text = format!("backend {}\n server {}\n", quoted(backend), line.join(" "));
    let source = Source {
        name: "added".into(),
        text: text.into_bytes(),
    };
    let loaded = load_sources(&[source], &|_| None, &|_| None);
    let server = loaded
        .model
        .and_then(|mut model| model.proxies.pop()?.back?.servers.pop());
    if server
        .as_ref()
        .is_some_and(|s| s.tls.is_some() || s.check_tls.is_some())
    {
        return Err("'ssl' is not supported by Posthouse yet for a server that is added.".into());
    }
    server.ok_or_else(|| {
        let mut alerts = loaded.diagnostics.iter();
        let alert = alerts.find(|said| said.severity == Severity::Alert);
        alert.map_or_else(String::new, |said| what(&said.text, backend, words[0]))
    })
}

/// One word for the lexer, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Without what names file, line and server: the operator has just said them.
fn what(text: &str, backend: &str, server: &str) -> String {
    let subject = format!("'server {backend}/{server}' : ");
    let tail = text.split_once(&*subject).map(|(_, tail)| tail);
    let tail = tail.or_else(|| text.split_once("] : ").map(|(_, tail)| tail));
    tail.unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(line: &str) -> Result<Server, String> {
        added_server("be", &line.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn options_are_those_of_a_server_line() {
        let server =
            added("s9 192.0.2.1:25 check inter 1s backup weight 7 maxconn 9 send-proxy id 77");
        let server = server.expect("a server");
        assert_eq!(
            (&*server.name, server.id, server.id_forced),
            ("s9", 77, true)
        );
        assert!(server.check && server.backup && server.send_proxy.is_some());
        assert_eq!(
            (server.weight, server.maxconn, server.inter.as_secs()),
            (7, 9, 1)
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_a_line() {
        let wrong = |line: &str| added(line).expect_err("an error");
        assert_eq!(
            wrong("s9"),
            "'server' expects <name> and <addr>[:<port>] as arguments."
        );
        assert!(wrong("s9 192.0.2.1:25 bogus").starts_with("unknown keyword 'bogus'"));
        assert_eq!(
            wrong("s9 192.0.2.1:25 cookie x"),
            "'cookie' option is not accepted for dynamic server"
        );
        assert!(wrong("b@d 192.0.2.1:25").starts_with("character '@' is not permitted"));
        assert!(
            wrong("s9 mail.example:25").starts_with("could not resolve address 'mail.example'")
        );
        for hostile in ["s9 '", "s9 192.0.2.1:25\nbackend x", "s9 # 25", "' ' \" \\"] {
            assert!(added(hostile).is_err(), "{hostile}");
        }
    }
}
