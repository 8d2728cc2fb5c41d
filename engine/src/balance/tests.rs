use super::*;

/// Observed with Debian's haproxy 2.6: weights, and the servers of successive connections.
const ROUNDROBIN: &[(&[u32], &[usize])] = &[
    (&[1, 1], &[0, 1, 0, 1]),
    (&[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
    (&[1, 2, 3], &[2, 1, 2, 0, 2, 1, 2, 1, 2, 0, 2, 1]),
    (&[3, 2, 1], &[0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 0, 1]),
    (
        &[10, 1],
        &[
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ],
    ),
    (
        &[1, 10],
        &[
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0,
        ],
    ),
    (&[5, 1, 1], &[0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 2]),
    (
        &[2, 3, 5, 7],
        &[
            3, 2, 3, 1, 2, 3, 0, 3, 2, 1, 3, 2, 3, 3, 1, 2, 0, 3, 2, 3, 1, 2, 3, 0, 3, 2, 1, 3, 2,
            3, 3, 1, 2, 0,
        ],
    ),
    (
        &[4, 4, 2],
        &[0, 1, 0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 0, 1, 2],
    ),
    (&[1, 2, 0, 3], &[3, 1, 3, 0, 3, 1, 3, 1, 3, 0, 3, 1]),
    (
        &[7, 7, 1, 3],
        &[
            0, 1, 0, 1, 3, 0, 1, 0, 1, 2, 0, 3, 1, 0, 1, 0, 1, 3, 0, 1, 0, 1, 3, 0, 1, 0, 1, 2, 0,
            3, 1, 0, 1, 0, 1, 3,
        ],
    ),
    (
        &[100, 50, 25],
        &[
            0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0,
            0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 0,
            1, 0,
        ],
    ),
];
const STATIC_RR: &[(&[u32], &[usize])] = &[
    (&[1, 1], &[0, 1, 0, 1]),
    (&[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
    (&[1, 2, 3], &[0, 2, 1, 2, 1, 2, 0, 2, 1, 2, 1, 2]),
    (&[3, 2, 1], &[0, 0, 1, 0, 1, 2, 0, 0, 1, 0, 1, 2]),
    (
        &[10, 1],
        &[
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ],
    ),
    (
        &[1, 10],
        &[
            0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ],
    ),
    (&[5, 1, 1], &[0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 2]),
    (
        &[2, 3, 5, 7],
        &[
            0, 1, 3, 2, 3, 1, 2, 3, 0, 3, 2, 1, 3, 2, 3, 2, 3, 0, 1, 3, 2, 3, 1, 2, 3, 0, 3, 2, 1,
            3, 2, 3, 2, 3,
        ],
    ),
    (
        &[4, 4, 2],
        &[0, 1, 0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 0, 1, 2],
    ),
    (&[1, 2, 0, 3], &[0, 3, 1, 3, 1, 3, 0, 3, 1, 3, 1, 3]),
    (
        &[7, 7, 1, 3],
        &[
            0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 0, 3, 1, 0, 1, 0, 1, 3, 0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 0,
            3, 1, 0, 1, 0, 1, 3,
        ],
    ),
    (
        &[100, 50, 25],
        &[
            0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0,
            0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 2, 0, 0,
            1, 0,
        ],
    ),
];

/// Clients whose placement by `balance source` was observed.
const CLIENTS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.3",
    "127.0.0.4",
    "127.0.0.5",
    "127.0.0.7",
    "127.0.0.11",
    "127.0.0.100",
    "127.0.0.254",
    "127.1.2.3",
    "127.9.8.7",
    "127.200.100.50",
    "127.0.1.0",
    "127.255.255.254",
    "127.13.37.42",
];
const CLIENTS_V6: &[&str] = &[
    "::1",
    "fd00::1",
    "fd00:1:2:3:4:5:6:7",
    "2001:db8::abcd:1",
    "2001:db8:ffff:0:1234:5678:9abc:def0",
];
const SOURCE: &[(&[u32], &[usize])] = &[
    (&[1, 1], &[1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]),
    (&[1, 1, 1], &[2, 0, 1, 2, 0, 2, 0, 2, 0, 1, 1, 0, 2, 0, 0]),
    (&[1, 2, 3], &[2, 0, 2, 1, 2, 2, 2, 1, 0, 2, 2, 0, 1, 0, 0]),
    (&[10, 1, 4], &[0, 0, 0, 2, 0, 2, 2, 0, 1, 0, 0, 0, 0, 1, 0]),
    (&[2, 4, 6], &[2, 0, 2, 1, 2, 2, 2, 1, 0, 2, 2, 0, 1, 0, 0]),
    (
        &[5, 5, 5, 5, 5],
        &[3, 4, 0, 1, 2, 4, 3, 2, 1, 3, 1, 2, 3, 1, 4],
    ),
    (
        &[1, 2, 0, 3],
        &[3, 0, 3, 1, 3, 3, 3, 1, 0, 3, 3, 0, 1, 0, 0],
    ),
];
const SOURCE_V6: &[(&[u32], &[usize])] = &[
    (&[1, 1, 1], &[1, 2, 1, 1, 2]),
    (&[1, 2, 3], &[2, 2, 1, 2, 1]),
    (&[10, 1, 4], &[0, 2, 0, 0, 2]),
];

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    weights
        .iter()
        .enumerate()
        .map(|(index, &weight)| Candidate {
            index,
            id: index as u32 + 1,
            usable: true,
            backup: false,
            weight,
            reserve: false,
            last_resort: true,
        })
        .collect()
}

fn idle(_: usize) -> Load {
    Load::default()
}

fn ask(selector: &Selector, loads: &dyn Fn(usize) -> Load) -> Choice {
    selector.choose(&Pick {
        source: None,
        loads,
        tried: &Tried::default(),
    })
}

fn from(selector: &Selector, client: &str) -> Choice {
    let source = Some(client.parse().expect("an address"));
    selector.choose(&Pick {
        source,
        loads: &idle,
        tried: &Tried::default(),
    })
}

/// Fallbacks until there is none.
fn fallbacks(
    selector: &Selector,
    first: Option<usize>,
    loads: &dyn Fn(usize) -> Load,
) -> Vec<usize> {
    let mut tried = Tried::default();
    if let Some(first) = first {
        tried.insert(first);
    }
    let mut order = Vec::new();
    while let Choice::Server(index) = selector.fallback(&Pick {
        source: None,
        loads,
        tried: &tried,
    }) {
        assert!(!tried.contains(index), "{index} twice");
        tried.insert(index);
        order.push(index);
    }
    order
}

#[test]
fn turns_are_taken_in_haproxys_order() {
    for (balance, observed) in [
        (Balance::RoundRobin, ROUNDROBIN),
        (Balance::StaticRoundRobin, STATIC_RR),
    ] {
        for (weights, servers) in observed {
            let selector = Selector::new(&candidates(weights), balance, false);
            for (turn, &server) in servers.iter().enumerate() {
                let choice = ask(&selector, &idle);
                assert_eq!(
                    choice,
                    Choice::Server(server),
                    "{balance:?} {weights:?} turn {turn}"
                );
            }
        }
    }
}

#[test]
fn clients_are_placed_where_haproxy_places_them() {
    for (clients, observed) in [(CLIENTS, SOURCE), (CLIENTS_V6, SOURCE_V6)] {
        for (weights, servers) in observed {
            let selector = Selector::new(&candidates(weights), Balance::Source, false);
            for (client, &server) in clients.iter().zip(*servers) {
                let choice = from(&selector, client);
                assert_eq!(choice, Choice::Server(server), "{client} {weights:?}");
            }
        }
    }
}

#[test]
fn backups_are_used_only_without_actives() {
    let mut servers = candidates(&[1, 1, 1]);
    servers[1].backup = true;
    servers[2].backup = true;
    let selector = Selector::new(&servers, Balance::RoundRobin, false);
    assert_eq!((selector.actives(), selector.backups()), (1, 2));
    assert_eq!(ask(&selector, &idle), Choice::Server(0));
    assert!(selector.serves_any(0) && !selector.serves_any(1));
    // A full primary never spills over.
    let full = |_| Load {
        served: 5,
        queued: 0,
        maxconn: 5,
    };
    assert_eq!(ask(&selector, &full), Choice::Full);

    // Drained by weight: the first backup takes everything, even when it is full.
    servers[0].weight = 0;
    let selector = Selector::new(&servers, Balance::RoundRobin, false);
    for _ in 0..3 {
        assert_eq!(ask(&selector, &idle), Choice::Server(1));
    }
    assert_eq!(ask(&selector, &full), Choice::Server(1));
    assert!(selector.serves_any(1) && !selector.serves_any(2));

    let selector = Selector::new(&servers, Balance::RoundRobin, true);
    let chosen: Vec<_> = (0..4).map(|_| ask(&selector, &idle)).collect();
    assert_eq!(chosen, [1, 2, 1, 2].map(Choice::Server));

    servers[1].usable = false;
    servers[2].usable = false;
    let selector = Selector::new(&servers, Balance::RoundRobin, true);
    assert_eq!(ask(&selector, &idle), Choice::None);
    assert_eq!(ask(&Selector::empty(), &idle), Choice::None);
}

#[test]
fn a_failure_leads_through_actives_backups_and_last_resorts() {
    let mut servers = candidates(&[1, 1, 1, 1, 1, 1, 1]);
    servers[3].backup = true;
    servers[4].backup = true;
    servers[5].usable = false;
    servers[6].usable = false;
    servers[6].last_resort = false;
    let selector = Selector::new(&servers, Balance::First, false);
    assert_eq!(fallbacks(&selector, Some(0), &idle), [1, 2, 3, 4, 5]);
    // A busy live server comes before a backup.
    let busy = |index| Load {
        served: 3 - index as u32 % 3,
        queued: 0,
        maxconn: u32::from(index < 3),
    };
    assert_eq!(fallbacks(&selector, Some(0), &busy), [2, 1, 3, 4, 5]);
    // Nobody usable: whatever is not in maintenance, actives first.
    for server in &mut servers {
        server.usable = false;
    }
    let selector = Selector::new(&servers, Balance::LeastConn, false);
    assert_eq!(ask(&selector, &idle), Choice::None);
    assert_eq!(fallbacks(&selector, None, &idle), [0, 1, 2, 5, 3, 4]);
}

#[test]
fn full_servers_lose_their_turn() {
    let selector = Selector::new(&candidates(&[3, 1, 1]), Balance::RoundRobin, false);
    let full = |index| Load {
        served: 9,
        queued: 0,
        maxconn: if index == 0 { 9 } else { 0 },
    };
    let chosen: Vec<_> = (0..4).map(|_| ask(&selector, &full)).collect();
    assert_eq!(chosen, [1, 2, 1, 2].map(Choice::Server));
    let waiting = |_| Load {
        served: 0,
        queued: 1,
        maxconn: 9,
    };
    assert_eq!(ask(&selector, &waiting), Choice::Full);
}

#[test]
fn the_least_busy_for_its_weight_is_chosen_and_equals_take_turns() {
    let selector = Selector::new(&candidates(&[1, 1, 1]), Balance::LeastConn, false);
    let loads = |index| Load {
        served: [2, 1, 1][index],
        ..Load::default()
    };
    let chosen: Vec<_> = (0..4).map(|_| ask(&selector, &loads)).collect();
    assert_eq!(chosen, [1, 2, 1, 2].map(Choice::Server));
    let selector = Selector::new(&candidates(&[1, 10]), Balance::LeastConn, false);
    let loads = |index| Load {
        served: [1, 9][index],
        ..Load::default()
    };
    assert_eq!(ask(&selector, &loads), Choice::Server(1));
    let loads = |index| Load {
        served: [0, 1][index],
        ..Load::default()
    };
    assert_eq!(ask(&selector, &loads), Choice::Server(0));
}

#[test]
fn random_follows_the_weights_and_avoids_the_busy() {
    let selector = Selector::new(&candidates(&[1, 3]), Balance::Random(1), false);
    let heavy = (0..10_000)
        .filter(|_| ask(&selector, &idle) == Choice::Server(1))
        .count();
    assert!((7_000..8_000).contains(&heavy), "{heavy}");
    let selector = Selector::new(&candidates(&[1; 10]), Balance::Random(2), false);
    let loads = |index| Load {
        served: u32::from(index == 4) * 100,
        ..Load::default()
    };
    let busy = (0..10_000)
        .filter(|_| ask(&selector, &loads) == Choice::Server(4))
        .count();
    assert!(busy < 300, "{busy}");
    let only = |index| Load {
        served: 1,
        queued: 0,
        maxconn: u32::from(index != 7),
    };
    assert_eq!(ask(&selector, &only), Choice::Server(7));
    assert_eq!(
        ask(&selector, &|_| Load {
            served: 1,
            queued: 0,
            maxconn: 1
        }),
        Choice::Full
    );
}

#[test]
fn first_fills_servers_by_id() {
    let mut servers = candidates(&[1, 1, 1]);
    servers[0].id = 9;
    let selector = Selector::new(&servers, Balance::First, false);
    let loads = |index| Load {
        served: u32::from(index == 1),
        queued: 0,
        maxconn: 1,
    };
    assert_eq!(ask(&selector, &idle), Choice::Server(1));
    assert_eq!(ask(&selector, &loads), Choice::Server(2));
}

#[test]
fn a_source_keeps_its_server_even_when_it_is_full() {
    let selector = Selector::new(&candidates(&[1, 1]), Balance::Source, false);
    let full = |_| Load {
        served: 1,
        queued: 4,
        maxconn: 1,
    };
    let source = "127.0.0.1".parse().ok();
    let mut tried = Tried::default();
    let choose = |tried: &Tried| {
        selector.choose(&Pick {
            source,
            loads: &full,
            tried,
        })
    };
    assert_eq!(choose(&tried), Choice::Server(1));
    tried.insert(1);
    assert_eq!(choose(&tried), Choice::Server(0));
    tried.insert(0);
    assert_eq!(choose(&tried), Choice::None);
}

#[test]
fn tried_holds_any_number() {
    let mut tried = Tried::default();
    for index in [0, 63, 64, 200, 1000] {
        assert!(!tried.contains(index));
        tried.insert(index);
        assert!(tried.contains(index) && !tried.contains(index + 1));
    }
}

#[test]
fn huge_weights_make_no_huge_cycle() {
    let weights: Vec<_> = (0..200).map(|n| 4096 - n).collect();
    assert!(sequence::round(&weights).len() <= 16_384 + 200);
    let map = sequence::map(&weights);
    assert!(map.len() <= 16_384 + 200);
    assert!((0..200).all(|place| map.contains(&place)));
}

#[test]
fn a_spare_is_usable_has_room_and_was_not_asked() {
    let mut servers = candidates(&[1, 1, 1]);
    servers[1].backup = true;
    servers[2].backup = true;
    let selector = Selector::new(&servers, Balance::RoundRobin, false);
    let mut tried = Tried::default();
    let spare = |selector: &Selector, tried: &Tried, full: usize| {
        let loads = |index: usize| Load {
            served: u32::from(index == full),
            queued: 0,
            maxconn: 1,
        };
        selector.spare(&Pick {
            source: None,
            loads: &loads,
            tried,
        })
    };
    tried.insert(0);
    assert_eq!(spare(&selector, &tried, 9), Some(1));
    assert_eq!(spare(&selector, &tried, 1), Some(2));
    servers[1].usable = false;
    let selector = Selector::new(&servers, Balance::RoundRobin, false);
    assert_eq!(spare(&selector, &tried, 9), Some(2));
    tried.insert(2);
    assert_eq!(spare(&selector, &tried, 9), None, "DOWN is no spare");
}

#[test]
fn a_server_in_reserve_is_the_first_of_the_last_resorts() {
    let mut servers = candidates(&[1, 1, 1]);
    servers[0].usable = false;
    servers[1].reserve = true;
    let selector = Selector::new(&servers, Balance::RoundRobin, false);
    let mut tried = Tried::default();
    let mut order = Vec::new();
    while let Choice::Server(index) = selector.fallback(&Pick {
        source: None,
        loads: &idle,
        tried: &tried,
    }) {
        order.push(index);
        tried.insert(index);
    }
    assert_eq!(order, [2, 1, 0]);
}
