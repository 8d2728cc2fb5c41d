//! What a version 2 header tells beside the addresses: type, length, value (PP 2.2.1 to 2.2.6).

use super::{Error, Extras, Ssl};

/// The longest value of a TLV that is taken.
const LONGEST_VALUE: usize = 1024;

/// The longest authority taken or told.
const LONGEST_NAME: usize = 255;

/// The longest fact of TLS told: a common name has 64 letters at most (RFC 5280, appendix A.1).
const LONGEST_FACT: usize = 128;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;

const SSL_VERSION: u8 = 0x21;
const SSL_COMMON_NAME: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIGNATURE: u8 = 0x24;
const SSL_KEY: u8 = 0x25;

const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERTIFICATE_IN_CONNECTION: u8 = 0x02;
const CLIENT_CERTIFICATE_IN_SESSION: u8 = 0x04;

/// Type and length.
const HEAD: usize = 3;

/// Appends what is told, in HAProxy's order. The checksum is 0 until [`seal`] knows all of it; where it is comes back.
pub(super) fn write(extras: &Extras<'_>, out: &mut Vec<u8>) -> Option<usize> {
    let checksum = extras.crc32c.then(|| {
        field(out, CRC32C, &[0; 4]);
        out.len() - 4
    });
    let short = |value: &&[u8]| value.len() <= LONGEST_NAME;
    for (kind, value) in [(ALPN, extras.alpn), (AUTHORITY, extras.authority)] {
        if let Some(value) = value.filter(short) {
            field(out, kind, value);
        }
    }
    if extras.unique_id {
        // Without a format the number is empty.
        field(out, UNIQUE_ID, &[]);
    }
    if let Some(ssl) = &extras.ssl {
        field(out, SSL, &facts(ssl));
    }
    checksum
}

/// What is known of TLS with the client.
fn facts(ssl: &Ssl<'_>) -> Vec<u8> {
    let in_session = ssl.certificate.is_some();
    let in_connection = ssl.certificate == Some(super::Presented::InConnection);
    let flags = [
        (ssl.version.is_some(), CLIENT_SSL),
        (in_connection, CLIENT_CERTIFICATE_IN_CONNECTION),
        (in_session, CLIENT_CERTIFICATE_IN_SESSION),
    ];
    let flags = flags.iter().filter(|(on, _)| *on);
    let flags = flags.fold(0, |all, (_, flag)| all | flag);
    // Nobody gets here whose certificate is not good: the result of its verification is 0.
    let mut out = vec![flags, 0, 0, 0, 0];
    let told = [
        (SSL_VERSION, ssl.version),
        (SSL_COMMON_NAME, ssl.common_name),
        (SSL_KEY, ssl.key),
        (SSL_SIGNATURE, ssl.signature),
        (SSL_CIPHER, ssl.cipher),
    ];
    for (kind, value) in told {
        if let Some(value) = value.filter(|value| value.len() <= LONGEST_FACT) {
            field(&mut out, kind, value.as_bytes());
        }
    }
    out
}

/// Appends one; nothing that is told is as long as a length can say.
fn field(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len()) else {
        return;
    };
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// Puts the checksum of the whole header in its place.
pub(super) fn seal(header: &mut [u8], checksum: usize) {
    let sum = crc32c(header.iter());
    if let Some(place) = header.get_mut(checksum..checksum + 4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// One of a header's, with where its value begins.
#[derive(Debug)]
pub(super) struct Field<'h> {
    kind: u8,
    at: usize,
    value: &'h [u8],
}

/// Walks those of a whole header, from behind the addresses. One that does not fit ends the walk.
pub(super) fn walk(header: &[u8], start: usize) -> impl Iterator<Item = Result<Field<'_>, Error>> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = header.get(at..).filter(|rest| !rest.is_empty())?;
        let found = rest.first_chunk().and_then(|&[kind, high, low]| {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let value = rest.get(HEAD..HEAD + length)?;
            let at = at + HEAD;
            Some(Field { kind, at, value })
        });
        at = found
            .as_ref()
            .map_or(header.len(), |field| field.at + field.value.len());
        Some(found.ok_or(Error::Invalid))
    })
}

/// They must fit, and a checksum must be right.
pub(super) fn check(header: &[u8], start: usize) -> Result<(), Error> {
    for field in walk(header, start) {
        let Field { kind, at, value } = field?;
        let most = match kind {
            AUTHORITY => LONGEST_NAME,
            UNIQUE_ID => 128,
            _ => LONGEST_VALUE,
        };
        if value.len() > most {
            return Err(Error::Invalid);
        }
        if kind == CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Error::Invalid)?;
            let without = [&header[..at], &[0; 4], &header[at + 4..]];
            if crc32c(without.iter().flat_map(|part| part.iter())) != u32::from_be_bytes(told) {
                return Err(Error::Invalid);
            }
        }
    }
    Ok(())
}

/// The authority that a header tells; of more than one the last.
pub(super) fn authority(header: &[u8], start: usize) -> Option<&[u8]> {
    let fields = walk(header, start).map_while(Result::ok);
    let told = fields.filter(|field| field.kind == AUTHORITY);
    told.last().map(|field| field.value)
}

/// CRC-32C (RFC 4960, appendix B), bit by bit: a header is short and most have none.
pub(super) fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}
