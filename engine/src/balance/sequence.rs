//! Orders in which weighted servers take turns, made once and then walked in a circle.
//!
//! Both give each server its weight's share in a cycle and spread it; they differ in where a cycle
//! begins. They yield the very sequences HAProxy yields for weights that do not change (see the tests).

/// Slots a cycle may have; larger sums of weights are scaled down.
const LONGEST: u64 = 16_384;

/// Weights divided by what they have in common, and brought within [`LONGEST`].
fn reduced(weights: &[u32]) -> Vec<i64> {
    let common = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let sum: u64 = weights
        .iter()
        .map(|&weight| u64::from(weight / common))
        .sum();
    weights
        .iter()
        .map(|&weight| {
            let weight = u64::from(weight / common);
            let scaled = if sum > LONGEST {
                (weight * LONGEST).div_ceil(sum)
            } else {
                weight
            };
            scaled as i64
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The map of `static-rr` and `source`: a server's credit grows by its weight each turn and costs a
/// whole cycle when it is chosen. Only whole cycles of credit are compared, so that the first listed
/// wins a tie.
pub(super) fn map(weights: &[u32]) -> Vec<u16> {
    let weights = reduced(weights);
    let cycle: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let turn = |_| {
        let mut best = (0, i64::MIN);
        for (place, (credit, weight)) in credit.iter_mut().zip(&weights).enumerate() {
            *credit += weight;
            let whole = (*credit + cycle).div_euclid(cycle);
            if *weight > 0 && whole > best.1 {
                best = (place, whole);
            }
        }
        credit[best.0] -= cycle;
        best.0 as u16
    };
    (0..cycle).map(turn).collect()
}

/// A server in the round: when it is due, and what is left over of its step.
struct Turn {
    place: u16,
    due: i64,
    rest: i64,
    weight: i64,
    since: i64,
}

/// The order of `roundrobin`. Every server is due a cycle/weight after its last turn. Where nobody is
/// due, the heaviest that has had no turn yet begins; ties go to the smaller remainder, then the
/// heavier, then who waits longer.
pub(super) fn round(weights: &[u32]) -> Vec<u16> {
    let weights = reduced(weights);
    let cycle: i64 = weights.iter().sum();
    let mut fresh: Vec<_> = (0..weights.len())
        .filter(|&place| weights[place] > 0)
        .collect();
    fresh.sort_by_key(|&place| std::cmp::Reverse(weights[place]));
    let mut fresh = fresh.into_iter();
    let mut round: Vec<Turn> = Vec::new();
    let mut order = Vec::new();
    for now in 0..cycle {
        let first = round
            .iter()
            .enumerate()
            .min_by_key(|(_, turn)| (turn.due, turn.rest - turn.weight, turn.since))
            .map(|(at, turn)| (at, turn.due));
        let mut turn = match first {
            Some((at, due)) if due <= now => round.remove(at),
            first => match (fresh.next(), first) {
                (Some(place), _) => Turn {
                    place: place as u16,
                    due: now,
                    rest: 0,
                    weight: weights[place],
                    since: 0,
                },
                (None, Some((at, _))) => round.remove(at),
                (None, None) => break,
            },
        };
        turn.since = now;
        turn.due += cycle / turn.weight;
        turn.rest += cycle % turn.weight;
        if turn.rest >= turn.weight {
            turn.rest -= turn.weight;
            turn.due += 1;
        }
        order.push(turn.place);
        round.push(turn);
    }
    order
}
