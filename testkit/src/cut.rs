//! A cable that is cut after so many bytes: it stands before a server, and forwards until then.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use socket2::SockRef;

use crate::port;

/// How the end looks to both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both hear that no more will come.
    Closed,
    /// Both hear a reset.
    Reset,
}

/// When a connection ends.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// Bytes to the server, and from it.
    bytes: [usize; 2],
    end: End,
}

/// A cable to a server.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    listener: TcpListener,
    limit: Arc<Mutex<Limit>>,
    passed: Arc<[AtomicUsize; 2]>,
}

impl Cut {
    /// One that is whole.
    ///
    /// # Errors
    /// No port.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(port::free()?)?;
        let cut = Self {
            address: listener.local_addr()?,
            listener,
            limit: Arc::new(Mutex::new(Limit {
                bytes: [usize::MAX; 2],
                end: End::Closed,
            })),
            passed: Arc::default(),
        };
        let listener = cut.listener.try_clone()?;
        let (limit, passed) = (Arc::clone(&cut.limit), Arc::clone(&cut.passed));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let limit = *lock(&limit);
                // Nobody there: the client hears that by the close.
                if let Ok(server) = TcpStream::connect(to) {
                    let _ = forward(&client, &server, limit, &passed);
                }
            }
        });
        Ok(cut)
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections from now on end after so many bytes to the server or from it.
    pub fn after(&self, bytes: [usize; 2], end: End) {
        *lock(&self.limit) = Limit { bytes, end };
    }

    /// How many bytes all connections together have passed on, to the server and from it.
    pub fn passed(&self) -> [usize; 2] {
        [0, 1].map(|way| self.passed[way].load(Ordering::SeqCst))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        // Ends the thread that waits in accept(2).
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread for each direction; whichever comes to its end ends both.
fn forward(
    client: &TcpStream,
    server: &TcpStream,
    limit: Limit,
    passed: &Arc<[AtomicUsize; 2]>,
) -> std::io::Result<()> {
    for (way, (from, to)) in [(client, server), (server, client)].into_iter().enumerate() {
        to.set_nodelay(true)?;
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let passed = Arc::clone(passed);
        std::thread::spawn(move || {
            let mut left = limit.bytes[way];
            let mut room = [0; 16 * 1024];
            while left > 0 {
                let most = left.min(room.len());
                let Ok(read @ 1..) = from.read(&mut room[..most]) else {
                    break;
                };
                if to.write_all(&room[..read]).is_err() {
                    break;
                }
                passed[way].fetch_add(read, Ordering::SeqCst);
                left -= read;
            }
            if left == 0 && limit.end == End::Reset {
                for side in [&from, &to] {
                    // What the peer has is left to it: the reset comes with the last close.
                    let _ = SockRef::from(side).set_linger(Some(std::time::Duration::ZERO));
                }
            }
            if left == 0 {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            } else {
                let _ = to.shutdown(Shutdown::Write);
            }
        });
    }
    Ok(())
}
