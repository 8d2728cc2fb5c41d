//! `option smtpchk-deep` and its `smtp-check` lines. All of them are Posthouse's own.

use std::io::Read as _;
use std::time::Duration;

use wire::check::Deep;
use wire::visit::{Envelope, Login, Plan, Secret, StartTls};

use super::{Args, BACK, Keyword};
use crate::diagnostic::{Fault, Spot};
use crate::draft::{CheckOption, Settings};
use crate::lexer::Word;

type Row = Keyword<Settings>;

/// What a deep check shall do, as far as it is written.
#[derive(Debug, Clone)]
pub(crate) struct DeepDraft {
    pub(crate) deep: Deep,
    /// The first line of this very section: told where nothing uses it.
    pub(crate) written: Option<Spot>,
    /// Where somebody logs in.
    pub(crate) login: Option<Spot>,
}

impl Default for DeepDraft {
    fn default() -> Self {
        Self {
            deep: Deep {
                days: 7,
                ..Deep::default()
            },
            written: None,
            login: None,
        }
    }
}

impl DeepDraft {
    pub(crate) fn asks_for_tls(&self) -> bool {
        self.deep.plan.starttls == StartTls::Required
    }
}

/// Keywords of the deep check.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { syntax: "[<domain>]", args: (0, 1), ..Row::option("option smtpchk-deep", BACK, option, "Posthouse's own: check servers with an SMTP dialogue as deep as the `smtp-check` lines say, down to a recipient; EHLO names the domain, default `localhost`. A server can pass it and be degraded.") },
    Row::option("smtp-check starttls", BACK, |a, s| { let on = a.on(); plan(a, s).starttls = if on { StartTls::Required } else { StartTls::No }; Ok(()) }, "`option smtpchk-deep`: STARTTLS, and the certificate judged as the `server` line says (`verify`, `ca-file`, `sni` ...). Not said where the check has TLS from its first byte."),
    Row { syntax: "<keyword>,...", args: (0, 1), ..Row::option("smtp-check require", BACK, require, "`option smtpchk-deep`: what must be offered in the last answer to EHLO.") },
    Row { syntax: "<user> file <path>|env <name> [in-clear]", args: (0, 4), ..Row::option("smtp-check auth", BACK, auth, "`option smtpchk-deep`: log in, by PLAIN or LOGIN. The password is the first line of a file, or a variable of the environment, read at the start; without TLS it is said only with `in-clear`.") },
    Row { syntax: "<address>", args: (0, 1), ..Row::option("smtp-check mail", BACK, mail, "`option smtpchk-deep`: MAIL FROM this address; default and `<>`: the null sender. RSET follows, never DATA.") },
    Row { syntax: "<address> [code <code>,...]", args: (0, 3), ..Row::option("smtp-check rcpt", BACK, rcpt, "`option smtpchk-deep`: RCPT TO this address, and the answers that are good; default any 2xx. A server that says 452 or 4.3.1 has no room and is degraded.") },
    Row::new("smtp-check certificate", BACK, "<days>", (1, 1), |a, s| { note(a, s); s.deep.deep.days = a.number(0..=3650)?; Ok(()) }, "`option smtpchk-deep`: a server whose certificate has fewer days left is degraded; default 7."),
    Row { syntax: "<time>", args: (0, 1), ..Row::option("smtp-check slow", BACK, |a, s| { s.deep.deep.slow = time(a, s)?; Ok(()) }, "`option smtpchk-deep`: a server that takes longer for a step is degraded.") },
    Row { syntax: "<time>", args: (0, 1), ..Row::option("smtp-check step", BACK, |a, s| { s.deep.deep.limit = time(a, s)?; Ok(()) }, "`option smtpchk-deep`: a step that takes longer has failed. `timeout check` holds for all together.") },
];

fn note(args: &Args<'_>, settings: &mut Settings) {
    settings.deep.written.get_or_insert_with(|| args.spot());
}

fn plan<'s>(args: &Args<'_>, settings: &'s mut Settings) -> &'s mut Plan {
    note(args, settings);
    &mut settings.deep.deep.plan
}

fn option(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.check = CheckOption::None;
    if args.on() {
        let domain = args.next();
        let text = domain.map_or("localhost", |word| word.text.as_str());
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.len() > 255 {
            let fault = Fault::new("bad-name", format!("'{text}' is no domain."));
            return Err(placed(fault, domain));
        }
        settings.check = CheckOption::Deep(text.to_owned());
    }
    Ok(())
}

