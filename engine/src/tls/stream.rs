//! TLS on a socket that does not block.
//!
//! The library knows no sockets: it is given ciphertext and gives ciphertext. Here it meets one, without waiting:
//! whoever calls is told what to wait for. What is read off the socket lands in a scratch buffer of the thread
//! first, so that a system call serves several records.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufRead as _, Read, Write};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SendFlags, sendmsg};
use rustls::{AlertDescription, CertificateError, Connection, HandshakeKind};
use wire::hello::{self, Seen};

use super::{Acceptor, Bundle, Seat, facts};
use crate::socket::Socket;

/// Ciphertext taken off a socket at once.
const SCRATCH: usize = 32 * 1024;

/// A longer hello decides nothing.
const LONGEST_HELLO: usize = 16 * 1024;

thread_local! {
    static CIPHERTEXT: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A handshake that came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The other side went away; `silent`: without a word.
    Closed { silent: bool },
    /// There is as much TLS as there may be.
    TooMany,
    /// Nothing is known of TLS with it: a server that was added at run time.
    Unknown,
    /// It said what is not TLS, or what is not acceptable.
    Protocol(rustls::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustls::Error;
        match self {
            Self::TooMany => f.write_str("Too many SSL connections"),
            Self::Unknown => f.write_str("no TLS in the server's line"),
            Self::Closed { .. } => f.write_str("Connection closed during SSL handshake"),
            Self::Protocol(error) => {
                f.write_str("SSL handshake failure (")?;
                match error {
                    Error::InvalidMessage(_) => f.write_str("not TLS, or broken")?,
                    Error::AlertReceived(alert) => write!(f, "the peer says {}", words(*alert))?,
                    Error::InvalidCertificate(why) => f.write_str(fault_of(why))?,
                    Error::NoCertificatesPresented => f.write_str("no certificate")?,
                    Error::General(why) => f.write_str(why)?,
                    other => write!(f, "{other}")?,
                }
                f.write_str(")")
            }
        }
    }
}

/// What is wrong with a certificate.
pub(super) fn fault_of(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not valid yet"
        }
        CertificateError::Revoked => "certificate is revoked",
        CertificateError::UnknownIssuer => "certificate of an unknown issuer",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "certificate has another name"
        }
        CertificateError::UnknownRevocationStatus => {
            "nothing is known of the certificate's revocation"
        }
        _ => "bad certificate",
    }
}

/// `unknown ca`, as OpenSSL spells it.
fn words(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut out = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_uppercase() && place > 0 && !out.ends_with(|c: char| c.is_uppercase()) {
            out.push(' ');
        }
        out.push(letter);
    }
    out.to_lowercase()
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The handshake is over.
    Nothing,
    /// Bytes of the other side.
    Read,
    /// Room in the socket.
    Write,
}

/// A TLS session.
pub(crate) struct Stream {
    pub(super) connection: Box<Connection>,
    /// The certificate that a client was shown.
    pub(super) own: Option<Arc<Bundle>>,
    /// Ciphertext that was read and not taken yet.
    backlog: Vec<u8>,
    /// Until the client's hello is there, where it decides about more than the certificate.
    undecided: Option<Box<Undecided>>,
    /// Anything was received.
    heard: bool,
    /// Its place among all that there may be.
    seat: Option<Seat>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("backlog", &self.backlog.len())
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(connection: impl Into<Connection>) -> Self {
        Self {
            connection: Box::new(connection.into()),
            own: None,
            backlog: Vec::new(),
            undecided: None,
            heard: false,
            seat: None,
        }
    }

    /// The same, which counts among all that there may be.
    pub(crate) fn seated(mut self, seat: Option<Seat>) -> Self {
        self.seat = seat;
        self
    }

    /// The same, and the name in the client's hello decides what holds for it.
    pub(super) fn undecided(mut self, acceptor: Arc<Acceptor>) -> Self {
        let hello = Vec::new();
        self.undecided = Some(Box::new(Undecided { acceptor, hello }));
        self
    }

