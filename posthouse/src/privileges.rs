//! Giving up what only the start needed: `chroot`, `group`, `user` (CFG 3).
//!
//! Names are resolved early ([`Identity::resolve`]: `-c` refuses unknown ones too); the drop itself
//! comes after the binding and the pid file and before any worker runs ([`Identity::assume`]).

use std::path::PathBuf;

use anyhow::{Context, bail};
use config::model::{Global, Owner};
use nix::unistd::{Gid, Group, Uid, User, getuid, setgid, setgroups, setuid};

use crate::report::Report;

/// Who the process will be, and what it will see as `/`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    user: Option<Uid>,
    group: Option<Gid>,
    root: Option<PathBuf>,
}

impl Identity {
    /// Looks the names up.
    pub(crate) fn resolve(global: &Global) -> anyhow::Result<Self> {
        let user = match &global.user {
            None => None,
            Some(Owner::Id(id)) => Some(Uid::from_raw(*id)),
            Some(Owner::Name(name)) => match User::from_name(name) {
                Ok(Some(user)) => Some(user.uid),
                Ok(None) => bail!("'user' : cannot find user id for '{name}'"),
                Err(why) => bail!("'user' : cannot find user id for '{name}' ({})", why.desc()),
            },
        };
        let group = match &global.group {
            None => None,
            Some(Owner::Id(id)) => Some(Gid::from_raw(*id)),
            Some(Owner::Name(name)) => match Group::from_name(name) {
                Ok(Some(group)) => Some(group.gid),
                Ok(None) => bail!("'group' : cannot find group id for '{name}'"),
                Err(why) => bail!(
                    "'group' : cannot find group id for '{name}' ({})",
                    why.desc()
                ),
            },
        };
        Ok(Self {
            user,
            group,
            root: global.chroot.clone(),
        })
    }

    /// Warns of a process that keeps root's rights for no reason, as HAProxy 3.4 does.
    pub(crate) fn warn_of_root(&self, report: &mut Report) {
        if !getuid().is_root() {
            return;
        }
        if self.root.is_none() {
            report.warning(
                "[haproxy.main()] Running as root without 'chroot' in the global section. \
                 Name an empty directory, or write 'chroot /' if this is meant.",
            );
        }
        if self.user.is_none() {
            report.warning(
                "[haproxy.main()] Running as root without 'user' or 'uid' in the global section. \
                 Name a user, or write 'uid 0' if this is meant.",
            );
        }
    }

    /// Becomes it: root directory first (it needs rights), then groups, then the user.
    pub(crate) fn assume(&self) -> anyhow::Result<()> {
        if let Some(root) = &self.root {
            enter(root)
                .with_context(|| format!("[haproxy.main()] Cannot chroot({})", root.display()))?;
        }
        if getuid().is_root() && (self.user.is_some() || self.group.is_some()) {
            // Otherwise the groups of whoever started us would stay.
            setgroups(&[]).context("[haproxy.main()] Cannot drop supplementary groups")?;
        }
        if let Some(group) = self.group {
            setgid(group).with_context(|| format!("[haproxy.main()] Cannot set gid {group}"))?;
        }
        if let Some(user) = self.user {
            setuid(user).with_context(|| format!("[haproxy.main()] Cannot set uid {user}"))?;
        }
        Ok(())
    }
}

/// `chroot auto` is an empty directory that is gone from the file system as soon as we are in it.
fn enter(root: &std::path::Path) -> std::io::Result<()> {
    if root.as_os_str() == "auto" {
        let empty = std::env::temp_dir().join(format!("posthouse-root-{}", std::process::id()));
        std::fs::create_dir(&empty)?;
        let inside = rustix::process::chdir(&empty);
        std::fs::remove_dir(&empty)?;
        inside?;
        rustix::process::chroot(".")?;
    } else {
        rustix::process::chroot(root)?;
    }
    Ok(rustix::process::chdir("/")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(user: Option<Owner>, group: Option<Owner>) -> Global {
        Global {
            user,
            group,
            ..Default::default()
        }
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        let named = global(
            Some(Owner::Name("root".into())),
            Some(Owner::Name("root".into())),
        );
        let numbered = global(Some(Owner::Id(0)), Some(Owner::Id(0)));
        assert_eq!(
            Identity::resolve(&named).unwrap(),
            Identity::resolve(&numbered).unwrap()
        );
        assert_eq!(
            Identity::resolve(&global(None, None)).unwrap(),
            Identity::default()
        );
    }

    #[test]
    fn unknown_names_are_told() {
        let unknown = || Some(Owner::Name("nobody-of-that-name".into()));
        let user = Identity::resolve(&global(unknown(), None)).unwrap_err();
        assert_eq!(
            user.to_string(),
            "'user' : cannot find user id for 'nobody-of-that-name'"
        );
        let group = Identity::resolve(&global(None, unknown())).unwrap_err();
        assert!(
            group.to_string().contains("cannot find group id"),
            "{group}"
        );
    }
}
