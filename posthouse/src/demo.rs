//! `posthouse demo`: two small mail servers, the real proxy in front of them, a trickle of mail, and a
//! primary that dies and comes back while one watches.
//!
//! Everything is on loopback and on ports the system picks. The proxy is a process of its own
//! ([`proxy`]), servers and clients are tasks of one thread. [`play`] is the whole story on one page.

mod board;
mod client;
mod dialogue;
mod proxy;
mod screen;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval};

use board::{Board, Event, Primary, clock};
use proxy::Proxy;
use screen::Screen;
use server::MailServer;

/// Unless `--seconds` says otherwise.
const LENGTH: Duration = Duration::from_secs(60);
/// Shorter, the proxy could not notice what happens.
const SHORTEST: u64 = 8;
/// One message each.
const TRICKLE: Duration = Duration::from_millis(200);
/// How long messages under way are waited for at the end.
const SETTLE: Duration = Duration::from_secs(8);
/// The same after Ctrl-C.
const HURRY: Duration = Duration::from_secs(1);
/// Plain lines come this much more seldom than frames.
const PLAIN: u32 = 10;

const MESSAGE: &str =
    "From: <sender@demo.test>\nTo: <reader@demo.test>\nSubject: hello\n\n.A dot leads this line.\n";

/// Runs it with the words after `demo`.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let Some(length) = length(words) else {
        eprintln!("usage: posthouse demo [--seconds <n>], {SHORTEST} or more; 60 unless told.");
        return ExitCode::from(1);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let played = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(play(length)));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("The demo could not go on: {why:#}.");
            ExitCode::from(1)
        }
    }
}

fn length(words: &[String]) -> Option<Duration> {
    match words {
        [] => Some(LENGTH),
        [flag, seconds] if flag == "--seconds" => {
            let seconds = seconds.parse().ok().filter(|n| *n >= SHORTEST)?;
            Some(Duration::from_secs(seconds))
        }
        _ => None,
    }
}

/// The story; whether no message failed.
async fn play(length: Duration) -> anyhow::Result<bool> {
    let mut mail1 = MailServer::start("mail1").await.context("mail1")?;
    let mut mail2 = MailServer::start("mail2").await.context("mail2")?;
    let front = proxy::free_address().context("no free port")?;
    let (events, mut inbox) = unbounded_channel();
    let text = proxy::configuration(front, mail1.address(), mail2.address());
    let mut proxy = Proxy::start(&text, &events)?;
    if let Err(why) = proxy.wait_until_it_serves(front).await {
        let said = last_words(&mut inbox).await;
        return Err(why.context(said));
    }
    let mut board = Board::new([front, mail1.address(), mail2.address()], length);
    let mut screen = Screen::open();
    if !screen.is_live() {
        screen.say(&format!("The proxy listens on {front} with:\n\n{text}"));
    }
    let start = Instant::now();
    let mut trickle = interval(TRICKLE);
    trickle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frames = interval(Duration::from_millis(500));
    let mut drawn = 0;
    let (kill, back) = (start + length / 4, start + length / 2);
    let end = tokio::time::sleep_until(start + length);
    let interrupted = interrupted();
    tokio::pin!(end, interrupted);
    let mut patience = SETTLE;
    let at = |when: Instant| when - start;
    loop {
        let next = match board.primary {
            Primary::Serving => kill,
            _ => back,
        };
        tokio::select! {
            _ = &mut end => break,
            _ = &mut interrupted => {
                patience = HURRY;
                break;
            }
            status = proxy.ended() => anyhow::bail!("the proxy ended: {status}"),
            Some(event) = inbox.recv() => {
                if let (Event::Said(line), false) = (&event, screen.is_live()) {
                    screen.say(&format!("       {line}"));
                }
                board.note(event);
            }
            _ = trickle.tick() => {
                board.note(Event::Sent);
                tokio::spawn(send(front, events.clone()));
            }
            _ = tokio::time::sleep_until(next), if !matches!(board.primary, Primary::Back(..)) => {
                board.primary = act(board.primary, &mut mail1, at(Instant::now())).await?;
                if !screen.is_live() {
                    screen.say(&fate(board.primary));
                }
            }
            _ = frames.tick() => {
                board.now = at(Instant::now());
                draw(&mut screen, &board, &mut drawn);
            }
        }
    }
    settle(&mut board, &mut inbox, patience).await;
    board.now = at(Instant::now()).min(length);
    if screen.is_live() {
        screen.draw(&board.screen());
    }
    proxy.stop().await;
    mail1.shut_down().await;
    mail2.shut_down().await;
    screen.say(&format!("\n{}", board.summary()));
    // Who interrupts does not wait for the rest, which is no failure then.
    Ok(board.none_failed() && (board.is_settled() || patience == HURRY))
}

