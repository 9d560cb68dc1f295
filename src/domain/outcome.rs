//! What came back, judged by phase and body and not by status code alone (SPEC 4.3).
//!
//! [`Reply`] is what happened in our words; who turns WAHA's spelling into it is `crate::waha::reply`. [`judge`] says how the
//! attempt ended, and why.

use std::fmt;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// WAHA took it. Not the same as delivered.
    Accepted,
    /// WAHA or WhatsApp blames this request or this destination. Not to be resent; no evidence against the channel by itself.
    Rejected,
    /// Surely not sent. May be resent; evidence against the channel.
    Failed,
    /// May have been sent, may still be. Resent only after a look; evidence against the channel.
    Ambiguous,
}

impl Outcome {
    /// All outcomes, in the order that label sets are created.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Rejected, Self::Failed, Self::Ambiguous];

    /// The word of headers, API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Is this evidence against the channel?
    pub const fn against_channel(self) -> bool {
        matches!(self, Self::Failed | Self::Ambiguous)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nobody listens at the upstream's address.
    ConnectionRefused,
    /// The upstream's name has no address.
    Dns,
    /// No TLS could be agreed with the upstream.
    Tls,
    /// No connection within `proxy.connect_timeout`.
    ConnectTimeout,
    /// 429.
    TooManyRequests,
    /// 503.
    Unavailable,
    /// The session does not exist.
    SessionMissing,
    /// The session is not in a state that can send.
    SessionNotWorking,
    /// 401 or 403: the key is wrong or may not send.
    Unauthorized,
    /// A redirect: whatever answered is not the API.
    Redirected,
    /// The request is malformed, or asks for what this server cannot do.
    BadRequest,
    /// 404.
    NotFound,
    /// The body is larger than the server takes.
    TooLarge,
    /// Not implemented by this engine or edition.
    NotImplemented,
    /// The number is not on WhatsApp.
    NumberNotOnWhatsapp,
    /// WhatsApp restricts messages to this contact (463, 475).
    ContactRestricted,
    /// WhatsApp refused this message for another reason.
    RefusedByWhatsapp,
    /// The bot did not send its whole request.
    IncompleteRequest,
    /// No answer within `proxy.response_timeout`.
    ResponseTimeout,
    /// The connection broke after the request was written.
    ConnectionLost,
    /// A 5xx that proves nothing.
    ServerError,
    /// The answer was cut.
    TruncatedAnswer,
    /// A 2xx whose body says that it failed.
    SaidFailed,
    /// The sidecar ended between intent and outcome.
    Interrupted,
    /// Accepted by WAHA, and nothing was heard of it for `sends.confirm_within`.
    NeverConfirmed,
    /// Accepted by WAHA, and then WhatsApp said that it failed.
    DeliveryFailed,
    /// The bot said so itself.
    ReportedByBot,
}

impl Cause {
    /// All causes, in the order that label sets are created.
    pub const ALL: [Self; 27] = [
        Self::ConnectionRefused,
        Self::Dns,
        Self::Tls,
        Self::ConnectTimeout,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::SessionMissing,
        Self::SessionNotWorking,
        Self::Unauthorized,
        Self::Redirected,
        Self::BadRequest,
        Self::NotFound,
        Self::TooLarge,
        Self::NotImplemented,
        Self::NumberNotOnWhatsapp,
        Self::ContactRestricted,
        Self::RefusedByWhatsapp,
        Self::IncompleteRequest,
        Self::ResponseTimeout,
        Self::ConnectionLost,
        Self::ServerError,
        Self::TruncatedAnswer,
        Self::SaidFailed,
        Self::Interrupted,
        Self::NeverConfirmed,
        Self::DeliveryFailed,
        Self::ReportedByBot,
    ];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::TooManyRequests => "too_many_requests",
            Self::Unavailable => "unavailable",
            Self::SessionMissing => "session_missing",
            Self::SessionNotWorking => "session_not_working",
            Self::Unauthorized => "unauthorized",
            Self::Redirected => "redirected",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::NotImplemented => "not_implemented",
            Self::NumberNotOnWhatsapp => "number_not_on_whatsapp",
            Self::ContactRestricted => "contact_restricted",
            Self::RefusedByWhatsapp => "refused_by_whatsapp",
            Self::IncompleteRequest => "incomplete_request",
            Self::ResponseTimeout => "response_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::ServerError => "server_error",
            Self::TruncatedAnswer => "truncated_answer",
            Self::SaidFailed => "said_failed",
            Self::Interrupted => "interrupted",
            Self::NeverConfirmed => "never_confirmed",
            Self::DeliveryFailed => "delivery_failed",
            Self::ReportedByBot => "reported_by_bot",
        }
    }

    /// What an attempt with this cause counts as: the table of SPEC 4.3.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::ConnectionRefused
            | Self::Dns
            | Self::Tls
            | Self::ConnectTimeout
            | Self::TooManyRequests
            | Self::Unavailable
            | Self::SessionMissing
            | Self::SessionNotWorking
            | Self::Unauthorized
            | Self::Redirected
            | Self::ReportedByBot => Outcome::Failed,
            Self::BadRequest
            | Self::NotFound
            | Self::TooLarge
            | Self::NotImplemented
            | Self::NumberNotOnWhatsapp
            | Self::ContactRestricted
            | Self::RefusedByWhatsapp
            | Self::IncompleteRequest
            | Self::DeliveryFailed => Outcome::Rejected,
            Self::ResponseTimeout
            | Self::ConnectionLost
            | Self::ServerError
            | Self::TruncatedAnswer
            | Self::SaidFailed
            | Self::Interrupted
            | Self::NeverConfirmed => Outcome::Ambiguous,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing of the request left: no connection could be had.
    NotSent(Cause),
    /// The request may have left and no whole answer came.
    Lost(Cause),
    /// An answer came.
    Answer {
        /// HTTP status.
        status: u16,
        /// What its body says, where that is known and matters.
        said: Option<Said>,
    },
}

