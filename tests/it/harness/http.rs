//! A bare HTTP/1.1 client: sends exactly the bytes it is told, says exactly what came back and how it ended.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// A whole answer. Names keep their case, headers their order.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// 1xx answers that came before it.
    pub interim: Vec<u16>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {:?} {}", self.status, self.headers, self.text()))
    }

    /// `X-Watchdog-Outcome`.
    pub fn outcome(&self) -> &str {
        self.header("x-watchdog-outcome").unwrap_or("-")
    }

    /// `X-Watchdog-Error`.
    pub fn error(&self) -> &str {
        self.header("x-watchdog-error").unwrap_or("-")
    }

    /// `X-Watchdog-Send-Id`.
    pub fn send_id(&self) -> String {
        self.header("x-watchdog-send-id").expect("an answer to a send").to_owned()
    }

    pub fn recorded(&self) -> bool {
        match self.header("x-watchdog-recorded") {
            Some("1") => true,
            Some("0") => false,
            other => panic!("X-Watchdog-Recorded is {other:?}"),
        }
    }
}

/// How an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// No connection.
    Refused,
    /// The connection ended before a whole head.
    NoAnswer,
    /// The connection ended within the body. The head was whole.
    Truncated { status: u16, recorded: Option<String>, body: usize },
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Broken> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("a connect in time");
        let stream = stream.map_err(|_| Broken::Refused)?;
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes. One who has seen enough may reset meanwhile; the answer tells.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads one answer; `is_head` where no body follows whatever the head says.
    pub async fn answer(&mut self, is_head: bool) -> Result<Answer, Broken> {
        let mut interim = Vec::new();
        loop {
            let answer = timeout(PATIENCE, self.read_one(is_head)).await.expect("an answer in time")?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            return Ok(Answer { interim, ..answer });
        }
    }

    async fn read_one(&mut self, is_head: bool) -> Result<Answer, Broken> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if !self.fill().await {
                return Err(Broken::NoAnswer);
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("a head in UTF-8");
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let first: Vec<&str> = lines.next().unwrap().splitn(3, ' ').collect();
        let status: u16 = first[1].parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("a header: {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let reason = first.get(2).copied().unwrap_or_default().to_owned();
        let mut answer = Answer { status, reason, headers, body: Vec::new(), interim: Vec::new() };
        if is_head || status < 200 || matches!(status, 204 | 304) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            answer.body = match self.chunked().await {
                Ok(body) => body,
                Err(body) => return Err(truncated(&answer, body)),
            };
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                if !self.fill().await {
                    return Err(truncated(&answer, self.buffer.len()));
                }
            }
            answer.body = self.buffer.drain(..length).collect();
        } else {
            while self.fill().await {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        Ok(answer)
    }

    /// The body, or how much of it there was.
    async fn chunked(&mut self) -> Result<Vec<u8>, usize> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await.ok_or(body.len())?;
            let size =
                usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).expect("a chunk size");
            while self.buffer.len() < size + 2 {
                if !self.fill().await {
                    return Err(body.len() + self.buffer.len());
                }
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..))
    }

    /// Reads until at least so many bytes wait, and takes them.
    pub async fn take(&mut self, length: usize) -> Vec<u8> {
        let reading = async { while self.buffer.len() < length && self.fill().await {} };
        timeout(PATIENCE, reading).await.expect("bytes in time");
        self.buffer.drain(..length.min(self.buffer.len())).collect()
    }

    /// Reads until the other side ends the connection.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let reading = async { while self.fill().await {} };
        timeout(PATIENCE, reading).await.expect("the connection to be closed in time");
        std::mem::take(&mut self.buffer)
    }
}

fn truncated(answer: &Answer, body: usize) -> Broken {
    let recorded = answer.header("x-watchdog-recorded").map(str::to_owned);
    Broken::Truncated { status: answer.status, recorded, body }
}

/// A request as its bytes. `Host` and, for a body, `Content-Length` are added where `headers` have none.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A body as chunks of at most `size`.
pub fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// One exchange over a connection of its own.
pub async fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, Broken> {
    let mut connection = Connection::open(address).await?;
    connection.write(&request(method, target, headers, body)).await;
    connection.answer(method == "HEAD").await
}

pub const JSON: (&str, &str) = ("Content-Type", "application/json");
