//! A mail server that does as it is told: with TLS and a login where wanted, and trouble at every step.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub data: String,
    pub secured: bool,
    /// `user password`, as AUTH PLAIN gave them.
    pub login: Option<String>,
}

impl Mail {
    /// A header, its folded lines joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

/// What becomes of a mail once it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub enum AfterData {
    #[default]
    Taken,
    /// Refused with this code.
    Refused(u16),
    /// Taken, and the connection ends without a word.
    TakenSilently,
}

/// How it behaves.
#[derive(Clone, Default)]
pub struct Rules {
    /// Recipients that are answered with another code.
    pub recipients: BTreeMap<String, u16>,
    pub after_data: AfterData,
    /// Offers STARTTLS.
    pub starttls: Option<TlsAcceptor>,
    /// Speaks TLS from the first byte.
    pub tls: Option<TlsAcceptor>,
    /// Takes nothing without this login: `user password`.
    pub login: Option<String>,
}

/// The server.
pub struct MailServer {
    pub address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    mails: Arc<Mutex<Vec<Mail>>>,
    task: Option<JoinHandle<()>>,
}

impl MailServer {
    pub async fn start(rules: Rules) -> Self {
        let mut server = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            rules: Arc::new(Mutex::new(rules)),
            mails: Arc::default(),
            task: None,
        };
        server.come_up().await;
        server
    }

    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    pub async fn go_down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _gone = task.await;
        }
    }

    pub async fn come_up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (rules, mails) = (Arc::clone(&self.rules), Arc::clone(&self.mails));
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, mails) = (rules.lock().unwrap().clone(), Arc::clone(&mails));
                tokio::spawn(async move {
                    let _ = greet(stream, rules, mails).await;
                });
            }
        }));
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn greet(stream: TcpStream, rules: Rules, mails: Arc<Mutex<Vec<Mail>>>) -> std::io::Result<()> {
    if let Some(acceptor) = rules.tls.clone() {
        let mut stream = BufReader::new(acceptor.accept(stream).await?);
        say(&mut stream, "220 here").await?;
        talk(&mut stream, &rules, &mails, true).await?;
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 here").await?;
    if talk(&mut stream, &rules, &mails, false).await?
        && let Some(acceptor) = rules.starttls.clone()
    {
        let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
        talk(&mut stream, &rules, &mails, true).await?;
    }
    Ok(())
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> std::io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// Talks until the other side goes; `true` where it wants TLS from here on.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    rules: &Rules,
    mails: &Mutex<Vec<Mail>>,
    secured: bool,
) -> std::io::Result<bool> {
    let (mut from, mut to, mut login) = (String::new(), String::new(), None::<String>);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let line = line.trim_end();
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let address = |line: &str| line.split(['<', '>']).nth(1).map(str::to_owned).unwrap_or_default();
        match verb.as_str() {
            "EHLO" => {
                say(stream, "250-mail.test").await?;
                if rules.starttls.is_some() && !secured {
                    say(stream, "250-STARTTLS").await?;
                }
                say(stream, "250 AUTH PLAIN").await?;
            }
            "STARTTLS" => {
                say(stream, "220 go on").await?;
                return Ok(true);
            }
            "AUTH" => {
                let plain = decoded(line.split(' ').nth(2).unwrap_or_default());
                let given = plain.trim_start_matches('\0').replace('\0', " ");
                let right = rules.login.as_ref().is_none_or(|login| *login == given);
                login = Some(given);
                say(stream, if right { "235 welcome" } else { "535 who are you" }).await?;
            }
            "MAIL" if rules.login.is_some() && rules.login != login => say(stream, "530 log in").await?,
            "MAIL" => {
                from = address(line);
                say(stream, "250 ok").await?;
            }
            "RCPT" => {
                to = address(line);
                let code = rules.recipients.get(&to).copied().unwrap_or(250);
                say(stream, &format!("{code} {to}")).await?;
            }
            "DATA" => {
                say(stream, "354 go on").await?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut data).await? == 0 {
                        return Ok(false);
                    }
                }
                data.truncate(data.len() - 3);
                let mail = Mail { from: from.clone(), to: to.clone(), data, secured, login: login.clone() };
                match rules.after_data {
                    AfterData::Taken => {
                        mails.lock().unwrap().push(mail);
                        say(stream, "250 taken").await?;
                    }
                    AfterData::Refused(code) => say(stream, &format!("{code} no")).await?,
                    AfterData::TakenSilently => {
                        mails.lock().unwrap().push(mail);
                        return Ok(false);
                    }
                }
            }
            "QUIT" => {
                say(stream, "221 bye").await?;
                return Ok(false);
            }
            _ => say(stream, "250 ok").await?,
        }
    }
}

/// Base64, by hand: the test must not believe in the library it tests.
fn decoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap_or(0);
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).unwrap());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
