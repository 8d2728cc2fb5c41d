//! The commands of the stats socket: one row each, with level, words, help and function.
//!
//! A request is looked up by its first words; the row with most of them wins. `help`, and what an unknown
//! command is answered with, come from the table.

mod address;
mod frontend;
mod look;
mod server;
mod session;
mod show;
mod table;

use std::fmt::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use config::model::Level;

use crate::Desk;
use crate::line::{commands, words};

/// Who is asking, and what they have set for their connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) level: Level,
    pub(crate) idle: Duration,
    pub(crate) interactive: bool,
    severity: Severity,
    leaving: bool,
}

/// How messages say what they are (`set severity-output`): tables and other answers carry none.
#[derive(Debug, Clone, Copy)]
enum Severity {
    None,
    Number,
    Word,
}

impl Severity {
    fn error(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Number => "[3]: ",
            Self::Word => "[err]: ",
        }
    }

    fn info(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Number => "[6]: ",
            Self::Word => "[info]: ",
        }
    }
}

impl Caller {
    pub(crate) fn new(level: Level, idle: Duration) -> Self {
        Self {
            level,
            idle,
            interactive: false,
            severity: Severity::None,
            leaving: false,
        }
    }
}

/// A request for one command.
struct Call<'c> {
    desk: &'c Desk,
    caller: &'c mut Caller,
    /// The words after the command's own.
    args: &'c [String],
}

impl Call<'_> {
    fn arg(&self, at: usize) -> Option<&str> {
        self.args.get(at).map(String::as_str)
    }
}

/// What is printed; an error is printed too, and gets its end of line added.
type Answer = Result<String, String>;
type Later = Pin<Box<dyn Future<Output = Answer>>>;

/// What a command does.
enum Act {
    Now(fn(&mut Call<'_>) -> Answer),
    /// For what the workers must be asked.
    Later(fn(Rc<Desk>, Vec<String>) -> Later),
}

struct Command {
    words: &'static [&'static str],
    level: Level,
    /// What follows the words.
    usage: &'static str,
    help: &'static str,
    act: Act,
}

const fn command(
    words: &'static [&'static str],
    level: Level,
    usage: &'static str,
    help: &'static str,
    act: Act,
) -> Command {
    Command {
        words,
        level,
        usage,
        help,
        act,
    }
}

