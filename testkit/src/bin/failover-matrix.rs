//! Plays the whole fault matrix, HAProxy and Posthouse in turn, and prints it as the tables of docs/failover.md.
//!
//! `bench/failover` calls it. `SESSIONS` (default 960) is the length of each load, at 40 sessions a second. Before
//! it, how long a Postfix takes to greet: what the default of `timeout hedge` rests on.

use anyhow::{Context, Result};
use testkit::fault::{Fault, Outcome, play};
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
    greetings()?;
    for (title, configuration) in CONFIGURATIONS {
        println!("### {title}\n");
        println!("| fault | new failed | cut | slowest greeting | lost | doubled |");
        println!("|---|---|---|---|---|---|");
        for (fault, words) in Fault::ALL {
            let haproxy = play(fault, Program::Haproxy, configuration, load)?;
            let ours = play(fault, Program::Posthouse, configuration, load)?;
            println!("| {words} {}", row(&haproxy, &ours));
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
        let sessions = lab.on(Host::Client, || Ok(load.run(to)))?;
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

/// `haproxy` / **`posthouse`**, column by column.
fn row(haproxy: &Outcome, ours: &Outcome) -> String {
    let greeting = |outcome: &Outcome| {
        let ms = outcome.slowest_greeting.as_millis();
        if ms < 1000 {
            format!("{ms} ms")
        } else {
            format!("{:.1} s", outcome.slowest_greeting.as_secs_f64())
        }
    };
    let numbers = |outcome: &Outcome| {
        [
            outcome.new_failed.to_string(),
            outcome.cut.to_string(),
            greeting(outcome),
            outcome.lost.to_string(),
            outcome.doubled.to_string(),
        ]
    };
    let cells: Vec<_> = numbers(haproxy)
        .iter()
        .zip(&numbers(ours))
        .map(|(theirs, ours)| format!("{theirs} / **{ours}**"))
        .collect();
    format!("| {} |", cells.join(" | "))
}
