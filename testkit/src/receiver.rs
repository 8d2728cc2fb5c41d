//! A receiver of webhooks: an HTTP server that keeps what it gets and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::wait_until;

/// A request.
#[derive(Debug, Clone)]
pub struct Received {
    /// When it was there as a whole, in ms since 1970.
    pub at_ms: u64,
    /// `POST /x HTTP/1.1`.
    pub first_line: String,
    /// The other lines of its head.
    pub headers: Vec<String>,
    /// Its body.
    pub body: Value,
    /// What it was answered; zero: nothing.
    pub status: u16,
}

impl Received {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    answers: Arc<Mutex<VecDeque<u16>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Starts one on a free port of 127.0.0.1 that answers so, in this order, and 204 from then on. Zero is no answer.
    ///
    /// # Errors
    /// No port.
    pub fn start(answers: &[u16]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let receiver = Self {
            address: listener.local_addr()?,
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            received: Arc::default(),
        };
        let (answers, received) = (
            Arc::clone(&receiver.answers),
            Arc::clone(&receiver.received),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, received) = (Arc::clone(&answers), Arc::clone(&received));
                std::thread::spawn(move || {
                    // A request that cannot be read is missed by the test that waits for it.
                    let _ = serve(stream, &answers, &received);
                });
            }
        });
        Ok(receiver)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it got so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    /// Waits for the `nth` request, from 1.
    ///
    /// # Errors
    /// It does not come.
    pub fn wait_for(&self, nth: usize) -> Result<Received> {
        let there = || self.received().len() >= nth;
        wait_until(&format!("request {nth} is there"), there)
            .with_context(|| format!("{:#?}", self.received()))?;
        self.received().get(nth - 1).cloned().context("no request")
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    stream: TcpStream,
    answers: &Mutex<VecDeque<u16>>,
    received: &Mutex<Vec<Received>>,
) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut request = Received {
        at_ms: 0,
        first_line: lines.first().cloned().context("no request")?,
        headers: lines.split_off(1),
        body: Value::Null,
        status: lock(answers).pop_front().unwrap_or(204),
    };
    let length = request.header("content-length").context("no length")?;
    let mut body = vec![0; length.parse()?];
    reader.read_exact(&mut body)?;
    request.body = serde_json::from_slice(&body)?;
    request.at_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let status = request.status;
    lock(received).push(request);
    if status == 0 {
        // Until the client has had enough.
        reader.read_to_end(&mut Vec::new())?;
        return Ok(());
    }
    let answer =
        format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (&stream).write_all(answer.as_bytes())?;
    Ok(())
}