fn require(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    note(args, settings);
    settings.deep.deep.require.clear();
    if args.on() {
        let word = args.word()?;
        for keyword in word.text.split(',') {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if keyword.is_empty() || !keyword.bytes().all(fits) {
                let text = format!("'{keyword}' is no keyword of EHLO (RFC 5321, 4.1.1.1).");
                return Err(Fault::new("bad-name", text)
                    .on(&word.span)
                    .help("write them like 'smtp-check require STARTTLS,SIZE'"));
            }
            settings
                .deep
                .deep
                .require
                .push(keyword.to_ascii_uppercase());
        }
    }
    Ok(())
}

fn auth(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    note(args, settings);
    settings.deep.deep.plan.login = None;
    settings.deep.login = None;
    if !args.on() {
        return Ok(());
    }
    let user = args.text()?;
    let from_file = args.choice(&[("file", true), ("env", false)])?;
    let word = args.word()?;
    let found = if from_file {
        from(&word.text)
    } else {
        std::env::var(&word.text).map_err(|_| "there is no such variable".to_owned())
    };
    let password = found.map_err(|why| {
        let text = format!("'smtp-check auth' : '{}' : {why}.", word.text);
        Fault::new("no-password", text).on(&word.span)
    })?;
    let in_clear = args.take("in-clear");
    args.end()?;
    settings.deep.login = Some(args.spot());
    settings.deep.deep.plan.login = Some(Login {
        user,
        password: Secret::new(password),
        in_clear,
    });
    Ok(())
}

/// The first line of a file.
fn from(path: &str) -> Result<String, String> {
    const LONGEST: u64 = 1024;
    let words = |error: std::io::Error| error.to_string();
    // What never ends, or waits for somebody, is no file for a password.
    if !std::fs::metadata(path).map_err(words)?.is_file() {
        return Err("not a file".into());
    }
    let file = std::fs::File::open(path).map_err(words)?;
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(words)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err("its first line is empty".into());
    }
    Ok(line.to_owned())
}

fn mail(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    let sender = if args.on() {
        Some(address(args)?)
    } else {
        None
    };
    let envelopes = &mut plan(args, settings).envelopes;
    match (sender, envelopes.first_mut()) {
        (Some(sender), Some(envelope)) => envelope.sender = sender,
        (Some(sender), None) => envelopes.push(Envelope {
            sender,
            recipient: None,
        }),
        (None, _) => envelopes.clear(),
    }
    Ok(())
}

fn rcpt(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.deep.deep.codes.clear();
    let envelopes = &mut plan(args, settings).envelopes;
    if !args.on() {
        if let Some(envelope) = envelopes.first_mut() {
            envelope.recipient = None;
        }
        return Ok(());
    }
    let word = args.peek();
    let recipient = address(args)?;
    if recipient.is_empty() {
        let fault = Fault::new("bad-address", "'smtp-check rcpt' : '<>' receives nothing.");
        return Err(placed(fault, word));
    }
    match envelopes.first_mut() {
        Some(envelope) => envelope.recipient = Some(recipient),
        None => envelopes.push(Envelope {
            sender: String::new(),
            recipient: Some(recipient),
        }),
    }
    if args.take("code") {
        let word = args.word()?;
        for code in word.text.split(',') {
            let code = code.parse().ok().filter(|code| (200..600).contains(code));
            settings.deep.deep.codes.push(code.ok_or_else(|| {
                let text = format!("'{}' is no list of reply codes, as 250,550.", word.text);
                Fault::new("bad-number", text).on(&word.span)
            })?);
        }
    }
    args.end()
}

fn placed(fault: Fault, word: Option<&Word>) -> Fault {
    match word {
        Some(word) => fault.on(&word.span),
        None => fault,
    }
}

/// A mail address, with or without its brackets.
fn address(args: &mut Args<'_>) -> Result<String, Fault> {
    let word = args.word()?;
    let bare = word
        .text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    let bare = bare.unwrap_or(&word.text);
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'<' && byte != b'>';
    if bare.len() > 254 || !bare.bytes().all(fits) {
        let text = format!("'{}' : '{}' is no mail address.", args.keyword, word.text);
        return Err(Fault::new("bad-address", text)
            .on(&word.span)
            .help("write it like 'postmaster@example.com'"));
    }
    Ok(bare.to_owned())
}

fn time(args: &mut Args<'_>, settings: &mut Settings) -> Result<Option<u64>, Fault> {
    note(args, settings);
    let time = if args.on() { args.timeout()? } else { None };
    Ok(time.as_ref().map(Duration::as_millis).map(|ms| ms as u64))
}
