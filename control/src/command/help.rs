//! `help`, and what an unknown command is answered with: both come from the table.

use std::fmt::Write as _;

use config::model::Level;

use super::absent::absent;
use super::{Answer, COMMANDS, Call, Command};

/// `help [<words>]`: the words may be cut short.
pub(super) fn help(call: &mut Call<'_>) -> Answer {
    let wanted = call.args;
    let matches = |command: &Command| {
        let mut pairs = command.words.iter().zip(wanted);
        wanted.len() <= command.words.len()
            && pairs.all(|(word, prefix)| word.starts_with(prefix.as_str()))
    };
    let listed = lines(call.caller.level, matches);
    let listed = if listed.is_empty() {
        lines(call.caller.level, |command| is_near(command, wanted))
    } else {
        listed
    };
    Ok(format!(
        "The following commands are valid at this level:\n{listed}"
    ))
}

/// What is near an unknown command; where nothing is, all there is.
pub(super) fn unknown(level: Level, words: &[String]) -> String {
    let near = lines(level, |command| is_near(command, words));
    let listed = if near.is_empty() {
        lines(level, |_| true)
    } else {
        near
    };
    let mut out = format!(
        "Unknown command: '{}', but maybe one of the following ones is a better match:\n{listed}",
        words.join(" ")
    );
    if let Some((words, why)) = absent(words) {
        let _ = writeln!(out, "HAProxy's '{words}' is not here: {why}.");
    }
    out
}

/// Shares as many of the first words as any command does, and at least one.
fn is_near(command: &Command, words: &[String]) -> bool {
    let shared = |command: &Command| {
        let pairs = command.words.iter().zip(words);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let most = COMMANDS.iter().map(shared).max().unwrap_or(0);
    most > 0 && shared(command) == most
}

/// Help for the commands a level may use, of those that are wanted.
fn lines(level: Level, wanted: impl Fn(&Command) -> bool) -> String {
    let mut out = String::new();
    let valid = |command: &&Command| command.level <= level && wanted(command);
    for command in COMMANDS.iter().filter(valid) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {:<40}: {}", command.form(), command.help);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::words;

    #[test]
    fn what_is_unknown_is_answered_with_what_is_near() {
        let said = unknown(Level::Admin, &words("get wieght be/s"));
        assert!(said.starts_with("Unknown command: 'get wieght be/s', but maybe"));
        assert_eq!(said.lines().count(), 2);
        assert_eq!(
            unknown(Level::Admin, &words("show servers"))
                .lines()
                .count(),
            3
        );
        assert!(!unknown(Level::User, &words("bogus")).contains("set server"));
        let said = unknown(Level::User, &words("show map #1"));
        assert!(said.ends_with("HAProxy's 'show map' is not here: there are no maps.\n"));
    }
}
