//! Thousands of sessions in which anything may happen at any moment. The seed of one that fails is printed:
//! `SEED=<seed> cargo test -p posthouse-wire simulation` plays it again.

use fastrand::Rng;

use super::client::Letter;
use super::server::Mood;
use super::world::World;
use super::*;

/// What may happen besides the ordinary.
#[derive(Debug, Clone, Copy)]
struct Faults {
    /// One in so many steps kills the server; 0: none.
    kill: u32,
    /// Servers leave, refuse recipients and have trouble of their own.
    moods: bool,
    /// Sometimes there is no server.
    nobody: bool,
    /// The client may go away.
    client: bool,
}

fn letters(rng: &mut Rng) -> Vec<Letter> {
    let count = rng.usize(1..4);
    (0..count).map(|index| letter(rng, index)).collect()
}

fn letter(rng: &mut Rng, index: usize) -> Letter {
    let recipients = (0..rng.usize(1..4))
        .map(|which| format!(" TO:<{}{which}@d>", rng.char('a'..'e')))
        .collect();
    let mut body = Vec::new();
    for _ in 0..rng.usize(0..6) {
        body.extend_from_slice(b"line\r\n");
        body.extend_from_slice([&b"..dots\r\n"[..], b"\r\n", b"a. \r\n"][rng.usize(0..3)]);
    }
    let mut chunks = Vec::new();
    if rng.bool() {
        let mut left = body.len();
        while left > 0 && rng.u8(0..3) > 0 {
            let size = rng.usize(0..=left);
            chunks.push(size);
            left -= size;
        }
        chunks.push(left);
    }
    Letter {
        mail: format!(" FROM:<sender{index}@b>"),
        recipients,
        body,
        chunks,
    }
}

fn mood(rng: &mut Rng, faults: Faults) -> Mood {
    let mut mood = Mood {
        pipelining: rng.u8(0..4) > 0,
        ..Mood::default()
    };
    if faults.moods {
        if rng.u8(0..3) == 0 {
            mood.leaves_at = Some(rng.usize(1..12));
        }
        if rng.u8(0..3) == 0 {
            let replies = [
                "421 4.3.2 leaving",
                "451 4.3.0 trouble",
                "452 4.3.1 full",
                "450 4.7.1 greylisted",
                "554 5.7.1 spam",
            ];
            mood.end = Some(replies[rng.usize(0..replies.len())]);
        }
        if rng.u8(0..3) == 0 {
            mood.refuses = Some(rng.char('a'..'e'));
        }
    }
    mood
}

fn settings(rng: &mut Rng) -> Settings {
    let mut settings = Settings::new("proxy.example");
    settings.hold_back = rng.bool().then_some(10);
    settings.flight = if rng.bool() { 0 } else { 100 };
    settings.journal.memory = [8, 64, 1 << 16][rng.usize(0..3)];
    settings
}

fn play(seed: u64, faults: Faults, change: impl FnOnce(&mut Settings)) -> World {
    let mut rng = Rng::with_seed(seed);
    let mut settings = settings(&mut rng);
    change(&mut settings);
    let pipelining = rng.bool();
    // Some log in: the proxy vouches for them, says it again, or neither, where that may cost a session.
    let way = rng.u8(0..6);
    let logs_in = way < 2 || way == 2 && faults.moods;
    settings.auth = Auth::Anywhere;
    settings.vouches = way == 0;
    settings.replay_auth = way == 1;
    let mut world = World::new(settings, letters(&mut rng), pipelining);
    world.room.reach = Reach {
        verified: true,
        xclient: way == 0,
    };
    if logs_in {
        world.client.login = match rng.bool() {
            true => vec!["c2VjcmV0", "YW5u", "AUTH LOGIN"],
            false => vec!["AUTH PLAIN AGFubgBzZWNyZXQ="],
        };
    }
    world.traced = chosen().is_some();
    let piece = [1, 7, 10_000][rng.usize(0..3)];
    let mut kills = 0;
    for step in 0.. {
        assert!(step < 100_000, "a session that does not end");
        if world.dialogue.ended().is_some() && !world.client_hears(usize::MAX) {
            break;
        }
        if faults.kill > 0 && kills < 12 && rng.u32(0..faults.kill) == 0 {
            kills += 1;
            world.kill();
        }
        if faults.client && rng.u32(0..200) == 0 {
            if rng.bool() {
                world.dialogue.client_end(world.now, &mut world.room);
            } else {
                world.dialogue.client_gone(world.now, &mut world.room);
            }
        }
        if let Some(quest) = world.dialogue.quest() {
            if rng.u8(0..4) == 0 {
                let nobody = faults.nobody && rng.u8(0..8) == 0;
                if nobody || !quest.patient && rng.u8(0..4) == 0 && faults.moods {
                    world.dialogue.no_server(None, world.now, &mut world.room);
                } else {
                    world.join(Mood {
                        auth: logs_in,
                        xclient: way == 0,
                        ..mood(&mut rng, faults)
                    });
                }
            }
            continue;
        }
        let most = rng.usize(1..=piece);
        let moved = match rng.u8(0..6) {
            0 => world.client_speaks(most),
            1 => world.client_hears(most),
            2 => world.server_hears(most),
            3 => world.server_speaks(most),
            _ => world.server_took(rng.bool()),
        };
        if !moved && !everybody_waits(&mut world) {
            world.wait();
        }
    }
    world
}

