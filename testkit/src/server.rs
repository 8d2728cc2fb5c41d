//! A scripted server: what it says and does, connection by connection, and what it saw.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use socket2::SockRef;

use crate::output::Output;
use crate::{port, wait_until};

/// What a server does with a connection.
#[derive(Debug, Clone)]
pub enum Manner {
    /// A small mail server: greets with its name, answers every command, says 221 and closes.
    Mail,
    /// The same with these words as greeting (CRLF is added; may be several lines).
    Greets(String),
    /// The same as [`Manner::Mail`], but it takes so long to greet.
    GreetsAfter(Duration),
    /// The same as [`Manner::Mail`] until it has read or written so many bytes of a connection; then it resets.
    Dies {
        /// Bytes read.
        heard: usize,
        /// Bytes written.
        said: usize,
    },
    /// Answers a command that begins so (or the end of data, `.`) with these words, else like [`Manner::Mail`]. AUTH it
    /// offers if that is the command.
    Answers(String, String),
    /// Like this with every second connection, else like [`Manner::Mail`].
    EverySecond(Box<Self>),
    /// Sends back what it gets, and closes when the client has.
    Echo,
    /// Says this, then waits for the client to close.
    Says(Vec<u8>),
    /// Says the first of these, and with every line it hears the next one; then it hears on.
    Recites(Vec<Vec<u8>>),
    /// Says nothing and reads nothing.
    Silent,
    /// Says this, one byte per second.
    Drips(String),
    /// Says nothing, and resets when it has read so many bytes.
    Hears(usize),
    /// Closes at once.
    Closes,
    /// Resets at once.
    Resets,
    /// Reads everything to the end, then answers with its length in decimal and closes.
    Counts,
    /// Sends so many bytes `x` and closes.
    Sends(usize),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    listener: Mutex<Option<TcpListener>>,
    /// Connections that are open, by their numbers.
    open: Arc<Mutex<Vec<(usize, TcpStream)>>>,
    /// Connections so far.
    connections: Arc<AtomicUsize>,
    /// Lines it was sent, each with the number of its connection: `3: EHLO x`; the end of each
    /// connection as `3: <end>` or `3: <reset>`.
    pub heard: Output,
}

impl Server {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port.
    pub fn start(manner: Manner) -> Result<Self> {
        Self::start_at(port::free()?, manner)
    }

    /// Starts one at an address.
    ///
    /// # Errors
    /// The address is taken.
    pub fn start_at(address: SocketAddr, manner: Manner) -> Result<Self> {
        let listener = listen(address)?;
        let server = Self {
            address: listener.local_addr()?,
            manner: Arc::new(Mutex::new(manner)),
            listener: Mutex::default(),
            open: Arc::default(),
            connections: Arc::default(),
            heard: Output::default(),
        };
        server.accept(listener)?;
        Ok(server)
    }

    fn accept(&self, listener: TcpListener) -> Result<()> {
        *lock(&self.listener) = Some(listener.try_clone()?);
        let manner = Arc::clone(&self.manner);
        let (connections, heard) = (Arc::clone(&self.connections), self.heard.clone());
        let open = Arc::clone(&self.open);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // As mail servers do: each reply goes out when it is said.
                let _ = stream.set_nodelay(true);
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let manner = lock(&manner).clone();
                let heard = heard.clone();
                if let Ok(other) = stream.try_clone() {
                    lock(&open).push((number, other));
                }
                let open = Arc::clone(&open);
                std::thread::spawn(move || {
                    let end = match serve(stream, &manner, number, &heard) {
                        Ok(()) => "<end>".to_owned(),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                            "<reset>".to_owned()
                        }
                        Err(error) => format!("<{error}>"),
                    };
                    lock(&open).retain(|(other, _)| *other != number);
                    heard.push(format!("{number}: {end}"));
                });
            }
        });
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far, checks included.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Changes what it does with the next connection.
    pub fn be(&self, manner: Manner) {
        *lock(&self.manner) = manner;
    }

    /// Stops listening: connections are refused from now on, open ones go on.
    pub fn stop(&self) {
        if let Some(listener) = lock(&self.listener).take() {
            // Ends the listening at once, and the thread that waits in accept(2).
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }
    }

    /// Dies: listens no more, and open connections end without a word.
    pub fn kill(&self) {
        self.stop();
        for (_, stream) in lock(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again after [`Self::stop`].
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub fn resume(&self) -> Result<()> {
        self.accept(listen(self.address)?)
    }
}

/// Listens there. A program that is just being started may hold a port for a moment that was ours.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let mut listener = TcpListener::bind(address);
    let taken = |listener: &std::io::Result<_>| {
        listener
            .as_ref()
            .is_err_and(|error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    wait_until("the port is given back", || {
        if taken(&listener) {
            listener = TcpListener::bind(address);
        }
        !taken(&listener)
    })
    .with_context(|| address.to_string())?;
    Ok(listener?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(
    mut stream: TcpStream,
    manner: &Manner,
    number: usize,
    heard: &Output,
) -> std::io::Result<()> {
    match manner {
        Manner::Mail => {
            let name = format!("mail{}", stream.local_addr()?.port());
            converse(stream, &format!("220 {name} ESMTP"), number, heard)
        }
        Manner::Dies { heard: most, said } => {
            let mortal = Mortal {
                stream: stream.try_clone()?,
                to_hear: *most,
                to_say: *said,
            };
            let end = talk(
                mortal.try_clone()?,
                mortal,
                "220 mortal ESMTP",
                number,
                heard,
                None,
            );
            will_reset(&stream)?;
            end
        }
        Manner::Answers(to, words) => {
            let reader = stream.try_clone()?;
            let odd = Some((to.as_str(), words.as_str()));
            talk(reader, stream, "220 odd ESMTP", number, heard, odd)
        }
        Manner::GreetsAfter(pause) => {
            crate::pause(*pause);
            serve(stream, &Manner::Mail, number, heard)
        }
        Manner::EverySecond(_) if number.is_multiple_of(2) => {
            serve(stream, &Manner::Mail, number, heard)
        }
        Manner::EverySecond(manner) => serve(stream, manner, number, heard),
        Manner::Greets(greeting) => converse(stream, greeting, number, heard),
        Manner::Echo => {
            let mut reader = stream.try_clone()?;
            std::io::copy(&mut reader, &mut stream)?;
            stream.shutdown(Shutdown::Write)
        }
        Manner::Says(words) => {
            stream.write_all(words)?;
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        }
        Manner::Recites(words) => recite(stream, words, number, heard),
        Manner::Silent => {
            crate::pause(Duration::from_secs(30));
            Ok(())
        }
        Manner::Drips(words) => {
            for byte in words.bytes() {
                stream.write_all(&[byte])?;
                crate::pause(Duration::from_secs(1));
            }
            Ok(())
        }
        Manner::Hears(count) => {
            stream.read_exact(&mut vec![0; *count])?;
            will_reset(&stream)
        }
        Manner::Closes => Ok(()),
        Manner::Resets => will_reset(&stream),
        Manner::Counts => {
            let count = std::io::copy(&mut stream, &mut std::io::sink())?;
            stream.write_all(count.to_string().as_bytes())
        }
        Manner::Sends(count) => {
            let block = [b'x'; 16 * 1024];
            let mut left = *count;
            while left > 0 {
                let part = left.min(block.len());
                stream.write_all(&block[..part])?;
                left -= part;
            }
            stream.shutdown(Shutdown::Write)?;
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        }
    }
}

/// Says the next words whenever it has heard a line.
fn recite(
    mut stream: TcpStream,
    words: &[Vec<u8>],
    number: usize,
    heard: &Output,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    for words in words {
        stream.write_all(words)?;
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line);
        heard.push(format!("{number}: {}", line.trim_end()));
    }
    std::io::copy(&mut lines, &mut std::io::sink()).map(drop)
}

/// Its close is a reset.
fn will_reset(stream: &TcpStream) -> std::io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// A stream that lets so many bytes pass each way, and is dead then.
#[derive(Debug)]
struct Mortal {
    stream: TcpStream,
    to_hear: usize,
    to_say: usize,
}

impl Mortal {
    /// The reading half: the two count apart.
    fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            ..*self
        })
    }
}

