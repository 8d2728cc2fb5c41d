//! Messages about the process itself, in HAProxy's shape: `[LEVEL]    (pid) : text` on stderr.
//!
//! Owned by `main` while the process starts, then by `run`. The first alert or warning is preceded
//! by two notices that say which program speaks. `-q` silences everything but exit codes.

use std::fmt::Display;
use std::io::Write;

use crate::version;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The process cannot go on.
    Alert,
    /// Something is likely not as meant.
    Warning,
    /// Worth knowing.
    Notice,
    /// Only suspicious; `-dD` asks for it.
    Diag,
}

impl Level {
    fn label(self) -> &'static str {
        match self {
            Self::Alert => "[ALERT]",
            Self::Warning => "[WARNING]",
            Self::Notice => "[NOTICE]",
            Self::Diag => "[DIAG]",
        }
    }
}

/// One message, ending in a newline.
pub(crate) fn line(level: Level, pid: u32, text: impl Display) -> String {
    format!("{:<10} ({pid}) : {text}\n", level.label())
}

/// Where messages go; counts what matters for the verdict.
pub(crate) struct Report {
    out: Box<dyn Write>,
    pid: u32,
    quiet: bool,
    only_alerts: bool,
    introduced: bool,
    warned: bool,
    said: String,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("quiet", &self.quiet)
            .field("warned", &self.warned)
            .finish_non_exhaustive()
    }
}

impl Report {
    /// Messages to stderr.
    pub(crate) fn stderr(quiet: bool) -> Self {
        Self::to(Box::new(std::io::stderr()), quiet)
    }

    fn to(out: Box<dyn Write>, quiet: bool) -> Self {
        Self {
            out,
            pid: std::process::id(),
            quiet,
            only_alerts: false,
            introduced: false,
            warned: false,
            said: String::new(),
        }
    }

    /// Says nothing more from here on; `quiet` of the configuration.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether nothing is said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Keeps warnings and notices back: another process has told them already.
    pub(crate) fn set_only_alerts(&mut self, only: bool) {
        self.only_alerts = only;
    }

    /// Whether anything was warned about.
    pub(crate) fn warned(&self) -> bool {
        self.warned
    }

    /// What there was to say so far, told or kept back (`show startup-logs`).
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// The process cannot go on.
    pub(crate) fn alert(&mut self, text: impl Display) {
        self.say(Level::Alert, text);
    }

    /// Something is likely not as meant.
    pub(crate) fn warning(&mut self, text: impl Display) {
        self.say(Level::Warning, text);
    }

    /// Worth knowing.
    pub(crate) fn notice(&mut self, text: impl Display) {
        self.say(Level::Notice, text);
    }

    /// A message of any level.
    pub(crate) fn say(&mut self, level: Level, text: impl Display) {
        self.warned |= level == Level::Warning;
        let said = line(level, self.pid, text);
        self.said.push_str(&said);
        if self.quiet || (self.only_alerts && level != Level::Alert) {
            return;
        }
        let mut whole = String::new();
        if matches!(level, Level::Alert | Level::Warning) && !self.introduced {
            self.introduced = true;
            let path = std::env::current_exe().unwrap_or_default();
            let version = format!("haproxy version is {}", version::FULL);
            let path = format!("path to executable is {}", path.display());
            whole = line(Level::Notice, self.pid, version) + &line(Level::Notice, self.pid, path);
        }
        whole += &said;
        // Nobody is left to be told when stderr is gone.
        let _ = self.out.write_all(whole.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Rc<RefCell<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn levels_are_padded_alike() {
        assert_eq!(line(Level::Alert, 7, "x"), "[ALERT]    (7) : x\n");
        assert_eq!(line(Level::Warning, 7, "x"), "[WARNING]  (7) : x\n");
        assert_eq!(line(Level::Notice, 7, "x"), "[NOTICE]   (7) : x\n");
        assert_eq!(line(Level::Diag, 7, "x"), "[DIAG]     (7) : x\n");
    }

    #[test]
    fn the_first_warning_introduces_the_program_once() {
        let kept = Kept::default();
        let mut report = Report::to(Box::new(kept.clone()), false);
        report.notice("before");
        report.warning("one");
        report.alert("two");
        let text = String::from_utf8(kept.0.borrow().clone()).unwrap();
        let said: Vec<&str> = text
            .lines()
            .map(|l| l.split(" : ").nth(1).unwrap())
            .collect();
        assert_eq!(said[0], "before");
        assert!(said[1].starts_with("haproxy version is 3.4"), "{text}");
        assert!(said[2].starts_with("path to executable is /"), "{text}");
        assert_eq!(said[3..], ["one", "two"]);
        assert!(report.warned());
    }

    #[test]
    fn what_was_told_is_not_told_twice() {
        let kept = Kept::default();
        let mut report = Report::to(Box::new(kept.clone()), false);
        report.set_only_alerts(true);
        report.warning("one");
        assert!(kept.0.borrow().is_empty());
        report.alert("two");
        let text = String::from_utf8(kept.0.borrow().clone()).unwrap();
        assert!(text.ends_with(" : two\n"), "{text}");
    }

    #[test]
    fn quiet_says_nothing_and_still_remembers() {
        let kept = Kept::default();
        let mut report = Report::to(Box::new(kept.clone()), true);
        report.warning("one");
        assert!(kept.0.borrow().is_empty());
        assert!(report.warned());
        assert!(report.said().ends_with(" : one\n"));
    }
}
