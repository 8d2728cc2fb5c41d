//! `-p`, `pidfile`: the process id, one line, for whoever stops us later.
//!
//! Written before a chroot and before rights are dropped, by the process that will serve.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Replaces the file: an older one may belong to somebody else, or be a link to something else.
pub(crate) fn write(path: &Path) -> anyhow::Result<()> {
    let told = || format!("[haproxy.main()] Cannot create pidfile {}", path.display());
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            return Err(why).with_context(told);
        }
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .with_context(told)?;
    writeln!(file, "{}", std::process::id()).with_context(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_replaced_and_a_link_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        let path = dir.path().join("pid");
        std::os::unix::fs::symlink(&other, &path).unwrap();
        write(&path).unwrap();
        write(&path).unwrap();
        let own = format!("{}\n", std::process::id());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), own);
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let why = write(Path::new("/no/such/place/pid")).unwrap_err();
        assert!(why.to_string().contains("/no/such/place/pid"), "{why}");
    }
}