use Act::{Later as Ask, Now};
use Level::{Admin, Operator, User};

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    command(&["clear", "counters"], Operator, "[all]", "clear max statistics counters (or all counters)", Now(show::clear_counters)),
    command(&["clear", "table"], Operator, "<table> [<filter>]*", "remove an entry from a table (filter: data/key)", Now(table::clear)),
    command(&["disable", "agent"], Admin, "<bk>/<srv>", "disable agent checks", Now(server::disable_agent)),
    command(&["disable", "frontend"], Admin, "<frontend>", "temporarily disable specific frontend", Now(frontend::disable)),
    command(&["disable", "health"], Admin, "<bk>/<srv>", "disable health checks", Now(server::disable_health)),
    command(&["disable", "server"], Admin, "<bk>/<srv>", "disable a server for maintenance", Now(server::disable)),
    command(&["enable", "agent"], Admin, "<bk>/<srv>", "enable agent checks", Now(server::enable_agent)),
    command(&["enable", "frontend"], Admin, "<frontend>", "re-enable specific frontend", Now(frontend::enable)),
    command(&["enable", "health"], Admin, "<bk>/<srv>", "enable health checks", Now(server::enable_health)),
    command(&["enable", "server"], Admin, "<bk>/<srv>", "enable a disabled server", Now(server::enable)),
    command(&["get", "weight"], User, "<bk>/<srv>", "report a server's current weight", Now(server::get_weight)),
    command(&["help"], User, "[<command>]", "list matching or all commands", Now(help)),
    command(&["operator"], User, "", "lower the level of the current CLI session to operator", Now(|call| lower(call, Operator))),
    command(&["prompt"], User, "", "toggle interactive mode with prompt", Now(prompt)),
    command(&["quit"], User, "", "disconnect", Now(quit)),
    command(&["set", "maxconn", "frontend"], Admin, "<frontend> <value>", "change a frontend's maxconn setting", Now(frontend::set_maxconn)),
    command(&["set", "maxconn", "global"], Admin, "<value>", "change the per-process maxconn setting", Now(frontend::set_maxconn_global)),
    command(&["set", "maxconn", "server"], Admin, "<bk>/<srv> <value>", "change a server's maxconn setting", Now(frontend::set_maxconn_server)),
    command(&["set", "rate-limit"], Admin, "<setting> <value>", "change a rate limiting value", Now(frontend::set_rate_limit)),
    command(&["set", "server"], Admin, "<bk>/<srv> [opts]", "change a server's state, weight, address or health", Now(server::set)),
    command(&["set", "severity-output"], User, "[none|number|string]", "set presence of severity level in feedback information", Now(set_severity)),
    command(&["set", "table"], Operator, "<table> key <k> [data.* <v>]*", "update or create a table entry's data", Now(table::set)),
    command(&["set", "timeout", "cli"], User, "<delay>", "change the CLI's idle timeout, in seconds", Now(set_timeout)),
    command(&["set", "weight"], Admin, "<bk>/<srv> <weight>", "change a server's weight", Now(server::set_weight)),
    command(&["show", "activity"], Operator, "", "show per-thread activity stats", Now(look::activity)),
    command(&["show", "backend"], User, "", "list backends in the current running config", Now(show::backend)),
    command(&["show", "cli", "level"], User, "", "display the level of the current CLI session", Now(show::cli_level)),
    command(&["show", "cli", "sockets"], User, "", "dump list of cli sockets", Now(show::cli_sockets)),
    command(&["show", "env"], Operator, "[var]", "dump environment variables known to the process", Now(look::env)),
    command(&["show", "errors"], Operator, "", "report last request and/or response errors for each proxy", Now(look::errors)),
    command(&["show", "info"], User, "[typed|json]", "report information about the running process", Now(show::info)),
    command(&["show", "peers"], User, "", "dump some information about all the peers or this peers section", Now(look::nothing)),
    command(&["show", "resolvers"], User, "", "dumps counters from all resolvers section and associated name servers", Now(look::nothing)),
    command(&["show", "schema", "json"], User, "", "report schema used for stats", Now(look::schema)),
    command(&["show", "servers", "conn"], User, "[<backend>]", "dump server connections status", Now(look::servers_conn)),
    command(&["show", "servers", "state"], User, "[<backend>]", "dump volatile server information", Now(show::servers_state)),
    command(&["show", "sess"], Operator, "[<id>]", "report the list of current sessions or dump this one", Ask(session::show)),
    command(&["show", "startup-logs"], Operator, "", "report logs emitted during HAProxy startup", Now(|_| Ok("\n".into()))),
    command(&["show", "stat"], User, "[typed|json|no-maint|up] [<iid>|<proxy> <type> <sid>]", "report counters for each proxy and server", Now(show::stat)),
    command(&["show", "table"], User, "<table> [<filter>]*", "report table usage stats or dump this table's contents (filter: data/key)", Now(table::show)),
    command(&["show", "version"], User, "", "show version of the current process", Now(|call| Ok(format!("{}\n", call.desk.program.version)))),
    command(&["shutdown", "frontend"], Admin, "<frontend>", "stop a specific frontend", Now(frontend::shutdown)),
    command(&["shutdown", "session"], Admin, "<id>", "kill a specific session", Ask(session::shutdown)),
    command(&["shutdown", "sessions", "server"], Admin, "<bk>/<srv>", "kill sessions on a server", Now(session::shutdown_on_server)),
    command(&["user"], User, "", "lower the level of the current CLI session to user", Now(|call| lower(call, User))),
];

/// Answers a line of commands, each answer ended by an empty line.
pub(crate) async fn answer(desk: &Rc<Desk>, caller: &mut Caller, line: &str) -> String {
    let mut out = String::new();
    for command in commands(line) {
        let words = words(command);
        if !words.is_empty() {
            out.push_str(&obey(desk, caller, &words).await);
        }
        out.push('\n');
        if caller.leaving {
            return String::new();
        }
    }
    out
}

