//! The words of a status: what it can be, why, and from which thresholds on. How it follows from what was seen is `assess`.

use std::fmt;
use std::time::Duration;

use super::time::Timestamp;

/// Is the bot speaking?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing seen yet.
    #[default]
    Unknown,
    /// Sends are accepted.
    Online,
    /// Something is wrong, and messages still go out, or may.
    Degraded,
    /// The bot is silent.
    Offline,
    /// Nothing goes out.
    Incommunicado,
    /// Nothing goes out, and that is certain.
    IncommunicadoCritico,
}

impl Status {
    /// All statuses, in the order that label sets are created.
    pub const ALL: [Self; 6] = [
        Self::Online,
        Self::Degraded,
        Self::Incommunicado,
        Self::IncommunicadoCritico,
        Self::Offline,
        Self::Unknown,
    ];

    /// The word of API, metrics and panel.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Incommunicado => "incommunicado",
            Self::IncommunicadoCritico => "incommunicado_critico",
        }
    }

    /// The number of the dashboards' timeline; -1 where nothing was seen.
    pub const fn code(self) -> i8 {
        match self {
            Self::Unknown => -1,
            Self::Online => 0,
            Self::Degraded => 1,
            Self::Incommunicado => 2,
            Self::IncommunicadoCritico => 3,
            Self::Offline => 4,
        }
    }

    /// How bad it is: the worst session is the status of the whole.
    pub const fn badness(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Online => 1,
            Self::Offline => 2,
            Self::Degraded => 3,
            Self::Incommunicado => 4,
            Self::IncommunicadoCritico => 5,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure a status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Little is known.
    Low,
    /// The signs agree.
    Medium,
    /// Proven.
    High,
}

impl Confidence {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Which row of the table gave the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing seen yet.
    NothingSeen,
    /// Something seen and nothing wrong.
    AllWell,
    /// Sends to several chats were given up, and nothing was accepted since.
    SendsGivenUp,
    /// Sends fail, and nothing was accepted since.
    SendsFailing,
    /// Too few sends succeed.
    LowSuccessRate,
    /// Answers take too long.
    HighLatency,
    /// Sends needed retries lately.
    RetriesNeeded,
    /// No call from the bot for a while.
    BotSilent,
    /// The last diagnosis reached nobody, and nothing was accepted since.
    TotalLoss,
    /// Neither probes nor sends get through.
    NothingWorks,
    /// WAHA accepts, and WhatsApp acknowledges nothing.
    Unacknowledged,
    /// Probes fail; sends still work, or there are none.
    HealthcheckFailing,
    /// Sends fail, and the diagnosis reached somebody.
    WebhookOnly,
    /// WhatsApp restricts this account.
    AccountRestricted,
    /// Several chats reject alike, and nothing was accepted since.
    RejectedAlike,
    /// The bot's sign of life is missing.
    BotGone,
    /// Probes are well again after an outage, and no send has shown it yet.
    Unproven,
}

impl Reason {
    /// All, in the order of their codes.
    pub const ALL: [Self; 17] = [
        Self::NothingSeen,
        Self::AllWell,
        Self::SendsGivenUp,
        Self::SendsFailing,
        Self::LowSuccessRate,
        Self::HighLatency,
        Self::RetriesNeeded,
        Self::BotSilent,
        Self::TotalLoss,
        Self::NothingWorks,
        Self::Unacknowledged,
        Self::HealthcheckFailing,
        Self::WebhookOnly,
        Self::AccountRestricted,
        Self::RejectedAlike,
        Self::BotGone,
        Self::Unproven,
    ];
}

impl Reason {
    /// The word of API and history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingSeen => "nothing_seen",
            Self::AllWell => "all_well",
            Self::SendsGivenUp => "sends_given_up",
            Self::SendsFailing => "sends_failing",
            Self::LowSuccessRate => "low_success_rate",
            Self::HighLatency => "high_latency",
            Self::RetriesNeeded => "retries_needed",
            Self::BotSilent => "bot_silent",
            Self::TotalLoss => "total_loss",
            Self::NothingWorks => "nothing_works",
            Self::Unacknowledged => "unacknowledged",
            Self::HealthcheckFailing => "healthcheck_failing",
            Self::WebhookOnly => "webhook_only",
            Self::AccountRestricted => "account_restricted",
            Self::RejectedAlike => "rejected_alike",
            Self::BotGone => "bot_gone",
            Self::Unproven => "unproven",
        }
    }
}

/// A status with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The status.
    pub status: Status,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why.
    pub reason: Reason,
}

impl Assessment {
    /// What is said before anything was seen.
    pub const UNKNOWN: Self =
        Self { status: Status::Unknown, confidence: Confidence::Low, reason: Reason::NothingSeen };
}

/// The thresholds, each with its key in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct StatusPolicy {
    /// `status.window`: over how long rate and latency are taken.
    pub window: Duration,
    /// `status.min_sends`: fewer say nothing.
    pub min_sends: u32,
    /// `status.success_rate`: below is degraded, 0 to 1.
    pub success_rate: f64,
    /// `status.latency_p95`: above is degraded.
    pub latency_p95: Duration,
    /// `status.recover_after`: how long rate and latency must be good again.
    pub recover_after: Duration,
    /// `incommunicado.failures`: so many sends given up.
    pub incommunicado_failures: u32,
    /// `incommunicado.window`: within so long.
    pub incommunicado_window: Duration,
    /// `status.unacked_degraded`: accepted without a server ack for so long is degraded (SPEC 4.6).
    pub unacked_degraded: Duration,
    /// `status.unacked_critical`: and for so long critical.
    pub unacked_critical: Duration,
    /// `offline.after`: silent for so long.
    pub offline_after: Duration,
}

/// A status changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// Of which session.
    pub session: super::id::SessionName,
    /// When.
    pub at: Timestamp,
    /// From what.
    pub from: Status,
    /// To what, and why.
    pub to: Assessment,
}
