//! `tcp-request` and `use_backend`: rules on connections, sessions and what clients say first (CFG 4.2).

use super::{ALL, ANY, Args, DEFAULTS, FRONT, Keyword, page};
use crate::acl::{Condition, Needs};
use crate::diagnostic::Fault;
use crate::draft::{Settings, SwitchDraft};
use crate::lexer::Word;
use crate::model::TcpRule;

type Row = Keyword<Settings>;

/// Rules.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("tcp-request inspect-delay", ALL, "<time>", (0, 1), inspect_delay, "How long `tcp-request content` may wait for what clients say. Servers that speak first are not asked before it is over, unless a rule decides."),
    Row::new("tcp-request connection", ALL, "accept|reject [if|unless <condition>]", (0, ANY), |a, s| rule(a, s, Stage::Connection), "Before anything is read: who is rejected gets a reset, and no log line tells of it."),
    Row::new("tcp-request session", ALL, "accept|reject [if|unless <condition>]", (0, ANY), |a, s| rule(a, s, Stage::Session), "Behind PROXY header and TLS, when the client's own address is known."),
    Row::new("tcp-request content", ALL, "accept|reject [if|unless <condition>]", (0, ANY), |a, s| rule(a, s, Stage::Content), "On what the client says before a server is asked: `req.len`, `req.ssl_hello_type`, `req.ssl_sni`, `req.ssl_alpn`, `WAIT_END`."),
    Row::new("use_backend", FRONT.without(DEFAULTS), "<backend> [if|unless <condition>]", (0, ANY), use_backend, "The backend of sessions for which the condition holds; the first such line decides, and `default_backend` has the others."),
];

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connection,
    Session,
    Content,
}

/// What HAProxy's rules do beyond `accept` and `reject`.
const OTHERS: &[&str] = &[
    "capture",
    "close",
    "do-log",
    "do-resolve",
    "expect-netscaler-cip",
    "expect-proxy",
    "sc-add-gpc",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "send-spoe-group",
    "set-bandwidth-limit",
    "set-bc-mark",
    "set-bc-tos",
    "set-dst",
    "set-dst-port",
    "set-fc-mark",
    "set-fc-tos",
    "set-log-level",
    "set-mark",
    "set-nice",
    "set-priority-class",
    "set-priority-offset",
    "set-retries",
    "set-src",
    "set-src-port",
    "set-tos",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "switch-mode",
    "track-sc0",
    "track-sc1",
    "track-sc2",
    "unset-var",
    "use-service",
    "attach-srv",
];

/// `frontend 'f'`.
fn of(args: &Args<'_>) -> String {
    format!("{} '{}'", args.section, args.proxy)
}

/// Rules in `defaults` need somebody who asks for them by name.
pub(super) fn named_only(args: &Args<'_>) -> Result<(), Fault> {
    if args.section != "defaults" || !args.proxy.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} is not allowed in anonymous 'defaults' sections",
        args.keyword
    );
    let help = "give the section a name, and write 'from <name>' where it is meant";
    Err(Fault::new("misplaced", text).help(help))
}

fn inspect_delay(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    named_only(args)?;
    let expects = format!(
        "'tcp-request inspect-delay' expects a positive delay in milliseconds, in {}",
        of(args)
    );
    if args.peek().is_none() {
        return Err(Fault::new("missing-argument", expects));
    }
    settings.tcp_request.inspect_delay = Some(args.time()?);
    Ok(())
}

fn rule(args: &mut Args<'_>, settings: &mut Settings, stage: Stage) -> Result<(), Fault> {
    named_only(args)?;
    if stage != Stage::Content && args.section == "backend" {
        let text = format!(
            "{} is not allowed because backend {} is not a frontend",
            args.keyword, args.proxy
        );
        return Err(Fault::new("misplaced", text).help("write it where clients connect"));
    }
    let action = args.next();
    let name = action.map_or("", |word| word.text.as_str());
    let accept = match name {
        "accept" => true,
        "reject" => false,
        other => return Err(strange(args, other, action)),
    };
    let needs = match stage {
        Stage::Connection => Needs::Connection,
        Stage::Session => Needs::Session,
        Stage::Content => Needs::Content,
    };
    only_conditions(args, format!("'{} {name}'", args.keyword))?;
    let condition = condition(args, settings, needs)?;
    tell_of_order(args, settings, stage);
    let rules = &mut settings.tcp_request;
    let list = match stage {
        Stage::Connection => &mut rules.connection,
        Stage::Session => &mut rules.session,
        Stage::Content => &mut rules.content,
    };
    list.push(TcpRule { accept, condition });
    Ok(())
}

