//! TLS of `bind` and `server` lines with what `global` says for all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::check::Rule;

use crate::diagnostic::{At, Fault, Report, Shape, Spot};
use crate::draft::{BindDraft, CheckOption, GreetingOption, Mode, ProxyDraft, ServerDraft};
use crate::model::{
    Authorities, BindTls, ClientVerify, GlobalTls, Server, ServerAddress, ServerTls, Sni,
};

/// A relative name, from where it is meant.
fn based(base: Option<&PathBuf>, path: &Path) -> PathBuf {
    base.map_or_else(|| path.to_owned(), |base| base.join(path))
}

pub(super) fn authorities(global: &GlobalTls, ca: Option<&Authorities>) -> Option<Authorities> {
    ca.map(|ca| match ca {
        Authorities::File(path) => Authorities::File(based(global.ca_base.as_ref(), path)),
        Authorities::System => Authorities::System,
    })
}

/// What a `bind` line says, where it has `ssl` or `starttls`.
pub(super) fn bind(
    line: &BindDraft,
    smtp: bool,
    global: &GlobalTls,
    report: &mut Report,
) -> Option<Arc<BindTls>> {
    let starttls_at = line.starttls.as_ref();
    starttls(smtp, line.ssl.is_some(), starttls_at, report);
    let spot = line.ssl.as_ref().or(starttls_at)?;
    let word = if line.ssl.is_some() {
        "ssl"
    } else {
        "starttls"
    };
    let mut tls = line.tls.clone();
    let mut fault = |code, text: &str, help: &str| {
        report.fault(spot, Fault::new(code, text).help(help));
    };
    if tls.crt.is_empty() && tls.crt_list.is_empty() {
        fault(
            "missing-certificate",
            &format!("'{word}' needs a certificate."),
            "add 'crt <file>', with certificate, chain and key",
        );
    }
    if tls.verify != ClientVerify::None && tls.ca.is_none() {
        fault(
            "missing-ca",
            "'verify' needs to know whom to trust.",
            "add 'ca-file <file>'",
        );
    }
    tls.rules.or(&global.bind);
    tls.strict_sni |= global.strict_sni;
    tls.ca = authorities(global, tls.ca.as_ref());
    tls.crl = tls.crl.map(|path| based(global.ca_base.as_ref(), &path));
    for path in &mut tls.crt {
        *path = based(global.crt_base.as_ref(), path);
    }
    tls.crt_base = global.crt_base.clone();
    tls.ca_base = global.ca_base.clone();
    Some(Arc::new(tls))
}

/// STARTTLS is SMTP's, and begins in clear text.
fn starttls(smtp: bool, ssl: bool, spot: Option<&Spot>, report: &mut Report) {
    let Some(spot) = spot else { return };
    let (code, text, help) = if !smtp {
        (
            "needs-smtp",
            "'starttls' needs 'mode smtp'.",
            "write 'mode smtp', or 'ssl' where TLS begins with the first byte",
        )
    } else if ssl {
        (
            "bad-choice",
            "'ssl' and 'starttls' exclude each other.",
            "with 'ssl' TLS begins with the first byte, with 'starttls' behind the greeting",
        )
    } else {
        return;
    };
    report.fault(spot, Fault::new(code, text).help(help));
}

/// Port of mail submission within TLS from the first byte on (RFC 8314, 3.3).
const SUBMISSIONS: u16 = 465;

