//! Replies of a server: cutting them out of its bytes, and reading code and enhanced status.

use memchr::memchr;

/// Bytes of a reply with all its lines; a server that says more in one go is not making sense.
pub const MAX_REPLY: usize = 32 * 1024;

/// A whole reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// All its lines with their ends.
    pub bytes: &'a [u8],
    /// The code of its last line.
    pub code: u16,
}

/// These bytes are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an SMTP reply")]
pub struct NotAReply;

impl<'a> Reply<'a> {
    /// The first reply in `bytes`, when it is there as a whole. Lines may end in LF alone.
    ///
    /// # Errors
    /// A line does not begin with three digits and a blank, a hyphen or its end; or it never ends.
    pub fn first(bytes: &'a [u8]) -> Result<Option<Self>, NotAReply> {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let line = &bytes[at..at + length];
            let (code, last) = read_line(line)?;
            at += length + 1;
            if at > MAX_REPLY {
                return Err(NotAReply);
            }
            if last {
                let bytes = &bytes[..at];
                return Ok(Some(Self { bytes, code }));
            }
        }
        let begun = &bytes[at..];
        let digits = begun.iter().take(3).all(u8::is_ascii_digit);
        if bytes.len() > MAX_REPLY || !digits {
            return Err(NotAReply);
        }
        Ok(None)
    }

    /// The first digit.
    pub fn class(&self) -> u8 {
        (self.code / 100) as u8
    }

    /// The enhanced status of RFC 3463 that follows the code on the first line, when it agrees with the code.
    pub fn status(&self) -> Option<Status> {
        let text = self.bytes.get(4..)?;
        let end = memchr::memchr3(b' ', b'\r', b'\n', text)?;
        let text = std::str::from_utf8(&text[..end]).ok()?;
        let mut parts = text.split('.').map(|part| {
            let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| digits)
        });
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        let agrees = parts.next().is_none() && class == self.code / 100;
        agrees.then_some(Status { subject, detail })
    }

    /// The first line without its end.
    pub fn first_line(&self) -> &'a [u8] {
        let end = memchr(b'\n', self.bytes).unwrap_or(self.bytes.len());
        let line = &self.bytes[..end];
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// What each line says behind code and hyphen, without its end.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                line.get(4..).unwrap_or_default()
            })
    }
}

/// Subject and detail of an enhanced status; its class is the reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is about: 3 is the mail system, 7 policy.
    pub subject: u16,
    /// What of it.
    pub detail: u16,
}

/// The code of a line without its LF, and whether it is the last of its reply.
fn read_line(line: &[u8]) -> Result<(u16, bool), NotAReply> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3).ok_or(NotAReply)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&digits[0]) {
        return Err(NotAReply);
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        None | Some(b' ') => Ok((code, true)),
        Some(b'-') => Ok((code, false)),
        Some(_) => Err(NotAReply),
    }
}
