//! Where reading commands read: the API of the running process, else the store's file itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::Failure;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::store::{Reader, Store};

/// A running process answers at once; a hung one must not hang us.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API of a running process.
pub(super) struct Api {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// The API that `config` says.
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(Failure::failed)?;
        let token = config.admin.tokens.iter().find(|token| token.role != Role::Bot);
        let token = token.map(|token| token.secret.expose().to_owned());
        Ok(Self { client, base: format!("http://{}", reachable(config.admin.listen)), token })
    }

    /// The same with a token that may act, where there is one.
    pub(super) fn for_acting(config: &Config) -> Result<Self, Failure> {
        let api = Self::new(config)?;
        let operator = config.admin.tokens.iter().find(|token| token.role == Role::Operator);
        let operator = operator.map(|token| token.secret.expose().to_owned());
        Ok(Self { token: operator.or(api.token), ..api })
    }

    /// Posts to `path`, and waits `patience` for the answer. `None` where nothing listens there.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Option<Value>, Failure> {
        self.call(self.client.post(format!("{}{path}", self.base)).json(body).timeout(patience)).await
    }

    /// Gets `path`. `None` where nothing listens there.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Value>, Failure> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.call(self.client.get(format!("{}{path}?{query}", self.base))).await
    }

    /// Opens what comes bit by bit. `None` where nothing listens there.
    pub(super) async fn open(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<reqwest::Response>, Failure> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let mut request = self.client.get(format!("{}{path}?{query}", self.base)).timeout(Duration::MAX);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(Some(answer)),
            Ok(answer) => Err(self.refusal(answer).await),
            Err(error) if error.is_connect() => Ok(None),
            Err(error) => Err(self.silent(&error)),
        }
    }

    async fn refusal(&self, answer: reqwest::Response) -> Failure {
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or(Value::Null);
        match body.get("detail").and_then(Value::as_str) {
            Some(detail) => Failure::failed(format!("{} said {status}: {detail}", self.base)),
            None => self.strange(status),
        }
    }

    fn silent(&self, error: &reqwest::Error) -> Failure {
        Failure::failed(format!("the running process at {} does not answer: {error}", self.base))
    }

    async fn call(&self, mut request: reqwest::RequestBuilder) -> Result<Option<Value>, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Ok(None),
            Err(error) => return Err(self.silent(&error)),
        };
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|_| self.strange(status))?;
        // One that is not ready says so with a 503, and is an answer like another.
        if status.is_success() || body.get("ready").is_some() {
            return Ok(Some(body));
        }
        match body.get("detail").and_then(Value::as_str) {
            Some(detail) => Err(Failure::failed(format!("{} said {status}: {detail}", self.base))),
            None => Err(self.strange(status)),
        }
    }

    fn strange(&self, status: StatusCode) -> Failure {
        Failure::failed(format!(
            "what listens at {} (admin.listen) is not waha-watchdog: it said {status}",
            self.base
        ))
    }
}

/// The store's file, where no process has it open.
pub(super) fn file(config: &Config) -> Result<Reader, Failure> {
    Store::open_read_only(&config.store.path, Clock::system()).map_err(|error| {
        Failure::failed(format!(
            "no waha-watchdog runs at {} (admin.listen), and its store cannot be read: {error}",
            config.admin.listen
        ))
    })
}

/// An address to call: one that listens everywhere is called here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
