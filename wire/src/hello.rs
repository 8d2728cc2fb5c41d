//! TLS's first word, read without TLS: the ClientHello (RFC 8446, 4.1.2), for those who choose a server by it or
//! send it again to the next.
//!
//! It may come in pieces, and in several records. What is told of the beginning of a stream is never taken back,
//! whatever follows.

/// What the beginning of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// Too little to tell.
    More,
    /// Something else.
    Other,
    /// This.
    This(T),
}

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name it wants (RFC 6066, 3), as it was written; `None` also where it is no printable ASCII.
    pub server_name: Option<String>,
    /// The protocols it speaks within TLS, best first (RFC 7301).
    pub protocols: Vec<String>,
    /// What follows is early data, which must not be sent twice without leave (RFC 8446, 4.2.10 and 8).
    pub early_data: bool,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// A record carries at most so much (RFC 8446, 5.1).
const LONGEST_RECORD: usize = 1 << 14;

/// Nobody's hello is longer; TLS libraries stop here as well.
const LONGEST: usize = 0xffff;

/// The type of the handshake message that a stream begins with; 1 for a client's hello.
pub fn handshake_type(bytes: &[u8]) -> Seen<u8> {
    let mut kind = Seen::More;
    let whole = fragments(bytes, |fragment| {
        if let (Seen::More, Some(&first)) = (&kind, fragment.first()) {
            kind = Seen::This(first);
        }
        kind == Seen::More
    });
    match kind {
        Seen::More if !whole => Seen::Other,
        kind => kind,
    }
}

/// The hello that a stream begins with, once it is there as a whole.
pub fn parse(bytes: &[u8]) -> Seen<ClientHello> {
    let mut message = Vec::new();
    let mut wanted = None;
    let whole = fragments(bytes, |fragment| {
        message.extend_from_slice(fragment);
        if let (None, Some(&[kind, a, b, c])) = (wanted, message.first_chunk()) {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            wanted = Some((kind, length));
        }
        wanted.is_none_or(|(kind, length)| {
            kind == CLIENT_HELLO && length <= LONGEST && message.len() < length + 4
        })
    });
    let other = message.first().is_some_and(|&kind| kind != CLIENT_HELLO);
    match wanted {
        _ if other => Seen::Other,
        Some((_, length)) if length > LONGEST => Seen::Other,
        Some((_, length)) if message.len() >= length + 4 => {
            body(&message[4..length + 4]).map_or(Seen::Other, Seen::This)
        }
        _ if whole => Seen::More,
        _ => Seen::Other,
    }
}

/// A hello as a client of TLS 1.2 says it, for those who want to know whether anybody answers.
pub fn plain() -> Vec<u8> {
    // ECDHE with AES-128-GCM, for both kinds of keys.
    const SUITES: &[u8] = &[0, 4, 0xc0, 0x2b, 0xc0, 0x2f];
    // supported_groups: X25519 and P-256; signature_algorithms: ECDSA, PSS and PKCS #1 with SHA-256.
    const EXTENSIONS: &[u8] = &[
        0, 24, 0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 4, 1, 8, 9,
    ];
    let random = [0x5a; 32];
    let body = [&[3, 3][..], &random, &[0], SUITES, &[1, 0], EXTENSIONS].concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[CLIENT_HELLO], &length[1..], &body].concat();
    let length = (message.len() as u16).to_be_bytes();
    [&[HANDSHAKE, 3, 1], &length[..], &message].concat()
}

/// Hands out what the records at the beginning of a stream carry, as far as it is there, as long as more is
/// wanted. False: at that place is no record of a handshake.
fn fragments(mut bytes: &[u8], mut more: impl FnMut(&[u8]) -> bool) -> bool {
    loop {
        // What is there of a header must be right: a type, a version of 3.x, a length.
        let fits = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| right(*byte));
        if !fits(0, |kind| kind == HANDSHAKE) || !fits(1, |major| major == 3) {
            return false;
        }
        let Some((&[_, _, _, high, low], rest)) = bytes.split_first_chunk() else {
            return true;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > LONGEST_RECORD {
            return false;
        }
        let there = rest.len().min(length);
        if !more(&rest[..there]) || there < length {
            return true;
        }
        bytes = &rest[length..];
    }
}

/// A cursor over what is written with lengths.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, octets: usize) -> Option<usize> {
        let bytes = self.take(octets)?;
        Some(bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    }

    /// A vector whose length has so many octets.
    fn vector(&mut self, octets: usize) -> Option<Self> {
        let length = self.number(octets)?;
        self.take(length).map(Self)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn body(message: &[u8]) -> Option<ClientHello> {
    let mut hello = ClientHello::default();
    let mut cursor = Cursor(message);
    cursor.take(2 + 32)?;
    cursor.vector(1)?;
    cursor.vector(2)?;
    cursor.vector(1)?;
    if cursor.is_empty() {
        // Before there were extensions.
        return Some(hello);
    }
    let mut extensions = cursor.vector(2)?;
    while !extensions.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.vector(2)?;
        match kind {
            0 => hello.server_name = server_name(content)?,
            16 => hello.protocols = protocols(content)?,
            42 => hello.early_data = true,
            _ => {}
        }
    }
    cursor.is_empty().then_some(hello)
}

/// The first host name of a list of names.
fn server_name(mut content: Cursor<'_>) -> Option<Option<String>> {
    let mut list = content.vector(2)?;
    while !list.is_empty() {
        let kind = list.number(1)?;
        let name = list.vector(2)?;
        if kind == 0 {
            return Some(text(name.0));
        }
    }
    Some(None)
}

fn protocols(mut content: Cursor<'_>) -> Option<Vec<String>> {
    let mut list = content.vector(2)?;
    let mut names = Vec::new();
    while !list.is_empty() {
        names.extend(text(list.vector(1)?.0));
    }
    Some(names)
}

/// What may be compared, logged and shown as it is.
fn text(bytes: &[u8]) -> Option<String> {
    let plain = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    plain.then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests;
