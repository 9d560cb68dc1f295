//! A store with many sends in it: start after `kill -9`, memory, and the operator's first question.

use crate::contender::{Contender, Running};
use crate::load::Client;
use crate::report::{median, number};
use crate::{Bench, process::Guarded};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Failed notifications that `failed list` can choose its 50 from.
const REFUSED: usize = 200;

pub(crate) fn print(bench: &Bench<'_>, contender: Contender) -> Result<()> {
    if bench.args.sends == 0 {
        return Ok(());
    }
    let name = "stored";
    let dir = bench.dir.join(name);
    let running = bench.start(contender, name)?;
    let began = Instant::now();
    let sends = fill(bench, &running)?;
    println!("\n### With {sends:.0} sends in the store ({})\n\n| | |\n|---|--:|", contender.name());
    println!("| filled in s | {:.1} |", began.elapsed().as_secs_f64());
    println!("| store MiB | {:.1} |", size_mib(&dir));
    print_memory("after filling", &running);
    kill_under_load(bench, running)?;

    let running = bench.start(contender, name)?;
    print_start("`kill -9` under load", &running);
    std::thread::sleep(Duration::from_secs(3));
    print_memory("3 s after that start", &running);
    refuse(bench, &running)?;
    println!("| `failed list` beside the running process, ms | {} |", list_failed(bench, &running.config));

    let config = running.config.clone();
    if let Some(mut process) = running.process {
        process.signal(Signal::SIGTERM);
        let began = Instant::now();
        process.wait(Duration::from_secs(60)).context("stopping on SIGTERM")?;
        println!("| stopped on SIGTERM after s | {:.1} |", began.elapsed().as_secs_f64());
    }
    println!("| `failed list` from the store alone, ms | {} |", list_failed(bench, &config));
    let running = bench.start(contender, name)?;
    print_start("a clean stop", &running);
    drop(running);
    fs::remove_dir_all(dir).ok();
    Ok(())
}

/// Until the store has them all; wrk counts time, not requests, so there are a few more in the end.
fn fill(bench: &Bench<'_>, running: &Running) -> Result<f64> {
    let (wanted, mut sends, mut seconds) = (bench.args.sends as f64, 0.0, 2);
    while sends < wanted {
        let loaded = bench.load.run(running.port, 256, seconds)?;
        sends += loaded.requests;
        seconds = (((wanted - sends) / loaded.per_second).ceil() as u64).clamp(1, 60);
        eprintln!("filled {sends:.0} of {wanted:.0}");
    }
    Ok(sends)
}

/// Not at rest but in the middle of work, as a power failure would.
fn kill_under_load(bench: &Bench<'_>, running: Running) -> Result<()> {
    let load = bench.load.start(running.port, 64, 2)?;
    std::thread::sleep(Duration::from_secs(1));
    running.process.as_ref().inspect(|process| process.signal(Signal::SIGKILL));
    drop(running);
    drop(load);
    Ok(())
}

fn refuse(bench: &Bench<'_>, running: &Running) -> Result<()> {
    bench.upstream.refusing.store(true, Ordering::Relaxed);
    let mut client = Client::connect(running.port)?;
    let sent: Result<Vec<_>> = (0..REFUSED).map(|_| client.send()).collect();
    bench.upstream.refusing.store(false, Ordering::Relaxed);
    sent.context("sends that the upstream refuses")?;
    std::thread::sleep(Duration::from_secs(1)); // records follow behind the answer
    Ok(())
}

/// Median of 5, with what it found; what goes wrong is told in the table, for the rest is worth measuring still.
fn list_failed(bench: &Bench<'_>, config: &Path) -> String {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..5 {
        let mut command = Command::new(&bench.args.binary);
        command
            .args(["failed", "list", "--limit", "50", "--json", "--config"])
            .arg(config)
            .stdin(Stdio::null());
        let began = Instant::now();
        match command.output() {
            Ok(output) if output.status.success() => {
                times.push(began.elapsed().as_secs_f64() * 1e3);
                found = String::from_utf8_lossy(&output.stdout).matches("\"order_number\"").count();
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).replace(['\n', '|'], " ");
                return format!("failed, {}: {}", output.status, said.trim());
            }
            Err(error) => return format!("failed: {error}"),
        }
    }
    format!("{} ({found} listed)", number(median(times), 1))
}

fn print_start(after: &str, running: &Running) {
    println!("| first answer after {after}, ms | {:.1} |", running.first_answer.as_secs_f64() * 1e3);
    let ready = running.ready.map(|ready| ready.as_secs_f64() * 1e3);
    println!("| ready after {after}, ms | {} |", number(ready, 1));
}

fn print_memory(when: &str, running: &Running) {
    let memory = |field| running.process.as_ref().map(|process: &Guarded| process.memory(field));
    println!(
        "| memory {when}, MiB now / peak | {} / {} |",
        number(memory("VmRSS"), 1),
        number(memory("VmHWM"), 1)
    );
}

fn size_mib(dir: &Path) -> f64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes: u64 = files.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    bytes as f64 / 1024.0 / 1024.0
}
