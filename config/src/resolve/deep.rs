//! `option smtpchk-deep` with its `smtp-check` lines: what they come to.

use wire::check::{Deep, Script};
use wire::visit::Plan;

use crate::diagnostic::{Fault, Report, Shape};
use crate::draft::{CheckOption, ProxyDraft};
use crate::model::Server;

pub(super) fn script(draft: &ProxyDraft, hello: &str) -> Script {
    let deep = &draft.settings.deep.deep;
    Script::deep(Deep {
        plan: Plan {
            hello: hello.to_owned(),
            ..deep.plan.clone()
        },
        ..deep.clone()
    })
}

/// Lines that nobody follows; a password that would be said in clear.
pub(super) fn tell(draft: &ProxyDraft, servers: &[Server], report: &mut Report) {
    let settings = &draft.settings;
    let deep = &settings.deep;
    if !matches!(settings.check, CheckOption::Deep(_)) {
        if let Some(spot) = &deep.written {
            let text = format!(
                "Proxy '{}' uses 'smtp-check' lines without 'option smtpchk-deep', so they are ignored.",
                draft.name.value
            );
            let fault = Fault::warning("check-without-option", text);
            let fault = fault.shape(Shape::Whole).help("add 'option smtpchk-deep'");
            report.fault(spot, fault);
        }
        return;
    }
    let (Some(login), Some(spot)) = (&deep.deep.plan.login, &deep.login) else {
        return;
    };
    let open = servers
        .iter()
        .find(|server| server.check && !server.check_ssl);
    if let (false, false, Some(server)) = (login.in_clear, deep.asks_for_tls(), open) {
        let text = format!(
            "Proxy '{}': the check of server '{}' would log in without TLS.",
            draft.name.value, server.name
        );
        let fault = Fault::new("login-in-clear", text).shape(Shape::Whole);
        report.fault(
            spot,
            fault.help("add 'smtp-check starttls', or 'in-clear' where nobody can listen"),
        );
    }
}
