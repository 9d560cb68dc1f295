//! The diagnosis of a send that was given up: who is at fault, the number or the channel (SPEC 5).
//!
//! A ladder of two steps, a simple message to the customer, then one to the admin. What follows from how they went is decided here;
//! when to begin and what to do is `decide`'s.

use std::time::Duration;

use super::id::{ChatId, RecordId, SendId, SessionName};
use super::outcome::{Cause, Outcome};
use super::probe::ProbeResult;
use super::time::Timestamp;

/// A step is decided after so long; it runs on, and a late acceptance corrects the verdict.
pub const STEP_WAIT: Duration = Duration::from_secs(10);

/// What a diagnosis found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The channel works: the customer or the admin was reached.
    WebhookOnly,
    /// Nobody could be reached.
    TotalLoss,
    /// There was nobody to write to.
    Inconclusive,
}

impl Verdict {
    /// All, in the order that label sets are created.
    pub const ALL: [Self; 3] = [Self::WebhookOnly, Self::TotalLoss, Self::Inconclusive];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookOnly => "WEBHOOK_ONLY",
            Self::TotalLoss => "TOTAL_COMMUNICATION_LOSS",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// Whether somebody was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// WAHA accepted the message.
    Yes,
    /// Surely not.
    No(Cause),
    /// It may have arrived.
    Unknown(Cause),
    /// Nobody tried.
    NotTried(NotTried),
}

impl Reached {
    /// From how the step ended.
    pub fn of(outcome: Outcome, cause: Option<Cause>) -> Self {
        let cause = cause.unwrap_or(Cause::Interrupted);
        match outcome {
            Outcome::Accepted => Self::Yes,
            Outcome::Failed | Outcome::Rejected => Self::No(cause),
            Outcome::Ambiguous => Self::Unknown(cause),
        }
    }

    /// Nobody tried, our own key was refused, or our own process ended meanwhile: none of it speaks against the channel.
    const fn proves_nothing(self) -> bool {
        matches!(self, Self::NotTried(_) | Self::No(Cause::Unauthorized) | Self::Unknown(Cause::Interrupted))
    }

    /// `Some(true)` reached, `Some(false)` surely not, `None` unknown or not tried.
    pub const fn answer(self) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No(_) => Some(false),
            Self::Unknown(_) | Self::NotTried(_) => None,
        }
    }
}

/// Why a step was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// The original may have arrived: a second message would contradict it.
    MayHaveArrived,
    /// This customer got such a message a moment ago.
    WrittenToLately,
    /// WhatsApp restricts this contact: another message makes it worse.
    Restricted,
    /// There is nobody to write to.
    Nobody,
    /// The step before it has answered.
    NotNeeded,
    /// Other sends failed with this one and share its verdict.
    Shared,
    /// It could not be written down that it begins, and a customer is never written to unrecorded.
    Unrecorded,
}

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not begun.
    Waiting,
    /// Begun, and perhaps sent: never begun again.
    Running {
        /// When.
        since: Timestamp,
    },
    /// Over.
    Ended(Reached),
}

/// Whom a step writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// The customer.
    Customer,
    /// The admin.
    Admin,
}

/// A diagnosis under way, one per session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its id; its letters carry it too.
    pub id: RecordId,
    /// The session.
    pub session: SessionName,
    /// When it began.
    pub began: Timestamp,
    /// The sends that wait for its verdict; the first one's customer is written to.
    pub sends: Vec<SendId>,
    /// That customer.
    pub customer_chat: Option<ChatId>,
    /// Customers whom diagnoses of this session wrote to lately, and when: after a crash nothing else may know it of those whose record was
    /// settled before the verdict.
    pub written: Vec<(ChatId, Timestamp)>,
    /// The simple message to the customer.
    pub customer: Step,
    /// The message to the admin.
    pub admin: Step,
    /// Is the number on WhatsApp? Asked beside the admin's step.
    pub number_exists: Option<bool>,
    /// Attempts and last cause of the send it began with.
    pub attempts: u32,
    /// Its last cause.
    pub cause: Cause,
    /// What the last probe found when it began.
    pub probe: Option<ProbeResult>,
    /// Chats with an accepted send in the minute before it began.
    pub others_accepted: u32,
    /// Chats with an unsuccessful send since the last success, when it began.
    pub others_failed: u32,
    /// What it found; kept for late corrections.
    pub verdict: Option<Verdict>,
}

/// Most sends that share a diagnosis by name; what comes later is diagnosed after it, with the same verdict at hand.
pub const SENDS_MAX: usize = 1000;

/// Most customers written to lately that are remembered with a diagnosis; beyond it the oldest are left out.
pub const WRITTEN_MAX: usize = 1000;

impl Diagnosis {
    /// The step of `rung`.
    pub const fn step(&self, rung: Rung) -> Step {
        match rung {
            Rung::Customer => self.customer,
            Rung::Admin => self.admin,
        }
    }

    /// Sets the step of `rung`.
    pub const fn set(&mut self, rung: Rung, step: Step) {
        match rung {
            Rung::Customer => self.customer = step,
            Rung::Admin => self.admin = step,
        }
    }

