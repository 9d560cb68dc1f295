//! The way back: which pending notifications may be sent again, which are held and why, and how fast (SPEC 4.4, 9).
//!
//! Pure rules over one case; who is next, and whether the channel is back, is `decide`'s.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use super::case::Case;
use super::confirmation::MessageId;
use super::forget::Forgotten;
use super::id::{ChatId, SendId};
use super::order::{NotificationType, OrderFacts};
use super::outcome::Outcome;
use super::recent::Recent;
use super::time::Timestamp;

/// The rules' numbers.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryPolicy {
    /// `recovery.enabled`: is anything sent again without a person's wish?
    pub enabled: bool,
    /// `recovery.pace`: from one replay to the next.
    pub interval: Duration,
    /// `recovery.max_age` and `recovery.max_age_for`: nothing older is sent again.
    pub max_age: MaxAge,
    /// `retry.ambiguous`.
    pub ambiguous: Ambiguity,
}

/// How old a notification may be and still be sent again, by its type (SPEC 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    usual: Duration,
    by_type: [Option<Duration>; NotificationType::ALL.len()],
}

impl MaxAge {
    /// The same for all types.
    pub const fn all(usual: Duration) -> Self {
        Self { usual, by_type: [None; NotificationType::ALL.len()] }
    }

    /// But another one for this type.
    #[must_use]
    pub fn but(mut self, kind: NotificationType, age: Duration) -> Self {
        let ages = NotificationType::ALL.into_iter().zip(&mut self.by_type);
        ages.filter(|(other, _)| *other == kind).for_each(|(_, slot)| *slot = Some(age));
        self
    }

    /// That of a type.
    pub fn of(&self, kind: NotificationType) -> Duration {
        let mut ages = NotificationType::ALL.into_iter().zip(self.by_type);
        ages.find(|(other, _)| *other == kind).and_then(|(_, age)| age).unwrap_or(self.usual)
    }

    /// The longest of all: until then anything may still be sent again.
    pub fn longest(&self) -> Duration {
        self.by_type.iter().flatten().copied().fold(self.usual, Duration::max)
    }
}

/// What becomes of a send that may have arrived, where WAHA cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// A person decides.
    Hold,
    /// It is sent again, and may arrive twice.
    Resend,
}

/// Why a pending notification is not sent again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// Its request is not kept: too large, or dropped.
    NothingKept,
    /// WAHA rejected it for good.
    Rejected,
    /// It was accepted, and only never confirmed: it may well have arrived.
    NotConfirmed,
    /// The bot may still send it itself.
    BotHasIt,
    /// It may have arrived, and WAHA was not asked yet.
    NotLooked,
    /// It may have arrived, and WAHA cannot tell: a person decides.
    MayHaveArrived,
    /// Older than `recovery.max_age`.
    TooOld,
    /// A later notification of the same order waits or was sent.
    Superseded,
    /// WhatsApp restricts this contact, or new contacts.
    Restricted,
}

impl Held {
    /// All reasons, in the order that label sets are created.
    pub const ALL: [Self; 9] = [
        Self::NothingKept,
        Self::Rejected,
        Self::NotConfirmed,
        Self::BotHasIt,
        Self::NotLooked,
        Self::MayHaveArrived,
        Self::TooOld,
        Self::Superseded,
        Self::Restricted,
    ];

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingKept => "nothing_kept",
            Self::Rejected => "rejected",
            Self::NotConfirmed => "not_confirmed",
            Self::BotHasIt => "bot_has_it",
            Self::NotLooked => "not_looked",
            Self::MayHaveArrived => "may_have_arrived",
            Self::TooOld => "too_old",
            Self::Superseded => "superseded",
            Self::Restricted => "restricted",
        }
    }

    /// Does this wait for time or events alone? What does not, waits for a person.
    pub const fn passes_by_itself(self) -> bool {
        matches!(self, Self::BotHasIt | Self::NotLooked)
    }
}

