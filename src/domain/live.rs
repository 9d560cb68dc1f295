//! Which send does a call belong to? The table of sends that are running, unsuccessful, or succeeded unheard (SPEC 4.1, 4.2).
//!
//! Pure and synchronous: the proxy asks it under a short lock, for every send. It does not decide when a send is given up (that is
//! `decide`), it only remembers identities for as long as they join.
//!
//! - A call of a send that did not succeed is its next attempt.
//! - A call of a send whose earlier call still runs with nobody listening (an *orphan*) waits for that one.
//! - A call of a send that succeeded unheard gets that answer.
//! - A call like one that still runs *with* its client listening is a message of its own, unless the bot named both alike. If that one has run
//!   for a while, it is looked at again for a moment: a bot that gives up and asks again at once may be heard asking before it is seen going.
//! - Once the bot has heard of a success, the same text is a new send.
//! - A call of a send that had passed to us, and may have arrived, is forwarded after a look (SPEC 4.4).
//!
//! A call waits or is answered only where its content is the very same: a name given twice, or a large body known by its beginning alone,
//! must never swallow a message.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::case::Case;
use super::id::SendId;
use super::ledger::AttemptId;
use super::send::{Content, Identity};
use super::time::Timestamp;

/// Successes that wait for a bot that did not hear them, at the most: each holds an answer.
const UNHEARD_MAX: usize = 1024;
/// Sends remembered that succeeded only after retries, and were heard of: more than the heart can lag behind.
const SUCCEEDED_MAX: usize = 4096;
/// A bot that gives up has waited at least so long.
const PATIENCE_MIN: Duration = Duration::from_millis(25);
/// Expired sends looked for in one call, so that no call pays for many.
const SWEPT_AT_A_TIME: usize = 4;

/// For how long, and how many.
#[derive(Debug, Clone, Copy)]
pub struct LivePolicy {
    /// How long a success waits for the bot that did not hear it: `sends.window`.
    pub window: Duration,
    /// How long a send that did not succeed keeps its identity: `recovery.max_age`.
    pub max_age: Duration,
    /// How many unsuccessful sends are remembered at the most: `sends.live_max`. The oldest go first.
    pub live_max: usize,
}

/// An identity is a digest already: its first bytes spread as well as any hash of them.
#[derive(Debug, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }
}

/// What a call says of which send it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What joins it to a send.
    pub identity: Identity,
    /// Did the bot itself give the identity?
    pub named: bool,
    /// The digest of all it says; `None` where only its beginning is known.
    pub content: Option<Content>,
    /// Has it been told to look again, and does?
    pub looked: bool,
}

/// Sends by identity. `W` wakes a call that waits, `A` is an answer that can be given again.
#[derive(Debug)]
pub struct LiveSends<W, A> {
    policy: LivePolicy,
    by_identity: HashMap<Identity, Vec<Live<W, A>>, BuildHasherDefault<DigestHasher>>,
    unsuccessful: Resting,
    unheard: Resting,
    /// Sends that succeeded at last and were heard of: the heart may not know yet, and must not send them again. The latest only.
    succeeded: VecDeque<SendId>,
}

#[derive(Debug)]
struct Live<W, A> {
    send: SendId,
    content: Option<Content>,
    first_at: Timestamp,
    attempts: u32,
    /// The latest attempt that began and ended without success.
    ended: u32,
    standing: Standing,
    phase: Phase<W, A>,
}

/// Whose a send is, and whether it may have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub hands: Hands,
    /// An attempt of it may have arrived, and no look has shown that it did not.
    pub doubtful: bool,
}

/// Whose a send is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hands {
    /// The bot's, which tries it again by itself.
    #[default]
    Bot,
    /// The bot has given it up: it is ours to send again.
    Ours,
    /// We have sent it again, whosever it is now: a copy of ours may be on its way.
    Resent,
}

impl Standing {
    /// How the send of a case stands.
    pub const fn of(case: &Case) -> Self {
        let hands = match case.ours_since {
            _ if case.replays > 0 => Hands::Resent,
            Some(_) => Hands::Ours,
            None => Hands::Bot,
        };
        Self { hands, doubtful: case.doubt.is_some() }
    }
}

#[derive(Debug)]
enum Phase<W, A> {
    Running {
        since: Timestamp,
        listening: bool,
        named: bool,
        waiting: Vec<W>,
        /// An earlier attempt turned out to have gone out.
        found: Option<A>,
    },
    /// It succeeded, and the bot is just about to hear so.
    Answered {
        since: Timestamp,
        ended: Timestamp,
        answer: A,
    },
    Unsuccessful {
        ended: Timestamp,
    },
    Unheard {
        ended: Timestamp,
        answer: A,
    },
}

