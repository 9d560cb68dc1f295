//! The stored forms of ledger entries, requests and answers.

use std::sync::Arc;

use bytes::Bytes;
use minicbor::bytes::ByteSlice;
use minicbor::{Decode, Encode};
use smol_str::SmolStr;

use super::description::DescriptionRow;
use super::{Bytes16, RowError, at, bytes16, codes, flag, send_id, to_bytes, write};
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredAnswer, StoredRequest, Via};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::send::Content;
use crate::store::sends::SendSummary;

codes!(via: Via { Bot = 1, Retry = 2, Latch = 3, Replay = 4, Look = 5 });
codes!(outcome: Outcome { Accepted = 1, Rejected = 2, Failed = 3, Ambiguous = 4 });
codes!(cause: Cause {
    ConnectionRefused = 1, Dns = 2, Tls = 3, ConnectTimeout = 4, TooManyRequests = 5, Unavailable = 6, SessionMissing = 7,
    SessionNotWorking = 8, Unauthorized = 9, Redirected = 10, BadRequest = 11, NotFound = 12, TooLarge = 13, NotImplemented = 14,
    NumberNotOnWhatsapp = 15, ContactRestricted = 16, RefusedByWhatsapp = 17, IncompleteRequest = 18, ResponseTimeout = 19,
    ConnectionLost = 20, ServerError = 21, TruncatedAnswer = 22, SaidFailed = 23, Interrupted = 24,
    NeverConfirmed = 25, DeliveryFailed = 26, ReportedByBot = 27,
});

/// What a ledger row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Intent,
    Outcome,
}
codes!(row_kind: Kind { Intent = 1, Outcome = 2 });

/// One row for both kinds; an intent has no outcome.
#[derive(Encode, Decode)]
#[cbor(map)]
struct LedgerRow<'a> {
    #[n(0)]
    kind: u8,
    #[n(1)]
    send: Bytes16,
    #[n(2)]
    number: u32,
    #[n(3)]
    via: u8,
    #[n(4)]
    started: i64,
    /// Where it differs from `started`.
    #[n(5)]
    first_at: Option<i64>,
    /// Milliseconds from `started` to the end.
    #[n(6)]
    took: Option<i64>,
    #[n(7)]
    outcome: Option<u8>,
    #[n(8)]
    cause: Option<u8>,
    #[n(9)]
    status: Option<u16>,
    #[b(10)]
    what: DescriptionRow<'a>,
    #[b(11)]
    detail: Option<&'a str>,
    #[b(12)]
    message_id: Option<&'a str>,
    #[n(13)]
    given_up: Option<bool>,
    #[b(14)]
    unheard: Option<AnswerRow<'a>>,
    #[b(15)]
    request: Option<RequestRow<'a>>,
}

/// The first fields of a row: enough to know what it is about, without reading the rest.
#[derive(Decode)]
#[cbor(map)]
struct GlanceRow {
    #[n(0)]
    kind: u8,
    #[n(1)]
    send: Bytes16,
    #[n(2)]
    number: u32,
    #[n(4)]
    started: i64,
    #[n(6)]
    took: Option<i64>,
    #[n(15)]
    request: Option<Present>,
}

/// Something that is there and is not looked at.
struct Present;

impl<'b, C> Decode<'b, C> for Present {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.skip()?;
        Ok(Self)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct RequestRow<'a> {
    #[b(0)]
    method: &'a str,
    #[b(1)]
    target: &'a str,
    #[b(2)]
    content_type: Option<&'a str>,
    #[b(3)]
    body: &'a ByteSlice,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct AnswerRow<'a> {
    #[n(0)]
    status: u16,
    #[b(1)]
    content_type: Option<&'a str>,
    #[b(2)]
    body: &'a ByteSlice,
    #[n(3)]
    asked: Bytes16,
}

impl<'a> From<&'a StoredRequest> for RequestRow<'a> {
    fn from(request: &'a StoredRequest) -> Self {
        Self {
            method: &request.method,
            target: &request.target,
            content_type: request.content_type.as_deref(),
            body: (&*request.body).into(),
        }
    }
}

impl RequestRow<'_> {
    fn to_domain(&self) -> StoredRequest {
        StoredRequest {
            method: self.method.to_owned(),
            target: self.target.to_owned(),
            content_type: self.content_type.map(str::to_owned),
            body: Bytes::copy_from_slice(self.body),
        }
    }
}

impl<'a> From<&'a StoredAnswer> for AnswerRow<'a> {
    fn from(answer: &'a StoredAnswer) -> Self {
        Self {
            status: answer.status,
            content_type: answer.content_type.as_deref(),
            body: (&*answer.body).into(),
            asked: (*answer.asked.as_bytes()).into(),
        }
    }
}

impl AnswerRow<'_> {
    pub(super) fn to_domain(&self) -> StoredAnswer {
        StoredAnswer {
            status: self.status,
            content_type: self.content_type.map(str::to_owned),
            body: Bytes::copy_from_slice(self.body),
            asked: Content::from_bytes(*self.asked),
        }
    }
}

