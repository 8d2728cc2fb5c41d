//! `docs/runtime-api.md`: the commands, made from their table, with what differs from HAProxy beside them.

use super::absent::ABSENT;
use super::{COMMANDS, Command};
use config::model::Level;

const HEAD: &str = "\
# Runtime API

What can be said on a `stats socket`, made from the table of commands. A connection is one line of commands with `;`
between them, their answers, each ended by an empty line, and the end; `prompt` keeps it open. A level may do what the
levels before it may: **user**, **operator** (the default), **admin**. Texts and formats are HAProxy 3.4's, compared
with Debian's HAProxy 2.6 by the tests; a command that is not here is unknown.

```sh
echo 'show servers state' | socat stdio /run/haproxy/admin.sock
posthouse ctl 'show servers state'
```

| command | level | what | differs from HAProxy |
|---|---|---|---|
";

const TAIL: &str = "
Before a blank or a semicolon that belongs to a word stands a backslash. A line may be 16 KiB long, a payload (`<<` at the
end of a line, then lines up to an empty one, or `<<EOF` up to `EOF`) 128 KiB; `set ssl cert` takes one, others overlook
it. An answer is sent in pieces, each within `stats timeout`; a client that takes nothing is let go. At most
`stats maxconn` clients (10) are served at once, others wait.

## Not here

HAProxy's commands that are not here (2.6's all, which a test compares with what it lists, and 3.x's as far as they are known). Who
says one is told the same. `show peers`, `show pools` and `show resolvers` are here and answer with nothing.

| command | why |
|---|---|
";

/// What differs, by the words of the command.
#[rustfmt::skip]
const DIFFERENCES: &[(&str, &str)] = &[
    ("add server", "a host name is an error: names are not resolved at run time"),
    ("clear table", "what is no key of the table is an error; HAProxy takes it for zero"),
    ("del server", "every server may be deleted, those of the configuration too"),
    ("experimental-mode", "no command needs it"),
    ("expert-mode", "no command needs it"),
    ("set rate-limit", "no compression"),
    ("set server", "a part that is wrong leaves the others as they were; no `ssl`; `fqdn` needs `resolvers`, which there are none of"),
    ("set table", "what is no key of the table is an error; HAProxy takes it for zero"),
    ("show activity", "only what is counted here"),
    ("show alerts", "Posthouse's own"),
    ("show fd", "numbers, and what the system calls them"),
    ("show pools", "there are none"),
    ("show sess", "connections to the stats socket are not listed; no flags, analysers and tasks; `susp` are those whose bytes are not taken, or whose one side has ended"),
    ("show table", "what is no key of the table is an error; HAProxy takes it for zero"),
    ("show tasks", "sessions that something is decided about, and checks"),
    ("show threads", "names and times"),
];

fn page() -> String {
    let row = |command: &Command| {
        let words = command.words.join(" ");
        let differs = DIFFERENCES.iter().find(|(name, _)| *name == words);
        format!(
            "| `{}` | {} | {} | {} |\n",
            command.form().replace('|', "\\|"),
            match command.level {
                Level::User => "user",
                Level::Operator => "operator",
                Level::Admin => "admin",
            },
            command.help,
            differs.map_or("", |(_, what)| what),
        )
    };
    let rows: String = COMMANDS.iter().map(row).collect();
    let row = |(words, why): &(&str, &str)| format!("| `{words}` | {why} |\n");
    let absent: String = ABSENT.iter().map(row).collect();
    format!("{HEAD}{rows}{TAIL}{absent}")
}

/// Run with `UPDATE_DOCS=1` to write the page anew.
#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runtime-api.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("docs can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/runtime-api.md is not up to date: UPDATE_DOCS=1 cargo test -p posthouse-control"
    );
}

#[test]
fn what_differs_is_there() {
    for (name, _) in DIFFERENCES {
        assert!(
            COMMANDS
                .iter()
                .any(|command| command.words.join(" ") == *name),
            "{name}"
        );
    }
}