/// Why `case` is held, as far as it alone tells; `None`: it may be sent again.
pub fn held(case: &Case, now: Timestamp, policy: &RecoveryPolicy) -> Option<Held> {
    let doubtful = case.doubt.is_some();
    let max_age = policy.max_age.of(case.what.order.notification_type.unwrap_or_default());
    Some(match () {
        () if case.outcome == Outcome::Rejected => Held::Rejected,
        () if case.outcome == Outcome::Accepted => Held::NotConfirmed,
        () if !case.replayable => Held::NothingKept,
        () if case.ours_since.is_none() => Held::BotHasIt,
        () if now.since(case.first_at) >= max_age => Held::TooOld,
        // Whatever the policy says of those that cannot be looked for: a look goes first.
        () if doubtful && !case.unlookable => Held::NotLooked,
        () if doubtful && policy.ambiguous == Ambiguity::Hold => Held::MayHaveArrived,
        () => return None,
    })
}

/// A send that was tried again in vain is tried again after so long: twice as long each time, within bounds.
pub fn pause_after(replays: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << replays.min(8)).min(PAUSE_MAX)
}

const PAUSE_MIN: Duration = Duration::from_secs(15);
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The message id that all our attempts of a send share, where the engine takes one (SPEC 4.4): one message, however often it is sent.
pub fn message_id(send: SendId) -> MessageId {
    let digest = Sha256::digest(send.as_bytes());
    let digits: String = digest[..9].iter().map(|byte| format!("{byte:02X}")).collect();
    MessageId::new(&format!("3EB0{digits}")).unwrap_or_else(|| unreachable!("22 characters"))
}

/// A replay that a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// Who.
    pub who: String,
    /// It may have arrived, and WAHA could not say: it is sent all the same.
    pub unchecked: bool,
}

/// How the way back goes in one session.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Replays under way: one, and those that people wanted meanwhile.
    pub running: BTreeSet<SendId>,
    /// A run of replays is under way: the channel is back, and one goes out after the other.
    pub run: bool,
    /// No replay before then: the pace.
    pub paced: Timestamp,
    /// When to look again what can be done.
    pub look: Timestamp,
    /// A canary's letter to the admin is under way: its id, and since when.
    pub canary: Option<(super::id::RecordId, Timestamp)>,
    /// Canaries that failed in a row.
    pub tries: u32,
    /// No canary before then.
    pub next_canary: Timestamp,
    /// The canary whose ack is waited for, and since when.
    pub unacked: Option<(SendId, Timestamp)>,
}

impl Recovery {
    /// Something may be possible that was not: look at once. The pace is kept all the same.
    pub const fn hurry(&mut self) {
        self.look = Timestamp::EPOCH;
    }
}

/// Which orders were told of what lately: an order that was told needs no diagnosis, and nothing earlier.
#[derive(Debug)]
pub struct Told(Recent<SmolStr, ToldOf>);

#[derive(Debug)]
struct ToldOf {
    first_at: Timestamp,
    latest: NotificationType,
}

/// So long an order is remembered.
const TOLD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// So many orders at the most.
const TOLD_MAX: usize = 20_000;

impl Default for Told {
    fn default() -> Self {
        Self(Recent::new(TOLD_MAX))
    }
}

impl Told {
    /// An order's customer was told.
    pub fn add(&mut self, order: &OrderFacts, at: Timestamp) {
        let Some(key) = order.key() else { return };
        let latest = order.notification_type.unwrap_or_default();
        let told = self.0.get_or_add(key, || (SmolStr::new(key), ToldOf { first_at: at, latest }));
        told.latest = told.latest.max(latest);
    }

    /// Was this order's customer told this much, or more?
    pub fn knows(&self, order: &OrderFacts) -> bool {
        let kind = order.notification_type.unwrap_or_default();
        self.latest(order).is_some_and(|latest| latest >= kind)
    }

