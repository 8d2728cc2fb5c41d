//! Plays the whole fault matrix, HAProxy and Posthouse in turn, and prints it as the tables of docs/failover.md.
//!
//! `bench/failover` calls it. `SESSIONS` (default 960) is the length of each load, at 40 sessions a second.

use anyhow::{Context, Result};
use testkit::fault::{Fault, Outcome, play};
use testkit::load::Load;
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
