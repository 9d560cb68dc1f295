//! What the people's side costs: its first pages while 10,000 notifications are open, memory while they are turned, and what the bot's sends
//! notice of 200 listeners.
//!
//! `cargo bench --bench panel -- --help`. It measures and never judges. The release binary runs before its own `fake-waha`, on loopback and
//! free ports, with its store below `target/tmp`; all of it is gone when this ends.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "compare/process.rs"]
#[allow(dead_code)]
mod process;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use process::Guarded;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Measures pages and listeners.
#[derive(Parser)]
struct Args {
    /// Failed notifications that are open
    #[arg(long, default_value_t = 10_000)]
    open: usize,
    /// How often each page is asked for
    #[arg(long, default_value_t = 100)]
    times: usize,
    /// Who listens to `GET /api/events`
    #[arg(long, default_value_t = 200)]
    listeners: usize,
    /// Rounds without and with listeners, in turn
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Seconds of sends in one round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Sends a second
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Another release binary than the one just built
    #[arg(long, default_value = env!("CARGO_BIN_EXE_waha-watchdog"))]
    binary: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("panel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR"))?;
    let workspace = tempfile::Builder::new().prefix("panel-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    process::clean_up_on_signals(workspace.path())?;
    println!("## The people's side\n\nLoad average before: {}", load_average());
    pages(args, workspace.path())?;
    listeners(args, workspace.path())?;
    println!("\nLoad average at the end: {}", load_average());
    Ok(())
}

/// A sidecar before its pretend WAHA.
struct Stage {
    waha: Guarded,
    waha_port: u16,
    dog: Guarded,
    proxy: u16,
    admin: u16,
}

