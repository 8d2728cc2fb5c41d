//! What systemd is told (`sd_notify(3)`): one datagram to the socket `$NOTIFY_SOCKET` names.
//!
//! Connected before a chroot hides the socket, used by `main` with `-Ws`. Without the variable every
//! call is a no-op.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to the service manager.
#[derive(Debug, Default)]
pub(crate) struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Connects to the socket of the environment, if there is one.
    pub(crate) fn from_environment() -> std::io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::connect(&name),
            _ => Ok(Self::default()),
        }
    }

    fn connect(name: &OsStr) -> std::io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(Some(socket)))
    }

    /// We serve.
    pub(crate) fn ready(&self) {
        let pid = std::process::id();
        self.send(&format!("READY=1\nMAINPID={pid}\nSTATUS=Ready.\n"));
    }

    /// We are about to end.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    fn send(&self, state: &str) {
        if let Some(socket) = &self.0 {
            // A manager that does not listen is no reason not to serve mail.
            let _ = socket.send(state.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_reaches_both_kinds_of_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let hidden = format!("posthouse-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&hidden).unwrap();
        let cases = [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.into_os_string().into_string().unwrap(),
            ),
            (
                UnixDatagram::bind_addr(&abstract_address).unwrap(),
                format!("@{hidden}"),
            ),
        ];
        for (manager, name) in cases {
            let notifier = Notifier::connect(OsStr::new(&name)).unwrap();
            notifier.ready();
            notifier.stopping();
            let mut text = [0; 200];
            let length = manager.recv(&mut text).unwrap();
            let ready = std::str::from_utf8(&text[..length]).unwrap();
            assert_eq!(
                ready,
                format!("READY=1\nMAINPID={}\nSTATUS=Ready.\n", std::process::id())
            );
            let length = manager.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"STOPPING=1\n");
        }
    }
}
