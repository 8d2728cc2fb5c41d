//! A table as `show table` tells it, and the filters of `show table` and `clear table`.

use std::fmt::Write as _;

use config::model::{KeyType, StickTable};

use super::entry::{Entry, StoreError, position};
use super::{Key, Table, lock};

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    Unequal,
    /// `le`
    AtMost,
    /// `ge`
    AtLeast,
    /// `lt`
    Less,
    /// `gt`
    Greater,
}

impl Operator {
    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Equal,
            "ne" => Self::Unequal,
            "le" => Self::AtMost,
            "ge" => Self::AtLeast,
            "lt" => Self::Less,
            "gt" => Self::Greater,
            _ => return None,
        })
    }

    fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Unequal => a != b,
            Self::AtMost => a <= b,
            Self::AtLeast => a >= b,
            Self::Less => a < b,
            Self::Greater => a > b,
        }
    }
}

/// Which entries are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All.
    All,
    /// The one with that key.
    Key(Key),
    /// Those whose data satisfy all of these.
    Data(Vec<(String, Operator, u64)>),
}

impl Filter {
    /// Whether the table has what the filter asks for.
    ///
    /// # Errors
    /// It does not store one of the types.
    pub fn check(&self, spec: &StickTable) -> Result<(), StoreError> {
        match self {
            Self::All | Self::Key(_) => Ok(()),
            Self::Data(rules) => rules
                .iter()
                .try_for_each(|(name, ..)| position(spec, name).map(drop)),
        }
    }

    pub(super) fn matches(&self, spec: &StickTable, key: &Key, entry: &Entry, now: u64) -> bool {
        match self {
            Self::All => true,
            Self::Key(wanted) => wanted == key,
            Self::Data(rules) => rules.iter().all(|(name, operator, value)| {
                entry
                    .number(spec, name, now)
                    .is_ok_and(|number| operator.holds(number, *value))
            }),
        }
    }
}

impl Table {
    /// `# table: be, type: ip, size:10240, used:1`
    pub fn header(&self, name: &str, now: u64) -> String {
        format!(
            "# table: {name}, type: {}, size:{}, used:{}\n",
            self.type_name(),
            self.spec.size,
            self.used(now)
        )
    }

    /// The type of its keys, as HAProxy shows it.
    pub fn type_name(&self) -> &'static str {
        match self.spec.key {
            KeyType::Ipv4 => "ip",
            KeyType::Ipv6 => "ipv6",
            KeyType::Integer => "integer",
            KeyType::String(_) => "string",
            KeyType::Binary(_) => "binary",
        }
    }

    /// A line for each entry that is meant, oldest first within a shard.
    pub fn dump(&self, filter: &Filter, now: u64) -> String {
        let mut out = String::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(shard);
            shard.drop_expired(self.expire, now);
            let meant = shard
                .entries
                .iter()
                .filter(|(key, entry)| filter.matches(&self.spec, key, entry, now));
            for (key, entry) in meant {
                // Tools expect something like an address.
                let pointer = 0x7f00_0000_0000_u64 | (number as u64) << 32 | entry.serial << 6;
                let left = self
                    .expire
                    .map_or(0, |expire| (entry.touched + expire).saturating_sub(now));
                let in_use = entry.in_use;
                let _ = write!(
                    out,
                    "0x{pointer:x}: key={key} use={in_use} exp={left} shard=0"
                );
                entry.write(&self.spec, now, &mut out);
                out.push('\n');
            }
        }
        out
    }
}
