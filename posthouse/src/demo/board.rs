//! What the demonstration knows and shows: counts, the servers' fates, the proxy's last words.
//!
//! Pure: events in, text out. Owned by [`super::play`]; drawn twice a second.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::client::Delivery;

/// Lines of the proxy kept.
const SAID: usize = 5;
/// Deliveries kept for the strip.
const STRIP: usize = 60;

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A message was given to a client.
    Sent,
    /// It arrived.
    Delivered(Delivery),
    /// It did not, however often it was tried.
    Failed(String),
    /// The proxy said something.
    Said(String),
}

/// The primary's fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Primary {
    /// As it began.
    #[default]
    Serving,
    /// Since then.
    KilledAt(Duration),
    /// From when to when it was gone.
    Back(Duration, Duration),
}

/// Everything on display.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Time since the beginning.
    pub(super) now: Duration,
    end: Duration,
    addresses: [String; 3],
    /// What became of mail1.
    pub(super) primary: Primary,
    sent: u32,
    delivered: BTreeMap<String, u32>,
    broken: u32,
    failed: Vec<String>,
    slowest: Duration,
    strip: VecDeque<char>,
    said: VecDeque<String>,
}

impl Board {
    /// The addresses are the proxy's and both servers'.
    pub(super) fn new(addresses: [SocketAddr; 3], end: Duration) -> Self {
        Self {
            addresses: addresses.map(|address| address.to_string()),
            end,
            ..Self::default()
        }
    }

    /// Takes note.
    pub(super) fn note(&mut self, event: Event) {
        match event {
            Event::Sent => self.sent += 1,
            Event::Delivered(delivery) => {
                self.broken += delivery.broken;
                self.slowest = self.slowest.max(delivery.greeting);
                keep(
                    &mut self.strip,
                    STRIP,
                    delivery.server.chars().last().unwrap_or('?'),
                );
                *self.delivered.entry(delivery.server).or_default() += 1;
            }
            Event::Failed(why) => {
                keep(&mut self.strip, STRIP, 'x');
                self.failed.push(why);
            }
            Event::Said(line) => keep(&mut self.said, SAID, line),
        }
    }

    /// Whether every message has met its end.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight() == 0
    }

    /// Whether no message met a bad one.
    pub(super) fn none_failed(&self) -> bool {
        self.failed.is_empty()
    }

    fn arrived(&self) -> u32 {
        self.delivered.values().sum()
    }

    fn in_flight(&self) -> u32 {
        let failed = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        self.sent - self.arrived() - failed
    }

    fn by(&self, server: &str) -> u32 {
        self.delivered.get(server).copied().unwrap_or(0)
    }

    /// The screen, a line each, none wider than 80 characters.
    pub(super) fn screen(&self) -> Vec<String> {
        let [front, mail1, mail2] = &self.addresses;
        let fate = match self.primary {
            Primary::Serving => "serving".to_owned(),
            Primary::KilledAt(at) => format!("KILLED at {}", clock(at)),
            Primary::Back(_, at) => format!("back since {}", clock(at)),
        };
        let mut lines = vec![
            format!(
                "  Posthouse demo   {} of {}   Ctrl-C ends it",
                clock(self.now),
                clock(self.end)
            ),
            String::new(),
            format!("  mail -> {front:<16} -+-> mail1  {mail1:<16} primary  {fate}"),
            format!("          (posthouse)       `-> mail2  {mail2:<16} backup   serving"),
            String::new(),
            format!("  last messages, by server   {}", self.drawn_strip()),
            String::new(),
            format!("  {}", self.counts()),
            String::new(),
            "  The proxy says:".to_owned(),
        ];
        lines.extend(self.said.iter().map(|line| {
            // Level and process id would only push the end of the line off the screen.
            let text = line
                .split_once(" : ")
                .map_or(line.as_str(), |(_, text)| text);
            format!("    {text}")
        }));
        lines.resize(10 + SAID, String::new());
        lines
            .iter()
            .map(|line| line.chars().filter(|c| !c.is_control()).take(80).collect())
            .collect()
    }

    fn drawn_strip(&self) -> String {
        let shown = self.strip.len().saturating_sub(50);
        self.strip.iter().skip(shown).collect()
    }

    /// The counts in one line.
    pub(super) fn counts(&self) -> String {
        format!(
            "sent {}  mail1 {}  mail2 {}  in flight {}  failed {}  slowest greeting {}",
            self.sent,
            self.by("mail1"),
            self.by("mail2"),
            self.in_flight(),
            self.failed.len(),
            milliseconds(self.slowest)
        )
    }

    /// What is to be said at the end.
    pub(super) fn summary(&self) -> String {
        let mut text = format!(
            "{} messages in {}: {} taken by mail1, {} by mail2, {} failed.\n",
            self.sent,
            clock(self.now),
            self.by("mail1"),
            self.by("mail2"),
            self.failed.len()
        );
        match self.primary {
            Primary::Serving => {}
            Primary::KilledAt(at) => {
                text += &format!("mail1 was killed at {}.\n", clock(at));
            }
            Primary::Back(from, to) => {
                text += &format!("mail1 was gone from {} to {}.\n", clock(from), clock(to));
            }
        }
        if self.broken > 0 {
            text += &format!(
                "{} sessions broke under way and were tried again, as mail servers do.\n",
                self.broken
            );
        }
        for why in &self.failed {
            text += &format!("A message failed: {why}\n");
        }
        let left = self.in_flight();
        if left > 0 {
            text += &format!("{left} messages were still under way.\n");
        }
        text + &format!("Slowest greeting: {}.\n", milliseconds(self.slowest))
    }
}

