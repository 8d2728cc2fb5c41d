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

#[cfg(test)]
mod tests {
    use config::{Source, load_sources};
    use rustix::process::dumpable_behavior;

    use super::*;

    fn model(more: &str) -> Model {
        let text = format!(
            "listen mail\n mode smtp\n bind 127.0.0.1:2525\n server s1 127.0.0.1:25\n {more}\n"
        );
        let source = Source {
            name: "t.cfg".to_owned(),
            text: text.into_bytes(),
        };
        let loaded = load_sources(&[source], &|_| None, &|_| None);
        loaded.model.expect("it is valid")
    }

    /// One test: the process has one such setting.
    #[test]
    fn where_clients_may_log_in_nothing_is_dumped() {
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
        protect(&model("option smtp-auth never")).unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
        protect(&model("")).unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    }
}
