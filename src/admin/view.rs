//! The JSON forms of what the API and the command line show: promises to their readers, apart from the domain's types.
//!
//! Everything here is for authorized eyes: customers' names and phones are whole. Keys are added, never renamed. Each form is a type, so
//! that the OpenAPI document says exactly what is answered.

mod answers;
mod records;
mod sends;
mod stats;
mod status;
mod word;

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;
use smol_str::SmolStr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

pub use self::answers::*;
pub use self::records::*;
pub use self::sends::*;
pub use self::stats::*;
pub use self::status::*;
pub use self::word::*;
use crate::clock;
use crate::domain::decide::{Policy, State};
use crate::domain::id::Phone;
use crate::domain::order::OrderFacts;
use crate::domain::time::Timestamp;
use crate::words::Language;

/// What a record is seen with: what the heart knows, and for whom it is worded.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The heart's state.
    pub state: &'a State,
    /// The rules' numbers.
    pub policy: &'a Policy,
    /// Of sentences.
    pub language: Language,
    /// When it is.
    pub now: Timestamp,
}

/// A moment, RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&clock::rfc3339(self.0))
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment, RFC 3339 in UTC with milliseconds."))
            .into()
    }
}

impl ToSchema for Moment {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Moment")
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A whole list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// All there is.
    pub items: Vec<T>,
}

/// What is known of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderView {
    /// The shop's internal id.
    order_id: Option<String>,
    /// The number that people say.
    order_number: Option<String>,
    /// The total as written, with its currency where it had one.
    order_total: Option<String>,
    /// The customer's name.
    customer_name: Option<String>,
    /// The customer's phone, whole.
    customer_phone: Option<String>,
    notification_type: TypeWord,
}

fn text(fact: &Option<SmolStr>) -> Option<String> {
    fact.as_ref().map(ToString::to_string)
}

fn order(order: &OrderFacts) -> OrderView {
    OrderView {
        order_id: text(&order.order_id),
        order_number: text(&order.order_number),
        order_total: text(&order.order_total),
        customer_name: text(&order.customer_name),
        customer_phone: order.customer_phone.as_ref().map(|phone| Phone::expose(phone).to_owned()),
        notification_type: order.notification_type.unwrap_or_default().into(),
    }
}

/// A form as plain JSON.
pub fn json(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).unwrap_or(Value::Null)
}
