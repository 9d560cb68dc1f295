//! What speaks for and against a session, as the checker sees it: no status without it. A reference of its own, to judge the core by.

use std::collections::{BTreeMap, BTreeSet};

use waha_watchdog::domain::diagnosis::Verdict;
use waha_watchdog::domain::id::ChatId;
use waha_watchdog::domain::ledger::{Ended, Via};
use waha_watchdog::domain::outcome::{Cause, Outcome};
use waha_watchdog::domain::probe::ProbeResult;
use waha_watchdog::domain::status::{Reason, Status};

/// Windows of the policy, with the few seconds that a look may be late.
const QUARTER: i64 = 905_000;
const FIVE_MINUTES: i64 = 310_000;

#[derive(Default)]
pub struct Evidence {
    failing: BTreeSet<Option<ChatId>>,
    exhausted: bool,
    given_up: Vec<(i64, Option<ChatId>)>,
    rejected: Vec<(i64, Cause, ChatId)>,
    accepted_at: Option<i64>,
    retried_at: Option<i64>,
    webhook_only_at: Option<i64>,
    total_loss: bool,
    bad_probes: u32,
    /// What the last probes found may not have been stored when the process ended.
    unprobed: bool,
    unrecorded: bool,
    /// A letter of ours got through, and no ledger says so: until so many commits are over, a crash takes it. SPEC 4.5 promises outcomes alone.
    uncommitted: u8,
    /// A crash took what was said to be unrecorded: which failures the heart still knows, nobody can say, until something gets through.
    forgetful: bool,
}

impl Evidence {
    /// An attempt ended; `recorded`: said to be on disk.
    pub fn ended(&mut self, ended: &Ended, at: i64, recorded: bool) {
        self.unrecorded |= !recorded;
        match ended.outcome {
            Outcome::Accepted => {
                self.proven(recorded);
                self.given_up.clear();
                // What WhatsApp restricts stays so, but for the chat that got through.
                self.rejected.retain(|(_, cause, chat)| {
                    *cause == Cause::ContactRestricted && Some(chat) != ended.what.chat.as_ref()
                });
                self.total_loss = false;
                self.accepted_at = Some(at);
                if ended.attempt.number > 1 && ended.via != Via::Replay {
                    self.retried_at = Some(at);
                }
            }
            // What our own end cut off says nothing of the channel: a restart alone changes no status (SPEC 7).
            Outcome::Failed | Outcome::Ambiguous if ended.cause == Some(Cause::Interrupted) => {}
            Outcome::Failed | Outcome::Ambiguous => {
                self.failing.insert(ended.what.chat.clone());
            }
            Outcome::Rejected => {
                let rejected = ended.cause.zip(ended.what.chat.clone());
                self.rejected.extend(rejected.map(|(cause, chat)| (at, cause, chat)));
            }
        }
    }

    /// Something got through.
    pub fn proven(&mut self, recorded: bool) {
        self.failing.clear();
        self.exhausted = false;
        self.forgetful &= !recorded;
    }

    /// A letter of ours got through. The commit under way does not have it yet.
    pub fn written(&mut self) {
        self.proven(true);
        self.uncommitted = 2;
    }

    pub const fn committed(&mut self) {
        self.uncommitted = self.uncommitted.saturating_sub(1);
    }

    /// A send was given up, an attempt of which had failed by itself.
    pub fn given_up(&mut self, chat: Option<&ChatId>, now: i64) {
        self.exhausted = true;
        self.given_up.push((now, chat.cloned()));
    }

    pub fn probed(&mut self, result: ProbeResult) {
        self.unprobed &= !result.is_healthy();
        if result.is_healthy() {
            self.bad_probes = 0;
        } else if result != ProbeResult::Unauthorized {
            self.bad_probes += 1;
        }
    }

    pub fn diagnosed(&mut self, verdict: Verdict, began: i64, now: i64) {
        match verdict {
            Verdict::TotalLoss => self.total_loss = self.accepted_at.is_none_or(|at| at <= began),
            Verdict::WebhookOnly => (self.webhook_only_at, self.total_loss) = (Some(now), false),
            Verdict::Inconclusive => {}
        }
    }

    pub fn crashed(&mut self) {
        let uncommitted = std::mem::take(&mut self.uncommitted) > 0;
        if std::mem::take(&mut self.unrecorded) || uncommitted {
            self.failing.clear();
            self.exhausted = false;
            self.forgetful = true;
        }
        self.unprobed = true;
    }

    /// Is this status backed? `unacked`: chats whose accepted messages have had no ack for a minute.
    pub fn backs(&self, status: Status, reason: Reason, now: i64, unacked: usize) -> bool {
        let failing = self.failing.len() >= 2 || self.exhausted || self.forgetful;
        let probes = self.bad_probes >= 2 || self.unprobed;
        let lately = |at: Option<i64>| at.is_some_and(|at| now - at <= QUARTER);
        match (status, reason) {
            (Status::Online, _) => !failing || self.forgetful,
            (Status::Incommunicado, _) => {
                let recent = self.given_up.iter().filter(|(at, _)| now - at <= FIVE_MINUTES);
                let chats: BTreeSet<_> = recent.clone().map(|(_, chat)| chat).collect();
                self.forgetful || recent.count() >= 3 && chats.len() >= 2
            }
            (_, Reason::TotalLoss) => self.total_loss,
            (_, Reason::NothingWorks) => probes && failing,
            (_, Reason::HealthcheckFailing) => probes,
            (_, Reason::SendsFailing) => failing,
            (_, Reason::WebhookOnly) => lately(self.webhook_only_at),
            (_, Reason::RetriesNeeded) => lately(self.retried_at),
            (_, Reason::AccountRestricted) => {
                self.alike(now, QUARTER, |cause| cause == Cause::ContactRestricted)
            }
            (_, Reason::RejectedAlike) => {
                self.alike(now, FIVE_MINUTES, |cause| cause != Cause::ContactRestricted)
            }
            (_, Reason::Unacknowledged) => unacked >= 2,
            _ => true,
        }
    }

    /// Did three chats say the same?
    fn alike(&self, now: i64, within: i64, which: impl Fn(Cause) -> bool) -> bool {
        let mut chats: BTreeMap<Cause, BTreeSet<&ChatId>> = BTreeMap::new();
        for (at, cause, chat) in &self.rejected {
            if now - at <= within && which(*cause) {
                chats.entry(*cause).or_default().insert(chat);
            }
        }
        chats.values().any(|chats| chats.len() >= 3)
    }
}
