//! Kill at every byte: the same sessions over and over, and each time the server dies one byte later, of those it was
//! sent or of those it has sent. What must come of it follows from the bytes alone.

use super::client::Letter;
use super::server::Mood;
use super::world::World;
use super::*;

fn letter(index: usize, chunks: &[usize]) -> Letter {
    Letter {
        mail: format!(" FROM:<s{index}@b>"),
        recipients: vec![" TO:<a@d>".into(), " TO:<x@d>".into(), " TO:<c@d>".into()],
        body: b"Subject: t\r\n\r\n..dot\r\n".to_vec(),
        chunks: chunks.to_vec(),
    }
}

/// A recorded session.
#[derive(Debug)]
struct Session {
    letters: Vec<Letter>,
    pipelining: bool,
    login: Option<Login>,
}

/// How the client logs in, and another server gets to know.
#[derive(Debug, Clone, Copy)]
enum Login {
    /// In one line, which is said again.
    Plain,
    /// Line by line, the same.
    Steps,
    /// In one line; the proxy vouches for it.
    Vouched,
}

fn sessions() -> Vec<Session> {
    let session = |letters: Vec<Letter>, pipelining| Session {
        letters,
        pipelining,
        login: None,
    };
    let logged_in = |login| Session {
        login: Some(login),
        ..session(vec![letter(0, &[]), letter(1, &[21])], true)
    };
    vec![
        session(vec![letter(0, &[])], false),
        session(vec![letter(0, &[])], true),
        session(vec![letter(0, &[21])], true),
        session(vec![letter(0, &[5, 0, 16])], true),
        session(vec![letter(0, &[14, 7, 0])], false),
        session(
            vec![letter(0, &[]), letter(1, &[4, 17]), letter(2, &[])],
            true,
        ),
        logged_in(Login::Plain),
        logged_in(Login::Steps),
        logged_in(Login::Vouched),
    ]
}

/// When the server dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    Never,
    Hears(usize),
    Says(usize),
}

/// What was to be seen at the moment of death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    /// Bytes handed out for the server, whether they have reached it or not.
    handed: usize,
    /// Messages whose last reply has reached the dialogue.
    answered: usize,
}

fn mood(session: &Session) -> Mood {
    Mood {
        pipelining: true,
        refuses: Some('x'),
        auth: session.login.is_some(),
        xclient: matches!(session.login, Some(Login::Vouched)),
        ..Mood::default()
    }
}

fn begin(session: &Session, hold_back: bool) -> World {
    let mut settings = Settings::new("proxy.example");
    settings.hold_back = hold_back.then_some(10);
    settings.flight = 0;
    settings.auth = Auth::Anywhere;
    settings.vouches = matches!(session.login, Some(Login::Vouched));
    settings.replay_auth = !settings.vouches;
    let mut world = World::new(settings, session.letters.clone(), session.pipelining);
    world.room.reach = Reach {
        verified: true,
        xclient: matches!(session.login, Some(Login::Vouched)),
    };
    world.client.login = match session.login {
        None => vec![],
        Some(Login::Steps) => vec!["c2VjcmV0", "YW5u", "AUTH LOGIN"],
        Some(Login::Plain | Login::Vouched) => vec!["AUTH PLAIN AGFubgBzZWNyZXQ="],
    };
    world
}

/// One thing after the other, always in the same order. `false`: nothing is left to do.
fn turn(world: &mut World, session: &Session) -> bool {
    if world.dialogue.quest().is_some() {
        world.join(mood(session));
    }
    world.client_hears(1)
        || world.client_speaks(usize::MAX)
        || world.server_hears(1)
        || world.server_took(true)
        || world.server_speaks(1)
}

fn run(session: &Session, hold_back: bool, death: Death) -> (World, Option<Moment>) {
    let mut world = begin(session, hold_back);
    let mut moment = None;
    loop {
        let due = match death {
            Death::Never => false,
            Death::Hears(bytes) => world.to_server == bytes,
            Death::Says(bytes) => world.from_server == bytes,
        };
        if moment.is_none() && due && world.server.is_some() {
            moment = Some(Moment {
                handed: world.to_server + world.room.server.len(),
                answered: queued(&world),
            });
            world.kill();
        }
        if !turn(&mut world, session) {
            return (world, moment);
        }
    }
}

/// How many messages have their 250, with the client or on its way there.
fn queued(world: &World) -> usize {
    let under_way = String::from_utf8_lossy(&world.room.client)
        .matches("queued")
        .count();
    let here = world.client.fates.iter().filter(|fate| fate.end.is_some());
    under_way + here.count()
}

/// Where in the bytes for the server each message has ended.
fn ends(session: &Session, hold_back: bool) -> Vec<usize> {
    let mut world = begin(session, hold_back);
    let mut found = Vec::new();
    while turn(&mut world, session) {
        if world.mailbox.borrow().len() > found.len() {
            found.push(world.to_server);
        }
    }
    found
}

#[test]
fn at_every_byte_of_either_direction() {
    for session in sessions() {
        for hold_back in [false, true] {
            let (whole, _) = run(&session, hold_back, Death::Never);
            let ends = ends(&session, hold_back);
            assert_eq!(ends.len(), session.letters.len());
            let hears = (0..=whole.to_server).map(Death::Hears);
            let says = (0..=whole.from_server).map(Death::Says);
            for death in hears.chain(says) {
                let (mut world, moment) = run(&session, hold_back, death);
                let what = format!(
                    "{death:?}, {:?}, pipelining {}, {:?}",
                    session.login, session.pipelining, session.letters[0].chunks
                );
                let Some(moment) = moment else {
                    continue;
                };
                // Handed over as a whole and not answered: S7. Anything else must go unnoticed.
                let handed = ends.iter().filter(|&&end| end <= moment.handed).count();
                let unknown = (handed > moment.answered).then_some(moment.answered);
                assert_eq!(world.client.dismissed, None, "{what}");
                assert!(world.client.finished, "{what}");
                for (index, fate) in world.client.fates.iter().enumerate() {
                    if unknown == Some(index) {
                        let end = fate.end.as_deref().unwrap_or_default();
                        assert!(end.starts_with("451 4.4.2"), "{what}: {fate:?}");
                    } else {
                        assert_eq!(fate.failure, None, "{what}");
                        assert_eq!(fate.accepted.len(), 2, "{what}");
                    }
                }
                let counted = world.room.counts.contains(&Count::OutcomeUnknown);
                assert_eq!(counted, unknown.is_some(), "{what}");
                let records = world.room.records.len();
                assert_eq!(
                    records,
                    session.letters.len(),
                    "{what}: one record per transaction"
                );
                world.check(false);
            }
        }
    }
}
