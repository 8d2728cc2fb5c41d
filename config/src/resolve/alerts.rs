//! `alerts`, `mailers` and `email-alert`: whom names stand for, TLS with what `global` says, and mail that would need
//! the very servers it is about.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::diagnostic::{At, Fault, Report, Shape, Spot};
use crate::draft::ProxyDraft;
use crate::keyword::address::Resolver;
use crate::keyword::alerts::AlertsDraft;
use crate::keyword::mailers::{MailerDraft, MailersDraft, TlsWords};
use crate::keyword::suggest;
use crate::model::{
    Alerts, Authorities, BindAddress, EmailAlert, GlobalTls, Host, Login, Mailer, Mailers, Proxy,
    Secrecy, ServerAddress, ServerTls, Sni, Webhook,
};

/// The `alerts` sections.
pub(super) fn alerts(
    drafts: Vec<AlertsDraft>,
    global: &GlobalTls,
    resolver: Resolver<'_>,
    report: &mut Report,
) -> Vec<Alerts> {
    let mut all = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut webhooks = Vec::with_capacity(draft.webhooks.len());
        for webhook in draft.webhooks {
            let url = webhook.url.value;
            let tls = url.tls.then(|| tls(global, &webhook.tls, &url.host));
            if !url.tls {
                useless(&webhook.tls, "https", report);
            }
            let known = known(&url.host, &webhook.url.spot, resolver, report);
            webhooks.push(Webhook {
                at: webhook.at,
                url,
                known,
                timeout: webhook.timeout,
                headers: webhook.headers,
                tls,
            });
        }
        all.push(Alerts {
            name: draft.name,
            webhooks,
            settle: draft.settle,
        });
    }
    all
}

/// The `mailers` sections.
pub(super) fn mailers(
    drafts: Vec<MailersDraft>,
    global: &GlobalTls,
    resolver: Resolver<'_>,
    report: &mut Report,
) -> Vec<Mailers> {
    let mut all = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if draft.mailers.is_empty() {
            let text = format!("mailers '{}' has no 'mailer' line.", draft.name.value);
            let fault =
                Fault::warning("empty-mailers", text).help("add 'mailer <name> <host>:<port>'");
            report.fault(&draft.name.spot, fault);
        }
        let mut mailers = Vec::with_capacity(draft.mailers.len());
        for mailer in draft.mailers {
            let login = login(&mailer, report);
            let secrecy = secrecy(&mailer, global, report);
            let (host, port) = mailer.place.value;
            let known = known(&host, &mailer.place.spot, resolver, report);
            mailers.push(Mailer {
                at: mailer.at,
                name: mailer.name,
                host,
                port,
                known,
                secrecy,
                login,
            });
        }
        all.push(Mailers {
            name: draft.name.value,
            timeout: draft.timeout,
            mailers,
        });
    }
    all
}

/// The address of a host at the start. Without one the proxy still serves: what it serves is worth more.
fn known(host: &Host, spot: &Spot, resolver: Resolver<'_>, report: &mut Report) -> Option<IpAddr> {
    let name = match host {
        Host::Ip(ip) => return Some(*ip),
        Host::Name(name) => name,
    };
    let found = resolver(name);
    if found.is_none() {
        let text =
            format!("could not resolve address '{name}'; it is looked up again for each alert.");
        let fault = Fault::warning("unknown-host", text);
        report.fault(spot, fault.help("write an address, or make the name known"));
    }
    found
}

fn tls(global: &GlobalTls, words: &TlsWords, host: &Host) -> Arc<ServerTls> {
    let verify = words.verify.as_ref().is_none_or(|verify| verify.value);
    let ca = words.ca.as_ref().map(|ca| &ca.value);
    let name = match host {
        Host::Name(name) => Some(name.clone()),
        Host::Ip(_) => None,
    };
    let mut tls = ServerTls {
        verify,
        ca: super::tls::authorities(global, ca.or(Some(&Authorities::System))),
        verifyhost: Some(match host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }),
        sni: name.map(Sni::Name),
        ..ServerTls::default()
    };
    tls.rules.or(&global.server);
    Arc::new(tls)
}

/// Words of TLS where there is none.
fn useless(words: &TlsWords, because: &str, report: &mut Report) {
    let ca = words.ca.as_ref().map(|ca| ("ca-file", &ca.spot));
    let verify = words.verify.as_ref().map(|verify| ("verify", &verify.spot));
    for (word, spot) in ca.into_iter().chain(verify) {
        let text = format!("'{word}' has no effect without {because}.");
        report.fault(spot, Fault::warning("without-tls", text));
    }
}

fn secrecy(mailer: &MailerDraft, global: &GlobalTls, report: &mut Report) -> Secrecy {
    let tls = || tls(global, &mailer.tls, &mailer.place.value.0);
    match (&mailer.ssl, &mailer.starttls) {
        (Some(ssl), Some(_)) => {
            let fault = Fault::new("both-tls", "'ssl' and 'starttls' exclude each other.");
            let help = "'starttls' for port 587 or 25, 'ssl' for port 465";
            report.fault(&ssl.spot, fault.help(help));
            Secrecy::None
        }
        (Some(_), None) => Secrecy::Tls(tls()),
        (None, Some(_)) => Secrecy::StartTls(tls()),
        (None, None) => {
            useless(&mailer.tls, "'ssl' or 'starttls'", report);
            Secrecy::None
        }
    }
}

