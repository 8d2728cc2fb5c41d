//! The framing of a log line (CFG 4.2 `log ... format`; RFC 3164, RFC 5424).

use std::io::Write as _;

/// How a line is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 3164 without a host name.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// `<PRI>` and the text.
    Priority,
    /// `<level>` and the text, as systemd's journal takes it.
    Short,
    /// `<level>`, an ISO 8601 time and the text.
    Timed,
    /// An ISO 8601 time and the text.
    Iso,
    /// The text alone.
    Raw,
}

/// A local time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Full year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
    /// East of UTC.
    pub offset_minutes: i16,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Who says a line, and how it shall look.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The framing.
    pub format: Format,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Level, 0 to 7.
    pub level: u8,
    /// When.
    pub stamp: Stamp,
    /// Host name (`log-send-hostname`); the formats that need one have a word for none.
    pub host: Option<&'a str>,
    /// `log-tag`.
    pub tag: &'a str,
    /// Process id.
    pub pid: u32,
    /// The longest line in bytes; what is beyond is cut.
    pub max_len: usize,
}

impl Frame<'_> {
    /// Appends a framed line, with a line feed at its end. Control characters of `text` become `.`, so
    /// that a line stays one line.
    pub fn write(&self, text: &str, out: &mut Vec<u8>) {
        let start = out.len();
        self.header(out);
        out.extend(
            text.bytes()
                .map(|byte| if byte.is_ascii_control() { b'.' } else { byte }),
        );
        out.truncate(start + self.max_len.saturating_sub(1));
        out.push(b'\n');
    }

    fn header(&self, out: &mut Vec<u8>) {
        let Self {
            level,
            tag,
            pid,
            stamp,
            ..
        } = *self;
        let priority = u16::from(self.facility) * 8 + u16::from(level);
        // Writing to a vector does not fail.
        let _ = match self.format {
            Format::Local => {
                let _ = write!(out, "<{priority}>");
                stamp.rfc3164(out);
                write!(out, " {tag}[{pid}]: ")
            }
            Format::Rfc3164 => {
                let _ = write!(out, "<{priority}>");
                stamp.rfc3164(out);
                write!(out, " {} {tag}[{pid}]: ", self.host.unwrap_or("localhost"))
            }
            Format::Rfc5424 => {
                let _ = write!(out, "<{priority}>1 ");
                stamp.iso(out);
                write!(out, " {} {tag} {pid} - - ", self.host.unwrap_or("-"))
            }
            Format::Priority => write!(out, "<{priority}>"),
            Format::Short => write!(out, "<{level}>"),
            Format::Timed => {
                let _ = write!(out, "<{level}>");
                stamp.iso(out);
                write!(out, " ")
            }
            Format::Iso => {
                stamp.iso(out);
                write!(out, " ")
            }
            Format::Raw => Ok(()),
        };
    }
}

impl Stamp {
    fn rfc3164(&self, out: &mut Vec<u8>) {
        let month = MONTHS[usize::from(self.month.clamp(1, 12)) - 1];
        out.extend_from_slice(month.as_bytes());
        for (before, number, fill) in [
            (b' ', self.day, b' '),
            (b' ', self.hour, b'0'),
            (b':', self.minute, b'0'),
            (b':', self.second, b'0'),
        ] {
            let tens = number / 10 % 10;
            let tens = if tens == 0 { fill } else { b'0' + tens };
            out.extend_from_slice(&[before, tens, b'0' + number % 10]);
        }
    }

    /// `2026-11-23T20:46:18.482000+01:00`.
    fn iso(&self, out: &mut Vec<u8>) {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
            offset_minutes,
        } = self;
        let sign = if *offset_minutes < 0 { '-' } else { '+' };
        let offset = offset_minutes.unsigned_abs();
        let _ = write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}{sign}{:02}:{:02}",
            offset / 60,
            offset % 60
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(format: Format, host: Option<&str>, text: &str, max_len: usize) -> String {
        let stamp = Stamp {
            year: 2026,
            month: 11,
            day: 4,
            hour: 2,
            minute: 50,
            second: 12,
            micros: 425_488,
            offset_minutes: -90,
        };
        let frame = Frame {
            format,
            facility: 16,
            level: 6,
            stamp,
            host,
            tag: "haproxy",
            pid: 7,
            max_len,
        };
        let mut out = Vec::new();
        frame.write(text, &mut out);
        String::from_utf8(out).expect("text")
    }

    /// What HAProxy 2.6 sends, format by format.
    #[test]
    fn frames_are_haproxys() {
        let cases = [
            (Format::Local, "<134>Nov  4 02:50:12 haproxy[7]: x\n"),
            (
                Format::Rfc3164,
                "<134>Nov  4 02:50:12 localhost haproxy[7]: x\n",
            ),
            (
                Format::Rfc5424,
                "<134>1 2026-11-04T02:50:12.425488-01:30 - haproxy 7 - - x\n",
            ),
            (Format::Priority, "<134>x\n"),
            (Format::Short, "<6>x\n"),
            (Format::Timed, "<6>2026-11-04T02:50:12.425488-01:30 x\n"),
            (Format::Iso, "2026-11-04T02:50:12.425488-01:30 x\n"),
            (Format::Raw, "x\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(framed(format, None, "x", 1024), expected, "{format:?}");
        }
        let named = framed(Format::Rfc3164, Some("mx"), "x", 1024);
        assert_eq!(named, "<134>Nov  4 02:50:12 mx haproxy[7]: x\n");
    }

    #[test]
    fn a_line_stays_one_line_and_within_its_length() {
        assert_eq!(framed(Format::Raw, None, "a\nb\0c", 1024), "a.b.c\n");
        assert_eq!(framed(Format::Raw, None, &"y".repeat(200), 80).len(), 80);
    }
}