/// An action that is none, or none yet.
fn strange(args: &Args<'_>, name: &str, word: Option<&Word>) -> Fault {
    let base = name.split('(').next().unwrap_or_default();
    let fault = if OTHERS.contains(&base) {
        let text = format!(
            "'{} {base}' is not supported by Posthouse yet.",
            args.keyword
        );
        Fault::new("not-yet", text).help("there are 'accept' and 'reject'")
    } else {
        let text = format!(
            "'{}' expects 'accept' or 'reject' in {} (got '{name}').",
            args.keyword,
            of(args)
        );
        Fault::new("unknown-action", text)
    };
    match word {
        Some(word) => fault.on(&word.span),
        None => fault,
    }
}

fn only_conditions(args: &Args<'_>, what: String) -> Result<(), Fault> {
    match args.peek() {
        Some(word) if word.text != "if" && word.text != "unless" => {
            let text = format!(
                "{what} only accepts 'if' or 'unless', in {} (got '{}')",
                of(args),
                word.text
            );
            Err(Fault::new("bad-condition", text).on(&word.span))
        }
        _ => Ok(()),
    }
}

/// A condition, of which nobody asks what is not there yet.
fn condition(
    args: &mut Args<'_>,
    settings: &mut Settings,
    most: Needs,
) -> Result<Option<Condition>, Fault> {
    let condition = page::condition(args, settings)?;
    let found: Vec<_> = condition
        .iter()
        .flat_map(|condition| condition.beyond(most))
        .map(|(name, fetch)| (name, fetch.name(), fetch.needs()))
        .collect();
    for (acl, fetch, needs) in found {
        if needs == Needs::Http {
            let text = format!("the fetch '{fetch}' needs HTTP, which Posthouse does not relay.");
            return Err(Fault::new("needs-http", text).help("remove the condition"));
        }
        let acl = acl.map_or_else(
            || "anonymous acl".to_owned(),
            |name| format!("acl '{name}'"),
        );
        let text = format!(
            "{acl} will never match in '{0}' because it uses keyword '{fetch}' which is incompatible with '{1} {0} rule'",
            args.keyword, args.section
        );
        args.warn(Fault::warning("never-matches", text));
    }
    Ok(condition)
}

/// Rules are asked in the order of a connection's life, whatever the order they are written in.
fn tell_of_order(args: &mut Args<'_>, settings: &Settings, stage: Stage) {
    let rules = &settings.tcp_request;
    let before = [
        (
            "tcp-request session",
            stage == Stage::Connection && !rules.session.is_empty(),
        ),
        (
            "tcp-request content",
            stage != Stage::Content && !rules.content.is_empty(),
        ),
        ("use_backend", !settings.use_backend.is_empty()),
    ];
    if let Some((other, _)) = before.into_iter().find(|(_, is_there)| *is_there) {
        let text = format!(
            "a 'tcp-request' rule placed after a '{other}' rule will still be processed before."
        );
        args.warn(Fault::warning("rule-order", text));
    }
}

fn use_backend(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let Some(word) = args.next() else {
        let text = "'use_backend' expects a backend name.";
        return Err(Fault::new("missing-argument", text));
    };
    if word.text.contains('%') {
        let text =
            "'use_backend' with a name that is made of samples is not supported by Posthouse yet.";
        return Err(Fault::new("not-yet", text)
            .on(&word.span)
            .help("write a line for each backend"));
    }
    match args.peek() {
        Some(word) if word.text != "if" && word.text != "unless" => {
            let text = format!(
                "unexpected keyword '{}' after switching rule, only 'if' and 'unless' are allowed.",
                word.text
            );
            return Err(Fault::new("bad-condition", text).on(&word.span));
        }
        _ => {}
    }
    let name = args.placed(word.text.clone(), word);
    let condition = condition(args, settings, Needs::Content)?;
    settings.use_backend.push(SwitchDraft { name, condition });
    Ok(())
}
