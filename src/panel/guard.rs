//! Before every page: is it called by one of our names, who asks, does the form come from our own page? And the headers of every answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, SET_COOKIE, VARY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::login::{LANGUAGE_COOKIE, REFUSED};
use super::say::Say;
use super::{Panel, frame};
use crate::admin::TokenRole;
use crate::admin::access::{Access, CSRF_HEADER, Peer, Visitor, cookie};
use crate::words::Language;

/// Nothing but ourselves, and no script or style within a page: what a customer's name says is never run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Largest form, in bytes: a note, and the ids of a page of orders.
const FORM_MAX: usize = 64 * 1024;
/// What a page's script sends when it looks again by itself.
const REFRESH: HeaderName = HeaderName::from_static("x-panel-refresh");
/// What everybody may post.
const FOR_ALL: [&str; 3] = ["/panel/login", "/panel/logout", "/panel/language"];

/// Names and values of a form or a query.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of this name; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What is asked, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// Nobody known asks: only the way in is open.
    pub(super) visitor: Option<Visitor>,
    pub(super) client: IpAddr,
    pub(super) language: Language,
    /// What our forms carry.
    pub(super) csrf: String,
    pub(super) path: String,
    pub(super) query: Fields,
    pub(super) form: Fields,
}

impl Ask {
    pub(super) const fn say(&self) -> Say {
        Say(self.language)
    }

    /// Who asks, for the audit.
    pub(super) fn who(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.name)
    }

    pub(super) fn may_act(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.role == TokenRole::Operator)
    }

    /// Where to go after a deed: a page of ours, whatever the form says.
    pub(super) fn back(&self) -> &str {
        ours(self.form.get("back")).unwrap_or("/panel/")
    }
}

/// A page of ours, and not of somebody else's.
pub(super) fn ours(target: &str) -> Option<&str> {
    let plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (target.starts_with("/panel/") && plain && !target.contains("//")).then_some(target)
}

