//! Fault switches: which calls go wrong, and how. Only the choice is made here; the deeds are done where the call is.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::chat::chat_id;

/// One switched-on fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which calls; all sends if left out.
    #[serde(default)]
    pub when: FaultWhen,
    /// What happens to them.
    pub what: FaultKind,
}

impl Fault {
    /// A fault of every send, to any chat.
    pub fn always(what: FaultKind) -> Self {
        Self { when: FaultWhen::default(), what }
    }

    /// A fault of the sends to one chat.
    pub fn to_chat(chat: &str, what: FaultKind) -> Self {
        Self { when: FaultWhen { chat: Some(chat.to_owned()), ..FaultWhen::default() }, what }
    }

    /// The same, but only the first `count` matching calls.
    pub fn times(mut self, count: u64) -> Self {
        self.when.count = Some(count);
        self
    }

    /// The same, but only from the `from`-th matching call on, counted from 1.
    pub fn from_call(mut self, from: u64) -> Self {
        self.when.from = from;
        self
    }
}

/// Which calls a fault is for: those that fulfil every condition given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultWhen {
    /// Only this chat, in any spelling WAHA takes (`5511…`, `…@c.us`, `…@s.whatsapp.net`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// Only this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Only paths that begin so, any case, sends or not; `*` is every path. Without it: sends, whatever their path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From which matching call on, counted from 1.
    pub from: u64,
    /// For how many matching calls; without it for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Default for FaultWhen {
    fn default() -> Self {
        Self { chat: None, session: None, path: None, from: 1, count: None }
    }
}

impl FaultWhen {
    /// True if it says nothing: then even a connection may be refused, which belongs to no call.
    fn is_unconditional(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, call: &Call<'_>) -> bool {
        let path_fits = match &self.path {
            None => call.is_send,
            Some(path) if path == "*" => true,
            Some(path) => call.path.to_ascii_lowercase().starts_with(&path.to_ascii_lowercase()),
        };
        path_fits
            && self.session.as_deref().is_none_or(|session| call.session == Some(session))
            && self.chat.as_deref().is_none_or(|chat| call.chat.is_some_and(|c| chat_id(c) == chat_id(chat)))
    }
}

