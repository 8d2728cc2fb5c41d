//! A connection that the control thread makes: to a server that is checked, an agent, a webhook, a mailer. TCP or a unix
//! socket, and TLS where it is asked for.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use config::model::{ServerAddress, ServerTls};
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, bind, connect, getpeername, socket_with, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::leg::Leg;
use crate::sock;
use crate::socket::Socket;
use crate::tls::{Asked, Failure, Stream as Tls, Tls as Everything};

/// A connection.
#[derive(Debug)]
pub struct Call {
    leg: Leg,
}

/// An error in words alone: `connection refused`.
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

impl Call {
    /// Connects, from that address if any.
    ///
    /// # Errors
    /// The connection does not come about.
    pub async fn tcp(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(sock::family(to), SocketType::STREAM, flags, None)?;
        if let Some(from) = from {
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &SocketAddr::new(from.ip(), 0))?;
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = Socket::from(socket);
        socket.watch(true)?;
        poll_fn(|context| socket.poll_writable(context)).await?;
        sockopt::socket_error(&socket)??;
        Ok(Self {
            leg: Leg::plain(socket),
        })
    }

    /// The same to where a server is.
    pub(crate) async fn server(to: &ServerAddress, from: Option<SocketAddr>) -> io::Result<Self> {
        match to {
            ServerAddress::Ip(address) => Self::tcp(*address, from).await,
            ServerAddress::Unix(path) => Self::unix(path).await,
            ServerAddress::Abstract(name) => Self::abstract_unix(name),
            ServerAddress::IpRelative(..) => Err(io::Error::other(
                "its port is that of a client's connection",
            )),
        }
    }

    async fn unix(path: &Path) -> io::Result<Self> {
        Self::local(UnixStream::connect(path).await?.into_std()?)
    }

    fn abstract_unix(name: &[u8]) -> io::Result<Self> {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
        stream.set_nonblocking(true)?;
        Self::local(stream)
    }

    fn local(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            leg: Leg::plain(OwnedFd::from(stream).into()),
        })
    }

    /// From here on TLS, as a `webhook` or a `mailer` of the configuration has it.
    ///
    /// # Errors
    /// Why it did not come about, in words.
    pub async fn secure(&mut self, tls: &Everything, conf: &Arc<ServerTls>) -> Result<(), String> {
        let connector = tls.connector(conf).ok_or("TLS is not set up")?;
        let there = self.ends().map(|(_, there)| ServerAddress::Ip(there));
        let there = there.ok_or("not connected")?;
        let words = |failure: Failure| failure.to_string();
        let session = connector.connect(&there, None, &Asked::default());
        self.upgrade(session.map_err(words)?).await.map_err(words)
    }

    /// The version of TLS that runs on it.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        self.leg.tls_version()
    }

    /// From here on TLS.
    pub(crate) async fn upgrade(&mut self, tls: Tls) -> Result<(), Failure> {
        self.leg.upgrade(tls).await
    }

    /// Our end and the other, of a TCP connection.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let there = getpeername(self.leg.socket()).ok()??;
        let there = SocketAddr::try_from(there).ok()?;
        Some((sock::local_address(self.leg.socket())?, there))
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

impl AsyncRead for Call {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.leg.poll_read(context, buffer.initialize_unfilled()))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Call {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.leg.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leg.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leg.poll_shutdown(context)
    }
}