impl Stage {
    fn new(args: &Args, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let [waha_port, proxy, admin] = [free_port()?, free_port()?, free_port()?];
        let mut waha = Command::new(&args.binary);
        waha.args(["fake-waha", "--listen", &format!("127.0.0.1:{waha_port}"), "--time-scale", "0"]);
        let waha = Guarded::spawn(&mut waha, &dir.join("waha.out"))?;
        let config = dir.join("watchdog.toml");
        fs::write(
            &config,
            format!(
                "waha.url = \"http://127.0.0.1:{waha_port}\"\nproxy.listen = \"127.0.0.1:{proxy}\"\n\
                 admin.listen = \"127.0.0.1:{admin}\"\nstore.path = \"{}/watchdog.redb\"\n\
                 retry.attempts = 1\ndiagnosis.enabled = false\nrecovery.enabled = false\nlog.level = \"error\"\n",
                dir.display()
            ),
        )?;
        let mut dog = Command::new(&args.binary);
        dog.args(["run", "--config"]).arg(&config);
        let dog = Guarded::spawn(&mut dog, &dir.join("watchdog.out"))?;
        let stage = Self { waha, waha_port, dog, proxy, admin };
        let begin = Instant::now();
        while !Client::connect(admin).and_then(|mut it| it.get("/readyz")).is_ok_and(|it| it.status == 200) {
            if begin.elapsed() > Duration::from_secs(30) {
                bail!("it does not start:\n{}{}", stage.waha.printed(), stage.dog.printed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(stage)
    }

    /// From now on WAHA refuses this chat, or all.
    fn refuse(&self, chat: Option<&str>) -> Result<()> {
        let when = chat.map_or(json!({}), |chat| json!({ "chat": chat }));
        let answer = Client::connect(self.waha_port)?
            .post("/__fake/faults", &json!({ "when": when, "what": "status_422" }).to_string())?;
        ensure!(answer.status / 100 == 2, "the fault was not taken: {}", answer.body);
        Ok(())
    }

    fn api(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&Client::connect(self.admin)?.get(path)?.body)?)
    }
}

/// Pages while many notifications are open.
fn pages(args: &Args, dir: &Path) -> Result<()> {
    let stage = Stage::new(args, &dir.join("pages"))?;
    stage.refuse(None)?;
    eprintln!("{} notifications fail", args.open);
    let mut bot = Client::connect(stage.proxy)?;
    for n in 0..args.open {
        let status = bot.post("/api/sendText", &send(n, &format!("58412{n:07}@c.us")))?.status;
        ensure!(status == 422, "the send came out as {status}");
    }
    let total = |path: &str| -> Result<u64> { Ok(stage.api(path)?["open"]["total"].as_u64().unwrap_or(0)) };
    let begin = Instant::now();
    while total("/api/stats")? < u64::try_from(args.open)? {
        ensure!(begin.elapsed() < Duration::from_secs(60), "not all of them are open");
        std::thread::sleep(Duration::from_millis(50));
    }
    let paths = [
        "/panel/",
        "/panel/orders",
        "/panel/failed",
        "/api/notifications/failed",
        "/api/orders/unnotified",
        "/api/bot/status",
        "/api/sends",
    ];
    let mut admin = Client::connect(stage.admin)?;
    // Once each, so that memory which is needed at all is there.
    for path in paths {
        ensure!(admin.get(path)?.status == 200, "{path}");
    }
    let before = stage.dog.memory("VmRSS");
    println!("\n### {} open notifications, {} times each\n", args.open, args.times);
    println!("| first page | median ms | p99 ms | KiB |\n|---|--:|--:|--:|");
    for path in paths {
        let mut took = Vec::new();
        let mut size = 0;
        for _ in 0..args.times {
            let begin = Instant::now();
            size = admin.get(path)?.body.len();
            took.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        println!(
            "| `{path}` | {:.1} | {:.1} | {:.0} |",
            at(&mut took, 0.5),
            at(&mut took, 0.99),
            size as f64 / 1024.0
        );
    }
    let asked = stage.dog.memory("VmRSS");
    let turned = turn_all(&mut admin)?;
    println!(
        "\nResident memory: {before:.1} MiB before, {asked:.1} after these pages, {:.1} after turning all {turned} pages of both lists.",
        stage.dog.memory("VmRSS")
    );
    Ok(())
}

/// Every page of the list of the API and of the panel's.
fn turn_all(admin: &mut Client) -> Result<usize> {
    let (mut turned, mut cursor) = (0, String::new());
    loop {
        let page: Value = serde_json::from_str(
            &admin.get(&format!("/api/notifications/failed?limit=50&cursor={cursor}"))?.body,
        )?;
        turned += 1;
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    for page in 1.. {
        let body = admin.get(&format!("/panel/orders?page={page}"))?.body;
        turned += 1;
        if !body.contains("rel=\"next\"") {
            return Ok(turned);
        }
    }
    Ok(turned)
}

/// One send in so many is refused, so that there is something to tell the listeners.
const REFUSED_IN: u64 = 20;
const REFUSED: &str = "584129999999@c.us";

/// What the bot's sends notice of listeners.
fn listeners(args: &Args, dir: &Path) -> Result<()> {
    let stage = Stage::new(args, &dir.join("listeners"))?;
    stage.refuse(Some(REFUSED))?;
    let sent = AtomicU64::new(0);
    sends(args, &stage, &sent, Duration::from_secs(2))?;
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut told = 0;
    for round in 0..args.rounds {
        let mut pair = [0.0; 2];
        // Who begins takes turns: the machine's mood must not favour one.
        for turn in 0..2 {
            let listens = (turn + round) % 2 == 1;
            let (p99, events) = if listens {
                listened(args, &stage, &sent)?
            } else {
                (sends(args, &stage, &sent, Duration::from_secs(args.seconds))?, 0)
            };
            told += events;
            pair[usize::from(listens)] = p99;
        }
        eprintln!("round {} of {}: p99 {:.2} and {:.2} ms", round + 1, args.rounds, pair[0], pair[1]);
        without.push(pair[0]);
        with.push(pair[1]);
        ratios.push(pair[1] / pair[0]);
    }
    println!(
        "\n### {} listeners, {} sends a second, {} rounds of {} s in turn\n",
        args.listeners, args.rate, args.rounds, args.seconds
    );
    println!("| | p99 ms, median (range) |\n|---|--:|");
    for (name, values) in [("nobody listens", &mut without), ("all listen", &mut with)] {
        println!("| {name} | {:.2} ({:.2}–{:.2}) |", at(values, 0.5), at(values, 0.0), at(values, 1.0));
    }
    println!(
        "| ratio within a round | {:.2} ({:.2}–{:.2}) |",
        at(&mut ratios, 0.5),
        at(&mut ratios, 0.0),
        at(&mut ratios, 1.0)
    );
    println!("\nThe listeners heard {told} events.");
    Ok(())
}

/// The p99 of sends while everybody listens, and how many events they heard.
fn listened(args: &Args, stage: &Stage, sent: &AtomicU64) -> Result<(f64, usize)> {
    let over = AtomicBool::new(false);
    let mut streams = Vec::new();
    for _ in 0..args.listeners {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.admin))?;
        stream
            .write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        ensure!(head.ends_with(b"200"), "a listener is refused: {}", String::from_utf8_lossy(&head));
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    std::thread::scope(|scope| {
        // One thread reads for all of them: it is the sidecar that is measured.
        let reading = scope.spawn(|| {
            let (mut heard, mut buffer) = (0, vec![0; 64 * 1024]);
            while !over.load(Ordering::Relaxed) {
                for stream in &mut streams {
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        heard += buffer[..read].windows(7).filter(|window| *window == b"\nevent:").count();
                    }
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            heard
        });
        let p99 = sends(args, stage, sent, Duration::from_secs(args.seconds));
        over.store(true, Ordering::Relaxed);
        let heard = reading.join().unwrap_or(0);
        Ok((p99?, heard))
    })
}

/// Sends at a steady rate over eight connections, and the p99 of how long they took from when they were due.
fn sends(args: &Args, stage: &Stage, sent: &AtomicU64, lasts: Duration) -> Result<f64> {
    const CONNECTIONS: u64 = 8;
    let gap = Duration::from_secs_f64(CONNECTIONS as f64 / args.rate as f64);
    let begin = Instant::now();
    let one = |at: u64| -> Result<Vec<f64>> {
        let mut bot = Client::connect(stage.proxy)?;
        let mut took = Vec::new();
        let mut due = begin + gap.mul_f64(at as f64 / CONNECTIONS as f64);
        while begin.elapsed() < lasts {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let n = sent.fetch_add(1, Ordering::Relaxed);
            let refused = n.is_multiple_of(REFUSED_IN);
            let chat = if refused { REFUSED.to_owned() } else { format!("58414{n:07}@c.us") };
            let status = bot.post("/api/sendText", &send(usize::try_from(n)?, &chat))?.status;
            ensure!(status == if refused { 422 } else { 201 }, "a send came out as {status}");
            took.push(due.elapsed().as_secs_f64() * 1e3);
            due += gap;
        }
        Ok(took)
    };
    let took: Result<Vec<_>> = std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..CONNECTIONS).map(|at| scope.spawn(move || one(at))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the bot")).collect()
    });
    Ok(at(&mut took?.concat(), 0.99))
}

fn send(n: usize, chat: &str) -> String {
    json!({ "session": "default", "chatId": chat, "text": format!("*Orden:* ORD-{n}\n*Total:* $45.00\nHemos recibido tu orden") }).to_string()
}

/// The value that such a share of all does not exceed.
fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

struct Answer {
    status: u16,
    body: String,
}

/// One kept connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str) -> Result<Answer> {
        self.call(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn post(&mut self, path: &str, body: &str) -> Result<Answer> {
        let head = "Host: localhost\r\nContent-Type: application/json";
        self.call(&format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    fn call(&mut self, request: &str) -> Result<Answer> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).context("a status line")?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let lower = line.trim_end().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= lower == "transfer-encoding: chunked";
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        // Where there is no length, parts come until an empty one.
        let mut more = chunked;
        while more {
            line.clear();
            self.0.read_line(&mut line)?;
            length = usize::from_str_radix(line.trim(), 16)?;
            let from = body.len();
            body.resize(from + length, 0);
            self.0.read_exact(&mut body[from..])?;
            self.0.read_exact(&mut [0; 2])?;
            more = length > 0;
        }
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn load_average() -> String {
    let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    average.split(' ').next().unwrap_or_default().to_owned()
}
