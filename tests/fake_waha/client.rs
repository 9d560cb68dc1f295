//! A bare HTTP/1.1 client: it sends exactly what it is told and says exactly how an exchange ended.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any test may take: a wait that should not be there becomes a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// How an exchange failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    Refused,
    /// The connection was reset before an answer.
    Reset,
    /// The connection was closed before an answer.
    Closed,
    /// The answer was cut after this much of its body.
    Truncated {
        promised: usize,
        body: Vec<u8>,
    },
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Broken> {
        match TcpStream::connect(address).await {
            Ok(stream) => Ok(Self { stream, buffer: Vec::new() }),
            Err(_) => Err(Broken::Refused),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // A server that has seen enough may reset while we write; the answer tells.
        let _ = self.stream.write_all(bytes).await;
    }

    pub async fn exchange(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Broken> {
        let start = Instant::now();
        self.write(&request(method, target, headers, body)).await;
        self.answer(method == "HEAD", start).await
    }

    pub async fn answer(&mut self, is_head: bool, start: Instant) -> Result<Answer, Broken> {
        tokio::time::timeout(PATIENCE, self.read_answer(is_head, start)).await.expect("an answer in time")
    }

    async fn read_answer(&mut self, is_head: bool, start: Instant) -> Result<Answer, Broken> {
        loop {
            let end = loop {
                if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                    break at;
                }
                self.fill().await?;
            };
            let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
            let mut lines = head.trim_end().split("\r\n");
            let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            if status == 100 {
                continue;
            }
            let headers: Vec<(String, String)> = lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let mut answer = Answer { status, headers, body: Vec::new(), took: Duration::ZERO };
            let has_body = !is_head && !matches!(status, 101 | 204 | 304);
            let length = answer.header("content-length").map_or(0, |value| value.parse().unwrap());
            while has_body && self.buffer.len() < length {
                if self.fill().await.is_err() {
                    return Err(Broken::Truncated {
                        promised: length,
                        body: std::mem::take(&mut self.buffer),
                    });
                }
            }
            if has_body {
                answer.body = self.buffer.drain(..length).collect();
            }
            answer.took = start.elapsed();
            return Ok(answer);
        }
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Broken::Closed),
            Ok(_) => Ok(()),
            Err(_) => Err(Broken::Reset),
        }
    }

    /// Reads until the other side ends the connection.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let reading = async { while self.fill().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the connection to be closed in time");
        std::mem::take(&mut self.buffer)
    }

    /// Reads until at least this many bytes are there.
    pub async fn at_least(&mut self, length: usize) -> &[u8] {
        while self.buffer.len() < length && self.fill().await.is_ok() {}
        &self.buffer
    }
}

pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: waha\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let is_chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
    if !body.is_empty() && !is_chunked {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if is_chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(body);
    }
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
    Connection::open(address).await?.exchange(method, target, headers, body).await
}

pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A POST of JSON.
pub async fn post(address: SocketAddr, target: &str, body: &Value) -> Result<Answer, Broken> {
    call(address, "POST", target, &[JSON], body.to_string().as_bytes()).await
}

/// A GET.
pub async fn get(address: SocketAddr, target: &str) -> Answer {
    call(address, "GET", target, &[], b"").await.unwrap()
}

/// Polls until something is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let polling = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
