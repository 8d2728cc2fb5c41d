//! A scripted client, step by step.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::{ClientConnection, StreamOwned};

use crate::tls::Trust;

/// How long it waits for a server that says nothing, or takes nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    reader: BufReader<Wire>,
    slowest: Duration,
}

/// What lines come and go by.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).with_context(|| to.to_string())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(Wire::Plain(stream.try_clone()?));
        Ok(Self {
            stream,
            reader,
            slowest: Duration::ZERO,
        })
    }

    /// From here on TLS, with `mx.example.com`.
    ///
    /// # Errors
    /// No handshake, or not with whom it trusts.
    pub fn secure(&mut self, trust: &Trust) -> Result<()> {
        let plain = self.reader.buffer();
        anyhow::ensure!(plain.is_empty(), "before TLS: {plain:?}");
        let mut stream = StreamOwned::new(trust.connection()?, self.stream.try_clone()?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("TLS")?;
        }
        self.reader = BufReader::new(Wire::Tls(Box::new(stream)));
        Ok(())
    }

    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// Nobody greets.
    pub fn greeted(to: SocketAddr) -> Result<(Self, String)> {
        let mut client = Self::connect(to)?;
        let greeting = client.line()?;
        Ok((client, greeting))
    }

    /// Its own address.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let wire = self.reader.get_mut();
        wire.write_all(bytes.as_ref())?;
        Ok(wire.flush()?)
    }

    /// Reads a line, without its end; empty when the other side has closed.
    ///
    /// # Errors
    /// Nothing comes, or a reset.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Sends a command and reads its whole reply; returns the last line.
    ///
    /// # Errors
    /// No reply comes.
    pub fn command(&mut self, command: &str) -> Result<String> {
        let begun = Instant::now();
        self.send(format!("{command}\r\n"))?;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                bail!("closed instead of answering {command:?}");
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                self.slowest = self.slowest.max(begun.elapsed());
                return Ok(line);
            }
        }
    }

    /// The longest it has waited for the reply to a command.
    pub fn slowest_reply(&self) -> Duration {
        self.slowest
    }

    /// Sends a whole message with `mark` in its subject; returns the reply to its end.
    ///
    /// # Errors
    /// A step is refused.
    pub fn message(&mut self, mark: &str) -> Result<String> {
        for command in [
            "EHLO client.example.org",
            "MAIL FROM:<a@example.org>",
            "RCPT TO:<inbox@example.com>",
        ] {
            let reply = self.command(command)?;
            if !reply.starts_with('2') {
                bail!("{command}: {reply}");
            }
        }
        let reply = self.command("DATA")?;
        if !reply.starts_with("354") {
            bail!("DATA: {reply}");
        }
        self.command(&format!("Subject: {mark}\r\n\r\nHello.\r\n."))
            .context("end of data")
    }

    /// Says that it will send no more.
    ///
    /// # Errors
    /// The other side has reset.
    pub fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// A reset, or no end.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Waits for bytes that should not come; true when none did.
    ///
    /// # Errors
    /// The socket refuses the timeout.
    pub fn hears_nothing_for(&mut self, time: Duration) -> Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        let silent = match self.reader.fill_buf() {
            Ok(_) => false,
            Err(error) => matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        };
        self.stream.set_read_timeout(Some(PATIENCE))?;
        Ok(silent)
    }

    /// Closes with a reset.
    ///
    /// # Errors
    /// The socket refuses.
    pub fn reset(self) -> Result<()> {
        Ok(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?)
    }
}

/// Sends one message in a session of its own; returns the greeting.
///
/// # Errors
/// A step is refused.
pub fn deliver(to: SocketAddr, mark: &str) -> Result<String> {
    let (mut client, greeting) = Client::greeted(to)?;
    if !greeting.starts_with("220") {
        bail!("greeting: {greeting:?}");
    }
    let reply = client.message(mark)?;
    if !reply.starts_with("250") {
        bail!("end of data: {reply}");
    }
    client.command("QUIT")?;
    Ok(greeting)
}