/// Whether anything can go on without time passing.
fn everybody_waits(world: &mut World) -> bool {
    world.client_hears(1)
        || world.client_speaks(1)
        || world.server_hears(1)
        || world.server_speaks(1)
        || world.server_took(true)
}

fn chosen() -> Option<u64> {
    std::env::var("SEED").ok()?.parse().ok()
}

/// Plays `count` schedules, or the one of `SEED`.
fn each(count: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let chosen = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn without_faults_every_message_arrives() {
    let faults = Faults {
        kill: 0,
        moods: false,
        nobody: false,
        client: false,
    };
    each(2000, |seed| {
        let mut world = play(seed, faults, |_| {});
        world.check(false);
        for fate in &world.client.fates {
            assert_eq!(fate.failure, None);
        }
        assert_eq!(world.dialogue.ended(), Some(End::Quit));
    });
}

#[test]
fn whenever_servers_die_nothing_fails_but_an_unknown_outcome() {
    let faults = Faults {
        kill: 60,
        moods: false,
        nobody: false,
        client: false,
    };
    each(4000, |seed| {
        let mut world = play(seed, faults, |_| {});
        world.check(false);
        for fate in &world.client.fates {
            if let Some(failure) = &fate.failure {
                assert!(failure.starts_with("451 4.4.2"), "{failure}");
            }
        }
        assert_eq!(world.client.dismissed, None);
        assert_eq!(world.dialogue.ended(), Some(End::Quit));
    });
}

#[test]
fn with_replay_after_data_nothing_fails_at_all() {
    let faults = Faults {
        kill: 60,
        moods: false,
        nobody: false,
        client: false,
    };
    each(2000, |seed| {
        let mut world = play(seed, faults, |settings| settings.replay_after_data = true);
        world.check(true);
        for fate in &world.client.fates {
            assert_eq!(fate.failure, None);
        }
    });
}

#[test]
fn whatever_servers_say_and_whenever_they_die_nothing_is_lost_or_doubled() {
    let faults = Faults {
        kill: 100,
        moods: true,
        nobody: true,
        client: false,
    };
    each(6000, |seed| {
        play(seed, faults, |_| {}).check(false);
    });
}

#[test]
fn clients_that_go_away_leave_nothing_half() {
    let faults = Faults {
        kill: 200,
        moods: true,
        nobody: true,
        client: true,
    };
    each(4000, |seed| {
        play(seed, faults, |_| {}).check(false);
    });
}

#[test]
fn a_journal_that_is_too_small_costs_a_retry_but_no_message() {
    let faults = Faults {
        kill: 60,
        moods: true,
        nobody: false,
        client: false,
    };
    each(3000, |seed| {
        play(seed, faults, |settings| settings.journal.total = 20).check(false);
    });
}

#[test]
fn the_schedules_reach_every_row_of_the_matrix() {
    let faults = Faults {
        kill: 60,
        moods: true,
        nobody: true,
        client: false,
    };
    let mut reached = std::collections::BTreeSet::new();
    for seed in 0..1500 {
        let world = play(seed, faults, |settings| {
            settings.replay_after_data = seed % 2 == 0;
            if seed % 3 == 0 {
                settings.journal.total = 20;
            }
        });
        for count in &world.room.counts {
            match *count {
                Count::Moved { state, .. } => reached.insert((state, "moved")),
                Count::NotMoved { state, .. } => reached.insert((state, "not moved")),
                Count::OutcomeUnknown => reached.insert((State::S7, "unknown")),
                _ => false,
            };
        }
    }
    let moved = [
        State::S0,
        State::S1,
        State::S2,
        State::S4,
        State::S5,
        State::S6,
        State::S7,
        State::S8,
        State::S9,
    ];
    for state in moved {
        assert!(
            reached.contains(&(state, "moved")),
            "{state:?}: {reached:?}"
        );
    }
    for row in [
        (State::S5, "not moved"),
        (State::S6, "not moved"),
        (State::S6Unprotected, "not moved"),
        (State::S7, "unknown"),
        (State::S8, "not moved"),
    ] {
        assert!(reached.contains(&row), "{row:?}: {reached:?}");
    }
}
