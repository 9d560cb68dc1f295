//! What people were told must be true, and stay so: what is done is on disk, happens once, and binds.

use std::collections::{BTreeMap, BTreeSet};

use waha_watchdog::domain::command::{Pending, Reply};
use waha_watchdog::domain::decide::Ending;
use waha_watchdog::domain::errand::{Looked, Report};
use waha_watchdog::domain::id::SendId;
use waha_watchdog::domain::notification::Failure;
use waha_watchdog::domain::outcome::Outcome;

use super::disk::Disk;
use super::people::{Asked, PEOPLE, Wish};
use super::world::Waha;

#[derive(Default)]
pub struct Pledges {
    /// Commands that were obeyed, and all.
    granted: usize,
    commands: u64,
    /// The last command about a record, and about the pause.
    latest: BTreeMap<SendId, u64>,
    latest_pause: u64,
    /// Records that a person has settled, told so or not: what the bot says afterwards it says anew.
    let_go: BTreeSet<SendId>,
    /// WAHA has said that it cannot be asked about these.
    unlookable: BTreeSet<SendId>,
    /// Records a person was told to have settled, and when.
    settled: BTreeMap<SendId, i64>,
    /// Whose a customer is, as they were told.
    claimed: BTreeMap<SendId, &'static str>,
    /// Since when somebody knows that nothing goes out by itself.
    paused: Option<i64>,
    /// Replays that people wait for.
    waited: BTreeMap<SendId, Waited>,
}

#[derive(Default)]
struct Waited {
    /// WAHA could not say whether it had arrived, and they want it all the same.
    unchecked: bool,
    /// How often it went out for this wish.
    seen: u32,
}

impl Pledges {
    /// A command was obeyed, or refused.
    pub fn commanded(&mut self, wish: &Wish, reply: &Reply) -> u64 {
        self.commands += 1;
        let at = self.commands;
        if matches!(reply, Reply::Refused(_)) {
            return at;
        }
        self.granted += 1;
        if let Some(send) = wish.send() {
            self.latest.insert(send, at);
        }
        match wish {
            Wish::Reopen(case) => {
                self.settled.remove(&case.send);
                self.claimed.remove(&case.send);
            }
            Wish::Resume => (self.paused, self.latest_pause) = (None, at),
            Wish::Pause => self.latest_pause = at,
            Wish::Retry(send) if matches!(reply, Reply::Begun(_)) => {
                self.waited.entry(*send).or_default();
            }
            // Whoever had the customer has done with them, whether or not a crash lets anybody hear of it.
            Wish::Resolve(send) => {
                self.claimed.remove(send);
                self.let_go.insert(*send);
            }
            Wish::Retry(_) | Wish::Claim(_) | Wish::Restart(_) | Wish::Probe(_) => {}
        }
        at
    }

    /// Somebody is told what became of their command. Gives what is not true.
    pub fn told(&mut self, now: i64, asked: &Asked, reply: &Reply, disk: &Disk) -> Option<String> {
        let who = asked.who;
        if *reply != Reply::Done {
            return None;
        }
        match &asked.wish {
            Wish::Resolve(send) => {
                // What came after it counts more: somebody has opened it again, or the bot has tried again in vain.
                if self.latest.get(send) != Some(&asked.at) {
                    return None;
                }
                let again = self.settled.insert(*send, now).is_some();
                let failure = disk.cases.get(send).and_then(|case| case.failure.as_ref());
                let theirs = failure
                    .and_then(|failure| failure.resolution.as_ref())
                    .is_some_and(|resolution| resolution.by.as_deref() == Some(who));
                if again {
                    return Some(format!("one record is settled twice, the second time by {who}"));
                }
                (!theirs).then(|| format!("{who} is told that a record is settled, and it is not on disk"))
            }
            Wish::Claim(send) => {
                let before = self.claimed.insert(*send, who).filter(|before| *before != who);
                if let Some(before) = before {
                    return Some(format!("one customer is both {before}'s and {who}'s"));
                }
                let failure = disk.cases.get(send).and_then(|case| case.failure.as_ref());
                let theirs = failure.is_some_and(|one| one.claimed_by.as_deref() == Some(who));
                let open = failure.is_some_and(Failure::is_open) && self.latest.get(send) == Some(&asked.at);
                (open && !theirs)
                    .then(|| format!("{who} is told that a customer is theirs, and it is not on disk"))
            }
            Wish::Pause if self.latest_pause == asked.at => {
                self.paused = Some(now);
                (!disk.paused)
                    .then(|| format!("{who} is told that the recovery is paused, and it is not on disk"))
            }
            _ => None,
        }
    }

