//! How an alert reaches people: its channels, and how far it got on each (SPEC 10). What it says is `alert`.

use super::time::Timestamp;

/// A way to reach the admins, one message at a time. Alertmanager is none: it is told what stands, not what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A message through WAHA, to `alerts.admin_phone`. It dies with what it would report.
    Whatsapp,
    /// E-mail.
    Email,
    /// A short message to a phone.
    Sms,
    /// Signed JSON to an address of the shop's.
    Webhook,
    /// The pager, where nobody else owns it.
    Pagerduty,
    /// A line in a file.
    LogFile,
}

impl Channel {
    /// All, in the order that label sets are created.
    pub const ALL: [Self; 6] =
        [Self::Whatsapp, Self::Email, Self::Sms, Self::Webhook, Self::Pagerduty, Self::LogFile];

    /// The word of configuration, API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Webhook => "webhook",
            Self::Pagerduty => "pagerduty",
            Self::LogFile => "log_file",
        }
    }

    /// The channel of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == word)
    }

    /// Does it reach somebody who is not looking?
    pub const fn calls_somebody(self) -> bool {
        !matches!(self, Self::LogFile)
    }
}

/// What is told what stands, again and again, instead of what happened. It is counted beside the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Steady {
    /// Alertmanager: what is wrong right now.
    Alertmanager,
    /// A dead man's switch outside: that we live.
    Heartbeat,
}

impl Steady {
    /// Both, in the order that label sets are created.
    pub const ALL: [Self; 2] = [Self::Alertmanager, Self::Heartbeat];

    /// The word of configuration, API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Most recipients that are remembered to have an alert; further ones may be told twice.
const REACHED_MAX: usize = 256;

/// One of the recipients of a channel, by a digest: enough to know them again, and no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient(u64);

impl Recipient {
    /// The one with this digest.
    pub const fn from_bytes(digest: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(digest))
    }

    /// The one with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How a channel has been lately, as far as this process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// When it last accepted something.
    pub last_success: Option<Timestamp>,
    /// Since when it accepts nothing.
    pub failing_since: Option<Timestamp>,
    /// Why the last try failed: words without any address, name or secret.
    pub why: Option<String>,
}

impl Reach {
    /// It accepted something.
    pub fn accepted(&mut self, now: Timestamp) {
        *self = Self { last_success: Some(now), failing_since: None, why: None };
    }

    /// It did not.
    pub fn failed(&mut self, why: Option<String>, now: Timestamp) {
        self.failing_since.get_or_insert(now);
        self.why = why;
    }
}

/// What an alert is about, as far as channels choose by it: `alerts.<channel>.events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The session does not work; no order has failed yet.
    Preventive,
    /// Customers were not told, and the channel works.
    ManualAttention,
    /// The channel is dead.
    TotalLoss,
    /// It still is.
    Reminder,
    /// WhatsApp restricts the account.
    Restricted,
    /// The bot gives no sign of life.
    BotGone,
    /// It is over.
    Recovery,
    /// The watchdog itself is in trouble.
    Trouble,
    /// Nothing is wrong: the way to the admins is tried.
    Drill,
}

impl Topic {
    /// All, in the order of the configuration.
    pub const ALL: [Self; 9] = [
        Self::Preventive,
        Self::ManualAttention,
        Self::TotalLoss,
        Self::Reminder,
        Self::Restricted,
        Self::BotGone,
        Self::Recovery,
        Self::Trouble,
        Self::Drill,
    ];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preventive => "preventive",
            Self::ManualAttention => "manual_attention",
            Self::TotalLoss => "total_loss",
            Self::Reminder => "reminder",
            Self::Restricted => "account_restricted",
            Self::BotGone => "bot_gone",
            Self::Recovery => "recovery",
            Self::Trouble => "trouble",
            Self::Drill => "drill",
        }
    }

    /// The topic of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }
}

/// What a channel carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The channel.
    pub channel: Channel,
    /// The topics it takes.
    pub takes: Vec<Topic>,
}

impl Route {
    /// A channel that carries what it usually does.
    pub fn usual(channel: Channel) -> Self {
        let takes = Topic::ALL.into_iter().filter(|topic| carries(channel, *topic)).collect();
        Self { channel, takes }
    }
}

/// Short messages and the pager wake people: what can wait until the morning does not go there.
const fn carries(channel: Channel, topic: Topic) -> bool {
    match channel {
        Channel::Whatsapp | Channel::Email | Channel::Webhook | Channel::LogFile => true,
        Channel::Sms => {
            matches!(topic, Topic::TotalLoss | Topic::BotGone | Topic::Recovery | Topic::Drill)
        }
        Channel::Pagerduty => {
            matches!(
                topic,
                Topic::TotalLoss | Topic::BotGone | Topic::Recovery | Topic::Trouble | Topic::Drill
            )
        }
    }
}

/// An alert on its way through one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub channel: Channel,
    /// How often it was tried.
    pub tries: u32,
    /// Not before then.
    pub due: Timestamp,
    /// How far it got.
    pub progress: Progress,
    /// Who of several recipients has it already, until it is settled.
    pub reached: Vec<Recipient>,
}

/// How far a delivery got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits.
    Waiting,
    /// It runs; should nothing be heard of it by `due`, it waits again.
    UnderWay,
    /// The channel accepted it then.
    Told(Timestamp),
    /// It was given up then.
    Dropped(Timestamp, Dropped),
}

/// Why a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// What it would say is over, or said otherwise.
    Withdrawn,
    /// The channel will not take it, however often it is tried.
    Refused,
    /// It is too old to be of use.
    TooOld,
}

impl Dropped {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::TooOld => "too_old",
        }
    }
}

impl Delivery {
    /// One that waits until `due`.
    pub const fn new(channel: Channel, due: Timestamp) -> Self {
        Self { channel, tries: 0, due, progress: Progress::Waiting, reached: Vec::new() }
    }

    /// These have it. Tells whether that is news.
    pub fn reaches(&mut self, who: &[Recipient]) -> bool {
        let before = self.reached.len();
        for one in who {
            if self.reached.len() < REACHED_MAX && !self.reached.contains(one) {
                self.reached.push(*one);
            }
        }
        self.reached.len() > before
    }

    /// When it was told.
    pub const fn told(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Told(at) => Some(at),
            Progress::Waiting | Progress::UnderWay | Progress::Dropped(..) => None,
        }
    }

    /// When it was told or given up.
    pub const fn settled(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Told(at) | Progress::Dropped(at, _) => Some(at),
            Progress::Waiting | Progress::UnderWay => None,
        }
    }
}

/// How a try ended, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Accepted.
    Ok,
    /// Not, and it is tried again.
    Retried,
    /// Not, and it is not tried again.
    Failed,
    /// It became needless.
    Suppressed,
}

impl Delivered {
    /// All, in the order that label sets are created.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Retried, Self::Failed, Self::Suppressed];

    /// The word of the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
        }
    }
}
