//! Services outside that do as they are told: they keep what they were sent, and answer what the test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a service was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status and a body.
    Status(u16, &'static str),
    /// Nothing, until the other side gives up.
    Hang,
    /// Nothing, and the connection is closed.
    Drop,
}

#[derive(Debug)]
struct Rules {
    asked: Vec<Asked>,
    next: VecDeque<Reply>,
    usual: Reply,
}

/// A service.
pub struct Service {
    pub address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    task: Option<JoinHandle<()>>,
}

impl Service {
    /// One that usually answers so.
    pub async fn start(usual: Reply) -> Self {
        let rules = Rules { asked: Vec::new(), next: VecDeque::new(), usual };
        let (address, rules) = ("127.0.0.1:0".parse().unwrap(), Arc::new(Mutex::new(rules)));
        let mut service = Self { address, rules, task: None };
        service.come_up().await;
        service
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next one is answered so.
    pub fn answer_next(&self, reply: Reply) {
        self.rules.lock().unwrap().next.push_back(reply);
    }

    /// From now on.
    pub fn answer(&self, reply: Reply) {
        self.rules.lock().unwrap().usual = reply;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.rules.lock().unwrap().asked.clone()
    }

    /// Nobody listens any more.
    pub async fn go_down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _gone = task.await;
        }
    }

    /// At the same address again.
    pub async fn come_up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let rules = Arc::clone(&self.rules);
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&rules)));
            }
        }));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn serve(mut stream: TcpStream, rules: Arc<Mutex<Rules>>) {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut asked =
        Asked { method: method.to_owned(), target: target.to_owned(), headers, body: buffer.split_off(end) };
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    while asked.body.len() < length {
        if !matches!(stream.read_buf(&mut asked.body).await, Ok(1..)) {
            return;
        }
    }
    let is_head = asked.method == "HEAD";
    let reply = {
        let mut rules = rules.lock().unwrap();
        rules.asked.push(asked);
        rules.next.pop_front().unwrap_or_else(|| rules.usual.clone())
    };
    match reply {
        Reply::Status(status, body) => {
            let length = body.len();
            let body = if is_head { "" } else { body };
            let answer = format!(
                "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang => while matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {},
        Reply::Drop => {}
    }
}
