//! The upstream of every contender: answers a NOWEB sendText at once, for as little CPU as can be.
//!
//! One thread of ours, not an nginx with `return 201`: it takes about a seventh less CPU (0.080 against 0.094 s for
//! 10,000 requests of 64 connections), which on a small machine is left to the contenders, and it can refuse on demand.

use crate::process;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ACCEPTED: &str = r#"{"key":{"remoteJid":"5511988887777@s.whatsapp.net","fromMe":true,"id":"3EB0C431C26A1916E07A5F"},"message":{"extendedTextMessage":{"text":"*Orden:* ORD-1001\n*Total:* $45.00","inviteLinkGroupTypeV2":"DEFAULT"}},"messageTimestamp":"1795484594","status":"PENDING"}"#;
const REFUSED: &str = r#"{"statusCode":400,"message":"chatId is not valid","error":"Bad Request"}"#;
const WORKING: &str =
    r#"{"name":"default","status":"WORKING","config":{},"me":{"id":"5511900000000@c.us","pushName":"Shop"}}"#;

pub(crate) struct Upstream {
    pub(crate) port: u16,
    /// While true every send is refused, as WAHA refuses a bad number: makes failed notifications to list.
    pub(crate) refusing: Arc<AtomicBool>,
    thread: PathBuf,
}

impl Upstream {
    pub(crate) fn start() -> Result<Self> {
        let refusing = Arc::new(AtomicBool::new(false));
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let switch = Arc::clone(&refusing);
        std::thread::Builder::new().name("upstream".into()).spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let thread = PathBuf::from("/proc").join(std::fs::read_link("/proc/thread-self")?);
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                started.send((listener.local_addr()?.port(), thread))?;
                tokio::task::LocalSet::new()
                    .run_until(async {
                        loop {
                            let (stream, _) = listener.accept().await?;
                            tokio::task::spawn_local(serve(stream, Arc::clone(&switch)));
                        }
                    })
                    .await
            })
        })?;
        let (port, thread) = start.recv()?;
        Ok(Self { port, refusing, thread })
    }

    pub(crate) fn cpu(&self) -> Duration {
        process::cpu(&self.thread.to_string_lossy())
    }
}

async fn serve(mut stream: TcpStream, refusing: Arc<AtomicBool>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let answers =
        [answer("201 Created", ACCEPTED), answer("400 Bad Request", REFUSED), answer("200 OK", WORKING)];
    let mut buffer = Vec::with_capacity(16 * 1024);
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(length) = request_length(&buffer) {
            // Only a send is a POST; a GET asks for the session.
            let answer = match (buffer[0], refusing.load(Ordering::Relaxed)) {
                (b'P', false) => &answers[0],
                (b'P', true) => &answers[1],
                _ => &answers[2],
            };
            buffer.drain(..length);
            stream.write_all(answer).await?;
        }
    }
    Ok(())
}

/// Bytes of the first request in `buffer`, once it is whole.
fn request_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut length = head;
    for line in buffer[..head].split(|byte| *byte == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            length += std::str::from_utf8(&line[15..]).ok()?.trim().parse::<usize>().ok()?;
        } else if line.len() > 18 && line[..18].eq_ignore_ascii_case(b"transfer-encoding:") {
            let end = buffer[head..].windows(5).position(|five| five == b"0\r\n\r\n")?;
            length = head + end + 5;
        }
    }
    (buffer.len() >= length).then_some(length)
}

/// With the headers that WAHA's Express sends.
fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nX-Powered-By: Express\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\nETag: W/\"10f-5mJ1Wm0C0f0e\"\r\nDate: Tue, 24 Nov 2026 03:00:00 GMT\r\n\
         Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
