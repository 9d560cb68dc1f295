//! What admins are told: one alert is one message on each of its channels (SPEC 10). Which words it is told in is `crate::words`, how it
//! reaches people is `delivery`.

use super::delivery::{Channel, Delivery, Progress, Topic};
use super::diagnosis::Finding;
use super::id::{RecordId, SendId, SessionName};
use super::probe::ProbeResult;
use super::status::{Assessment, Status};
use super::time::Timestamp;

/// One message to the admins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: RecordId,
    /// The session it is about.
    pub session: SessionName,
    /// The incident it belongs to.
    pub incident: Option<RecordId>,
    /// When it was decided.
    pub at: Timestamp,
    /// What it says.
    pub says: Says,
    /// The channels that carry it, and how far it got on each. Empty where there is nobody to tell.
    pub deliveries: Vec<Delivery>,
}

impl Alert {
    /// When a channel first accepted it.
    pub fn told(&self) -> Option<Timestamp> {
        let told = self.deliveries.iter().filter_map(|one| match one.progress {
            Progress::Told(at) => Some(at),
            _ => None,
        });
        told.min()
    }

    /// When nothing was left to be done about it; `None` while it is on its way.
    pub fn over(&self) -> Option<Timestamp> {
        let mut settled = self.deliveries.iter().map(Delivery::settled);
        settled.try_fold(self.at, |over, settled| settled.map(|at| over.max(at)))
    }

    /// How often telling it was tried, on all channels together.
    pub fn tries(&self) -> u32 {
        self.deliveries.iter().fold(0, |tries, one| tries.saturating_add(one.tries))
    }

    /// Its way through a channel, if it goes there.
    pub fn on(&self, channel: Channel) -> Option<&Delivery> {
        self.deliveries.iter().find(|one| one.channel == channel)
    }

    /// The same, to be moved on.
    pub fn on_mut(&mut self, channel: Channel) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|one| one.channel == channel)
    }

    /// May more still join what it says?
    pub fn gathers(&self) -> bool {
        self.tries() == 0 && self.over().is_none()
    }
}

/// What an alert says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// The session does not work, though no order has failed yet.
    Preventive(ProbeResult),
    /// Customers were not told, and the channel works: call them.
    ManualAttention(Orders),
    /// The channel is dead.
    TotalLoss {
        /// Whom it concerns.
        orders: Orders,
        /// How that is known.
        finding: Option<Box<Finding>>,
        /// The status and why.
        assessment: Assessment,
    },
    /// It still is, and these came on top.
    StillLost {
        /// Since when.
        since: Timestamp,
        /// Orders that were not named yet.
        orders: Orders,
    },
    /// WhatsApp restricts the account.
    Restricted(Orders),
    /// The bot has given no sign of life since then.
    BotGone {
        /// Its last one, or our start.
        since: Timestamp,
    },
    /// It is over.
    Recovered {
        /// Since when it was bad.
        start: Timestamp,
        /// Until when.
        end: Timestamp,
        /// The worst it came to.
        worst: Status,
        /// Orders whose customers were not told meanwhile.
        affected: u32,
        /// Of these, sent again by us.
        replayed: u32,
        /// Of these, left for people.
        left: u32,
    },
    /// The watchdog itself is in trouble.
    Trouble(Trouble),
    /// That is over.
    TroubleOver(Trouble),
    /// Nothing is wrong: a drill, by somebody.
    Drill {
        /// Who wanted it.
        who: String,
    },
    /// It is over.
    DrillOver {
        /// When it began.
        start: Timestamp,
    },
    /// Nothing is wrong: somebody tries a channel.
    Test {
        /// Who.
        who: String,
    },
}

impl Says {
    /// All words, in the order that label sets are created.
    pub const WORDS: [&str; 12] = [
        "preventive",
        "manual_attention",
        "total_loss",
        "still_lost",
        "account_restricted",
        "bot_gone",
        "recovery",
        "trouble",
        "trouble_over",
        "drill",
        "drill_over",
        "test",
    ];

    /// The word of API and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Preventive(_) => "preventive",
            Self::ManualAttention(_) => "manual_attention",
            Self::TotalLoss { .. } => "total_loss",
            Self::StillLost { .. } => "still_lost",
            Self::Restricted(_) => "account_restricted",
            Self::BotGone { .. } => "bot_gone",
            Self::Recovered { .. } => "recovery",
            Self::Trouble(_) => "trouble",
            Self::TroubleOver(_) => "trouble_over",
            Self::Drill { .. } => "drill",
            Self::DrillOver { .. } => "drill_over",
            Self::Test { .. } => "test",
        }
    }

    /// What channels choose by.
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Preventive(_) => Topic::Preventive,
            Self::ManualAttention(_) => Topic::ManualAttention,
            Self::TotalLoss { .. } => Topic::TotalLoss,
            Self::StillLost { .. } => Topic::Reminder,
            Self::Restricted(_) => Topic::Restricted,
            Self::BotGone { .. } => Topic::BotGone,
            Self::Recovered { .. } => Topic::Recovery,
            Self::Trouble(_) | Self::TroubleOver(_) => Topic::Trouble,
            Self::Drill { .. } | Self::DrillOver { .. } | Self::Test { .. } => Topic::Drill,
        }
    }

    /// Does it say that something is over, which the pager resolves by?
    pub const fn ends(&self) -> bool {
        matches!(self, Self::Recovered { .. } | Self::TroubleOver(_) | Self::DrillOver { .. })
    }

    /// Is it about something that stands, so that nobody needs to hear it once that is over?
    pub const fn stands(&self) -> bool {
        match self {
            Self::Preventive(_)
            | Self::ManualAttention(_)
            | Self::TotalLoss { .. }
            | Self::StillLost { .. }
            | Self::Restricted(_)
            | Self::BotGone { .. }
            | Self::Trouble(_)
            | Self::Drill { .. } => true,
            Self::Recovered { .. } | Self::TroubleOver(_) | Self::DrillOver { .. } | Self::Test { .. } => {
                false
            }
        }
    }

    /// The orders it names.
    pub const fn orders(&self) -> Option<&Orders> {
        match self {
            Self::ManualAttention(orders)
            | Self::TotalLoss { orders, .. }
            | Self::StillLost { orders, .. }
            | Self::Restricted(orders) => Some(orders),
            _ => None,
        }
    }
}

/// What is wrong with the watchdog itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// WAHA refuses our own key: we cannot see.
    KeyRefused,
}

impl Trouble {
    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyRefused => "key_refused",
        }
    }
}

/// Orders an alert is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The first ones.
    pub named: Vec<OrderLine>,
    /// How many there are.
    pub count: u32,
}

/// Most orders an alert names.
pub const ORDERS_NAMED_MAX: usize = 100;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The send.
    pub send: SendId,
    /// Order number or id, where there is one.
    pub order: Option<String>,
}

impl Orders {
    /// One more; the same one twice is one.
    pub fn add(&mut self, line: OrderLine) {
        if self.named.iter().any(|known| known.send == line.send) {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.named.len() < ORDERS_NAMED_MAX {
            self.named.push(line);
        }
    }
}