    /// Ciphertext that was read with something else: behind a PROXY header.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
    }

    /// Goes on with the handshake.
    pub(crate) fn handshake(&mut self, socket: &Socket) -> Result<Want, Failure> {
        loop {
            match self.flush(socket) {
                Ok(true) => {}
                Ok(false) if self.connection.is_handshaking() => return Ok(Want::Write),
                // Tickets; they go with what is sent next.
                Ok(false) => return Ok(Want::Nothing),
                Err(_) => return Err(self.closed()),
            }
            if !self.connection.is_handshaking() {
                return Ok(Want::Nothing);
            }
            match self.receive(socket) {
                Ok(0) => return Err(self.closed()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Want::Read),
                Err(error) => {
                    // The other side is told why, if it still listens.
                    let _ = self.flush(socket);
                    return Err(match error.downcast::<rustls::Error>() {
                        Ok(error) => Failure::Protocol(error),
                        Err(_) => self.closed(),
                    });
                }
            }
        }
    }

    fn closed(&self) -> Failure {
        Failure::Closed {
            silent: !self.heard,
        }
    }

    /// Reads plaintext; 0 is the end. Nothing there: `WouldBlock`.
    pub(crate) fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without a goodbye: the socket's own end is good enough for mail, which ends by QUIT.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            self.receive(socket)?;
            if self.connection.wants_write() {
                let _ = self.flush(socket);
            }
        }
    }

    /// Whether plaintext is there without asking the socket.
    fn has_plaintext(&mut self) -> bool {
        self.connection
            .reader()
            .fill_buf()
            .is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Whether something was received that was not read yet.
    pub(crate) fn holds_something(&mut self) -> bool {
        !self.backlog.is_empty() || self.has_plaintext()
    }

    /// Whether something is to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes plaintext, as much as there is room for, and sends what the socket takes.
    pub(crate) fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.connection.writer().write(bytes)?;
        while self.flush(socket)? && taken < bytes.len() {
            taken += self.connection.writer().write(&bytes[taken..])?;
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// Sends what is to be sent. False: the socket is full.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sink(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that no more will come.
    pub(crate) fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether an earlier session was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Takes ciphertext off the socket, once, and decrypts it.
    fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        if !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            self.take(&backlog)?;
            return Ok(backlog.len() - self.backlog.len());
        }
        CIPHERTEXT.with_borrow_mut(|scratch| {
            let read = socket.recv(scratch)?;
            if read == 0 {
                // The library has to know; it says what the end means.
                self.connection.read_tls(&mut io::empty())?;
                self.process()?;
                return Ok(0);
            }
            self.take(&scratch[..read])?;
            Ok(read)
        })
    }

    /// Looks at a hello first, where it decides.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard = true;
        let Some(mut undecided) = self.undecided.take() else {
            return self.decrypt(bytes);
        };
        undecided.hello.extend_from_slice(bytes);
        let name = match hello::parse(&undecided.hello) {
            Seen::More if undecided.hello.len() < LONGEST_HELLO => {
                self.undecided = Some(undecided);
                return Ok(());
            }
            Seen::This(hello) => hello.server_name,
            // The library knows what to say of it.
            Seen::More | Seen::Other => None,
        };
        let decided = undecided.acceptor.accept_for(name.as_deref());
        *self.connection = decided.map_err(io::Error::other)?.into();
        self.decrypt(&undecided.hello)
    }

    /// Gives the library ciphertext; what it has no room for stays in the backlog.
    fn decrypt(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.connection.read_tls(&mut bytes) {
                // Behind a goodbye nothing counts.
                Ok(0) => return Ok(()),
                Ok(_) => self.process()?,
                // It takes no more while plaintext waits to be read.
                Err(_) if self.has_plaintext() => {
                    self.backlog.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn process(&mut self) -> io::Result<()> {
        let shakes = self.connection.is_handshaking();
        let processed = self.connection.process_new_packets();
        if shakes && let Some(bundle) = facts::shown() {
            self.own = Some(bundle);
        }
        processed.map(drop).map_err(io::Error::other)
    }
}

/// A session whose client is not known yet.
struct Undecided {
    acceptor: Arc<Acceptor>,
    hello: Vec<u8>,
}

/// A socket as the library writes to it.
struct Sink<'s>(&'s Socket);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut none = rustix::net::SendAncillaryBuffer::default();
        let sent = sendmsg(self.0, slices, &mut none, SendFlags::NOSIGNAL);
        let whole = slices.iter().map(|slice| slice.len()).sum();
        if sent == Err(Errno::AGAIN) || sent.is_ok_and(|sent| sent < whole) {
            self.0.is_full();
        }
        Ok(sent?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
