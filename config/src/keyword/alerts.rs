//! `alerts`: where incidents are posted (Posthouse's own).

use std::time::Duration;

use super::mailers::TlsWords;
use super::{ALERTS, ANY, Args, Keyword, follow_options, tls};
use crate::diagnostic::{At, Fault};
use crate::model::{Alerts, Location, Secret, Url};

type Row = Keyword<AlertsDraft>;
type OptionRow = Keyword<WebhookDraft>;

/// Unless `timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A section while it is read.
#[derive(Debug)]
pub(crate) struct AlertsDraft {
    pub(crate) name: String,
    pub(crate) webhooks: Vec<WebhookDraft>,
    pub(crate) settle: Duration,
}

impl AlertsDraft {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            webhooks: Vec::new(),
            settle: Alerts::SETTLE,
        }
    }
}

/// A webhook while it is read.
#[derive(Debug)]
pub(crate) struct WebhookDraft {
    pub(crate) at: Location,
    pub(crate) url: At<Url>,
    pub(crate) timeout: Duration,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) tls: TlsWords,
}

/// Lines of an `alerts` section.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("alert webhook", ALERTS, "<url> [<option>]...", (1, ANY), webhook, "Where incidents are posted as JSON, `http` or `https`. Options are below."),
    Row::new("alert settle", ALERTS, "<time>", (1, 1), |a, s| { s.settle = a.time()?; Ok(()) }, "How long all must be well until an incident is over; default 30s."),
];

/// What may follow the URL.
#[rustfmt::skip]
pub(crate) const OPTIONS: &[OptionRow] = &[
    OptionRow::new("timeout", ALERTS, "<time>", (1, 1), timeout, "For one attempt, from the look-up of the name to the answer; default 5s."),
    OptionRow::new("header", ALERTS, "<name> <value>", (2, 2), header, "Another line of the request, as `header Authorization \"Bearer ${TOKEN}\"`; its value is never shown."),
    OptionRow::new("ca-file", ALERTS, "<file>|@system-ca", (1, 1), |a, w| { w.tls.ca = Some(a.spotted(tls::authorities)?); Ok(()) }, "Who may have issued the certificate; default those the system trusts."),
    OptionRow::new("verify", ALERTS, "none|required", (1, 1), |a, w| { w.tls.verify = Some(a.spotted(tls::server_verify)?); Ok(()) }, "Whether the certificate must be good, and have the name of the URL; default required."),
];

fn webhook(args: &mut Args<'_>, alerts: &mut AlertsDraft) -> Result<(), Fault> {
    let word = args.word()?;
    let url = Url::parse(&word.text).map_err(|why| {
        // The word itself is in the line below, without its secrets.
        let fault = Fault::new("bad-url", format!("this is no URL of a webhook: {why}."));
        fault.on(&word.span).help("write it as https://host/path")
    })?;
    let mut webhook = WebhookDraft {
        at: args.spot().at(),
        url: args.placed(url, word),
        timeout: TIMEOUT,
        headers: Vec::new(),
        tls: TlsWords::default(),
    };
    follow_options(OPTIONS, ALERTS, args, &mut webhook)?;
    alerts.webhooks.push(webhook);
    Ok(())
}

fn timeout(args: &mut Args<'_>, webhook: &mut WebhookDraft) -> Result<(), Fault> {
    webhook.timeout =
        args.some_time("a receiver that says nothing would be waited for without end")?;
    Ok(())
}

/// A name and a value that can stand in a request (RFC 9110, 5.5, 5.6.2).
fn header(args: &mut Args<'_>, webhook: &mut WebhookDraft) -> Result<(), Fault> {
    /// What the request has of itself.
    const OURS: [&str; 5] = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
    ];
    let (name, value) = (args.word()?, args.word()?);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.text.bytes().all(token) {
        let text = format!("'{}' is no name of a header.", name.text);
        return Err(Fault::new("bad-header", text)
            .on(&name.span)
            .help("name and value are two words: header X-Key \"the value\""));
    }
    if OURS.contains(&name.text.to_ascii_lowercase().as_str()) {
        let text = format!("'{}' is a header that Posthouse writes itself.", name.text);
        return Err(Fault::new("bad-header", text)
            .on(&name.span)
            .help("remove it"));
    }
    if !value.text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let text = format!(
            "the value of header '{}' has characters that cannot be sent.",
            name.text
        );
        return Err(Fault::new("bad-header", text)
            .on(&value.span)
            .help("use ASCII, without control characters"));
    }
    let value = Secret::new(&value.text);
    webhook.headers.push((name.text.clone(), value));
    Ok(())
}
