//! The command line, as HAProxy reads it (MGT 3): a word's first letters name the flag.
//!
//! Owns the meaning of every word; the rows are in [`table`], their help is printed by [`usage`].
//! Pure: nothing here looks at the system. Called once, by `main`.

mod table;

use std::path::PathBuf;

use config::model::Model;

use table::{Argument, ROWS, Row};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Read configurations, then check them, judge a condition, or run.
    Proxy(Box<Flags>),
    /// `-v` and its kin.
    Version(Version),
    /// `posthouse demo`, with the words after it.
    Demo(Vec<String>),
    /// `posthouse ctl`, with the words after it.
    Ctl(Vec<String>),
    /// `posthouse top`, with the words after it.
    Top(Vec<String>),
    /// `posthouse probe`, with the words after it.
    Probe(Vec<String>),
    /// `posthouse --help`.
    Help,
}

/// How much `-v...` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `-v`.
    Lines,
    /// `-vv`: with the build's features.
    Build,
    /// `-vq`: the version alone.
    Full,
    /// `-vqs`: the same without suffix.
    Short,
    /// `-vqb`: the branch.
    Branch,
}

/// Why a command line cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Not understood at all: the usage is the answer.
    Usage,
    /// Understood, and wrong: this says why.
    Text(String),
}

/// `-sf` and `-st`: what the processes named are told once our listeners are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// `-sf`, SIGUSR1: finish what you have.
    Finish,
    /// `-st`, SIGTERM: stop now.
    Terminate,
}

/// `-W` and `-Ws`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Master {
    /// Neither.
    #[default]
    None,
    /// `-W`.
    Plain,
    /// `-Ws`: systemd wants to be told when we are ready.
    Systemd,
}

/// Every flag's effect.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `-f`, `--`: files and directories in order.
    pub(crate) files: Vec<PathBuf>,
    /// `-c`.
    pub(crate) check: bool,
    /// `-cc`.
    pub(crate) condition: Option<String>,
    /// `-V`: beats `quiet`.
    pub(crate) verbose: bool,
    /// `-q`.
    pub(crate) quiet: bool,
    /// `-D`.
    pub(crate) daemon: bool,
    /// `-db`, `-d`: beats `daemon` here and in the configuration.
    pub(crate) foreground: bool,
    /// `-dW`.
    pub(crate) zero_warning: bool,
    /// `-dD`.
    pub(crate) diagnostics: bool,
    /// `-dr`.
    pub(crate) ignore_resolution: bool,
    /// `-dS`.
    pub(crate) nosplice: bool,
    /// `-dR`.
    pub(crate) noreuseport: bool,
    /// `-p`.
    pub(crate) pidfile: Option<PathBuf>,
    /// `-n`.
    pub(crate) maxconn: Option<u32>,
    /// `-N`.
    pub(crate) proxy_maxconn: Option<u32>,
    /// `-m`, megabytes.
    pub(crate) memory: Option<u64>,
    /// `-C`.
    pub(crate) directory: Option<PathBuf>,
    /// `-L`.
    pub(crate) localpeer: Option<String>,
    /// `-sf`, `-st`.
    pub(crate) farewell: Option<Farewell>,
    /// The processes these name.
    pub(crate) old_pids: Vec<i32>,
    /// `-W`, `-Ws`.
    pub(crate) master: Master,
    /// `-S`: a master's command socket; there is no master.
    pub(crate) master_cli: bool,
    /// `-x`, unless `/dev/null`: listeners are not taken over.
    pub(crate) take_sockets: bool,
    /// `-v...`: ends the reading of further words.
    pub(crate) version: Option<Version>,
}

impl Flags {
    /// Lays the flags over what the files say; where both speak, the flag wins.
    pub(crate) fn apply(&self, model: &mut Model) {
        let global = &mut model.global;
        global.maxconn = self.maxconn.or(global.maxconn);
        if let Some(pidfile) = &self.pidfile {
            global.pidfile = Some(pidfile.clone());
        }
        global.quiet = (self.quiet || global.quiet) && !self.verbose;
        global.zero_warning |= self.zero_warning;
        global.nosplice |= self.nosplice;
        global.noreuseport |= self.noreuseport;
        global.daemon =
            (self.daemon || global.daemon) && !self.foreground && self.master != Master::Systemd;
        if let Some(limit) = self.proxy_maxconn {
            for front in model.proxies.iter_mut().filter_map(|p| p.front.as_mut()) {
                front.maxconn.get_or_insert(limit);
            }
        }
    }

