//! Who may see and do what: bearer tokens with roles, logins of the panel, and the names under which the listener may be called.
//!
//! People show who they are by a token (programs), by a login that they opened with one (browsers), or by a header that a trusted proxy before
//! us puts there after it has asked them itself. What a browser sends along by itself changes nothing unless the call also carries what only
//! a page of ours knows ([`CSRF_HEADER`]).
//!
//! Without tokens everybody on this machine may do everything; the configuration then allows no other listener than a loopback one. The
//! Host must be one we know, so that a page in the admin's browser cannot reach us under a name of its own (DNS rebinding); and what
//! changes something is not taken from a page of somebody else (cross-site requests).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Admin;
use super::login::Holder;
use super::masking::masked;
use super::problem::Problem;
use crate::domain::time::Timestamp;

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

    pub(super) fn holder(&self) -> Holder {
        Holder { name: self.name.clone(), digest: self.digest }
    }
}

/// A header in which a proxy before us says who asks, after it has asked them itself.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// Its name.
    pub header: HeaderName,
    /// The proxies it is believed from. From anywhere else it says nothing.
    pub proxies: Vec<IpAddr>,
    /// What those may do whom it names.
    pub role: TokenRole,
    /// Those of them who may act all the same.
    pub operators: Vec<String>,
}

/// In which browsers say how near the page that asks is.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Longest name a trusted proxy may give.
const NAME_MAX: usize = 64;

impl Trusted {
    /// Who asks, as a trusted proxy says: one header, a plain name.
    fn visitor(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Visitor> {
        if !self.trusts(peer) {
            return None;
        }
        let mut values = headers.get_all(&self.header).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let name = value.to_str().ok()?.trim();
        let is_name = !name.is_empty() && name.len() <= NAME_MAX && !name.contains(',');
        let role = if self.operators.iter().any(|one| one == name) { TokenRole::Operator } else { self.role };
        is_name.then(|| Visitor { name: name.to_owned(), role, proof: Proof::Proxy })
    }

    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.proxies.contains(&peer.to_canonical()))
    }
}

/// Who may see what.
#[derive(Debug, Default, Clone)]
pub struct Access {
    /// Empty: everybody who can reach the listener.
    pub tokens: Vec<Token>,
    /// Names the listener may be called by, without port, lower case. Loopback names always are.
    pub hosts: Vec<String>,
    /// A proxy before us that says who asks.
    pub trusted: Option<Trusted>,
    /// The panel is reached by https: its cookies go no other way.
    pub secure: bool,
}

/// The cookie that names a login.
const LOGIN_COOKIE: &str = "watchdog_login";
/// The cookie that names a browser, where nobody logs in or nobody has yet.
const BROWSER_COOKIE: &str = "watchdog_browser";
/// Carries what only a page of ours knows, in calls of the API by a browser.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nobody has a token: whoever is on this machine.
    Local,
    /// A token in the call itself.
    Bearer,
    /// A login of the panel.
    Login,
    /// A proxy before us says so.
    Proxy,
}

impl Proof {
    /// Does a browser send it along by itself, whichever page asks?
    pub const fn comes_by_itself(self) -> bool {
        matches!(self, Self::Login | Self::Proxy)
    }
}

/// Somebody who may at least look, or report.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who; the audit names them.
    pub name: String,
    /// What they may do.
    pub role: TokenRole,
    /// How that is known.
    pub proof: Proof,
}

