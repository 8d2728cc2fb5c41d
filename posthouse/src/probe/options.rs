//! The words behind `posthouse probe`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use config::model::ServerAddress;
use wire::visit::Envelope;

use crate::tool::{Tool, Words};

pub(super) const TOOL: Tool = Tool {
    name: "probe",
    usage: "\
Usage: posthouse probe -f <file> [-f ...] [-q | --json] [<backend>[/<server>]...]

Asks every server of a configuration what works, as a session would come to it: connection, PROXY header, greeting,
EHLO, STARTTLS and its certificate, XCLIENT, AUTH, and whether it is an open relay. Nothing is delivered. To be run
where the proxy runs: what a server allows depends on who asks.

  <backend>[/<server>]  ask these alone
  -f <file|dir>         the configuration
  --all                 ask disabled servers as well
  --timeout <s>         how long each step may take: 10 unless told
  --from <address>      a sender that is nobody's at the server
  --to <address>        a recipient that is nobody's at the server
  --client <ip>         the client that PROXY or XCLIENT tells of: 192.0.2.1 or 2001:db8::1 unless told
  --helo <name>         the name in EHLO: the host's unless told
  -q                    say only what is a warning or an error
  --json                say all of it as one JSON value

Exit code: 0 nothing is wrong (there may be warnings), 1 something is, or the configuration has errors,
2 the command line is not understood.
",
};

/// Names that nobody has (RFC 2606, 2).
const FROM: &str = "probe@sender.invalid";
const TO: &str = "probe@recipient.invalid";

/// The words, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) files: Vec<PathBuf>,
    pub(super) only: Vec<String>,
    pub(super) all: bool,
    /// Of each step.
    pub(super) timeout: Duration,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) client: Option<IpAddr>,
    pub(super) helo: Option<String>,
    pub(super) quiet: bool,
    pub(super) json: bool,
    pub(super) help: bool,
}

pub(super) fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        files: Vec::new(),
        only: Vec::new(),
        all: false,
        timeout: Duration::from_secs(10),
        from: None,
        to: None,
        client: None,
        helo: None,
        quiet: false,
        json: false,
        help: false,
    };
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-f" => {
                let file = words.value("-f", "the configuration")?;
                options.files.push(file.into());
            }
            "--all" => options.all = true,
            "--timeout" => {
                let seconds = words.read::<f64>("--timeout", "seconds")?;
                if !(0.1..=600.0).contains(&seconds) {
                    return Err("--timeout needs seconds, from 0.1 to 600".into());
                }
                options.timeout = Duration::from_secs_f64(seconds);
            }
            "--from" => options.from = Some(said(&mut words, "--from", "a sender, or ''")?),
            "--to" => options.to = Some(said(&mut words, "--to", "a recipient")?),
            "--helo" => options.helo = Some(said(&mut words, "--helo", "a name")?),
            "--client" => options.client = Some(words.read("--client", "an IP address")?),
            "-q" => options.quiet = true,
            "--json" => options.json = true,
            "--help" | "-h" => options.help = true,
            flag if flag.starts_with('-') => return Err(TOOL.no_flag(flag)),
            _ => options.only.push(word),
        }
    }
    match options.files.is_empty() && !options.help {
        true => Err("no configuration; name it with -f <file>".into()),
        false => Ok(options),
    }
}

/// A word that becomes part of a command to a server.
fn said(words: &mut Words<'_>, flag: &str, what: &str) -> Result<String, String> {
    let word = words.value(flag, what)?;
    let breaks = |c: char| c.is_control() || c.is_whitespace() || c == '<' || c == '>';
    match word.contains(breaks) {
        true => Err(format!(
            "{flag} needs {what}, not '{}'",
            word.escape_debug()
        )),
        false => Ok(word),
    }
}

impl Options {
    /// What is asked to find out whether the server relays. Many refuse a sender whose domain is not to be found before
    /// they come to the recipient, so that the second has none; unless we were told a sender.
    pub(super) fn envelopes(&self) -> Vec<Envelope> {
        let to = self.to.as_deref().unwrap_or(TO);
        let senders = match &self.from {
            Some(from) => vec![from.as_str()],
            None => vec![FROM, ""],
        };
        let envelope = |sender: &str| Envelope {
            sender: sender.to_owned(),
            recipient: Some(to.to_owned()),
        };
        senders.into_iter().map(envelope).collect()
    }

    /// A client whom no server knows (RFC 5737, RFC 3849).
    pub(super) fn client(&self, server: &ServerAddress) -> SocketAddr {
        const PORT: u16 = 50_000;
        let v6 = matches!(
            server,
            ServerAddress::Ip(SocketAddr::V6(_)) | ServerAddress::IpRelative(IpAddr::V6(_), _)
        );
        let nobody = match v6 {
            true => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            false => IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        };
        let ip = self.client.unwrap_or(nobody);
        SocketAddr::new(ip, PORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn words_are_understood_or_told() {
        let options = read("-f a be -f b --timeout 0.5 be/s1 --json --all -q").unwrap();
        assert_eq!(options.files, ["a", "b"].map(PathBuf::from));
        assert_eq!(options.only, ["be", "be/s1"]);
        assert_eq!(options.timeout, Duration::from_millis(500));
        assert!(options.json && options.all && options.quiet);
        for (line, word) in [
            ("be", "-f <file>"),
            ("-f", "an argument"),
            ("-f a -x", "'-x'"),
            ("-f a --timeout soon", "'soon'"),
            ("-f a --timeout 0", "600"),
            ("-f a --client here", "'here'"),
            ("-f a --from a@b>\rDATA", "'a@b>\\rDATA'"),
        ] {
            let why = read(line).unwrap_err();
            assert!(why.contains(word), "{line}: {why}");
        }
        assert!(read("--help").unwrap().help);
    }

    #[test]
    fn who_is_asked_for_is_nobody() {
        let senders = |line: &str| {
            let envelopes = read(line).unwrap().envelopes();
            let senders = envelopes.into_iter().map(|envelope| envelope.sender);
            senders.collect::<Vec<_>>()
        };
        assert_eq!(senders("-f a"), ["probe@sender.invalid", ""]);
        assert_eq!(senders("-f a --from me@example.org"), ["me@example.org"]);
        assert_eq!(senders("-f a --from "), [""]);
        let client = |address: &str| {
            let address = ServerAddress::Ip(address.parse().unwrap());
            read("-f a").unwrap().client(&address).ip().to_string()
        };
        assert_eq!(client("10.0.0.1:25"), "192.0.2.1");
        assert_eq!(client("[fd00::1]:25"), "2001:db8::1");
    }
}
