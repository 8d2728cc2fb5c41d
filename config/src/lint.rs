//! Mail lint: advice about what is legal and goes wrong with mail (`-c`).
//!
//! Advice is no warning: the exit code stays 0 and `-dW` does not make an error of it. `no lint <code>` in a
//! section or its `defaults` silences one rule. Whoever has a reason has a word for it in the file.

use std::time::Duration;

use crate::acl::Needs;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Back, Front, Location, Model, Proxy, ServerAddress};

/// A rule: its code, and whom it advises what.
struct Rule {
    code: &'static str,
    look: fn(&Model, &Proxy) -> Option<Advice>,
}

/// What is said: where, what and why, and the way out.
struct Advice {
    at: Location,
    text: String,
    help: String,
}

const RULES: &[Rule] = &[
    Rule {
        code: "server-timeout",
        look: server_timeout,
    },
    Rule {
        code: "client-timeout",
        look: client_timeout,
    },
    Rule {
        code: "bare-check",
        look: bare_check,
    },
    Rule {
        code: "check-without-quit",
        look: check_without_quit,
    },
    Rule {
        code: "check-without-proxy",
        look: check_without_proxy,
    },
    Rule {
        code: "open-relay",
        look: open_relay,
    },
    Rule {
        code: "told-twice",
        look: told_twice,
    },
    Rule {
        code: "replay-auth",
        look: replay_auth,
    },
    Rule {
        code: "sticky-failback",
        look: sticky_failback,
    },
    Rule {
        code: "inspect-delay",
        look: inspect_delay,
    },
    Rule {
        code: "defer-accept",
        look: defer_accept,
    },
    Rule {
        code: "smtp-starttls",
        look: smtp_starttls,
    },
];

/// The codes that `no lint` takes.
pub(crate) fn codes() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.code)
}

/// What there is to advise, in the order of the file.
pub fn advise(model: &Model) -> Vec<Diagnostic> {
    let mut said: Vec<Diagnostic> = Vec::new();
    for proxy in model.proxies.iter().filter(|proxy| !proxy.disabled) {
        let rules = RULES
            .iter()
            .filter(|rule| !proxy.no_lint.contains(&rule.code));
        for rule in rules {
            let Some(advice) = (rule.look)(model, proxy) else {
                continue;
            };
            said.push(Diagnostic {
                severity: Severity::Notice,
                code: rule.code,
                text: format!("[{}] advice ({}): {}", advice.at, rule.code, advice.text),
                location: Some(advice.at),
                source: None,
                help: Some(format!(
                    "{}; 'no lint {}' silences this",
                    advice.help, rule.code
                )),
            });
        }
    }
    said
}

/// Ports where servers speak SMTP, and first.
const MAIL_PORTS: [u16; 2] = [25, 587];

/// The half of a proxy that has mail servers: they are known to greet, or have mail's ports.
fn mail_servers(proxy: &Proxy) -> Option<&Back> {
    let back = proxy.back.as_ref()?;
    let port = |address: &ServerAddress| match address {
        ServerAddress::Ip(address) => MAIL_PORTS.contains(&address.port()),
        _ => false,
    };
    let mail = back.greeting.is_some() || back.servers.iter().any(|server| port(&server.address));
    (mail && !back.servers.is_empty()).then_some(back)
}

/// The half of a proxy that takes clients of mail servers.
fn mail_clients<'m>(model: &'m Model, proxy: &'m Proxy) -> Option<&'m Front> {
    let front = proxy
        .front
        .as_ref()
        .filter(|front| !front.binds.is_empty())?;
    let target = front
        .default_backend
        .and_then(|index| model.proxies.get(index));
    mail_servers(target.unwrap_or(proxy)).map(|_| front)
}

fn kind(proxy: &Proxy) -> &'static str {
    match (&proxy.front, &proxy.back) {
        (Some(_), Some(_)) => "listen",
        (Some(_), None) => "frontend",
        _ => "backend",
    }
}

/// Advice about a section as a whole.
fn section(proxy: &Proxy, text: &str, help: &str) -> Advice {
    Advice {
        at: proxy.at.clone(),
        text: format!("{} '{}': {text}", kind(proxy), proxy.name),
        help: help.to_owned(),
    }
}

fn server_timeout(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let limit = mail_servers(proxy)?.timeout_server?;
    (limit < Duration::from_secs(600)).then(|| {
        let text = "'timeout server' is shorter than the 10 minutes a sender waits for the answer to its final dot \
                    (RFC 5321, 4.5.3.2.6): a server that is still scanning is cut off, and the message comes twice.";
        section(proxy, text, "set 'timeout server 10m' or more")
    })
}

fn client_timeout(model: &Model, proxy: &Proxy) -> Option<Advice> {
    let limit = mail_clients(model, proxy)?.timeout_client?;
    (limit < Duration::from_secs(300)).then(|| {
        let text = "'timeout client' is shorter than the 5 minutes a server should wait for the next command \
                    (RFC 5321, 4.5.3.2.7).";
        section(proxy, text, "set 'timeout client 5m' or more")
    })
}

fn bare_check(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = mail_servers(proxy)?;
    let checked = back.servers.iter().any(|server| server.check);
    (checked && back.check.is_bare()).then(|| {
        let text = "the check only connects: a server that accepts and says nothing passes it, and logs \
                    'lost connection after CONNECT' each time.";
        section(proxy, text, "add 'option smtpchk EHLO <name>'")
    })
}

