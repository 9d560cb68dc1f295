//! Everything that waits, by session, in one pass over cases and awaited acks: who looks often must not cost sessions times cases.
//!
//! It decides nothing; each answer is that of the question about a single session or case.

use std::collections::{BTreeMap, HashMap};

use super::super::case::Case;
use super::super::confirmation::Confirmation;
use super::super::id::SessionName;
use super::super::time::Timestamp;
use super::confirming::Echoes;
use super::recovering::is_open;
use super::{Held, Outlook, Policy, State};

/// What waits in a session.
#[derive(Debug, Default)]
pub struct Waits<'a> {
    /// Open failed notifications, and why each is not sent again by itself, as [`State::held`] says.
    pub open: Vec<(&'a Case, Option<Held>)>,
    /// As [`State::outlook`].
    pub outlook: Outlook,
    /// Accepted sends without any ack yet.
    pub unconfirmed: usize,
    /// As [`State::is_blind`].
    pub is_blind: bool,
}

impl State {
    /// What waits in each session; every session is there.
    pub fn survey(&self, now: Timestamp, policy: &Policy) -> BTreeMap<&SessionName, Waits<'_>> {
        let mut all = HashMap::with_capacity(self.sessions.len());
        for (name, session) in &self.sessions {
            let holds_new = self.holds_new_contacts(session, now, policy);
            all.insert(name, (session, holds_new, Waits::default(), Echoes::default()));
        }
        for case in self.cases.values().filter(|case| is_open(case)) {
            let named = case.what.session.as_ref().filter(|name| all.contains_key(name));
            if let Some((session, holds_new, waits, _)) = all.get_mut(named.unwrap_or(&self.other)) {
                waits.open.push((case, self.held_in(session, *holds_new, case, now, policy)));
            }
        }
        for awaiting in self.awaiting.values() {
            if let Some((_, _, waits, echoes)) = all.get_mut(self.session_of(&awaiting.what)) {
                waits.unconfirmed += usize::from(awaiting.acked == Confirmation::None);
                echoes.add(awaiting, now);
            }
        }
        let mut survey = BTreeMap::new();
        for (name, (_, _, mut waits, echoes)) in all {
            let holds = waits.open.iter().map(|(_, held)| *held);
            waits.outlook = self.outlook_of(name, holds, now, policy);
            waits.is_blind = echoes.show_nothing(self.feed.state);
            survey.insert(name, waits);
        }
        survey
    }
}
