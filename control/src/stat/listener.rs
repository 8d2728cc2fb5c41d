//! A listener's row (`option socket-stats`): the few columns it has; the others are empty.

use config::model::{Bind, BindAddress};
use engine::Proxy;
use engine::counters::Total;
use engine::frontend::{FrontendTotals, Listening};

use super::Value;

/// A listener of a frontend.
pub(super) struct ListenerRow<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) bind: &'a Bind,
    pub(super) listening: &'a Listening,
    /// Whether the frontend takes connections now.
    pub(super) open: bool,
    /// Addresses are not for everyone's eyes: from level operator on.
    pub(super) legends: bool,
}

type Show = fn(&ListenerRow<'_>) -> Value;

#[rustfmt::skip]
const COLUMNS: &[(&str, Show)] = &[
    ("pxname", |r| Value::Text(r.proxy.name().to_string())),
    ("svname", |r| Value::Text(r.name())),
    ("scur", |r| n(r.listening.sessions.get())),
    ("smax", |r| n(r.listening.sessions.most())),
    ("slim", |r| n(r.listening.maxconn.unwrap_or(0))),
    ("stot", |r| r.sum(|t| &t.sessions)),
    ("bin", |r| r.sum(|t| &t.bytes_in)),
    ("bout", |r| r.sum(|t| &t.bytes_out)),
    ("dreq", |r| r.sum(|t| &t.denied_requests)),
    ("dresp", |_| n(0_u32)),
    ("ereq", |r| r.sum(|t| &t.request_errors)),
    ("status", |r| Value::Text(r.status().into())),
    ("pid", |_| n(1_u32)),
    ("iid", |r| n(r.proxy.conf().id)),
    ("sid", |r| n(r.bind.id)),
    ("type", |_| n(3_u32)),
    ("addr", |r| r.address()),
    ("mode", |r| Value::Text(if r.proxy.conf().pages.is_some() { "http" } else { "tcp" }.into())),
    ("conn_tot", |r| r.sum(|t| &t.connections)),
    ("dcon", |r| r.sum(|t| &t.denied_connections)),
    ("dses", |r| r.sum(|t| &t.denied_sessions)),
    ("wrew", |_| n(0_u32)),
    ("eint", |_| n(0_u32)),
    ("reqbin", |r| r.sum(|t| &t.bytes_in)),
    ("reqbout", |r| r.sum(|t| &t.bytes_in)),
    ("resbin", |r| r.sum(|t| &t.bytes_out)),
    ("resbout", |r| r.sum(|t| &t.bytes_out)),
    ("-", |_| Value::Text("-".into())),
];

fn n(number: impl Into<u64>) -> Value {
    Value::Number(number.into())
}

impl ListenerRow<'_> {
    /// The value of that column.
    pub(super) fn value(&self, column: &str) -> Value {
        let found = COLUMNS.iter().find(|(name, _)| *name == column);
        found.map_or(Value::Empty, |(_, show)| show(self))
    }

    /// `name`, else `sock-<id>`.
    fn name(&self) -> String {
        let name = self.bind.name.as_deref().map(str::to_owned);
        name.unwrap_or_else(|| format!("sock-{}", self.bind.id))
    }

    fn sum(&self, field: impl Fn(&FrontendTotals) -> &Total) -> Value {
        n(self.listening.totals.sum(field))
    }

    /// Its own limit, the frontend's, or none that is reached.
    fn status(&self) -> &'static str {
        match (self.listening.has_room(), self.open) {
            (false, _) => "FULL",
            (true, false) => "WAITING",
            (true, true) => "OPEN",
        }
    }

    fn address(&self) -> Value {
        match &self.bind.address {
            _ if !self.legends => Value::Empty,
            BindAddress::Ip(address) => Value::Text(address.to_string()),
            BindAddress::Unix(_) | BindAddress::Abstract(_) => Value::Text("unix".into()),
            BindAddress::Fd(number) => Value::Text(format!("fd@{number}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_columns_exist() {
        for (name, _) in COLUMNS {
            assert!(super::super::column(name).is_some(), "{name}");
        }
    }
}
