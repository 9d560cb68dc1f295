//! What must hold, after every step and at the end. It knows the truth (what phones showed, what WAHA took, what was on disk when) and keeps
//! a reference of its own where it has to judge the core: `evidence` per session, `pledges` to people.
//!
//! An exemption covers a single attempt, letter or send, and never a message or a session for good: what one attempt's fate excuses, it
//! excuses of that attempt alone.

mod ending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use waha_watchdog::domain::case::Case;
use waha_watchdog::domain::confirmation::{FeedItem, News};
use waha_watchdog::domain::decide::{Change, Decision, Notice};
use waha_watchdog::domain::delivery::{Channel, Progress};
use waha_watchdog::domain::errand::{Errand, LetterKind, Report};
use waha_watchdog::domain::id::{RecordId, SendId, SessionName};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use waha_watchdog::domain::notification::{Failure, Method};
use waha_watchdog::domain::outcome::{Cause, Outcome};
use waha_watchdog::domain::send::{Description, Identity};
use waha_watchdog::domain::status::{Reason, StatusChange};

use super::bot::Bot;
use super::calls::Run;
use super::disk::Disk;
use super::evidence::Evidence;
use super::plan::Plan;
use super::pledges::Pledges;
use super::sidecar::{EPOCH, Sidecar};
use super::world::{Request, Sender, Sent, Waha, session_number};

/// No customer gets two quick messages within so long.
const WRITE_EVERY: i64 = 600_000;
/// The shortest pause between two replays of a session: six seconds, less a fifth for the jitter, and a commit.
const PACE: i64 = 4_500;
/// The longest: six seconds and a fifth.
const PACE_MAX: Duration = Duration::from_millis(7_200);
/// From the moment at which one may go out until the heart looks: five seconds, and what an exchange takes.
const LOOKED_WITHIN: Duration = Duration::from_secs(8);
/// A success that the bot did not hear waits for it so long.
const UNHEARD: i64 = 600_000;
/// Without an ack for so long, the status may say so.
const UNACKED: i64 = 59_000;

/// An attempt, and when its turn began: after a crash the number of one that left no trace is given again.
type Made = (AttemptId, i64);

/// How a send's attempts have ended: how many, when last, and whether the proxy has given it up.
#[derive(Clone, Copy, Default)]
struct Ends {
    attempts: u32,
    at: i64,
    given_up: bool,
}

impl Ends {
    const fn add(&mut self, ended: &Ended, at: i64) {
        if ended.attempt.number > self.attempts {
            self.attempts = ended.attempt.number;
        }
        if at > self.at {
            self.at = at;
        }
        self.given_up = ended.given_up;
    }

    const fn is_due(self, now: i64, by_proxy: bool) -> bool {
        self.given_up || !by_proxy && self.attempts >= 4 || now - self.at >= 59_900
    }
}

/// What is known of a send's ends: by the heart of this process, on disk, and by that of the one before, whose last entries may be on disk or not.
#[derive(Clone, Copy, Default)]
struct Known {
    now: Option<Ends>,
    disk: Option<Ends>,
    before: Option<Ends>,
}

