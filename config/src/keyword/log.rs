//! `log` lines (CFG 4.2 `log`), in `global` and in proxies.

use super::{ALL, Args, Keyword, address};
use crate::diagnostic::Fault;
use crate::draft::{LogLine, Settings};
use crate::keyword::Modifier;
use crate::model::{LogDestination, LogFormat, LogTarget};

type Row = Keyword<Settings>;

/// Keywords of proxies about logging.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { negatable: true, ..Row::new("log", ALL, "global | <target> [len <n>] [format <f>] <facility> [<max level> [<min level>]]", (0, super::ANY), log, "Where this proxy's lines go.") },
    Row::new("log-tag", ALL, "<text>", (1, 1), |a, s| { s.log_tag = Some(a.text()?); Ok(()) }, "The program's name in this proxy's lines."),
    Row::not_yet("log-format", ALL, "A line of one's own for sessions."),
    Row::not_yet("log-format-sd", ALL, "Structured data of RFC 5424."),
    Row::not_yet("error-log-format", ALL, "A line of one's own for failed connections."),
    Row::not_yet("log-steps", ALL, "When a session is told."),
    Row::not_yet("unique-id-format", ALL, "A number for each session."),
];

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const LEVELS: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

const FORMATS: &[(&str, LogFormat)] = &[
    ("local", LogFormat::Local),
    ("rfc3164", LogFormat::Rfc3164),
    ("rfc5424", LogFormat::Rfc5424),
    ("priority", LogFormat::Priority),
    ("short", LogFormat::Short),
    ("timed", LogFormat::Timed),
    ("iso", LogFormat::Iso),
    ("raw", LogFormat::Raw),
];

fn log(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    if args.modifier == Modifier::No {
        args.end()?;
        settings.log.clear();
        return Ok(());
    }
    if args.take("global") {
        args.end()?;
        settings.log.push(LogLine::Global);
        return Ok(());
    }
    let target = target(args)?;
    settings.log.push(LogLine::Target(target));
    Ok(())
}

/// A target with its settings.
pub(crate) fn target(args: &mut Args<'_>) -> Result<LogTarget, Fault> {
    let at = args.spot().at();
    let to = destination(args)?;
    let (mut len, mut format) = (1024, LogFormat::Local);
    loop {
        if args.take("len") {
            len = args.number(80..=65_535)?;
        } else if args.take("format") {
            format = args.choice(FORMATS)?;
        } else if let Some(word) = args
            .peek()
            .filter(|w| ["sample", "profile"].contains(&w.text.as_str()))
        {
            let text = format!("'log {}' is not supported by Posthouse yet.", word.text);
            return Err(Fault::new("not-yet", text).on(&word.span));
        } else {
            break;
        }
    }
    let facility = one_of(args, &FACILITIES, "log facility")?;
    let max_level = if args.peek().is_some() {
        one_of(args, &LEVELS, "optional log level")?
    } else {
        7
    };
    let min_level = if args.peek().is_some() {
        one_of(args, &LEVELS, "optional minimum log level")?
    } else {
        0
    };
    args.end()?;
    Ok(LogTarget {
        at,
        to,
        len,
        format,
        facility,
        max_level,
        min_level,
    })
}

fn destination(args: &mut Args<'_>) -> Result<LogDestination, Fault> {
    let word = args.word()?;
    let text = word.text.as_str();
    match text {
        "stdout" => return Ok(LogDestination::Stdout),
        "stderr" => return Ok(LogDestination::Stderr),
        _ => {}
    }
    if let Some(number) = text.strip_prefix("fd@") {
        let number = number.parse().ok().filter(|fd| *fd >= 0);
        let fault = || {
            Fault::new(
                "bad-address",
                format!("'log' : invalid file descriptor '{text}'"),
            )
        };
        return number
            .map(LogDestination::Fd)
            .ok_or_else(|| fault().on(&word.span));
    }
    for (prefix, what) in [
        ("ring@", "rings"),
        ("backend@", "log backends"),
        ("tcp@", "logs over TCP"),
    ] {
        if text.starts_with(prefix) {
            let text = format!("'log {text}': {what} are not supported by Posthouse yet.");
            return Err(Fault::new("not-yet", text).on(&word.span));
        }
    }
    if let Some(path) = text
        .strip_prefix("unix@")
        .or_else(|| text.starts_with('/').then_some(text))
    {
        return Ok(LogDestination::Unix(path.into()));
    }
    address::socket(text, 514, args.resolver)
        .map(LogDestination::Udp)
        .map_err(|why| {
            Fault::new("bad-address", format!("'log' : {why}"))
                .on(&word.span)
                .help("write an address, a path, stdout or stderr")
        })
}

fn one_of(args: &mut Args<'_>, names: &[&str], what: &str) -> Result<u8, Fault> {
    let word = args.word()?;
    match names.iter().position(|name| *name == word.text) {
        Some(place) => Ok(place as u8),
        None => Err(
            Fault::new("bad-choice", format!("unknown {what} '{}'", word.text))
                .on(&word.span)
                .help(format!("one of {}", names.join(", "))),
        ),
    }
}
