//! Plays the whole fault matrix, HAProxy and Posthouse in turn, and prints it as the tables of docs/failover.md.
//!
//! `bench/failover` calls it, with `tcp`, `smtp` or `tls` for one part alone. `SESSIONS` (default 960) is the length of each
//! load, at 40 sessions a second. Before `tcp`, how long a Postfix takes to greet: what the default of `timeout hedge`
//! rests on.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::fault::{Fault, Outcome, play, play_within_tls};
use testkit::flight::{Landing, fly};
use testkit::lab::{Host, Lab};
use testkit::load::Load;
use testkit::postfix::Postfix;
use testkit::proxy::Program;

const CONFIGURATIONS: [(&str, &str); 2] = [
    (
        "The article's configuration",
        include_str!("../../../examples/article.cfg"),
    ),
    (
        "A tuned configuration",
        include_str!("../../../examples/tuned.cfg"),
    ),
];

fn main() -> Result<()> {
    let sessions = match std::env::var("SESSIONS") {
        Ok(text) => text.parse().context("SESSIONS is no number")?,
        Err(_) => 960,
    };
    let load = Load {
        sessions,
        per_second: 40,
    };
    match std::env::args().nth(1).as_deref() {
        None => relayed(load)
            .and_then(|()| carried(load))
            .and_then(|()| within_tls(load)),
        Some("tcp") => relayed(load),
        Some("smtp") => carried(load),
        Some("tls") => within_tls(load),
        Some(other) => bail!("{other} is none of tcp, smtp and tls"),
    }
}

/// `mode tcp`.
fn relayed(load: Load) -> Result<()> {
    greetings()?;
    for (title, configuration) in CONFIGURATIONS {
        println!("### {title}\n");
        println!("| fault | new failed | cut | slowest greeting | lost | doubled |");
        println!("|---|---|---|---|---|---|");
        for (fault, words) in Fault::ALL {
            let haproxy = play(fault, Program::Haproxy, configuration, load)?;
            let ours = play(fault, Program::Posthouse, configuration, load)?;
            let numbers = |outcome: &Outcome| {
                [
                    outcome.new_failed.to_string(),
                    outcome.cut.to_string(),
                    time(outcome.slowest_greeting),
                    outcome.lost.to_string(),
                    outcome.doubled.to_string(),
                ]
            };
            println!("| {words} {}", row(&numbers(&haproxy), &numbers(&ours)));
            for example in haproxy.examples.iter().take(2) {
                eprintln!("haproxy, {words}: {example}");
            }
            for example in &ours.examples {
                eprintln!("posthouse, {words}: {example}");
            }
        }
        println!();
    }
    Ok(())
}

/// `mode smtp`, next to HAProxy with the tuned configuration.
fn carried(load: Load) -> Result<()> {
    let (theirs, ours) = (
        CONFIGURATIONS[1].1,
        include_str!("../../../examples/smtp.cfg"),
    );
    println!("### mode smtp\n");
    println!("| fault | failed | unknown | longest pause | lost | doubled |");
    println!("|---|---|---|---|---|---|");
    for (fault, words) in Fault::ALL.into_iter().chain(Fault::BOTH) {
        let haproxy = play(fault, Program::Haproxy, theirs, load)?;
        let ours = play(fault, Program::Posthouse, ours, load)?;
        let numbers = |outcome: &Outcome| {
            [
                (outcome.new_failed + outcome.cut).to_string(),
                outcome.unknown.to_string(),
                time(outcome.longest_pause.max(outcome.slowest_greeting)),
                outcome.lost.to_string(),
                outcome.doubled.to_string(),
            ]
        };
        println!("| {words} {}", row(&numbers(&haproxy), &numbers(&ours)));
        for example in &ours.examples {
            eprintln!("posthouse, {words}: {example}");
        }
    }
    println!("\n| in flight, and killed | failed | pause p50 | p99 | longest | lost | doubled |");
    println!("|---|---|---|---|---|---|---|");
    for sessions in [100, 1_000] {
        let haproxy = fly(Program::Haproxy, theirs, sessions)?;
        let ours = fly(Program::Posthouse, ours, sessions)?;
        let numbers = |landing: &Landing| {
            let pause = |share| match landing.pauses.is_empty() {
                true => "-".to_owned(),
                false => time(landing.pause(share)),
            };
            [
                landing.failed.to_string(),
                pause(0.5),
                pause(0.99),
                pause(1.0),
                landing.lost.to_string(),
                landing.doubled.to_string(),
            ]
        };
        println!("| {sessions} {}", row(&numbers(&haproxy), &numbers(&ours)));
        for example in &ours.examples {
            eprintln!("posthouse, {sessions} in flight: {example}");
        }
    }
    println!();
    Ok(())
}

/// `mode smtp` with TLS on both legs, which nobody else has.
fn within_tls(load: Load) -> Result<()> {
    println!("### mode smtp within TLS\n");
    println!("| fault | failed | unknown | longest pause | lost | doubled |");
    println!("|---|---|---|---|---|---|");
    for (fault, words) in Fault::ALL.into_iter().chain(Fault::BOTH) {
        let ours = play_within_tls(fault, load)?;
        println!(
            "| {words} | {} | {} | {} | {} | {} |",
            ours.new_failed + ours.cut,
            ours.unknown,
            time(ours.longest_pause.max(ours.slowest_greeting)),
            ours.lost,
            ours.doubled
        );
        for example in &ours.examples {
            eprintln!("posthouse, {words}: {example}");
        }
    }
    println!();
    Ok(())
}

/// How long a healthy Postfix takes to greet, connected to directly, as the machine gets busier.
fn greetings() -> Result<()> {
    println!("| sessions per second | p50 | p99 | p99.9 | slowest |");
    println!("|---|---|---|---|---|");
    for per_second in [10, 40, 150] {
        let lab = Lab::new()?;
        let _mail1 = Postfix::start(&lab, Host::Mail1)?;
        let load = Load {
            sessions: per_second as usize * 15,
            per_second,
        };
        let to = (Host::Mail1.ip(), 25).into();
        let sessions = lab.on(Host::Client, || Ok(load.run(to, None)))?;
        let mut times: Vec<_> = sessions
            .iter()
            .filter_map(|session| Some((session.greeted? - session.begun).as_secs_f64() * 1e3))
            .collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times.get(place.min(times.len().saturating_sub(1)))
        };
        let cells = [0.5, 0.99, 0.999, 1.0].map(|share| match at(share) {
            Some(ms) => format!("{ms:.1} ms"),
            None => "-".to_owned(),
        });
        println!("| {per_second} | {} |", cells.join(" | "));
    }
    println!();
    Ok(())
}

fn time(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// `haproxy` / **`posthouse`**, column by column.
fn row(haproxy: &[String], ours: &[String]) -> String {
    let cells: Vec<_> = haproxy
        .iter()
        .zip(ours)
        .map(|(theirs, ours)| format!("{theirs} / **{ours}**"))
        .collect();
    format!("| {} |", cells.join(" | "))
}
