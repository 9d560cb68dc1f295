//! Forgetting a customer (SPEC 13, `forget PHONE`): what names them goes out of every record that is settled; what was sent, when and how it ended
//! stays, and what was evidence stays evidence.

use std::fmt;
use std::sync::Arc;

use super::case::Case;
use super::diagnosis::Diagnosis;
use super::id::{ChatId, Phone};
use super::ledger::{Ended, Entry, Intent};
use super::order::OrderFacts;
use super::send::Description;
use super::session::Session;

/// Fewest digits of a number that can be forgotten: fewer name many.
pub const DIGITS_MIN: usize = 5;

/// Stands for the chats of whoever was forgotten, where a chat is evidence: another one than all that have names.
const FORGOTTEN_CHAT: &str = "forgotten";

/// The number to be forgotten, by its digits. Prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Forgotten(String);

impl fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgotten")
    }
}

impl Forgotten {
    /// A number in any spelling; `None` where it has too few digits to name anybody.
    pub fn new(phone: &Phone) -> Option<Self> {
        let digits = phone.digits();
        (digits.len() >= DIGITS_MIN).then_some(Self(digits))
    }

    /// Is this that customer's chat?
    pub fn is_chat(&self, chat: &ChatId) -> bool {
        chat.expose().split('@').next() == Some(self.0.as_str())
    }

    /// Is this about that customer?
    pub fn is_in(&self, what: &Description) -> bool {
        let phone = what.order.customer_phone.as_ref().map(Phone::digits);
        what.chat.as_ref().is_some_and(|chat| self.is_chat(chat)) || phone.as_ref() == Some(&self.0)
    }

