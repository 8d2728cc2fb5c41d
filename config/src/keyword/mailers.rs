//! `mailers` and `email-alert` (CFG 12.6, 4.2): by whom, and to whom, mail about incidents is sent. `ssl`, `starttls` and
//! logging in are Posthouse's own.

use std::time::Duration;

use super::{ALL, ANY, Args, Keyword, MAILERS, follow_options, tls};
use crate::diagnostic::{At, Fault};
use crate::draft::Settings;
use crate::model::{Authorities, Host, Location, Secret};

type Row = Keyword<MailersDraft>;
type OptionRow = Keyword<MailerDraft>;
type ProxyRow = Keyword<Settings>;

/// Unless `timeout mail` says otherwise, as in HAProxy.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A section while it is read.
#[derive(Debug)]
pub(crate) struct MailersDraft {
    pub(crate) name: At<String>,
    pub(crate) timeout: Duration,
    pub(crate) mailers: Vec<MailerDraft>,
}

impl MailersDraft {
    pub(crate) fn new(name: At<String>) -> Self {
        Self {
            name,
            timeout: TIMEOUT,
            mailers: Vec::new(),
        }
    }
}

/// A mailer while it is read.
#[derive(Debug)]
pub(crate) struct MailerDraft {
    pub(crate) at: Location,
    pub(crate) name: String,
    pub(crate) place: At<(Host, u16)>,
    pub(crate) ssl: Option<At<()>>,
    pub(crate) starttls: Option<At<()>>,
    pub(crate) tls: TlsWords,
    pub(crate) user: Option<At<String>>,
    pub(crate) password: Option<At<Secret>>,
    /// `auth-in-clear`.
    pub(crate) in_clear: bool,
}

/// What an outgoing connection says of TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsWords {
    pub(crate) ca: Option<At<Authorities>>,
    pub(crate) verify: Option<At<bool>>,
}

/// `email-alert` as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct EmailDraft {
    pub(crate) mailers: Option<At<String>>,
    pub(crate) from: Option<At<String>>,
    pub(crate) to: Option<At<Vec<String>>>,
    pub(crate) level: Option<At<u8>>,
    pub(crate) hostname: Option<At<String>>,
}

/// Lines of a `mailers` section.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("mailer", MAILERS, "<name> <host>:<port> [<option>]...", (2, ANY), mailer, "A mail server that takes mail about incidents. They are tried in this order; in HAProxy each of them gets each mail."),
    Row::new("timeout mail", MAILERS, "<time>", (1, 1), |a, m| { m.timeout = a.some_time("a mailer that says nothing would be waited for without end")?; Ok(()) }, "For one attempt at one mailer, from the connection to its answer to the mail; default 10s."),
];

/// What may follow the address of a mailer.
#[rustfmt::skip]
pub(crate) const OPTIONS: &[OptionRow] = &[
    OptionRow::new("starttls", MAILERS, "", (0, 0), |a, m| { m.starttls = Some(a.flag()); Ok(()) }, "TLS after EHLO. A mailer that does not offer it gets no mail."),
    OptionRow::new("ssl", MAILERS, "", (0, 0), |a, m| { m.ssl = Some(a.flag()); Ok(()) }, "TLS from the first byte, as on port 465."),
    OptionRow::new("ca-file", MAILERS, "<file>|@system-ca", (1, 1), |a, m| { m.tls.ca = Some(a.spotted(tls::authorities)?); Ok(()) }, "Who may have issued its certificate; default those the system trusts."),
    OptionRow::new("verify", MAILERS, "none|required", (1, 1), |a, m| { m.tls.verify = Some(a.spotted(tls::server_verify)?); Ok(()) }, "Whether its certificate must be good, and have the name of the mailer; default required."),
    OptionRow::new("user", MAILERS, "<name>", (1, 1), |a, m| { m.user = Some(a.spotted(text)?); Ok(()) }, "Log in: AUTH PLAIN or AUTH LOGIN."),
    OptionRow::new("password", MAILERS, "<password>", (1, 1), |a, m| { m.password = Some(a.spotted(|a| Ok(Secret::new(text(a)?)))?); Ok(()) }, "The password; `password \"${NAME}\"` takes it from the environment."),
    OptionRow::new("password-file", MAILERS, "<file>", (1, 1), |a, m| { m.password = Some(a.spotted(password_file)?); Ok(()) }, "The file whose first line is the password, read at the start."),
    OptionRow::new("auth-in-clear", MAILERS, "", (0, 0), |_, m| { m.in_clear = true; Ok(()) }, "Log in without TLS: everybody on the way can read the password."),
];

