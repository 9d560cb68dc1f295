//! What is remembered of one WAHA session: the clocks and windows its status is assessed from.

use std::collections::VecDeque;
use std::time::Duration;

use super::day::Day;
use super::id::{ChatId, SessionName};
use super::outcome::Cause;
use super::probe::Health;
use super::status::Assessment;
use super::time::Timestamp;
use super::window::Window;

/// Most chats and given-up sends remembered since the last success: beyond a few more prove nothing.
const EVIDENCE_MAX: usize = 64;

/// So many chats that are rejected alike are no accident.
const ALIKE: usize = 3;

/// One session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its name.
    pub name: SessionName,
    /// Its status and why.
    pub assessment: Assessment,
    /// Since when it has that status.
    pub since: Timestamp,
    /// When a send was last accepted.
    pub last_accepted: Option<Timestamp>,
    /// When a send last did not succeed, rejected ones aside.
    pub last_failed: Option<Timestamp>,
    /// When the bot last sent anything.
    pub last_activity: Option<Timestamp>,
    /// Unsuccessful attempts in a row, rejected ones aside.
    pub consecutive_failures: u32,
    /// Chats with unsuccessful sends since the last success, rejected ones aside.
    pub failing_chats: Vec<Option<ChatId>>,
    /// Sends given up since the last success.
    pub exhausted: VecDeque<(Timestamp, Option<ChatId>)>,
    /// When a send last succeeded only after retries.
    pub retried_at: Option<Timestamp>,
    /// Is the success rate too low?
    pub low_rate: Smoldering,
    /// Is the latency too high?
    pub high_latency: Smoldering,
    /// The last hour.
    pub window: Window,
    /// The last day.
    pub day: Day,
    /// What probes found.
    pub health: Health,
    /// When a diagnosis last reached nobody; `None` once something was accepted.
    pub total_loss_at: Option<Timestamp>,
    /// When a diagnosis last reached somebody.
    pub webhook_only_at: Option<Timestamp>,
    /// What was rejected since the last success: when, why, by whom.
    pub rejections: VecDeque<Rejection>,
    /// Chats that WhatsApp restricts, and when it last said so.
    pub restricted_chats: Vec<(ChatId, Timestamp)>,
    /// When WhatsApp's servers last confirmed a send.
    pub last_server_ack: Option<Timestamp>,
    /// When a customer's phone last confirmed one.
    pub last_device_ack: Option<Timestamp>,
    /// Probes are well again since then after an outage, and no send has shown it yet.
    pub unproven_since: Option<Timestamp>,
    /// Our own key is refused since then.
    pub key_refused_since: Option<Timestamp>,
    /// The bot's last heartbeat; the same for all sessions.
    pub last_heartbeat: Option<Timestamp>,
}

/// Something was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// To which chat.
    pub chat: ChatId,
}

/// A condition that counts as bad until it has been good for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smoldering {
    /// When it was last seen bad.
    pub last_bad: Option<Timestamp>,
}

impl Smoldering {
    /// Seen now.
    pub fn observe(&mut self, bad: bool, now: Timestamp) {
        if bad {
            self.last_bad = Some(now);
        }
    }

    /// Bad now, or less than `recover_after` ago?
    pub fn is_bad(&self, now: Timestamp, recover_after: Duration) -> bool {
        self.last_bad.is_some_and(|at| now.since(at) < recover_after)
    }
}

impl Session {
    /// A session nothing is known of.
    pub fn new(name: SessionName, now: Timestamp) -> Self {
        Self {
            name,
            assessment: Assessment::UNKNOWN,
            since: now,
            last_accepted: None,
            last_failed: None,
            last_activity: None,
            consecutive_failures: 0,
            failing_chats: Vec::new(),
            exhausted: VecDeque::new(),
            retried_at: None,
            low_rate: Smoldering::default(),
            high_latency: Smoldering::default(),
            window: Window::default(),
            day: Day::default(),
            health: Health::default(),
            total_loss_at: None,
            webhook_only_at: None,
            rejections: VecDeque::new(),
            restricted_chats: Vec::new(),
            last_server_ack: None,
            last_device_ack: None,
            unproven_since: None,
            key_refused_since: None,
            last_heartbeat: None,
        }
    }

    /// The bot sent something.
    pub fn active(&mut self, at: Timestamp) {
        self.last_activity = self.last_activity.max(Some(at));
    }

    /// A send was accepted: the channel lives.
    pub fn accepted(&mut self, at: Timestamp, latency: Duration, chat: Option<&ChatId>, retried: bool) {
        self.last_accepted = self.last_accepted.max(Some(at));
        self.proven();
        self.unproven_since = None;
        self.rejections.clear();
        self.restricted_chats.retain(|(restricted, _)| Some(restricted) != chat);
        if retried {
            self.retried_at = Some(at);
        }
        self.window.accepted(at, latency);
    }

    /// The channel lives, and what spoke against it is over: something got through.
    pub fn proven(&mut self) {
        self.consecutive_failures = 0;
        self.failing_chats.clear();
        self.exhausted.clear();
        self.total_loss_at = None;
    }

