//! When first checks happen: spread over the shortest interval, so that a start is not a burst.

use std::time::Duration;

use config::model::Model;

/// Each checked server, as indices of proxy and server, with the pause before its first check.
///
/// haproxy-compat 3.4: the shortest interval of at least a second, raised to the server's own, is
/// divided among all checks in the order of the configuration; the first runs at once.
pub(crate) fn first_checks(model: &Model) -> Vec<((usize, usize), Duration)> {
    let checked: Vec<_> = model
        .proxies
        .iter()
        .enumerate()
        .filter(|(_, proxy)| !proxy.disabled)
        .filter_map(|(index, proxy)| Some((index, proxy.back.as_ref()?)))
        .flat_map(|(index, back)| {
            back.servers
                .iter()
                .enumerate()
                .filter(|(_, server)| server.check)
                .map(move |(at, server)| ((index, at), server.inter))
        })
        .collect();
    let second = Duration::from_secs(1);
    let shortest = checked
        .iter()
        .map(|(_, inter)| *inter)
        .filter(|inter| *inter >= second)
        .min();
    let count = u32::try_from(checked.len()).unwrap_or(u32::MAX).max(1);
    checked
        .iter()
        .zip(0u32..)
        .map(|((at, inter), place)| {
            let mut span = shortest.unwrap_or(Duration::ZERO).max(*inter);
            if let Some(most) = model.global.max_spread_checks {
                span = span.min(most);
            }
            (*at, span * place / count)
        })
        .collect()
}

/// An interval with the spread of `spread-checks` per cent around it.
pub(crate) fn spread(interval: Duration, percent: u8) -> Duration {
    if percent == 0 {
        return interval;
    }
    let share = interval * u32::from(percent) / 100;
    let offset = share.mul_f64(fastrand::f64() * 2.0);
    (interval + offset).saturating_sub(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_stays_within_its_share() {
        let interval = Duration::from_secs(10);
        for _ in 0..1000 {
            let next = spread(interval, 50);
            assert!((5.0..=15.0).contains(&next.as_secs_f64()), "{next:?}");
        }
        assert_eq!(spread(interval, 0), interval);
    }
}