/// Lines of proxies.
#[rustfmt::skip]
pub(crate) const EMAIL: &[ProxyRow] = &[
    ProxyRow::new("email-alert mailers", ALL, "<mailers>", (1, 1), |a, s| { s.email.mailers = Some(a.spotted(Args::text)?); Ok(()) }, "The `mailers` section that mail about this section's servers and certificates goes through."),
    ProxyRow::new("email-alert from", ALL, "<address>", (1, 1), |a, s| { s.email.from = Some(a.spotted(|a| address(a.keyword, &a.text()?))?); Ok(()) }, "Its sender."),
    ProxyRow::new("email-alert to", ALL, "<address>[,<address>]...", (1, 1), |a, s| { s.email.to = Some(a.spotted(addresses)?); Ok(()) }, "Its recipients."),
    ProxyRow::new("email-alert level", ALL, "<level>", (1, 1), |a, s| { s.email.level = Some(a.spotted(|a| a.choice(LEVELS))?); Ok(()) }, "What is told: `emerg`: no server is left; `alert`, the default: something is wrong; `notice`: it is over, and what operators do; `info`: checks too, with `option log-health-checks`."),
    ProxyRow::new("email-alert myhostname", ALL, "<name>", (1, 1), |a, s| { s.email.hostname = Some(a.spotted(hostname)?); Ok(()) }, "What EHLO says; default the host's name."),
];

/// Syslog's (RFC 5424 6.2.1).
const LEVELS: &[(&str, u8)] = &[
    ("emerg", 0),
    ("alert", 1),
    ("crit", 2),
    ("err", 3),
    ("warning", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

fn mailer(args: &mut Args<'_>, mailers: &mut MailersDraft) -> Result<(), Fault> {
    let name = args.word()?;
    if mailers.mailers.iter().any(|known| known.name == name.text) {
        let text = format!("mailer '{}' is already there.", name.text);
        return Err(Fault::new("duplicate-mailer", text).on(&name.span));
    }
    let word = args.word()?;
    let bad = |why: &str| {
        let text = format!("'{}' is no address of a mailer: {why}.", word.text);
        let fault = Fault::new("bad-address", text).on(&word.span);
        fault.help("write host:port, as in 'mailer relay mail.example.org:587'")
    };
    let (host, port) = Host::parse(&word.text).map_err(bad)?;
    let port = port.ok_or_else(|| bad("it has no port"))?;
    let mut mailer = MailerDraft {
        at: args.spot().at(),
        name: name.text.clone(),
        place: args.placed((host, port), word),
        ssl: None,
        starttls: None,
        tls: TlsWords::default(),
        user: None,
        password: None,
        in_clear: false,
    };
    follow_options(OPTIONS, MAILERS, args, &mut mailer)?;
    mailers.mailers.push(mailer);
    Ok(())
}

/// A user or a password: what AUTH can carry (RFC 4616).
fn text(args: &mut Args<'_>) -> Result<String, Fault> {
    let word = args.word()?;
    if word.text.contains('\0') {
        let text = format!("'{}' cannot have a NUL character in it.", args.keyword);
        return Err(Fault::new("bad-login", text).on(&word.span));
    }
    Ok(word.text.clone())
}

fn password_file(args: &mut Args<'_>) -> Result<Secret, Fault> {
    let word = args.word()?;
    let bad = |why: String| {
        let text = format!("password-file '{}': {why}.", word.text);
        Fault::new("unreadable", text).on(&word.span)
    };
    let text = std::fs::read_to_string(&word.text).map_err(|error| bad(error.to_string()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.contains('\0') {
        let fault = bad("its first line is no password".into());
        return Err(fault.help("put the password on its first line"));
    }
    Ok(Secret::new(line))
}

fn addresses(args: &mut Args<'_>) -> Result<Vec<String>, Fault> {
    let text = args.text()?;
    text.split(',')
        .map(|one| address(args.keyword, one))
        .collect()
}

/// What can stand between `<` and `>` and in a header (RFC 5321 4.1.2).
fn address(keyword: &str, text: &str) -> Result<String, Fault> {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, "localhost"));
    let graphic = |byte: u8| byte.is_ascii_graphic() && !b"<>()\"\\,;".contains(&byte);
    if local.is_empty() || domain.is_empty() || text.len() > 254 || !text.bytes().all(graphic) {
        let text = format!("'{keyword}': '{text}' is no mail address.");
        let fault = Fault::new("bad-mail-address", text);
        return Err(fault.help("write it as name@example.org"));
    }
    Ok(text.to_owned())
}

fn hostname(args: &mut Args<'_>) -> Result<String, Fault> {
    let text = args.text()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if text.is_empty() || text.len() > 255 || !text.bytes().all(fits) {
        let text = format!("'{}' takes a domain, got '{text}'.", args.keyword);
        let fault = Fault::new("bad-name", text);
        return Err(fault.help("write it like 'email-alert myhostname proxy.example.org'"));
    }
    Ok(text)
}
