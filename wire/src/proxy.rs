//! The PROXY protocol, versions 1 and 2 (haproxy-compat 3.12; the protocol's specification, "PP").
//!
//! Sending: [`encode_v1`], [`encode_v2`]. Accepting: [`parse`], which takes what has arrived so far. It is
//! tolerant where the specification is (an unknown family, `UNKNOWN` with a tail: the real addresses
//! stay) and bounded everywhere.

mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

pub use v1::encode_v1;
pub use v2::encode_v2;

/// The two ends of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The connection's real addresses are meant: LOCAL, `UNKNOWN`, or a family that is not IP.
    Local,
    /// These addresses are meant.
    Proxied(Addresses),
}

/// How far [`parse`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// So far so good: more bytes are needed.
    Incomplete,
    /// A whole header; what follows `length` bytes is the client's.
    Complete {
        /// What it says.
        header: Header,
        /// Its bytes.
        length: usize,
    },
}

/// Why bytes are no header. The words are those of HAProxy's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither signature.
    #[error("Received something which does not look like a PROXY protocol header")]
    NotAHeader,
    /// A signature with nonsense behind it.
    #[error("Received an invalid PROXY protocol header")]
    Invalid,
    /// A version or command that does not exist.
    #[error("Received an unhandled protocol in the PROXY protocol header")]
    Unhandled,
}

/// Reads a header from what has arrived so far.
///
/// # Errors
/// The bytes can no longer become a header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    match bytes.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => v1::parse(bytes),
        Some(b'\r') => v2::parse(bytes),
        Some(_) => Err(Error::NotAHeader),
    }
}

/// Both ends in one family: as soon as one is IPv6, both are.
fn same_family(addresses: &Addresses) -> (SocketAddr, SocketAddr) {
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    let Addresses {
        source,
        destination,
    } = *addresses;
    if source.is_ipv4() && destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

#[cfg(test)]
mod tests;
