//! What of the metrics is wanted: `scope`, `metrics`, `no-maint`, `desc-labels`, as HAProxy's exporter takes them.

use std::borrow::Cow;

/// The part of a request's address that follows the `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `None`: all.
    scopes: Option<Vec<Scope>>,
    /// Names, with `-` before those that are not wanted.
    metrics: Vec<String>,
    /// Leave out servers in maintenance.
    pub(super) no_maint: bool,
    /// Show the `description` of proxies as a label.
    pub(super) descriptions: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    Frontend,
    Listener,
    Backend,
    Server,
    StickTable,
    Resolver,
}

const SCOPES: &[(&str, Scope)] = &[
    ("global", Scope::Global),
    ("frontend", Scope::Frontend),
    ("listener", Scope::Listener),
    ("backend", Scope::Backend),
    ("server", Scope::Server),
    ("sticktable", Scope::StickTable),
    ("resolver", Scope::Resolver),
];

impl Query {
    /// `None`: it is malformed, or names a scope that there is not.
    pub fn parse(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(decoded(value)?)),
                None => (pair, None),
            };
            match &*decoded(name)? {
                "scope" => {
                    let scopes = query.scopes.get_or_insert_default();
                    match &*value? {
                        "" => scopes.clear(),
                        "*" => scopes.extend(SCOPES.iter().map(|(_, scope)| *scope)),
                        value => {
                            let known = SCOPES.iter().find(|(name, _)| *name == value)?;
                            scopes.push(known.1);
                        }
                    }
                }
                "metrics" => {
                    let names = value.unwrap_or_default();
                    let names = names.split(',').filter(|name| !name.is_empty());
                    query.metrics.extend(names.map(str::to_owned));
                }
                "no-maint" => query.no_maint = true,
                "desc-labels" => query.descriptions = true,
                _ => {}
            }
        }
        Some(query)
    }

    pub(super) fn wants(&self, scope: Scope) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether that metric is wanted: all, unless some are named.
    pub fn wants_metric(&self, name: &str) -> bool {
        let named = |wanted: &&String| wanted.strip_prefix('-').unwrap_or(wanted) == name;
        match self.metrics.iter().rfind(named) {
            Some(wanted) => !wanted.starts_with('-'),
            None => self.metrics.iter().all(|wanted| wanted.starts_with('-')),
        }
    }
}

/// Without `%xx` and `+`: Prometheus writes `scope=%2A`. `None`: a `%` without its digits, or no text behind it.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_choose() {
        let all = Query::parse("").unwrap_or_default();
        assert!(all.wants(Scope::Server) && all.wants_metric("haproxy_process_jobs"));
        let some = Query::parse("scope=server&scope=global&no-maint").unwrap_or_default();
        assert!(some.wants(Scope::Global) && !some.wants(Scope::Backend) && some.no_maint);
        assert_eq!(Query::parse("scope=bogus"), None);
        assert_eq!(Query::parse("scope"), None);
        let none = Query::parse("scope=").unwrap_or_default();
        assert!(!none.wants(Scope::Global));
        let one = Query::parse("metrics=a,b,-b").unwrap_or_default();
        assert!(one.wants_metric("a") && !one.wants_metric("b") && !one.wants_metric("c"));
        let but = Query::parse("metrics=-a").unwrap_or_default();
        assert!(!but.wants_metric("a") && but.wants_metric("b"));
    }

    #[test]
    fn what_prometheus_escapes_is_understood() {
        let all = Query::parse("scope=%2A&metrics=a%2Cb&no%2Dmaint=").unwrap_or_default();
        assert!(all.wants(Scope::StickTable) && all.no_maint);
        assert!(all.wants_metric("b") && !all.wants_metric("c"));
        for broken in ["scope=%2", "scope=%zz", "metrics=%ff"] {
            assert_eq!(Query::parse(broken), None, "{broken}");
        }
    }

    proptest::proptest! {
        /// Whatever a client writes gives a query or none.
        #[test]
        fn nothing_breaks_it(text in "[a-z=&%+,*0-9-]{0,60}") {
            let _ = Query::parse(&text);
        }
    }
}