/// What a body says beyond its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It blames something we have a word for.
    Blames(Cause),
    /// It says that the send failed, for no reason we know.
    Failed,
}

/// How the attempt ended, and the cause where it was not accepted.
pub const fn judge(reply: Reply) -> (Outcome, Option<Cause>) {
    let cause = match reply {
        Reply::NotSent(cause) | Reply::Lost(cause) => cause,
        Reply::Answer { said: Some(Said::Blames(cause)), .. } => cause,
        Reply::Answer { status: 200..=299, said: None } => return (Outcome::Accepted, None),
        Reply::Answer { status: 200..=299, said: Some(Said::Failed) } => Cause::SaidFailed,
        Reply::Answer { status: 300..=399, .. } => Cause::Redirected,
        Reply::Answer { status: 401 | 403, .. } => Cause::Unauthorized,
        Reply::Answer { status: 404, .. } => Cause::NotFound,
        Reply::Answer { status: 408 | 429, .. } => Cause::TooManyRequests,
        Reply::Answer { status: 413, .. } => Cause::TooLarge,
        Reply::Answer { status: 501, .. } => Cause::NotImplemented,
        Reply::Answer { status: 503, .. } => Cause::Unavailable,
        Reply::Answer { status: 400..=499, .. } => Cause::BadRequest,
        Reply::Answer { .. } => Cause::ServerError,
    };
    (cause.outcome(), Some(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_contract() {
        let answer = |status, said| Reply::Answer { status, said };
        let rows = [
            (answer(201, None), Outcome::Accepted),
            (answer(200, None), Outcome::Accepted),
            (answer(201, Some(Said::Failed)), Outcome::Ambiguous),
            (answer(201, Some(Said::Blames(Cause::ContactRestricted))), Outcome::Rejected),
            (answer(302, None), Outcome::Failed),
            (answer(400, None), Outcome::Rejected),
            (answer(401, None), Outcome::Failed),
            (answer(403, None), Outcome::Failed),
            (answer(404, None), Outcome::Rejected),
            (answer(408, None), Outcome::Failed),
            (answer(413, None), Outcome::Rejected),
            (answer(422, None), Outcome::Rejected),
            (answer(422, Some(Said::Blames(Cause::SessionNotWorking))), Outcome::Failed),
            (answer(422, Some(Said::Blames(Cause::SessionMissing))), Outcome::Failed),
            (answer(429, None), Outcome::Failed),
            (answer(500, None), Outcome::Ambiguous),
            (answer(500, Some(Said::Blames(Cause::BadRequest))), Outcome::Rejected),
            (answer(500, Some(Said::Blames(Cause::NumberNotOnWhatsapp))), Outcome::Rejected),
            (answer(501, None), Outcome::Rejected),
            (answer(502, None), Outcome::Ambiguous),
            (answer(503, None), Outcome::Failed),
            (answer(504, None), Outcome::Ambiguous),
            (Reply::NotSent(Cause::ConnectionRefused), Outcome::Failed),
            (Reply::NotSent(Cause::Dns), Outcome::Failed),
            (Reply::Lost(Cause::ResponseTimeout), Outcome::Ambiguous),
            (Reply::Lost(Cause::TruncatedAnswer), Outcome::Ambiguous),
        ];
        for (reply, expected) in rows {
            assert_eq!(judge(reply).0, expected, "{reply:?}");
        }
    }

    #[test]
    fn every_cause_is_listed_once_and_has_its_own_word() {
        let mut words: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Cause::ALL.len());
        assert!(Cause::ALL.iter().all(|cause| cause.outcome() != Outcome::Accepted));
    }
}
