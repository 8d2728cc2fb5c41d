//! Many sessions in flight at once, each at another place of its dialogue, when their server is killed.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::client::Client;
use crate::fault::copies;
use crate::lab::{Host, Lab};
use crate::postfix::Postfix;
use crate::proxy::{Program, Proxy};
use crate::wait_until;

/// Where sessions are when it happens: one in five each.
const PLACES: [&str; 5] = [
    "behind EHLO",
    "behind MAIL",
    "behind RCPT",
    "within a message",
    "between two messages",
];

/// What became of them.
#[derive(Debug, Default)]
pub struct Landing {
    /// How many there were.
    pub sessions: usize,
    /// Had a reply that they did not hope for, or none.
    pub failed: usize,
    /// The longest wait for a reply of each that did not fail, in order.
    pub pauses: Vec<Duration>,
    /// Messages acknowledged and not to be found.
    pub lost: usize,
    /// Messages found twice.
    pub doubled: usize,
    /// Words of some that failed.
    pub examples: Vec<String>,
}

impl Landing {
    /// The pause that `share` of the sessions did not exceed.
    pub fn pause(&self, share: f64) -> Duration {
        let place = (self.pauses.len() as f64 * share) as usize;
        let place = place.min(self.pauses.len().saturating_sub(1));
        self.pauses.get(place).copied().unwrap_or_default()
    }
}

struct Flight {
    /// Subjects of the messages that were acknowledged.
    acknowledged: Vec<String>,
    pause: Duration,
    error: Option<String>,
}

/// Puts two Postfix with room for them all behind a proxy, brings that many sessions to their places, kills the primary, and
/// has all go on at once.
///
/// # Errors
/// The lab cannot be made.
pub fn fly(program: Program, configuration: &str, sessions: usize) -> Result<Landing> {
    let lab = Lab::new()?;
    let room = format!("default_process_limit = {}\n", sessions + 100);
    let mail1 = Postfix::start_with(&lab, Host::Mail1, &room, "")?;
    let mail2 = Postfix::start_with(&lab, Host::Mail2, &room, "")?;
    let configuration = configuration.replace("/var/run/haproxy/admin.sock", "@dir@/socket");
    let proxy = Proxy::start_on(&lab, Host::Lb, program, &configuration)?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    let to = (Host::Lb.ip(), 25).into();
    let (in_place, go) = (Barrier::new(sessions + 1), Barrier::new(sessions + 1));
    let flights = std::thread::scope(|scope| -> Result<Vec<Flight>> {
        let begin = || {
            let one = |number| {
                let stop = Stop {
                    in_place: &in_place,
                    go: &go,
                    was: false,
                };
                let thread = std::thread::Builder::new().stack_size(256 << 10);
                thread.spawn_scoped(scope, move || flight(to, number, stop))
            };
            (0..sessions).map(one).collect::<Result<Vec<_>, _>>()
        };
        let flights = lab.on(Host::Client, || Ok(begin()?))?;
        in_place.wait();
        let killed = mail1.kill();
        go.wait();
        killed?;
        let landed = flights.into_iter().map(|flight| flight.join());
        landed
            .map(|flight| flight.ok().context("a session panicked"))
            .collect()
    })?;
    mail1.resume()?;
    let acknowledged = flights.iter().map(|flight| flight.acknowledged.len()).sum();
    let filed = || [mail1.delivered(), mail2.delivered()].concat();
    // What is missing after that is lost.
    let _ = wait_until("all mail is filed", || filed().len() >= acknowledged);
    let filed = filed();
    let mut landing = Landing {
        sessions,
        ..Landing::default()
    };
    for flight in &flights {
        match &flight.error {
            Some(error) => {
                landing.failed += 1;
                landing.examples.push(error.clone());
            }
            None => landing.pauses.push(flight.pause),
        }
        for mark in &flight.acknowledged {
            let copies = copies(&filed, mark);
            landing.lost += usize::from(copies == 0);
            landing.doubled += copies.saturating_sub(1);
        }
    }
    landing.pauses.sort();
    landing.examples.truncate(5);
    Ok(landing)
}

/// Where a session waits for all the others, and then for the kill: once.
struct Stop<'b> {
    in_place: &'b Barrier,
    go: &'b Barrier,
    was: bool,
}

impl Stop<'_> {
    fn here(&mut self) {
        if !std::mem::replace(&mut self.was, true) {
            self.in_place.wait();
            self.go.wait();
        }
    }
}

fn flight(to: SocketAddr, number: usize, mut stop: Stop<'_>) -> Flight {
    let mut flight = Flight {
        acknowledged: Vec::new(),
        pause: Duration::ZERO,
        error: None,
    };
    if let Err(error) = talk(to, number, &mut stop, &mut flight) {
        let place = PLACES[number % PLACES.len()];
        flight.error = Some(format!("{number}, {place}: {error:#}"));
    }
    // The others wait for it, however it went.
    stop.here();
    flight
}

fn talk(to: SocketAddr, number: usize, stop: &mut Stop<'_>, flight: &mut Flight) -> Result<()> {
    let place = number % PLACES.len();
    let mut stop_at = |here: usize| {
        if place == here {
            stop.here();
        }
    };
    let mut client = Client::connect(to)?;
    let greeting = client.line()?;
    ensure!(greeting.starts_with("220"), "greeting: {greeting:?}");
    say(&mut client, "EHLO client.example.org", "250")?;
    let messages = 1 + usize::from(place == 4);
    for message in 1..=messages {
        let mark = format!("flight-{number:05}-{message}-end");
        stop_at(if message == 1 { 0 } else { 4 });
        say(&mut client, "MAIL FROM:<a@example.org>", "250")?;
        stop_at(1);
        say(&mut client, "RCPT TO:<inbox@example.com>", "250")?;
        stop_at(2);
        say(&mut client, "DATA", "354")?;
        client.send(format!(
            "Subject: {mark}\r\n\r\n{}",
            "Hello.\r\n".repeat(500)
        ))?;
        stop_at(3);
        let rest = format!("{}.", "Goodbye.\r\n".repeat(500));
        say(&mut client, &rest, "250")?;
        flight.acknowledged.push(mark);
    }
    flight.pause = client.slowest_reply();
    let _ = client.command("QUIT");
    Ok(())
}

fn say(client: &mut Client, command: &str, hope: &str) -> Result<()> {
    let reply = client.command(command)?;
    ensure!(reply.starts_with(hope), "{command:.20}: {reply}");
    Ok(())
}