/// A cookie by its name; the first of several.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl Access {
    /// The name of the cookie that names a login. Over https it has the prefix with which browsers keep neighbours from setting it.
    pub fn login_cookie(&self) -> String {
        self.prefixed(LOGIN_COOKIE)
    }

    /// The name of the cookie that names a browser.
    pub fn browser_cookie(&self) -> String {
        self.prefixed(BROWSER_COOKIE)
    }

    fn prefixed(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// An older browser that hides from our own forms where they come from, and does not say how near: only what the form carries tells.
    pub fn hides_origin(headers: &HeaderMap) -> bool {
        !headers.contains_key(SITE) && headers.get(ORIGIN).is_some_and(|origin| origin == "null")
    }

    /// Who asks; `None` where nobody known does. `used`: by the person, not by a page that refreshes itself.
    pub fn visitor(
        &self,
        admin: &Admin,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        now: Timestamp,
        used: bool,
    ) -> Option<Visitor> {
        if self.tokens.is_empty() {
            let name = NOBODY.to_owned();
            return Some(Visitor { name, role: TokenRole::Operator, proof: Proof::Local });
        }
        if headers.contains_key(AUTHORIZATION) {
            let token = self.bearer(headers)?;
            return Some(Visitor { name: token.name.clone(), role: token.role, proof: Proof::Bearer });
        }
        let name = self.login_cookie();
        let holder = cookie(headers, &name).and_then(|name| admin.logins.holder(name, now, used));
        let token = holder.and_then(|holder| self.tokens.iter().find(|token| token.holder() == holder));
        if let Some(token) = token.filter(|token| token.role != TokenRole::Bot) {
            return Some(Visitor { name: token.name.clone(), role: token.role, proof: Proof::Login });
        }
        self.trusted.as_ref().and_then(|trusted| trusted.visitor(headers, peer))
    }

    /// What a form that this visitor's browser shows is made for: the login, else the browser.
    pub fn anchor<'h>(&self, headers: &'h HeaderMap, proof: Option<Proof>) -> Option<&'h str> {
        let name = match proof {
            Some(Proof::Login) => self.login_cookie(),
            _ => self.browser_cookie(),
        };
        cookie(headers, &name).filter(|value| !value.is_empty())
    }

    /// The token with this secret. The time it takes tells nothing of which one it nearly was.
    pub fn token(&self, secret: &str) -> Option<&Token> {
        let digest: [u8; 32] = Sha256::digest(secret.trim().as_bytes()).into();
        self.tokens.iter().fold(None, |found, token| {
            if bool::from(token.digest.ct_eq(&digest)) { Some(token) } else { found }
        })
    }

    /// Whose tries are counted: the client that a trusted proxy names, else whoever is connected.
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let trusted = self.trusted.as_ref().is_some_and(|trusted| trusted.trusts(Some(peer)));
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        let last = forwarded.and_then(|line| line.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        last.filter(|_| trusted).unwrap_or(peer)
    }

    /// May the listener be called by this name?
    pub fn admits_host(&self, headers: &HeaderMap) -> bool {
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
    pub fn is_cross_site(&self, headers: &HeaderMap) -> bool {
        let site = headers.get(SITE).map(HeaderValue::as_bytes);
        let mut origins = headers.get_all(ORIGIN).iter();
        site == Some(b"cross-site")
            || origins.any(|origin| {
                // Pages that tell nobody where they come from, as ours do not, hide it from their own forms as well.
                if origin == "null" && site == Some(b"same-origin") {
                    return false;
                }
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
        self.token(secret)
    }
}

/// Who asks; the audit names them.
#[derive(Debug, Clone)]
pub struct Who(pub String);

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
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    // An open page listens all night: that is no use of its login by anybody.
    let used = request.uri().path() != "/api/events";
    let Some(visitor) = access.visitor(&admin, request.headers(), peer, admin.clock.now(), used) else {
        let detail = "send one of admin.tokens as Authorization: Bearer";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with_header(WWW_AUTHENTICATE, "Bearer"));
    };
    if let Some(why) = needs.forbids(visitor.role) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "role", why));
    }
    if !is_safe && visitor.proof.comes_by_itself() {
        let given = request.headers().get(CSRF_HEADER).and_then(|given| given.to_str().ok());
        let anchor = access.anchor(request.headers(), Some(visitor.proof));
        let ours = anchor.zip(given).is_some_and(|(anchor, given)| admin.logins.knows_csrf(anchor, given));
        if !ours {
            let detail = "a browser's login changes something only with X-CSRF-Token, the token of the panel's pages; programs use Authorization: Bearer";
            return Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail));
        }
    }
    request.extensions_mut().insert(Who(visitor.name));
    let answer = next.run(request).await;
    if visitor.proof.comes_by_itself() { masked(answer).await } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
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
        assert!(!access.is_cross_site(&with(site.clone(), "same-origin")));
        let mut form = with(site.clone(), "same-origin");
        form.insert(ORIGIN, HeaderValue::from_static("null"));
        assert!(!access.is_cross_site(&form), "a form of ours");
        form.insert(site, HeaderValue::from_static("same-site"));
        assert!(access.is_cross_site(&form), "a neighbour that hides");
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

    #[test]
    fn cookies_are_read_by_name() {
        let headers = with(COOKIE, "a=1; watchdog_login=abc; __Host-watchdog_login=def ;b");
        assert_eq!(cookie(&headers, "watchdog_login"), Some("abc"));
        assert_eq!(cookie(&headers, "__Host-watchdog_login"), Some("def"));
        assert_eq!(cookie(&headers, "login"), None);
        assert_eq!(cookie(&HeaderMap::new(), "a"), None);
    }

    fn trusted() -> Trusted {
        Trusted {
            header: HeaderName::from_static("x-remote-user"),
            proxies: vec!["10.0.0.5".parse().unwrap()],
            role: TokenRole::Viewer,
            operators: vec!["ana@shop.example".into()],
        }
    }

    #[test]
    fn a_header_is_believed_from_listed_proxies_alone() {
        let name = HeaderName::from_static("x-remote-user");
        let role = |value: &str, peer: &str| {
            let peer = (!peer.is_empty()).then(|| peer.parse().unwrap());
            trusted().visitor(&with(name.clone(), value), peer).map(|visitor| visitor.role)
        };
        assert_eq!(role("ana@shop.example", "10.0.0.5"), Some(TokenRole::Operator));
        assert_eq!(role("ana@shop.example", "::ffff:10.0.0.5"), Some(TokenRole::Operator));
        assert_eq!(
            role("Ana@shop.example", "10.0.0.5"),
            Some(TokenRole::Viewer),
            "names are compared as they are"
        );
        assert_eq!(role("luis", "10.0.0.5"), Some(TokenRole::Viewer));
        for stranger in ["10.0.0.6", "127.0.0.1", ""] {
            assert_eq!(role("ana@shop.example", stranger), None, "{stranger}");
        }
        for bad in ["", "   ", "luis, ana@shop.example"] {
            assert_eq!(role(bad, "10.0.0.5"), None, "{bad:?}");
        }
        let mut twice = with(name.clone(), "luis");
        twice.append(name, HeaderValue::from_static("ana@shop.example"));
        assert!(
            trusted().visitor(&twice, Some("10.0.0.5".parse().unwrap())).is_none(),
            "one of them is not the proxy's"
        );
    }

    #[test]
    fn a_client_behind_a_trusted_proxy_is_counted_by_itself() {
        let access = Access { trusted: Some(trusted()), ..Access::default() };
        let forwarded = with(HeaderName::from_static("x-forwarded-for"), "1.1.1.1, 9.9.9.9");
        let client = |peer: &str| access.client(&forwarded, peer.parse().unwrap()).to_string();
        assert_eq!(client("10.0.0.5"), "9.9.9.9", "what stands before it, anybody can write");
        assert_eq!(client("10.0.0.6"), "10.0.0.6");
    }
}
