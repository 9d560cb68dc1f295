//! Long runs of the simulation: `cargo run --release --example simulate -- --seeds 100000`.
//!
//! `--from N` begins there, `--seed S` tells the story of one seed, `--planted` prints which seed catches which planted bug.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::life::WITH_PEOPLE;
use simulation::live;
use simulation::planted::Planted;

/// Lives of a sidecar under faults.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The story of this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Which seed catches which planted bug.
    #[arg(long)]
    planted: bool,
    /// People act too: retry, settle, claim, open again, pause, restart.
    #[arg(long)]
    people: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    WITH_PEOPLE.store(arguments.people, std::sync::atomic::Ordering::Relaxed);
    if let Some(seed) = arguments.seed {
        let outcome = live(seed, None, true);
        println!("{}", outcome.story.join("\n"));
        return if outcome.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
    if arguments.planted {
        return table(seeds);
    }
    let start = Instant::now();
    let (mut broken, mut events) = (0_u64, 0_u64);
    for (done, seed) in seeds.enumerate() {
        let outcome = live(seed, None, false);
        events += u64::from(outcome.events);
        if let Some(what) = outcome.broken {
            broken += 1;
            println!("seed {seed}: {what}");
        }
        if (done + 1) % 1000 == 0 {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{} seeds, {:.0} a second, {events} events, {broken} broken",
                done + 1,
                (done + 1) as f64 / seconds
            );
        }
    }
    println!("{broken} broken");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(seeds: std::ops::Range<u64>) -> ExitCode {
    let mut all = true;
    for planted in Planted::ALL {
        let caught = seeds.clone().find_map(|seed| Some((seed, live(seed, Some(planted), false).broken?)));
        all &= caught.is_some();
        let how = caught.map_or("NOT CAUGHT".to_owned(), |(seed, broken)| format!("seed {seed}: {broken}"));
        println!("{:<62} {how}", planted.as_str());
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