    /// A replay leaves for WAHA; its turn began at `started`. Gives whether a person wants it although it may arrive twice, and what is wrong.
    pub fn replayed(&mut self, send: SendId, started: i64) -> (bool, Option<&'static str>) {
        if self.settled.get(&send).is_some_and(|at| started > *at) {
            return (false, Some("what a person has settled is sent again"));
        }
        match self.waited.get_mut(&send) {
            Some(waited) => {
                waited.seen += 1;
                (waited.unchecked, (waited.seen > 1).then_some("one wish is sent twice"))
            }
            None if self.paused.is_some_and(|at| started > at) => {
                (false, Some("something goes out by itself although people have paused that"))
            }
            None => (false, None),
        }
    }

    /// Has a person settled one of these?
    pub fn let_go<'a>(&self, mut sends: impl Iterator<Item = &'a SendId>) -> bool {
        sends.any(|send| self.let_go.contains(send))
    }

    /// The same; or has WAHA said that it cannot be asked about one of them? What the bot sends of it is the bot's own then.
    pub fn lets_pass<'a>(&self, mut sends: impl Iterator<Item = &'a SendId>) -> bool {
        sends.any(|send| self.let_go.contains(send) || self.unlookable.contains(send))
    }

    /// Does somebody want this one sent?
    pub fn is_wished(&self, send: SendId) -> bool {
        self.waited.contains_key(&send)
    }

    pub fn reported(&mut self, report: &Report) {
        if let Report::Looked { send, found: Looked::Impossible } = report {
            self.unlookable.insert(*send);
        }
        if let Report::Looked { send, found: Looked::Failed | Looked::Impossible } = report
            && let Some(waited) = self.waited.get_mut(send)
        {
            waited.unchecked = true;
        }
    }

    /// The bot has tried one again that a person had settled, in vain: it is open again.
    pub fn failed_again(&mut self, send: SendId) {
        self.settled.remove(&send);
        self.latest.remove(&send);
    }

    /// What somebody waited for is over. Gives what is not true.
    pub fn ended(
        &mut self,
        pending: &Pending,
        ending: &Ending,
        messages: &BTreeMap<SendId, usize>,
        waha: &Waha,
    ) -> Option<&'static str> {
        let Pending::Replay(send) = pending else { return None };
        self.waited.remove(send)?;
        let message = messages.get(send).copied();
        let taken = waha.sent.iter().any(|sent| sent.message.is_some() && sent.message == message);
        let so = match ending {
            Ending::Replayed(outcome, _) | Ending::ReplayedUnchecked(outcome, _) => {
                *outcome != Outcome::Accepted || taken
            }
            Ending::HadGoneOut => taken,
            _ => true,
        };
        (!so).then_some("somebody is told that a retry got through, and WAHA never took it")
    }

    /// Whoever waited sees the connection break.
    pub fn crashed(&mut self) {
        self.waited.clear();
    }

    /// Every deed is in the audit once.
    pub fn audited(&self, disk: &Disk) -> bool {
        disk.audits.values().filter(|audit| PEOPLE.contains(&audit.who.as_str())).count() <= self.granted
    }

    /// What was settled still is, and nobody waits for ever.
    pub fn at_the_end(&self, disk: &Disk) -> Option<String> {
        let open = |send: &SendId| {
            let failure = disk.cases.get(send).and_then(|case| case.failure.as_ref());
            failure.is_some_and(Failure::is_open)
        };
        if let Some((send, at)) = self.settled.iter().find(|(send, _)| open(send)) {
            return Some(format!(
                "{} was settled by a person at {at}, and is open",
                super::check::short(*send)
            ));
        }
        let waiting = self.waited.keys().next();
        waiting.map(|send| format!("somebody still waits for the retry of {}", super::check::short(*send)))
    }
}
