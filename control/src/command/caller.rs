//! Who is asking, and the commands that change it: `prompt`, levels, `set timeout cli`, `set severity-output` (MGT 9.3).

use std::time::Duration;

use config::model::Level;
use config::units::{Unit, delay};

use super::events::Watch;
use super::{Answer, Call, Severity};

/// Who is asking, and what they have set for their connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) level: Level,
    pub(crate) idle: Duration,
    pub(super) leaving: bool,
    mode: Mode,
    timed: bool,
    pub(super) severity: Marks,
    experimental: bool,
    expert: bool,
    /// Asked for by the command that was just obeyed.
    pub(crate) watch: Option<Watch>,
    /// What came behind the line with `<<`.
    pub(crate) payload: Option<String>,
}

/// What a connection is after its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Closed.
    OneLine,
    /// Open for more.
    Interactive,
    /// The same, with a prompt before each line.
    Prompt,
}

/// How answers tell their severity (syslog's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    None,
    Number,
    Word,
}

impl Marks {
    /// A message with its severity before it, where that is asked for.
    pub(super) fn mark(self, text: String, (number, word): Severity) -> String {
        match self {
            _ if text.is_empty() => text,
            Self::None => text,
            Self::Number => format!("[{number}]: {text}"),
            Self::Word => format!("[{word}]: {text}"),
        }
    }
}

impl Caller {
    pub(crate) fn new(level: Level, idle: Duration) -> Self {
        Self {
            level,
            idle,
            leaving: false,
            mode: Mode::OneLine,
            timed: false,
            severity: Marks::None,
            experimental: false,
            expert: false,
            watch: None,
            payload: None,
        }
    }

    /// Whether the connection stays open for another line.
    pub(crate) fn stays(&self) -> bool {
        self.mode != Mode::OneLine && !self.leaving
    }

    /// No more lines, whatever was agreed.
    pub(crate) fn dismiss(&mut self) {
        self.leaving = true;
    }

    /// Whether it has said `quit`, or was dismissed.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// What stands before the next line of the client.
    pub(crate) fn prompt(&self, uptime_s: u64) -> String {
        let (minutes, hours) = (uptime_s / 60, uptime_s / 3600);
        match (self.stays(), self.mode, self.timed) {
            (true, Mode::Prompt, true) => format!(
                "[{}:{:02}:{:02}:{:02}]> ",
                hours / 24,
                hours % 24,
                minutes % 60,
                uptime_s % 60
            ),
            (true, Mode::Prompt, false) => "> ".into(),
            _ => String::new(),
        }
    }
}

/// `prompt [n|i|p|timed]`: without a word, on and off.
pub(super) fn prompt(call: &mut Call<'_>) -> Answer {
    let caller = &mut *call.caller;
    if call.args.is_empty() {
        caller.mode = match caller.mode {
            Mode::OneLine | Mode::Interactive => Mode::Prompt,
            Mode::Prompt => Mode::OneLine,
        };
    }
    for word in call.args {
        match word.as_str() {
            "n" => caller.mode = Mode::OneLine,
            "i" => caller.mode = Mode::Interactive,
            "p" => caller.mode = Mode::Prompt,
            "timed" => caller.timed = !caller.timed,
            _ => return Err("'prompt' takes 'n' (not interactive), 'i' (interactive), 'p' (with a prompt) and 'timed'.".into()),
        }
    }
    Ok(String::new())
}

/// `quit`.
pub(super) fn quit(call: &mut Call<'_>) -> Answer {
    call.caller.dismiss();
    Ok(String::new())
}

/// `operator`.
pub(super) fn operator(call: &mut Call<'_>) -> Answer {
    lower(call, Level::Operator)
}

/// `user`.
pub(super) fn user(call: &mut Call<'_>) -> Answer {
    lower(call, Level::User)
}

/// There is no way back up.
fn lower(call: &mut Call<'_>, level: Level) -> Answer {
    call.caller.level = call.caller.level.min(level);
    Ok(String::new())
}

/// `set timeout cli <delay>`: seconds, unless the delay has a unit.
pub(super) fn set_timeout(call: &mut Call<'_>) -> Answer {
    if call.arg(0) != Some("cli") {
        return Err("'set timeout' only supports 'cli'.".into());
    }
    let word = call.arg(1).ok_or("Expects an integer value.")?;
    let idle = delay(word, Unit::Seconds).filter(|idle| !idle.is_zero());
    call.caller.idle = idle.ok_or("Invalid timeout value.")?;
    Ok(String::new())
}

/// `set severity-output none|number|string`.
pub(super) fn set_severity(call: &mut Call<'_>) -> Answer {
    call.caller.severity = match call.arg(0) {
        Some("none") => Marks::None,
        Some("number") => Marks::Number,
        Some("string") => Marks::Word,
        _ => return Err("one of 'none', 'number', 'string' is a required argument".into()),
    };
    Ok(String::new())
}

/// `experimental-mode [on|off]`: clients say it before a command; there is none here that needs it.
pub(super) fn experimental(call: &mut Call<'_>) -> Answer {
    mode(
        "experimental-mode",
        &mut call.caller.experimental,
        call.args,
    )
}

/// `expert-mode [on|off]`, likewise.
pub(super) fn expert(call: &mut Call<'_>) -> Answer {
    mode("expert-mode", &mut call.caller.expert, call.args)
}

fn mode(name: &str, on: &mut bool, args: &[String]) -> Answer {
    let Some(word) = args.first() else {
        return Ok(format!("{name} is {}\n", if *on { "ON" } else { "OFF" }));
    };
    *on = word == "on";
    Ok(String::new())
}

/// `echo <words>`.
pub(super) fn echo(call: &mut Call<'_>) -> Answer {
    Ok(format!("{}\n", call.args.join(" ")))
}

/// `show cli level`.
pub(super) fn level(call: &mut Call<'_>) -> Answer {
    Ok(format!("{}\n", level_name(call.caller.level)))
}

pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_tell_the_time_where_it_is_asked_for() {
        let mut caller = Caller::new(Level::User, Duration::from_secs(1));
        assert_eq!(caller.prompt(5), "");
        caller.mode = Mode::Prompt;
        assert_eq!(caller.prompt(5), "> ");
        caller.timed = true;
        assert_eq!(caller.prompt(187_505), "[2:04:05:05]> ");
        caller.dismiss();
        assert_eq!(caller.prompt(5), "");
    }

    #[test]
    fn severities_stand_before_what_is_said() {
        let said = |marks: Marks| marks.mark("x\n".into(), (3, "err"));
        assert_eq!(said(Marks::None), "x\n");
        assert_eq!(said(Marks::Number), "[3]: x\n");
        assert_eq!(said(Marks::Word), "[err]: x\n");
        assert_eq!(Marks::Word.mark(String::new(), (3, "err")), "");
    }
}