    /// Does something that a person, a shop or WAHA wrote quote the number?
    pub fn is_quoted_in(&self, text: &str) -> bool {
        self.is_among(text.as_bytes())
            || text.len() <= QUOTED_MAX && {
                let digits = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')');
                text.split(|c| !digits(c))
                    .any(|run| run.bytes().filter(u8::is_ascii_digit).eq(self.0.bytes()))
            }
    }

    /// Is the number, and not only a part of a longer one, among these bytes?
    pub fn is_among(&self, bytes: &[u8]) -> bool {
        let number = self.0.as_bytes();
        let is_digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_digit);
        bytes.windows(number.len()).enumerate().any(|(at, window)| {
            window == number
                && !is_digit(at.checked_sub(1).and_then(|before| bytes.get(before)))
                && !is_digit(bytes.get(at + number.len()))
        })
    }

    /// Is the case about that customer, or does anything in it quote the number?
    pub fn is_in_case(&self, case: &Case) -> bool {
        let note = case.failure.as_ref().and_then(|failure| failure.resolution.as_ref()?.note.as_deref());
        let lines = case.lines.iter().flat_map(|line| [line.detail.as_deref(), line.message_id.as_deref()]);
        self.is_in(&case.what) || lines.chain([note]).flatten().any(|text| self.is_quoted_in(text))
    }

    /// Is the entry about that customer, or does it quote the number?
    pub fn is_in_entry(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Intent(intent) => self.is_in(&intent.what),
            Entry::Begun(_) => false,
            Entry::Ended(ended) => {
                let quotes = [ended.detail.as_deref(), ended.message_id.as_deref()];
                self.is_in(&ended.what) || quotes.into_iter().flatten().any(|text| self.is_quoted_in(text))
            }
        }
    }

    /// The same without who it was for.
    fn anonymous(&self, what: &Description) -> Arc<Description> {
        let mut what = what.clone();
        if !self.is_in(&what) {
            return Arc::new(what);
        }
        // It is a digest of the chat and the text, among others.
        what.identity = None;
        what.chat = None;
        if self.is_quoted_in(&what.path) {
            what.path = "".into();
        }
        let OrderFacts { order_id, order_number, order_total, customer_name, customer_phone, .. } =
            &mut what.order;
        (*customer_name, *customer_phone) = (None, None);
        for fact in [order_id, order_number, order_total] {
            if fact.as_ref().is_some_and(|fact| self.is_quoted_in(fact)) {
                *fact = None;
            }
        }
        Arc::new(what)
    }

    /// An entry of the ledger without the customer.
    #[must_use]
    pub fn forget_in_entry(&self, entry: Entry) -> Entry {
        match entry {
            Entry::Intent(intent) => {
                Entry::Intent(Intent { what: self.anonymous(&intent.what), request: None, ..intent })
            }
            Entry::Begun(attempt) => Entry::Begun(attempt),
            Entry::Ended(ended) => Entry::Ended(Box::new(Ended {
                what: self.anonymous(&ended.what),
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
    pub fn forget_in_case(&self, mut case: Case) -> Case {
        case.what = self.anonymous(&case.what);
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

    /// What a send that waits for its ack is, without the customer; `None` where it is not about them.
    pub fn without(&self, what: &Description) -> Option<Arc<Description>> {
        self.is_in(what).then(|| self.anonymous(what))
    }

    /// Takes the customer out of a diagnosis that is over. `true` where they were in it.
    pub fn forget_in_diagnosis(&self, diagnosis: &mut Diagnosis) -> bool {
        let theirs = diagnosis.customer_chat.as_ref().is_some_and(|chat| self.is_chat(chat));
        if theirs && diagnosis.verdict.is_none() {
            return false;
        }
        let known = diagnosis.written.len();
        diagnosis.written.retain(|(chat, _)| !self.is_chat(chat));
        if theirs {
            diagnosis.customer_chat = None;
        }
        theirs || diagnosis.written.len() < known
    }

    /// Takes the customer out of what a session was judged by; how many chats failed stays. `true` where they were in it.
    pub fn forget_in_session(&self, session: &mut Session) -> bool {
        let Some(nobody) = ChatId::new(FORGOTTEN_CHAT) else { return false };
        let known = session.restricted_chats.len();
        // It is kept so that they are left in peace; without their number nobody can be.
        session.restricted_chats.retain(|(chat, _)| !self.is_chat(chat));
        let mut moved = session.restricted_chats.len() != known;
        let chats =
            session.failing_chats.iter_mut().chain(session.exhausted.iter_mut().map(|(_, chat)| chat));
        let chats = chats.flatten().chain(session.rejections.iter_mut().map(|one| &mut one.chat));
        for chat in chats.filter(|chat| self.is_chat(chat)) {
            *chat = nobody.clone();
            moved = true;
        }
        moved
    }
}

/// Longest text, in bytes, that is searched for a number with spaces in it.
const QUOTED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{SendId, SessionName};
    use crate::domain::order::OrderFacts;
    use crate::domain::outcome::Cause;
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

    fn juan() -> Forgotten {
        Forgotten::new(&Phone::new("+58 424-1234567").unwrap()).unwrap()
    }

    #[test]
    fn a_number_is_found_in_every_spelling() {
        let forgotten = juan();
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
        case = juan().forget_in_case(case);
        let order = &case.what.order;
        assert_eq!((&order.customer_name, &order.customer_phone, &case.what.chat), (&None, &None, &None));
        assert_eq!(order.order_number.as_deref(), Some("ORD-1"));
    }

    #[test]
    fn a_number_is_quoted_whole_or_not_at_all() {
        let juan = juan();
        for text in ["true_584241234567@c.us_AB", "call +58 424 123.45.67 today", "(58) 424-1234567"] {
            assert!(juan.is_quoted_in(text), "{text}");
        }
        for text in ["5842412345670", "1584241234567", "58 424 1234567 8", "", "584241234"] {
            assert!(!juan.is_quoted_in(text), "{text}");
        }
        assert!(Forgotten::new(&Phone::new("1234").unwrap()).is_none());
    }

    #[test]
    fn a_session_stays_as_ill_as_it_was() {
        let (theirs, other) = (ChatId::new("584241234567@c.us").unwrap(), ChatId::new("58412@c.us").unwrap());
        let mut session = Session::new(SessionName::new("default").unwrap(), Timestamp::EPOCH);
        for chat in [&theirs, &other] {
            session.failed(Timestamp::EPOCH, Some(chat), std::time::Duration::ZERO);
            session.exhausted(Timestamp::EPOCH, Some(chat));
            session.rejected(Timestamp::EPOCH, Some(Cause::ContactRestricted), Some(chat));
        }
        assert!(juan().forget_in_session(&mut session));
        assert!(session.sends_failing());
        assert_eq!(session.failing_chats.iter().flatten().count(), 2);
        assert_eq!(session.restricted_chats.len(), 1);
        let theirs = Some(theirs);
        assert!(!session.failing_chats.contains(&theirs));
        assert!(session.exhausted.iter().all(|(_, chat)| *chat != theirs));
        assert!(session.rejections.iter().all(|one| Some(&one.chat) != theirs.as_ref()));
        assert!(!juan().forget_in_session(&mut session), "nothing left to do");
    }
}