/// Ctrl-C, or whatever else ends a program from outside: the proxy must not be left behind.
async fn interrupted() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = term.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// The next turn of the primary's fate.
async fn act(fate: Primary, mail1: &mut MailServer, now: Duration) -> anyhow::Result<Primary> {
    Ok(match fate {
        Primary::Serving => {
            mail1.kill().await;
            Primary::KilledAt(now)
        }
        Primary::KilledAt(then) => {
            mail1.come_back().await.context("mail1 cannot come back")?;
            Primary::Back(then, now)
        }
        Primary::Back(..) => fate,
    })
}

fn fate(primary: Primary) -> String {
    match primary {
        Primary::Serving => String::new(),
        Primary::KilledAt(at) => format!("{:>5}  mail1, the primary, is killed", clock(at)),
        Primary::Back(_, at) => format!("{:>5}  mail1 is back", clock(at)),
    }
}

fn draw(screen: &mut Screen, board: &Board, drawn: &mut u32) {
    if screen.is_live() {
        screen.draw(&board.screen());
    } else if drawn.is_multiple_of(PLAIN) {
        screen.say(&format!("{:>5}  {}", clock(board.now), board.counts()));
    }
    *drawn += 1;
}

async fn send(front: std::net::SocketAddr, events: UnboundedSender<Event>) {
    let event = match client::deliver(front, MESSAGE).await {
        Ok(delivery) => Event::Delivered(delivery),
        Err(why) => Event::Failed(why.to_string()),
    };
    // The story may have ended meanwhile.
    let _ = events.send(event);
}

/// Waits for the messages under way.
async fn settle(board: &mut Board, inbox: &mut UnboundedReceiver<Event>, patience: Duration) {
    let rest = async {
        while !board.is_settled() {
            let Some(event) = inbox.recv().await else {
                return;
            };
            board.note(event);
        }
    };
    // What is left after that is told as still under way.
    let _ = tokio::time::timeout(patience, rest).await;
}

/// What the proxy said before it gave up.
async fn last_words(inbox: &mut UnboundedReceiver<Event>) -> String {
    let mut said = String::from("the proxy does not serve");
    let quiet = Duration::from_millis(200);
    while let Ok(Some(event)) = tokio::time::timeout(quiet, inbox.recv()).await {
        if let Event::Said(line) = event {
            said += "\n  ";
            said += &line;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_can_be_told() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert_eq!(length(&[]), Some(LENGTH));
        assert_eq!(
            length(&words("--seconds 12")),
            Some(Duration::from_secs(12))
        );
        for wrong in ["--seconds", "--seconds 2", "--seconds x", "12", "--help"] {
            assert_eq!(length(&words(wrong)), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_primary_dies_once_and_comes_back_once() {
        let mut mail1 = MailServer::start("mail1").await.unwrap();
        let address = mail1.address();
        let second = Duration::from_secs;
        let killed = act(Primary::Serving, &mut mail1, second(1)).await.unwrap();
        assert_eq!(killed, Primary::KilledAt(second(1)));
        assert!(!client::greeted(address).await);
        let back = act(killed, &mut mail1, second(2)).await.unwrap();
        assert_eq!(back, Primary::Back(second(1), second(2)));
        assert!(client::greeted(address).await);
        assert_eq!(fate(back), " 0:02  mail1 is back");
    }
}
