//! Times and sizes as they are written (CFG 2.5, 2.6).

use std::time::Duration;

/// The largest time HAProxy holds, in milliseconds: 24.8 days.
const MAX_MS: u64 = i32::MAX as u64;

/// What is wrong with a time or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// No number to begin with, or this character where none is understood.
    Character(char),
    /// Too large to hold.
    Overflow,
    /// Nothing there.
    Empty,
}

/// A time, and the first character of what follows its unit without a meaning (a warning).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) value: Duration,
    pub(crate) junk: Option<char>,
}

/// What a bare number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nearly everywhere.
    Milliseconds,
    /// The `*tcpka-*` keywords, and the stats socket.
    Seconds,
}

/// A time as an operator writes it on the stats socket: nothing may follow its unit.
pub fn delay(text: &str, unit: Unit) -> Option<Duration> {
    time(text, unit)
        .ok()
        .filter(|time| time.junk.is_none())
        .map(|time| time.value)
}

/// Reads `30`, `30s`, `5m`. Kept in whole milliseconds (or seconds, for [`Unit::Seconds`]), rounded up.
pub(crate) fn time(text: &str, unit: Unit) -> Result<Time, Bad> {
    let (number, rest) = number(text)?;
    let base: u64 = match unit {
        Unit::Milliseconds => 1_000,
        Unit::Seconds => 1_000_000,
    };
    let (micros, rest) = match rest.as_bytes() {
        [] => (base, rest),
        [b'u', b's', ..] => (1, &rest[2..]),
        [b'm', b's', ..] => (1_000, &rest[2..]),
        [b's', ..] => (1_000_000, &rest[1..]),
        [b'm', ..] => (60_000_000, &rest[1..]),
        [b'h', ..] => (3_600_000_000, &rest[1..]),
        [b'd', ..] => (86_400_000_000, &rest[1..]),
        _ => return Err(Bad::Character(rest.chars().next().unwrap_or(' '))),
    };
    let micros = number.checked_mul(micros).ok_or(Bad::Overflow)?;
    let whole = micros.div_ceil(base);
    if whole > MAX_MS {
        return Err(Bad::Overflow);
    }
    Ok(Time {
        value: Duration::from_micros(whole * base),
        junk: rest.chars().next(),
    })
}

/// Reads `10k`, `2m`, `1g`: powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, Bad> {
    let (number, rest) = number(text)?;
    let shift = match rest {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return Err(Bad::Character(rest.chars().next().unwrap_or(' '))),
    };
    number.checked_mul(1 << shift).ok_or(Bad::Overflow)
}

fn number(text: &str) -> Result<(u64, &str), Bad> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(rest.chars().next().map_or(Bad::Empty, Bad::Character));
    }
    let number = number.parse().map_err(|_| Bad::Overflow)?;
    Ok((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Result<u128, Bad> {
        time(text, Unit::Milliseconds).map(|time| time.value.as_millis())
    }

    #[test]
    fn times() {
        assert_eq!(ms("50"), Ok(50));
        assert_eq!(ms("1m"), Ok(60_000));
        assert_eq!(ms("1500us"), Ok(2));
        assert_eq!(ms("0"), Ok(0));
        assert_eq!(ms("24d"), Ok(2_073_600_000));
        assert_eq!(ms("30d"), Err(Bad::Overflow));
        assert_eq!(ms("2147483648"), Err(Bad::Overflow));
        assert_eq!(ms("99999999999999999999999"), Err(Bad::Overflow));
        assert_eq!(ms("5x"), Err(Bad::Character('x')));
        assert_eq!(ms("x"), Err(Bad::Character('x')));
        assert_eq!(ms(""), Err(Bad::Empty));
        let long = time("1h30m", Unit::Milliseconds).unwrap();
        assert_eq!((long.value.as_secs(), long.junk), (3600, Some('3')));
        let seconds = time("10", Unit::Seconds).unwrap();
        assert_eq!(seconds.value.as_secs(), 10);
    }

    #[test]
    fn sizes() {
        assert_eq!(size("10k"), Ok(10_240));
        assert_eq!(size("2M"), Ok(2 << 20));
        assert_eq!(size("7"), Ok(7));
        assert_eq!(size("7x"), Err(Bad::Character('x')));
        assert_eq!(size("99999999999g"), Err(Bad::Overflow));
    }
}
