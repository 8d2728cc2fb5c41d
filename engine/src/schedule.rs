//! When first checks happen: spread over the shortest interval, so that a start is not a burst.

use std::time::Duration;

use config::model::Model;

/// Who is asked about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The server itself, by its check.
    Server,
    /// Its agent.
    Agent,
}

/// Each check and agent, with indices of proxy and server and the pause before its first time.
///
/// haproxy-compat 3.4: the shortest interval of at least a second, raised to the server's own, is
/// divided among all in the order of the configuration, check before agent; the first runs at once.
pub(crate) fn first_checks(model: &Model) -> Vec<((usize, usize), Asked, Duration)> {
    let mut asked = Vec::new();
    for (index, proxy) in model.proxies.iter().enumerate() {
        let back = proxy.back.as_ref().filter(|_| !proxy.disabled);
        for (at, server) in back.into_iter().flat_map(|back| &back.servers).enumerate() {
            let check = server.check.then_some((Asked::Server, server.inter));
            let agent = server.agent.as_ref();
            let agent = agent.map(|agent| (Asked::Agent, agent.inter));
            let both = [check, agent].into_iter().flatten();
            asked.extend(both.map(|(whom, inter)| ((index, at), whom, inter)));
        }
    }
    let second = Duration::from_secs(1);
    let shortest = asked
        .iter()
        .map(|(.., inter)| *inter)
        .filter(|inter| *inter >= second)
        .min();
    let count = u32::try_from(asked.len()).unwrap_or(u32::MAX).max(1);
    asked
        .iter()
        .zip(0u32..)
        .map(|((at, whom, inter), place)| {
            let mut span = shortest.unwrap_or(Duration::ZERO).max(*inter);
            if let Some(most) = model.global.max_spread_checks {
                span = span.min(most);
            }
            (*at, *whom, span * place / count)
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
