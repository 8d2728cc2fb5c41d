//! `tcp-check` rules (CFG 4.2). A proxy's own rules replace all those of its defaults.

use regex::bytes::RegexBuilder;
use wire::check::{Connect, Expect, Pattern, Rule, Send, Status};

use super::{Args, BACK, Keyword, address};
use crate::diagnostic::{At, Fault};
use crate::draft::Settings;

type Row = Keyword<Settings>;

/// Rules of checks.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("tcp-check connect", BACK, "[default] [port <n>] [addr <ip>] [send-proxy] [ssl] [sni <name>] [alpn <list>] [linger] [comment <text>]", (0, super::ANY), connect, "Open a connection; without this rule the check opens one by itself."),
    Row::new("tcp-check send", BACK, "<data> [comment <text>]", (1, super::ANY), |a, s| { let data = a.word()?.bytes().to_vec(); send(a, s, data) }, "Send this."),
    Row::new("tcp-check send-binary", BACK, "<hex> [comment <text>]", (1, super::ANY), |a, s| { let data = hex(a)?; send(a, s, data) }, "Send these bytes."),
    Row::new("tcp-check expect", BACK, "[min-recv <n>] [comment <text>] [ok-status|error-status|tout-status <status>] [!] string|rstring|binary|rbinary <pattern>", (2, super::ANY), expect, "Wait for this."),
    Row::new("tcp-check comment", BACK, "<text>", (1, 1), |a, s| { own_rules(s); s.comment = Some((a.text()?, None)); Ok(()) }, "A name for the rules that follow, in messages."),
    Row::not_yet("tcp-check send-lf", BACK, "Send a text with variables."),
    Row::not_yet("tcp-check send-binary-lf", BACK, "Send bytes with variables."),
    Row::not_yet("tcp-check set-var", BACK, "Set a variable."),
    Row::not_yet("tcp-check set-var-fmt", BACK, "Set a variable."),
    Row::not_yet("tcp-check unset-var", BACK, "Forget a variable."),
];

/// The first rule of a proxy's own drops those of its defaults.
fn own_rules(settings: &mut Settings) {
    if std::mem::take(&mut settings.inherited_rules) {
        settings.rules.clear();
    }
}

/// Files a rule, with the comment that a `tcp-check comment` line left for its kind.
fn push(args: &Args<'_>, settings: &mut Settings, mut rule: Rule) {
    own_rules(settings);
    let kind = std::mem::discriminant(&rule);
    let comment = match &mut rule {
        Rule::Connect(rule) => &mut rule.comment,
        Rule::Send(rule) => &mut rule.comment,
        Rule::Expect(rule) => &mut rule.comment,
    };
    match &mut settings.comment {
        Some((text, of)) if of.is_none_or(|of| of == kind) => {
            *of = Some(kind);
            comment.get_or_insert_with(|| text.clone());
        }
        _ => settings.comment = None,
    }
    settings.rules.push(At {
        value: rule,
        spot: args.spot(),
    });
}

fn connect(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let mut rule = Connect::default();
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "default" => rule.default = true,
            "port" => rule.port = Some(args.number(1..=65_535)?),
            "addr" => {
                let to = args.word()?;
                let found = address::socket(&to.text, 0, args.resolver).map_err(|text| {
                    Fault::new("bad-address", format!("'tcp-check connect' : {text}.")).on(&to.span)
                })?;
                rule.addr = Some(found.ip());
                rule.port = rule
                    .port
                    .or_else(|| Some(found.port()).filter(|port| *port > 0));
            }
            "send-proxy" => rule.send_proxy = true,
            "linger" => rule.linger = true,
            "comment" => rule.comment = Some(args.text()?),
            "ssl" => rule.ssl = true,
            "sni" => rule.sni = Some(args.text()?),
            "alpn" => rule.alpn = args.text()?.split(',').map(str::to_owned).collect(),
            later @ ("via-socks4" | "proto") => {
                let text =
                    format!("'tcp-check connect {later}' is not supported by Posthouse yet.");
                return Err(Fault::new("not-yet", text).on(&word.span));
            }
            other => return Err(unknown(args, other).on(&word.span)),
        }
    }
    let own = !settings.inherited_rules;
    let connects = settings
        .rules
        .iter()
        .filter(|_| own)
        .any(|rule| matches!(rule.value, Rule::Connect(_)));
    if own && !settings.rules.is_empty() && !connects {
        let text = "where a check connects by itself, 'connect' must be its first step";
        let help = "move it up; only comments may stand before it";
        return Err(Fault::new("late-connect", text).help(help));
    }
    push(args, settings, Rule::Connect(rule));
    Ok(())
}

