//! Who is compared, each with the configuration its own friends would give it.

use crate::load::Client;
use crate::process::Guarded;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Direct,
    Nginx,
    Haproxy,
    Outcome,
    IntentOutcome,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] =
        [Self::Direct, Self::Nginx, Self::Haproxy, Self::Outcome, Self::IntentOutcome];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Outcome => "outcome",
            Self::IntentOutcome => "intent+outcome",
        }
    }

    pub(crate) fn is_watchdog(self) -> bool {
        matches!(self, Self::Outcome | Self::IntentOutcome)
    }

    /// Its configuration in `dir`, and the command that runs it. A watchdog keeps its store in `dir` too: the same
    /// `dir` again is a restart.
    pub(crate) fn prepare(self, dir: &Path, upstream: u16, binary: &Path) -> Result<Prepared> {
        let (port, admin) = (free_port()?, free_port()?);
        let config = dir.join("config");
        fs::create_dir_all(dir)?;
        fs::write(&config, self.config(&dir.to_string_lossy(), upstream, port, admin))?;
        let mut command = Command::new(match self {
            Self::Direct => return Ok(Prepared { port: upstream, admin: None, config, command: None }),
            Self::Nginx => Path::new("nginx"),
            Self::Haproxy => Path::new("haproxy"),
            Self::Outcome | Self::IntentOutcome => binary,
        });
        match self {
            Self::Direct => {}
            Self::Nginx => {
                command.arg("-p").arg(dir).args(["-e", "stderr", "-c"]).arg(&config);
            }
            Self::Haproxy => {
                command.args(["-db", "-f"]).arg(&config);
            }
            Self::Outcome | Self::IntentOutcome => {
                command.args(["run", "--config"]).arg(&config);
            }
        }
        Ok(Prepared { port, admin: self.is_watchdog().then_some(admin), config, command: Some(command) })
    }

    fn config(self, dir: &str, upstream: u16, port: u16, admin: u16) -> String {
        match self {
            Self::Direct => String::new(),
            Self::Nginx => format!(
                "daemon off;
                 worker_processes 2;
                 pid {dir}/nginx.pid;
                 events {{ worker_connections 4096; }}
                 http {{
                     access_log off;
                     client_body_temp_path {dir}/body;
                     proxy_temp_path {dir}/proxy;
                     fastcgi_temp_path {dir}/fastcgi;
                     uwsgi_temp_path {dir}/uwsgi;
                     scgi_temp_path {dir}/scgi;
                     keepalive_requests 1000000000;
                     upstream waha {{
                         server 127.0.0.1:{upstream};
                         keepalive 512;
                         keepalive_requests 1000000000;
                     }}
                     server {{
                         listen 127.0.0.1:{port} backlog=4096;
                         location / {{
                             proxy_pass http://waha;
                             proxy_http_version 1.1;
                             proxy_set_header Connection \"\";
                         }}
                     }}
                 }}\n"
            ),
            Self::Haproxy => format!(
                "global
                     nbthread 2
                     maxconn 4096
                 defaults
                     mode http
                     http-reuse always
                     timeout connect 5s
                     timeout client 60s
                     timeout server 60s
                 listen waha
                     bind 127.0.0.1:{port}
                     server waha 127.0.0.1:{upstream}\n"
            ),
            Self::Outcome | Self::IntentOutcome => {
                let intent = if self == Self::IntentOutcome { "always" } else { "never" };
                format!(
                    "[waha]\nurl = \"http://127.0.0.1:{upstream}\"\n\
                     [proxy]\nlisten = \"127.0.0.1:{port}\"\nworkers = 2\n\
                     [admin]\nlisten = \"127.0.0.1:{admin}\"\n\
                     [store]\npath = \"{dir}/watchdog.redb\"\nintent = \"{intent}\"\n"
                )
            }
        }
    }
}

pub(crate) struct Prepared {
    pub(crate) port: u16,
    pub(crate) admin: Option<u16>,
    pub(crate) config: PathBuf,
    command: Option<Command>,
}

pub(crate) struct Running {
    pub(crate) port: u16,
    pub(crate) config: PathBuf,
    /// None for `direct`.
    pub(crate) process: Option<Guarded>,
    /// From the start of the process to its first answer to a send.
    pub(crate) first_answer: Duration,
    /// From the start of the process to `/readyz` saying 200 (watchdog only).
    pub(crate) ready: Option<Duration>,
}

impl Prepared {
    /// Starts it and waits until it serves (and is ready, if it can say so).
    pub(crate) fn start(mut self) -> Result<Running> {
        const PATIENCE: Duration = Duration::from_secs(120);
        let output = self.config.with_extension("out");
        let begin = Instant::now();
        let mut process =
            self.command.as_mut().map(|command| Guarded::spawn(command, &output)).transpose()?;
        let (mut served, mut ready) = (None, None);
        while served.is_none() || (self.admin.is_some() && ready.is_none()) {
            if served.is_none() && answers(self.port, |client| Ok(client.send()?.status == 201)) {
                served = Some(begin.elapsed());
            }
            if let Some(admin) = self.admin
                && ready.is_none()
                && answers(admin, |client| Ok(client.get("/readyz")?.status == 200))
            {
                ready = Some(begin.elapsed());
            }
            if let Some(process) = &mut process {
                if let Some(status) = process.ended() {
                    bail!("ended at its start ({status}) and printed:\n{}", process.printed());
                }
                if begin.elapsed() > PATIENCE {
                    bail!("does not serve after {PATIENCE:?} and printed:\n{}", process.printed());
                }
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let first_answer = served.context("served")?;
        Ok(Running { port: self.port, config: self.config, process, first_answer, ready })
    }
}

fn answers(port: u16, question: impl FnOnce(&mut Client) -> Result<bool>) -> bool {
    Client::connect(port).and_then(|mut client| question(&mut client)).unwrap_or(false)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
