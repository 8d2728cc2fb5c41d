//! `posthouse ctl`: asks the stats socket from a shell, without socat.
//!
//! An answer is printed as it comes; with `--json` as one JSON value on one line. The exit code tells a refusal
//! from an answer, which the socket alone does not.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use control::answer::{self, Hearing, WITH_SEVERITY};

use crate::socket::{Address, Where};
use crate::tool::{Tool, Words, block_on};

const TOOL: Tool = Tool {
    name: "ctl",
    usage: "\
Usage: posthouse ctl [-s <socket> | -f <file>] [-t <seconds>] [--json] [<command>...]

Asks a stats socket, of Posthouse or of HAProxy: posthouse ctl 'show servers state'

  <command>     one in quotes, or several each in quotes; words without quotes are one command.
                None, or -: a command on each line of standard input. 'help' lists them all.
  -s <socket>   a path, or <host>:<port>
  -f <file>     the configuration, of which the stats socket is taken
  -t <seconds>  how long a silence is borne: 30 unless told, 0 is for ever
  --json        each answer as one JSON value on one line

Exit code: 0 answered, 1 a command was refused, 2 the socket was not reached.
",
};

/// Unless `-t` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The words after `ctl`, understood.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    whom: Where,
    json: bool,
    /// `Some(0)`: for ever.
    seconds: Option<u64>,
    help: bool,
    commands: Vec<String>,
}

fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => options.json = true,
            "--help" | "-h" => options.help = true,
            "-t" => options.seconds = Some(words.read("-t", "whole seconds")?),
            "-" => options.commands.push(word),
            "--" => options.commands.extend(words.by_ref()),
            flag if flag.starts_with('-') && options.commands.is_empty() => {
                if !options.whom.take(flag, &mut words)? {
                    return Err(TOOL.no_flag(flag));
                }
            }
            _ => options.commands.push(word),
        }
    }
    let bare = |command: &String| !command.contains([' ', ';']) && command != "-";
    if options.commands.len() > 1 && options.commands.iter().all(bare) {
        options.commands = vec![options.commands.join(" ")];
    }
    Ok(options)
}

/// Runs it with the words after `ctl`.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let options = match parse(words) {
        Ok(options) if options.help => return crate::print(TOOL.usage),
        Ok(options) => options,
        Err(why) => return TOOL.misread(&why),
    };
    let from_input = options.commands.iter().all(|command| command == "-");
    let commands = if from_input && options.commands.is_empty() && std::io::stdin().is_terminal() {
        return TOOL.misread("no command");
    } else if from_input {
        let mut text = Vec::new();
        if let Err(error) = std::io::stdin().read_to_end(&mut text) {
            return TOOL.trouble(&format!("standard input: {error}"));
        }
        requests(&String::from_utf8_lossy(&text))
    } else {
        options.commands.clone()
    };
    let address = match options.whom.address() {
        Ok(address) => address,
        Err(why) => return TOOL.trouble(&why),
    };
    match block_on(ask(&address, &options, &commands)) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(why) => TOOL.trouble(&format!("{why:#}")),
    }
}

/// The commands of standard input: a line each; one that ends with `<<` or `<<pattern` has a payload after it, up to
/// an empty line or the pattern (MGT 9.3).
fn requests(text: &str) -> Vec<String> {
    let mut requests = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut request = line.to_owned();
        let pattern = line.rsplit_once("<<").map(|(_, pattern)| pattern);
        if let Some(pattern) = pattern.filter(|pattern| !pattern.contains(' ')) {
            for line in lines.by_ref() {
                request.push('\n');
                request.push_str(line);
                if line == pattern {
                    break;
                }
            }
        }
        requests.push(request);
    }
    requests
}

/// Asks one after the other; whether one was refused.
async fn ask(address: &Address, options: &Options, requests: &[String]) -> anyhow::Result<bool> {
    let mut refused = false;
    for request in requests {
        // Each its own value: a line of several commands is asked in pieces.
        let single = !options.json || request.contains('\n');
        let pieces = match single {
            true => vec![request.as_str()],
            false => control::line::commands(request),
        };
        for piece in pieces {
            let (told, wrong) = one(address, options, piece).await?;
            refused |= wrong;
            if options.json {
                show(&value(piece, &told, wrong));
            }
        }
    }
    Ok(refused)
}

/// One line of commands: what was said, where it was not shown at once, and whether it was a refusal.
async fn one(address: &Address, options: &Options, line: &str) -> anyhow::Result<(String, bool)> {
    let mut hearing = Hearing::default();
    let mut told = String::new();
    let asked = format!("{WITH_SEVERITY}{line}");
    address
        .ask(&asked, patience(options, line), |line| {
            let said = hearing.line(line);
            if options.json {
                told.push_str(&said);
            } else {
                show(&said);
            }
        })
        .await?;
    Ok((told, hearing.refused()))
}

/// Commands that wait are waited for.
fn patience(options: &Options, line: &str) -> Option<Duration> {
    let waits = || {
        line.split_whitespace()
            .any(|word| word == "wait" || word == "-w")
    };
    match options.seconds {
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None if waits() => None,
        None => Some(PATIENCE),
    }
}

fn value(command: &str, told: &str, refused: bool) -> String {
    let list = command.split_whitespace().next() == Some("show");
    match refused {
        true => format!("{{\"error\":{}}}\n", answer::json(told)),
        // A list of none.
        false if list && told.is_empty() => "[]\n".to_owned(),
        false => format!("{}\n", answer::json(told)),
    }
}

fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    // `| head` may have stopped listening.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        parse(&words)
    }

    #[test]
    fn quotes_separate_commands_and_words_do_not() {
        let commands = |words: &[&str]| read(words).unwrap().commands;
        assert_eq!(commands(&["show", "stat"]), ["show stat"]);
        assert_eq!(commands(&["show stat", "help"]), ["show stat", "help"]);
        assert_eq!(commands(&["help"]), ["help"]);
        assert_eq!(
            commands(&["--json", "show", "events", "-w"]),
            ["show events -w"]
        );
        assert_eq!(commands(&["--", "-x"]), ["-x"]);
        assert!(read(&["show", "stat", "--json"]).unwrap().json);
        assert!(read(&["-x", "help"]).unwrap_err().contains("'-x'"));
        assert!(read(&["-t", "x"]).unwrap_err().contains("seconds"));
    }

    #[test]
    fn standard_input_has_commands_and_payloads() {
        assert_eq!(
            requests("show stat\n\n# none\n set x <<\na\n\nb\nset y <<END\n1\n\n2\nEND\n"),
            [
                "show stat",
                "set x <<\na\n",
                "b",
                "set y <<END\n1\n\n2\nEND"
            ]
        );
    }

    #[test]
    fn who_waits_is_waited_for() {
        let told = |seconds, line| {
            let options = Options {
                seconds,
                ..Options::default()
            };
            patience(&options, line)
        };
        assert_eq!(told(None, "show stat"), Some(PATIENCE));
        assert_eq!(told(None, "show events buf0 -w"), None);
        assert_eq!(told(Some(0), "show stat"), None);
        assert_eq!(told(Some(2), "wait 1h"), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_refusal_is_an_error_in_json() {
        assert_eq!(value("x", "No.\n", true), "{\"error\":\"No.\"}\n");
        assert_eq!(value("set x", "", false), "null\n");
        assert_eq!(value("show sess", "", false), "[]\n");
    }
}
