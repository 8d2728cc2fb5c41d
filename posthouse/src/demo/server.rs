//! A small mail server on loopback that can be shut down kindly, killed, and brought back.
//!
//! Owns its listener and connections, all tasks of the caller's runtime. Killing does what a power
//! cut and a takeover of the address look like: the listener is gone, connections end with a reset.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::dialogue::{Answer, Dialogue};

/// More than this on one connection is not a demonstration's mail.
const MOST: u64 = 1 << 20;

/// What a server's tasks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Serving,
    ShuttingDown,
    Killed,
}

/// A mail server at one address.
#[derive(Debug)]
pub(super) struct MailServer {
    name: &'static str,
    address: SocketAddr,
    life: watch::Sender<Life>,
    accepting: Option<JoinHandle<()>>,
}

impl MailServer {
    /// Starts on a free port.
    pub(super) async fn start(name: &'static str) -> std::io::Result<Self> {
        let mut server = Self {
            name,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            life: watch::Sender::new(Life::Serving),
            accepting: None,
        };
        server.come_back().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves (again) on its address.
    pub(super) async fn come_back(&mut self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        self.life = watch::Sender::new(Life::Serving);
        let task = accept(listener, self.name, self.life.subscribe());
        self.accepting = Some(tokio::spawn(task));
        Ok(())
    }

    /// Dies at once; returns when nothing listens any more.
    pub(super) async fn kill(&mut self) {
        self.end(Life::Killed).await;
    }

    /// Tells every client 421 and ends; waits up to a second for them to be told.
    pub(super) async fn shut_down(&mut self) {
        self.end(Life::ShuttingDown).await;
        // Every connection holds a receiver.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.life.closed()).await;
    }

    async fn end(&mut self, life: Life) {
        self.life.send_replace(life);
        if let Some(task) = self.accepting.take() {
            // Only a panic of the task could be told here.
            let _ = task.await;
        }
    }
}

async fn accept(listener: TcpListener, name: &'static str, mut life: watch::Receiver<Life>) {
    loop {
        tokio::select! {
            biased;
            _ = life.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    tokio::spawn(connection(client, name, life.clone()));
                }
                // Out of descriptors: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// A client that is gone needs no answer: errors only end the connection.
async fn connection(mut client: TcpStream, name: &'static str, mut life: watch::Receiver<Life>) {
    let mut dialogue = Dialogue::new(name);
    tokio::select! {
        biased;
        _ = life.changed() => {}
        _ = serve(&mut client, &mut dialogue) => return,
    }
    if *life.borrow() == Life::Killed {
        let _ = client.set_zero_linger();
    } else {
        let _ = client.write_all(dialogue.farewell().as_bytes()).await;
    }
}

async fn serve(client: &mut TcpStream, dialogue: &mut Dialogue) -> std::io::Result<()> {
    let (reader, mut writer) = client.split();
    let mut reader = BufReader::new(reader.take(MOST));
    writer.write_all(dialogue.greeting().as_bytes()).await?;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        match dialogue.line(&line) {
            Answer::Listen => {}
            Answer::Say(text) | Answer::Taken(text, _) => writer.write_all(text.as_bytes()).await?,
            Answer::Bye(text) => return writer.write_all(text.as_bytes()).await,
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(client: &mut TcpStream) -> std::io::Result<String> {
        let mut text = [0; 200];
        let length = client.read(&mut text).await?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    #[tokio::test]
    async fn a_killed_server_resets_its_clients_and_listens_again_later() {
        let mut server = MailServer::start("mail1").await.unwrap();
        let address = server.address();
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(read(&mut client).await.unwrap().starts_with("220 mail1"));
        server.kill().await;
        let why = read(&mut client).await.unwrap_err();
        assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(TcpStream::connect(address).await.is_err());
        server.come_back().await.unwrap();
        assert_eq!(server.address(), address);
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(read(&mut client).await.unwrap().starts_with("220 "));
    }

    #[tokio::test]
    async fn a_server_that_is_shut_down_says_so() {
        let mut server = MailServer::start("mail1").await.unwrap();
        let mut client = TcpStream::connect(server.address()).await.unwrap();
        read(&mut client).await.unwrap();
        server.shut_down().await;
        assert!(read(&mut client).await.unwrap().starts_with("421 "));
        assert_eq!(read(&mut client).await.unwrap(), "");
    }
}
