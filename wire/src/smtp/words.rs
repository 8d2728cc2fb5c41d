//! The replies that are the proxy's own.

/// No server could be had; the session ends. `unavailable-reply` in the shell can say it otherwise.
pub(super) fn unavailable(name: &str) -> String {
    format!("421 4.3.2 {name} Service temporarily unavailable\r\n")
}

/// The client was silent for too long.
pub(super) fn timeout(name: &str) -> String {
    format!("421 4.4.2 {name} Timeout exceeded, closing connection\r\n")
}

/// A limit of the session is reached.
pub(super) fn too_much(name: &str, what: &str) -> String {
    format!("421 4.7.0 {name} Too many {what}, closing connection\r\n")
}

/// The banner: the proxy's own name, so that it stays true when the server changes.
pub(super) fn banner(name: &str) -> String {
    format!("220 {name} ESMTP\r\n")
}

pub(super) fn goodbye(name: &str) -> String {
    format!("221 2.0.0 {name} Bye\r\n")
}

/// Somebody speaks in clear text behind STARTTLS.
pub(super) fn injected(name: &str) -> String {
    format!("421 4.7.0 {name} Commands behind STARTTLS, closing connection\r\n")
}

/// A limit of failed logins is reached.
pub(super) fn too_many_logins(name: &str) -> String {
    format!("421 4.7.0 {name} Too many failed logins, try again later\r\n")
}

/// A client that was logged in cannot be so on another server: it has to begin anew.
pub(super) fn login_lost(name: &str) -> String {
    format!("421 4.3.2 {name} Mail server lost, log in again\r\n")
}

/// An answer to a challenge that is none.
pub(super) fn bad_response(name: &str) -> String {
    format!("421 4.7.0 {name} Line too long or not plain within AUTH, closing connection\r\n")
}

/// What was accepted cannot be had from another server.
pub(super) const TRY_AGAIN: &[u8] = b"451 4.3.0 Temporary server failure, please try again\r\n";
/// The server died with the whole message in its hands.
pub(super) const UNKNOWN: &[u8] =
    b"451 4.4.2 Connection to the mail server lost after the end of data\r\n";
pub(super) const LONG_LINE: &[u8] = b"500 5.5.2 Line too long\r\n";
pub(super) const BAD_LINE: &[u8] = b"500 5.5.2 Bare CR, bare LF or NUL in a command\r\n";
pub(super) const NO_COMMAND: &[u8] = b"500 5.5.2 Not a command\r\n";
pub(super) const BARE_BODY: &[u8] = b"550 5.5.2 Bare CR or bare LF in the message\r\n";
pub(super) const BDAT_SYNTAX: &[u8] = b"501 5.5.4 Syntax: BDAT count [LAST]\r\n";
pub(super) const NOT_OFFERED: &[u8] = b"503 5.5.1 CHUNKING was not offered\r\n";
pub(super) const REFUSED: &[u8] = b"502 5.5.1 Command not implemented\r\n";
pub(super) const TLS_READY: &[u8] = b"220 2.0.0 Ready to start TLS\r\n";
pub(super) const TLS_FIRST: &[u8] = b"530 5.7.0 Must issue a STARTTLS command first\r\n";
pub(super) const TLS_ALREADY: &[u8] = b"503 5.5.1 TLS is active already\r\n";
pub(super) const HELLO_FIRST: &[u8] = b"503 5.5.1 Send EHLO first\r\n";
pub(super) const IN_MAIL: &[u8] = b"503 5.5.1 Not within a mail transaction\r\n";
pub(super) const TLS_FOR_AUTH: &[u8] = b"538 5.7.11 Must issue a STARTTLS command before AUTH\r\n";
pub(super) const LOGGED_IN: &[u8] = b"503 5.5.1 Logged in already\r\n";
pub(super) const NO_MECHANISM: &[u8] = b"504 5.5.4 Authentication mechanism not offered\r\n";
/// RFC 4954, 6: for now, and not because of what the client has said.
pub(super) const AUTH_LATER: &[u8] = b"454 4.7.0 Temporary authentication failure\r\n";
pub(super) const NO_PARAMETERS: &[u8] = b"501 5.5.4 Syntax: STARTTLS\r\n";
pub(super) const RECIPIENTS: &[u8] = b"452 4.5.3 Too many recipients\r\n";
pub(super) const FOREIGN: &[u8] = b"421 4.7.0 This is SMTP\r\n";
