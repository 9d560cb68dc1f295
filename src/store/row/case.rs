//! The stored forms of cases and of unheard successes.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use smol_str::SmolStr;

use super::description::DescriptionRow;
use super::diagnosis::FindingRow;
use super::ledger::{AnswerRow, cause, outcome, via};
use super::session::status;
use super::{Bytes16, RowError, at, bytes16, codes, flag, millis, send_id, to_bytes};
use crate::domain::case::{AttemptLine, Case};
use crate::domain::decide::Unheard;
use crate::domain::ledger::AttemptId;
use crate::domain::notification::{Attention, Failure, Method, Resolution};
use crate::domain::outcome::Outcome;
use crate::domain::send::Identity;
use crate::domain::time::Timestamp;

codes!(method: Method {
    BotRecovered = 1, Retry = 2, PhoneCall = 3, Sms = 4, Email = 5, ManualContact = 6, ConfirmedLate = 7, Superseded = 8, Expired = 9,
});
codes!(attention: Attention { Unnotified = 0, Manual = 1 });

#[derive(Encode, Decode)]
#[cbor(map)]
struct CaseRow<'a> {
    #[n(0)]
    send: Bytes16,
    #[b(1)]
    what: DescriptionRow<'a>,
    #[n(2)]
    first_at: i64,
    #[n(3)]
    last_at: i64,
    #[n(4)]
    attempts: u32,
    #[n(5)]
    outcome: u8,
    #[b(6)]
    lines: Vec<LineRow<'a>>,
    #[n(7)]
    exhausted: Option<bool>,
    #[n(8)]
    replayable: Option<bool>,
    #[b(9)]
    failure: Option<FailureRow<'a>>,
    #[n(10)]
    ours_since: Option<i64>,
    #[n(11)]
    doubt: Option<i64>,
    #[n(12)]
    unlookable: Option<bool>,
    /// Always written: a row without it is older than `doubt`.
    #[n(13)]
    replays: Option<u32>,
    #[n(14)]
    finding: Option<FindingRow>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct LineRow<'a> {
    #[n(0)]
    number: u32,
    #[n(1)]
    via: u8,
    #[n(2)]
    started: i64,
    #[n(3)]
    ended: i64,
    #[n(4)]
    outcome: u8,
    #[n(5)]
    cause: Option<u8>,
    #[n(6)]
    status: Option<u16>,
    #[b(7)]
    detail: Option<&'a str>,
    #[b(8)]
    message_id: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct FailureRow<'a> {
    #[n(0)]
    cause: u8,
    #[n(1)]
    created_at: i64,
    #[n(2)]
    status_at_creation: u8,
    #[b(3)]
    resolution: Option<ResolutionRow<'a>>,
    #[n(4)]
    attention: Option<u8>,
    #[b(5)]
    claimed_by: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ResolutionRow<'a> {
    #[n(0)]
    at: i64,
    #[n(1)]
    method: u8,
    #[b(2)]
    by: Option<&'a str>,
    #[b(3)]
    note: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct UnheardRow<'a> {
    #[n(0)]
    send: Bytes16,
    #[n(1)]
    number: u32,
    #[n(2)]
    identity: Bytes16,
    #[n(3)]
    first_at: i64,
    #[n(4)]
    ended: i64,
    #[b(5)]
    answer: AnswerRow<'a>,
}

pub(in crate::store) fn case_row(case: &Case) -> Vec<u8> {
    to_bytes(&CaseRow {
        send: bytes16(case.send),
        what: DescriptionRow::from(&*case.what),
        first_at: case.first_at.millis(),
        last_at: case.last_at.millis(),
        attempts: case.attempts,
        outcome: outcome::code(case.outcome),
        lines: case.lines.iter().map(LineRow::from).collect(),
        exhausted: flag(case.exhausted),
        replayable: flag(case.replayable),
        failure: case.failure.as_ref().map(FailureRow::from),
        ours_since: millis(case.ours_since),
        doubt: millis(case.doubt),
        unlookable: flag(case.unlookable),
        replays: Some(case.replays),
        finding: case.finding.as_deref().map(FindingRow::from),
    })
}

