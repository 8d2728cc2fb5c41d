//! A check's connection: TCP or a unix socket, and TLS where it is asked for.

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::path::Path;

use tokio::net::{TcpSocket, UnixStream};

use crate::leg::Leg;
use crate::tls::{Failure, Stream as Tls};

/// A connection, and its ends where it is one of TCP.
#[derive(Debug)]
pub(crate) struct Stream {
    leg: Leg,
    ends: Option<(SocketAddr, SocketAddr)>,
}

impl Stream {
    pub(crate) async fn tcp(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<Self> {
        let socket = if to.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(from) = from {
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(from.ip(), 0))?;
        }
        socket.set_nodelay(true)?;
        let stream = socket.connect(to).await?;
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        let leg = Leg::plain(stream.into_std()?.into())?;
        Ok(Self { leg, ends })
    }

    pub(crate) async fn unix(path: &Path) -> io::Result<Self> {
        Self::local(UnixStream::connect(path).await?.into_std()?)
    }

    pub(crate) fn abstract_unix(name: &[u8]) -> io::Result<Self> {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
        stream.set_nonblocking(true)?;
        Self::local(stream)
    }

    fn local(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            leg: Leg::plain(stream.into())?,
            ends: None,
        })
    }

    /// From here on TLS.
    pub(crate) async fn upgrade(&mut self, tls: Tls) -> Result<(), Failure> {
        self.leg.upgrade(tls).await
    }

    /// Our end and the other, of a TCP connection.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.ends
    }

    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.leg.read(buffer).await
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.leg.write_all(bytes).await
    }

    /// Says that no more will be sent.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.leg.shutdown().await
    }
}
