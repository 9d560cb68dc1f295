//! A real Prometheus before a sidecar: started on a port of its own with its own data, asked through its API.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::sidecar::Log;
use super::{cannot, http, settle, until};

/// Everything happens each second here; in a shop it is each 15 seconds.
pub const EVERY: &str = "1s";

/// What else it should know.
#[derive(Debug, Default, Clone)]
pub struct Rules {
    /// Files with rules.
    pub files: Vec<PathBuf>,
    /// Where alerts go.
    pub alertmanager: Option<SocketAddr>,
}

/// A running Prometheus. Ends when dropped; shows its log where the test fails.
pub struct Prometheus {
    pub address: SocketAddr,
    child: Child,
    log: Log,
    _directory: TempDir,
}

/// One series of an answer: its labels, and its values in their order.
#[derive(Debug, Clone)]
pub struct Series {
    pub labels: Value,
    pub values: Vec<f64>,
}

impl Prometheus {
    /// Starts one that scrapes `target` as job `waha-watchdog`. `None`, loudly, where none is installed; that fails in CI.
    pub async fn start(target: SocketAddr, rules: &Rules) -> Option<Self> {
        if Command::new("prometheus").arg("--version").output().is_err() {
            cannot("prometheus is not installed (Debian's package has it)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config(target, rules)).unwrap();
        let mut child = command(&file, directory.path()).spawn().unwrap();
        let log = Log::default();
        let (stderr, writing) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| writing.push(&line));
        });
        let address = settle("Prometheus listens", async || {
            assert!(child.try_wait().unwrap().is_none(), "Prometheus has ended:\n{}", log.text());
            let text = log.text();
            let line = text.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        })
        .await;
        let prometheus = Self { address, child, log, _directory: directory };
        until("Prometheus to be ready", async || {
            let ready = http::call(prometheus.address, "GET", "/-/ready", &[], b"").await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        // The first scrape comes when its discovery says so, seconds later.
        prometheus.when("up == 1").await;
        Some(prometheus)
    }

    /// What a query gives now.
    pub async fn query(&self, expr: &str) -> Vec<Series> {
        self.ask("query", &[("query", expr)]).await
    }

    /// What it gave over the last `seconds`, second by second.
    pub async fn query_range(&self, expr: &str, seconds: u64) -> Vec<Series> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let (start, end) = ((now - seconds).to_string(), now.to_string());
        self.ask("query_range", &[("query", expr), ("start", &start), ("end", &end), ("step", "1")]).await
    }

    /// Waits until a query gives something.
    pub async fn when(&self, expr: &str) -> Vec<Series> {
        settle(&format!("Prometheus to find {expr}"), async || {
            Some(self.query(expr).await).filter(|series| !series.is_empty())
        })
        .await
    }

    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Vec<Series> {
        let parameters = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let answer = http::call(self.address, "GET", &format!("/api/v1/{what}?{parameters}"), &[], b"").await;
        let answer = answer.expect("an answer of Prometheus").json();
        assert_eq!(answer["status"], "success", "{parameters}: {answer}");
        let series = |one: &Value| {
            let points = match one["values"].as_array() {
                Some(points) => points.as_slice(),
                None => std::slice::from_ref(&one["value"]),
            };
            let values = points.iter().map(|point| point[1].as_str().unwrap().parse().unwrap());
            Series { labels: one["metric"].clone(), values: values.collect() }
        };
        answer["data"]["result"].as_array().unwrap().iter().map(series).collect()
    }
}

impl Series {
    /// Has it any number?
    pub fn says_something(&self) -> bool {
        self.values.iter().any(|value| !value.is_nan())
    }
}

fn config(target: SocketAddr, rules: &Rules) -> String {
    let quoted = |path: &PathBuf| Value::from(path.display().to_string()).to_string();
    let files: Vec<_> = rules.files.iter().map(quoted).collect();
    let alerting = rules.alertmanager.map_or_else(String::new, |address| {
        format!("alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"{address}\"]\n")
    });
    format!(
        "global:\n  scrape_interval: {EVERY}\n  scrape_timeout: {EVERY}\n  evaluation_interval: {EVERY}\n\
         rule_files: [{}]\n{alerting}\
         scrape_configs:\n  - job_name: waha-watchdog\n    static_configs:\n      - targets: [\"{target}\"]\n",
        files.join(", ")
    )
}

fn command(file: &Path, directory: &Path) -> Command {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--storage.tsdb.retention.time=1h"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus' log\n{}--- its end", self.log.text());
        }
    }
}
