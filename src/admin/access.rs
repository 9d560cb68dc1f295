//! Who may see and do what: bearer tokens with roles, and the names under which the listener may be called.
//!
//! Without tokens everybody on this machine may do everything; the configuration then allows no other listener than a loopback one. The
//! Host must be one we know, so that a page in the admin's browser cannot reach us under a name of its own (DNS rebinding); and what
//! changes something is not taken from a page of somebody else (cross-site requests).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
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
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.knows(host))
    }

    /// Is this one of our names, with or without a port?
    fn knows(&self, host: &str) -> bool {
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

    /// Does another site's page ask? Programs send neither of these headers.
    fn is_cross_site(&self, headers: &HeaderMap) -> bool {
        let told = headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"cross-site");
        let mut origins = headers.get_all(ORIGIN).iter();
        told || origins.any(|origin| {
            let host = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            !host.is_some_and(|(_, host)| self.knows(host))
        })
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

/// Who asks; the audit names them.
#[derive(Debug, Clone)]
pub(super) struct Who(pub(super) String);

/// The name of whoever asks where nobody has a token.
const NOBODY: &str = "local";

/// What a group of routes does, and so which roles may.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needs {
    /// Shows records.
    Look,
    /// Changes something.
    Act,
    /// Takes what the bot says of itself.
    Report,
}

impl Needs {
    /// Why a role may not.
    const fn forbids(self, role: TokenRole) -> Option<&'static str> {
        match (self, role) {
            (_, TokenRole::Operator) | (Self::Look, TokenRole::Viewer) | (Self::Report, TokenRole::Bot) => {
                None
            }
            (Self::Look, TokenRole::Bot) => Some("a token with role bot may not look at records"),
            (Self::Act | Self::Report, TokenRole::Viewer) => {
                Some("a token with role viewer may only look; acting wants one with role operator")
            }
            (Self::Act, TokenRole::Bot) => {
                Some("a token with role bot may only send its heartbeat and ask for diagnoses")
            }
        }
    }
}

/// Lets a call of the API through and says who asks, or says why not.
pub(super) async fn check(
    State((admin, needs)): State<(Arc<Admin>, Needs)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let access = admin.access.load_full();
    if !access.admits_host(request.headers()) {
        let detail = "this Host is not one of the listener's names; add it to admin.allowed_hosts";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail));
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe && access.is_cross_site(request.headers()) {
        let detail = "a page of another site asks, and may not change anything here; if it is yours, add its host to admin.allowed_hosts";
        return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
    }
    let mut who = NOBODY.to_owned();
    if !access.tokens.is_empty() {
        let Some(token) = access.bearer(request.headers()) else {
            let detail = "send one of admin.tokens as Authorization: Bearer";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
                .with_header(WWW_AUTHENTICATE, "Bearer"));
        };
        if let Some(why) = needs.forbids(token.role) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "role", why));
        }
        token.name.clone_into(&mut who);
    }
    request.extensions_mut().insert(Who(who));
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
    fn pages_of_other_sites_are_told_from_ours_and_from_programs() {
        let access = Access { hosts: vec!["panel.example".into()], ..Access::default() };
        assert!(!access.is_cross_site(&HeaderMap::new()), "curl");
        for ours in ["http://127.0.0.1:9478", "https://panel.example", "http://[::1]:9478"] {
            assert!(!access.is_cross_site(&with(ORIGIN, ours)), "{ours}");
        }
        for strange in ["https://evil.example", "null", "https://panel.example.evil.example", ""] {
            assert!(access.is_cross_site(&with(ORIGIN, strange)), "{strange}");
        }
        let site = axum::http::HeaderName::from_static("sec-fetch-site");
        assert!(access.is_cross_site(&with(site.clone(), "cross-site")));
        assert!(!access.is_cross_site(&with(site, "same-origin")));
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