fn keep<T>(list: &mut VecDeque<T>, most: usize, new: T) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(new);
}

/// `m:ss`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(server: &str, milliseconds: u64, broken: u32) -> Event {
        Event::Delivered(Delivery {
            server: server.into(),
            greeting: Duration::from_millis(milliseconds),
            broken,
        })
    }

    #[test]
    fn counts_add_up() {
        let mut board = Board::default();
        for _ in 0..4 {
            board.note(Event::Sent);
        }
        board.note(delivery("mail1", 3, 0));
        board.note(delivery("mail2", 20, 1));
        board.note(delivery("mail1", 5, 0));
        assert!(!board.is_settled());
        assert_eq!(
            board.counts(),
            "sent 4  mail1 2  mail2 1  in flight 1  failed 0  slowest greeting 20.0 ms"
        );
        assert_eq!(board.drawn_strip(), "121");
        board.note(delivery("mail1", 1, 0));
        assert!(board.is_settled() && board.none_failed());
        assert!(board.summary().contains("1 sessions broke"));
    }

    #[test]
    fn one_failure_is_enough() {
        let mut board = Board::default();
        board.note(Event::Sent);
        board.note(Event::Failed("connection refused".into()));
        assert!(board.is_settled() && !board.none_failed());
        assert!(board.summary().contains("failed: connection refused"));
    }

    #[test]
    fn the_screen_keeps_its_size_and_shows_the_fate() {
        let addresses = [40025, 40026, 40027].map(|port| ([127, 0, 0, 1], port).into());
        let mut board = Board::new(addresses, Duration::from_secs(60));
        let height = board.screen().len();
        for second in 0..200 {
            board.now = Duration::from_secs(second);
            board.note(Event::Said(format!(
                "[WARNING] {second} \x1b[2J{}",
                "x".repeat(200)
            )));
            board.note(Event::Sent);
            board.note(delivery("mail1", 1, 0));
        }
        board.primary = Primary::KilledAt(Duration::from_secs(15));
        let screen = board.screen();
        assert_eq!(screen.len(), height);
        assert!(screen.iter().all(|line| line.len() <= 80), "{screen:#?}");
        assert!(screen.iter().all(|line| !line.contains('\x1b')));
        assert!(screen.iter().any(|line| line.ends_with("KILLED at 0:15")));
    }
}