/// Writes the row of an entry behind what is in `row`; `false` for what is never stored.
pub(in crate::store) fn entry_row(entry: &Entry, row: &mut Vec<u8>) -> bool {
    let stored = match entry {
        Entry::Begun(_) => return false,
        Entry::Intent(intent) => LedgerRow {
            kind: row_kind::code(Kind::Intent),
            send: bytes16(intent.attempt.send),
            number: intent.attempt.number,
            via: via::code(intent.via),
            started: intent.started.millis(),
            first_at: (intent.first_at != intent.started).then(|| intent.first_at.millis()),
            took: None,
            outcome: None,
            cause: None,
            status: None,
            what: DescriptionRow::from(&*intent.what),
            detail: None,
            message_id: None,
            given_up: None,
            unheard: None,
            request: intent.request.as_deref().map(RequestRow::from),
        },
        Entry::Ended(ended) => LedgerRow {
            kind: row_kind::code(Kind::Outcome),
            send: bytes16(ended.attempt.send),
            number: ended.attempt.number,
            via: via::code(ended.via),
            started: ended.started.millis(),
            first_at: (ended.first_at != ended.started).then(|| ended.first_at.millis()),
            took: Some(ended.ended.millis().wrapping_sub(ended.started.millis())),
            outcome: Some(outcome::code(ended.outcome)),
            cause: ended.cause.map(cause::code),
            status: ended.status,
            what: DescriptionRow::from(&*ended.what),
            detail: ended.detail.as_deref(),
            message_id: ended.message_id.as_deref(),
            given_up: flag(ended.given_up),
            unheard: ended.unheard.as_deref().map(AnswerRow::from),
            request: ended.request.as_deref().map(RequestRow::from),
        },
    };
    write(&stored, row);
    true
}

impl LedgerRow<'_> {
    fn attempt(&self) -> AttemptId {
        AttemptId { send: send_id(self.send), number: self.number }
    }

    fn outcome(&self) -> Result<Outcome, RowError> {
        outcome::of(self.outcome.ok_or(RowError::Invalid("outcome row: it has none"))?)
    }

    fn ended(&self) -> i64 {
        self.started.wrapping_add(self.took.unwrap_or(0))
    }
}

/// The entry of a row.
pub(in crate::store) fn entry_of(bytes: &[u8]) -> Result<Entry, RowError> {
    let row: LedgerRow<'_> = minicbor::decode(bytes)?;
    let request = row.request.as_ref().map(|request| Arc::new(request.to_domain()));
    let what = Arc::new(row.what.to_domain()?);
    let first_at = at(row.first_at.unwrap_or(row.started));
    Ok(match row_kind::of(row.kind)? {
        Kind::Intent => Entry::Intent(Intent {
            attempt: row.attempt(),
            via: via::of(row.via)?,
            first_at,
            started: at(row.started),
            what,
            request,
        }),
        Kind::Outcome => Entry::Ended(Box::new(Ended {
            attempt: row.attempt(),
            via: via::of(row.via)?,
            first_at,
            started: at(row.started),
            ended: at(row.ended()),
            what,
            outcome: row.outcome()?,
            cause: row.cause.map(cause::of).transpose()?,
            status: row.status,
            detail: row.detail.map(str::to_owned),
            message_id: row.message_id.map(SmolStr::new),
            given_up: row.given_up.unwrap_or(false),
            unheard: row.unheard.as_ref().map(|answer| Arc::new(answer.to_domain())),
            request,
        })),
    })
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Glance {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) attempt: AttemptId,
    /// When the attempt ended, or started, where it is an intent.
    pub(in crate::store) at: crate::domain::time::Timestamp,
    pub(in crate::store) holds_request: bool,
}

/// Looks at a row without reading all of it.
pub(in crate::store) fn glance(bytes: &[u8]) -> Result<Glance, RowError> {
    let row: GlanceRow = minicbor::decode(bytes)?;
    Ok(Glance {
        kind: row_kind::of(row.kind)?,
        attempt: AttemptId { send: send_id(row.send), number: row.number },
        at: at(row.started.wrapping_add(row.took.unwrap_or(0))),
        holds_request: row.request.is_some(),
    })
}

/// The same row without the request it holds.
pub(in crate::store) fn without_request(bytes: &[u8]) -> Result<Vec<u8>, RowError> {
    let mut row: LedgerRow<'_> = minicbor::decode(bytes)?;
    row.request = None;
    Ok(to_bytes(&row))
}

/// The send of a row, as far as this attempt tells: an intent counts as ambiguous.
pub(in crate::store) fn summary_of(bytes: &[u8]) -> Result<SendSummary, RowError> {
    let row: LedgerRow<'_> = minicbor::decode(bytes)?;
    let (outcome, cause) = match row_kind::of(row.kind)? {
        Kind::Intent => (Outcome::Ambiguous, Some(Cause::Interrupted)),
        Kind::Outcome => (row.outcome()?, row.cause.map(cause::of).transpose()?),
    };
    Ok(SendSummary {
        send: send_id(row.send),
        what: Arc::new(row.what.to_domain()?),
        outcome,
        cause,
        attempts: row.number,
        first_at: at(row.first_at.unwrap_or(row.started)),
        last_at: at(row.ended()),
        last_status: row.status,
        message_id: row.message_id.map(SmolStr::new),
        via: via::of(row.via)?,
    })
}

pub(in crate::store) fn request_row(request: &StoredRequest) -> Vec<u8> {
    to_bytes(&RequestRow::from(request))
}

pub(in crate::store) fn request_of(bytes: &[u8]) -> Result<StoredRequest, RowError> {
    Ok(minicbor::decode::<RequestRow<'_>>(bytes)?.to_domain())
}