fn check_without_quit(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = mail_servers(proxy)?;
    let checked = back.servers.iter().any(|server| server.check);
    (checked && back.check.ends_without_quit()).then(|| {
        let text = "the 'tcp-check' rules end without QUIT (RFC 5321, 4.1.1.10). Posthouse says it for them; HAProxy \
                    resets the connection, which mail servers log as an error.";
        section(proxy, text, "use 'option smtpchk', or end with 'tcp-check send QUIT\\r\\n' and 'tcp-check expect rstring ^221'")
    })
}

fn check_without_proxy(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = mail_servers(proxy)?;
    let server = back
        .servers
        .iter()
        .find(|server| server.check && server.check_send_proxy.is_some())?;
    back.check.connects_without_proxy().then(|| Advice {
        at: server.at.clone(),
        text: format!(
            "server '{}' expects a PROXY header, and 'tcp-check connect' says nothing of one. Posthouse sends it where \
             the check goes to the server's own port; HAProxy does not, and its check fails.",
            server.name
        ),
        help: "write 'tcp-check connect send-proxy', or drop the 'tcp-check connect' line".to_owned(),
    })
}

fn open_relay(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = mail_servers(proxy)?;
    let server = back
        .servers
        .iter()
        .find(|server| server.send_proxy.is_none() && !server.xclient)?;
    Some(Advice {
        at: server.at.clone(),
        text: format!(
            "server '{}' sees the proxy's address in place of the client's: if that address is in its 'mynetworks' \
             anybody may relay through it, and its blocklists and limits are blind.",
            server.name
        ),
        help: "add 'send-proxy-v2' here and, in Postfix, 'smtpd_upstream_proxy_protocol = haproxy'; 'posthouse probe -f <file>' \
               asks whether it relays"
            .to_owned(),
    })
}

fn told_twice(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = proxy.back.as_ref()?;
    let server = back
        .servers
        .iter()
        .find(|server| server.xclient && server.send_proxy.is_some())?;
    Some(Advice {
        at: server.at.clone(),
        text: format!(
            "server '{}' hears of the client by a PROXY header first, and allows or refuses XCLIENT by that address: to the \
             proxy it may be allowed, to clients it must not be.",
            server.name
        ),
        help: "write 'xclient' or 'send-proxy-v2', not both".to_owned(),
    })
}

fn replay_auth(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = proxy.back.as_ref()?;
    back.smtp.as_ref().filter(|smtp| smtp.replay_auth)?;
    let server = back.servers.iter().find(|server| {
        let verified = server.tls.as_ref().is_some_and(|tls| tls.verify);
        !verified && !server.xclient
    })?;
    Some(Advice {
        at: server.at.clone(),
        text: format!(
            "server '{}' takes over no session whose client is logged in: secrets are said again within TLS with 'verify \
             required' alone.",
            server.name
        ),
        help: "add 'ssl' or 'starttls' with 'ca-file'; or 'xclient', which needs no secret"
            .to_owned(),
    })
}

fn sticky_failback(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let back = mail_servers(proxy)?;
    let sticks = back.stick.iter().any(|rule| rule.match_);
    let backup = back
        .servers
        .iter()
        .find(|server| server.backup && !server.non_stick)?;
    (sticks && back.servers.iter().any(|server| !server.backup)).then(|| Advice {
        at: backup.at.clone(),
        text: format!(
            "clients that backup '{}' has served once stay on it after the others are back, until their stick entry \
             expires.",
            backup.name
        ),
        help: "add 'non-stick' to the backup".to_owned(),
    })
}

fn inspect_delay(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let rules = &proxy.tcp_request;
    let front = proxy.front.as_ref()?;
    let content = rules.content.iter().map(|rule| &rule.condition);
    let switches = front.switches.iter().map(|switch| &switch.condition);
    let mut conditions = content.chain(switches).flatten();
    let asks = conditions.any(|condition| condition.beyond(Needs::Session).next().is_some());
    (asks && rules.inspect_delay.is_none()).then(|| {
        let text = "its rules ask what clients say first, and without an 'inspect-delay' nobody waits for it: they see \
                    what happens to be there, mostly nothing.";
        section(proxy, text, "add 'tcp-request inspect-delay 5s'")
    })
}

fn defer_accept(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let bind = proxy
        .front
        .as_ref()?
        .binds
        .iter()
        .find(|bind| bind.defer_accept)?;
    Some(Advice {
        at: bind.at.clone(),
        text: "'defer-accept' waits for the client's first bytes, and a client of a mail server waits for the server's \
               (RFC 5321, 3.1). It is not applied."
            .to_owned(),
        help: "remove it".to_owned(),
    })
}

fn smtp_starttls(_: &Model, proxy: &Proxy) -> Option<Advice> {
    let front = proxy.front.as_ref()?;
    front.smtp.as_ref()?;
    let clear = front.binds.iter().all(|bind| bind.tls.is_none());
    (clear && !front.binds.is_empty()).then(|| {
        let text = "in mode smtp STARTTLS is advertised where a bind has it, whatever servers offer: here nobody can \
                    encrypt.";
        section(proxy, text, "add 'starttls crt <file>' to a bind; or use 'mode tcp', through which TLS passes")
    })
}
