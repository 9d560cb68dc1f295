//! Upstreams that are no WAHA: one that keeps the very bytes it was sent and answers what the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Header lines, names in the case they came in.
    pub fn headers(&self) -> Vec<(String, String)> {
        let lines = self.head.trim_end().split("\r\n").skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An upstream that answers every request with the same bytes, and remembers what it was asked.
pub struct Canned {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Canned {
    pub async fn start(answer: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer.to_vec()), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { address, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Vec<u8>>, log: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut seen = Seen { head, body: Vec::new() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        let is_chunked = seen.header("transfer-encoding").is_some();
        let is_whole = |buffer: &[u8]| {
            if is_chunked { buffer.ends_with(b"0\r\n\r\n") } else { buffer.len() >= length }
        };
        while !is_whole(&buffer) {
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        }
        seen.body = if is_chunked { std::mem::take(&mut buffer) } else { buffer.drain(..length).collect() };
        log.lock().unwrap().push(seen);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        if answer.windows(17).any(|w| w.eq_ignore_ascii_case(b"connection: close")) {
            return;
        }
    }
}
