//! The modelled people: two of them at the panel, who do at any moment whatever may be done there; sometimes twice, sometimes both the same,
//! sometimes just before a crash.

use tokio::sync::oneshot;

use waha_watchdog::domain::case::Case;
use waha_watchdog::domain::command::{Command, Reply};
use waha_watchdog::domain::id::{SendId, SessionName};
use waha_watchdog::domain::notification::Method;

use super::check::short;
use super::life::{Inner, Life, What};
use super::plan::{SESSIONS, Weather};
use super::planted::Planted;

pub const PEOPLE: [&str; 2] = ["ana", "luis"];

/// What somebody wants.
#[derive(Clone)]
pub enum Wish {
    Retry(SendId),
    Resolve(SendId),
    Claim(SendId),
    /// The record as it was when the page was read.
    Reopen(Box<Case>),
    Pause,
    Resume,
    Restart(usize),
    Probe(usize),
}

/// What somebody waits to be told.
pub struct Asked {
    pub who: &'static str,
    pub wish: Wish,
    /// The place of the command among all.
    pub at: u64,
    pub answer: oneshot::Receiver<Reply>,
}

impl Wish {
    /// The record it is about.
    pub fn send(&self) -> Option<SendId> {
        match self {
            Self::Retry(send) | Self::Resolve(send) | Self::Claim(send) => Some(*send),
            Self::Reopen(case) => Some(case.send),
            Self::Pause | Self::Resume | Self::Restart(_) | Self::Probe(_) => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Retry(send) => format!("retry {}", short(*send)),
            Self::Resolve(send) => format!("customer of {} is told by phone", short(*send)),
            Self::Claim(send) => format!("claim {}", short(*send)),
            Self::Reopen(case) => format!("reopen {}", short(case.send)),
            Self::Pause => "pause the recovery".to_owned(),
            Self::Resume => "resume the recovery".to_owned(),
            Self::Restart(session) => format!("restart session {}", SESSIONS[*session]),
            Self::Probe(session) => format!("probe session {}", SESSIONS[*session]),
        }
    }

    fn command(&self) -> Option<Command> {
        let note = Some("called".to_owned());
        Some(match self {
            Self::Retry(send) => Command::Retry(*send),
            Self::Resolve(send) => Command::Resolve { send: *send, method: Method::PhoneCall, note },
            Self::Claim(send) => Command::Claim(*send),
            Self::Reopen(case) => Command::Reopen(case.clone()),
            Self::Pause => Command::PauseRecovery,
            Self::Resume => Command::ResumeRecovery,
            Self::Restart(session) => Command::NoteRestart(SessionName::new(SESSIONS[*session])?),
            Self::Probe(session) => Command::Probe(SessionName::new(SESSIONS[*session])?),
        })
    }
}

impl Life {
    /// Somebody does something.
    pub fn people_act(&mut self) {
        if !self.in_faults() {
            return;
        }
        let wait = self.chance.between(500, self.plan.people);
        self.later(wait, What::Act);
        let Some(wish) = self.some_wish() else { return };
        let who = self.chance.below(PEOPLE.len());
        self.mine(0, Inner::Wished(who, wish.clone()));
        // A double click, or both at once.
        for (share, also) in [(25, who), (20, 1 - who)] {
            if self.chance.percent(share) {
                let wait = self.chance.between(0, 400);
                self.mine(wait, Inner::Wished(also, wish.clone()));
            }
        }
        if self.plan.crashes && self.chance.percent(15) {
            let wait = self.chance.between(0, 300);
            self.later(wait, What::Crash(false));
        }
    }

    fn some_wish(&mut self) -> Option<Wish> {
        let open: Vec<_> = {
            let state = &self.sidecar.as_ref()?.state;
            let open = |case: &&Case| case.failure.as_ref().is_some_and(|failure| failure.is_open());
            state.cases().values().filter(open).map(|case| case.send).collect()
        };
        let settled = |case: &&Case| case.is_settled() && case.failure.is_some();
        let settled: Vec<_> = self.disk.cases.values().filter(settled).map(|case| case.send).collect();
        let one = |life: &mut Self, of: &[SendId]| of.get(life.chance.below(of.len())).copied();
        let session = self.chance.below(self.plan.sessions);
        match self.chance.below(12) {
            0..=3 => one(self, &open).map(Wish::Retry),
            4 | 5 => one(self, &open).map(Wish::Resolve),
            6 | 7 => one(self, &open).map(Wish::Claim),
            8 => one(self, &settled).map(|send| Wish::Reopen(Box::new(self.disk.cases[&send].clone()))),
            9 if self.disk.paused => Some(Wish::Resume),
            9 => Some(Wish::Pause),
            10 => Some(Wish::Restart(session)),
            _ => Some(Wish::Probe(session)),
        }
    }

    /// The heart hears of it, as `watchdog` tells it.
    pub fn obeys(&mut self, who: usize, wish: Wish) {
        let (who, now) = (PEOPLE[who], self.clock());
        let Some(command) = wish.command() else { return };
        let Some(sidecar) = &mut self.sidecar else { return };
        if self.planted == Some(Planted::CommandTwice) && !matches!(wish, Wish::Reopen(_)) {
            let (decision, _) = sidecar.state.command(command.clone(), who, now, &sidecar.policy);
            sidecar.desk.take(decision);
        }
        let (decision, reply) = sidecar.state.command(command, who, now, &sidecar.policy);
        self.story.tell(self.now, || format!("{who}: {} -> {reply:?}", wish.words()));
        let at = self.check.pledges.commanded(&wish, &reply);
        let (to, answer) = oneshot::channel();
        self.take(decision);
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.asked.push(Asked { who, wish, at, answer });
        if self.planted == Some(Planted::ToldBeforeCommit) {
            _ = to.send(reply);
            self.people_hear();
        } else {
            sidecar.desk.answer(to, reply);
        }
    }

    /// Whoever was answered hears so.
    pub fn people_hear(&mut self) {
        let Some(sidecar) = &mut self.sidecar else { return };
        for mut asked in std::mem::take(&mut sidecar.asked) {
            match asked.answer.try_recv() {
                Ok(reply) => {
                    let broken = self.check.pledges.told(self.now, &asked, &reply, &self.disk);
                    broken.into_iter().for_each(|what| self.check.breaks(self.now, what));
                    if let (Wish::Restart(session), Reply::Done) = (&asked.wish, reply) {
                        let session = *session;
                        self.later(5, What::Restarts(session));
                    }
                }
                Err(oneshot::error::TryRecvError::Empty) => {
                    if let Some(sidecar) = &mut self.sidecar {
                        sidecar.asked.push(asked);
                    }
                }
                // It could not be written down, and so somebody was told.
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
        }
    }

    /// WAHA restarts a session: it does not work for a few seconds, and then it does, if WAHA is there at all.
    pub fn restarts(&mut self, session: usize) {
        if self.waha.weather[session] == Weather::Down {
            return;
        }
        self.story.tell(self.now, || format!("WAHA: restarts {}", SESSIONS[session]));
        self.waha.weather[session] = Weather::NotWorking;
        let wait = self.chance.between(3_000, 8_000);
        self.later(wait, What::Fair(session));
    }
}
