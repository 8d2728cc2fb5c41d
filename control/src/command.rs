//! The commands of the stats socket: one row each, with level, words, help and function.
//!
//! A request is looked up by its first words; the row with most of them wins. `help`, and what an unknown
//! command is answered with, come from the table.

mod absent;
mod address;
mod agent;
mod alerts;
mod caller;
mod events;
mod frontend;
mod help;
mod look;
mod machine;
mod member;
#[cfg(test)]
mod reference;
mod server;
mod session;
mod show;
mod table;
mod tls;

use std::pin::Pin;
use std::rc::Rc;

use config::model::Level;

pub(crate) use self::caller::Caller;
pub(crate) use self::look::schema_text as schema;
use crate::Desk;
use crate::line::words;

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

/// A severity by syslog's number and its name (RFC 5424 6.2.1).
type Severity = (u8, &'static str);

const ERROR: Severity = (3, "err");
const WARNING: Severity = (4, "warning");
const NOTICE: Severity = (5, "notice");
const INFO: Severity = (6, "info");

struct Command {
    words: &'static [&'static str],
    level: Level,
    /// What follows the words.
    usage: &'static str,
    help: &'static str,
    act: Act,
    /// The severity of its answer, which is a message; of a dump there is none.
    says: Option<Severity>,
}

impl Command {
    /// As it is written: words and usage.
    fn form(&self) -> String {
        let space = if self.usage.is_empty() { "" } else { " " };
        format!("{}{space}{}", self.words.join(" "), self.usage)
    }

    /// For a command whose answer is a message.
    const fn says(mut self, severity: Severity) -> Self {
        self.says = Some(severity);
        self
    }
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
        says: None,
    }
}