/// A cookie of ours.
pub(super) fn set_cookie(
    access: &Access,
    name: &str,
    value: &str,
    seconds: Option<u64>,
) -> Option<HeaderValue> {
    let secure = if access.secure { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")).ok()
}

/// Lets a call through, with what is known of it, or says why not.
pub(super) async fn check(State(panel): State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let access = panel.admin.access.load_full();
    let is_known = access.browser_cookie();
    let is_known = cookie(request.headers(), &is_known).is_some_and(|value| !value.is_empty());
    let browser = (!is_known).then(|| hex(panel.admin.clock.secret()));
    let mut answer = checked(&panel, &access, browser.as_deref(), request, next).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (VARY, "Cookie, Accept-Language"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let new = browser.and_then(|browser| set_cookie(&access, &access.browser_cookie(), &browser, None));
    if let Some(new) = new {
        headers.append(SET_COOKIE, new);
    }
    answer
}

async fn checked(
    panel: &Arc<Panel>,
    access: &Access,
    browser: Option<&str>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if !access.admits_host(headers) {
        let why = "this Host is not one of the listener's names; add it to admin.allowed_hosts";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    let used = !headers.contains_key(REFRESH);
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let visitor = access.visitor(&panel.admin, headers, Some(peer), panel.now(), used);
    let proof = visitor.as_ref().map(|visitor| visitor.proof);
    let anchor = access.anchor(headers, proof).or(browser).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let mut ask = Ask {
        client: access.client(headers, peer),
        language: language(headers, **panel.admin.language.load()),
        csrf: panel.admin.logins.csrf(anchor),
        query: Fields::parse(request.uri().query().unwrap_or_default().as_bytes()),
        form: Fields::default(),
        path,
        visitor,
    };
    let given = headers.get(CSRF_HEADER).and_then(|given| given.to_str().ok()).map(str::to_owned);
    let cross_site = access.is_cross_site(headers) && !Access::hides_origin(headers);
    let is_post = request.method() == Method::POST;
    let anchor = anchor.to_owned();
    let (mut parts, body) = request.into_parts();
    if is_post {
        let Some(form) = read(&parts.headers, body).await else {
            return frame::refusal(panel, &ask, StatusCode::BAD_REQUEST, ask.say().form_unreadable());
        };
        ask.form = form;
        let given = given.as_deref().unwrap_or(ask.form.get("csrf"));
        let known = browser.is_none() && panel.admin.logins.knows_csrf(&anchor, given);
        if cross_site || !known {
            return frame::refusal(panel, &ask, StatusCode::FORBIDDEN, ask.say().form_stale());
        }
    }
    let for_all = FOR_ALL.contains(&ask.path.as_str());
    match ask.visitor.as_ref().map(|visitor| visitor.role) {
        _ if for_all => {}
        None => return to_login(&ask, &parts.uri, is_post),
        Some(TokenRole::Bot) => {
            return frame::refusal(panel, &ask, StatusCode::FORBIDDEN, ask.say().bots_stay_out());
        }
        Some(TokenRole::Viewer) if is_post => {
            return frame::refusal(panel, &ask, StatusCode::FORBIDDEN, ask.say().viewers_look());
        }
        Some(_) => {}
    }
    parts.extensions.insert(Arc::new(ask));
    next.run(Request::from_parts(parts, Body::empty())).await
}

fn to_login(ask: &Ask, uri: &axum::http::Uri, is_post: bool) -> Response {
    let wanted = if is_post {
        ask.back().to_owned()
    } else {
        uri.path_and_query().map(|it| it.to_string()).unwrap_or_default()
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    if wanted != "/panel/" && ours(&wanted).is_some() {
        query.append_pair("next", &wanted);
    }
    if is_post {
        query.append_pair("said", REFUSED);
    }
    let query = query.finish();
    let target = if query.is_empty() { "/panel/login".to_owned() } else { format!("/panel/login?{query}") };
    Redirect::to(&target).into_response()
}

/// A form's fields; `None` where it is none, or too large.
async fn read(headers: &HeaderMap, body: Body) -> Option<Fields> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    axum::body::to_bytes(body, FORM_MAX).await.ok().map(|body| Fields::parse(&body))
}

/// What this browser chose, else what it prefers, else the shop's.
fn language(headers: &HeaderMap, usual: Language) -> Language {
    if let Some(chosen) = cookie(headers, LANGUAGE_COOKIE).and_then(Say::spoken) {
        return chosen;
    }
    let wanted = headers.get("accept-language").and_then(|wanted| wanted.to_str().ok()).unwrap_or_default();
    let mut ranked: Vec<_> = wanted.split(',').take(20).filter_map(ranked).collect();
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    ranked.first().map_or(usual, |(_, language)| *language)
}

/// `pt-BR;q=0.8`
fn ranked(item: &str) -> Option<(f32, Language)> {
    let (tag, rest) = item.split_once(';').unwrap_or((item, ""));
    let weight = rest.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(1.0);
    let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
    Say::spoken(&primary).filter(|_| weight > 0.0).map(|language| (weight, language))
}

pub(super) fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_back_to() {
        for fine in ["/panel/", "/panel/orders?q=a%20b&page=2", "/panel/failed/0192"] {
            assert_eq!(ours(fine), Some(fine));
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "/panel//evil",
            "/panel/\\evil",
            "/panel/a\r\nb",
            "/panels/",
        ] {
            assert_eq!(ours(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_language_follows_the_browser_and_then_the_shop() {
        let given = |accept: &'static str, chosen: &'static str| {
            let pairs = [("accept-language", accept), ("cookie", chosen)];
            let pairs =
                pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            language(&HeaderMap::from_iter(pairs), Language::Es)
        };
        assert_eq!(given("pt-BR,pt;q=0.9,en;q=0.8", ""), Language::Pt);
        assert_eq!(given("de, en;q=0.5, es;q=0.7", ""), Language::Es);
        assert_eq!(given("en;q=0", ""), Language::Es);
        assert_eq!(given("de", ""), Language::Es);
        assert_eq!(given("en", "watchdog_language=pt"), Language::Pt);
        assert_eq!(given("en", "watchdog_language=xx"), Language::En);
    }
}