    /// Was it told of something later than this?
    pub fn supersedes(&self, order: &OrderFacts) -> bool {
        let kind = order.notification_type.unwrap_or_default();
        kind != NotificationType::Other && self.latest(order).is_some_and(|latest| latest > kind)
    }

    fn latest(&self, order: &OrderFacts) -> Option<NotificationType> {
        order.key().and_then(|key| self.0.get(key)).map(|told| told.latest)
    }

    /// Forgets what is old.
    pub fn forget(&mut self, now: Timestamp) {
        while self.0.oldest().is_some_and(|told| now.since(told.first_at) >= TOLD_FOR) {
            self.0.forget_oldest();
        }
    }
}

/// Chats that are no new contacts. Bounded; the oldest are forgotten, which only holds more back.
#[derive(Debug)]
pub struct Warm(Recent<ChatId, ()>);

const WARM_MAX: usize = 20_000;

impl Default for Warm {
    fn default() -> Self {
        Self(Recent::new(WARM_MAX))
    }
}

impl Warm {
    /// Something got through there, or came from there.
    pub fn add(&mut self, chat: &ChatId) {
        self.0.get_or_add(chat, || (chat.clone(), ()));
    }

    /// As if nothing had ever been heard of them.
    pub fn forget(&mut self, customer: &Forgotten) {
        self.0.retain(|chat| !customer.is_chat(chat));
    }

    /// Is it no new contact?
    pub fn has(&self, chat: &ChatId) -> bool {
        self.0.get(chat).is_some()
    }
}

/// Replays come up to a fifth sooner or later than the pace says.
const JITTER_MIN: f64 = 0.8;
/// The longest pause between two, in parts of the pace.
pub const JITTER_MAX: f64 = 1.2;

/// Up to a fifth shorter or longer, by the send's own digits: a run of replays must not look like a machine's.
pub fn jittered(interval: Duration, send: SendId) -> Duration {
    let chance = f64::from(send.as_bytes()[15]) / 255.0;
    interval.mul_f64(JITTER_MIN + (JITTER_MAX - JITTER_MIN) * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(key: &str, kind: NotificationType) -> OrderFacts {
        OrderFacts { order_id: Some(key.into()), notification_type: Some(kind), ..OrderFacts::default() }
    }

    #[test]
    fn a_later_notification_makes_an_earlier_one_needless_and_not_the_other_way_round() {
        let mut told = Told::default();
        told.add(&order("1", NotificationType::OrderConfirmed), Timestamp::EPOCH);
        assert!(told.supersedes(&order("1", NotificationType::OrderReceived)));
        assert!(!told.supersedes(&order("1", NotificationType::OrderConfirmed)));
        assert!(!told.supersedes(&order("1", NotificationType::OrderShipped)));
        assert!(!told.supersedes(&order("1", NotificationType::Other)), "has no place in the order");
        assert!(!told.supersedes(&order("2", NotificationType::OrderReceived)));
        assert!(told.knows(&order("1", NotificationType::OrderConfirmed)));
        assert!(!told.knows(&order("1", NotificationType::OrderShipped)));
        told.forget(Timestamp::EPOCH + TOLD_FOR);
        assert!(!told.knows(&order("1", NotificationType::OrderConfirmed)));
    }

    #[test]
    fn a_send_has_one_message_id() {
        let id = message_id(SendId::from_bytes([7; 16]));
        assert_eq!(id, message_id(SendId::from_bytes([7; 16])));
        assert_ne!(id, message_id(SendId::from_bytes([8; 16])));
        assert!(id.as_str().starts_with("3EB0") && id.as_str().len() == 22);
    }

    #[test]
    fn pauses_double_within_bounds() {
        assert_eq!(pause_after(0), Duration::from_secs(15));
        assert_eq!(pause_after(2), Duration::from_secs(60));
        assert_eq!(pause_after(99), PAUSE_MAX);
    }
}
