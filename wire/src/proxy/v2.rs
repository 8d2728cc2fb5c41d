//! Version 2: binary (PP 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Error, Extras, Header, Parsed, same_family, tlv};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// The longest address block and TLVs taken. HAProxy's bound is its buffer, 16 KiB; a real header has
/// some hundred bytes.
const LONGEST: usize = 16 * 1024;

const VERSION_LOCAL: u8 = 0x20;
const VERSION_PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Appends a version 2 header with what `extras` tells; without addresses it says LOCAL.
pub fn encode_v2(addresses: Option<&Addresses>, extras: &Extras<'_>, out: &mut Vec<u8>) {
    let ends = addresses.map(same_family);
    let (command, family) = match ends {
        Some((SocketAddr::V4(_), _)) => (VERSION_PROXY, TCP4),
        Some((SocketAddr::V6(_), _)) => (VERSION_PROXY, TCP6),
        None => (VERSION_LOCAL, 0),
    };
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&[command, family, 0, 0]);
    if let Some((source, destination)) = ends {
        for end in [source, destination] {
            match end.ip() {
                IpAddr::V4(ip) => header.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
            }
        }
        for end in [source, destination] {
            header.extend_from_slice(&end.port().to_be_bytes());
        }
    }
    let checksum = tlv::write(extras, &mut header);
    // What is told is bounded far below what a length can say.
    let length = u16::try_from(header.len() - FIXED).unwrap_or(u16::MAX);
    header[FIXED - 2..FIXED].copy_from_slice(&length.to_be_bytes());
    if let Some(checksum) = checksum {
        tlv::seal(&mut header, checksum);
    }
    out.extend(header);
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
        (VERSION_PROXY, TCP4) => (v4(header).ok_or(Error::Invalid)?, 12),
        (VERSION_PROXY, TCP6) => (v6(header).ok_or(Error::Invalid)?, 36),
        // LOCAL, a unix socket, datagrams, a family of the future: the specification says to take the
        // connection with its real addresses and to skip the rest.
        _ => {
            return Ok(Parsed::Complete {
                header: Header::Local,
                length,
            });
        }
    };
    tlv::check(header, FIXED + skipped)?;
    Ok(Parsed::Complete {
        header: Header::Proxied(block),
        length,
    })
}

/// The authority of a whole header.
pub(super) fn authority(header: &[u8]) -> Option<&[u8]> {
    let skipped = match header.get(SIGNATURE.len()..)? {
        [VERSION_PROXY, TCP4, ..] => 12,
        [VERSION_PROXY, TCP6, ..] => 36,
        _ => return None,
    };
    tlv::authority(header, FIXED + skipped)
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
