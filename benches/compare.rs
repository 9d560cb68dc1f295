//! What the sidecar costs: the release binary beside nginx and haproxy, in front of one upstream that answers at once.
//!
//! `cargo bench --bench compare -- --help`; docs/BENCHMARKS.md says how to read what it prints. It measures and never
//! judges: no number makes it fail. Everything runs on loopback, on free ports, below Cargo's temporary folder (so the
//! store lies on the disk of `target`, not in memory), and is gone when it ends, however it ends.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "compare/contender.rs"]
mod contender;
#[path = "compare/load.rs"]
mod load;
#[path = "compare/process.rs"]
mod process;
#[path = "compare/report.rs"]
mod report;
#[path = "compare/stored.rs"]
mod stored;
#[path = "compare/upstream.rs"]
mod upstream;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use contender::Contender;
use load::{Client, Load};
use process::first_line;
use report::{Sample, median, number};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use upstream::Upstream;

/// Compares the watchdog with nginx and haproxy.
#[derive(Parser)]
struct Args {
    /// Who runs, of: direct, nginx, haproxy, outcome, intent+outcome
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Connections that wrk keeps busy
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    connections: Vec<usize>,
    /// Rounds; within one, each contender has its turn at each number of connections
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load for one sample
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Sends in the store for the start after `kill -9` and for `failed list`; 0 leaves that part out
    #[arg(long, default_value_t = 100_000)]
    sends: u64,
    /// Another release binary than the one just built
    #[arg(long, default_value = env!("CARGO_BIN_EXE_waha-watchdog"))]
    binary: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn contenders(&self) -> Result<Vec<Contender>> {
        let names = Contender::ALL.map(Contender::name);
        for name in &self.only {
            ensure!(names.contains(&name.as_str()), "--only {name}: there is {}", names.join(", "));
        }
        let chosen =
            |contender: &Contender| self.only.is_empty() || self.only.iter().any(|n| n == contender.name());
        Ok(Contender::ALL.into_iter().filter(chosen).collect())
    }
}