/// Sends at rest, oldest first. May name some that have moved on.
#[derive(Debug, Default)]
struct Resting {
    order: VecDeque<(Identity, SendId)>,
    count: usize,
}

/// What to do with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin<A> {
    /// Forward it, as this attempt.
    Forward {
        /// The attempt.
        attempt: AttemptId,
        /// When the send's first attempt started.
        first_at: Timestamp,
        /// It was in our hands, and may have arrived: WAHA is asked before it is forwarded.
        ask_first: bool,
    },
    /// Look again in a moment, and say so then: a call like this one runs, and its client seems to listen. It may just have gone.
    Look,
    /// Wait for the call that runs. If it succeeds, this call is an attempt of its own all the same, whose number [`LiveSends::end`] gives.
    Wait {
        /// When the send's first attempt started.
        first_at: Timestamp,
    },
    /// Answer at once: an earlier call succeeded, and the bot has not heard so. This call is an attempt too.
    Answer {
        /// The attempt.
        attempt: AttemptId,
        /// When the send's first attempt started.
        first_at: Timestamp,
        /// The answer.
        answer: A,
    },
}

/// How a run ended, as far as joining goes.
#[derive(Debug)]
pub enum RunEnd<A> {
    /// Accepted, with this answer.
    Accepted(A),
    /// Anything else.
    Unsuccessful {
        /// It may have arrived all the same.
        doubtful: bool,
    },
    /// It did not begin: nothing was sent.
    NotBegun,
}

impl<W, A: Clone> LiveSends<W, A> {
    /// An empty table.
    pub fn new(policy: LivePolicy) -> Self {
        Self {
            policy,
            by_identity: HashMap::default(),
            unsuccessful: Resting::default(),
            unheard: Resting::default(),
            succeeded: VecDeque::new(),
        }
    }

    /// Changes the policy, for sends from now on.
    pub fn set_policy(&mut self, policy: LivePolicy) {
        self.policy = policy;
    }

    /// How many sends are remembered, running ones included.
    pub fn len(&self) -> usize {
        self.by_identity.values().map(Vec::len).sum()
    }

    /// Is nothing remembered?
    pub fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    /// A call arrives. `fresh` names the send if it is a new one; `wait` makes the waker if the call has to wait.
    pub fn begin(&mut self, call: Call, fresh: SendId, now: Timestamp, wait: impl FnOnce() -> W) -> Begin<A> {
        self.forget_expired(now);
        let policy = self.policy;
        let Call { identity, named, content, looked } = call;
        let running =
            || Phase::Running { since: now, listening: true, named, waiting: Vec::new(), found: None };
        // Nearly always the only one.
        let lives = self.by_identity.entry(identity).or_insert_with(|| Vec::with_capacity(1));
        for live in lives.iter_mut() {
            let first_at = live.first_at;
            let attempt = AttemptId { send: live.send, number: live.attempts.saturating_add(1) };
            let alike = content.is_some() && content == live.content;
            match &mut live.phase {
                Phase::Running { listening, named: was_named, waiting, .. }
                    if alike && (!*listening || (named && *was_named)) =>
                {
                    waiting.push(wait());
                    return Begin::Wait { first_at };
                }
                Phase::Running { since, .. } | Phase::Answered { since, .. }
                    if alike && !looked && now.since(*since) >= PATIENCE_MIN =>
                {
                    return Begin::Look;
                }
                Phase::Unheard { ended, answer } if alike && now.since(*ended) < policy.window => {
                    let answer = answer.clone();
                    live.attempts = attempt.number;
                    return Begin::Answer { attempt, first_at, answer };
                }
                Phase::Unsuccessful { ended } if now.since(*ended) < policy.max_age => {
                    live.attempts = attempt.number;
                    live.content = content;
                    live.phase = running();
                    let Standing { hands, doubtful } = &mut live.standing;
                    let ask_first = *doubtful && *hands != Hands::Bot;
                    if *hands == Hands::Ours {
                        *hands = Hands::Bot;
                    }
                    self.unsuccessful.count -= 1;
                    return Begin::Forward { attempt, first_at, ask_first };
                }
                Phase::Running { .. }
                | Phase::Answered { .. }
                | Phase::Unheard { .. }
                | Phase::Unsuccessful { .. } => {}
            }
        }
        lives.push(Live::new(AttemptId { send: fresh, number: 1 }, content, now, running()));
        let attempt = AttemptId { send: fresh, number: 1 };
        Begin::Forward { attempt, first_at: now, ask_first: false }
    }

