//! The fault matrix: a primary that fails in every way mail servers do, under a steady load, behind a proxy.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::{Host, Lab};
use crate::load::{self, Load, Session};
use crate::postfix::Postfix;
use crate::proxy::{Program, Proxy};
use crate::server::{Manner, Server};
use crate::tls::{Authority, Order, Trust};
use crate::{pause, wait_until};

/// What happens to the primary a third of the way through the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of every process.
    Killed,
    /// `SIGSTOP` for every process: the kernel goes on accepting connections.
    Frozen,
    /// The cable is out: packets vanish.
    Unplugged,
    /// `postfix stop`.
    Stopped,
    /// Accepts and resets.
    Resets,
    /// Accepts and closes.
    Closes,
    /// Accepts and says nothing.
    Silent,
    /// Greets with 421.
    Greets421,
    /// Greets with 554.
    Greets554,
    /// Says one byte a second.
    Drips,
    /// The cable is out and in again, five times a second and a half.
    Flaps,
    /// Killed, and started again after a third of the load.
    Returns,
    /// `postfix stop` and `postfix start` of the primary, then of the backup.
    Rolls,
    /// Both are killed, and started again after a few seconds.
    Outage,
}

impl Fault {
    /// All of them, with the words for a table.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Killed, "killed (`kill -9`)"),
        (Self::Frozen, "frozen (`SIGSTOP`)"),
        (Self::Unplugged, "unplugged (link down)"),
        (Self::Stopped, "stopped (`postfix stop`)"),
        (Self::Resets, "accepts, resets"),
        (Self::Closes, "accepts, closes"),
        (Self::Silent, "accepts, is silent"),
        (Self::Greets421, "greets with 421"),
        (Self::Greets554, "greets with 554"),
        (Self::Drips, "one byte per second"),
        (Self::Flaps, "link flaps"),
        (Self::Returns, "killed, returns"),
    ];

    /// Those that only a session which outlives its servers survives.
    pub const BOTH: [(Self, &'static str); 2] = [
        (Self::Rolls, "restarted, one after the other"),
        (Self::Outage, "both killed, back after 3 s"),
    ];

    /// What a scripted server in the primary's place does.
    fn manner(self) -> Option<Manner> {
        Some(match self {
            Self::Resets => Manner::Resets,
            Self::Closes => Manner::Closes,
            Self::Silent => Manner::Silent,
            Self::Greets421 => Manner::Greets("421 4.3.2 mail1 is leaving".into()),
            Self::Greets554 => Manner::Greets("554 5.3.2 not today".into()),
            Self::Drips => Manner::Drips("220 mail1 ESMTP\r\n".into()),
            _ => return None,
        })
    }
}

/// How long nobody serves.
const OUTAGE: Duration = Duration::from_secs(3);

/// What became of the sessions.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many there were.
    pub sessions: usize,
    /// Failed, though they had no greeting yet when the fault was there.
    pub new_failed: usize,
    /// Failed in the middle of their dialogue when the fault came.
    pub cut: usize,
    /// The longest time to a greeting of those that began during the fault.
    pub slowest_greeting: Duration,
    /// The longest wait for a reply in sessions that had begun when the fault came and outlived it.
    pub longest_pause: Duration,
    /// Heard that the outcome of their message is not known (`451 4.4.2`), or still wait for the answer to its end,
    /// which a frozen server may give.
    pub unknown: usize,
    /// Messages acknowledged and not to be found.
    pub lost: usize,
    /// Messages found twice.
    pub doubled: usize,
    /// Words of some that failed.
    pub examples: Vec<String>,
}

/// Puts two Postfix behind a proxy with that configuration (for `192.168.1.10` and `.11`), lets the load run and
/// the fault strike, repairs the primary and counts the mail.
///
/// # Errors
/// The lab cannot be made, or the primary cannot be repaired.
pub fn play(fault: Fault, program: Program, configuration: &str, load: Load) -> Result<Outcome> {
    let lab = Lab::new()?;
    let mails = (
        Postfix::start(&lab, Host::Mail1)?,
        Postfix::start(&lab, Host::Mail2)?,
    );
    let configuration = configuration.replace("/var/run/haproxy/admin.sock", "@dir@/socket");
    let proxy = Proxy::start_on(&lab, Host::Lb, program, &configuration)?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    play_on(&lab, &mails, fault, load, None)
}

/// The same with Posthouse and TLS on both legs: half of the sessions begin with STARTTLS, the others are on 465; half of
/// either log in, those with STARTTLS by `option smtp-replay-auth`, the others by `xclient`.
///
/// # Errors
/// As above.
pub fn play_within_tls(fault: Fault, load: Load) -> Result<Outcome> {
    let (lab, authority) = (Lab::new()?, Authority::new()?);
    let order = Order {
        names: &["mx.example.com", "mail.example.com"],
        ..Order::default()
    };
    let own = authority.issue("mx.pem", &order)?;
    let pem = authority.pem(&order)?;
    let start = |host| Postfix::start_with_logins(&lab, host, &pem, load::LOGIN, Host::Lb);
    let mails = (start(Host::Mail1)?, start(Host::Mail2)?);
    let configuration = include_str!("within_tls.cfg")
        .replace("@crt@", &own.display().to_string())
        .replace("@ca@", &authority.ca().display().to_string());
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &configuration)?;
    for backend in ["starttls", "smtps"] {
        proxy.wait_for_status(backend, "mail1", "UP")?;
    }
    play_on(&lab, &mails, fault, load, Some(&authority.trust()?))
}

