//! A real Alertmanager, and a real Prometheus before it, where the machine has them.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{http, until};

/// Debian's names.
const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";
const PROMETHEUS: &str = "/usr/bin/prometheus";

/// A server that does not outlive its test.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Server {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Are both there?
pub fn are_here() -> bool {
    [ALERTMANAGER, PROMETHEUS].iter().all(|binary| Path::new(binary).exists())
}

/// An Alertmanager that pages `pager` for everything critical.
pub async fn alertmanager(pager: &str) -> Server {
    let config = format!(
        "route:\n  receiver: pager\n  group_by: [alertname, session]\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n\
         receivers:\n  - name: pager\n    pagerduty_configs:\n      - routing_key: 0123456789abcdef0123456789abcdef\n        url: {pager}\n\
         \x20       send_resolved: true\n"
    );
    start(ALERTMANAGER, &config, |path, data, address| {
        vec![
            format!("--config.file={path}"),
            format!("--storage.path={data}"),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ]
    })
    .await
}

/// A Prometheus that scrapes `sidecar` each second, with `rules`, and tells `manager`.
pub async fn prometheus(sidecar: SocketAddr, rules: &str, manager: SocketAddr) -> Server {
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: waha-watchdog, static_configs: [{{targets: ['{sidecar}']}}]}}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{manager}']}}]}}]}}\n"
    );
    let rules = rules.to_owned();
    start(PROMETHEUS, &config, move |path, data, address| {
        let beside = Path::new(path).with_file_name("rules.yml");
        std::fs::write(beside, &rules).unwrap();
        vec![
            format!("--config.file={path}"),
            format!("--storage.tsdb.path={data}"),
            format!("--web.listen-address={address}"),
            "--rules.alert.resend-delay=1s".to_owned(),
        ]
    })
    .await
}

async fn start(
    binary: &str,
    config: &str,
    arguments: impl FnOnce(&str, &str, &str) -> Vec<String>,
) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yml");
    std::fs::write(&file, config).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let data = directory.path().join("data");
    let arguments = arguments(file.to_str().unwrap(), data.to_str().unwrap(), &address.to_string());
    let child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { address, child, _directory: directory };
    until(&format!("{binary} to be ready"), async || {
        let answer = http::call(address, "GET", "/-/ready", &[("Connection", "close")], b"").await;
        answer.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    server
}
