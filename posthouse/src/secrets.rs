//! What clients say to log in passes through the process's memory: nobody is to find it in a core dump.

use config::model::{Model, SmtpAuth};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps the process from being dumped, and from being looked into by others of its user, where clients may log in.
/// Called when rights are given up, which would undo it.
///
/// # Errors
/// The system refuses.
pub(crate) fn protect(model: &Model) -> std::io::Result<()> {
    if model.proxies.iter().any(|proxy| {
        let smtp = proxy.front.as_ref().and_then(|front| front.smtp.as_ref());
        smtp.is_some_and(|smtp| smtp.auth != SmtpAuth::Never)
    }) {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}