/// What goes wrong. Kinds marked *mark* change what comes after an otherwise good call and combine with others; of the
/// remaining ones the first that matches is done. Durations are taken as they are, never scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Without any condition: the whole server stops listening until the fault is removed. With one: 503, as from a
    /// gateway in front of a WAHA that is gone.
    Refuse,
    /// Waits, then goes on as usual, whether the client is still there or not. *Mark.*
    #[serde(rename = "delay_ms")]
    Delay(#[serde(with = "millis")] Duration),
    /// Processed at once, answered late. *Mark.*
    #[serde(rename = "late_answer_ms")]
    LateAnswer(#[serde(with = "millis")] Duration),
    /// Never processed, never answered.
    Hang,
    /// The connection is reset, nothing is processed. Without a chat or session as condition the body is not even read.
    DropBeforeReading,
    /// The message goes out, then the connection is cut without an answer.
    DropAfterProcessing,
    /// The message goes out; the answer promises more bytes than come before the connection is cut.
    TruncateAnswer,
    /// WAHA's unhandled error with this message and the echo of the request; not processed. `Connection Closed`,
    /// `Timed Out` and `2 UNKNOWN: …` come in the form their engines give them.
    #[serde(rename = "status_500")]
    Status500(String),
    /// WAHA's 422 of a session that is not WORKING, but at once. For WAHA's wait set the session's status instead.
    #[serde(rename = "status_422")]
    Status422,
    /// WhatsApp restricts contact with new people. GOWS: 500 at once; the others: 201, then ack −1, nothing displayed.
    #[serde(rename = "restricted_463")]
    Restricted463,
    /// WhatsApp's cap on new contacts is reached; as above.
    #[serde(rename = "restricted_475")]
    Restricted475,
    /// The 500 of a number that is not on WhatsApp.
    NoLid,
    /// 201 whose body is cut JSON; the message goes out.
    BadBody,
    /// 201 without a body, as WEBJS sometimes does; the message goes out.
    EmptyBody,
    /// 401, whatever the key.
    Unauthorized,
    /// The phone displays the message, but no ack ever comes. *Mark.*
    NoAcks,
    /// Every ack comes later by this much. *Mark.*
    #[serde(rename = "late_acks_ms")]
    LateAcks(#[serde(with = "millis")] Duration),
    /// 201, then ack −1: nothing is displayed. *Mark.*
    AckError,
    /// 201, and that is the last one hears of it: nothing is displayed, no ack comes. *Mark.*
    Swallow,
    /// No event leaves WAHA at all, neither over `/ws` nor to a webhook, while the fault is on. Of the conditions only
    /// the session counts.
    BlindFeed,
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Names a fault for its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a call when its faults are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    pub(super) is_send: bool,
    pub(super) session: Option<&'a str>,
    pub(super) chat: Option<&'a str>,
}

/// What is to go wrong with one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) late_answer: Duration,
    /// The first matching kind that is not a mark.
    pub(super) deed: Option<FaultKind>,
    pub(super) no_acks: bool,
    pub(super) late_acks: Duration,
    pub(super) ack_error: bool,
    pub(super) swallow: bool,
}

#[derive(Debug)]
struct Switched {
    id: FaultId,
    fault: Fault,
    matched: u64,
}

#[derive(Debug, Default)]
struct Switches {
    last_id: u64,
    on: Vec<Switched>,
}

/// The fault switches of one look-alike; a cheap handle, all clones are the same switches.
#[derive(Clone, Debug)]
pub struct Faults {
    switches: Arc<Mutex<Switches>>,
    /// Whether an unconditional [`FaultKind::Refuse`] is on; the listener follows it.
    refusing: watch::Sender<bool>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { switches: Arc::default(), refusing: watch::Sender::new(false) }
    }

    /// Switches a fault on.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut switches = self.lock();
        switches.last_id += 1;
        let id = FaultId(switches.last_id);
        switches.on.push(Switched { id, fault, matched: 0 });
        self.follow(&switches);
        id
    }

    /// Switches one fault off; false if it was not on.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut switches = self.lock();
        let before = switches.on.len();
        switches.on.retain(|switched| switched.id != id);
        self.follow(&switches);
        switches.on.len() < before
    }

    /// Switches all faults off.
    pub fn clear(&self) {
        let mut switches = self.lock();
        switches.on.clear();
        self.follow(&switches);
    }

    /// What is on, oldest first, with the number of calls each has matched so far.
    pub fn list(&self) -> Vec<(FaultId, Fault, u64)> {
        self.lock().on.iter().map(|s| (s.id, s.fault.clone(), s.matched)).collect()
    }

    pub(super) fn refusing(&self) -> watch::Receiver<bool> {
        self.refusing.subscribe()
    }

    /// Whether a call is to be dropped before its body is read: only faults that need nothing from the body.
    pub(super) fn drops_unread(&self, path: &str, is_send: bool) -> bool {
        let call = Call { path, is_send, session: None, chat: None };
        let mut dropped = false;
        for switched in &mut self.lock().on {
            if drops_unread(&switched.fault) && switched.takes(&call) {
                dropped = true;
            }
        }
        dropped
    }

    /// Chooses what goes wrong with a call, and counts it.
    pub(super) fn plan(&self, call: &Call<'_>) -> Plan {
        let mut plan = Plan::default();
        for switched in &mut self.lock().on {
            let is_elsewhere = match switched.fault.what {
                FaultKind::BlindFeed => true,
                FaultKind::Refuse => switched.fault.when.is_unconditional(),
                FaultKind::DropBeforeReading => drops_unread(&switched.fault),
                _ => false,
            };
            if is_elsewhere || !switched.takes(call) {
                continue;
            }
            match &switched.fault.what {
                FaultKind::Delay(by) => plan.delay += *by,
                FaultKind::LateAnswer(by) => plan.late_answer += *by,
                FaultKind::LateAcks(by) => plan.late_acks += *by,
                FaultKind::NoAcks => plan.no_acks = true,
                FaultKind::AckError => plan.ack_error = true,
                FaultKind::Swallow => plan.swallow = true,
                deed if plan.deed.is_none() => plan.deed = Some(deed.clone()),
                _ => {}
            }
        }
        plan
    }

    pub(super) fn feed_is_blind(&self, session: &str) -> bool {
        self.lock().on.iter().any(|switched| {
            switched.fault.what == FaultKind::BlindFeed
                && switched.fault.when.session.as_deref().is_none_or(|name| name == session)
        })
    }

    fn follow(&self, switches: &Switches) {
        let refuse =
            switches.on.iter().any(|s| s.fault.what == FaultKind::Refuse && s.fault.when.is_unconditional());
        self.refusing.send_if_modified(|was| std::mem::replace(was, refuse) != refuse);
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drops_unread(fault: &Fault) -> bool {
    fault.what == FaultKind::DropBeforeReading && fault.when.chat.is_none() && fault.when.session.is_none()
}

impl Switched {
    /// Counts the call if it fits, and says whether it is one of those that go wrong.
    fn takes(&mut self, call: &Call<'_>) -> bool {
        if !self.fault.when.fits(call) {
            return false;
        }
        self.matched += 1;
        let from = self.fault.when.from.max(1);
        self.matched >= from && self.fault.when.count.is_none_or(|count| self.matched - from < count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: Call<'static> =
        Call { path: "/api/sendText", is_send: true, session: Some("default"), chat: Some("551199@c.us") };

    fn deed(faults: &Faults, call: Call<'_>) -> Option<FaultKind> {
        faults.plan(&call).deed
    }

    #[test]
    fn a_fault_of_one_chat_leaves_others_alone_in_any_spelling() {
        let faults = Faults::new();
        faults.add(Fault::to_chat("551199@s.whatsapp.net", FaultKind::Hang));
        assert_eq!(deed(&faults, SEND), Some(FaultKind::Hang));
        assert_eq!(deed(&faults, Call { chat: Some("551199"), ..SEND }), Some(FaultKind::Hang));
        assert_eq!(deed(&faults, Call { chat: Some("551198@c.us"), ..SEND }), None);
        assert_eq!(deed(&faults, Call { chat: None, ..SEND }), None);
    }

    #[test]
    fn only_the_calls_asked_for_go_wrong() {
        let faults = Faults::new();
        faults.add(Fault::always(FaultKind::Hang).from_call(2).times(2));
        let went_wrong: Vec<bool> = (0..5).map(|_| deed(&faults, SEND).is_some()).collect();
        assert_eq!(went_wrong, [false, true, true, false, false]);
    }

    #[test]
    fn without_a_path_only_sends_go_wrong() {
        let faults = Faults::new();
        faults.add(Fault::always(FaultKind::Unauthorized));
        let probe = Call { path: "/api/sessions/default", is_send: false, chat: None, ..SEND };
        assert_eq!(deed(&faults, probe), None);
        faults.add(Fault {
            when: FaultWhen { path: Some("/API/sessions".into()), ..FaultWhen::default() },
            what: FaultKind::Unauthorized,
        });
        assert_eq!(deed(&faults, probe), Some(FaultKind::Unauthorized));
    }

    #[test]
    fn marks_combine_and_the_first_deed_wins() {
        let faults = Faults::new();
        for what in [
            FaultKind::Delay(Duration::from_millis(5)),
            FaultKind::NoAcks,
            FaultKind::Delay(Duration::from_millis(6)),
            FaultKind::BadBody,
            FaultKind::Hang,
        ] {
            faults.add(Fault::always(what));
        }
        let plan = faults.plan(&SEND);
        assert_eq!(plan.delay, Duration::from_millis(11));
        assert!(plan.no_acks);
        assert_eq!(plan.deed, Some(FaultKind::BadBody));
    }

    #[test]
    fn only_an_unconditional_refusal_closes_the_listener() {
        let faults = Faults::new();
        let refusing = faults.refusing();
        faults.add(Fault::to_chat("1", FaultKind::Refuse));
        assert!(!*refusing.borrow());
        let id = faults.add(Fault::always(FaultKind::Refuse));
        assert!(*refusing.borrow());
        assert_eq!(deed(&faults, SEND), None, "no call is left that it could be done to");
        assert!(faults.remove(id));
        assert!(!*refusing.borrow());
        assert!(!faults.remove(id));
    }

    #[test]
    fn faults_read_and_write_as_json_a_person_can_type() {
        let typed = r#"{"when":{"chat":"5511","count":2},"what":{"delay_ms":500}}"#;
        let fault: Fault = serde_json::from_str(typed).unwrap();
        assert_eq!(fault, Fault::to_chat("5511", FaultKind::Delay(Duration::from_millis(500))).times(2));
        let written = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&written).unwrap(), fault);
        let short: Fault = serde_json::from_str(r#"{"what":"drop_after_processing"}"#).unwrap();
        assert_eq!(short, Fault::always(FaultKind::DropAfterProcessing));
        assert!(
            serde_json::from_str::<Fault>(r#"{"what":"hang","whne":{}}"#).is_err(),
            "a typing error is told"
        );
    }
}