    /// One more attempt of `send`: the proxy tries again within the same call.
    pub fn again(&mut self, identity: Identity, send: SendId) -> Option<AttemptId> {
        let live = self.find(identity, send)?;
        live.attempts = live.attempts.saturating_add(1);
        Some(AttemptId { send, number: live.attempts })
    }

    /// The client of the run has gone. If the run has just succeeded, nobody heard so.
    pub fn orphan(&mut self, identity: Identity, send: SendId) {
        let Some(live) = self.find(identity, send) else { return };
        match &mut live.phase {
            Phase::Running { listening, .. } => *listening = false,
            Phase::Answered { ended, answer, .. } => {
                live.phase = Phase::Unheard { ended: *ended, answer: answer.clone() };
                self.unheard.push(identity, send);
                self.keep_within_bounds();
            }
            Phase::Unsuccessful { .. } | Phase::Unheard { .. } => {}
        }
    }

    /// The run ended. Gives the calls that waited for it: after a success each is the attempt that stands beside it, else they begin anew.
    pub fn end(
        &mut self,
        identity: Identity,
        send: SendId,
        now: Timestamp,
        end: RunEnd<A>,
    ) -> Vec<(W, Option<AttemptId>)> {
        let Some(live) = self.find(identity, send) else { return Vec::new() };
        let Phase::Running { since, listening, waiting, found, .. } =
            std::mem::replace(&mut live.phase, Phase::Unsuccessful { ended: now })
        else {
            return Vec::new();
        };
        let waiting = match end {
            // It had gone out before: whoever asks next hears so.
            RunEnd::Unsuccessful { .. } | RunEnd::NotBegun if found.is_some() => {
                live.ended = live.attempts;
                if let Some(answer) = found {
                    live.phase = Phase::Unheard { ended: now, answer };
                }
                self.unheard.push(identity, send);
                waiting.into_iter().map(|waiter| (waiter, None)).collect()
            }
            RunEnd::Unsuccessful { .. } | RunEnd::NotBegun => {
                if let RunEnd::Unsuccessful { doubtful } = end {
                    live.ended = live.attempts;
                    live.standing.doubtful |= doubtful;
                }
                self.unsuccessful.push(identity, send);
                waiting.into_iter().map(|waiter| (waiter, None)).collect()
            }
            RunEnd::Accepted(answer) => {
                let numbered =
                    live.number(waiting).map(|(waiter, attempt)| (waiter, Some(attempt))).collect();
                if listening {
                    live.phase = Phase::Answered { since, ended: now, answer };
                } else {
                    live.phase = Phase::Unheard { ended: now, answer };
                    self.unheard.push(identity, send);
                }
                numbered
            }
        };
        self.keep_within_bounds();
        waiting
    }

    /// The run ended with success, and its call hears so in the same breath: as [`Self::end`] and [`Self::release`] in one. Gives the calls that
    /// waited for it.
    pub fn end_heard(&mut self, identity: Identity, send: SendId) -> Vec<(W, AttemptId)> {
        let Some(live) = self.find(identity, send) else { return Vec::new() };
        let waiting = match &mut live.phase {
            Phase::Running { waiting, .. } => std::mem::take(waiting),
            Phase::Answered { .. } | Phase::Unsuccessful { .. } | Phase::Unheard { .. } => Vec::new(),
        };
        let numbered = live.number(waiting).collect();
        self.release(identity, send);
        numbered
    }

    /// The bot has heard of the success, or the record was resolved: the identity is free.
    pub fn release(&mut self, identity: Identity, send: SendId) {
        let Some(lives) = self.by_identity.get_mut(&identity) else { return };
        let Some(at) = lives.iter().position(|live| live.send == send) else { return };
        let live = lives.swap_remove(at);
        let mut succeeded = live.attempts > 1;
        match live.phase {
            Phase::Unsuccessful { .. } => {
                (self.unsuccessful.count, succeeded) = (self.unsuccessful.count - 1, false)
            }
            Phase::Unheard { .. } => self.unheard.count -= 1,
            Phase::Running { .. } | Phase::Answered { .. } => {}
        }
        if succeeded {
            self.succeeded.push_back(send);
            if self.succeeded.len() > SUCCEEDED_MAX {
                self.succeeded.pop_front();
            }
        }
        if lives.is_empty() {
            self.by_identity.remove(&identity);
        }
    }

