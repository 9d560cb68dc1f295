//! What must hold, after every step and at the end. It knows the truth (what phones showed, what WAHA took, what was on disk when) and keeps
//! a reference of its own where it has to judge the core.

use std::collections::{BTreeMap, BTreeSet};

use waha_watchdog::domain::confirmation::FeedItem;
use waha_watchdog::domain::decide::{Change, Decision, Notice, Policy, State};
use waha_watchdog::domain::delivery::Channel;
use waha_watchdog::domain::diagnosis::Verdict;
use waha_watchdog::domain::errand::{Errand, LetterKind, Report};
use waha_watchdog::domain::id::{ChatId, RecordId, SendId};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use waha_watchdog::domain::notification::{Failure, Method};
use waha_watchdog::domain::outcome::{Cause, Outcome};
use waha_watchdog::domain::probe::ProbeResult;
use waha_watchdog::domain::recovery::Held;
use waha_watchdog::domain::send::Identity;
use waha_watchdog::domain::status::{Reason, Status, StatusChange};
use waha_watchdog::domain::time::Timestamp;

use super::bot::Bot;
use super::disk::Disk;
use super::plan::Plan;
use super::sidecar::EPOCH;
use super::world::{Request, Sender, Waha};

/// No customer gets two quick messages within so long.
const WRITE_EVERY: i64 = 600_000;
/// The shortest pause between two replays: six seconds, less a fifth for the jitter, and a commit.
const PACE: i64 = 4_500;

