//! From the files to the model: what `-f`, `-c` and `-cc` ask of the `config` crate.

use std::process::ExitCode;

use config::diagnostic::{Diagnostic, Severity};
use config::model::Model;
use engine::tls::Tls;

use crate::flags::Flags;
use crate::report::{Level, Report};

/// Reads the files and tells what they have wrong. `None`: too much of it.
pub(crate) fn read(flags: &Flags, report: &mut Report) -> Option<Model> {
    let loaded = config::load(&flags.files);
    for diagnostic in &loaded.diagnostics {
        tell(diagnostic, flags.diagnostics, report);
    }
    loaded.model
}

/// Reads the certificates that the model names and tells what they have wrong. `None`: too much of it.
pub(crate) fn certificates(model: &Model, report: &mut Report) -> Option<Tls> {
    let (tls, told) = Tls::load(model);
    let failed = told.iter().any(|d| d.severity == Severity::Alert);
    for diagnostic in &told {
        tell(diagnostic, false, report);
    }
    (!failed).then_some(tls)
}

fn tell(diagnostic: &Diagnostic, suspicions: bool, report: &mut Report) {
    let level = match diagnostic.severity {
        Severity::Alert => Level::Alert,
        Severity::Warning => Level::Warning,
        Severity::Notice => Level::Notice,
        Severity::Diag if suspicions => Level::Diag,
        Severity::Diag => return,
    };
    report.say(level, diagnostic.render());
}

/// `-c`: what is legal and goes wrong with mail.
pub(crate) fn advise(model: &Model, report: &mut Report) {
    for diagnostic in config::advise(model) {
        tell(&diagnostic, false, report);
    }
}

/// `-cc`: 0 for true, 1 for false; what cannot be understood is told, and ends with 2.
pub(crate) fn judge(condition: &str, report: &mut Report) -> ExitCode {
    match config::condition::evaluate(condition, &|name| std::env::var(name).ok()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            report.alert(format_args!("Failed to evaluate condition: {why}"));
            ExitCode::from(2)
        }
    }
}
