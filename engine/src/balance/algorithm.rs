//! The balance algorithms over one group of servers that share the load.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use config::model::Balance;

use super::{Candidate, Choice, Load, Pick, sequence};

/// A group of usable servers and the algorithm among them.
#[derive(Debug)]
pub(super) struct Algorithm {
    group: Vec<Candidate>,
    kind: Kind,
    /// Turns taken so far; also what random draws are derived from.
    turns: AtomicUsize,
}

#[derive(Debug)]
enum Kind {
    /// `roundrobin`, `static-rr`: places in the group, walked in a circle.
    Circle(Vec<u16>),
    /// `source`: the same circle, entered by a hash of the client's address.
    Source(Vec<u16>),
    /// `leastconn`: when each was chosen last, so that equals take turns.
    Least(Vec<AtomicU64>),
    /// `random`: sums of weights up to each server, and the number of draws.
    Random(Vec<u64>, u32),
    /// `first`: the group is in the order of ids.
    First,
}

impl Algorithm {
    pub(super) fn new(group: &[Candidate], balance: Balance) -> Self {
        let mut group = group.to_vec();
        let weights: Vec<_> = group.iter().map(|candidate| candidate.weight).collect();
        let kind = match balance {
            Balance::RoundRobin => Kind::Circle(sequence::round(&weights)),
            Balance::StaticRoundRobin => Kind::Circle(sequence::map(&weights)),
            Balance::Source => Kind::Source(sequence::map(&weights)),
            Balance::LeastConn => Kind::Least(group.iter().map(|_| AtomicU64::new(0)).collect()),
            Balance::Random(draws) => {
                let sum = |sum: &mut u64, weight: &u32| {
                    *sum += u64::from(*weight);
                    Some(*sum)
                };
                Kind::Random(weights.iter().scan(0, sum).collect(), draws.max(1))
            }
            Balance::First => {
                group.sort_by_key(|candidate| candidate.id);
                Kind::First
            }
        };
        Self {
            group,
            kind,
            turns: AtomicUsize::new(0),
        }
    }

    pub(super) fn group(&self) -> &[Candidate] {
        &self.group
    }

    pub(super) fn choose(&self, pick: &Pick<'_>) -> Choice {
        let left = |candidate: &Candidate| !pick.tried.contains(candidate.index);
        if !self.group.iter().any(left) {
            return Choice::None;
        }
        if let (Kind::Source(circle), Some(source)) = (&self.kind, pick.source) {
            return self.by_source(circle, source, pick);
        }
        let free = |place: usize| {
            let candidate = &self.group[place];
            left(candidate) && !(pick.loads)(candidate.index).is_full()
        };
        let chosen = match &self.kind {
            Kind::Circle(circle) | Kind::Source(circle) => self.next_of(circle, free),
            Kind::Least(stamps) => self.least(stamps, pick, free),
            Kind::Random(sums, draws) => self.random(sums, *draws, pick, free),
            Kind::First => (0..self.group.len()).find(|&place| free(place)),
        };
        match chosen {
            Some(place) => Choice::Server(self.group[place].index),
            None => Choice::Full,
        }
    }

    /// Of those not tried, the one with the least to do for its weight, full or not.
    pub(super) fn least_full(&self, pick: &Pick<'_>) -> Option<usize> {
        self.group
            .iter()
            .filter(|candidate| !pick.tried.contains(candidate.index))
            .min_by(|a, b| {
                let cost = |c: &Candidate, other: &Candidate| {
                    (pick.loads)(c.index).sum() * u64::from(other.weight)
                };
                cost(a, b).cmp(&cost(b, a))
            })
            .map(|candidate| candidate.index)
    }

    /// The next place in the circle that is free; others lose their turn.
    fn next_of(&self, circle: &[u16], free: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.turns.fetch_add(1, Relaxed) % circle.len();
        let first = usize::from(circle[start]);
        if free(first) {
            return Some(first);
        }
        // Known before the walk: a long circle of full servers is not worth one.
        let is_free: Vec<_> = (0..self.group.len()).map(&free).collect();
        if !is_free.contains(&true) {
            return None;
        }
        let (before, after) = circle.split_at(start);
        let skipped = after
            .iter()
            .chain(before)
            .take_while(|&&place| !is_free[usize::from(place)])
            .count();
        self.turns.fetch_add(skipped, Relaxed);
        after
            .iter()
            .chain(before)
            .nth(skipped)
            .map(|&place| usize::from(place))
    }

    /// The same client, the same server, as long as the usable servers are the same; full or not.
    fn by_source(&self, circle: &[u16], source: IpAddr, pick: &Pick<'_>) -> Choice {
        let start = hash(source) as usize % circle.len();
        let (before, after) = circle.split_at(start);
        let chosen = after
            .iter()
            .chain(before)
            .map(|&place| self.group[usize::from(place)].index)
            .find(|&index| !pick.tried.contains(index));
        chosen.map_or(Choice::None, Choice::Server)
    }

    /// The least to do for its weight; an idle server is as good as any other idle one.
    fn least(
        &self,
        stamps: &[AtomicU64],
        pick: &Pick<'_>,
        free: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let key = |place: &usize| {
            let candidate = &self.group[*place];
            let load = (pick.loads)(candidate.index).sum();
            let cost = if load == 0 {
                0
            } else {
                ((load + 1) << 12) / u64::from(candidate.weight)
            };
            (cost, stamps[*place].load(Relaxed))
        };
        let place = (0..self.group.len())
            .filter(|&place| free(place))
            .min_by_key(key)?;
        let turn = self.turns.fetch_add(1, Relaxed) as u64 + 1;
        stamps[place].store(turn, Relaxed);
        Some(place)
    }

    /// The least busy of some that are drawn by weight.
    fn random(
        &self,
        sums: &[u64],
        draws: u32,
        pick: &Pick<'_>,
        free: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let total = sums.last().copied()?;
        let busier = |a: &Candidate, b: &Candidate| {
            let load = |candidate: &Candidate| -> Load { (pick.loads)(candidate.index) };
            load(a).sum() * u64::from(b.weight) > load(b).sum() * u64::from(a.weight)
        };
        let mut best: Option<usize> = None;
        let mut drawn = 0;
        for _ in 0..draws {
            let point = self.draw() % total;
            drawn = sums.partition_point(|&sum| sum <= point);
            let better = best.is_none_or(|best| busier(&self.group[best], &self.group[drawn]));
            if better && free(drawn) {
                best = Some(drawn);
            }
        }
        // All drawn were full or tried: whoever comes after the last of them.
        let count = self.group.len();
        best.or_else(|| {
            (1..=count)
                .map(|step| (drawn + step) % count)
                .find(|&place| free(place))
        })
    }

    /// A number that looks random: splitmix64 over a shared counter. Nothing secret hangs on it, and it
    /// needs neither a lock nor a generator per worker.
    fn draw(&self) -> u64 {
        let turn = self.turns.fetch_add(1, Relaxed) as u64 + 1;
        let mut z = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// HAProxy's hash of a client's address: its 32-bit words in network order, XORed.
fn hash(source: IpAddr) -> u32 {
    match source {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (0..4).fold(0, |hash, word| hash ^ (bits >> (32 * word)) as u32)
        }
    }
}
