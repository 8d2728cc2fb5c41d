use std::collections::VecDeque;

use super::*;

fn one(maxconn: u32) -> Slots {
    Slots::new(
        [Limits {
            maxconn,
            ..Limits::default()
        }],
        100,
    )
}

#[test]
fn a_full_server_makes_others_wait_in_order() {
    let mut slots = one(1);
    assert_eq!(slots.acquire(Want::Server(0), 1), Answer::Granted(0));
    assert_eq!(
        slots.acquire(Want::Server(0), 2),
        Answer::Queued {
            server: 0,
            backend: 0
        }
    );
    assert_eq!(
        slots.acquire(Want::Any, 3),
        Answer::Queued {
            server: 0,
            backend: 0
        }
    );
    assert_eq!(
        slots.acquire(Want::Server(0), 4),
        Answer::Queued {
            server: 1,
            backend: 0
        }
    );
    assert_eq!(slots.depth(0), Depth { now: 2, most: 2 });
    assert_eq!(
        slots.release(0),
        Some(Grant {
            ticket: 2,
            server: 0
        })
    );
    assert_eq!(
        slots.release(0),
        Some(Grant {
            ticket: 3,
            server: 0
        })
    );
    assert_eq!(
        slots.release(0),
        Some(Grant {
            ticket: 4,
            server: 0
        })
    );
    assert_eq!(slots.release(0), None);
    assert_eq!((slots.served(0), slots.waiting()), (0, 0));
}

#[test]
fn a_full_queue_says_so() {
    let limits = Limits {
        maxconn: 1,
        maxqueue: 1,
        minconn: 0,
    };
    let mut slots = Slots::new([limits], 100);
    slots.acquire(Want::Server(0), 1);
    slots.acquire(Want::Server(0), 2);
    assert_eq!(slots.acquire(Want::Server(0), 3), Answer::QueueFull);
    assert_eq!(
        slots.acquire(Want::Any, 3),
        Answer::Queued {
            server: 0,
            backend: 0
        }
    );
}

#[test]
fn who_gives_up_leaves_the_queue() {
    let mut slots = one(1);
    slots.acquire(Want::Server(0), 1);
    slots.acquire(Want::Server(0), 2);
    slots.acquire(Want::Server(0), 3);
    assert!(slots.cancel(2));
    assert!(!slots.cancel(2));
    assert!(!slots.cancel(1));
    assert_eq!(
        slots.release(0),
        Some(Grant {
            ticket: 3,
            server: 0
        })
    );
}

#[test]
fn a_server_that_stands_by_does_not_serve_the_backends_queue() {
    let mut slots = Slots::new(
        [Limits {
            maxconn: 1,
            ..Limits::default()
        }; 2],
        100,
    );
    slots.set_eligible(1, false);
    slots.acquire(Want::Server(0), 1);
    slots.acquire(Want::Server(1), 2);
    assert!(matches!(slots.acquire(Want::Any, 3), Answer::Queued { .. }));
    assert_eq!(slots.release(1), None);
    slots.set_eligible(1, true);
    assert_eq!(
        slots.next(1),
        Some(Grant {
            ticket: 3,
            server: 1
        })
    );
    assert_eq!(slots.next(1), None);
}

#[test]
fn a_downed_server_sends_its_queue_away_oldest_first() {
    let mut slots = one(1);
    for ticket in 1..=4 {
        slots.acquire(Want::Server(0), ticket);
    }
    slots.acquire(Want::Any, 5);
    assert_eq!(slots.requeue(0), [2, 3, 4]);
    assert_eq!(slots.waiting(), 1);
    assert_eq!(slots.requeue_backend(), [5]);
    assert_eq!(slots.release(0), None);
}

#[test]
fn the_limit_follows_the_load_between_minconn_and_maxconn() {
    let limits = Limits {
        maxconn: 100,
        minconn: 10,
        maxqueue: 0,
    };
    let mut slots = Slots::new([limits, Limits::default()], 1000);
    assert_eq!(slots.limit(0), Some(10));
    for ticket in 0..500 {
        slots.acquire(Want::Server(1), ticket);
    }
    assert_eq!(slots.limit(0), Some(50));
    for ticket in 500..1200 {
        slots.acquire(Want::Server(1), ticket);
    }
    assert_eq!(slots.limit(0), Some(100));
    slots.set_throttle(0, 25);
    assert_eq!(slots.limit(0), Some(25));
    slots.set_throttle(0, 0);
    assert_eq!(slots.limit(0), Some(1));
    assert_eq!(slots.limit(1), None);
}

/// Sessions come, wait, give up and end at random; servers go down and come back. No server ever has
/// more than its maxconn, every queue is first in first out, and nobody is lost.
#[test]
fn nobody_is_lost_in_a_random_life() {
    for seed in 0..60 {
        simulate(seed);
    }
}

