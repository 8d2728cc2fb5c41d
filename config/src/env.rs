//! Environment variables as the configuration sees them: the process's, and what `setenv` and its
//! kin changed from a line on. The process's own environment is never touched.

use std::collections::BTreeMap;

/// Looks a variable of the process up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `setenv`, `presetenv`, `unsetenv`, `resetenv` (CFG 3.1).
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(String, String),
    SetIfUnset(String, String),
    Unset(Vec<String>),
    /// Forget everything but these.
    Keep(Vec<String>),
}

pub(crate) struct Env<'a> {
    base: Lookup<'a>,
    changed: BTreeMap<String, Option<String>>,
    /// After `resetenv`: the only variables of the process still seen.
    kept: Option<Vec<String>>,
}

impl<'a> Env<'a> {
    pub(crate) fn new(base: Lookup<'a>) -> Self {
        Self {
            base,
            changed: BTreeMap::new(),
            kept: None,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        if let Some(value) = self.changed.get(name) {
            return value.clone();
        }
        let seen = |kept: &Vec<String>| kept.iter().any(|kept| kept == name);
        if self.kept.as_ref().is_some_and(|kept| !seen(kept)) {
            return None;
        }
        (self.base)(name).or_else(|| match name {
            "HAPROXY_BRANCH" => Some(crate::condition::VERSION[..3].to_owned()),
            "HAPROXY_STARTUP_VERSION" => Some(crate::condition::VERSION.to_owned()),
            _ => None,
        })
    }

    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.changed.insert(name.to_owned(), Some(value));
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Set(name, value) => self.set(&name, value),
            Change::SetIfUnset(name, value) => {
                if self.get(&name).is_none() {
                    self.set(&name, value);
                }
            }
            Change::Unset(names) => {
                self.changed
                    .extend(names.into_iter().map(|name| (name, None)));
            }
            Change::Keep(names) => {
                self.changed.retain(|name, _| names.contains(name));
                if let Some(kept) = &mut self.kept {
                    kept.retain(|name| names.contains(name));
                } else {
                    self.kept = Some(names);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_up() {
        let base = |name: &str| (name != "Z").then(|| format!("base-{name}"));
        let mut env = Env::new(&base);
        env.apply(Change::SetIfUnset("A".into(), "1".into()));
        env.apply(Change::SetIfUnset("Z".into(), "2".into()));
        assert_eq!(env.get("A").as_deref(), Some("base-A"));
        assert_eq!(env.get("Z").as_deref(), Some("2"));
        env.apply(Change::Unset(vec!["A".into()]));
        assert_eq!(env.get("A"), None);
        env.apply(Change::Keep(vec!["Z".into(), "Q".into()]));
        assert_eq!((env.get("B"), env.get("Q")), (None, Some("base-Q".into())));
    }
}
