//! The PROXY protocol, versions 1 and 2 (haproxy-compat 3.12; the protocol's specification, "PP").
//!
//! Sending: [`encode_v1`], [`encode_v2`]. Accepting: [`parse`], which takes what has arrived so far. It is
//! tolerant where the specification is (an unknown family, `UNKNOWN` with a tail: the real addresses
//! stay) and bounded everywhere. [`authority`] is what of a version 2 header's TLVs is passed on.

mod tlv;
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

/// What a version 2 header tells beside addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// A checksum over all of it.
    pub crc32c: bool,
    /// The protocol that was agreed on within TLS.
    pub alpn: Option<&'a [u8]>,
    /// The name the client asked for; one of more than 255 bytes is not told.
    pub authority: Option<&'a [u8]>,
    /// A number for the session: an empty one, as there is no format for it.
    pub unique_id: bool,
    /// TLS with the client.
    pub ssl: Option<Ssl<'a>>,
}

/// What is told of TLS with the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// `TLSv1.3`; `None`: it has no TLS.
    pub version: Option<&'a str>,
    /// The client's certificate was verified.
    pub certificate: Option<Presented>,
    /// That certificate's common name; one of more than 128 bytes is not told.
    pub common_name: Option<&'a str>,
    /// `EC256`: the key of the certificate that was shown to the client.
    pub key: Option<&'a str>,
    /// `RSA-SHA256`: how that certificate is signed.
    pub signature: Option<&'a str>,
    /// `TLS_AES_256_GCM_SHA384`.
    pub cipher: Option<&'a str>,
}

/// When a client presented its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// When this connection began.
    InConnection,
    /// In the session that this connection resumes.
    InSession,
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

/// The authority that a whole header tells: the name its client asked for, or what the sender calls so.
pub fn authority(header: &[u8]) -> Option<&[u8]> {
    v2::authority(header)
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
