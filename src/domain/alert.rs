//! What admins are told: one alert is one message (SPEC 10). Which words it is told in is `crate::words`; which channels carry it comes later.

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
    /// Not before then: what comes until then joins it.
    pub due: Timestamp,
    /// How often telling it was tried.
    pub tries: u32,
    /// When it was told: a channel accepted it.
    pub told: Option<Timestamp>,
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
    /// WhatsApp restricts the account.
    Restricted(Orders),
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
}

impl Says {
    /// All words, in the order that label sets are created.
    pub const WORDS: [&str; 7] = [
        "preventive",
        "manual_attention",
        "total_loss",
        "account_restricted",
        "recovery",
        "trouble",
        "trouble_over",
    ];

    /// The word of API and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Preventive(_) => "preventive",
            Self::ManualAttention(_) => "manual_attention",
            Self::TotalLoss { .. } => "total_loss",
            Self::Restricted(_) => "account_restricted",
            Self::Recovered { .. } => "recovery",
            Self::Trouble(_) => "trouble",
            Self::TroubleOver(_) => "trouble_over",
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
pub const ORDERS_NAMED_MAX: usize = 20;

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