#[derive(Default)]
pub struct Check {
    pub broken: Option<String>,
    pub turns: u64,
    messages: BTreeMap<SendId, usize>,
    /// Attempts whose intent, and whose outcome, was said to be on disk.
    intended: BTreeSet<AttemptId>,
    claimed: BTreeSet<AttemptId>,
    /// Letters WAHA saw, and when a customer got his last quick message.
    letters: BTreeSet<(RecordId, u8)>,
    /// Letters to the admin that went out although nothing could be written: after a crash nobody knows of them.
    unrecorded_letters: BTreeSet<RecordId>,
    written: BTreeMap<usize, i64>,
    last_replay: Option<i64>,
    /// Messages an attempt of which was cut off by a crash and left no trace, as is documented.
    traceless: BTreeSet<usize>,
    unsure: BTreeSet<usize>,
    /// Messages that the bot sent again after WAHA could not say whether they had arrived: that is the bot's wish (SPEC 4.4).
    unsaid: BTreeSet<usize>,
    // The reference: what speaks against the channel.
    failing: BTreeSet<Option<ChatId>>,
    exhausted: Vec<(i64, Option<ChatId>)>,
    /// Sends an attempt of which failed by itself, and not by our own end alone.
    spoke: BTreeSet<Identity>,
    given_up: Vec<(i64, Option<ChatId>)>,
    unrecorded: bool,
    accepted_at: Option<i64>,
    bad_probes: u32,
    unprobed: bool,
    /// A crash took what was said to be unrecorded: which failures the heart still knows, nobody can say.
    forgetful: bool,
    ends: BTreeMap<Identity, (u32, i64)>,
    /// The same, as far as a crash leaves it.
    ends_on_disk: BTreeMap<Identity, (u32, i64)>,
    ends_unsure: BTreeSet<Identity>,
    total_loss: bool,
    // Alerts: one of a kind per incident; raised, and told.
    kinds: BTreeMap<(RecordId, &'static str), RecordId>,
    raised: BTreeMap<(RecordId, Channel), (Option<RecordId>, &'static str)>,
    delivered: BTreeSet<(RecordId, Channel)>,
    /// Mails that were accepted, and in which life of the process.
    mails: BTreeSet<(RecordId, u32)>,
}

impl Check {
    pub fn breaks(&mut self, _now: i64, what: String) {
        self.broken.get_or_insert(what);
    }

    fn holds(&mut self, now: i64, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.breaks(now, what());
        }
    }

    pub fn belongs(&mut self, send: SendId, message: usize) {
        self.messages.insert(send, message);
    }

    pub fn message_of(&self, send: SendId) -> Option<usize> {
        self.messages.get(&send).copied()
    }

    /// An intent is on disk.
    pub fn intends(&mut self, attempt: AttemptId) {
        self.intended.insert(attempt);
    }

    pub fn is_intended(&self, attempt: AttemptId) -> bool {
        self.intended.contains(&attempt)
    }

    /// The bot is told that an outcome is on disk.
    pub fn claims(&mut self, attempt: AttemptId) {
        self.claimed.insert(attempt);
    }

    pub fn crashed(&mut self) {
        // What was never on disk is not known any more.
        if std::mem::take(&mut self.unrecorded) {
            self.failing.clear();
            self.exhausted.clear();
            // And what is on disk may be what a success that is not had ended.
            self.forgetful = true;
        }
        self.last_replay = None;
        // What was said to be unrecorded may be on disk all the same, or not: when those were last tried, nobody can say.
        let told = |one: &(&Identity, &(u32, i64))| self.ends_on_disk.get(one.0) != Some(one.1);
        self.ends_unsure.extend(self.ends.iter().filter(told).map(|(identity, _)| *identity));
        self.traceless.append(&mut self.unsure);
        // What the last probes found may not have been stored.
        self.unprobed = true;
    }

    /// An entry of it was not said to be on disk: it goes on unrecorded, loudly, and a crash may take it.
    pub fn unrecorded(&mut self, message: usize) {
        self.unsure.insert(message);
    }

    /// The disk cannot be written, and this is done all the same: only what tells the admins.
    pub fn goes_unrecorded(&mut self, errands: &[Errand]) {
        for errand in errands {
            match errand {
                Errand::Write(letter) if errand.goes_unrecorded() => {
                    _ = self.unrecorded_letters.insert(letter.id)
                }
                // A mail to the admins, which no customer sees.
                Errand::Tell(_) => {}
                _ => self
                    .breaks(0, "something was sent to a customer and could not be written down".to_owned()),
            }
        }
    }

    /// A look said nothing that counts, and the bot's retry is forwarded all the same.
    pub fn unsaid(&mut self, message: usize) {
        self.unsaid.insert(message);
    }

    pub fn cut_off(&mut self, message: usize) {
        self.traceless.insert(message);
    }

    /// The state was made anew: nothing that was promised may be missing.
    pub fn taken_up(&mut self, now: i64, disk: &Disk, left: &[Ended]) {
        let ended = |entry: &Entry| match entry {
            Entry::Ended(ended) => Some(ended.attempt),
            _ => None,
        };
        let ended: BTreeSet<_> = disk.ledger.iter().filter_map(ended).collect();
        let lost = self.claimed.iter().find(|attempt| !ended.contains(attempt)).copied();
        self.holds(now, lost.is_none(), || {
            format!("an outcome the bot was told is on disk was lost in a crash: {lost:?}")
        });
        let open: BTreeSet<_> = left.iter().map(|ended| ended.attempt).collect();
        let unlisted = self.intended.iter().find(|one| !ended.contains(one) && !open.contains(one)).copied();
        self.holds(now, unlisted.is_none(), || {
            format!("an attempt that may have been sent is not listed after a crash: {unlisted:?}")
        });
    }

    /// WAHA gets a call of ours, or of the bot's.
    pub fn seen(&mut self, now: i64, request: &Request, disk: &Disk, _plan: &Plan) {
        if let Sender::Letter(letter) = &request.sender {
            let kind = letter.text.kind();
            if matches!(kind, LetterKind::QuickMessage | LetterKind::AdminNotice) {
                let first = self.letters.insert((letter.id, kind as u8));
                let first =
                    first || kind == LetterKind::AdminNotice && self.unrecorded_letters.contains(&letter.id);
                self.holds(now, first, || format!("a step of a diagnosis was sent twice: {kind:?}"));
            }
            if let (LetterKind::QuickMessage, Some(chat)) = (kind, request.chat) {
                let last = self.written.insert(chat, now);
                let long_ago = last.is_none_or(|at| now - at >= WRITE_EVERY - 10_000);
                self.holds(now, long_ago, || {
                    format!("customer {chat} got two quick messages within ten minutes")
                });
            }
        }
        if let Some(send) = request.replay {
            let ours = disk.cases.get(&send).is_some_and(|case| case.ours_since.is_some());
            self.holds(now, ours, || {
                format!("a replay of {} although it is not on disk that it is ours", short(send))
            });
            let last = self.last_replay.replace(request.begun);
            let paced = last.is_none_or(|at| request.begun - at >= PACE);
            self.holds(now, paced, || "two replays without a pause".to_owned());
        }
    }

    /// A phone shows a message.
    pub fn shown(&mut self, now: i64, at: usize, waha: &Waha) {
        let Some(message) = waha.sent[at].message else { return };
        let mut copies: Vec<_> =
            waha.sent.iter().filter(|one| one.message == Some(message) && one.left.is_some()).collect();
        copies.sort_by_key(|one| one.begun);
        copies.dedup_by(|one, other| one.id == other.id);
        let traceless = self.traceless.contains(&message);
        let wished = self.unsaid.contains(&message) && copies.last().is_some_and(|last| !last.replay);
        if traceless || wished || copies.len() < 2 || copies.iter().all(|one| !one.replay) {
            return;
        }
        let how: Vec<_> = copies.iter().map(|one| if one.replay { "replay" } else { "bot" }).collect();
        self.breaks(now, format!("a phone shows message {message} twice because of us: {how:?}"));
    }

    /// What is about to be on disk.
    pub fn before_commit(&mut self, disk: &Disk, changes: &[Change], bot: &Bot, waha: &Waha) {
        for change in changes {
            match change {
                Change::Case(case) => {
                    let settled = case.failure.as_ref().and_then(|failure| failure.resolution.as_ref());
                    let known = disk.cases.get(&case.send).and_then(|case| case.failure.as_ref());
                    let new = known.is_none_or(Failure::is_open);
                    let (Some(resolution), true, Some(message)) = (settled, new, self.message_of(case.send))
                    else {
                        continue;
                    };
                    let told = &bot.messages[message];
                    let sent = |one: usize| waha.sent.iter().any(|sent| sent.message == Some(one));
                    let true_so = match resolution.method {
                        Method::BotRecovered | Method::Retry | Method::ConfirmedLate => sent(message),
                        Method::Superseded => (0..bot.messages.len()).any(|one| {
                            let other = &bot.messages[one];
                            let later = other
                                .order
                                .zip(told.order)
                                .is_some_and(|(theirs, ours)| theirs.0 == ours.0 && theirs.1 > ours.1);
                            later && sent(one)
                        }),
                        _ => true,
                    };
                    self.holds(0, true_so, || {
                        format!(
                            "message {message} is resolved as {}, and WAHA never took it",
                            resolution.method.as_str()
                        )
                    });
                }
                Change::Alert(alert) => {
                    let Some(incident) = alert.incident else { continue };
                    let kind = alert.says.as_str();
                    if matches!(kind, "manual_attention" | "still_lost") {
                        continue;
                    }
                    let known = *self.kinds.entry((incident, kind)).or_insert(alert.id);
                    self.holds(0, known == alert.id, || {
                        format!("two alerts of one kind for one incident: {kind}")
                    });
                }
                _ => {}
            }
        }
    }

    /// An entry is about to reach the heart.
    pub fn entry(&mut self, entry: &Entry, position: Position, now: i64) {
        let Entry::Ended(ended) = entry else { return };
        self.unrecorded |= position.0 == 0;
        if matches!(ended.via, Via::Latch | Via::Look) {
            return;
        }
        if let Some(identity) = ended.what.identity {
            let at = now.min(ended.ended.millis() - EPOCH);
            let ends = [(true, &mut self.ends), (position.0 > 0, &mut self.ends_on_disk)];
            for (_, ends) in ends.into_iter().filter(|(known, _)| *known) {
                let known = ends.entry(identity).or_insert((0, at));
                *known = (known.0.max(ended.attempt.number), known.1.max(at));
            }
        }
        match ended.outcome {
            Outcome::Accepted => {
                self.proven();
                self.given_up.clear();
                self.total_loss = false;
                self.accepted_at = Some(now.min(ended.ended.millis() - EPOCH));
            }
            // What our own end cut off says nothing of the channel.
            Outcome::Failed | Outcome::Ambiguous if ended.cause == Some(Cause::Interrupted) => {}
            Outcome::Failed | Outcome::Ambiguous => {
                self.spoke.extend(ended.what.identity);
                self.failing.insert(ended.what.chat.clone());
            }
            Outcome::Rejected => {}
        }
    }

    fn proven(&mut self) {
        self.failing.clear();
        self.exhausted.clear();
    }

    /// A report is about to reach the heart.
    pub fn reported(&mut self, report: &Report, _now: i64) {
        self.unprobed &= !matches!(report, Report::Probed { result, .. } if result.is_healthy());
        match report {
            Report::Wrote { id, kind: LetterKind::Alert, outcome: Outcome::Accepted, .. } => {
                _ = self.delivered.insert((*id, Channel::Whatsapp))
            }
            Report::Told { alert, channel, outcome: Outcome::Accepted, .. } => {
                _ = self.delivered.insert((*alert, *channel))
            }
            Report::Wrote { outcome: Outcome::Accepted, .. } => self.proven(),
            Report::Probed { result, .. } if result.is_healthy() => self.bad_probes = 0,
            Report::Probed { result, .. } if *result != ProbeResult::Unauthorized => self.bad_probes += 1,
            _ => {}
        }
    }

    /// A mail is accepted: within one life of the process, each once.
    pub fn mailed(&mut self, alert: RecordId, boot: u32) {
        let first = self.mails.insert((alert, boot));
        self.holds(0, first, || "one alert is mailed twice".to_owned());
    }

    pub fn heard(&mut self, _item: &FeedItem, _now: i64) {}

    /// What the heart has decided.
    pub fn decided(&mut self, decision: &Decision, now: i64, _state: &State) {
        for notice in &decision.notices {
            match notice {
                Notice::GivenUp { what } => {
                    let end = what.identity.and_then(|identity| self.ends.get(&identity)).copied();
                    let due = end.is_some_and(|(attempts, at)| attempts >= 4 || now - at >= 59_900);
                    let unsure = what.identity.is_some_and(|identity| self.ends_unsure.contains(&identity));
                    self.holds(now, due || unsure, || format!("given up too early: {end:?} at {now}"));
                    if what.identity.is_none_or(|identity| self.spoke.contains(&identity)) {
                        self.exhausted.push((now, what.chat.clone()));
                    }
                    self.given_up.push((now, what.chat.clone()));
                }
                Notice::Diagnosed { finding, took, .. } if finding.verdict == Verdict::TotalLoss => {
                    let began = now - i64::try_from(took.as_millis()).unwrap_or(0);
                    self.total_loss = self.accepted_at.is_none_or(|at| at <= began);
                }
                Notice::Status(change) => self.status(change, now),
                _ => {}
            }
        }
    }

    /// No status without evidence.
    fn status(&mut self, change: &StatusChange, now: i64) {
        let failing = self.failing.len() >= 2 || !self.exhausted.is_empty();
        let probes = self.bad_probes >= 2 || self.unprobed;
        let recent: Vec<_> = self.given_up.iter().filter(|(at, _)| now - at <= 310_000).collect();
        let chats: BTreeSet<_> = recent.iter().map(|(_, chat)| chat).collect();
        let backed = match (change.to.status, change.to.reason) {
            (Status::Online, _) => !failing || self.forgetful,
            (Status::Incommunicado, _) => recent.len() >= 3 && chats.len() >= 2,
            (_, Reason::TotalLoss) => self.total_loss,
            (_, Reason::NothingWorks) => probes && (failing || self.forgetful || !self.given_up.is_empty()),
            (_, Reason::HealthcheckFailing) => probes,
            _ => true,
        };
        self.holds(now, backed, || {
            format!("status {} ({}) without evidence", change.to.status, change.to.reason.as_str())
        });
    }

    /// What was decided is on disk, and is told.
    pub fn told(&mut self, notices: &[Notice]) {
        for notice in notices {
            if let Notice::Alerting(alert) = notice
                && alert.over().is_none()
            {
                let what = (alert.incident, alert.says.as_str());
                self.raised.extend(alert.deliveries.iter().map(|one| ((alert.id, one.channel), what)));
            }
        }
    }

    /// Half an hour after the last fault: everything is well, or somebody knows.
    #[expect(clippy::too_many_arguments, reason = "everybody is asked")]
    pub fn at_the_end(
        &mut self,
        now: i64,
        clock: Timestamp,
        state: &State,
        policy: &Policy,
        disk: &Disk,
        bot: &Bot,
        waha: &Waha,
        plan: &Plan,
    ) {
        self.holds(now, state.oldest_running().is_none(), || {
            "an attempt still runs for the heart".to_owned()
        });
        for session in state.sessions().values() {
            let (status, reason) = (session.assessment.status, session.assessment.reason);
            let well = session.assessment.is_well() || reason == Reason::Unproven;
            self.holds(now, well, || {
                format!("still {status} ({}) half an hour after the last fault", reason.as_str())
            });
        }
        for case in state.cases().values() {
            let message = self.message_of(case.send);
            let held = state.held(case, clock, policy);
            let stuck = match (&case.failure, held) {
                (None, _) => now - (case.last_at.millis() - EPOCH) > 120_000,
                // One that was held until a moment ago has its turn soon.
                (Some(failure), None) => {
                    let before = clock - std::time::Duration::from_secs(60);
                    failure.is_open() && state.held(case, before, policy).is_none()
                }
                (Some(_), Some(Held::NotLooked)) => plan.looks,
                (Some(_), Some(Held::BotHasIt)) => case.outcome != Outcome::Accepted,
                _ => false,
            };
            self.holds(now, !stuck, || {
                format!("message {message:?} still waits: held {held:?}, {:?}", case.failure.is_some())
            });
        }
        let undecided = state.diagnoses().values().any(|diagnosis| diagnosis.verdict.is_none());
        self.holds(now, !undecided, || "a diagnosis is not over".to_owned());
        self.holds(now, state.incidents().is_empty(), || "an incident is still open".to_owned());
        let old = state.alerts().values().find(|alert| now - (alert.at.millis() - EPOCH) > 900_000);
        let word = old.map(|alert| alert.says.as_str());
        self.holds(now, word.is_none(), || format!("an alert was never told: {word:?}"));
        for ((id, channel), (incident, kind)) in self.raised.clone() {
            let over = incident
                .and_then(|one| self.kinds.get(&(one, "recovery")))
                .is_some_and(|one| self.delivered.contains(&(*one, channel)));
            let told = self.delivered.contains(&(id, channel));
            let there = told || over || state.alerts().contains_key(&id);
            let channel = channel.as_str();
            self.holds(now, there, || format!("an alert was raised and never told by {channel}: {kind}"));
        }
        self.no_order_is_lost(now, disk, bot, waha);
    }

    /// Every order is accepted, open, or resolved with a reason.
    fn no_order_is_lost(&mut self, now: i64, disk: &Disk, bot: &Bot, waha: &Waha) {
        let known: BTreeSet<_> =
            self.intended.iter().chain(&self.claimed).map(|attempt| attempt.send).collect();
        for send in known {
            let Some(message) = self.message_of(send) else { continue };
            let told = &bot.messages[message];
            let taken = told.heard.is_some() || waha.sent.iter().any(|one| one.message == Some(message));
            let listed =
                disk.cases.get(&send).is_some_and(|case| case.failure.is_some() || !case.is_settled());
            self.holds(now, taken || listed || !told.over, || format!("message {message} is lost silently"));
        }
    }
}

pub fn short(send: SendId) -> String {
    send.to_string().chars().skip(10).take(8).collect()
}

/// A notice in a line.
pub fn line(notice: &Notice) -> String {
    match notice {
        Notice::Opened { cause, attempts, send, .. } => {
            format!("failed notification {} opened: {cause}, {attempts} attempts", short(*send))
        }
        Notice::Settled { send, method, .. } => {
            format!("failed notification {} settled: {}", short(*send), method.as_str())
        }
        Notice::Status(change) => {
            format!("{} -> {} ({})", change.from, change.to.status, change.to.reason.as_str())
        }
        Notice::Diagnosed { finding, .. } => format!("diagnosis: {}", finding.verdict.as_str()),
        Notice::Probed { result, .. } => format!("probe: {}", result.as_str()),
        Notice::Replayed { outcome, .. } => format!("replay over: {outcome}"),
        Notice::NotReplayed { .. } => "replay not begun".to_owned(),
        Notice::RunOver { cut: false, .. } => "nothing more to send again".to_owned(),
        Notice::RunOver { cut: true, .. } => "sending again was cut".to_owned(),
        Notice::Looked { found, .. } => format!("look: {}", found.as_str()),
        Notice::Alerting(alert) => format!("alert raised: {}", alert.says.as_str()),
        Notice::Delivered { channel, how, .. } => {
            format!("alert by {}: {}", channel.as_str(), how.as_str())
        }
        Notice::Acted(audit) => format!("{} by {}", audit.action, audit.who),
        Notice::IncidentOpened(_) => "incident opened".to_owned(),
        Notice::IncidentClosed(_) => "incident closed".to_owned(),
        Notice::GivenUp { .. } => "given up by the bot".to_owned(),
        Notice::Retried { .. } => "succeeded after retries".to_owned(),
        Notice::Retry { .. } => "another attempt".to_owned(),
        Notice::Confirmed { confirmation, .. } => format!("confirmed: {}", confirmation.as_str()),
    }
}
