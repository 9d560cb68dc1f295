//! Which send does a call belong to? The table of sends that are running, unsuccessful, or succeeded unheard (SPEC 4.1, 4.2).
//!
//! Pure and synchronous: the proxy asks it under a short lock, for every send. It does not decide when a send is given up (that is
//! `decide`), it only remembers identities for as long as they join.
//!
//! - A call of a send that did not succeed is its next attempt.
//! - A call of a send whose earlier call still runs with nobody listening (an *orphan*) waits for that one.
//! - A call of a send that succeeded unheard gets that answer.
//! - A call like one that still runs *with* its client listening is a message of its own, unless the bot named both alike. It looks
//!   twice: a bot that gives up and asks again at once may be heard asking before it is seen going.
//! - Once the bot has heard of a success, the same text is a new send.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::id::SendId;
use super::ledger::AttemptId;
use super::send::Identity;
use super::time::Timestamp;

/// For how long, and how many.
#[derive(Debug, Clone, Copy)]
pub struct LivePolicy {
    /// How long a success waits for the bot that did not hear it: `sends.window`.
    pub window: Duration,
    /// How long a send that did not succeed keeps its identity: `recovery.max_age`.
    pub max_age: Duration,
    /// How many sends are remembered at the most: `sends.live_max`. The oldest go first.
    pub live_max: usize,
}

/// Sends by identity. `W` wakes a call that waits, `A` is an answer that can be given again.
#[derive(Debug)]
pub struct LiveSends<W, A> {
    policy: LivePolicy,
    by_identity: HashMap<Identity, Vec<Live<W, A>>>,
    /// Those at rest, oldest first; may name some that are gone.
    resting: VecDeque<(Identity, SendId)>,
    at_rest: usize,
}

#[derive(Debug)]
struct Live<W, A> {
    send: SendId,
    first_at: Timestamp,
    attempts: u32,
    phase: Phase<W, A>,
}

#[derive(Debug)]
enum Phase<W, A> {
    Running { listening: bool, named: bool, waiting: Vec<W> },
    Unsuccessful { ended: Timestamp },
    Unheard { ended: Timestamp, answer: A },
}

impl<W, A> Phase<W, A> {
    const fn rests(&self) -> bool {
        !matches!(self, Self::Running { .. })
    }
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
    /// Accepted, and the bot is still there to hear it.
    Heard,
    /// Accepted, and the bot has gone.
    Unheard(A),
    /// Anything else.
    Unsuccessful,
}

