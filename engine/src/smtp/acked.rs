//! Whether the peer's TCP has acknowledged what was sent: all of it, but for what it may be slow about.
//!
//! A receiver need not acknowledge each segment, but every second one (RFC 1122, 4.2.3.2); the last may wait for its
//! acknowledgement for 40 ms and longer, however well it has arrived. So one segment is let go.

use std::os::fd::AsFd;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;

/// So much of `struct tcp_info` (linux/tcp.h) as is looked at, in words of 32 bits; libc's has an older, shorter one.
const WORDS: usize = 37;

/// Segments that were sent and not acknowledged (`tcpi_unacked`).
const UNACKED: usize = 6;

/// Bytes that were not even sent (`tcpi_notsent_bytes`).
const UNSENT: usize = 36;

#[derive(Debug, Clone, Copy)]
struct Info;

nix::getsockopt_impl!(
    Info,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u32; WORDS],
    GetStruct<[u32; WORDS]>
);

/// Whether the peer's TCP has all that was sent, but for one segment. True where nobody can tell.
pub(super) fn nearly_all(socket: &impl AsFd) -> bool {
    getsockopt(socket, Info).map_or(true, |info| info[UNSENT] == 0 && info[UNACKED] <= 1)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_queue_is_empty_when_the_peer_has_everything() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut out = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert!(nearly_all(&out), "nothing was sent");
        out.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(more) = out.write(&[0; 65536]) {
            sent += more;
        }
        assert!(!nearly_all(&out), "the peer's window is full");
        let mut sink = vec![0; sent];
        out.set_nonblocking(false).unwrap();
        peer.read_exact(&mut sink).unwrap();
        while !nearly_all(&out) {
            std::thread::yield_now();
        }
    }
}