    /// What was asked for and is not there; the process starts all the same.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        [
            (
                self.master != Master::None,
                "Running as one process: SIGUSR2 does not reload; start a new process with -sf.",
            ),
            (
                self.master_cli,
                "'-S' has no effect: there is no master process.",
            ),
            (
                self.take_sockets,
                "'-x' has no effect: listeners are bound beside the old ones.",
            ),
        ]
        .into_iter()
        .filter_map(|(asked, text)| asked.then_some(text))
        .collect()
    }
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, Mistake> {
    let mut words = words.into_iter().peekable();
    match words.peek().map(String::as_str) {
        Some("demo") => return Ok(Command::Demo(words.skip(1).collect())),
        Some("top") => return Ok(Command::Top(words.skip(1).collect())),
        Some("probe") => return Ok(Command::Probe(words.skip(1).collect())),
        Some("ctl") => return Ok(Command::Ctl(words.skip(1).collect())),
        Some("--help") => return Ok(Command::Help),
        Some("--version") => return Ok(Command::Version(Version::Lines)),
        _ => {}
    }
    let mut flags = Flags::default();
    while let Some(word) = words.next() {
        let letters = word.strip_prefix('-').ok_or(Mistake::Usage)?;
        if letters == "-" {
            flags.files.extend(words.by_ref().map(PathBuf::from));
            break;
        }
        let row = Row::of(letters).ok_or(Mistake::Usage)?;
        let mut values = Vec::new();
        match row.argument {
            Argument::None => {}
            Argument::One(_) => values.push(words.next().ok_or_else(|| missing(row))?),
            Argument::UntilFlag(_) => {
                while let Some(value) = words.next_if(|w| !w.starts_with('-')) {
                    values.push(value);
                }
            }
        }
        (row.effect)(&mut flags, &values).map_err(Mistake::Text)?;
        if let Some(version) = flags.version {
            return Ok(Command::Version(version));
        }
    }
    if flags.files.is_empty() && flags.condition.is_none() {
        return Err(Mistake::Usage);
    }
    Ok(Command::Proxy(Box::new(flags)))
}

fn missing(row: &Row) -> Mistake {
    let name = match row.argument {
        Argument::One(name) | Argument::UntilFlag(name) => name,
        Argument::None => "",
    };
    Mistake::Text(format!("-{} needs an argument: {name}", row.spelling))
}