#[derive(Default)]
struct World {
    serving: Vec<Grant>,
    own: Vec<VecDeque<Ticket>>,
    any: VecDeque<Ticket>,
    eligible: Vec<bool>,
}

impl World {
    fn granted(&mut self, grant: Grant, context: &str) {
        let from_own = self.own[grant.server].front() == Some(&grant.ticket);
        let from_any = self.any.front() == Some(&grant.ticket);
        assert!(
            from_own || from_any,
            "{context}: {grant:?} was not first in its queue"
        );
        if from_own {
            // Tickets are numbered as they come, so the older of both heads must have been chosen,
            // unless the server may not serve the other queue.
            let other = self.any.front().copied().unwrap_or(Ticket::MAX);
            assert!(
                grant.ticket < other || !self.eligible[grant.server],
                "{context}"
            );
            self.own[grant.server].pop_front();
        } else {
            assert!(self.eligible[grant.server], "{context}");
            let other = self.own[grant.server]
                .front()
                .copied()
                .unwrap_or(Ticket::MAX);
            assert!(
                grant.ticket < other,
                "{context}: {grant:?} overtook {other}"
            );
            self.any.pop_front();
        }
        self.serving.push(grant);
    }

    fn arrival(
        &mut self,
        slots: &mut Slots,
        limits: &[Limits],
        (want, ticket): (Want, Ticket),
        context: &str,
    ) {
        match (slots.acquire(want, ticket), want) {
            (Answer::Granted(server), _) => self.serving.push(Grant { ticket, server }),
            (Answer::Queued { server: ahead, .. }, Want::Server(server)) => {
                assert_eq!(ahead as usize, self.own[server].len(), "{context}");
                self.own[server].push_back(ticket);
            }
            (Answer::Queued { backend: ahead, .. }, Want::Any) => {
                assert_eq!(ahead as usize, self.any.len(), "{context}");
                self.any.push_back(ticket);
            }
            (Answer::QueueFull, Want::Server(server)) => {
                let most = limits[server].maxqueue as usize;
                assert!(most > 0 && self.own[server].len() >= most, "{context}");
            }
            (Answer::QueueFull, Want::Any) => panic!("{context}: no such queue"),
        }
    }

    fn agrees_with(&self, slots: &Slots, limits: &[Limits], context: &str) {
        for (server, limits) in limits.iter().enumerate() {
            let served = self
                .serving
                .iter()
                .filter(|grant| grant.server == server)
                .count() as u32;
            assert_eq!(slots.served(server), served, "{context}");
            assert!(limits.maxconn == 0 || served <= limits.maxconn, "{context}");
            assert_eq!(
                slots.depth(server).now as usize,
                self.own[server].len(),
                "{context}"
            );
        }
        let waiting = self.any.len() + self.own.iter().map(VecDeque::len).sum::<usize>();
        assert_eq!(slots.waiting() as usize, waiting, "{context}");
    }
}

fn simulate(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let count = random.usize(1..5);
    let limits: Vec<_> = (0..count)
        .map(|_| Limits {
            maxconn: random.u32(0..5),
            minconn: 0,
            maxqueue: random.u32(0..4),
        })
        .collect();
    let mut slots = Slots::new(limits.iter().copied(), 10);
    let mut world = World {
        own: vec![VecDeque::new(); count],
        eligible: vec![true; count],
        ..World::default()
    };
    for ticket in 0..3000 {
        let context = format!("seed {seed}, step {ticket}, {limits:?}");
        match random.u8(0..10) {
            0..5 => {
                let server = random.usize(0..count);
                let want = if random.bool() {
                    Want::Server(server)
                } else {
                    Want::Any
                };
                world.arrival(&mut slots, &limits, (want, ticket), &context);
            }
            5..8 if !world.serving.is_empty() => {
                let ended = world
                    .serving
                    .swap_remove(random.usize(0..world.serving.len()));
                if let Some(grant) = slots.release(ended.server) {
                    world.granted(grant, &context);
                }
            }
            8 => {
                let server = random.usize(0..count);
                let queue = if random.bool() {
                    &mut world.own[server]
                } else {
                    &mut world.any
                };
                if !queue.is_empty() {
                    let gone = queue
                        .remove(random.usize(0..queue.len()))
                        .expect("it is there");
                    assert!(slots.cancel(gone), "{context}");
                }
            }
            9 if random.u8(0..10) == 0 => {
                let server = random.usize(0..count);
                assert_eq!(
                    slots.requeue(server),
                    Vec::from(world.own[server].split_off(0)),
                    "{context}"
                );
            }
            _ => {
                let server = random.usize(0..count);
                world.eligible[server] = random.bool();
                slots.set_eligible(server, world.eligible[server]);
                while let Some(grant) = slots.next(server) {
                    world.granted(grant, &context);
                }
            }
        }
        world.agrees_with(&slots, &limits, &context);
    }
}
