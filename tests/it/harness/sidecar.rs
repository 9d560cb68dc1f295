//! The binary as a process: started with a configuration of its own, watched through its log, killed in every way.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::bot::Bot;
use super::http::{self, Answer};
use super::{PATIENCE, settle, until};

const BINARY: &str = env!("CARGO_BIN_EXE_waha-watchdog");

/// A configuration file in the making: dotted keys at its top, tables at its end.
#[derive(Debug, Clone)]
pub struct Config {
    keys: Vec<(String, String)>,
    tables: String,
}

impl Default for Config {
    fn default() -> Self {
        let keys = [
            ("proxy.listen", r#""127.0.0.1:0""#),
            ("proxy.workers", "2"),
            ("admin.listen", r#""127.0.0.1:0""#),
            ("log.format", r#""json""#),
            ("locale", r#""en""#),
            // The machines of tests have slow disks, and are never alone.
            ("store.commit_wait", r#""10s""#),
        ];
        let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { keys, tables: String::new() }
    }
}

impl Config {
    /// A sidecar that only listens: tests that are about probes, events, diagnoses or replays switch them on.
    pub fn new() -> Self {
        Self::acting()
            .raw("healthcheck.enabled", "false")
            .set("events.mode", "off")
            .raw("diagnosis.enabled", "false")
            .raw("recovery.enabled", "false")
    }

    /// A sidecar as it comes.
    pub fn acting() -> Self {
        Self::default()
    }

    /// Sets a key to a TOML value.
    pub fn raw(mut self, key: &str, value: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets a key to a text.
    pub fn set(self, key: &str, value: &str) -> Self {
        let quoted = Value::from(value).to_string();
        self.raw(key, &quoted)
    }

    /// Adds tables, such as `[[extract]]`.
    pub fn tables(mut self, toml: &str) -> Self {
        self.tables.push_str(toml);
        self
    }

    pub fn upstream(self, url: &str) -> Self {
        self.set("waha.url", url)
    }

    pub fn text(&self) -> String {
        let keys: String = self.keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("{keys}\n{}", self.tables)
    }
}

/// What was logged so far.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<String>>, Arc<AtomicBool>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// One more line.
    pub fn push(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        text.push_str(line);
        text.push('\n');
    }

    /// Lines that are JSON, in order.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// After the next line nobody reads any more: standard error is a broken pipe then.
    pub fn go_deaf(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    pub fn has(&self, part: &str) -> bool {
        self.0.lock().unwrap().contains(part)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or_else(|| Self::Signal(status.signal().unwrap_or(0)), Self::Code)
    }
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Process {
    child: Killed,
    proxy: SocketAddr,
    admin: SocketAddr,
}

/// A sidecar. Ends when dropped; shows its log where the test fails.
pub struct Sidecar {
    directory: TempDir,
    config: Config,
    process: Option<Process>,
    log: Log,
    bearer: Option<String>,
}

impl Sidecar {
    /// Starts one in a directory of its own; it accepts calls when this returns.
    pub async fn start(config: Config) -> Self {
        let mut sidecar = Self::prepare(config);
        sidecar.run().await;
        sidecar
    }

    /// One that is not started yet.
    pub fn prepare(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("data/watchdog.redb").display().to_string();
        let is_there = config.keys.iter().any(|(key, _)| key == "store.path");
        let config = if is_there { config } else { config.set("store.path", &store) };
        Self { directory, config, process: None, log: Log::default(), bearer: None }
    }

    /// The token with which the API is asked.
    pub fn bearer(&mut self, token: Option<&str>) {
        self.bearer = token.map(str::to_owned);
    }

    /// Starts the process and waits until it accepts calls.
    pub async fn run(&mut self) {
        let (child, lines) = self.spawn();
        let mut child = Some(Killed(child));
        let mut ended = None;
        let addresses = settle("the sidecar accepts calls", async || {
            let lines = lines.lines();
            if let Some(line) = lines.iter().find(|line| line["message"] == "accepting calls") {
                let address = |key: &str| line[key].as_str().unwrap().parse::<SocketAddr>().unwrap();
                return Some(Some((address("proxy"), address("admin"))));
            }
            ended = child.as_mut().unwrap().0.try_wait().unwrap();
            ended.map(|_| None)
        })
        .await;
        let Some((proxy, admin)) = addresses else {
            panic!("the sidecar ended with {ended:?}:\n{}", self.log.text());
        };
        self.process = Some(Process { child: child.take().unwrap(), proxy, admin });
        self.write_cli_config(admin);
    }

    /// Starts the process where it is expected to end by itself.
    pub async fn run_to_end(&mut self) -> Ended {
        let (child, _) = self.spawn();
        let mut child = Killed(child);
        let ended = settle("the sidecar ends", async || child.0.try_wait().unwrap()).await;
        // The reader of its log may lag behind its death.
        tokio::time::sleep(Duration::from_millis(50)).await;
        ended.into()
    }

    fn spawn(&self) -> (Child, Log) {
        std::fs::write(self.config_path(), self.config.text()).unwrap();
        let mut child = self.command().arg("run").stderr(Stdio::piped()).spawn().unwrap();
        let (all, ours) = (self.log.clone(), Log::default());
        let (stderr, log) = (child.stderr.take().unwrap(), ours.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                for log in [&all, &log] {
                    log.push(&line);
                }
                if all.1.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        (child, ours)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.config_path()).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).env_remove("WAHA_WATCHDOG_CONFIG");
        command
    }

    fn write_cli_config(&self, admin: SocketAddr) {
        let config = self.config.clone().set("admin.listen", &admin.to_string());
        std::fs::write(self.directory.path().join("cli.toml"), config.text()).unwrap();
    }

    // ---- places

    pub fn config_path(&self) -> PathBuf {
        self.directory.path().join("watchdog.toml")
    }

    /// Where its commands run.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn store_path(&self) -> PathBuf {
        let path = self.config.keys.iter().find(|(key, _)| key == "store.path").unwrap();
        PathBuf::from(serde_json::from_str::<String>(&path.1).unwrap())
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the configuration; takes effect with the next start or reload.
    pub fn configure(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = change(self.config.clone());
        std::fs::write(self.config_path(), self.config.text()).unwrap();
        if let Some(process) = &self.process {
            self.write_cli_config(process.admin);
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("a running sidecar")
    }

    pub fn proxy(&self) -> SocketAddr {
        self.process().proxy
    }

    pub fn admin(&self) -> SocketAddr {
        self.process().admin
    }

    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy())
    }

    pub fn bot(&self) -> Bot {
        Bot { at: self.proxy() }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    // ---- life and death

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process().child.0.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Dies as in a power cut, but for the disk.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("a running sidecar");
        process.child.0.kill().unwrap();
        process.child.0.wait().unwrap();
    }

    pub fn sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub fn sighup(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Waits for the end after a signal.
    pub async fn ended(&mut self) -> Ended {
        let mut process = self.process.take().expect("a running sidecar");
        let status = settle("the sidecar ends", async || process.child.0.try_wait().unwrap()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        status.into()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.child.0.try_wait().unwrap().is_none())
    }

    /// Stops in peace.
    pub async fn stop(&mut self) {
        self.sigterm();
        assert_eq!(self.ended().await, Ended::Code(0), "{}", self.log.text());
    }

    /// Stops, kills or finds it dead, and starts it again.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.stop().await;
        }
        self.run().await;
    }

    // ---- what it says

    /// A call of the admin listener.
    pub async fn admin_get(&self, path: &str) -> Answer {
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
        http::call(self.admin(), "GET", path, &headers, b"").await.expect("an answer of the admin listener")
    }

    /// JSON of the API.
    pub async fn api(&self, path: &str) -> Value {
        let answer = self.admin_get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Failed notifications, open and settled, the oldest first.
    pub async fn failed(&self) -> Vec<Value> {
        let page = self.api("/api/notifications/failed?resolved=all&order_by=oldest&limit=1000").await;
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until there are so many failed notifications.
    pub async fn failed_when(&self, count: usize) -> Vec<Value> {
        settle(&format!("{count} failed notifications"), async || {
            Some(self.failed().await).filter(|failed| failed.len() >= count)
        })
        .await
    }

    /// One failed notification with its attempts.
    pub async fn failed_one(&self, id: &str) -> Value {
        self.api(&format!("/api/notifications/failed/{id}")).await
    }

    /// Sends, the oldest first.
    pub async fn sends(&self) -> Vec<Value> {
        let page = self.api("/api/sends?order_by=oldest&limit=1000").await;
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until one send is recorded and looks as wanted.
    pub async fn send_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        settle(&format!("send {id} as wanted"), async || {
            let sends = self.sends().await;
            sends.into_iter().find(|send| send["send_id"] == id && wanted(send))
        })
        .await
    }

    pub async fn status(&self) -> Value {
        self.api("/api/bot/status").await
    }

    /// The value of one series, named without the prefix, as `store_up` or `sends_total{kind="text",…}`; 0 where it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        metric(&self.metrics().await, series)
    }

    pub async fn metrics(&self) -> String {
        let answer = self.admin_get("/metrics").await;
        assert_eq!(answer.status, 200);
        answer.text()
    }

    /// Waits until a series has this value.
    pub async fn metric_when(&self, series: &str, value: f64) {
        until(&format!("{series} to be {value}"), async || {
            (self.metric(series).await - value).abs() < f64::EPSILON
        })
        .await;
    }

    /// Waits until the log says so.
    pub async fn log_when(&self, part: &str) {
        until(&format!("the log to say {part:?}"), async || self.log.has(part)).await;
    }

    // ---- command line

    /// A command beside the running process.
    pub async fn cli(&self, args: &[&str]) -> Output {
        self.command_with("cli.toml", args).await
    }

    /// A command where no process runs (or none is found).
    pub async fn cli_alone(&self, args: &[&str]) -> Output {
        // Nobody listens on port 1.
        let config = self.config.clone().set("admin.listen", "127.0.0.1:1");
        std::fs::write(self.directory.path().join("alone.toml"), config.text()).unwrap();
        self.command_with("alone.toml", args).await
    }

    async fn command_with(&self, config: &str, args: &[&str]) -> Output {
        output(self.prepared(config, args)).await
    }

    /// A command beside the running process, to be started by the caller.
    pub fn cli_command(&self, args: &[&str]) -> Command {
        self.prepared("cli.toml", args)
    }

    fn prepared(&self, config: &str, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.directory.path().join(config)).args(args);
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }
}

/// Runs a command to its end without holding up the test's other half.
pub async fn output(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::timeout(PATIENCE * 5, running).await.expect("a command in time").unwrap()
}

/// The binary without anything.
pub fn binary() -> Command {
    Command::new(BINARY)
}

/// The value of one series in Prometheus' text.
pub fn metric(text: &str, series: &str) -> f64 {
    let series = format!("waha_watchdog_{series} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0.0, |value| value.parse().unwrap())
}

/// Standard output of a command that must have succeeded.
pub fn stdout(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {complaint}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Lines of JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.process = None;
        if std::thread::panicking() {
            eprintln!("--- the sidecar's log\n{}--- its end", self.log.text());
        }
    }
}
