//! A request as WAHA's controllers see it: parsed, whole, free of the connection it came over.

use hyper::header::HeaderMap;
use hyper::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::answer::{Answer, Echo};
use super::body::{self, Body};
use super::world::World;

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// As called, undecoded, without query.
    pub(super) path: String,
    /// As called, with query.
    pub(super) url: String,
    pub(super) query: Value,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Request {
    pub(super) fn new(method: Method, uri: &Uri, headers: HeaderMap) -> Self {
        let path = uri.path().to_owned();
        let query = uri.query();
        let url = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        Self {
            // Express answers HEAD with the GET's route.
            method: if method == Method::HEAD { Method::GET } else { method },
            path,
            url,
            query: body::parse_form(query.unwrap_or_default().as_bytes()),
            headers,
            body: Body::Undefined,
        }
    }

    /// The path's parts, decoded; one trailing slash is allowed, an empty part anywhere else is kept and fits nothing.
    pub(super) fn parts(&self) -> Vec<String> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.as_str()
    }

    pub(super) fn body_field(&self, name: &str) -> Option<&Value> {
        match &self.body {
            Body::Parsed(fields) => fields.get(name).filter(|value| !value.is_null()),
            _ => None,
        }
    }

    /// Nest's status of a success.
    pub(super) fn success_status(&self) -> StatusCode {
        if self.method == Method::POST { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Form C with the echo of this request.
    pub(super) fn unhandled(&self, exception: &Value, world: &World) -> Answer {
        let body = match &self.body {
            Body::Parsed(fields) => Some(fields.clone()),
            _ => None,
        };
        let echo =
            Echo { path: self.url.clone(), method: self.method.to_string(), body, query: self.query.clone() };
        Answer::unhandled(exception, &echo, &world.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &'static str) -> Vec<String> {
        Request::new(Method::GET, &Uri::from_static(uri), HeaderMap::new()).parts()
    }

    #[test]
    fn one_trailing_slash_is_allowed_and_doubled_ones_are_not() {
        assert_eq!(parts("/api/sendText/"), ["api", "sendText"]);
        assert_eq!(parts("/api//sendText"), ["api", "", "sendText"]);
        assert_eq!(parts("/api/s/chats/1%40c.us/messages"), ["api", "s", "chats", "1@c.us", "messages"]);
        assert_eq!(parts("/"), [""]);
    }
}