fn dead<T>() -> std::io::Result<T> {
    Err(std::io::Error::other("died"))
}

impl std::io::Read for Mortal {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len().min(self.to_hear);
        if room == 0 {
            return dead();
        }
        let read = self.stream.read(&mut buffer[..room])?;
        self.to_hear -= read;
        Ok(read)
    }
}

impl std::io::Write for Mortal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = bytes.len().min(self.to_say);
        if room == 0 {
            return dead();
        }
        let written = self.stream.write(&bytes[..room])?;
        self.to_say -= written;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn converse(
    stream: TcpStream,
    greeting: &str,
    number: usize,
    heard: &Output,
) -> std::io::Result<()> {
    talk(stream.try_clone()?, stream, greeting, number, heard, None)
}

/// What it offers.
const EHLO: &str =
    "250-here\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-CHUNKING\r\n250 8BITMIME";

/// The same where one can log in.
const LOGIN: &str =
    "250-here\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME";

/// The dialogue of RFC 5321, as far as tests go. A message it takes is `<queued>`, said before its answer is.
fn talk(
    reader: impl std::io::Read,
    mut stream: impl std::io::Write,
    greeting: &str,
    number: usize,
    heard: &Output,
    odd: Option<(&str, &str)>,
) -> std::io::Result<()> {
    stream.write_all(format!("{greeting}\r\n").as_bytes())?;
    let mut lines = BufReader::new(reader);
    let mut line = String::new();
    let odd = |text: &str| {
        odd.filter(|(to, _)| text.starts_with(to))
            .map(|(_, words)| words)
    };
    loop {
        line.clear();
        if lines.by_ref().take(64 * 1024).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let text = line.trim_end().to_owned();
        heard.push(format!("{number}: {text}"));
        let mut words = text.split([' ', ':']);
        let word = words.next().unwrap_or_default().to_ascii_uppercase();
        let reply = match word.as_str() {
            _ if odd(&text).is_some() => odd(&text).unwrap_or_default(),
            "PROXY" => continue,
            "EHLO" if odd("AUTH").is_some() => LOGIN,
            "EHLO" => EHLO,
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                loop {
                    line.clear();
                    if lines.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    heard.push(format!("{number}: | {}", line.trim_end()));
                }
                queued(heard, number, odd("."))
            }
            "BDAT" => {
                let size: usize = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
                let mut chunk = vec![0; size];
                lines.read_exact(&mut chunk)?;
                for line in String::from_utf8_lossy(&chunk).lines() {
                    heard.push(format!("{number}: | {line}"));
                }
                match words.next() {
                    Some(_) => queued(heard, number, odd(".")),
                    None => "250 2.0.0 chunk",
                }
            }
            "QUIT" => {
                stream.write_all(b"221 2.0.0 bye\r\n")?;
                return Ok(());
            }
            _ => "250 2.0.0 fine",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

/// The answer to a whole message.
fn queued<'w>(heard: &Output, number: usize, odd: Option<&'w str>) -> &'w str {
    odd.unwrap_or_else(|| {
        heard.push(format!("{number}: <queued>"));
        "250 2.0.0 queued"
    })
}