    /// WAHA or WhatsApp rejected a send.
    pub fn rejected(&mut self, at: Timestamp, cause: Option<Cause>, chat: Option<&ChatId>) {
        let (Some(cause), Some(chat)) = (cause, chat) else { return };
        if self.rejections.len() == EVIDENCE_MAX {
            self.rejections.pop_front();
        }
        self.rejections.push_back(Rejection { at, cause, chat: chat.clone() });
        if cause == Cause::ContactRestricted {
            self.restricted_chats.retain(|(known, _)| known != chat);
            if self.restricted_chats.len() == EVIDENCE_MAX {
                self.restricted_chats.remove(0);
            }
            self.restricted_chats.push((chat.clone(), at));
        }
    }

    /// Three chats or more rejected alike within `span`, and nothing was accepted meanwhile (SPEC 4.3).
    pub fn rejected_alike(&self, now: Timestamp, span: Duration) -> bool {
        if self.last_accepted.is_some_and(|at| now.since(at) < span) {
            return false;
        }
        let recent = self.rejections.iter().filter(|one| now.since(one.at) < span);
        // What WhatsApp restricts is a verdict of its own.
        let mut pairs: Vec<_> = recent
            .filter(|one| one.cause != Cause::ContactRestricted)
            .map(|one| (one.cause, &one.chat))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.chunk_by(|(one, _), (other, _)| one == other).any(|alike| alike.len() >= ALIKE)
    }

    /// WhatsApp restricts this account, not single contacts: it said so of three chats or more within `span` (SPEC 4.3).
    pub fn account_restricted(&self, now: Timestamp, span: Duration) -> bool {
        self.restricted_chats.iter().filter(|(_, at)| now.since(*at) < span).count() >= ALIKE
    }

    /// Does WhatsApp restrict messages to this chat, as far as it said so within `span`?
    pub fn restricts(&self, chat: &ChatId, now: Timestamp, span: Duration) -> bool {
        self.restricted_chats.iter().any(|(known, at)| known == chat && now.since(*at) < span)
    }

    /// An attempt failed or ended ambiguous.
    pub fn failed(&mut self, at: Timestamp, chat: Option<&ChatId>, latency: Duration) {
        self.last_failed = self.last_failed.max(Some(at));
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        if self.failing_chats.len() < EVIDENCE_MAX
            && !self.failing_chats.iter().any(|known| known.as_ref() == chat)
        {
            self.failing_chats.push(chat.cloned());
        }
        self.window.latency(at, latency);
    }

    /// A send was given up.
    pub fn exhausted(&mut self, at: Timestamp, chat: Option<&ChatId>) {
        if self.exhausted.len() == EVIDENCE_MAX {
            self.exhausted.pop_front();
        }
        self.exhausted.push_back((at, chat.cloned()));
        self.window.exhausted(at);
    }

    /// The wall clock was set by `step` milliseconds while nothing ran: spans stay what they were.
    pub fn stepped(&mut self, step: i64) {
        let health = &mut self.health;
        let moments = [
            &mut self.last_accepted,
            &mut self.last_failed,
            &mut self.last_activity,
            &mut self.retried_at,
            &mut self.low_rate.last_bad,
            &mut self.high_latency.last_bad,
            &mut self.total_loss_at,
            &mut self.webhook_only_at,
            &mut self.last_server_ack,
            &mut self.last_device_ack,
            &mut self.unproven_since,
            &mut self.key_refused_since,
            &mut self.last_heartbeat,
            &mut health.at,
            &mut health.last_success,
            &mut health.last_failure,
            &mut health.healthy_since,
        ];
        let lists = (self.exhausted.iter_mut().map(|(at, _)| at))
            .chain(self.rejections.iter_mut().map(|one| &mut one.at))
            .chain(self.restricted_chats.iter_mut().map(|(_, at)| at))
            .chain(self.window.minutes.iter_mut().map(|minute| &mut minute.start))
            .chain(self.day.hours.iter_mut().map(|hour| &mut hour.start));
        for at in moments.into_iter().flatten().chain(lists).chain([&mut self.since]) {
            *at = at.stepped(step);
        }
    }

    /// Unsuccessful sends to two chats or more, or one given up, and nothing accepted since (SPEC 7).
    pub fn sends_failing(&self) -> bool {
        self.failing_chats.iter().flatten().count() >= 2 || !self.exhausted.is_empty()
    }

    /// To how many chats sends were given up within `span`, where there were `failures` or more of them; else 0.
    pub fn exhausted_chats(&self, now: Timestamp, span: Duration, failures: u32) -> usize {
        let recent: Vec<_> =
            self.exhausted.iter().filter(|(at, _)| now.since(*at) < span).map(|(_, chat)| chat).collect();
        if recent.len() < usize::try_from(failures).unwrap_or(usize::MAX) {
            return 0;
        }
        // A send to no chat (a status post, say) is no second chat.
        let mut chats: Vec<_> = recent.into_iter().flatten().collect();
        chats.sort_unstable();
        chats.dedup();
        chats.len()
    }
}
