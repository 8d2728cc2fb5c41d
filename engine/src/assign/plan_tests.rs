//! The plan under simulated servers: thousands of seeded schedules, and the rules one by one.

use config::model::{Back, Failover};

use super::plan::{Plan, Rules, Step};
use crate::balance::Tried;
use crate::clock::Millis;

/// What a server does with an attempt, so many ms after it began.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Greets(Millis),
    Fails(Millis),
    /// It accepts and says nothing.
    Silent,
    /// Not even that.
    Unreachable,
}

#[derive(Debug, Clone, Copy)]
struct Sim {
    fate: Fate,
    /// Whether the selector offers it, or keeps it as a last resort.
    usable: bool,
}

/// What became of a session.
#[derive(Debug, Default)]
struct Outcome {
    winner: Option<usize>,
    took: Millis,
    asked: Vec<usize>,
    hedges: usize,
}

struct World<'w> {
    servers: &'w [Sim],
    hedge: Option<Millis>,
    tokens: usize,
}

impl World<'_> {
    fn another(&self, tried: &Tried, last_resort: bool) -> Option<usize> {
        let free = |index: &usize| !tried.contains(*index);
        let of = |usable: bool| {
            let fits = move |index: &usize| self.servers[*index].usable == usable;
            (0..self.servers.len()).filter(fits).find(free)
        };
        of(true).or_else(|| of(false).filter(|_| last_resort))
    }

    /// Drives a plan as the race does.
    fn run(&self, rules: Rules) -> Outcome {
        let mut plan = Plan::new(rules, &[], 0);
        let mut outcome = Outcome::default();
        let mut running: Vec<(usize, Millis)> = Vec::new();
        let mut now = 0;
        for _ in 0..10_000 {
            let mut begin = |plan: &mut Plan, server: usize, now| {
                plan.began(server, self.hedge, now);
                outcome.asked.push(server);
                running.push((server, now));
            };
            match plan.next(now) {
                Step::Replace => match self.another(plan.tried(), true) {
                    Some(server) => begin(&mut plan, server, now),
                    None => plan.exhausted(),
                },
                Step::Again(server) => begin(&mut plan, server, now),
                Step::Hedge => match self.another(plan.tried(), false) {
                    Some(server) if outcome.hedges < self.tokens => {
                        begin(&mut plan, server, now);
                        outcome.hedges += 1;
                    }
                    _ => plan.unhedged(now),
                },
                Step::Look(server) if !matches!(self.servers[server].fate, Fate::Unreachable) => {
                    plan.stands(server);
                }
                Step::Look(server) | Step::Abandon(server) => {
                    running.retain(|(other, _)| *other != server);
                    plan.failed(server, false, true, now);
                }
                Step::GiveUp => {
                    outcome.took = now;
                    return outcome;
                }
                Step::Wait(until) => {
                    let answers = running.iter().filter_map(|&(server, begun)| {
                        match self.servers[server].fate {
                            Fate::Greets(after) | Fate::Fails(after) => {
                                Some((begun + after, server))
                            }
                            Fate::Silent | Fate::Unreachable => None,
                        }
                    });
                    let first = answers.min();
                    match (first, until) {
                        (Some((at, server)), until) if until.is_none_or(|until| at <= until) => {
                            now = at;
                            if matches!(self.servers[server].fate, Fate::Greets(_)) {
                                outcome.winner = Some(server);
                                outcome.took = now;
                                return outcome;
                            }
                            running.retain(|(other, _)| *other != server);
                            plan.failed(server, false, true, now);
                        }
                        (_, Some(until)) => {
                            assert!(until > now, "a wait that is none");
                            now = until;
                        }
                        (_, None) => panic!("it waits for ever: {:?}", self.servers),
                    }
                }
            }
        }
        panic!("no end: {:?}", self.servers);
    }
}

fn back() -> Back {
    let text = "defaults\n mode tcp\n timeout connect 10s\n timeout server 1m\n timeout client 1m\n\
                backend be\n option greeting\n server s 127.0.0.1:25\n";
    let source = config::Source {
        name: "test".into(),
        text: text.into(),
    };
    let loaded = config::load_sources(&[source], &|_| None, &|_| None);
    let model = loaded.model.expect("a good configuration");
    model.proxies[0].back.clone().expect("a backend")
}

const HEDGE: Millis = 300;

