//! Long runs of the simulation: `cargo run --profile simulation --example simulate -- --seeds 100000`.
//!
//! `--month 30` lives thirty ordinary days, and the same days with ten planted outages, and lets `promtool` judge both by the shipped rules.
//!
//! `--from N` begins there, `--seed S` tells the story of one seed, `--planted` prints which seed catches which planted bug.
// The simulation is test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::life::live_month;
use simulation::live;
use simulation::month::{Kind, Month};
use simulation::pages;
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
    /// So many ordinary days, and whom the shipped rules wake in them.
    #[arg(long)]
    month: Option<i64>,
    /// Seconds between two scrapes of a month.
    #[arg(long, default_value_t = 60)]
    scrape: i64,
    /// Only the month with outages, told as a story.
    #[arg(long)]
    story: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let outcome = live(seed, None, true);
        println!("{}", outcome.story.join("\n"));
        return if outcome.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(days) = arguments.month {
        return month(days, arguments.scrape * 1000, arguments.from, arguments.story);
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

/// Days without and with outages: 0 pages, and one for each.
fn month(days: i64, every: i64, seed: u64, story: bool) -> ExitCode {
    let mut faults = 0;
    let kinds: &[Kind] = &Kind::ALL;
    for outages in if story { vec![kinds] } else { vec![&[], kinds] } {
        let start = Instant::now();
        let (found, said) = judged_month(days, every, seed, outages, story);
        said.iter().for_each(|line| println!("{line}"));
        found.iter().for_each(|fault| println!("!! {fault}"));
        faults += found.len();
        println!(
            "{days} days, {} outages: {} faults, {:.0} s",
            outages.len(),
            found.len(),
            start.elapsed().as_secs_f64()
        );
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judged_month(
    days: i64,
    every: i64,
    seed: u64,
    outages: &[Kind],
    story: bool,
) -> (Vec<String>, Vec<String>) {
    let mut month = Month::new(days, outages, every);
    month.recorder.keep(pages::named());
    let (outcome, month) = live_month(seed, month, story);
    outcome.story.iter().for_each(|line| println!("{line}"));
    let mut said = Vec::new();
    said.push(format!(
        "{} events, {} scrapes of {} series",
        outcome.events,
        month.recorder.scrapes(),
        month.recorder.series()
    ));
    let Ok(folder) = tempfile::tempdir() else { return (vec!["no temporary folder".to_owned()], said) };
    let firing = pages::firing(&month, folder.path());
    let woken = pages::pages(&firing, every / 1000);
    said.extend(woken.iter().map(|page| {
        format!(
            "page at day {} {:02}:{:02}: {}",
            page.at / 86_400,
            page.at / 3600 % 24,
            page.at / 60 % 60,
            page.alert
        )
    }));
    let mut faults = pages::faults(&month, &woken);
    faults.extend(outcome.broken);
    if outages.is_empty() {
        faults
            .extend(month.alarming.iter().map(|(at, status)| format!("{status} at {at} on an ordinary day")));
    }
    (faults, said)
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
