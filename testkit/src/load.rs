//! A steady load of mail: sessions at a fixed pace, each with one message of its own name.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;
use crate::pause;
use crate::tls::Trust;

/// How much, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Sessions in all.
    pub sessions: usize,
    /// Sessions begun per second, whatever becomes of the others.
    pub per_second: u32,
}

/// One in so many sessions, of all kinds, takes its time in the middle of the dialogue.
const SLOW: usize = 19;

/// Who logs in, and the password.
pub const LOGIN: (&str, &str) = ("ann", "s3cret-words");

/// How they say it.
const PLAIN: &str = "AUTH PLAIN AGFubgBzM2NyZXQtd29yZHM=";

/// How long such a one takes.
const SLOWNESS: Duration = Duration::from_millis(1_500);

/// What a client saw of its session.
#[derive(Debug)]
pub struct Session {
    /// The subject of its message.
    pub mark: String,
    /// When it began to connect.
    pub begun: Instant,
    /// When it was greeted with a 220.
    pub greeted: Option<Instant>,
    /// When it was over.
    pub ended: Instant,
    /// The longest wait for a reply.
    pub pause: Duration,
    /// The 250 to its message came.
    pub acknowledged: bool,
    /// What went wrong.
    pub error: Option<String>,
}

impl Load {
    /// How long it takes to begin them all.
    pub fn length(self) -> Duration {
        Duration::from_secs(1) * self.sessions as u32 / self.per_second
    }

    /// Begins the sessions one by one, each in a thread of its own, and waits for them all.
    /// With `trust` every second session begins with STARTTLS, and the others with TLS on 465; every other pair logs in.
    pub fn run(self, to: SocketAddr, trust: Option<&Trust>) -> Vec<Session> {
        let begun = Instant::now();
        let step = Duration::from_secs(1) / self.per_second;
        let threads: Vec<JoinHandle<Session>> = (0..self.sessions)
            .map(|number| {
                let due = begun + step * number as u32;
                pause(due.saturating_duration_since(Instant::now()));
                let trust = trust.cloned();
                std::thread::spawn(move || session(to, number, trust.as_ref()))
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    }
}

fn session(to: SocketAddr, number: usize, trust: Option<&Trust>) -> Session {
    let now = Instant::now();
    let mut session = Session {
        mark: format!("load-{number:05}-end"),
        begun: now,
        greeted: None,
        ended: now,
        pause: Duration::ZERO,
        acknowledged: false,
        error: None,
    };
    if let Err(error) = talk(to, number, trust, &mut session) {
        session.error = Some(format!("{error:#}"));
    }
    session.ended = Instant::now();
    session
}

fn talk(to: SocketAddr, number: usize, trust: Option<&Trust>, session: &mut Session) -> Result<()> {
    let at_once = number % 2 == 1;
    let mut client = match trust.filter(|_| at_once) {
        None => Client::connect(to)?,
        Some(trust) => {
            let mut client = Client::connect((to.ip(), 465).into())?;
            client.secure(trust)?;
            client
        }
    };
    let greeting = client.line()?;
    anyhow::ensure!(greeting.starts_with("220"), "greeting: {greeting:?}");
    session.greeted = Some(Instant::now());
    if let Some(trust) = trust.filter(|_| !at_once) {
        client.command("EHLO client.example.org")?;
        let reply = client.command("STARTTLS")?;
        anyhow::ensure!(reply.starts_with("220"), "STARTTLS: {reply:?}");
        client.secure(trust)?;
    }
    if trust.is_some() && number % 4 >= 2 {
        client.command("EHLO client.example.org")?;
        let reply = client.command(PLAIN)?;
        anyhow::ensure!(reply.starts_with("235"), "AUTH: {reply:?}");
    }
    if number.is_multiple_of(SLOW) {
        client.command("NOOP")?;
        pause(SLOWNESS);
    }
    let reply = client.message(&session.mark)?;
    session.pause = client.slowest_reply();
    anyhow::ensure!(reply.starts_with("250"), "end of data: {reply:?}");
    session.acknowledged = true;
    // The message is the server's now; how the session ends changes nothing for the sender.
    let _ = client.command("QUIT");
    Ok(())
}
