//! What a send is: read from its head, its query and the part of its body that was held.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use super::body::Limited;
use super::headers;
use super::settings::Settings;
use crate::domain::id::{ChatId, SessionName};
use crate::domain::ledger::StoredRequest;
use crate::domain::live::Call;
use crate::domain::order::OrderFacts;
use crate::domain::send::{BEGINNING, Description, Identity};
use crate::waha::request::{FieldScan, SendFields, urlencoded, without_key};
use crate::waha::route::Route;

/// How the body of a send was taken.
pub(super) enum Taken {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest will pass by the scan.
    Beginning(Box<Beginning>),
}

/// The beginning of a body that is too large to be kept.
pub(super) struct Beginning {
    pub(super) before: VecDeque<Bytes>,
    pub(super) scan: Rc<RefCell<FieldScan>>,
    pub(super) rest: Limited,
}

/// A send as far as it is known before it leaves.
pub(super) struct Described {
    pub(super) what: Arc<Description>,
    /// What joins the call to its send; `None` where nothing can.
    pub(super) call: Option<Call>,
}

/// What is known of a send whose route is `route`.
pub(super) fn describe(parts: &Parts, route: &Route, taken: &Taken, settings: &Settings) -> Described {
    let fields = match taken {
        Taken::Whole(body) => whole_fields(parts, route, body),
        Taken::Beginning(beginning) => beginning.scan.borrow().fields(),
    };
    let order = headers::order_facts(&parts.headers);
    let mut what = known(parts.uri.path(), route, &fields, order, settings);
    // What is sent names the send, where its chat and its length are known.
    let (by_content, content) = match taken {
        Taken::Whole(body) => {
            let (identity, content) = Identity::whole(parts.method.as_str(), &target(parts), body);
            (Some(identity), Some(content))
        }
        Taken::Beginning(read) => (what.chat.as_ref().and_then(|_| by_beginning(parts, read)), None),
    };
    let by_bot = headers::send_name(&parts.headers).map(|(header, name)| Identity::named(header, name));
    what.identity = by_bot.or(by_content);
    let call =
        what.identity.map(|identity| Call { identity, named: by_bot.is_some(), content, looked: false });
    Described { what: Arc::new(what), call }
}

/// Without the key: what is kept to be sent again has none either, and must be known as the same.
fn target(parts: &Parts) -> Cow<'_, str> {
    without_key(parts.uri.path_and_query().map_or("/", PathAndQuery::as_str))
}

/// The same once the whole body has passed by: the scan may know more.
pub(super) fn complete(
    before: &Description,
    route: &Route,
    scan: &FieldScan,
    settings: &Settings,
) -> Description {
    let after = known(&before.path, route, &scan.fields(), before.order.clone(), settings);
    Description { identity: before.identity, path: before.path.clone(), ..after }
}

/// A request that can be sent again; cheap to keep, and put into its stored form only where it has to be.
pub(super) struct Repeatable {
    method: Method,
    target: Option<PathAndQuery>,
    content_type: Option<HeaderValue>,
    /// Its body means nothing without headers that are not kept.
    encoded: bool,
    body: Bytes,
}

impl Repeatable {
    pub(super) fn of(parts: &Parts, body: &Bytes) -> Self {
        Self {
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned(),
            content_type: parts.headers.get(CONTENT_TYPE).cloned(),
            encoded: parts.headers.contains_key(CONTENT_ENCODING),
            body: body.clone(),
        }
    }

    /// As it can be sent again; `None` where it cannot.
    pub(super) fn stored(&self) -> Option<Arc<StoredRequest>> {
        (!self.encoded).then(|| self.kept())
    }

    fn kept(&self) -> Arc<StoredRequest> {
        Arc::new(StoredRequest {
            method: self.method.as_str().to_owned(),
            target: without_key(self.target.as_ref().map_or("/", PathAndQuery::as_str)).into_owned(),
            content_type: self.content_type.as_ref().and_then(|kind| kind.to_str().ok()).map(str::to_owned),
            body: self.body.clone(),
        })
    }
}

/// A scan for this request's body.
pub(super) fn scan(parts: &Parts) -> FieldScan {
    FieldScan::new(content_type(parts), parts.headers.contains_key(CONTENT_ENCODING))
}

fn content_type(parts: &Parts) -> Option<&str> {
    parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
}

fn whole_fields(parts: &Parts, route: &Route, body: &Bytes) -> SendFields {
    if route.in_query {
        return urlencoded(parts.uri.query().unwrap_or_default().as_bytes());
    }
    if content_type(parts).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return urlencoded(body);
    }
    let mut scan = scan(parts);
    scan.feed(body);
    scan.into_fields()
}

fn known(
    path: &str,
    route: &Route,
    fields: &SendFields,
    order: OrderFacts,
    settings: &Settings,
) -> Description {
    let session = route.session.as_deref().or(fields.session.as_deref()).and_then(SessionName::new);
    let chat = route.chat.as_deref().or(fields.chat.as_deref()).and_then(ChatId::new);
    let found = fields.text.as_deref().map(|text| settings.rules.facts(text)).unwrap_or_default();
    let mut order = order.or(found);
    if order.customer_phone.is_none() && order.names_order() {
        order.customer_phone = chat.as_ref().and_then(ChatId::phone);
    }
    Description { identity: None, session, chat, kind: route.kind, path: path.into(), order }
}

fn by_beginning(parts: &Parts, read: &Beginning) -> Option<Identity> {
    let length = parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    let mut beginning = Vec::with_capacity(BEGINNING);
    for bytes in &read.before {
        let room = BEGINNING - beginning.len();
        beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    Some(Identity::content(parts.method.as_str(), &target(parts), length, &beginning))
}