impl<W, A: Clone> LiveSends<W, A> {
    /// An empty table.
    pub fn new(policy: LivePolicy) -> Self {
        Self { policy, by_identity: HashMap::new(), resting: VecDeque::new(), at_rest: 0 }
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

    /// A call of `identity` arrives. `named` says that the bot gave the identity itself, `looked` that the call has looked before.
    /// `fresh` names the send if it is a new one; `wait` makes the waker if the call has to wait.
    pub fn begin(
        &mut self,
        identity: Identity,
        named: bool,
        looked: bool,
        fresh: SendId,
        now: Timestamp,
        wait: impl FnOnce() -> W,
    ) -> Begin<A> {
        self.forget_expired(now);
        let policy = self.policy;
        let lives = self.by_identity.entry(identity).or_default();
        for live in lives.iter_mut() {
            let first_at = live.first_at;
            let next = AttemptId { send: live.send, number: live.attempts.saturating_add(1) };
            match &mut live.phase {
                Phase::Running { listening, named: was_named, waiting }
                    if !*listening || (named && *was_named) =>
                {
                    waiting.push(wait());
                    return Begin::Wait { first_at };
                }
                Phase::Running { .. } if !looked => return Begin::Look,
                Phase::Running { .. } => {}
                Phase::Unheard { ended, answer } if now.since(*ended) < policy.window => {
                    let answer = answer.clone();
                    live.attempts = next.number;
                    return Begin::Answer { attempt: next, first_at, answer };
                }
                Phase::Unsuccessful { ended } if now.since(*ended) < policy.max_age => {
                    live.attempts = next.number;
                    live.phase = Phase::Running { listening: true, named, waiting: Vec::new() };
                    self.at_rest -= 1;
                    return Begin::Forward { attempt: next, first_at };
                }
                Phase::Unheard { .. } | Phase::Unsuccessful { .. } => {}
            }
        }
        lives.push(Live {
            send: fresh,
            first_at: now,
            attempts: 1,
            phase: Phase::Running { listening: true, named, waiting: Vec::new() },
        });
        Begin::Forward { attempt: AttemptId { send: fresh, number: 1 }, first_at: now }
    }

    /// One more attempt of `send`: the proxy tries again within the same call.
    pub fn again(&mut self, identity: Identity, send: SendId) -> Option<AttemptId> {
        let live = self.find(identity, send)?;
        live.attempts = live.attempts.saturating_add(1);
        Some(AttemptId { send, number: live.attempts })
    }

    /// The client of the run has gone.
    pub fn orphan(&mut self, identity: Identity, send: SendId) {
        if let Some(Live { phase: Phase::Running { listening, .. }, .. }) = self.find(identity, send) {
            *listening = false;
        }
    }

    /// The run ended. Gives the calls that waited for it: after a success that can be given again each is the attempt that stands beside
    /// it, else they begin anew.
    pub fn end(
        &mut self,
        identity: Identity,
        send: SendId,
        now: Timestamp,
        end: RunEnd<A>,
    ) -> Vec<(W, Option<AttemptId>)> {
        let anew = |waiting: Vec<W>| waiting.into_iter().map(|waiter| (waiter, None)).collect();
        let phase = match end {
            RunEnd::Heard => return anew(self.remove(identity, send).map_or_else(Vec::new, waiting_in)),
            RunEnd::Unheard(answer) => Phase::Unheard { ended: now, answer },
            RunEnd::Unsuccessful => Phase::Unsuccessful { ended: now },
        };
        let Some(live) = self.find(identity, send) else { return Vec::new() };
        let was_at_rest = live.phase.rests();
        let succeeded = matches!(phase, Phase::Unheard { .. });
        let waiting = waiting_in(std::mem::replace(&mut live.phase, phase));
        let waiters = if succeeded {
            let numbered = waiting.into_iter().map(|waiter| {
                live.attempts = live.attempts.saturating_add(1);
                (waiter, Some(AttemptId { send, number: live.attempts }))
            });
            numbered.collect()
        } else {
            anew(waiting)
        };
        if !was_at_rest {
            self.at_rest += 1;
            self.resting.push_back((identity, send));
        }
        self.keep_within_bounds();
        waiters
    }

    /// The bot has heard of the success after all, or the record was resolved: the identity is free.
    pub fn release(&mut self, identity: Identity, send: SendId) {
        self.remove(identity, send);
    }

    /// Remembers an unsuccessful send from before a restart. One that is remembered already only learns of a later attempt.
    pub fn restore(&mut self, identity: Identity, attempt: AttemptId, first_at: Timestamp, ended: Timestamp) {
        self.put_to_rest(identity, attempt, first_at, Phase::Unsuccessful { ended });
    }

    /// Remembers a success nobody heard of, from before a restart.
    pub fn restore_unheard(
        &mut self,
        identity: Identity,
        attempt: AttemptId,
        first_at: Timestamp,
        ended: Timestamp,
        answer: A,
    ) {
        self.put_to_rest(identity, attempt, first_at, Phase::Unheard { ended, answer });
    }

    fn put_to_rest(
        &mut self,
        identity: Identity,
        attempt: AttemptId,
        first_at: Timestamp,
        phase: Phase<W, A>,
    ) {
        if let Some(known) = self.find(identity, attempt.send) {
            known.attempts = known.attempts.max(attempt.number);
            return;
        }
        let live = Live { send: attempt.send, first_at, attempts: attempt.number, phase };
        self.by_identity.entry(identity).or_default().push(live);
        self.at_rest += 1;
        self.resting.push_back((identity, attempt.send));
        self.keep_within_bounds();
    }

    fn find(&mut self, identity: Identity, send: SendId) -> Option<&mut Live<W, A>> {
        self.by_identity.get_mut(&identity)?.iter_mut().find(|live| live.send == send)
    }

    fn remove(&mut self, identity: Identity, send: SendId) -> Option<Phase<W, A>> {
        let lives = self.by_identity.get_mut(&identity)?;
        let at = lives.iter().position(|live| live.send == send)?;
        let live = lives.swap_remove(at);
        if lives.is_empty() {
            self.by_identity.remove(&identity);
        }
        if live.phase.rests() {
            self.at_rest -= 1;
        }
        Some(live.phase)
    }

    /// Drops from the front what no longer joins anything. Looks at a few at a time, so that no call pays for many.
    fn forget_expired(&mut self, now: Timestamp) {
        const AT_A_TIME: usize = 4;
        for _ in 0..AT_A_TIME {
            let Some((identity, send)) = self.resting.front().copied() else { return };
            let policy = self.policy;
            match self.find(identity, send).map(|live| &live.phase) {
                Some(Phase::Unsuccessful { ended }) if now.since(*ended) < policy.max_age => return,
                Some(Phase::Unheard { ended, .. }) if now.since(*ended) < policy.window => return,
                Some(Phase::Unsuccessful { .. } | Phase::Unheard { .. }) => {
                    self.remove(identity, send);
                }
                Some(Phase::Running { .. }) | None => {}
            }
            self.resting.pop_front();
        }
    }

    fn keep_within_bounds(&mut self) {
        while self.at_rest > self.policy.live_max {
            let Some((identity, send)) = self.resting.pop_front() else { return };
            if self.find(identity, send).is_some_and(|live| live.phase.rests()) {
                self.remove(identity, send);
            }
        }
        if self.resting.len() > 2 * self.policy.live_max + 1024 {
            let by_identity = &self.by_identity;
            self.resting.retain(|(identity, send)| {
                by_identity
                    .get(identity)
                    .is_some_and(|lives| lives.iter().any(|live| live.send == *send && live.phase.rests()))
            });
        }
    }
}

fn waiting_in<W, A>(phase: Phase<W, A>) -> Vec<W> {
    match phase {
        Phase::Running { waiting, .. } => waiting,
        Phase::Unsuccessful { .. } | Phase::Unheard { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn table() -> LiveSends<u32, &'static str> {
        LiveSends::new(LivePolicy { window: 10 * MINUTE, max_age: 24 * 60 * MINUTE, live_max: 3 })
    }

    fn send(n: u8) -> SendId {
        SendId::from_bytes([n; 16])
    }

    fn identity(n: u8) -> Identity {
        Identity::from_bytes([n; 16])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn forwarded(begin: &Begin<&'static str>) -> Option<(SendId, u32)> {
        match begin {
            Begin::Forward { attempt, .. } => Some((attempt.send, attempt.number)),
            Begin::Look | Begin::Wait { .. } | Begin::Answer { .. } => None,
        }
    }

    #[test]
    fn attempts_join_until_success_is_heard() {
        let mut live = table();
        for number in 1..=3 {
            let begin = live.begin(identity(1), false, true, send(number), at(i64::from(number)), || 0);
            assert_eq!(forwarded(&begin), Some((send(1), u32::from(number))));
            assert!(live.end(identity(1), send(1), at(i64::from(number)), RunEnd::Unsuccessful).is_empty());
        }
        live.begin(identity(1), false, true, send(9), at(9), || 0);
        live.end(identity(1), send(1), at(9), RunEnd::Heard);
        assert!(live.is_empty());
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(10), at(10), || 0)),
            Some((send(10), 1)),
            "a new send"
        );
    }

