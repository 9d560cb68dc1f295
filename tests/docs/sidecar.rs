//! A sidecar and a look-alike of WAHA in this process, with one send accepted and one rejected.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use waha_watchdog::app::{self, Running};
use waha_watchdog::config;
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, Options};

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A number that is not on WhatsApp.
const STRANGER: &str = "584147777777@c.us";

pub(crate) struct Sidecar {
    running: Option<Running>,
    runtime: Runtime,
    waha: Option<FakeWaha>,
    _store: TempDir,
}

impl Sidecar {
    pub(crate) fn start() -> Self {
        let store = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = Options { time_scale: 0.01, ..Options::default() };
        let waha = runtime.block_on(FakeWaha::start(options)).unwrap();
        waha.faults().add(Fault::to_chat(STRANGER, FaultKind::NoLid));
        let path = store.path().join("watchdog.redb").display().to_string();
        let env = [
            ("WAHA__URL", waha.url()),
            ("PROXY__LISTEN", "127.0.0.1:0".to_owned()),
            ("PROXY__WORKERS", "1".to_owned()),
            ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("STORE__PATH", path),
            ("STORE__COMMIT_WAIT", "10s".to_owned()),
        ];
        let env = env.map(|(key, value)| (format!("WAHA_WATCHDOG__{key}"), value));
        let running = app::start(&config::load(None, &env).unwrap().config).unwrap();
        let sidecar = Self { running: Some(running), runtime, waha: Some(waha), _store: store };
        for chat in [STRANGER, "584149999999@c.us"] {
            sidecar.send(chat);
        }
        sidecar
    }

    /// Waits for the failed notification; gives its id.
    pub(crate) fn failed_notification(&self) -> String {
        let start = Instant::now();
        loop {
            let page = self.get("/api/notifications/failed");
            if let Some(id) = page["items"][0]["id"].as_str() {
                return id.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no failed notification: {page}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        call(self.running.as_ref().unwrap().admin, &format!("GET {path}"), "")
    }

    /// What the proxy answers while WAHA is down.
    pub(crate) fn refused(&self) -> Value {
        let waha = self.waha.as_ref().unwrap();
        let down = waha.faults().add(Fault::always(FaultKind::Refuse));
        let start = Instant::now();
        while TcpStream::connect(waha.addr()).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the look-alike does not go down");
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = self.send("584125550000@c.us");
        waha.faults().remove(down);
        answer
    }

    fn send(&self, chat: &str) -> Value {
        let text = "*Hemos recibido tu orden*\n*Orden:* ORD-124\n*Total:* $58.75";
        let body = serde_json::json!({"session": "default", "chatId": chat, "text": text}).to_string();
        call(self.running.as_ref().unwrap().proxy, "POST /api/sendText", &body)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            running.join();
        }
        if let Some(waha) = self.waha.take() {
            self.runtime.block_on(waha.shutdown());
        }
    }
}

fn call(at: SocketAddr, line: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