async fn obey(desk: &Rc<Desk>, caller: &mut Caller, words: &[String]) -> String {
    let severity = caller.severity;
    let Some(command) = find(words) else {
        return format!("{}{}", severity.info(), unknown(caller.level, words));
    };
    if caller.level < command.level {
        return format!("{}Permission denied\n", severity.error());
    }
    let args = &words[command.words.len()..];
    let answer = match command.act {
        Now(act) => act(&mut Call { desk, caller, args }),
        Ask(act) => act(Rc::clone(desk), args.to_vec()).await,
    };
    answer.unwrap_or_else(|error| format!("{}{error}\n", severity.error()))
}

fn find(words: &[String]) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .filter(|command| starts_with(words, command))
        .max_by_key(|command| command.words.len())
}

fn starts_with(words: &[String], command: &Command) -> bool {
    words.len() >= command.words.len() && command.words.iter().zip(words).all(|(a, b)| a == b)
}

fn unknown(level: Level, words: &[String]) -> String {
    // Those that share the first word; where none does, all.
    let close = lines(level, |command| command.words[0] == words[0]);
    let listed = if close.is_empty() {
        lines(level, |_| true)
    } else {
        close
    };
    format!(
        "Unknown command: '{}', but maybe one of the following ones is a better match:\n{listed}",
        words.join(" ")
    )
}

fn help(call: &mut Call<'_>) -> Answer {
    let wanted = call.args;
    let matches = |command: &Command| {
        command
            .words
            .iter()
            .zip(wanted)
            .all(|(word, prefix)| word.starts_with(prefix.as_str()))
    };
    let listed = lines(call.caller.level, matches);
    Ok(format!(
        "The following commands are valid at this level:\n{listed}"
    ))
}

/// Help for the commands a level may use, of those that are wanted.
fn lines(level: Level, wanted: impl Fn(&Command) -> bool) -> String {
    let mut out = String::new();
    let valid = |command: &&Command| command.level <= level && wanted(command);
    for command in COMMANDS.iter().filter(valid) {
        let words = command.words.join(" ");
        let space = if command.usage.is_empty() { "" } else { " " };
        let form = format!("{words}{space}{}", command.usage);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {form:<40}: {}", command.help);
    }
    out
}

fn prompt(call: &mut Call<'_>) -> Answer {
    call.caller.interactive = !call.caller.interactive;
    Ok(String::new())
}

fn quit(call: &mut Call<'_>) -> Answer {
    call.caller.leaving = true;
    call.caller.interactive = false;
    Ok(String::new())
}

/// There is no way back up.
fn lower(call: &mut Call<'_>, level: Level) -> Answer {
    call.caller.level = call.caller.level.min(level);
    Ok(String::new())
}

fn set_severity(call: &mut Call<'_>) -> Answer {
    call.caller.severity = match call.arg(0) {
        Some("none") => Severity::None,
        Some("number") => Severity::Number,
        Some("string") => Severity::Word,
        _ => return Err("one of 'none', 'number', 'string' is a required argument".into()),
    };
    Ok(String::new())
}

fn set_timeout(call: &mut Call<'_>) -> Answer {
    let seconds = call
        .arg(0)
        .and_then(|word| word.parse().ok())
        .filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or("Invalid timeout value.")?;
    call.caller.idle = Duration::from_secs(seconds);
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<&'static [&'static str]> {
        find(&words(line)).map(|command| command.words)
    }

    #[test]
    fn whole_words_and_the_longest_command() {
        assert_eq!(
            found("show servers state be"),
            Some(&["show", "servers", "state"][..])
        );
        assert_eq!(
            found("shutdown sessions server be/s"),
            Some(&["shutdown", "sessions", "server"][..])
        );
        assert_eq!(
            found("shutdown session 0x1"),
            Some(&["shutdown", "session"][..])
        );
        assert_eq!(found("sho stat"), None);
        assert_eq!(found("show"), None);
    }

    #[test]
    fn what_is_unknown_is_answered_with_what_is_near() {
        let said = unknown(Admin, &words("get wieght be/s"));
        assert!(said.starts_with("Unknown command: 'get wieght be/s', but maybe"));
        assert_eq!(said.lines().count(), 2);
        assert!(!unknown(User, &words("bogus")).contains("set server"));
    }

    #[test]
    fn the_table_is_in_order_and_says_what_each_does() {
        for pair in COMMANDS.windows(2) {
            assert!(pair[0].words < pair[1].words, "{:?}", pair[1].words);
        }
        assert!(COMMANDS.iter().all(|command| !command.help.is_empty()));
    }
}