#[test]
fn a_session_finds_whoever_lives() {
    let conf = back();
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let servers: Vec<_> = (0..rng.usize(1..6))
            .map(|_| Sim {
                fate: match rng.u32(0..6) {
                    0 => Fate::Fails(rng.u64(0..50)),
                    1 => Fate::Silent,
                    2 => Fate::Unreachable,
                    3 => Fate::Fails(rng.u64(50..8_000)),
                    _ => Fate::Greets(rng.u64(0..HEDGE)),
                },
                usable: rng.u32(0..4) > 0,
            })
            .collect();
        let world = World {
            servers: &servers,
            hedge: Some(HEDGE),
            tokens: rng.usize(0..3) * 10,
        };
        let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
        let mut once = outcome.asked.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), outcome.asked.len(), "{seed}: asked twice");
        let lives = |sim: &Sim| matches!(sim.fate, Fate::Greets(_));
        let alive = servers.iter().any(lives);
        assert_eq!(outcome.winner.is_some(), alive, "{seed}: {servers:?}");
        // With a usable one alive and hedges to spend, each dead server costs one hedge time at most.
        let usable: Vec<_> = servers.iter().filter(|sim| sim.usable).collect();
        if usable.iter().any(|sim| lives(sim)) && world.tokens > 0 {
            let most = HEDGE * usable.len() as u64;
            assert!(
                outcome.took <= most,
                "{seed}: {} ms {servers:?}",
                outcome.took
            );
        }
        assert!(outcome.hedges <= world.tokens, "{seed}");
    }
}

#[test]
fn without_hedges_the_greeting_time_moves_a_session() {
    let servers = [
        Sim {
            fate: Fate::Silent,
            usable: true,
        },
        Sim {
            fate: Fate::Greets(5),
            usable: true,
        },
    ];
    let world = World {
        servers: &servers,
        hedge: None,
        tokens: 0,
    };
    let outcome = world.run(Rules::new(&back(), false, back().is_gated()));
    assert_eq!((outcome.winner, outcome.took), (Some(1), 5_005));
}

#[test]
fn a_server_that_greets_late_keeps_its_session_meanwhile() {
    // A greet pause of six seconds on both: the second is asked in vain, and the first is not given up.
    let slow = Sim {
        fate: Fate::Greets(6_000),
        usable: true,
    };
    let world = World {
        servers: &[slow, slow],
        hedge: None,
        tokens: 0,
    };
    let outcome = world.run(Rules::new(&back(), false, back().is_gated()));
    assert_eq!((outcome.winner, outcome.took), (Some(0), 6_000));
}

#[test]
fn the_budget_bounds_attempts_and_time() {
    let dead = Sim {
        fate: Fate::Fails(1),
        usable: true,
    };
    let mut conf = back();
    conf.failover = Some(Failover::On {
        time: None,
        attempts: Some(2),
    });
    let world = World {
        servers: &[dead; 5],
        hedge: None,
        tokens: 0,
    };
    assert_eq!(
        world.run(Rules::new(&conf, false, conf.is_gated())).asked,
        [0, 1]
    );

    let silent = Sim {
        fate: Fate::Silent,
        usable: true,
    };
    conf.failover = Some(Failover::On {
        time: Some(std::time::Duration::from_secs(7)),
        attempts: None,
    });
    let world = World {
        servers: &[silent; 5],
        hedge: None,
        tokens: 0,
    };
    let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
    assert_eq!(outcome.asked, [0, 1], "at 0 and 5 s; 10 s is too late");
    assert_eq!(
        outcome.took, 65_000,
        "the last is waited for as long as `timeout server`"
    );
}

#[test]
fn haproxys_way_keeps_its_meaning() {
    let dead = Sim {
        fate: Fate::Fails(1),
        usable: true,
    };
    let world = World {
        servers: &[dead; 3],
        hedge: Some(HEDGE),
        tokens: 10,
    };
    let mut conf = back();
    conf.retries = Some(2);
    let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
    assert_eq!(
        (outcome.asked, outcome.took),
        (vec![0, 0, 0], 2_003),
        "a second between attempts"
    );

    conf.redispatch = Some(-1);
    let outcome = world.run(Rules::new(&conf, true, conf.is_gated()));
    assert_eq!(
        outcome.asked,
        [0, 0, 1],
        "a pinned one goes at the last retry"
    );
    let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
    assert_eq!(outcome.asked, [0, 1, 0], "a free one at once");

    conf.failover = Some(Failover::On {
        time: None,
        attempts: None,
    });
    assert_eq!(
        world.run(Rules::new(&conf, false, conf.is_gated())).asked,
        [0, 1, 2]
    );
    (conf.failover, conf.retries, conf.redispatch) = (Some(Failover::Off), None, None);
    assert_eq!(
        world.run(Rules::new(&conf, false, conf.is_gated())).asked,
        [0; 4]
    );
}

#[test]
fn haproxys_way_hedges_where_the_session_may_go() {
    let servers = [
        Sim {
            fate: Fate::Silent,
            usable: true,
        },
        Sim {
            fate: Fate::Greets(5),
            usable: true,
        },
    ];
    let world = World {
        servers: &servers,
        hedge: Some(HEDGE),
        tokens: 1,
    };
    let mut conf = back();
    conf.retries = Some(3);
    let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
    assert_eq!((outcome.winner, outcome.took >= 60_000), (None, true));
    conf.redispatch = Some(-1);
    let outcome = world.run(Rules::new(&conf, false, conf.is_gated()));
    assert_eq!((outcome.winner, outcome.took), (Some(1), 305));
}
