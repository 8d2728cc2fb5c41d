//! The fault matrix in short: every fault, with the article's configuration and with a tuned one, under load.
//! `bench/failover` plays it at full length, next to HAProxy.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::fault::{Fault, Outcome, play, play_within_tls};
use testkit::flight::fly;
use testkit::load::Load;
use testkit::proxy::Program;

const LOAD: Load = Load {
    sessions: 160,
    per_second: 40,
};

/// Far above what is measured, because other tests run beside this one; far below any timeout in the files.
const SLOWEST: Duration = Duration::from_secs(2);

fn survives(fault: Fault) -> Result<()> {
    for configuration in [
        include_str!("../examples/article.cfg"),
        include_str!("../examples/tuned.cfg"),
    ] {
        let outcome = play(fault, Program::Posthouse, configuration, LOAD)?;
        ensure!(outcome.sessions == LOAD.sessions, "{outcome:#?}");
        ensure!(outcome.new_failed == 0, "{fault:?}: {outcome:#?}");
        ensure!(
            outcome.lost + outcome.doubled == 0,
            "{fault:?}: {outcome:#?}"
        );
        ensure!(
            outcome.slowest_greeting < SLOWEST,
            "{fault:?}: {outcome:#?}"
        );
    }
    Ok(())
}

/// The same in `mode smtp`: sessions in flight survive as well.
fn carries_over(fault: Fault) -> Result<()> {
    let configuration = include_str!("../examples/smtp.cfg");
    all_are_carried(
        fault,
        &play(fault, Program::Posthouse, configuration, LOAD)?,
    )
}

/// And within TLS, on both legs, begun either way.
fn carries_over_within_tls(fault: Fault) -> Result<()> {
    all_are_carried(fault, &play_within_tls(fault, LOAD)?)
}

fn all_are_carried(fault: Fault, outcome: &Outcome) -> Result<()> {
    ensure!(outcome.sessions == LOAD.sessions, "{outcome:#?}");
    let failed = outcome.new_failed + outcome.cut;
    ensure!(failed == 0, "{fault:?}: {outcome:#?}");
    let wrong = outcome.lost + outcome.doubled;
    ensure!(wrong == 0, "{fault:?}: {outcome:#?}");
    // Whose end of data was out when a server died: as many as are in that state at once on a busy machine.
    ensure!(outcome.unknown <= 8, "{fault:?}: {outcome:#?}");
    Ok(())
}

macro_rules! carried {
    ($module:ident by $survives:ident, $($name:ident: $fault:ident,)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $name() -> Result<()> {
                    $survives(Fault::$fault)
                }
            )*
        }
    };
}

macro_rules! faults {
    ($($name:ident: $fault:ident,)*) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                survives(Fault::$fault)
            }
        )*
    };
}

faults! {
    killed: Killed,
    frozen: Frozen,
    unplugged: Unplugged,
    stopped: Stopped,
    accepts_and_resets: Resets,
    accepts_and_closes: Closes,
    accepts_and_is_silent: Silent,
    greets_with_421: Greets421,
    greets_with_554: Greets554,
    one_byte_per_second: Drips,
    link_flaps: Flaps,
    returns: Returns,
}

carried! {
    carried by carries_over,
    killed: Killed,
    frozen: Frozen,
    unplugged: Unplugged,
    stopped: Stopped,
    accepts_and_resets: Resets,
    accepts_and_closes: Closes,
    accepts_and_is_silent: Silent,
    greets_with_421: Greets421,
    greets_with_554: Greets554,
    one_byte_per_second: Drips,
    link_flaps: Flaps,
    returns: Returns,
    restarted_one_after_the_other: Rolls,
    outage: Outage,
}

carried! {
    within_tls by carries_over_within_tls,
    killed: Killed,
    frozen: Frozen,
    unplugged: Unplugged,
    greets_with_421: Greets421,
    returns: Returns,
    outage: Outage,
}

/// Sessions at every place of their dialogue, all of which have to find another server at once.
#[test]
fn many_in_flight() -> Result<()> {
    let configuration = include_str!("../examples/smtp.cfg");
    let sessions = std::env::var("IN_FLIGHT").map_or(Ok(200), |text| text.parse())?;
    let landing = fly(Program::Posthouse, configuration, sessions)?;
    ensure!(
        landing.failed + landing.lost + landing.doubled == 0,
        "{landing:#?}"
    );
    let [median, late] = [0.5, 0.99].map(|share| landing.pause(share));
    println!("{sessions} in flight: pause {median:?}, p99 {late:?}");
    Ok(())
}