    /// Remembers an unsuccessful send from before a restart. One that is remembered already only learns of a later attempt.
    pub fn restore(
        &mut self,
        identity: Identity,
        attempt: AttemptId,
        first_at: Timestamp,
        ended: Timestamp,
        standing: Standing,
    ) {
        if self.find(identity, attempt.send).is_none() {
            let live = Live::new(attempt, None, first_at, Phase::Unsuccessful { ended });
            self.by_identity.entry(identity).or_default().push(live);
            self.unsuccessful.push(identity, attempt.send);
        }
        if let Some(live) = self.find(identity, attempt.send) {
            live.attempts = live.attempts.max(attempt.number);
            live.ended = live.ended.max(attempt.number);
            live.standing.hands = live.standing.hands.max(standing.hands);
            live.standing.doubtful |= standing.doubtful;
        }
        self.keep_within_bounds();
    }

    /// The heart says how a send stands after `attempt`. What has happened since, it does not know yet, and is not asked about.
    pub fn stands(&mut self, identity: Identity, attempt: AttemptId, standing: Standing) {
        let Some(live) = self.find(identity, attempt.send) else { return };
        let known = match live.phase {
            Phase::Unsuccessful { .. } => attempt.number >= live.ended,
            // The heart has heard from the ledger how the attempt ended before the run has left its place.
            Phase::Running { .. } => attempt.number >= live.attempts,
            Phase::Answered { .. } | Phase::Unheard { .. } => false,
        };
        if known {
            live.standing = standing;
        }
    }

    /// Remembers a success nobody heard of, from before a restart.
    pub fn restore_unheard(
        &mut self,
        identity: Identity,
        content: Option<Content>,
        attempt: AttemptId,
        first_at: Timestamp,
        ended: Timestamp,
        answer: A,
    ) {
        if let Some(live) = self.find(identity, attempt.send) {
            // Known by an attempt that was cut off, or by one that never began: that it succeeded counts.
            live.attempts = live.attempts.max(attempt.number);
            if matches!(live.phase, Phase::Unsuccessful { .. }) {
                (live.content, live.phase) = (content, Phase::Unheard { ended, answer });
                self.unsuccessful.count -= 1;
                self.unheard.push(identity, attempt.send);
            }
        } else {
            let live = Live::new(attempt, content, first_at, Phase::Unheard { ended, answer });
            self.by_identity.entry(identity).or_default().push(live);
            self.unheard.push(identity, attempt.send);
        }
        self.keep_within_bounds();
    }

    /// We send it again ourselves: a late call of the bot waits for us, as for an orphan (SPEC 4.4). `content` is what is sent. `None` where
    /// the bot is sending it right now, or has just succeeded.
    pub fn begin_replay(
        &mut self,
        identity: Identity,
        content: Option<Content>,
        attempt: AttemptId,
        first_at: Timestamp,
        now: Timestamp,
    ) -> Option<AttemptId> {
        let phase =
            Phase::Running { since: now, listening: false, named: true, waiting: Vec::new(), found: None };
        let busy = |live: &Live<W, A>| {
            content.is_some()
                && live.content == content
                && matches!(
                    live.phase,
                    Phase::Running { .. } | Phase::Answered { .. } | Phase::Unheard { .. }
                )
        };
        let just_succeeded = self.succeeded.contains(&attempt.send);
        if just_succeeded || self.by_identity.get(&identity).is_some_and(|lives| lives.iter().any(busy)) {
            return None;
        }
        if let Some(live) = self.find(identity, attempt.send) {
            if !matches!(live.phase, Phase::Unsuccessful { .. }) {
                return None;
            }
            live.attempts = live.attempts.saturating_add(1).max(attempt.number);
            live.content = content;
            live.phase = phase;
            live.standing.hands = Hands::Resent;
            let attempt = AttemptId { number: live.attempts, ..attempt };
            self.unsuccessful.count -= 1;
            return Some(attempt);
        }
        let mut live = Live::new(attempt, content, first_at, phase);
        live.standing.hands = Hands::Resent;
        self.by_identity.entry(identity).or_default().push(live);
        Some(attempt)
    }

