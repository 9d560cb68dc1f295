//! What a send is: read from its head, its query and the part of its body that was held.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;

use super::headers;
use super::settings::Settings;
use crate::domain::extract::extract;
use crate::domain::id::{ChatId, SessionName};
use crate::domain::ledger::StoredRequest;
use crate::domain::order::OrderFacts;
use crate::domain::send::{Description, Identity};
use crate::waha::request::{FieldScan, SendFields, urlencoded, without_key};
use crate::waha::route::Route;

/// How the body of a send was taken.
pub(super) enum Taken {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest will pass by the scan.
    Beginning(VecDeque<Bytes>, Rc<RefCell<FieldScan>>),
}

/// Who named a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The bot did, in a header.
    ByBot,
    /// Its content does.
    ByContent,
}

/// A send as far as it is known before it leaves.
pub(super) struct Described {
    pub(super) what: Description,
    pub(super) named: Named,
}

/// What is known of a send whose route is `route`.
pub(super) fn describe(parts: &Parts, route: &Route, taken: &Taken, settings: &Settings) -> Described {
    let fields = match taken {
        Taken::Whole(body) => whole_fields(parts, route, body),
        Taken::Beginning(_, scan) => scan.borrow().fields(),
    };
    let order = headers::order_facts(&parts.headers);
    let mut what = known(parts.uri.path(), route, &fields, order, settings);
    let by_bot = [headers::NOTIFICATION_ID, headers::IDEMPOTENCY_KEY]
        .into_iter()
        .find_map(|name| Some(Identity::named(name, parts.headers.get(name)?.as_bytes())));
    what.identity = by_bot.or_else(|| by_content(parts, route, taken, &what));
    Described { what, named: if by_bot.is_some() { Named::ByBot } else { Named::ByContent } }
}

/// The same once the whole body has passed by: the scan may know more.
pub(super) fn complete(
    before: &Description,
    route: &Route,
    scan: &FieldScan,
    settings: &Settings,
) -> Description {
    let after = known(&before.path, route, &scan.fields(), before.order.clone(), settings);
    Description { identity: before.identity, path: Arc::clone(&before.path), ..after }
}

/// The request as it can be sent again.
pub(super) fn stored(parts: &Parts, body: &Bytes) -> StoredRequest {
    StoredRequest {
        method: parts.method.as_str().to_owned(),
        target: without_key(parts.uri.path_and_query().map_or("/", |target| target.as_str())),
        content_type: parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned),
        body: body.clone(),
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
    scan.fields()
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
    let found = fields.text.as_deref().map(|text| extract(&settings.rules, text)).unwrap_or_default();
    let mut order = order.or(found);
    if order.customer_phone.is_none() && order.names_order() {
        order.customer_phone = chat.as_ref().and_then(ChatId::phone);
    }
    Description { identity: None, session, chat, kind: route.kind, path: Arc::from(path), order }
}

/// A whole body names its send. A large one does if its beginning names the chat and its length is known: then two that begin alike and
/// are as long are the same; else nothing can be joined to it.
fn by_content(parts: &Parts, route: &Route, taken: &Taken, what: &Description) -> Option<Identity> {
    let (session, chat) = (what.session.as_ref(), what.chat.as_ref());
    match taken {
        Taken::Whole(body) if route.in_query => {
            let query = parts.uri.query().unwrap_or_default();
            Some(Identity::content(session, chat, &what.path, &[query.as_bytes(), body].concat()))
        }
        Taken::Whole(body) => Some(Identity::content(session, chat, &what.path, body)),
        Taken::Beginning(before, _) => {
            let length = parts.headers.get(CONTENT_LENGTH)?;
            chat?;
            let mut beginning: Vec<u8> = length.as_bytes().to_vec();
            before.iter().for_each(|bytes| beginning.extend_from_slice(bytes));
            Some(Identity::content(session, chat, &what.path, &beginning))
        }
    }
}
