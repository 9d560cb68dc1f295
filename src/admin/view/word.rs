//! Closed sets of words, as the API spells them: each knows all the words it may be, so that the OpenAPI document cannot forget one.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::alert::Says;
use crate::domain::confirmation::{Confirmation, FeedState};
use crate::domain::delivery::Channel;
use crate::domain::diagnosis::Verdict;
use crate::domain::ledger::Via;
use crate::domain::notification::{Attention, Method};
use crate::domain::order::NotificationType;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::recovery::Held;
use crate::domain::send::SendKind;
use crate::domain::status::{Confidence, Reason, Status};
use crate::store::StoreState;

fn words(about: &'static str, all: Vec<&'static str>) -> RefOr<Schema> {
    let kind = SchemaType::Type(Type::String);
    ObjectBuilder::new().schema_type(kind).description(Some(about)).enum_values(Some(all)).into()
}

/// Declares words by the values of a type that knows its word.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident of $from:ty: $all:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(&'static str);

        impl From<$from> for $name {
            fn from(value: $from) -> Self {
                Self(value.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                words(concat!($($doc),+).trim_ascii(), $all.into_iter().map(|one| one.as_str()).collect())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

words! {
    /// Is the bot speaking?
    StatusWord of Status: Status::ALL;
    /// How sure a status is.
    ConfidenceWord of Confidence: [Confidence::Low, Confidence::Medium, Confidence::High];
    /// Why a status is what it is.
    ReasonWord of Reason: Reason::ALL;
    /// What a notification tells the customer.
    TypeWord of NotificationType: NotificationType::ALL;
    /// How an attempt ended.
    OutcomeWord of Outcome: Outcome::ALL;
    /// Why an attempt was not accepted.
    CauseWord of Cause: Cause::ALL;
    /// What a failed notification asks of people.
    AttentionWord of Attention: [Attention::Unnotified, Attention::Manual];
    /// Why a failed notification is not sent again by itself.
    HeldWord of Held: HELD;
    /// How far a message got.
    ConfirmationWord of Confirmation: Confirmation::ALL;
    /// How a failed notification was settled.
    MethodWord of Method: Method::ALL;
    /// What a diagnosis found.
    VerdictWord of Verdict: Verdict::ALL;
    /// Who made an attempt.
    ViaWord of Via: [Via::Bot, Via::Retry, Via::Replay, Via::Look, Via::Latch];
    /// What kind of send it is.
    KindWord of SendKind: SendKind::ALL;
    /// How WAHA's events are followed.
    FeedWord of FeedState: [FeedState::Off, FeedState::Connecting, FeedState::Connected, FeedState::Refused];
    /// What a probe found: the session's state, or why that is not known.
    ProbeWord of ProbeResult: probe_results();
    /// A way to reach the admins.
    ChannelWord of Channel: Channel::ALL;
    /// Can sends be recorded?
    StoreWord of StoreState: StoreState::ALL;
}

const HELD: [Held; 9] = [
    Held::NothingKept,
    Held::Rejected,
    Held::NotConfirmed,
    Held::BotHasIt,
    Held::NotLooked,
    Held::MayHaveArrived,
    Held::TooOld,
    Held::Superseded,
    Held::Restricted,
];

fn probe_results() -> Vec<ProbeResult> {
    let states = SessionState::ALL.map(ProbeResult::of);
    let others = [
        ProbeResult::Missing,
        ProbeResult::Unauthorized,
        ProbeResult::Unreachable,
        ProbeResult::TimedOut,
        ProbeResult::Strange,
    ];
    states.into_iter().chain(others).collect()
}

/// What an alert says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SaysWord(&'static str);

impl From<&Says> for SaysWord {
    fn from(says: &Says) -> Self {
        Self(says.as_str())
    }
}

impl PartialSchema for SaysWord {
    fn schema() -> RefOr<Schema> {
        words("What an alert says.", Says::WORDS.to_vec())
    }
}

impl ToSchema for SaysWord {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SaysWord")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_in_its_list() {
        let RefOr::T(Schema::Object(schema)) = StatusWord::schema() else { panic!("an object") };
        let values = serde_json::to_value(&schema).unwrap();
        assert_eq!(values["enum"].as_array().unwrap().len(), Status::ALL.len());
        assert_eq!(values["description"], "Is the bot speaking?");
        assert_eq!(serde_json::to_value(StatusWord::from(Status::Online)).unwrap(), "online");
    }
}