/// The whole usage text, ending in a newline.
pub(crate) fn usage(program: &str) -> String {
    let mut text = format!(
        "Usage: {program} -f <file|dir> [-f ...] [flags] [-- <file>...]\n       {program} ctl [-s <socket>] [--json] '<command>'...\n       {program} top [-s <socket>]\n       {program} probe -f <file> [<backend>[/<server>]...]\n       {program} demo [--seconds <n>]\n\n"
    );
    for row in ROWS.iter().filter(|row| !row.help.is_empty()) {
        let spelling = match row.argument {
            Argument::None => format!("-{}", row.spelling),
            Argument::One(name) => format!("-{} <{name}>", row.spelling),
            Argument::UntilFlag(name) => format!("-{} <{name}>...", row.spelling),
        };
        text.push_str(&format!("  {spelling:<16}  {}\n", row.help));
    }
    let quiet: Vec<String> = ROWS
        .iter()
        .filter(|row| row.help.is_empty())
        .map(|row| format!("-{}", row.spelling))
        .collect();
    text.push_str(&format!(
        "\nTaken as HAProxy does, without effect here: {}\nSignals: TERM, INT stop; USR1 finishes sessions, then stops; HUP shows the servers;\n         TTOU pauses, TTIN resumes the listeners.\n",
        quiet.join(" ")
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, Mistake> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn flags(line: &str) -> Flags {
        match read(line) {
            Ok(Command::Proxy(flags)) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_row_can_be_reached_and_changes_something() {
        for row in ROWS {
            assert!(
                std::ptr::eq(Row::of(row.spelling).unwrap(), row),
                "-{} is hidden by another row",
                row.spelling
            );
            let value = match row.argument {
                Argument::None => "",
                Argument::One(_) | Argument::UntilFlag(_) => "7",
            };
            let values: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
            let mut flags = Flags::default();
            (row.effect)(&mut flags, &values).unwrap();
            let changed = flags != Flags::default();
            assert_eq!(
                changed,
                !row.help.is_empty(),
                "-{}: a flag has an effect exactly if the usage explains it",
                row.spelling
            );
        }
    }

    #[test]
    fn files_come_from_f_and_from_two_dashes() {
        assert_eq!(
            flags("-f a -V -f b -- c -d").files,
            ["a", "b", "c", "-d"].map(PathBuf::from)
        );
    }

    #[test]
    fn first_letters_name_the_flag() {
        assert!(flags("-Verbose -f a").verbose);
        assert!(flags("-dbX -f a").foreground);
        assert!(flags("-d -f a").foreground);
        assert!(flags("-dQ -f a").foreground, "unknown -d? is debug mode");
        assert!(flags("-dM0x50 -dKall -dt -f a") == flags("-f a"));
        assert_eq!(flags("-f a -Ws").master, Master::Systemd);
        assert_eq!(flags("-f a -W").master, Master::Plain);
    }

    #[test]
    fn old_pids_end_at_the_next_flag_and_may_be_none() {
        let some = flags("-sf 12 13 -f a");
        assert_eq!(some.farewell, Some(Farewell::Finish));
        assert_eq!(some.old_pids, [12, 13]);
        assert_eq!(flags("-f a -st").old_pids, [] as [i32; 0]);
        for wrong in ["x", "0", "12x"] {
            let Err(Mistake::Text(text)) = read(&format!("-f a -sf {wrong}")) else {
                panic!("{wrong}");
            };
            assert!(text.contains(wrong), "{text}");
        }
    }

    #[test]
    fn versions_answer_at_once() {
        for (line, version) in [
            ("-v", Version::Lines),
            ("-f a -vv", Version::Build),
            ("-vq", Version::Full),
            ("-vqs", Version::Short),
            ("-vqb -z", Version::Branch),
            ("--version", Version::Lines),
        ] {
            assert_eq!(read(line), Ok(Command::Version(version)), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_gets_the_usage() {
        for line in ["", "-c", "-V", "-zz", "-", "foo", "-f a foo", "-s -f a"] {
            assert_eq!(read(line), Err(Mistake::Usage), "{line}");
        }
        for line in ["-f", "-c -f a -p", "-cc", "-x", "-f a -n many"] {
            assert!(matches!(read(line), Err(Mistake::Text(_))), "{line}");
        }
    }

    #[test]
    fn a_condition_needs_no_file() {
        assert_eq!(flags("-cc 1").condition.as_deref(), Some("1"));
        assert!(!flags("-cc 1").check);
    }

    #[test]
    fn dev_null_asks_for_no_sockets() {
        assert!(!flags("-f a -x /dev/null").take_sockets);
        assert!(flags("-f a -x /run/s").take_sockets);
    }

    #[test]
    fn the_usage_fits_a_terminal_and_names_every_row() {
        let text = usage("posthouse");
        for row in ROWS {
            assert!(text.contains(&format!("-{}", row.spelling)), "{text}");
        }
        for line in text.lines().filter(|l| !l.starts_with("Taken")) {
            assert!(line.len() <= 90, "{line}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        assert_eq!(flags("-f a").without_effect(), [] as [&str; 0]);
        let debian = flags("-Ws -f a -p b -S /run/haproxy-master.sock");
        assert_eq!(debian.without_effect().len(), 2);
        assert!(flags("-f a -x /s").without_effect()[0].contains("'-x'"));
    }

    #[test]
    fn flags_beat_the_files() {
        let mut model = Model {
            global: config::model::Global {
                maxconn: Some(5),
                daemon: true,
                quiet: true,
                ..Default::default()
            },
            userlists: Vec::new(),
            alerts: Vec::new(),
            mailers: Vec::new(),
            proxies: Vec::new(),
        };
        flags("-f a -n 9 -db -V -p /x").apply(&mut model);
        assert_eq!(model.global.maxconn, Some(9));
        assert_eq!(model.global.pidfile, Some(PathBuf::from("/x")));
        assert!(!model.global.daemon && !model.global.quiet);
    }
}
