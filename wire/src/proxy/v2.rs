//! Version 2: binary (PP 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Error, Header, Parsed, same_family};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// The longest address block and TLVs taken. HAProxy's bound is its buffer, 16 KiB; a real header has
/// some hundred bytes.
const LONGEST: usize = 16 * 1024;

/// The longest value of a TLV that is taken.
const LONGEST_VALUE: usize = 1024;

const VERSION_LOCAL: u8 = 0x20;
const VERSION_PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

const TLV_AUTHORITY: u8 = 0x02;
const TLV_CRC32C: u8 = 0x03;
const TLV_UNIQUE_ID: u8 = 0x05;

/// Appends a version 2 header; without addresses it says LOCAL.
pub fn encode_v2(addresses: Option<&Addresses>, out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    let Some(addresses) = addresses else {
        return out.extend_from_slice(&[VERSION_LOCAL, 0, 0, 0]);
    };
    match same_family(addresses) {
        (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
            out.extend_from_slice(&[VERSION_PROXY, TCP4, 0, 12]);
            out.extend_from_slice(&source.ip().octets());
            out.extend_from_slice(&destination.ip().octets());
        }
        (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
            out.extend_from_slice(&[VERSION_PROXY, TCP6, 0, 36]);
            out.extend_from_slice(&source.ip().octets());
            out.extend_from_slice(&destination.ip().octets());
        }
        // One family is what `same_family` makes of two.
        _ => return out.extend_from_slice(&[VERSION_LOCAL, 0, 0, 0]),
    }
    out.extend_from_slice(&addresses.source.port().to_be_bytes());
    out.extend_from_slice(&addresses.destination.port().to_be_bytes());
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Error::NotAHeader);
    }
    let Some(&[version, family, high, low]) = bytes
        .get(SIGNATURE.len()..FIXED)
        .and_then(|b| b.first_chunk())
    else {
        return Ok(Parsed::Incomplete);
    };
    if version & 0xf0 != 0x20 || version & 0x0f > 1 {
        return Err(Error::Unhandled);
    }
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > LONGEST {
        return Err(Error::Invalid);
    }
    let length = FIXED + rest;
    let Some(header) = bytes.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let (block, skipped) = match (version, family) {
        (VERSION_PROXY, TCP4) => (Some(v4(header).ok_or(Error::Invalid)?), 12),
        (VERSION_PROXY, TCP6) => (Some(v6(header).ok_or(Error::Invalid)?), 36),
        // LOCAL, a unix socket, datagrams, a family of the future: the specification says to take the
        // connection with its real addresses and to skip the rest.
        _ => {
            return Ok(Parsed::Complete {
                header: Header::Local,
                length,
            });
        }
    };
    check_tlvs(header, FIXED + skipped)?;
    Ok(Parsed::Complete {
        header: block.map_or(Header::Local, Header::Proxied),
        length,
    })
}

fn v4(header: &[u8]) -> Option<Addresses> {
    let block: &[u8; 12] = header.get(FIXED..)?.first_chunk()?;
    let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
    let (from, to) = split_ports(ports);
    Some(Addresses {
        source: SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), from),
        destination: SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), to),
    })
}

fn v6(header: &[u8]) -> Option<Addresses> {
    let block = header.get(FIXED..)?;
    let source: [u8; 16] = *block.first_chunk()?;
    let destination: [u8; 16] = *block.get(16..)?.first_chunk()?;
    let (from, to) = split_ports(*block.get(32..)?.first_chunk()?);
    Some(Addresses {
        source: SocketAddr::new(Ipv6Addr::from(source).into(), from),
        destination: SocketAddr::new(Ipv6Addr::from(destination).into(), to),
    })
}

fn split_ports([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Walks the type-length-value fields behind the addresses: they must fit, and a checksum must be right.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), Error> {
    let mut at = start;
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..).and_then(|rest| rest.first_chunk()) else {
            return Err(Error::Invalid);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(at + 3..at + 3 + length).ok_or(Error::Invalid)?;
        let most = match kind {
            TLV_AUTHORITY => 255,
            TLV_UNIQUE_ID => 128,
            _ => LONGEST_VALUE,
        };
        if length > most {
            return Err(Error::Invalid);
        }
        if kind == TLV_CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Error::Invalid)?;
            let without = [&header[..at + 3], &[0; 4], &header[at + 7..]];
            if crc32c(without.iter().flat_map(|part| part.iter())) != u32::from_be_bytes(told) {
                return Err(Error::Invalid);
            }
        }
        at += 3 + length;
    }
    Ok(())
}

/// CRC-32C (RFC 4960, appendix B), bit by bit: a header is short and most have none.
pub(super) fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}
