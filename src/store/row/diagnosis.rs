//! The stored forms of diagnoses and of what they found.

use minicbor::{Decode, Encode};

use super::description::{chat_id, session_name};
use super::ledger::cause;
use super::probe::ProbeRow;
use super::{Bytes16, RowError, at, bytes16, codes, listed, millis, record_id, record16, send_id, to_bytes};
use crate::domain::diagnosis::{Diagnosis, Finding, NotTried, Reached, Step, Verdict};
use crate::domain::id::ChatId;

codes!(verdict: Verdict { WebhookOnly = 1, TotalLoss = 2, Inconclusive = 3 });
codes!(not_tried: NotTried {
    MayHaveArrived = 1, WrittenToLately = 2, Restricted = 3, Nobody = 4, NotNeeded = 5, Shared = 6,
    Unrecorded = 7,
});

/// Whether somebody was reached.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown,
    NotTried,
}
codes!(answer: Answer { Yes = 1, No = 2, Unknown = 3, NotTried = 4 });

/// How far a step is.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Waiting,
    Running,
    Ended,
}
codes!(stage: Stage { Waiting = 1, Running = 2, Ended = 3 });

#[derive(Encode, Decode)]
#[cbor(map)]
struct ReachedRow {
    #[n(0)]
    answer: u8,
    #[n(1)]
    cause: Option<u8>,
    #[n(2)]
    not_tried: Option<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StepRow {
    #[n(0)]
    stage: u8,
    #[n(1)]
    since: Option<i64>,
    #[n(2)]
    reached: Option<ReachedRow>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct FindingRow {
    #[n(0)]
    id: Bytes16,
    #[n(1)]
    verdict: u8,
    #[n(2)]
    at: i64,
    #[n(3)]
    user: ReachedRow,
    #[n(4)]
    admin: ReachedRow,
    #[n(5)]
    number_exists: Option<bool>,
    #[n(6)]
    attempts: u32,
    #[n(7)]
    cause: u8,
    #[n(8)]
    probe: Option<ProbeRow>,
    #[n(9)]
    others_accepted: u32,
    #[n(10)]
    others_failed: u32,
    #[n(11)]
    resolved_at: Option<i64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct DiagnosisRow<'a> {
    #[n(0)]
    id: Bytes16,
    #[b(1)]
    session: &'a str,
    #[n(2)]
    began: i64,
    #[n(3)]
    sends: Vec<Bytes16>,
    #[b(4)]
    customer_chat: Option<&'a str>,
    #[n(5)]
    customer: StepRow,
    #[n(6)]
    admin: StepRow,
    #[n(7)]
    number_exists: Option<bool>,
    #[n(8)]
    attempts: u32,
    #[n(9)]
    cause: u8,
    #[n(10)]
    probe: Option<ProbeRow>,
    #[n(11)]
    others_accepted: u32,
    #[n(12)]
    others_failed: u32,
    #[n(13)]
    verdict: Option<u8>,
    #[b(14)]
    written: Option<Vec<WrittenRow<'a>>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WrittenRow<'a> {
    #[b(0)]
    chat: &'a str,
    #[n(1)]
    at: i64,
}

impl From<Reached> for ReachedRow {
    fn from(reached: Reached) -> Self {
        let (answer, cause, not_tried) = match reached {
            Reached::Yes => (Answer::Yes, None, None),
            Reached::No(cause) => (Answer::No, Some(cause), None),
            Reached::Unknown(cause) => (Answer::Unknown, Some(cause), None),
            Reached::NotTried(why) => (Answer::NotTried, None, Some(why)),
        };
        Self {
            answer: answer::code(answer),
            cause: cause.map(cause::code),
            not_tried: not_tried.map(not_tried::code),
        }
    }
}

impl ReachedRow {
    fn to_domain(&self) -> Result<Reached, RowError> {
        let cause = || cause::of(self.cause.ok_or(RowError::Invalid("step: it has no cause"))?);
        Ok(match answer::of(self.answer)? {
            Answer::Yes => Reached::Yes,
            Answer::No => Reached::No(cause()?),
            Answer::Unknown => Reached::Unknown(cause()?),
            Answer::NotTried => Reached::NotTried(not_tried::of(
                self.not_tried.ok_or(RowError::Invalid("step: nothing says why it was left out"))?,
            )?),
        })
    }
}

impl From<Step> for StepRow {
    fn from(step: Step) -> Self {
        let (stage, since, reached) = match step {
            Step::Waiting => (Stage::Waiting, None, None),
            Step::Running { since } => (Stage::Running, Some(since.millis()), None),
            Step::Ended(reached) => (Stage::Ended, None, Some(reached.into())),
        };
        Self { stage: stage::code(stage), since, reached }
    }
}

impl StepRow {
    fn to_domain(&self) -> Result<Step, RowError> {
        Ok(match stage::of(self.stage)? {
            Stage::Waiting => Step::Waiting,
            Stage::Running => {
                Step::Running { since: at(self.since.ok_or(RowError::Invalid("step: it never began"))?) }
            }
            Stage::Ended => {
                let reached = self.reached.as_ref().ok_or(RowError::Invalid("step: it never ended"))?;
                Step::Ended(reached.to_domain()?)
            }
        })
    }
}

impl From<&Finding> for FindingRow {
    fn from(finding: &Finding) -> Self {
        Self {
            id: record16(finding.id),
            verdict: verdict::code(finding.verdict),
            at: finding.at.millis(),
            user: finding.user.into(),
            admin: finding.admin.into(),
            number_exists: finding.number_exists,
            attempts: finding.attempts,
            cause: cause::code(finding.cause),
            probe: finding.probe.map(ProbeRow::from),
            others_accepted: finding.others_accepted,
            others_failed: finding.others_failed,
            resolved_at: millis(finding.resolved_at),
        }
    }
}

impl FindingRow {
    pub(super) fn to_domain(&self) -> Result<Finding, RowError> {
        Ok(Finding {
            id: record_id(self.id),
            verdict: verdict::of(self.verdict)?,
            at: at(self.at),
            user: self.user.to_domain()?,
            admin: self.admin.to_domain()?,
            number_exists: self.number_exists,
            attempts: self.attempts,
            cause: cause::of(self.cause)?,
            probe: self.probe.as_ref().map(ProbeRow::to_domain).transpose()?,
            others_accepted: self.others_accepted,
            others_failed: self.others_failed,
            resolved_at: self.resolved_at.map(at),
        })
    }
}

pub(in crate::store) fn diagnosis_row(diagnosis: &Diagnosis) -> Vec<u8> {
    to_bytes(&DiagnosisRow {
        id: record16(diagnosis.id),
        session: diagnosis.session.as_str(),
        began: diagnosis.began.millis(),
        sends: diagnosis.sends.iter().map(|send| bytes16(*send)).collect(),
        customer_chat: diagnosis.customer_chat.as_ref().map(ChatId::expose),
        customer: diagnosis.customer.into(),
        admin: diagnosis.admin.into(),
        number_exists: diagnosis.number_exists,
        attempts: diagnosis.attempts,
        cause: cause::code(diagnosis.cause),
        probe: diagnosis.probe.map(ProbeRow::from),
        others_accepted: diagnosis.others_accepted,
        others_failed: diagnosis.others_failed,
        verdict: diagnosis.verdict.map(verdict::code),
        written: listed(
            (diagnosis.written.iter())
                .map(|(chat, at)| WrittenRow { chat: chat.expose(), at: at.millis() })
                .collect(),
        ),
    })
}

pub(in crate::store) fn diagnosis_of(bytes: &[u8]) -> Result<Diagnosis, RowError> {
    let row: DiagnosisRow<'_> = minicbor::decode(bytes)?;
    Ok(Diagnosis {
        id: record_id(row.id),
        session: session_name(row.session)?,
        began: at(row.began),
        sends: row.sends.into_iter().map(send_id).collect(),
        customer_chat: row.customer_chat.map(chat_id).transpose()?,
        customer: row.customer.to_domain()?,
        admin: row.admin.to_domain()?,
        number_exists: row.number_exists,
        attempts: row.attempts,
        cause: cause::of(row.cause)?,
        probe: row.probe.as_ref().map(ProbeRow::to_domain).transpose()?,
        others_accepted: row.others_accepted,
        others_failed: row.others_failed,
        verdict: row.verdict.map(verdict::of).transpose()?,
        written: (row.written.iter().flatten())
            .map(|row| Ok((chat_id(row.chat)?, at(row.at))))
            .collect::<Result<_, RowError>>()?,
    })
}
