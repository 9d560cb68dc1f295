//! The failed notification: what is known of a send that a customer did not get, until somebody or something settles it (SPEC 8).

use super::outcome::Cause;
use super::status::Status;
use super::time::Timestamp;

/// A send was given up or rejected: the record people work on. Its id is the send's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why the last attempt failed.
    pub cause: Cause,
    /// When the send was given up or rejected.
    pub created_at: Timestamp,
    /// The status of its session at that moment.
    pub status_at_creation: Status,
    /// What it asks of people.
    pub attention: Attention,
    /// Who has taken it, so that two do not call the same customer; the token's name.
    pub claimed_by: Option<String>,
    /// How it was settled; open while `None`.
    pub resolution: Option<Resolution>,
}

impl Failure {
    /// Does this record still wait for somebody?
    pub const fn is_open(&self) -> bool {
        self.resolution.is_none()
    }
}

/// What a failed notification asks of people (SPEC 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attention {
    /// Nobody was reached: the customer knows nothing.
    #[default]
    Unnotified,
    /// The diagnosis reached the customer or the admin: the order wants a person.
    Manual,
}

impl Attention {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unnotified => "unnotified",
            Self::Manual => "manual",
        }
    }
}

/// How a failed notification was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// When.
    pub at: Timestamp,
    /// By what means.
    pub method: Method,
    /// Who, where a person did; the token's name.
    pub by: Option<String>,
    /// What the person wrote down.
    pub note: Option<String>,
}

/// By what means a failed notification was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The bot itself got it through after all.
    BotRecovered,
    /// Sent again by hand.
    Retry,
    /// A person called.
    PhoneCall,
    /// A person sent an SMS.
    Sms,
    /// A person sent an email.
    Email,
    /// A person reached the customer some other way.
    ManualContact,
    /// WhatsApp confirmed it late.
    ConfirmedLate,
    /// A later notification of the same order made it pointless.
    Superseded,
    /// Too old to be sent.
    Expired,
}

impl Method {
    /// All methods, in the order that label sets are created.
    pub const ALL: [Self; 9] = [
        Self::BotRecovered,
        Self::Retry,
        Self::PhoneCall,
        Self::Sms,
        Self::Email,
        Self::ManualContact,
        Self::ConfirmedLate,
        Self::Superseded,
        Self::Expired,
    ];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BotRecovered => "bot_recovered",
            Self::Retry => "retry",
            Self::PhoneCall => "phone_call",
            Self::Sms => "sms",
            Self::Email => "email",
            Self::ManualContact => "manual_contact",
            Self::ConfirmedLate => "confirmed_late",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
        }
    }
}