    /// Its customer is written to.
    pub fn writes_to(&mut self, chat: ChatId, now: Timestamp) {
        self.written.push((chat, now));
        let excess = self.written.len().saturating_sub(WRITTEN_MAX);
        self.written.drain(..excess);
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        match (self.customer, self.admin) {
            (Step::Waiting, _) => Next::Begin(Rung::Customer),
            (Step::Running { since }, _) | (_, Step::Running { since }) => Next::Wait(since + STEP_WAIT),
            (Step::Ended(Reached::Yes), _) => Next::Conclude(Verdict::WebhookOnly),
            (Step::Ended(_), Step::Waiting) => Next::Begin(Rung::Admin),
            (Step::Ended(_), Step::Ended(Reached::Yes)) => Next::Conclude(Verdict::WebhookOnly),
            (Step::Ended(customer), Step::Ended(admin))
                if customer.proves_nothing() && admin.proves_nothing() =>
            {
                Next::Conclude(Verdict::Inconclusive)
            }
            // A step that only our own store kept from being tried might have reached somebody.
            (Step::Ended(Reached::NotTried(NotTried::Unrecorded)), Step::Ended(_))
            | (Step::Ended(_), Step::Ended(Reached::NotTried(NotTried::Unrecorded))) => {
                Next::Conclude(Verdict::Inconclusive)
            }
            (Step::Ended(_), Step::Ended(_)) => Next::Conclude(Verdict::TotalLoss),
        }
    }

    /// What is written down of it for a send; `first` where it is the one the ladder wrote about.
    pub fn finding(&self, verdict: Verdict, at: Timestamp, first: bool) -> Finding {
        let reached = |step| match step {
            Step::Ended(reached) => reached,
            Step::Waiting | Step::Running { .. } => Reached::NotTried(NotTried::NotNeeded),
        };
        let user = if first { reached(self.customer) } else { Reached::NotTried(NotTried::Shared) };
        Finding {
            id: self.id,
            verdict,
            at,
            user,
            admin: reached(self.admin),
            number_exists: self.number_exists.filter(|_| first),
            attempts: self.attempts,
            cause: self.cause,
            probe: self.probe,
            others_accepted: self.others_accepted,
            others_failed: self.others_failed,
            resolved_at: None,
        }
    }
}

/// What comes next in a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin this step, or leave it out.
    Begin(Rung),
    /// The running step is decided then.
    Wait(Timestamp),
    /// It is over.
    Conclude(Verdict),
}

/// What a diagnosis found out about one send: the record of a communication failure, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The diagnosis.
    pub id: RecordId,
    /// What it says.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// Was the customer reached?
    pub user: Reached,
    /// Was the admin reached?
    pub admin: Reached,
    /// Is the number on WhatsApp, where that was asked?
    pub number_exists: Option<bool>,
    /// Evidence: attempts of the send the diagnosis began with.
    pub attempts: u32,
    /// Evidence: why its last attempt failed.
    pub cause: Cause,
    /// Evidence: what the last probe had found.
    pub probe: Option<ProbeResult>,
    /// Evidence: chats with an accepted send in the minute before.
    pub others_accepted: u32,
    /// Evidence: chats with unsuccessful sends since the last success.
    pub others_failed: u32,
    /// When the channel was back, or the record resolved.
    pub resolved_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(customer: Step, admin: Step) -> Diagnosis {
        Diagnosis {
            id: RecordId::from_bytes([1; 16]),
            session: SessionName::new("default").unwrap(),
            began: Timestamp::EPOCH,
            sends: vec![SendId::from_bytes([2; 16])],
            customer_chat: ChatId::new("584240000001"),
            written: Vec::new(),
            customer,
            admin,
            number_exists: None,
            attempts: 4,
            cause: Cause::ConnectionRefused,
            probe: None,
            others_accepted: 0,
            others_failed: 1,
            verdict: None,
        }
    }

    #[test]
    fn the_ladder() {
        use Reached::{No, NotTried, Unknown, Yes};
        use Step::{Ended, Running, Waiting};
        let since = Timestamp::EPOCH;
        let refused = No(Cause::ConnectionRefused);
        let lost = Unknown(Cause::ResponseTimeout);
        let nobody = NotTried(super::NotTried::Nobody);
        let unrecorded = NotTried(super::NotTried::Unrecorded);
        let rows = [
            (Waiting, Waiting, Next::Begin(Rung::Customer)),
            (Running { since }, Waiting, Next::Wait(since + STEP_WAIT)),
            (Ended(Yes), Waiting, Next::Conclude(Verdict::WebhookOnly)),
            (Ended(refused), Waiting, Next::Begin(Rung::Admin)),
            (Ended(nobody), Waiting, Next::Begin(Rung::Admin)),
            (Ended(lost), Running { since }, Next::Wait(since + STEP_WAIT)),
            (Ended(lost), Ended(Yes), Next::Conclude(Verdict::WebhookOnly)),
            (Ended(refused), Ended(refused), Next::Conclude(Verdict::TotalLoss)),
            (Ended(nobody), Ended(refused), Next::Conclude(Verdict::TotalLoss)),
            (Ended(lost), Ended(nobody), Next::Conclude(Verdict::TotalLoss)),
            (Ended(nobody), Ended(nobody), Next::Conclude(Verdict::Inconclusive)),
            (
                Ended(No(Cause::Unauthorized)),
                Ended(No(Cause::Unauthorized)),
                Next::Conclude(Verdict::Inconclusive),
            ),
            (Ended(nobody), Ended(Unknown(Cause::Interrupted)), Next::Conclude(Verdict::Inconclusive)),
            (Ended(unrecorded), Waiting, Next::Begin(Rung::Admin)),
            (Ended(unrecorded), Ended(Yes), Next::Conclude(Verdict::WebhookOnly)),
            (Ended(unrecorded), Ended(refused), Next::Conclude(Verdict::Inconclusive)),
            (Ended(refused), Ended(unrecorded), Next::Conclude(Verdict::Inconclusive)),
        ];
        for (customer, admin, expected) in rows {
            assert_eq!(diagnosis(customer, admin).next(), expected, "{customer:?} {admin:?}");
        }
    }
}