    #[test]
    fn a_retry_latches_onto_an_orphan_and_gets_its_answer() {
        let mut live = table();
        live.begin(identity(1), false, true, send(1), at(0), || 0);
        live.orphan(identity(1), send(1));
        let begin = live.begin(identity(1), false, true, send(2), at(2), || 7);
        assert_eq!(begin, Begin::Wait { first_at: at(0) });
        live.begin(identity(1), false, true, send(3), at(3), || 8);
        let attempt = |number| AttemptId { send: send(1), number };
        let woken = live.end(identity(1), send(1), at(7), RunEnd::Unheard("201"));
        assert_eq!(woken, [(7, Some(attempt(2))), (8, Some(attempt(3)))], "each is an attempt of its own");
        for (number, now) in [(4, 8), (5, 9)] {
            let begin = live.begin(identity(1), false, true, send(4), at(now), || 0);
            assert_eq!(begin, Begin::Answer { attempt: attempt(number), first_at: at(0), answer: "201" });
        }
        live.release(identity(1), send(1));
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(4), at(9), || 0)),
            Some((send(4), 1))
        );
    }

    #[test]
    fn equal_calls_at_once_are_two_messages_unless_named_alike() {
        let mut live = table();
        live.begin(identity(1), false, true, send(1), at(0), || 0);
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(2), at(0), || 0)),
            Some((send(2), 1))
        );
        live.begin(identity(2), true, true, send(3), at(0), || 0);
        assert!(matches!(live.begin(identity(2), true, true, send(4), at(0), || 0), Begin::Wait { .. }));
    }

    #[test]
    fn a_bot_that_is_heard_asking_before_it_is_seen_going_makes_no_second_message() {
        let mut live = table();
        live.begin(identity(1), false, false, send(1), at(0), || 0);
        assert_eq!(live.begin(identity(1), false, false, send(2), at(1), || 0), Begin::Look);
        live.orphan(identity(1), send(1));
        assert_eq!(
            live.begin(identity(1), false, true, send(2), at(1), || 0),
            Begin::Wait { first_at: at(0) }
        );
    }

    #[test]
    fn an_unheard_answer_waits_only_for_the_window() {
        let mut live = table();
        live.begin(identity(1), false, true, send(1), at(0), || 0);
        live.end(identity(1), send(1), at(1), RunEnd::Unheard("201"));
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(2), at(601), || 0)),
            Some((send(2), 1))
        );
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut live = table();
        for n in 1..=5 {
            live.begin(identity(n), false, true, send(n), at(0), || 0);
            live.end(identity(n), send(n), at(0), RunEnd::Unsuccessful);
        }
        assert_eq!(live.len(), 3);
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(11), at(1), || 0)),
            Some((send(11), 1)),
            "forgotten"
        );
        assert_eq!(
            forwarded(&live.begin(identity(5), false, true, send(15), at(1), || 0)),
            Some((send(5), 2)),
            "kept"
        );
    }

    #[test]
    fn a_send_that_is_restored_twice_is_remembered_once() {
        let mut live = table();
        // An attempt that was cut off, and the case of those before it.
        live.restore(identity(1), AttemptId { send: send(1), number: 2 }, at(0), at(60));
        live.restore(identity(1), AttemptId { send: send(1), number: 1 }, at(0), at(50));
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(2), at(61), || 0)),
            Some((send(1), 3))
        );
        live.end(identity(1), send(1), at(62), RunEnd::Heard);
        assert!(live.is_empty(), "after its success the text is free");
    }

    #[test]
    fn an_age_ends_every_identity() {
        let mut live = table();
        live.restore(identity(1), AttemptId { send: send(1), number: 4 }, at(0), at(60));
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(2), at(120), || 0)),
            Some((send(1), 5))
        );
        live.end(identity(1), send(1), at(121), RunEnd::Unsuccessful);
        assert_eq!(
            forwarded(&live.begin(identity(1), false, true, send(3), at(121 + 24 * 3600), || 0)),
            Some((send(3), 1))
        );
    }
}
