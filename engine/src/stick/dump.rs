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
    /// The one that a dump shows with that pointer.
    Pointer(u64),
    /// Those whose data satisfy all of these.
    Data(Vec<(String, Operator, u64)>),
}

impl Filter {
    pub(super) fn matches(
        &self,
        spec: &StickTable,
        shard: usize,
        (key, entry): (&Key, &Entry),
        now: u64,
    ) -> bool {
        match self {
            Self::All => true,
            Self::Key(wanted) => wanted == key,
            Self::Pointer(wanted) => *wanted == pointer(shard, entry),
            Self::Data(rules) => rules.iter().all(|(name, operator, value)| {
                entry
                    .number(spec, name, now)
                    .is_ok_and(|number| operator.holds(number, *value))
            }),
        }
    }
}

/// Tools expect something like an address.
fn pointer(shard: usize, entry: &Entry) -> u64 {
    0x7f00_0000_0000 | (shard as u64) << 32 | entry.serial << 6
}

impl Table {
    /// Whether it stores that type.
    ///
    /// # Errors
    /// It does not, or nobody knows the type.
    pub fn stores(&self, name: &str) -> Result<(), StoreError> {
        position(&self.spec, name).map(drop)
    }

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
                .filter(|found| filter.matches(&self.spec, number, *found, now));
            for (key, entry) in meant {
                let pointer = pointer(number, entry);
                let left = self
                    .expire
                    .map_or(0, |expire| (entry.touched + expire).saturating_sub(now));
                let in_use = entry.in_use;
                let _ = write!(
                    out,
                    "0x{pointer:x}: key={} use={in_use} exp={left} shard=0",
                    escaped(key)
                );
                entry.write(&self.spec, now, &mut out);
                out.push('\n');
            }
        }
        out
    }
}

/// A key as dumps show it: what would end the word, or break the line, is escaped.
fn escaped(key: &Key) -> String {
    let text = key.to_string();
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' | b'=' | b'\\' => out.extend(['\\', char::from(byte)]),
            0x21..0x7f => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out
}