use Act::{Later as Ask, Now};
use Level::{Admin, Operator, User};

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    command(&["abort", "ssl", "cert"], Admin, "<certfile>", "abort a transaction for a certificate file", Now(tls::abort)).says(NOTICE),
    command(&["add", "server"], Admin, "<bk>/<srv> <addr>[:<port>] [opts]*", "create a new server, in maintenance", Now(member::add)).says(NOTICE),
    command(&["clear", "counters"], Operator, "[all]", "clear max statistics counters (or all counters)", Now(show::clear_counters)),
    command(&["clear", "table"], Operator, "<table> [<filter>]*", "remove an entry from a table (filter: data/key)", Now(table::clear)),
    command(&["commit", "ssl", "cert"], Admin, "<certfile>", "commit a certificate file", Now(tls::commit)).says(NOTICE),
    command(&["del", "server"], Admin, "<bk>/<srv>", "remove a server that is in maintenance and has no sessions", Now(member::del)).says(NOTICE),
    command(&["disable", "agent"], Admin, "<bk>/<srv>", "disable agent checks", Now(agent::disable)),
    command(&["disable", "frontend"], Admin, "<frontend>", "temporarily disable specific frontend", Now(frontend::disable)).says(NOTICE),
    command(&["disable", "health"], Admin, "<bk>/<srv>", "disable health checks", Now(server::disable_health)),
    command(&["disable", "server"], Admin, "<bk>/<srv>", "disable a server for maintenance", Now(server::disable)),
    command(&["echo"], User, "<text>", "print a text", Now(caller::echo)).says(INFO),
    command(&["enable", "agent"], Admin, "<bk>/<srv>", "enable agent checks", Now(agent::enable)),
    command(&["enable", "frontend"], Admin, "<frontend>", "re-enable specific frontend", Now(frontend::enable)).says(NOTICE),
    command(&["enable", "health"], Admin, "<bk>/<srv>", "enable health checks", Now(server::enable_health)),
    command(&["enable", "server"], Admin, "<bk>/<srv>", "enable a disabled server", Now(server::enable)),
    command(&["experimental-mode"], User, "[on|off]", "enable or disable experimental mode (no command needs it)", Now(caller::experimental)).says(INFO),
    command(&["expert-mode"], User, "[on|off]", "enable or disable expert mode (no command needs it)", Now(caller::expert)).says(INFO),
    command(&["get", "weight"], User, "<bk>/<srv>", "report a server's current weight", Now(server::get_weight)),
    command(&["help"], User, "[<command>]", "list matching or all commands", Now(help::help)).says(INFO),
    command(&["operator"], User, "", "lower the level of the current CLI session to operator", Now(caller::operator)),
    command(&["prompt"], User, "[n|i|p|timed]*", "toggle interactive mode with prompt", Now(caller::prompt)),
    command(&["quit"], User, "", "disconnect", Now(caller::quit)),
    command(&["set", "maxconn", "frontend"], Admin, "<frontend> <value>", "change a frontend's maxconn setting", Now(frontend::set_maxconn)),
    command(&["set", "maxconn", "global"], Admin, "<value>", "change the per-process maxconn setting", Now(frontend::set_maxconn_global)),
    command(&["set", "maxconn", "server"], Admin, "<bk>/<srv> <value>", "change a server's maxconn setting", Now(frontend::set_maxconn_server)),
    command(&["set", "rate-limit"], Admin, "<setting> <value>", "change a rate limiting value", Now(frontend::set_rate_limit)),
    command(&["set", "server"], Admin, "<bk>/<srv> [opts]", "change a server's state, weight, address or health", Now(server::set)).says(WARNING),
    command(&["set", "severity-output"], User, "[none|number|string]", "set presence of severity level in feedback information", Now(caller::set_severity)),
    command(&["set", "ssl", "cert"], Admin, "<certfile> <payload>", "replace a certificate file", Now(tls::set)).says(NOTICE),
    command(&["set", "table"], Operator, "<table> key <k> [data.* <v>]*", "update or create a table entry's data", Now(table::set)),
    command(&["set", "timeout"], User, "cli <delay>", "change the CLI's idle timeout, in seconds", Now(caller::set_timeout)),
    command(&["set", "weight"], Admin, "<bk>/<srv> <weight>", "change a server's weight", Now(server::set_weight)),
    command(&["show", "activity"], Operator, "", "show per-thread activity stats", Now(machine::activity)),
    command(&["show", "alerts"], Operator, "", "list who is told of incidents, how that goes, and what is open", Now(alerts::show)),
    command(&["show", "backend"], User, "", "list backends in the current running config", Now(show::backend)),
    command(&["show", "cli", "level"], User, "", "display the level of the current CLI session", Now(caller::level)).says(INFO),
    command(&["show", "cli", "sockets"], User, "", "dump list of cli sockets", Now(show::cli_sockets)),
    command(&["show", "env"], Operator, "[var]", "dump environment variables known to the process", Now(look::env)),
    command(&["show", "errors"], Operator, "[<px>] [request|response]", "report last request and/or response errors for each proxy", Now(look::errors)),
    command(&["show", "events"], Operator, "[<sink> [-w] [-n]]", "show event sink state or contents; -w waits for more, -n begins with what is new", Now(events::show)),
    command(&["show", "fd"], Operator, "[num]", "dump list of file descriptors in use or a specific one", Now(machine::fd)),
    command(&["show", "info"], User, "[desc|json|typed|float]*", "report information about the running process", Now(show::info)),
    command(&["show", "peers"], User, "[section]", "dump some information about all the peers or this peers section", Now(look::peers)),
    command(&["show", "pools"], Operator, "", "report information about the memory pools usage", Now(machine::pools)),
    command(&["show", "resolvers"], User, "[id]", "dumps counters from all resolvers section and associated name servers", Now(look::resolvers)),
    command(&["show", "schema", "json"], User, "", "report schema used for stats", Now(look::schema)),
    command(&["show", "servers", "conn"], User, "[<backend>]", "dump server connections status", Now(look::servers_conn)),
    command(&["show", "servers", "state"], User, "[<backend>]", "dump volatile server information", Now(show::servers_state)),
    command(&["show", "sess"], Operator, "[<id>|all|help] [<filter>]*", "report the list of current sessions or dump this exact session", Ask(session::show)),
    command(&["show", "ssl", "cert"], Operator, "[<certfile>]", "display the SSL certificates used in memory, or the details of a file", Now(tls::show)),
    command(&["show", "startup-logs"], Operator, "", "report logs emitted during HAProxy startup", Now(look::startup_logs)),
    command(&["show", "stat"], User, "[desc|json|no-maint|typed|up]* [<iid>|<proxy> <type> <sid>]", "report counters for each proxy and server", Now(show::stat)),
    command(&["show", "table"], User, "<table> [<filter>]*", "report table usage stats or dump this table's contents (filter: data/key)", Now(table::show)),
    command(&["show", "tasks"], Operator, "", "show running tasks", Ask(machine::tasks)),
    command(&["show", "threads"], Operator, "", "show some threads debugging information", Now(machine::threads)),
    command(&["show", "version"], User, "", "show version of the current process", Now(show::version)).says(INFO),
    command(&["shutdown", "frontend"], Admin, "<frontend>", "stop a specific frontend", Now(frontend::shutdown)),
    command(&["shutdown", "session"], Admin, "<id>", "kill a specific session", Ask(session::shutdown)),
    command(&["shutdown", "sessions", "server"], Admin, "<bk>/<srv>", "kill sessions on a server", Now(session::shutdown_on_server)),
    command(&["user"], User, "", "lower the level of the current CLI session to user", Now(caller::user)),
    command(&["wait"], User, "{-h|<delay>} [cond [args...]]", "wait the specified delay or condition", Ask(member::wait)).says(INFO),
];

/// Obeys one command of a line; `None`: it was `quit`, which is not answered.
pub(crate) async fn answer(desk: &Rc<Desk>, caller: &mut Caller, command: &str) -> Option<String> {
    let words = words(command);
    let mut out = if words.is_empty() {
        String::new()
    } else {
        obey(desk, caller, &words).await
    };
    out.push('\n');
    (!caller.is_leaving()).then_some(out)
}

async fn obey(desk: &Rc<Desk>, caller: &mut Caller, words: &[String]) -> String {
    let Some(command) = find(words) else {
        let text = help::unknown(caller.level, words);
        return caller.severity.mark(text, INFO);
    };
    if caller.level < command.level {
        return caller.severity.mark("Permission denied\n".into(), ERROR);
    }
    let args = &words[command.words.len()..];
    let answer = match command.act {
        Now(act) => act(&mut Call { desk, caller, args }),
        Ask(act) => act(Rc::clone(desk), args.to_vec()).await,
    };
    match answer {
        Ok(text) => match command.says {
            Some(severity) => caller.severity.mark(text, severity),
            None => text,
        },
        Err(error) => caller.severity.mark(format!("{error}\n"), ERROR),
    }
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
    fn the_table_is_in_order_and_says_what_each_does() {
        for pair in COMMANDS.windows(2) {
            assert!(pair[0].words < pair[1].words, "{:?}", pair[1].words);
        }
        assert!(COMMANDS.iter().all(|command| !command.help.is_empty()));
    }
}
