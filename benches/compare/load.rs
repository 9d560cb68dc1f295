//! The bot's side: wrk for load, and a small client for single questions.

use crate::process::Guarded;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Every request is a send of its own: the number is of the run, the thread, and the request.
const SCRIPT: &str = r#"
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local run, sent = "", 0
function init(args)
  run = args[1]
end

local form = 'POST /api/sendText HTTP/1.1\r\nHost: waha\r\nX-Api-Key: bench\r\nContent-Type: application/json\r\n'
  .. 'Content-Length: %d\r\n\r\n%s'
local body = '{"session":"default","chatId":"5%s@c.us","text":"*Orden:* ORD-%s\\n*Total:* $45.00"}'
function request()
  sent = sent + 1
  local id = string.format("%s%d%08d", run, number, sent)
  local send = string.format(body, id, id)
  return string.format(form, #send, send)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
"#;

/// wrk's and our own runs, so that no two share a send.
static RUN: AtomicU32 = AtomicU32::new(100);

pub(crate) struct Load {
    script: PathBuf,
    output: PathBuf,
}

pub(crate) struct Loaded {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) errors: f64,
}

impl Load {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let (script, output) = (dir.join("send.lua"), dir.join("wrk.out"));
        std::fs::write(&script, SCRIPT)?;
        Ok(Self { script, output })
    }

    pub(crate) fn start(&self, port: u16, connections: usize, seconds: u64) -> Result<Guarded> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--latency", "--timeout", "20s"])
            .args(["--threads", if connections > 1 { "2" } else { "1" }])
            .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
            .arg("--script")
            .arg(&self.script)
            .args([&format!("http://127.0.0.1:{port}/"), "--", &next_run()]);
        Guarded::spawn(&mut wrk, &self.output)
    }

    pub(crate) fn run(&self, port: u16, connections: usize, seconds: u64) -> Result<Loaded> {
        let mut wrk = self.start(port, connections, seconds)?;
        wrk.wait(Duration::from_secs(seconds + 60)).context("wrk")?;
        let printed = wrk.printed();
        let result = printed.lines().find_map(|line| line.strip_prefix("RESULT "));
        let numbers: Option<Vec<f64>> =
            result.map(|line| line.split(' ').filter_map(|number| number.parse().ok()).collect());
        let Some([requests, micros, p50, p99, broken, refused]) = numbers.as_deref() else {
            bail!("wrk told no result:\n{printed}");
        };
        Ok(Loaded {
            requests: *requests,
            per_second: requests / (micros / 1e6),
            p50_ms: p50 / 1e3,
            p99_ms: p99 / 1e3,
            errors: broken + refused,
        })
    }
}

fn next_run() -> String {
    RUN.fetch_add(1, Ordering::Relaxed).to_string()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What `X-Watchdog-Recorded` says, if somebody says it.
    pub(crate) recorded: Option<bool>,
}

/// One keep-alive connection that sends one message after another.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    run: String,
    sent: u32,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream: BufReader::new(stream), run: next_run(), sent: 0 })
    }

    pub(crate) fn send(&mut self) -> Result<Answer> {
        self.sent += 1;
        let id = format!("{}{:09}", self.run, self.sent);
        let body = format!(
            r#"{{"session":"default","chatId":"5{id}@c.us","text":"*Orden:* ORD-{id}\n*Total:* $45.00"}}"#
        );
        let request = format!(
            "POST /api/sendText HTTP/1.1\r\nHost: waha\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.ask(&request)
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: watchdog\r\n\r\n"))
    }

    fn ask(&mut self, request: &str) -> Result<Answer> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let (mut length, mut recorded) = (0, None);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "x-watchdog-recorded" => recorded = Some(value.trim() == "1"),
                _ => {}
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        Ok(Answer { status, recorded })
    }
}
