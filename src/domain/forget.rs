//! Forgetting a customer (SPEC 13, `forget PHONE`): what names them goes out of records that are settled; what was sent, when and how it ended stays.

use std::sync::Arc;

use super::case::Case;
use super::id::{ChatId, Phone};
use super::ledger::{Ended, Entry, Intent};
use super::send::Description;

/// The number to be forgotten, by its digits. Prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Forgotten(String);

impl Forgotten {
    /// A number in any spelling.
    pub fn new(phone: &Phone) -> Self {
        Self(phone.digits())
    }

    /// Is this about that customer?
    pub fn is_in(&self, what: &Description) -> bool {
        let chat = what.chat.as_ref().map(ChatId::expose).and_then(|chat| chat.split('@').next());
        let phone = what.order.customer_phone.as_ref().map(Phone::digits);
        chat == Some(self.0.as_str()) || phone.as_ref() == Some(&self.0)
    }
}

/// Without who it was for.
fn anonymous(what: &Description) -> Arc<Description> {
    let mut what = what.clone();
    // It is a digest of the chat and the text, among others.
    what.identity = None;
    what.chat = None;
    what.order.customer_name = None;
    what.order.customer_phone = None;
    Arc::new(what)
}

/// An entry of the ledger without the customer.
#[must_use]
pub fn forget_in_entry(entry: Entry) -> Entry {
    match entry {
        Entry::Intent(intent) => {
            Entry::Intent(Intent { what: anonymous(&intent.what), request: None, ..intent })
        }
        Entry::Begun(attempt) => Entry::Begun(attempt),
        Entry::Ended(ended) => Entry::Ended(Box::new(Ended {
            what: anonymous(&ended.what),
            // It quotes WAHA, and a message's id names its chat.
            detail: None,
            message_id: None,
            unheard: None,
            request: None,
            ..*ended
        })),
    }
}

/// A settled case without the customer.
#[must_use]
pub fn forget_in_case(mut case: Case) -> Case {
    case.what = anonymous(&case.what);
    for line in &mut case.lines {
        line.detail = None;
        line.message_id = None;
    }
    if let Some(resolution) = case.failure.as_mut().and_then(|failure| failure.resolution.as_mut()) {
        // What a person wrote down may say anything.
        resolution.note = None;
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SendId;
    use crate::domain::order::OrderFacts;
    use crate::domain::send::SendKind;
    use crate::domain::time::Timestamp;

    fn what(chat: Option<&str>, phone: Option<&str>) -> Description {
        Description {
            identity: None,
            session: None,
            chat: chat.and_then(ChatId::new),
            kind: SendKind::Text,
            path: "".into(),
            order: OrderFacts {
                order_number: Some("ORD-1".into()),
                customer_name: Some("Juan".into()),
                customer_phone: phone.and_then(Phone::new),
                ..OrderFacts::default()
            },
        }
    }

    #[test]
    fn a_number_is_found_in_every_spelling() {
        let forgotten = Forgotten::new(&Phone::new("+58 424-1234567").unwrap());
        assert!(forgotten.is_in(&what(Some("584241234567@c.us"), None)));
        assert!(forgotten.is_in(&what(None, Some("58 (424) 1234567"))));
        assert!(!forgotten.is_in(&what(Some("5842412345670@c.us"), Some("+58424123456"))));
    }

    #[test]
    fn what_names_the_customer_goes_and_the_order_stays() {
        let mut case = Case::reported(
            SendId::from_bytes([1; 16]),
            Arc::new(what(Some("584241234567@c.us"), Some("+584241234567"))),
            Timestamp::EPOCH,
        );
        case = forget_in_case(case);
        let order = &case.what.order;
        assert_eq!((&order.customer_name, &order.customer_phone, &case.what.chat), (&None, &None, &None));
        assert_eq!(order.order_number.as_deref(), Some("ORD-1"));
    }
}
