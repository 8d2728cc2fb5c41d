//! Numbers as people read them.

/// `7s`, `4m10s`, `1h05m`, `2d03h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// `812`, `4.2k`, `17M`: up to three digits, in units of 1000; `gap` stands before the unit.
pub fn units(count: u64, gap: &str) -> String {
    let mut value = count as f64;
    for unit in ["", "k", "M", "G"] {
        if value < 999.5 {
            let digits = usize::from(!unit.is_empty() && value < 9.95);
            let gap = if unit.is_empty() { "" } else { gap };
            return format!("{value:.digits$}{gap}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.0}{gap}T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_narrow() {
        for (count, said) in [
            (0, "0"),
            (812, "812"),
            (999, "999"),
            (1000, "1.0k"),
            (9_960, "10k"),
            (4_200_000, "4.2M"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(units(count, ""), said);
        }
        assert_eq!(units(4_200, " "), "4.2 k");
        for (seconds, said) in [
            (7, "7s"),
            (250, "4m10s"),
            (3900, "1h05m"),
            (183_600, "2d03h"),
        ] {
            assert_eq!(span(seconds), said);
        }
    }
}
