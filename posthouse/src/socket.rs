//! The stats socket from the other side: who asks it, `ctl` and `top`.
//!
//! A line is a connection, as HAProxy has it by default: what was asked is answered, then it is closed. So
//! nothing is kept of a process that may be replaced between two lines.

mod find;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::linux::net::SocketAddrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub(crate) use find::Where;

/// How long a socket may take to be reached.
const REACH: Duration = Duration::from_secs(5);

/// Where a stats socket is, in the words of `stats socket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `/path`, `unix@/path`.
    Unix(PathBuf),
    /// `abns@name`.
    Abstract(Vec<u8>),
    /// `host:port`, `ipv4@...`, `ipv6@...`.
    Tcp(String),
}

impl Address {
    /// Reads it as `-s` has it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix@") {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(name) = text.strip_prefix("abns@") {
            return Ok(Self::Abstract(name.as_bytes().to_owned()));
        }
        let network = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"];
        let host = network.iter().find_map(|kind| text.strip_prefix(kind));
        if host.is_none() && text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let host = host.unwrap_or(text);
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) => Ok(Self::Tcp(host.to_owned())),
            _ => Err(format!(
                "'{text}' is no address of a stats socket: a path with a '/' or <host>:<port>"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(out),
            Self::Abstract(name) => write!(out, "abns@{}", String::from_utf8_lossy(name)),
            Self::Tcp(host) => host.fmt(out),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Address {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Abstract(name) => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
                stream.set_nonblocking(true)?;
                Box::new(UnixStream::from_std(stream)?)
            }
            Self::Tcp(host) => {
                let addresses: Vec<SocketAddr> = host.to_socket_addrs()?.collect();
                Box::new(TcpStream::connect(&addresses[..]).await?)
            }
        })
    }

    /// Asks a line of commands; `hear` gets the answer's lines, with their ends, as they come. `patience` is how
    /// long a silence is borne; `None`: for ever.
    pub(crate) async fn ask(
        &self,
        commands: &str,
        patience: Option<Duration>,
        mut hear: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let reached = timeout(REACH, self.connect()).await;
        let stream = match reached {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => bail!("{self}: {}", why(&error)),
            Err(_) => bail!(
                "{self}: does not take a connection within {}s",
                REACH.as_secs()
            ),
        };
        let mut stream = BufReader::new(stream);
        let whole = format!("{commands}\n");
        timeout(REACH, stream.write_all(whole.as_bytes()))
            .await
            .with_context(|| format!("{self}: does not read"))?
            .with_context(|| self.to_string())?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = stream.read_until(b'\n', &mut line);
            let read = match patience {
                Some(patience) => timeout(patience, read)
                    .await
                    .with_context(|| format!("{self}: silent for {}s", patience.as_secs()))?,
                None => read.await,
            };
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => hear(&String::from_utf8_lossy(&line)),
                // Closed without having read all there was: the answer is whole all the same.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).with_context(|| self.to_string()),
            }
        }
    }

    /// The same, gathered.
    #[cfg(feature = "top")]
    pub(crate) async fn answer(
        &self,
        commands: &str,
        patience: Duration,
    ) -> anyhow::Result<String> {
        let mut text = String::new();
        self.ask(commands, Some(patience), |line| text.push_str(line))
            .await?;
        Ok(text)
    }
}

/// What it means, and what helps.
fn why(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match error.kind() {
        NotFound => {
            "there is no such socket; is the proxy running, and is this its `stats socket`?".into()
        }
        ConnectionRefused => "nobody listens there; is the proxy running?".into(),
        PermissionDenied => {
            "you may not use it; its `mode`, `user` and `group` are in the `stats socket` line"
                .into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str| Ok(Address::Tcp(host.into()));
        assert_eq!(Address::parse("/run/x"), Ok(Address::Unix("/run/x".into())));
        assert_eq!(Address::parse("unix@x"), Ok(Address::Unix("x".into())));
        assert_eq!(Address::parse("./x"), Ok(Address::Unix("./x".into())));
        assert_eq!(
            Address::parse("abns@x"),
            Ok(Address::Abstract(b"x".to_vec()))
        );
        assert_eq!(Address::parse("mail:9999"), tcp("mail:9999"));
        assert_eq!(Address::parse("ipv4@127.0.0.1:99"), tcp("127.0.0.1:99"));
        assert_eq!(Address::parse("[::1]:99"), tcp("[::1]:99"));
        for wrong in ["x", "mail:", "mail:x", "1.2.3.4:99999"] {
            assert!(Address::parse(wrong).unwrap_err().contains(wrong));
        }
    }
}