fn main() -> ExitCode {
    match compare(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: Args) -> Result<()> {
    let contenders = args.contenders()?;
    demand_tools(&contenders, &args.binary)?;
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR"))?;
    let workspace = tempfile::Builder::new().prefix("compare-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    process::clean_up_on_signals(workspace.path())?;
    let bench = Bench {
        upstream: Upstream::start()?,
        load: Load::new(workspace.path())?,
        dir: workspace.path(),
        args,
    };

    println!("## Comparison\n");
    bench.print_machine(&contenders)?;
    bench.print_rest(&contenders)?;
    bench.print_load(&contenders)?;
    for contender in contenders.iter().rev().filter(|contender| contender.is_watchdog()).take(1) {
        stored::print(&bench, *contender)?;
    }
    println!("\nLoad average at the end: {}", load_average());
    Ok(())
}

fn demand_tools(contenders: &[Contender], binary: &Path) -> Result<()> {
    let has = |tool: &str| Command::new(tool).arg("-v").output().is_ok();
    let needs = |contender| contenders.contains(&contender);
    let wanted = [("wrk", true), ("nginx", needs(Contender::Nginx)), ("haproxy", needs(Contender::Haproxy))];
    let missing: Vec<_> =
        wanted.iter().filter(|(tool, wanted)| *wanted && !has(tool)).map(|(tool, _)| *tool).collect();
    if !missing.is_empty() {
        bail!(
            "not installed: {0}. On Debian: apt-get install {0} (or leave contenders out with --only)",
            missing.join(" ")
        );
    }
    if contenders.iter().any(|contender| contender.is_watchdog()) && !binary.exists() {
        bail!("there is no {}: cargo build --release", binary.display());
    }
    Ok(())
}

struct Bench<'a> {
    upstream: Upstream,
    load: Load,
    dir: &'a Path,
    args: Args,
}

impl Bench<'_> {
    fn print_machine(&self, contenders: &[Contender]) -> Result<()> {
        let cores = std::thread::available_parallelism()?;
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        println!(
            "- machine: {cores} cores ({}), Linux {}",
            model.map_or("?", |(_, name)| name),
            kernel.trim()
        );
        println!("- memory: {}", memory.lines().next().unwrap_or_default().replace("MemTotal:", "").trim());
        println!("- fsync of 4 KiB where the store lies: {} ms (median of 100)", number(self.fsync_ms()?, 2));
        println!("- {}", first_line(Command::new("wrk").arg("-v")));
        for (contender, program) in [(Contender::Nginx, "nginx"), (Contender::Haproxy, "haproxy")] {
            if contenders.contains(&contender) {
                println!("- {}", first_line(Command::new(program).arg("-v")));
            }
        }
        if contenders.iter().any(|contender| contender.is_watchdog()) {
            let commit = first_line(Command::new("git").args(["describe", "--always", "--dirty"]));
            println!("- {}, commit {commit}", first_line(Command::new(&self.args.binary).arg("--version")));
        }
        println!("- load average before: {} (below 0.2 is a quiet machine)", load_average());
        println!("- {} rounds of {} s, interleaved", self.args.rounds, self.args.seconds);
        Ok(())
    }

    /// A disk that lies about fsync makes every durable figure worthless: let the reader see it.
    fn fsync_ms(&self) -> Result<Option<f64>> {
        let path = self.dir.join("fsync");
        let mut file = fs::File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..100 {
            let begin = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        fs::remove_file(path)?;
        Ok(median(times))
    }

    fn start(&self, contender: Contender, name: &str) -> Result<contender::Running> {
        let prepared = contender.prepare(&self.dir.join(name), self.upstream.port, &self.args.binary)?;
        prepared.start().with_context(|| contender.name())
    }

    /// Start and idle memory, with an empty store.
    fn print_rest(&self, contenders: &[Contender]) -> Result<()> {
        println!(
            "\n### At rest\n\n| | first answer after ms | ready after ms | idle MiB after 3 s |\n|---|--:|--:|--:|"
        );
        for contender in contenders.iter().filter(|contender| **contender != Contender::Direct) {
            let (mut answered, mut ready, mut idle) = (Vec::new(), Vec::new(), None);
            for time in 0..5 {
                let running = self.start(*contender, &format!("rest-{}-{time}", contender.name()))?;
                answered.push(running.first_answer.as_secs_f64() * 1e3);
                ready.extend(running.ready.map(|ready| ready.as_secs_f64() * 1e3));
                if time == 0 {
                    std::thread::sleep(Duration::from_secs(3));
                    idle = running.process.as_ref().map(|process| process.memory("VmRSS"));
                }
            }
            let [answered, ready] = [answered, ready].map(|times| number(median(times), 1));
            println!("| {} | {answered} | {ready} | {} |", contender.name(), number(idle, 1));
        }
        Ok(())
    }

    fn print_load(&self, contenders: &[Contender]) -> Result<()> {
        let (mut samples, mut upstream_cost) = (Vec::new(), Vec::new());
        for round in 0..self.args.rounds {
            for connections in &self.args.connections {
                let before = self.upstream.cpu();
                // Each round begins with another, so that nobody always runs after the same neighbour.
                for turn in 0..contenders.len() {
                    let contender = contenders[(turn + round) % contenders.len()];
                    let sample = self.sample(round, contender, *connections)?;
                    eprintln!(
                        "round {} of {}, {connections} connections, {}: {:.0} req/s",
                        round + 1,
                        self.args.rounds,
                        contender.name(),
                        sample.per_second
                    );
                    samples.push(sample);
                }
                let requests: f64 =
                    samples.iter().rev().take(contenders.len()).map(|sample| sample.per_second).sum();
                let load_seconds = (self.args.seconds + WARM_UP_SECONDS) as f64;
                let spent = (self.upstream.cpu() - before).as_secs_f64();
                upstream_cost.push(spent / (requests * load_seconds) * 1e4);
            }
        }
        report::print(&samples, contenders, &self.args.connections);
        println!("\nThe upstream itself: about {} CPU s/10k.", number(median(upstream_cost), 3));
        Ok(())
    }

    /// A fresh process with an empty store under one load.
    fn sample(&self, round: usize, contender: Contender, connections: usize) -> Result<Sample> {
        let name = format!("{round}-{connections}-{}", contender.name());
        let running = self.start(contender, &name)?;
        self.load.run(running.port, connections, WARM_UP_SECONDS)?;
        let cpu = || running.process.as_ref().map_or(Duration::ZERO, process::Guarded::cpu_settled);
        let before = cpu();
        let done = AtomicBool::new(false);
        let (loaded, asked) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| watch_records(running.port, &done));
            let loaded = self.load.run(running.port, connections, self.args.seconds);
            done.store(true, Ordering::Relaxed);
            (loaded, watch.join().unwrap_or_default())
        });
        let loaded = loaded.with_context(|| contender.name())?;
        let cost = (cpu() - before).as_secs_f64();
        let peak_mib = running.process.as_ref().map_or(0.0, |process| process.memory("VmHWM"));
        drop(running);
        fs::remove_dir_all(self.dir.join(name)).ok();
        Ok(Sample {
            round,
            contender,
            connections,
            per_second: loaded.per_second,
            p50_ms: loaded.p50_ms,
            p99_ms: loaded.p99_ms,
            cpu_per_10k: cost / loaded.requests * 1e4,
            peak_mib,
            errors: loaded.errors,
            asked: asked.len(),
            recorded: asked.iter().filter(|recorded| **recorded).count(),
        })
    }
}

/// Before each sample, thrown away: connections to the upstream exist, pages are mapped.
const WARM_UP_SECONDS: u64 = 1;

/// The sidecar fails open: a store that cannot keep up would make it faster. So a tenth of a second apart a send of our
/// own asks, under the same load, whether it was recorded. All contenders bear these few sends.
fn watch_records(port: u16, done: &AtomicBool) -> Vec<bool> {
    let mut recorded = Vec::new();
    let Ok(mut client) = Client::connect(port) else { return recorded };
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        match client.send() {
            Ok(answer) => recorded.push(answer.recorded == Some(true)),
            Err(_) => break,
        }
    }
    recorded
}

fn load_average() -> String {
    let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    average.split(' ').next().unwrap_or_default().to_owned()
}
