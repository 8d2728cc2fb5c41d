//! `posthouse top`: the servers of a running proxy in a terminal, live, and the keys that drain them.
//!
//! It asks the stats socket once per interval ([`sample`]) and keeps what the user has set in [`view`]; both are
//! pure. [`draw`] shows them, [`plain`] prints them once, [`terminal`] owns the terminal and gives it back.
//! It speaks to Posthouse and to HAProxy alike.

mod board;
mod column;
mod draw;
mod plain;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use control::answer::{Hearing, WITH_SEVERITY};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use crate::signals;
use crate::socket::{Address, Where};
use crate::tool::{Tool, Words, block_on};
use board::Board;
use terminal::Terminal;
use view::{Act, View};

const TOOL: Tool = Tool {
    name: "top",
    usage: "\
Usage: posthouse top [-s <socket> | -f <file>] [-d <seconds>] [--sort <column>] [--filter <text>] [--once]

Shows the servers of a running Posthouse or HAProxy, live. Keys are told by '?'.

  -s <socket>        the stats socket: a path, or <host>:<port>
  -f <file>          the configuration, of which the stats socket is taken
  -d <seconds>       how often it is asked: 1 unless told
  --sort <column>    by a column's name: server, status, sessions, rate ...
  --filter <text>    only rows whose proxy, server or status has it
  --once             print it once and end, for scripts and mail
",
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The words after `top`, understood.
#[derive(Debug, PartialEq)]
struct Options {
    whom: Where,
    every: Duration,
    sort: usize,
    filter: String,
    once: bool,
    help: bool,
}

fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        whom: Where::default(),
        every: Duration::from_secs(1),
        sort: 0,
        filter: String::new(),
        once: false,
        help: false,
    };
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--once" => options.once = true,
            "--help" | "-h" => options.help = true,
            "-d" => {
                let seconds = words.next().and_then(|word| word.parse::<f64>().ok());
                let seconds = seconds.filter(|seconds| (0.1..=3600.0).contains(seconds));
                let seconds = seconds.ok_or("-d needs an argument: seconds, from 0.1 to 3600")?;
                options.every = Duration::from_secs_f64(seconds);
            }
            "--sort" => {
                let name = words.next().unwrap_or_default();
                options.sort = column::by_name(&name).ok_or_else(|| {
                    format!("--sort needs a column: {}", column::names().join(", "))
                })?;
            }
            "--filter" => {
                options.filter = words.value("--filter", "a text")?;
            }
            flag if options.whom.take(flag, &mut words)? => {}
            other => return Err(TOOL.no_flag(other)),
        }
    }
    Ok(options)
}

/// Runs it with the words after `top`.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let options = match parse(words) {
        Ok(options) if options.help => return crate::print(TOOL.usage),
        Ok(options) => options,
        Err(why) => return TOOL.misread(&why),
    };
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !options.once && !terminal {
        return TOOL.trouble("this is no terminal; --once prints the table and ends");
    }
    let address = match options.whom.address() {
        Ok(address) => address,
        Err(why) => return TOOL.trouble(&why),
    };
    match block_on(show(&address, options)) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(signal)) => signals::die_of(signal),
        Err(why) => TOOL.trouble(&format!("{why:#}")),
    }
}

/// A snapshot of the proxy.
async fn sample(address: &Address) -> anyhow::Result<String> {
    address.answer("show info;show stat", PATIENCE).await
}

/// Until the user or a signal, which is returned, ends it.
async fn show(address: &Address, options: Options) -> anyhow::Result<Option<i32>> {
    let mut board = Board::default();
    // Who cannot be reached at all is told before the terminal is touched.
    board.take(&sample(address).await?, Duration::ZERO)?;
    let mut view = View::new(options.sort, options.filter);
    if options.once {
        crate::print(&plain::table(&board, &view));
        return Ok(None);
    }
    let mut ends = Ends::listen()?;
    let mut terminal = Terminal::enter()?;
    let mut keys = keys();
    let (tasks, mut told) = unbounded_channel();
    let begun = Instant::now();
    let mut next = begun + options.every;
    let mut asked = false;
    loop {
        terminal.draw(|frame| draw::draw(frame, &board, &mut view, &address.to_string()))?;
        tokio::select! {
            signal = ends.next() => return Ok(Some(signal)),
            event = keys.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match view.key(key, &board) {
                    Act::None => {}
                    Act::Quit => return Ok(None),
                    Act::Suspend => terminal.suspend()?,
                    Act::Send(command) => {
                        view.tell(format!("{command} ..."), false);
                        spawn(&tasks, command_of(address.clone(), command));
                    }
                },
                Some(_) => {}
                None => return Ok(None),
            },
            Some(told) = told.recv() => match told {
                Told::Sample(taken) => {
                    asked = false;
                    let taken = taken.and_then(|text| board.take(&text, begun.elapsed()));
                    view.reached(taken.err().map(|why| format!("{why:#}")));
                }
                Told::Done { command, answer } => {
                    match answer {
                        Ok(()) => view.tell(format!("{command}: done"), false),
                        Err(why) => view.tell(format!("{command}: {why:#}"), true),
                    }
                    // Its effect is to be seen at once.
                    next = Instant::now();
                }
            },
            () = sleep_until(next), if !asked => {
                asked = true;
                next = Instant::now() + options.every;
                let address = address.clone();
                spawn(&tasks, async move { Told::Sample(sample(&address).await) });
            }
        }
    }
}

/// What a task brings back.
enum Told {
    Sample(anyhow::Result<String>),
    Done {
        command: String,
        answer: anyhow::Result<()>,
    },
}

fn spawn(tasks: &UnboundedSender<Told>, work: impl Future<Output = Told> + Send + 'static) {
    let tasks = tasks.clone();
    tokio::spawn(async move {
        // Nobody waits for it when the view has been left.
        let _ = tasks.send(work.await);
    });
}

async fn command_of(address: Address, command: String) -> Told {
    let answer = async {
        let mut hearing = Hearing::default();
        let mut said = String::new();
        let line = format!("{WITH_SEVERITY}{command}");
        address
            .ask(&line, Some(PATIENCE), |line| {
                said.push_str(&hearing.line(line))
            })
            .await?;
        anyhow::ensure!(!hearing.refused(), "{}", said.trim());
        Ok(())
    };
    let answer = answer.await;
    Told::Done { command, answer }
}

/// What is pressed: reading a terminal blocks, so a thread of its own does it. It ends with the process.
fn keys() -> UnboundedReceiver<Event> {
    let (keys, pressed) = unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if keys.send(event).is_err() {
                return;
            }
        }
    });
    pressed
}

/// Signals that end a program from outside.
struct Ends(Vec<(i32, Signal)>);

impl Ends {
    fn listen() -> std::io::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
        ];
        let signals = kinds.map(|kind| Ok((kind.as_raw_value(), signal(kind)?)));
        signals.into_iter().collect::<Result<_, _>>().map(Self)
    }

    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_understood_or_told() {
        let read = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            parse(&words)
        };
        let options = read("-s /x -d 0.5 --sort sessions --filter DOWN --once").unwrap();
        assert_eq!(options.every, Duration::from_millis(500));
        assert!(options.once && options.filter == "DOWN" && options.sort > 0);
        for (line, said) in [
            ("-d 0", "seconds"),
            ("-d x", "seconds"),
            ("--sort nothing", "status, "),
            ("--filter", "a text"),
            ("-s", "needs an argument"),
            ("now", "'now' is no flag"),
        ] {
            assert!(read(line).unwrap_err().contains(said), "{line}");
        }
    }
}