/// Whether clients begin TLS with these servers, through us: `option tls-hello`, else where every server is at the
/// port for it, or is checked with TLS and without, as sessions go.
pub(super) fn clients_begin(
    proxy: &ProxyDraft,
    servers: &[Server],
    report: &mut Report,
) -> Option<bool> {
    let settings = &proxy.settings;
    let mode = settings.mode.as_ref().map(|mode| mode.value);
    let passes = mode.is_none_or(|mode| mode == Mode::Tcp);
    match &settings.tls_hello {
        Some(At { value: true, spot }) if !passes => {
            let text = "'option tls-hello' needs 'mode tcp', where TLS passes through.";
            report.fault(spot, Fault::new("tls-hello", text).help("remove it"));
            return None;
        }
        Some(At { value: true, spot }) => {
            if let GreetingOption::Prefix(_) = settings.greeting {
                let text = "'option tls-hello' and 'option greeting': either clients or servers speak first.";
                report.fault(
                    spot,
                    Fault::new("tls-hello", text).help("remove one of the two"),
                );
            }
            return Some(true);
        }
        Some(At { value: false, .. }) => return Some(false),
        None => {}
    }
    let speaks = |server: &Server| {
        let port = match &server.address {
            ServerAddress::Ip(address) => address.port(),
            _ => 0,
        };
        let elsewhere =
            server.check_port.is_some_and(|own| own != port) || server.check_addr.is_some();
        let checked = (server.check && server.check_ssl || settings.check == CheckOption::Hello)
            && !elsewhere;
        server.tls.is_none() && (port == SUBMISSIONS || checked)
    };
    let known = passes
        && !matches!(settings.greeting, GreetingOption::Prefix(_))
        && !servers.is_empty()
        && servers.iter().all(speaks);
    known.then_some(true)
}

/// What a `server` line says: for sessions, for checks, and whether checks use it by themselves.
pub(super) fn server(
    proxy: &ProxyDraft,
    draft: &ServerDraft,
    global: &GlobalTls,
    report: &mut Report,
) -> (Option<Arc<ServerTls>>, Option<Arc<ServerTls>>, bool) {
    starttls(
        super::is_smtp(proxy),
        draft.ssl,
        draft.starttls.as_ref(),
        report,
    );
    let secret = draft.ssl || draft.starttls.is_some();
    let elsewhere = draft.server.check_port.is_some() || draft.server.check_addr.is_some();
    let check_ssl = draft.check_ssl.unwrap_or(draft.ssl && !elsewhere);
    let rules = proxy.settings.rules.iter();
    let asked = rules
        .map(|rule| &rule.value)
        .any(|rule| matches!(rule, Rule::Connect(connect) if connect.ssl));
    let deep = matches!(proxy.settings.check, CheckOption::Deep(_));
    let deep_tls = deep && proxy.settings.deep.asks_for_tls();
    let checks = draft.server.check && (check_ssl || asked || deep_tls || draft.ssl);
    if !secret && !checks {
        return (None, None, false);
    }
    let mut tls = draft.tls.clone();
    tls.verify = draft.verify.unwrap_or(!global.no_server_verify);
    tls.ca = authorities(global, tls.ca.as_ref());
    tls.crl = tls.crl.map(|path| based(global.ca_base.as_ref(), &path));
    tls.crt = tls.crt.map(|path| based(global.crt_base.as_ref(), &path));
    tls.rules.or(&global.server);
    if let (true, None, Some(name)) = (tls.verify, &tls.ca, &draft.name) {
        let text = format!(
            "{} '{}', server '{}': its certificate is to be verified, and nothing says whom to trust.",
            proxy.kind_name(),
            proxy.name.value,
            name.value
        );
        let help = "add 'ca-file <file>' or 'ca-file @system-ca'; or 'verify none', where nobody can come between";
        report.fault(
            &name.spot,
            Fault::new("missing-ca", text)
                .shape(Shape::Whole)
                .help(help),
        );
    }
    let mut check = tls.clone();
    tls.starttls = draft.starttls.is_some();
    // A session that is resumed shows no certificate.
    check.no_reuse |= deep;
    if let Some(alpn) = &draft.check_alpn {
        check.rules.alpn.clone_from(alpn);
    }
    if let Some(name) = &draft.check_sni {
        check.sni = Some(Sni::Name(name.clone()));
    }
    let sessions = secret.then(|| Arc::new(tls));
    (sessions, checks.then(|| Arc::new(check)), check_ssl)
}