#[derive(Default)]
pub struct Check {
    pub broken: Option<String>,
    pub turns: u64,
    plan: Option<Plan>,
    pub messages: BTreeMap<SendId, usize>,
    /// Attempts whose intent, and whose outcome, was said to be on disk.
    intended: BTreeSet<AttemptId>,
    claimed: BTreeSet<AttemptId>,
    /// Sends of orders that the heart of this process has heard of.
    heard_of: BTreeSet<SendId>,
    /// Letters WAHA saw, in which life of the process, and when a customer got his last quick message.
    letters: BTreeMap<(RecordId, u8), u32>,
    /// Letters to the admin that went out although nothing could be written: after a crash nobody knows of them.
    unrecorded_letters: BTreeSet<RecordId>,
    /// The session each letter went through.
    carried: BTreeMap<RecordId, &'static str>,
    written: BTreeMap<usize, i64>,
    last_replay: BTreeMap<usize, i64>,
    /// Attempts that were not said to be on disk, and those that a crash has taken: nobody can know of these.
    unsure: BTreeSet<Made>,
    traceless: BTreeSet<Made>,
    /// Attempts that the bot made after WAHA could not say whether an earlier one had arrived: that is its wish (SPEC 4.4).
    unsaid: BTreeSet<AttemptId>,
    /// Messages that got through: when, in which life, and whether the disk says that the bot has not heard so.
    succeeded: BTreeMap<usize, (i64, u32, bool)>,
    /// Calls in the order of their coming, by session and chat, where the proxy keeps it.
    queues: BTreeMap<(usize, usize), VecDeque<u64>>,
    evidence: BTreeMap<&'static str, Evidence>,
    /// Sends an attempt of which failed by itself, and not by our own end alone.
    spoke: BTreeSet<Identity>,
    ends: BTreeMap<Identity, Known>,
    /// Messages that WhatsApp was heard to acknowledge.
    acked: BTreeSet<String>,
    pub pledges: Pledges,
    // Alerts: one of a kind per incident; raised, and told.
    kinds: BTreeMap<(RecordId, &'static str), RecordId>,
    raised: BTreeMap<(RecordId, Channel), (Option<RecordId>, &'static str)>,
    delivered: BTreeSet<(RecordId, Channel)>,
    /// Mails that were accepted, and in which life of the process.
    mails: BTreeSet<(RecordId, u32)>,
}

impl Check {
    pub fn new(plan: &Plan) -> Self {
        Self { plan: Some(plan.clone()), ..Self::default() }
    }

    /// The name under which a session counts.
    fn counted(&self, name: Option<&SessionName>) -> &'static str {
        let plan = self.plan.as_ref();
        name.zip(plan).map_or("other", |(name, plan)| plan.counted(session_number(name)))
    }

    fn evidence_of(&mut self, what: &Description) -> &mut Evidence {
        let name = self.counted(what.session.as_ref());
        self.evidence.entry(name).or_default()
    }

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

    /// The bot is told that an outcome is on disk.
    pub fn claims(&mut self, attempt: AttemptId) {
        self.claimed.insert(attempt);
    }

    /// A message got through.
    pub fn succeeds(&mut self, message: usize, now: i64, boot: u32, unheard_on_disk: bool) {
        self.succeeded.insert(message, (now, boot, unheard_on_disk));
    }

    /// A call of the bot stands in the queue of its chat, and is over.
    pub fn queues(&mut self, chat: (usize, usize), run: u64) {
        self.queues.entry(chat).or_default().push_back(run);
    }

    pub fn dequeues(&mut self, chat: (usize, usize), run: u64) {
        if let Some(queue) = self.queues.get_mut(&chat) {
            queue.retain(|one| *one != run);
        }
    }

    /// The process is dead; `disk` is what it leaves.
    pub fn crashed(&mut self, disk: &Disk) {
        self.evidence.values_mut().for_each(Evidence::crashed);
        self.pledges.crashed();
        self.queues.clear();
        for known in self.ends.values_mut() {
            known.before = known.now.or(known.before);
            known.now = known.disk;
        }
        // What was not said to be on disk may be there all the same: only what has left neither intent nor outcome is not known any more.
        let made = |entry: &Entry| match entry {
            Entry::Intent(intent) => Some((intent.attempt, intent.started.millis() - EPOCH)),
            Entry::Ended(ended) => Some((ended.attempt, ended.started.millis() - EPOCH)),
            Entry::Begun(_) => None,
        };
        let traced: BTreeSet<Made> = disk.ledger.iter().filter_map(made).collect();
        let unsure = std::mem::take(&mut self.unsure);
        self.traceless.extend(unsure.into_iter().filter(|made| !traced.contains(made)));
        self.heard_of.retain(|send| traced.iter().any(|(attempt, _)| attempt.send == *send));
    }

    /// An entry of it was not said to be on disk: it goes on unrecorded, loudly, and a crash may take it.
    pub fn unrecorded(&mut self, run: &Run) {
        self.unsure.insert((run.attempt, run.started.millis() - EPOCH));
    }

    /// It was under way when the process died.
    pub fn cut_off(&mut self, run: &Run) {
        self.unsure.insert((run.attempt, run.started.millis() - EPOCH));
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

    /// A look said nothing that counts, and this attempt of the bot is forwarded all the same.
    pub fn unsaid(&mut self, attempt: AttemptId) {
        self.unsaid.insert(attempt);
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
    pub fn seen(
        &mut self,
        now: i64,
        request: &Request,
        boot: u32,
        disk: &Disk,
        bot: &Bot,
        sidecar: Option<&Sidecar>,
    ) {
        if let Sender::Letter(letter) = &request.sender {
            self.letter_seen(now, letter.id, letter.text.kind(), request, boot);
        }
        if let Some(send) = request.replay {
            return self.replay_seen(now, send, disk);
        }
        if let (Sender::Run(id), Some(message), true, Some(sidecar)) =
            (&request.sender, request.message, request.boot == boot, sidecar)
        {
            self.call_seen(now, *id, message, request, boot, bot, sidecar);
        }
    }

    fn letter_seen(&mut self, now: i64, id: RecordId, kind: LetterKind, request: &Request, boot: u32) {
        let name = self.plan.as_ref().map_or("other", |plan| plan.counted(request.session));
        self.carried.insert(id, name);
        if matches!(kind, LetterKind::QuickMessage | LetterKind::AdminNotice) {
            let before = self.letters.insert((id, kind as u8), boot);
            // Only a crash makes us forget a notice that could not be written down.
            let forgotten = before.is_some_and(|before| before < boot)
                && kind == LetterKind::AdminNotice
                && self.unrecorded_letters.contains(&id);
            self.holds(now, before.is_none() || forgotten, || {
                format!("a step of a diagnosis was sent twice: {kind:?}")
            });
        }
        if let (LetterKind::QuickMessage, Some(chat)) = (kind, request.chat) {
            let last = self.written.insert(chat, now);
            let long_ago = last.is_none_or(|at| now - at >= WRITE_EVERY - 10_000);
            self.holds(now, long_ago, || {
                format!("customer {chat} got two quick messages within ten minutes")
            });
        }
    }

    fn replay_seen(&mut self, now: i64, send: SendId, disk: &Disk) {
        let ours = disk.cases.get(&send).is_some_and(|case| case.ours_since.is_some());
        // Settled meanwhile, it is nobody's any more; that it went out before that is no matter.
        let settled = disk.cases.get(&send).is_some_and(Case::is_settled);
        self.holds(now, ours || settled, || {
            format!("a replay of {} although it is not on disk that it is ours", short(send))
        });
    }

    /// A replay leaves for WAHA; its turn began at `started`. Does somebody want it although it may arrive twice?
    pub fn replay_leaves(&mut self, now: i64, send: SendId, session: usize, started: i64) -> bool {
        // In the order of leaving: a person waits for no pace, and what one of them wants may reach WAHA before what left first.
        let paced = self.last_replay.insert(session, now).is_none_or(|at| now - at >= PACE);
        let by_hand = self.pledges.is_wished(send);
        self.holds(now, paced || by_hand, || "two replays without a pause".to_owned());
        let (wished, broken) = self.pledges.replayed(send, started);
        if let Some(broken) = broken {
            self.breaks(now, format!("{broken}: {}", short(send)));
        }
        wished
    }

    #[expect(clippy::too_many_arguments, reason = "everybody is asked")]
    fn call_seen(
        &mut self,
        now: i64,
        id: u64,
        message: usize,
        request: &Request,
        boot: u32,
        bot: &Bot,
        sidecar: &Sidecar,
    ) {
        // What a person has settled is nobody's any more, and where no look can tell it is settled sooner: the bot's own new message (SPEC 4.2).
        let sends = self.messages.iter().filter(|(_, of)| **of == message).map(|(send, _)| send);
        if self.pledges.lets_pass(sends) {
            self.unsaid.extend(request.attempt);
        }
        let first = request.chat.and_then(|chat| self.queues.get(&(request.session, chat)));
        let overtakes = first.is_some_and(|queue| queue.contains(&id) && queue.front() != Some(&id));
        self.holds(now, !overtakes, || {
            format!("message {message} overtakes an earlier one of its chat that is still being tried")
        });
        // A retry of a call that the bot has left waits for that one (SPEC 4.1).
        let orphan = |other: &Run| {
            let left = other.call.is_none_or(|call| !bot.calls[call].open);
            other.message == message && Some(other.attempt) != request.attempt && other.left && left
        };
        let running = sidecar.runs.values().any(|run| run.ended.is_none() && orphan(run));
        self.holds(now, !running, || {
            format!(
                "message {message} is forwarded while an earlier call of it still runs and nobody listens"
            )
        });
        // And one that succeeded unheard is the answer of the next.
        let heard = bot.messages[message].heard.is_some();
        let answered = self.succeeded.get(&message).is_some_and(|(at, life, on_disk)| {
            !heard && request.started > *at && request.begun - at < UNHEARD && (*life == boot || *on_disk)
        });
        self.holds(now, !answered, || format!("message {message} had got through, and is forwarded again"));
    }

    /// A phone shows a message. A copy is our fault where we made it ourselves and an earlier one had left, or where the bot made it after
    /// one of ours; but for a copy that a person wanted, or that the bot made after a look which could not tell, and for what a crash took.
    pub fn shown(&mut self, now: i64, at: usize, waha: &Waha) {
        let Some(message) = waha.sent[at].message else { return };
        let known = |one: &&Sent| one.attempt.is_none_or(|id| !self.traceless.contains(&(id, one.started)));
        let mut copies: Vec<_> = (waha.sent.iter())
            .filter(|one| one.message == Some(message) && one.left.is_some())
            .filter(known)
            // What a person has settled is nobody's any more; what comes afterwards is said anew.
            .filter(|one| one.send.is_none_or(|send| !self.pledges.let_go(std::iter::once(&send))))
            .collect();
        copies.sort_by_key(|one| one.begun);
        let mut ids = BTreeSet::new();
        copies.retain(|one| ids.insert(&one.id));
        let ours = |at: usize| {
            let (copy, earlier) = (copies[at], &copies[..at]);
            let unsaid = copy.attempt.is_some_and(|attempt| self.unsaid.contains(&attempt));
            // What WAHA sends and never stores, no look finds: its absence counts after a while (SPEC 4.4).
            let findable = |one: &&Sent| one.replay && (one.stored || copy.begun - one.begun < 130_000);
            if copy.replay { !copy.wished } else { !unsaid && earlier.iter().any(findable) }
        };
        if (1..copies.len()).any(ours) {
            let how: Vec<_> = copies.iter().map(|one| if one.replay { "replay" } else { "bot" }).collect();
            self.breaks(now, format!("a phone shows message {message} twice because of us: {how:?}"));
        }
    }

    /// What is about to be on disk.
    pub fn before_commit(&mut self, disk: &Disk, changes: &[Change], bot: &Bot, waha: &Waha) {
        for change in changes {
            match change {
                Change::Incident(incident) => {
                    let of = |send: &SendId| self.message_of(*send).map(|one| bot.messages[one].session);
                    let plan = self.plan.clone();
                    let strange = incident.affected.iter().find(|send| {
                        of(send)
                            .zip(plan.as_ref())
                            .is_some_and(|(session, plan)| plan.counted(session) != incident.session.as_str())
                    });
                    let strange = strange.copied().map(short);
                    self.holds(0, strange.is_none(), || {
                        format!(
                            "an incident of {} names an order of another session: {strange:?}",
                            incident.session
                        )
                    });
                }
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

    /// What is on disk now.
    pub fn committed(&mut self, disk: &Disk) {
        self.evidence.values_mut().for_each(Evidence::committed);
        let audited = self.pledges.audited(disk);
        self.holds(0, audited, || "what a person wanted once is in the audit twice".to_owned());
    }

    /// An entry is about to reach the heart.
    pub fn entry(&mut self, entry: &Entry, position: Position, now: i64) {
        let Entry::Ended(ended) = entry else { return };
        let recorded = position.0 > 0;
        if ended.what.order.names_order() {
            self.heard_of.insert(ended.attempt.send);
        }
        if matches!(ended.via, Via::Latch | Via::Look) {
            return;
        }
        let at = now.min(ended.ended.millis() - EPOCH);
        if let Some(identity) = ended.what.identity {
            let known = self.ends.entry(identity).or_default();
            known.now.get_or_insert_default().add(ended, at);
            if let Some(before) = &mut known.before {
                before.add(ended, at);
            }
            if recorded {
                known.disk.get_or_insert_default().add(ended, at);
            }
            let fails = matches!(ended.outcome, Outcome::Failed | Outcome::Ambiguous);
            if fails && ended.cause != Some(Cause::Interrupted) {
                self.spoke.insert(identity);
            }
        }
        if matches!(ended.via, Via::Bot | Via::Retry) && ended.outcome != Outcome::Accepted {
            self.pledges.failed_again(ended.attempt.send);
        }
        self.evidence_of(&ended.what).ended(ended, at, recorded);
    }

    /// A report is about to reach the heart.
    pub fn reported(&mut self, report: &Report, _now: i64) {
        self.pledges.reported(report);
        match report {
            Report::Wrote { id, kind: LetterKind::Alert, outcome: Outcome::Accepted, .. } => {
                _ = self.delivered.insert((*id, Channel::Whatsapp))
            }
            Report::Told { alert, channel, outcome: Outcome::Accepted, .. } => {
                _ = self.delivered.insert((*alert, *channel))
            }
            Report::Wrote { id, outcome: Outcome::Accepted, .. } => {
                if let Some(name) = self.carried.get(id) {
                    self.evidence.entry(name).or_default().written();
                }
            }
            Report::Probed { session, result, .. } => {
                let name = self.counted(Some(session));
                self.evidence.entry(name).or_default().probed(*result);
            }
            _ => {}
        }
    }

    /// A mail is accepted: within one life of the process, each once; and never again once the disk says so.
    pub fn mailed(&mut self, alert: RecordId, channel: Channel, boot: u32, disk: &Disk) {
        let first = self.mails.insert((alert, boot));
        let stored =
            disk.alerts.get(&alert).and_then(|one| one.deliveries.iter().find(|one| one.channel == channel));
        let told = stored.is_some_and(|one| matches!(one.progress, Progress::Told(_)));
        self.holds(0, first && !told, || "one alert is mailed twice".to_owned());
    }

    pub fn heard(&mut self, item: &FeedItem, _now: i64) {
        if let News::Ack(id, _) = &item.news {
            self.acked.insert(id.as_str().to_owned());
        }
    }

    /// What the heart has decided.
    pub fn decided(&mut self, decision: &Decision, now: i64, waha: &Waha) {
        for notice in &decision.notices {
            match notice {
                Notice::GivenUp { what } => {
                    let by_proxy = self.plan.as_ref().is_some_and(|plan| plan.proxy);
                    let known = what.identity.and_then(|identity| self.ends.get(&identity)).copied();
                    let known = known.unwrap_or_default();
                    let ends = [known.now, known.before].into_iter().flatten();
                    let due = ends.clone().any(|ends| ends.is_due(now, by_proxy));
                    let last = ends.map(|ends| (ends.attempts, ends.at)).next();
                    self.holds(now, due, || format!("given up too early: {last:?} at {now}"));
                    if what.identity.is_none_or(|identity| self.spoke.contains(&identity)) {
                        self.evidence_of(what).given_up(what.chat.as_ref(), now);
                    }
                }
                Notice::Diagnosed { session, finding, took, .. } => {
                    let began = now - i64::try_from(took.as_millis()).unwrap_or(0);
                    let name = self.plan.as_ref().and_then(|plan| {
                        plan.listed().iter().copied().find(|name| *name == session.as_str())
                    });
                    let evidence = self.evidence.entry(name.unwrap_or("other")).or_default();
                    evidence.diagnosed(finding.verdict, began, now);
                }
                Notice::Status(change) => self.status(change, now, waha),
                _ => {}
            }
        }
    }

    /// No status without evidence, of this very session.
    fn status(&mut self, change: &StatusChange, now: i64, waha: &Waha) {
        let (name, reason) = (self.counted_name(&change.session), change.to.reason);
        let unacked = if reason == Reason::Unacknowledged { self.unacked(name, now, waha) } else { 0 };
        let backed = self.evidence.entry(name).or_default().backs(change.to.status, reason, now, unacked);
        self.holds(now, backed, || {
            format!("status {} ({}) of {name} without evidence", change.to.status, reason.as_str())
        });
    }

    fn counted_name(&self, session: &SessionName) -> &'static str {
        let listed = self.plan.as_ref().map_or(&[][..], Plan::listed);
        listed.iter().copied().find(|name| *name == session.as_str()).unwrap_or("other")
    }

    /// Chats of a session to which something was sent a minute ago or more, of which WhatsApp was never heard.
    fn unacked(&self, name: &str, now: i64, waha: &Waha) -> usize {
        let plan = self.plan.as_ref();
        let here = |sent: &&Sent| plan.is_some_and(|plan| plan.counted(sent.session) == name);
        let mute = |sent: &&Sent| now - sent.begun >= UNACKED && !self.acked.contains(&sent.id);
        let chats: BTreeSet<_> = waha.sent.iter().filter(here).filter(mute).map(|sent| sent.chat).collect();
        chats.len()
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
}

pub fn short(send: SendId) -> String {
    send.to_string().chars().skip(10).take(8).collect()
}