fn play_on(
    lab: &Lab,
    (mail1, mail2): &(Postfix<'_>, Postfix<'_>),
    fault: Fault,
    load: Load,
    trust: Option<&Trust>,
) -> Result<Outcome> {
    let to = (Host::Lb.ip(), 25).into();
    let (struck, sessions) = std::thread::scope(|scope| -> Result<_> {
        let running = scope.spawn(|| lab.on(Host::Client, || Ok(load.run(to, trust))));
        pause(load.length() / 3);
        let instead = strike(lab, (mail1, mail2), fault, load.length() / 3)?;
        let sessions = running.join().ok().context("the load panicked")??;
        repair(lab, mail1, fault, instead.1)?;
        Ok((instead.0, sessions))
    })?;
    let acknowledged = sessions.iter().filter(|session| session.acknowledged);
    let acknowledged: Vec<_> = acknowledged.map(|session| session.mark.clone()).collect();
    let filed = || [mail1.delivered(), mail2.delivered()].concat();
    // What is missing after that is lost; that it is, is the caller's to judge.
    let _ = wait_until("all mail is filed", || {
        let filed = filed().concat();
        acknowledged.iter().all(|mark| filed.contains(mark))
    });
    Ok(judge(&sessions, struck, &filed()))
}

/// Does it, and returns when it was done and who stands in for the primary.
fn strike(
    lab: &Lab,
    (mail1, mail2): (&Postfix<'_>, &Postfix<'_>),
    fault: Fault,
    third: Duration,
) -> Result<(Instant, Vec<Server>)> {
    match fault {
        Fault::Killed => mail1.kill()?,
        Fault::Frozen => mail1.freeze(true)?,
        Fault::Unplugged => lab.plug(Host::Mail1, false)?,
        Fault::Stopped => mail1.stop()?,
        Fault::Flaps => {
            for _ in 0..5 {
                lab.plug(Host::Mail1, false)?;
                pause(Duration::from_millis(100));
                lab.plug(Host::Mail1, true)?;
                pause(Duration::from_millis(200));
            }
        }
        Fault::Returns => {
            mail1.kill()?;
            let struck = Instant::now();
            pause(third);
            mail1.resume()?;
            return Ok((struck, Vec::new()));
        }
        Fault::Rolls => {
            let struck = Instant::now();
            for server in [mail1, mail2] {
                server.stop()?;
                server.resume()?;
                // An operator looks whether it is well before the next.
                pause(Duration::from_millis(1_500));
            }
            return Ok((struck, Vec::new()));
        }
        Fault::Outage => {
            mail1.kill()?;
            mail2.kill()?;
            let struck = Instant::now();
            pause(OUTAGE);
            mail2.resume()?;
            mail1.resume()?;
            return Ok((struck, Vec::new()));
        }
        _ => {
            mail1.kill()?;
            let manner = fault.manner().context("a scripted fault")?;
            let at = |port| SocketAddr::new(Host::Mail1.ip(), port);
            let instead = [25, 465].map(|port| {
                let manner = manner.clone();
                lab.on(Host::Mail1, || Server::start_at(at(port), manner))
            });
            let instead = instead.into_iter().collect::<Result<_>>()?;
            return Ok((Instant::now(), instead));
        }
    }
    Ok((Instant::now(), Vec::new()))
}

fn repair(lab: &Lab, mail1: &Postfix<'_>, fault: Fault, instead: Vec<Server>) -> Result<()> {
    match fault {
        Fault::Flaps | Fault::Returns | Fault::Rolls | Fault::Outage => Ok(()),
        Fault::Frozen => mail1.freeze(false),
        Fault::Unplugged => lab.plug(Host::Mail1, true),
        _ => {
            drop(instead);
            mail1.resume()
        }
    }
}

fn is_unknown(error: &str) -> bool {
    error.contains("451 4.4.2")
        || error.starts_with("end of data: Resource temporarily unavailable")
}

/// How many times a message was accepted. A server that is killed after it filed one and before it noted that files
/// it once more when it is back, under the same queue id: that is between it and its mailbox.
pub fn copies(filed: &[String], mark: &str) -> usize {
    let accepted = filed.iter().filter(|letter| letter.contains(mark));
    let by = |letter: &String| {
        let line = letter.lines().find(|line| line.starts_with("\tby "));
        line.map(str::to_string)
    };
    accepted.map(by).collect::<BTreeSet<_>>().len()
}

fn judge(sessions: &[Session], struck: Instant, filed: &[String]) -> Outcome {
    let mut outcome = Outcome {
        sessions: sessions.len(),
        ..Outcome::default()
    };
    for session in sessions {
        let copies = copies(filed, &session.mark);
        outcome.doubled += copies.saturating_sub(1);
        let in_flight = session.greeted.is_some_and(|at| at <= struck) && session.ended > struck;
        if session.acknowledged && in_flight {
            outcome.longest_pause = outcome.longest_pause.max(session.pause);
        }
        if session.acknowledged {
            outcome.lost += usize::from(copies == 0);
        } else if session.error.as_deref().is_some_and(is_unknown) {
            outcome.unknown += 1;
        } else if session.greeted.is_some_and(|at| at <= struck) {
            outcome.cut += 1;
            let error = session.error.as_deref().unwrap_or_default();
            outcome
                .examples
                .push(format!("{} cut: {error}", session.mark));
        } else {
            outcome.new_failed += 1;
            let error = session.error.as_deref().unwrap_or_default();
            let after = session.begun.saturating_duration_since(struck);
            outcome
                .examples
                .push(format!("{} begun {after:?} after: {error}", session.mark));
        }
        if let Some(greeted) = session.greeted.filter(|at| *at > struck) {
            let took = greeted - session.begun;
            outcome.slowest_greeting = outcome.slowest_greeting.max(took);
        }
    }
    outcome
}