    /// It turned out that a send had gone out: a late call of the bot gets `answer`. `content` is what was sent, where that is known: a table
    /// that was restored does not know it.
    pub fn reconcile(
        &mut self,
        identity: Identity,
        content: Option<Content>,
        send: SendId,
        now: Timestamp,
        answer: A,
    ) {
        let Some(live) = self.find(identity, send) else { return };
        match &mut live.phase {
            Phase::Unsuccessful { .. } => {
                live.content = content.or(live.content);
                live.phase = Phase::Unheard { ended: now, answer };
                self.unsuccessful.count -= 1;
                self.unheard.push(identity, send);
                self.keep_within_bounds();
            }
            Phase::Running { found, .. } => *found = Some(answer),
            Phase::Answered { .. } | Phase::Unheard { .. } => {}
        }
    }

    /// While this run waited, an earlier attempt of its send turned out to have gone out: the answer that says so.
    pub fn found(&mut self, identity: Identity, send: SendId) -> Option<A> {
        match &self.find(identity, send)?.phase {
            Phase::Running { found, .. } => found.clone(),
            Phase::Answered { .. } | Phase::Unheard { .. } | Phase::Unsuccessful { .. } => None,
        }
    }

    fn find(&mut self, identity: Identity, send: SendId) -> Option<&mut Live<W, A>> {
        self.by_identity.get_mut(&identity)?.iter_mut().find(|live| live.send == send)
    }

    /// Drops from the front of each queue what no longer joins anything.
    fn forget_expired(&mut self, now: Timestamp) {
        let LivePolicy { window, max_age, .. } = self.policy;
        for _ in 0..SWEPT_AT_A_TIME {
            let Some((identity, send)) = self.unsuccessful.order.front().copied() else { break };
            match self.find(identity, send).map(|live| &live.phase) {
                Some(Phase::Unsuccessful { ended }) if now.since(*ended) < max_age => break,
                Some(Phase::Unsuccessful { .. }) => self.release(identity, send),
                _ => {}
            }
            self.unsuccessful.order.pop_front();
        }
        for _ in 0..SWEPT_AT_A_TIME {
            let Some((identity, send)) = self.unheard.order.front().copied() else { break };
            match self.find(identity, send).map(|live| &live.phase) {
                Some(Phase::Unheard { ended, .. }) if now.since(*ended) < window => break,
                Some(Phase::Unheard { .. }) => self.release(identity, send),
                _ => {}
            }
            self.unheard.order.pop_front();
        }
    }

    /// Forgets the oldest where there are too many, and names in the queues that have moved on where there are too many of those.
    fn keep_within_bounds(&mut self) {
        while self.unsuccessful.count > self.policy.live_max {
            let Some((identity, send)) = self.unsuccessful.order.pop_front() else { break };
            if self.find(identity, send).is_some_and(|live| matches!(live.phase, Phase::Unsuccessful { .. }))
            {
                self.release(identity, send);
            }
        }
        while self.unheard.count > UNHEARD_MAX {
            let Some((identity, send)) = self.unheard.order.pop_front() else { break };
            if self.find(identity, send).is_some_and(|live| matches!(live.phase, Phase::Unheard { .. })) {
                self.release(identity, send);
            }
        }
        let by_identity = &self.by_identity;
        let rests = |identity: &Identity, send: &SendId| {
            by_identity.get(identity).is_some_and(|lives| lives.iter().any(|live| live.send == *send))
        };
        self.unsuccessful.tidy(rests);
        self.unheard.tidy(rests);
    }
}

impl<W, A> Live<W, A> {
    fn new(attempt: AttemptId, content: Option<Content>, first_at: Timestamp, phase: Phase<W, A>) -> Self {
        let (send, attempts) = (attempt.send, attempt.number);
        Self { send, content, first_at, attempts, ended: 0, standing: Standing::default(), phase }
    }

    /// Each call that waited for a success is an attempt that stands beside it.
    fn number(&mut self, waiting: Vec<W>) -> impl Iterator<Item = (W, AttemptId)> {
        waiting.into_iter().map(|waiter| {
            self.attempts = self.attempts.saturating_add(1);
            (waiter, AttemptId { send: self.send, number: self.attempts })
        })
    }
}

impl Resting {
    fn push(&mut self, identity: Identity, send: SendId) {
        self.order.push_back((identity, send));
        self.count += 1;
    }

    /// Leaves out names that rest no more, once they outnumber the others.
    fn tidy(&mut self, rests: impl Fn(&Identity, &SendId) -> bool) {
        if self.order.len() > 2 * self.count + 1024 {
            self.order.retain(|(identity, send)| rests(identity, send));
        }
    }
}

#[cfg(test)]
mod tests;
