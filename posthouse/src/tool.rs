//! What the sub commands `ctl`, `top` and `probe` share: the words behind them, and how they end in vain.

use std::process::ExitCode;
use std::str::FromStr;

/// A sub command.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    /// What `--help` prints.
    pub(crate) usage: &'static str,
}

impl Tool {
    /// It comes to nothing, for this reason.
    pub(crate) fn trouble(&self, why: &str) -> ExitCode {
        eprintln!("posthouse {}: {}", self.name, why.trim_end());
        ExitCode::from(2)
    }

    /// Its words are not understood, for this reason.
    pub(crate) fn misread(&self, why: &str) -> ExitCode {
        self.trouble(&format!("{why}\n\n{}", self.usage))
    }

    /// That flag is none of its own.
    pub(crate) fn no_flag(&self, flag: &str) -> String {
        format!("'{flag}' is no flag of {}", self.name)
    }
}

/// The words behind a sub command.
#[derive(Debug)]
pub(crate) struct Words<'w>(std::slice::Iter<'w, String>);

impl<'w> Words<'w> {
    pub(crate) fn new(words: &'w [String]) -> Self {
        Self(words.iter())
    }

    /// What follows `flag`.
    pub(crate) fn value(&mut self, flag: &str, what: &str) -> Result<String, String> {
        let value = self.next();
        value.ok_or_else(|| format!("{flag} needs an argument: {what}"))
    }

    /// The same, understood.
    pub(crate) fn read<T: FromStr>(&mut self, flag: &str, what: &str) -> Result<T, String> {
        let value = self.value(flag, what)?;
        let read = value.parse();
        read.map_err(|_| format!("{flag} needs {what}, not '{value}'"))
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0.next().cloned()
    }
}

/// Runs it to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_says_what_it_needs() {
        let words = ["7".to_owned(), "x".to_owned()];
        let mut words = Words::new(&words);
        assert_eq!(words.read("-t", "whole seconds"), Ok(7));
        let wrong = words.read::<u64>("-t", "whole seconds");
        assert_eq!(wrong, Err("-t needs whole seconds, not 'x'".to_owned()));
        let none = words.value("-f", "the configuration");
        assert_eq!(
            none,
            Err("-f needs an argument: the configuration".to_owned())
        );
    }
}