fn send(args: &mut Args<'_>, settings: &mut Settings, data: Vec<u8>) -> Result<(), Fault> {
    let comment = if args.take("comment") {
        Some(args.text()?)
    } else {
        None
    };
    args.end()?;
    push(args, settings, Rule::Send(Send { data, comment }));
    Ok(())
}

fn expect(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let mut rule = Expect {
        pattern: Pattern::String(Vec::new()),
        negate: false,
        min_recv: None,
        ok_status: Status::L7Ok,
        error_status: Status::L7Rsp,
        tout_status: Status::L7Timeout,
        on_success: None,
        on_error: None,
        comment: None,
    };
    let mut found = None;
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "min-recv" => rule.min_recv = args.number(-1..=i64::from(i32::MAX))?.try_into().ok(),
            "comment" => rule.comment = Some(args.text()?),
            "ok-status" => {
                rule.ok_status = status(
                    args,
                    &[Status::L7Ok, Status::L7Okc, Status::L6Ok, Status::L4Ok],
                )?
            }
            "error-status" => {
                rule.error_status = status(
                    args,
                    &[
                        Status::L7Okc,
                        Status::L7Rsp,
                        Status::L7Sts,
                        Status::L6Rsp,
                        Status::L4Con,
                    ],
                )?
            }
            "tout-status" => {
                rule.tout_status = status(
                    args,
                    &[Status::L7Timeout, Status::L6Timeout, Status::L4Timeout],
                )?
            }
            "on-success" => rule.on_success = Some(literal(args)?),
            "on-error" => rule.on_error = Some(literal(args)?),
            "!" => rule.negate = !rule.negate,
            kind @ ("string" | "rstring" | "binary" | "rbinary") => {
                found = Some(pattern(args, kind)?);
                args.end()?;
            }
            later @ ("string-lf" | "binary-lf" | "status-code") => {
                let text = format!("'tcp-check expect {later}' is not supported by Posthouse yet.");
                return Err(Fault::new("not-yet", text).on(&word.span));
            }
            other => return Err(unknown(args, other).on(&word.span)),
        }
    }
    rule.pattern = found.ok_or_else(|| {
        Fault::new(
            "missing-argument",
            "'tcp-check expect' : missing pattern type: string, rstring, binary or rbinary.",
        )
    })?;
    push(args, settings, Rule::Expect(rule));
    Ok(())
}

fn pattern(args: &mut Args<'_>, kind: &str) -> Result<Pattern, Fault> {
    if kind == "binary" {
        return Ok(Pattern::Binary(hex(args)?));
    }
    let word = args.word()?;
    if kind == "string" {
        return Ok(Pattern::String(word.bytes().to_vec()));
    }
    let regex = RegexBuilder::new(&word.text)
        .unicode(false)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            Fault::new(
                "bad-regex",
                format!("'tcp-check expect' : '{}' : {reason}.", word.text),
            )
            .on(&word.span)
            .help("look-around and back references of PCRE are not supported")
        })?;
    Ok(if kind == "rstring" {
        Pattern::Regex(regex)
    } else {
        Pattern::RegexBinary(regex)
    })
}

fn status(args: &mut Args<'_>, allowed: &[Status]) -> Result<Status, Fault> {
    let choices: Vec<_> = allowed
        .iter()
        .map(|status| (status.name(), *status))
        .collect();
    args.choice(&choices)
}

/// A text without variables: log-format in checks is not there yet.
fn literal(args: &mut Args<'_>) -> Result<String, Fault> {
    let word = args.word()?;
    if word.text.contains('%') {
        let text = "log-format variables in checks are not supported by Posthouse yet.";
        return Err(Fault::new("not-yet", text).on(&word.span));
    }
    Ok(word.text.clone())
}

fn hex(args: &mut Args<'_>) -> Result<Vec<u8>, Fault> {
    let word = args.word()?;
    let digits: Option<Vec<u8>> = word
        .text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 && !digits.is_empty() => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err(Fault::new(
            "bad-hex",
            format!(
                "'{}' : '{}' is not an even number of hexadecimal digits.",
                args.keyword, word.text
            ),
        )
        .on(&word.span)),
    }
}

fn unknown(args: &Args<'_>, word: &str) -> Fault {
    let known = [
        "default",
        "port",
        "addr",
        "send-proxy",
        "ssl",
        "sni",
        "alpn",
        "linger",
        "comment",
        "min-recv",
        "ok-status",
        "error-status",
        "tout-status",
        "on-success",
        "on-error",
        "string",
        "rstring",
        "binary",
        "rbinary",
    ];
    let hint = super::suggest::hint(word, known.into_iter());
    Fault::new(
        "unknown-option",
        format!("'{}' : unknown argument '{word}'{hint}", args.keyword),
    )
}
