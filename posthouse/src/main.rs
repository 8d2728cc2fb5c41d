//! Posthouse, from the command line to the exit code: this page is the order of a start.
//!
//! Flags, files, verdict; then limits, binding, handing over, pid file, rights; then [`run`] until a
//! signal ends it. Everything before [`run`] happens in one thread.

mod background;
mod check;
mod ctl;
mod demo;
mod flags;
mod handover;
mod limits;
mod load;
mod notify;
mod pidfile;
mod privileges;
mod probe;
mod report;
mod run;
mod secrets;
mod signals;
mod socket;
mod tool;
#[cfg(feature = "top")]
mod top;
mod version;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use config::model::Model;
use control::Outlets;
use engine::tls::Tls;

use flags::{Command, Flags, Master, Mistake};
use notify::Notifier;
use privileges::Identity;
use report::Report;

fn main() -> ExitCode {
    let mut args = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| "posthouse".into());
    match flags::parse(args) {
        Ok(Command::Proxy(flags)) => proxy(&flags),
        Ok(Command::Ctl(words)) => ctl::run(&words),
        #[cfg(feature = "top")]
        Ok(Command::Top(words)) => top::run(&words),
        #[cfg(not(feature = "top"))]
        Ok(Command::Top(_)) => {
            Report::stderr(false).alert("this build is without `top` (cargo's feature `top`)");
            ExitCode::FAILURE
        }
        Ok(Command::Probe(words)) => probe::run(&words),
        Ok(Command::Demo(words)) => demo::run(&words),
        Ok(Command::Version(detail)) => print(&version::text(detail)),
        Ok(Command::Help) => print(&flags::usage(&program)),
        Err(Mistake::Usage) => {
            eprint!("{}", flags::usage(&program));
            ExitCode::FAILURE
        }
        Err(Mistake::Text(text)) => {
            Report::stderr(false).alert(text);
            ExitCode::FAILURE
        }
    }
}

/// Prints what was asked for; `| head` may have stopped listening.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn proxy(flags: &Flags) -> ExitCode {
    let mut report = Report::stderr(flags.quiet && !flags.verbose);
    prepare(flags, &mut report).unwrap_or_else(|why| {
        report.alert(format_args!("{why:#}"));
        ExitCode::FAILURE
    })
}

/// All that needs nothing but the files; ends here for `-c`, `-cc` and the first process of `-D`.
fn prepare(flags: &Flags, report: &mut Report) -> anyhow::Result<ExitCode> {
    let second = background::is_second();
    if let (Some(directory), false) = (&flags.directory, second) {
        std::env::set_current_dir(directory)
            .with_context(|| format!("Could not change to directory {}", directory.display()))?;
    }
    if let Some(condition) = &flags.condition {
        return Ok(load::judge(condition, report));
    }
    report.set_only_alerts(second);
    let Some(mut model) = load::read(flags, report) else {
        return Ok(ExitCode::FAILURE);
    };
    flags.apply(&mut model);
    report.set_quiet(model.global.quiet);
    let identity = Identity::resolve(&model.global)?;
    if report.warned() && model.global.zero_warning {
        bail!("Some warnings were found and 'zero-warning' is set. Aborting.");
    }
    let Some(tls) = load::certificates(&model, report) else {
        return Ok(ExitCode::FAILURE);
    };
    let listens = check::has_listener(&model);
    if flags.check {
        load::advise(&model, report);
        return Ok(tell(
            &check::verdict(listens, report.warned(), flags.verbose),
            report,
        ));
    }
    if !listens {
        bail!(
            "[haproxy.main()] No enabled listener found (check for 'bind' directives) ! Exiting."
        );
    }
    for text in flags.without_effect() {
        report.notice(format_args!("[haproxy.main()] {text}"));
    }
    if model.global.daemon && !second {
        return background::start();
    }
    report.set_only_alerts(false);
    serve(flags, model, tls, &identity, report)
}

fn tell(verdict: &check::Verdict, report: &Report) -> ExitCode {
    if !report.is_quiet() {
        print(
            &verdict
                .lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
        );
    }
    ExitCode::from(verdict.code)
}

/// From here on the system is touched.
fn serve(
    flags: &Flags,
    mut model: Model,
    tls: Tls,
    identity: &Identity,
    report: &mut Report,
) -> anyhow::Result<ExitCode> {
    let daemon = model.global.daemon;
    let nowhere = background::nowhere()?;
    if daemon {
        background::leave_session()?;
    }
    let notifier = match flags.master {
        Master::Systemd => Notifier::from_environment().context("$NOTIFY_SOCKET")?,
        Master::None | Master::Plain => Notifier::default(),
    };
    limits::raise(&mut model, flags.memory, report)?;
    identity.warn_of_root(report);
    let (model, tls) = (Arc::new(model), Arc::new(tls));
    let outlets = Outlets::prepare(&model)?;
    let control = run::Control::prepare()?;
    let bound = handover::bind(flags, run::is_busy, || run::bind(&model, &tls))?;
    handover::release(flags);
    if let Some(path) = &model.global.pidfile {
        pidfile::write(path)?;
    }
    identity.assume()?;
    secrets::protect(&model).context("keeping secrets out of core dumps")?;
    let ready = || {
        notifier.ready();
        if daemon {
            background::ready(&nowhere)
        } else {
            Ok(())
        }
    };
    let end = control.run(bound, outlets, report.said().to_owned(), ready)?;
    notifier.stopping();
    Ok(end.exit_code(flags.master != Master::None))
}

/// Worker threads (CFG 3.1, `nbthread`): one per core unless told.
fn threads(model: &Model) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    model.global.nbthread.map_or_else(cores, usize::from)
}
