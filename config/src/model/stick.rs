//! Stick tables and the rules that use them (CFG 11, 4.2 `stick`).

use std::time::Duration;

/// `stick-table type ... size ... [expire ...] [nopurge] [store ...]` (CFG 11).
#[derive(Debug, Clone)]
pub struct StickTable {
    /// What a key is.
    pub key: KeyType,
    /// Entries it may hold (`10k` is 10240).
    pub size: u64,
    /// Time after the last touch at which an entry goes; `None`: only evicted.
    pub expire: Option<Duration>,
    /// `nopurge`: when full, new entries are refused instead of old ones evicted.
    pub nopurge: bool,
    /// `srvkey addr`: servers are remembered by address instead of by name.
    pub srvkey_addr: bool,
    /// Declared `store` types, in the order HAProxy prints them.
    pub store: Vec<StoreType>,
}

/// The type of a stick table's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `ip`, `ipv4`.
    Ipv4,
    /// `ipv6`.
    Ipv6,
    /// `integer`.
    Integer,
    /// `string len n`: bytes kept, default 32.
    String(usize),
    /// `binary len n`: bytes kept, default 32.
    Binary(usize),
}

/// A data type of a stick table's entries (CFG 11.1), counters and rates alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreType {
    /// HAProxy's name: `server_id`, `gpc0`, `conn_rate` ...
    pub name: &'static str,
    /// The period of a rate.
    pub period: Option<Duration>,
}

/// `stick on|match|store-request <expression> [table <name>]` (CFG 4.2).
#[derive(Debug, Clone)]
pub struct StickRule {
    /// Look a server up.
    pub match_: bool,
    /// Remember the server used.
    pub store: bool,
    /// What the key is made of.
    pub expression: Expression,
    /// The table, an index into [`Model::proxies`].
    pub table: usize,
}

/// A sample fetch with its converters: `src,ipmask(24)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// What is read.
    pub fetch: Fetch,
    /// What is made of it, in order.
    pub converters: Vec<Converter>,
}

/// Sample fetches of the connection (CFG 7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// `src`: the client's address.
    Src,
    /// `src_port`.
    SrcPort,
    /// `dst`: the address the client connected to.
    Dst,
    /// `dst_port`.
    DstPort,
    /// `fe_id`.
    FeId,
    /// `fe_name`.
    FeName,
    /// `int(n)`.
    Int(i64),
    /// `str(s)`.
    Str(String),
}

/// Converters (CFG 7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converter {
    /// `ipmask(v4[,v6])`, prefix lengths.
    IpMask(u8, u8),
    /// `lower`.
    Lower,
    /// `upper`.
    Upper,
}