fn login(mailer: &MailerDraft, report: &mut Report) -> Option<Login> {
    let secret = mailer.ssl.is_some() || mailer.starttls.is_some();
    match (&mailer.user, &mailer.password) {
        (Some(user), Some(password)) => {
            if !secret && !mailer.in_clear {
                let text = format!(
                    "mailer '{}': everybody on the way could read the password.",
                    mailer.name
                );
                let help = "add 'starttls' or 'ssl'; or 'auth-in-clear', where nobody can listen";
                let fault = Fault::new("password-in-clear", text).help(help);
                report.fault(&user.spot, fault);
            }
            Some(Login {
                user: user.value.clone(),
                password: password.value.clone(),
            })
        }
        (None, None) => None,
        (user, password) => {
            let missing = if user.is_none() { "user" } else { "password" };
            let written = user.as_ref().map(|user| &user.spot);
            let written = written.or_else(|| password.as_ref().map(|password| &password.spot));
            let text = format!(
                "mailer '{}' has no '{missing}' to log in with.",
                mailer.name
            );
            let help =
                "'user <name>' and 'password <password>' or 'password-file <file>' belong together";
            if let Some(spot) = written {
                report.fault(spot, Fault::new("half-login", text).help(help));
            }
            None
        }
    }
}

/// `email-alert` of a proxy.
pub(super) fn email(
    draft: &ProxyDraft,
    mailers: &[Mailers],
    report: &mut Report,
) -> Option<EmailAlert> {
    let email = &draft.settings.email;
    let (Some(name), Some(from), Some(to)) = (&email.mailers, &email.from, &email.to) else {
        let spots = [
            email.mailers.as_ref().map(|at| &at.spot),
            email.from.as_ref().map(|at| &at.spot),
            email.to.as_ref().map(|at| &at.spot),
            email.level.as_ref().map(|at| &at.spot),
            email.hostname.as_ref().map(|at| &at.spot),
        ];
        if let Some(spot) = spots.into_iter().flatten().next() {
            let text = format!(
                "no mail is sent for {} '{}': 'email-alert mailers', 'email-alert from' and 'email-alert to' belong together.",
                draft.kind_name(),
                draft.name.value
            );
            let fault = Fault::warning("half-email-alert", text).shape(Shape::Whole);
            report.fault(spot, fault.help("write all three"));
        }
        return None;
    };
    let Some(index) = mailers.iter().position(|known| known.name == name.value) else {
        let hint = suggest::hint(&name.value, mailers.iter().map(|known| &*known.name));
        let text = format!("unable to find mailers '{}'{hint}", name.value);
        let fault = Fault::new("unknown-mailers", text);
        let help = format!("add a section 'mailers {}'", name.value);
        report.fault(&name.spot, fault.help(help));
        return None;
    };
    Some(EmailAlert {
        mailers: index,
        from: from.value.clone(),
        to: to.value.clone(),
        level: email.level.as_ref().map_or(1, |level| level.value),
        hostname: email.hostname.as_ref().map(|name| name.value.clone()),
    })
}

/// Mail about servers that can only go through these servers does not come when it is needed.
pub(super) fn warn_of_circles(
    drafts: &[ProxyDraft],
    proxies: &[Proxy],
    mailers: &[Mailers],
    report: &mut Report,
) {
    for (index, (draft, proxy)) in drafts.iter().zip(proxies).enumerate() {
        let (Some(email), Some(At { spot, .. })) = (&proxy.email, &draft.settings.email.mailers)
        else {
            continue;
        };
        let section = &mailers[email.mailers];
        let circular = |mailer: &Mailer| {
            let to = mailer.known.map(|ip| SocketAddr::new(ip, mailer.port));
            to.is_some_and(|to| leads_to(to, index, proxies))
        };
        if !section.mailers.is_empty() && section.mailers.iter().all(circular) {
            let text = format!(
                "every mailer of '{}' is a server of '{}', or the way to them: mail that says they are down cannot be sent.",
                section.name, proxy.name
            );
            let help = "add a 'mailer' that does not depend on them, or an 'alert webhook'";
            let fault = Fault::warning("circular-mail", text).shape(Shape::Whole);
            report.fault(spot, fault.help(help));
        }
    }
}

/// Whether that is one of the proxy's servers, or a listener whose sessions go to them.
fn leads_to(to: SocketAddr, index: usize, proxies: &[Proxy]) -> bool {
    let servers = proxies[index].back.iter().flat_map(|back| &back.servers);
    let own = servers
        .map(|server| &server.address)
        .any(|address| match address {
            ServerAddress::Ip(address) => *address == to,
            _ => false,
        });
    let fronts = proxies.iter().enumerate().filter_map(|(place, proxy)| {
        let front = proxy.front.as_ref()?;
        let target = front.default_backend.unwrap_or(place);
        (target == index && !proxy.disabled).then_some(front)
    });
    // Which addresses a wildcard stands for is the host's business; loopback is one of them anywhere.
    let listens = |address: &BindAddress| match address {
        BindAddress::Ip(bound) if bound.ip().is_unspecified() => {
            bound.port() == to.port() && to.ip().is_loopback()
        }
        BindAddress::Ip(bound) => *bound == to,
        _ => false,
    };
    let mut binds = fronts.flat_map(|front| &front.binds);
    own || binds.any(|bind| listens(&bind.address))
}