pub(in crate::store) fn case_of(bytes: &[u8]) -> Result<Case, RowError> {
    let row: CaseRow<'_> = minicbor::decode(bytes)?;
    let outcome = outcome::of(row.outcome)?;
    let lines: Vec<_> = row.lines.iter().map(LineRow::to_domain).collect::<Result<_, _>>()?;
    Ok(Case {
        send: send_id(row.send),
        what: Arc::new(row.what.to_domain()?),
        first_at: at(row.first_at),
        last_at: at(row.last_at),
        attempts: row.attempts,
        outcome,
        exhausted: row.exhausted.unwrap_or(false),
        replayable: row.replayable.unwrap_or(false),
        failure: row.failure.as_ref().map(FailureRow::to_domain).transpose()?,
        ours_since: row.ours_since.map(at),
        doubt: match row.replays {
            Some(_) => row.doubt.map(at),
            None => doubt_before_it_was_stored(outcome, at(row.last_at), &lines),
        },
        lines,
        unlookable: row.unlookable.unwrap_or(false),
        replays: row.replays.unwrap_or(0),
        finding: row.finding.as_ref().map(FindingRow::to_domain).transpose()?.map(Box::new),
    })
}

/// The doubt of a case written before doubts were stored: nobody looked then, so whatever may have arrived still may have. Without it such
/// a case would be sent again unlooked-at.
fn doubt_before_it_was_stored(
    outcome: Outcome,
    last_at: Timestamp,
    lines: &[AttemptLine],
) -> Option<Timestamp> {
    let unclear = lines.iter().filter(|line| line.outcome == Outcome::Ambiguous).map(|line| line.ended);
    unclear.max().or_else(|| (outcome == Outcome::Ambiguous).then_some(last_at))
}

impl<'a> From<&'a AttemptLine> for LineRow<'a> {
    fn from(line: &'a AttemptLine) -> Self {
        Self {
            number: line.number,
            via: via::code(line.via),
            started: line.started.millis(),
            ended: line.ended.millis(),
            outcome: outcome::code(line.outcome),
            cause: line.cause.map(cause::code),
            status: line.status,
            detail: line.detail.as_deref(),
            message_id: line.message_id.as_deref(),
        }
    }
}

impl LineRow<'_> {
    fn to_domain(&self) -> Result<AttemptLine, RowError> {
        Ok(AttemptLine {
            number: self.number,
            via: via::of(self.via)?,
            started: at(self.started),
            ended: at(self.ended),
            outcome: outcome::of(self.outcome)?,
            cause: self.cause.map(cause::of).transpose()?,
            status: self.status,
            detail: self.detail.map(str::to_owned),
            message_id: self.message_id.map(SmolStr::new),
        })
    }
}

impl<'a> From<&'a Failure> for FailureRow<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            cause: cause::code(failure.cause),
            created_at: failure.created_at.millis(),
            status_at_creation: status::code(failure.status_at_creation),
            resolution: failure.resolution.as_ref().map(|resolution| ResolutionRow {
                at: resolution.at.millis(),
                method: method::code(resolution.method),
                by: resolution.by.as_deref(),
                note: resolution.note.as_deref(),
            }),
            attention: (failure.attention != Attention::default())
                .then(|| attention::code(failure.attention)),
            claimed_by: failure.claimed_by.as_deref(),
        }
    }
}

impl FailureRow<'_> {
    fn to_domain(&self) -> Result<Failure, RowError> {
        let resolution = |row: &ResolutionRow<'_>| {
            Ok::<_, RowError>(Resolution {
                at: at(row.at),
                method: method::of(row.method)?,
                by: row.by.map(str::to_owned),
                note: row.note.map(str::to_owned),
            })
        };
        Ok(Failure {
            cause: cause::of(self.cause)?,
            created_at: at(self.created_at),
            status_at_creation: status::of(self.status_at_creation)?,
            attention: self.attention.map(attention::of).transpose()?.unwrap_or_default(),
            claimed_by: self.claimed_by.map(str::to_owned),
            resolution: self.resolution.as_ref().map(resolution).transpose()?,
        })
    }
}

pub(in crate::store) fn unheard_row(unheard: &Unheard) -> Vec<u8> {
    to_bytes(&UnheardRow {
        send: bytes16(unheard.attempt.send),
        number: unheard.attempt.number,
        identity: (*unheard.identity.as_bytes()).into(),
        first_at: unheard.first_at.millis(),
        ended: unheard.ended.millis(),
        answer: AnswerRow::from(&*unheard.answer),
    })
}

pub(in crate::store) fn unheard_of(bytes: &[u8]) -> Result<Unheard, RowError> {
    let row: UnheardRow<'_> = minicbor::decode(bytes)?;
    Ok(Unheard {
        attempt: AttemptId { send: send_id(row.send), number: row.number },
        identity: Identity::from_bytes(*row.identity),
        first_at: at(row.first_at),
        ended: at(row.ended),
        answer: Arc::new(row.answer.to_domain()),
    })
}
