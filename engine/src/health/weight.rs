//! Weights: what an operator asks, and what slowstart leaves of it (haproxy-compat 3.10).

use super::{Change, Health, OpState};

/// The finest step of slowstart, as in HAProxy: a weight of 1 is sixteen sixteenths.
const SCALE: u64 = 16;

/// The heaviest a server may be.
const HEAVIEST: u32 = 256;

/// Why a weight was refused; the text goes to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// It does not begin with a number.
    #[error("Empty weight string empty or preceded by garbage")]
    Invalid,
    /// It does not end with one, or with a per cent sign.
    #[error("Trailing garbage in weight string")]
    Trailing,
    /// A negative share.
    #[error("Relative weight must be positive.")]
    Negative,
    /// Too large, or negative.
    #[error("Absolute weight can only be between 0 and 256 inclusive.")]
    Range,
    /// `static-rr` and `source` cannot change their tables.
    #[error("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.")]
    Static,
}

/// A number, and whether a per cent sign follows it.
fn number(text: &str) -> Result<(i64, bool), WeightError> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(WeightError::Invalid);
    }
    let (number, rest) = text.split_at(sign + digits);
    let percent = match rest {
        "" => false,
        "%" => true,
        _ => return Err(WeightError::Trailing),
    };
    // What does not fit is out of range whatever it is.
    Ok((number.parse().unwrap_or(i64::MAX), percent))
}

impl Health {
    /// `set server <b>/<s> weight <n|n%>`: a number, or per cent of the configured weight.
    pub fn set_weight(&mut self, text: &str) -> Result<Vec<Change>, WeightError> {
        let weight = match number(text)? {
            (percent, true) => {
                let percent = u64::try_from(percent).map_err(|_| WeightError::Negative)?;
                let weight = u64::from(self.iweight).saturating_mul(percent) / 100;
                u32::try_from(weight).unwrap_or(HEAVIEST).min(HEAVIEST)
            }
            (weight, false) => u32::try_from(weight)
                .ok()
                .filter(|weight| *weight <= HEAVIEST)
                .ok_or(WeightError::Range)?,
        };
        if !self.dynamic && weight != 0 && weight != self.iweight {
            return Err(WeightError::Static);
        }
        let before = std::mem::replace(&mut self.uweight, weight);
        Ok(if before == weight {
            Vec::new()
        } else {
            vec![Change::Weight]
        })
    }

    /// The weight an operator or the configuration wants (`uweight`).
    pub fn uweight(&self) -> u32 {
        self.uweight
    }

    /// The weight of the configuration (`iweight`).
    pub fn iweight(&self) -> u32 {
        self.iweight
    }

    /// How far a warming server has come, in sixteenths rounded up; 16 otherwise.
    fn sixteenths(&self, now: u64) -> u64 {
        if self.op != OpState::Starting || self.conf.slowstart == 0 {
            return SCALE;
        }
        let age = now.saturating_sub(self.changed).min(self.conf.slowstart);
        (SCALE * age / self.conf.slowstart + 1).min(SCALE)
    }

    /// The weight to balance by now, in sixteenths of a weight of 1, so that slowstart has steps.
    /// 0 in maintenance, drain, NOLB and when DOWN.
    pub fn effective_weight(&self, now: u64) -> u32 {
        if !self.is_usable() {
            return 0;
        }
        let share = if self.dynamic {
            self.sixteenths(now)
        } else {
            SCALE
        };
        self.uweight * share as u32
    }

    /// `weight` of `show stat`: what slowstart leaves of the weight, rounded up.
    pub fn shown_weight(&self, now: u64) -> u32 {
        let share = if self.dynamic {
            self.sixteenths(now)
        } else {
            SCALE
        };
        (u64::from(self.uweight) * share).div_ceil(SCALE) as u32
    }

    /// `throttle` of `show stat`, in per cent; also the share of `maxconn` in force. `None` unless it
    /// warms up.
    pub fn throttle(&self, now: u64) -> Option<u32> {
        (self.op == OpState::Starting && self.conf.slowstart > 0).then(|| {
            let age = now.saturating_sub(self.changed).min(self.conf.slowstart);
            ((100 * age / self.conf.slowstart) as u32).clamp(1, 100)
        })
    }

    /// While it warms up, the time between two [`Health::tick`]s in ms: a twentieth of `slowstart`, and
    /// at least a second.
    pub fn warm_up_step(&self) -> Option<u64> {
        (self.op == OpState::Starting).then(|| (self.conf.slowstart / 20).max(1000))
    }
}
