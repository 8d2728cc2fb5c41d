//! The rows behind [`super::parse`]: one per flag, in the order the usage shows them.
//!
//! A word belongs to the row with the longest spelling it begins with, which is how `-vqs`, `-vq`
//! and `-v` live together, and why an unknown `-d?` is `-d`.

use super::{Farewell, Flags, Master, Version};

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// Nothing.
    None,
    /// The next word, whatever it looks like.
    One(&'static str),
    /// Every word up to one that begins with `-`.
    UntilFlag(&'static str),
}

/// One flag.
#[derive(Debug)]
pub(super) struct Row {
    /// Without its dash.
    pub(super) spelling: &'static str,
    /// What follows it.
    pub(super) argument: Argument,
    /// What it does with that.
    pub(super) effect: fn(&mut Flags, &[String]) -> Result<(), String>,
    /// The usage's line; empty for a flag that is taken without effect.
    pub(super) help: &'static str,
}

impl Row {
    /// The row a word (without its dash) belongs to.
    pub(super) fn of(letters: &str) -> Option<&'static Self> {
        ROWS.iter()
            .filter(|row| letters.starts_with(row.spelling))
            .max_by_key(|row| row.spelling.len())
    }
}

type Effect = fn(&mut Flags, &[String]) -> Result<(), String>;

const fn plain(spelling: &'static str, help: &'static str, effect: Effect) -> Row {
    with(spelling, Argument::None, help, effect)
}

const fn harmless(spelling: &'static str) -> Row {
    with(spelling, Argument::None, "", |_, _| Ok(()))
}

const fn with(
    spelling: &'static str,
    argument: Argument,
    help: &'static str,
    effect: Effect,
) -> Row {
    Row {
        spelling,
        argument,
        effect,
        help,
    }
}

/// A flag that only sets something.
macro_rules! set {
    ($spelling:literal, $help:literal, $field:ident = $value:expr) => {
        plain($spelling, $help, |flags, _| {
            flags.$field = $value;
            Ok(())
        })
    };
}

/// A flag that stores its argument.
macro_rules! take {
    ($spelling:literal, $name:literal, $help:literal, $field:ident) => {
        with($spelling, Argument::One($name), $help, |flags, words| {
            flags.$field = words.first().map(Into::into);
            Ok(())
        })
    };
}

/// A flag whose argument is a number.
macro_rules! count {
    ($spelling:literal, $name:literal, $help:literal, $field:ident) => {
        with($spelling, Argument::One($name), $help, |flags, words| {
            flags.$field = Some(number($spelling, words)?);
            Ok(())
        })
    };
}

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    with("f", Argument::One("file|dir"), "read this file, or each *.cfg of this directory", |flags, words| {
        flags.files.extend(words.iter().map(Into::into));
        Ok(())
    }),
    set!("c", "only check the files: 0 valid, 1 wrong, 2 nothing to listen on", check = true),
    take!("cc", "condition", "only judge a condition as of .if: 0 true, 1 false, 2 not understood", condition),
    set!("v", "tell the version", version = Some(Version::Lines)),
    set!("vv", "tell the version and what was built in", version = Some(Version::Build)),
    set!("vq", "tell the version alone", version = Some(Version::Full)),
    set!("vqs", "the same without its suffix", version = Some(Version::Short)),
    set!("vqb", "the branch alone", version = Some(Version::Branch)),
    set!("V", "say more, whatever -q or 'quiet' say", verbose = true),
    set!("q", "say nothing", quiet = true),
    set!("D", "go to the background", daemon = true),
    set!("db", "stay in the foreground, whatever -D or 'daemon' say", foreground = true),
    set!("d", "stay in the foreground", foreground = true),
    take!("p", "file", "write the process id to this file", pidfile),
    count!("n", "count", "at most so many connections", maxconn),
    count!("N", "count", "at most so many connections per frontend that does not say", proxy_maxconn),
    count!("m", "MB", "at most so much memory", memory),
    take!("C", "dir", "change to this directory before reading files", directory),
    take!("L", "name", "name of this peer", localpeer),
    set!("W", "run as one process; there is no master yet", master = Master::Plain),
    set!("Ws", "the same, and tell systemd when ready", master = Master::Systemd),
    with("S", Argument::One("address"), "taken; without a master there is no master socket", |flags, _| {
        flags.master_cli = true;
        Ok(())
    }),
    with("sf", Argument::UntilFlag("pid"), "once listening, tell these processes to finish", |flags, words| {
        old_pids(flags, Farewell::Finish, "-sf", words)
    }),
    with("st", Argument::UntilFlag("pid"), "once listening, tell these processes to stop", |flags, words| {
        old_pids(flags, Farewell::Terminate, "-st", words)
    }),
    with("x", Argument::One("socket"), "taken; listeners are shared, not handed over", |flags, words| {
        flags.take_sockets = words.first().is_some_and(|path| path != "/dev/null");
        Ok(())
    }),
    set!("dW", "refuse to start when anything was warned about", zero_warning = true),
    set!("dD", "tell also of what is only suspicious", diagnostics = true),
    set!("dr", "start even if a server's name cannot be resolved", ignore_resolution = true),
    set!("dS", "never splice", nosplice = true),
    set!("dR", "no SO_REUSEPORT", noreuseport = true),
    // HAProxy's own debugging and tuning; what follows the two letters is part of the word.
    harmless("4"), harmless("dA"), harmless("dC"), harmless("dF"), harmless("dG"),
    harmless("dI"), harmless("dK"), harmless("dL"), harmless("dM"), harmless("dT"), harmless("dV"),
    harmless("dZ"), harmless("dc"), harmless("de"), harmless("dp"), harmless("dt"),
];

fn number<T: std::str::FromStr>(spelling: &str, words: &[String]) -> Result<T, String> {
    let word = words.first().map_or("", String::as_str);
    word.parse()
        .map_err(|_| format!("-{spelling} needs a number, not '{word}'"))
}

fn old_pids(
    flags: &mut Flags,
    farewell: Farewell,
    name: &str,
    words: &[String],
) -> Result<(), String> {
    flags.farewell = Some(farewell);
    for word in words {
        // Zero and below would mean a whole group of processes.
        match word.parse() {
            Ok(pid) if pid > 0 => flags.old_pids.push(pid),
            _ => return Err(format!("{name} needs process ids, not '{word}'")),
        }
    }
    Ok(())
}
