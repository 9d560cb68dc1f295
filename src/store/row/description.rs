//! The stored form of what is sent.

use minicbor::{Decode, Encode};
use smol_str::SmolStr;

use super::{Bytes16, RowError, codes};
use crate::domain::id::{ChatId, Phone, SessionName};
use crate::domain::order::{NotificationType, OrderFacts};
use crate::domain::send::{Description, Identity, SendKind};

codes!(kind: SendKind {
    Text = 1, Media = 2, Location = 3, Contact = 4, Poll = 5, PollVote = 6, List = 7, Buttons = 8, Link = 9, Forward = 10, Event = 11,
    Reaction = 12, Edit = 13, Status = 14, Extra = 15,
});
codes!(notification_type: NotificationType {
    Other = 0, OrderReceived = 1, OrderConfirmed = 2, OrderShipped = 3,
});

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct DescriptionRow<'a> {
    #[n(0)]
    identity: Option<Bytes16>,
    #[b(1)]
    pub(super) session: Option<&'a str>,
    #[b(2)]
    pub(super) chat: Option<&'a str>,
    #[n(3)]
    kind: u8,
    #[b(4)]
    path: &'a str,
    #[b(5)]
    order_id: Option<&'a str>,
    #[b(6)]
    order_number: Option<&'a str>,
    #[b(7)]
    order_total: Option<&'a str>,
    #[b(8)]
    customer_name: Option<&'a str>,
    #[b(9)]
    customer_phone: Option<&'a str>,
    #[n(10)]
    notification_type: Option<u8>,
}

impl<'a> From<&'a Description> for DescriptionRow<'a> {
    fn from(what: &'a Description) -> Self {
        let order = &what.order;
        Self {
            identity: what.identity.map(|identity| (*identity.as_bytes()).into()),
            session: what.session.as_ref().map(SessionName::as_str),
            chat: what.chat.as_ref().map(ChatId::expose),
            kind: kind::code(what.kind),
            path: &what.path,
            order_id: order.order_id.as_deref(),
            order_number: order.order_number.as_deref(),
            order_total: order.order_total.as_deref(),
            customer_name: order.customer_name.as_deref(),
            customer_phone: order.customer_phone.as_ref().map(Phone::expose),
            notification_type: order.notification_type.map(notification_type::code),
        }
    }
}

impl DescriptionRow<'_> {
    pub(super) fn to_domain(&self) -> Result<Description, RowError> {
        let owned = |text: Option<&str>| text.map(SmolStr::new);
        Ok(Description {
            identity: self.identity.map(|bytes| Identity::from_bytes(*bytes)),
            session: self.session.map(session_name).transpose()?,
            chat: self.chat.map(chat_id).transpose()?,
            kind: kind::of(self.kind)?,
            path: self.path.into(),
            order: OrderFacts {
                order_id: owned(self.order_id),
                order_number: owned(self.order_number),
                order_total: owned(self.order_total),
                customer_name: owned(self.customer_name),
                customer_phone: self
                    .customer_phone
                    .map(|phone| Phone::new(phone).ok_or(RowError::Invalid("phone")))
                    .transpose()?,
                notification_type: self.notification_type.map(notification_type::of).transpose()?,
            },
        })
    }
}

pub(super) fn session_name(text: &str) -> Result<SessionName, RowError> {
    SessionName::new(text).ok_or(RowError::Invalid("session name"))
}

pub(super) fn chat_id(text: &str) -> Result<ChatId, RowError> {
    ChatId::new(text).ok_or(RowError::Invalid("chat"))
}
