//! Whether the peer's TCP has acknowledged all that was sent.
//!
//! `SIOCOUTQ` would tell it in bytes, but no crate offers it without `unsafe`. `SO_MEMINFO` tells how much
//! memory the send queue holds, and an empty queue is what is asked for: a segment leaves it when it is
//! acknowledged.

use std::os::fd::AsFd;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;

/// Values of `SO_MEMINFO` (linux/sock_diag.h, `SK_MEMINFO_VARS`).
const VALUES: usize = 9;

/// Which of them is `SK_MEMINFO_WMEM_QUEUED`.
const WMEM_QUEUED: usize = 5;

/// linux/socket.h; not in libc for every target.
const SO_MEMINFO: libc::c_int = 55;

#[derive(Debug, Clone, Copy)]
struct MemInfo;

nix::getsockopt_impl!(
    MemInfo,
    libc::SOL_SOCKET,
    SO_MEMINFO,
    [u32; VALUES],
    GetStruct<[u32; VALUES]>
);

/// Whether the peer's TCP has all that was sent. True where nobody can tell.
pub(super) fn all(socket: &impl AsFd) -> bool {
    getsockopt(socket, MemInfo).map_or(true, |values| values[WMEM_QUEUED] == 0)
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
        assert!(all(&out), "nothing was sent");
        out.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(more) = out.write(&[0; 65536]) {
            sent += more;
        }
        assert!(!all(&out), "the peer's window is full");
        let mut sink = vec![0; sent];
        out.set_nonblocking(false).unwrap();
        peer.read_exact(&mut sink).unwrap();
        while !all(&out) {
            std::thread::yield_now();
        }
    }
}
