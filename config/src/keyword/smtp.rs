//! Keywords of `mode smtp`. All of them are Posthouse's own.

use super::{Args, BACK, FRONT, Keyword, Modifier};
use crate::diagnostic::Fault;
use crate::draft::Settings;
use crate::model::{BareLf, SmtpAuth};

type Row = Keyword<Settings>;

/// One of the limits: its default is the model's.
macro_rules! limit {
    ($name:literal, $field:ident, $least:literal, $doc:literal) => {
        Row::new(
            $name,
            FRONT,
            "<number>",
            (1, 1),
            |a, s| {
                s.smtp.note(a);
                s.smtp.front.limits.$field = at_least(a, $least)?;
                Ok(())
            },
            $doc,
        )
    };
}

/// Keywords of `mode smtp`.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("smtp-name", FRONT, "<name>", (1, 1), name, "`mode smtp`: the name the proxy greets with; default the host's."),
    Row { syntax: "normalise|reject", args: (0, 1), ..Row::option("option smtp-bare-lf", FRONT, bare_lf, "`mode smtp`: what becomes of a line feed or carriage return that stands alone: the server gets CRLF, the default, or the message is refused with `550 5.5.2`.") },
    Row::option("option smtp-hash-addresses", FRONT, |a, s| { s.smtp.note(a); s.smtp.front.hash_addresses = a.on(); Ok(()) }, "`mode smtp`: log lines have hashes in place of mail addresses; equal addresses have equal hashes until the process ends."),
    limit!("smtp-limit errors", errors, 0, "`mode smtp`: refused commands after which a client hears `421 4.7.0`; default 20, 0 is no limit."),
    limit!("smtp-limit recipients", recipients, 100, "`mode smtp`: recipients of one message; more hear `452 4.5.3`; default 1000, 0 is no limit."),
    limit!("smtp-limit transactions", transactions, 0, "`mode smtp`: messages of one session; then `421 4.7.0`; default 0, no limit."),
    limit!("smtp-limit command-line", command_line, 512, "`mode smtp`: octets of a command; a longer one hears `500 5.5.2`; default 4096, 0 is no limit but 64k."),
    limit!("smtp-limit failed-logins-per-source", failed_logins_per_source, 0, "`mode smtp`: logins from one address (of IPv6: one /64) that servers refused within ten minutes; the next one hears `421 4.7.0` and reaches no server; default 0, no limit."),
    limit!("smtp-limit failed-logins-per-name", failed_logins_per_name, 0, "`mode smtp`: the same for one name, whoever tries; who attacks a name can lock it; default 0, no limit."),
    Row { syntax: "tls|always|never", args: (0, 1), ..Row::option("option smtp-auth", FRONT, auth, "`mode smtp`: where AUTH is offered, as far as servers offer it: within TLS, the default, in clear text too, or nowhere.") },
    Row::option("option smtp-replay-auth", BACK, |a, s| { s.smtp.note(a); s.smtp.back.replay_auth = a.on(); Ok(()) }, "`mode smtp`: what a client has said to log in is kept as long as its session, and said again to a server that takes the session over, within TLS with `verify required` alone. Without it, and without `xclient`, such a client hears `421` and begins anew."),
    Row::option("option smtp-replay-after-data", BACK, |a, s| { s.smtp.note(a); s.smtp.back.replay_after_data = a.on(); Ok(()) }, "`mode smtp`: a message that a server has had to its end, and did not answer before it died, is sent to another: it may come twice. Without it the sender hears `451 4.4.2`, and sends again."),
    Row::new("timeout smtp-failover", BACK, "<time>", (1, 1), failover, "`mode smtp`: how long a command may wait until another server has taken the session over; default 30s."),
];

/// A number that is zero, or as large as the standard asks for (RFC 5321, 4.5.3.1).
fn at_least(args: &mut Args<'_>, least: u32) -> Result<u32, Fault> {
    let word = args.peek();
    let number = args.count()?;
    if number == 0 || number >= least {
        return Ok(number);
    }
    let text = format!(
        "'{}' is at least {least} (RFC 5321, 4.5.3.1), or 0 for no limit.",
        args.keyword
    );
    let fault = Fault::new("bad-number", text);
    Err(match word {
        Some(word) => fault.on(&word.span),
        None => fault,
    })
}

/// A domain, or an address in brackets (RFC 5321, 4.2): it stands in the greeting as it is.
fn name(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.smtp.note(args);
    let word = args.word()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if word.text.is_empty() || word.text.len() > 255 || !word.text.bytes().all(fits) {
        let text = format!("'smtp-name' takes a domain, got '{}'.", word.text);
        return Err(Fault::new("bad-name", text)
            .on(&word.span)
            .help("write it like 'smtp-name mx.example.com'"));
    }
    settings.smtp.front.name = Some(word.text.clone());
    Ok(())
}

fn bare_lf(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.smtp.note(args);
    settings.smtp.front.bare_lf = match args.modifier {
        Modifier::Default => BareLf::Normalise,
        Modifier::None => {
            args.choice(&[("normalise", BareLf::Normalise), ("reject", BareLf::Reject)])?
        }
        Modifier::No => {
            let text = "'no option smtp-bare-lf' would let others smuggle mail through the proxy.";
            return Err(Fault::new("refused", text).help("it is 'normalise' or 'reject'"));
        }
    };
    Ok(())
}

fn auth(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.smtp.note(args);
    settings.smtp.front.auth = match args.modifier {
        Modifier::Default => SmtpAuth::Tls,
        Modifier::No => SmtpAuth::Never,
        Modifier::None => args.choice(&[
            ("tls", SmtpAuth::Tls),
            ("always", SmtpAuth::Always),
            ("never", SmtpAuth::Never),
        ])?,
    };
    Ok(())
}

fn failover(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    settings.smtp.note(args);
    let word = args.peek();
    let time = args.time()?;
    if time.is_zero() {
        let text = "'timeout smtp-failover' must be longer than nothing.";
        let fault = Fault::new("bad-time", text).help("without other servers there is no failover");
        return Err(match word {
            Some(word) => fault.on(&word.span),
            None => fault,
        });
    }
    settings.smtp.back.failover = time;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SmtpLimits;

    /// The documentation names the defaults.
    #[test]
    fn defaults_are_as_documented() {
        let limits = SmtpLimits::default();
        for (name, value) in [
            ("errors", limits.errors),
            ("recipients", limits.recipients),
            ("transactions", limits.transactions),
            ("command-line", limits.command_line),
            ("failed-logins-per-source", limits.failed_logins_per_source),
            ("failed-logins-per-name", limits.failed_logins_per_name),
        ] {
            let row = ROWS
                .iter()
                .find(|row| row.name == format!("smtp-limit {name}"))
                .unwrap();
            assert!(row.doc.contains(&format!("default {value}")), "{name}");
        }
    }
}
