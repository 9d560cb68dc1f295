//! Who may see what: bearer tokens with roles, and the names under which the listener may be called.
//!
//! Without tokens everybody on this machine may look; the configuration then allows no other listener than a loopback one. The Host must
//! be one we know, so that a page in the admin's browser cannot reach us under a name of its own (DNS rebinding).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Admin;
use super::problem::Problem;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRole {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
    /// Report about the bot itself, and nothing else.
    Bot,
}

/// A token: its owner's name, and the digest of its secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Who.
    pub name: String,
    /// What they may do.
    pub role: TokenRole,
    digest: [u8; 32],
}

impl Token {
    /// A token with this secret, of which only the digest is kept.
    pub fn new(name: String, role: TokenRole, secret: &str) -> Self {
        Self { name, role, digest: Sha256::digest(secret.as_bytes()).into() }
    }
}

/// Who may see what.
#[derive(Debug, Default, Clone)]
pub struct Access {
    /// Empty: everybody who can reach the listener.
    pub tokens: Vec<Token>,
    /// Names the listener may be called by, without port, lower case. Loopback names always are.
    pub hosts: Vec<String>,
}

impl Access {
    fn admits_host(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
                name
            }
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let loopback =
            name.parse().map_or(name == "localhost", |address: std::net::IpAddr| address.is_loopback());
        loopback || self.hosts.contains(&name)
    }

    fn bearer(&self, headers: &HeaderMap) -> Option<&Token> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, secret) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(secret.trim().as_bytes()).into();
        // All are compared, so that the time tells nothing of which one it nearly was.
        self.tokens.iter().fold(None, |found, token| {
            if bool::from(token.digest.ct_eq(&digest)) { Some(token) } else { found }
        })
    }
}

/// Lets a call of the API through, or says why not.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let access = admin.access.load_full();
    if !access.admits_host(request.headers()) {
        let detail = "this Host is not one of the listener's names; add it to admin.allowed_hosts";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail));
    }
    if !access.tokens.is_empty() {
        match access.bearer(request.headers()).map(|token| token.role) {
            Some(TokenRole::Viewer | TokenRole::Operator) => {}
            Some(TokenRole::Bot) => {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "role",
                    "a token with role bot may not look at records",
                ));
            }
            None => {
                let detail = "send one of admin.tokens as Authorization: Bearer";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
                    .with_header(WWW_AUTHENTICATE, "Bearer"));
            }
        }
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_known_names_are_answered() {
        let access = Access { hosts: vec!["panel.example".into()], ..Access::default() };
        for known in
            ["127.0.0.1:9478", "localhost", "LOCALHOST:1", "[::1]:9478", "panel.example:443", "Panel.Example"]
        {
            assert!(access.admits_host(&with(HOST, known)), "{known}");
        }
        for strange in ["evil.example", "127.0.0.1.evil.example", "evil.example:9478", "10.0.0.1"] {
            assert!(!access.admits_host(&with(HOST, strange)), "{strange}");
        }
        assert!(!access.admits_host(&HeaderMap::new()));
    }

    #[test]
    fn tokens_are_found_by_secret_alone() {
        let token = |name: &str, secret| Token::new(name.into(), TokenRole::Viewer, secret);
        let access = Access {
            tokens: vec![token("ana", "secret-of-ana-0001"), token("luis", "secret-of-luis-002")],
            ..Access::default()
        };
        let found = |value| access.bearer(&with(AUTHORIZATION, value)).map(|token| token.name.clone());
        assert_eq!(found("Bearer secret-of-luis-002").as_deref(), Some("luis"));
        assert_eq!(found("bearer secret-of-ana-0001").as_deref(), Some("ana"));
        assert_eq!(found("Bearer secret-of-ana-0002"), None);
        assert_eq!(found("Basic secret-of-ana-0001"), None);
    }
}
