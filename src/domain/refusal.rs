//! The calls that the proxy answers itself, each with its code word, its status, and what to do about it.

/// Why the sidecar answered instead of WAHA (SPEC 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The target is a whole URL: only the configured upstream is ever contacted.
    AbsoluteForm,
    /// `CONNECT`.
    Connect,
    /// The head is malformed: no Host, two Hosts, a framing that can be read two ways.
    BadRequest,
    /// The head is larger than `proxy.max_head`.
    HeadTooLarge,
    /// The body is larger than `proxy.max_body`.
    BodyTooLarge,
    /// The body came slower than `proxy.body_timeout` allows.
    BodyTooSlow,
    /// The body broke off.
    BodyIncomplete,
    /// No connection to WAHA: nothing was sent.
    UpstreamUnreachable,
    /// WAHA took the call and gave no answer in time.
    UpstreamTimeout,
    /// The connection to WAHA broke before its answer was whole.
    UpstreamLost,
    /// WAHA's answer breaks the protocol.
    UpstreamInvalid,
    /// More connections than `proxy.max_connections`.
    Overloaded,
    /// The sidecar is stopping and could not wait for WAHA any longer.
    Stopping,
    /// A bug of ours.
    Internal,
}

impl Refusal {
    /// All of them, in the order that label sets are created.
    pub const ALL: [Self; 14] = [
        Self::AbsoluteForm,
        Self::Connect,
        Self::BadRequest,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BodyIncomplete,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamLost,
        Self::UpstreamInvalid,
        Self::Overloaded,
        Self::Stopping,
        Self::Internal,
    ];

    /// The code word in `X-Watchdog-Error` and in the body.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AbsoluteForm => "absolute_form_refused",
            Self::Connect => "connect_refused",
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyIncomplete => "body_incomplete",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamLost => "upstream_lost",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::AbsoluteForm | Self::BadRequest | Self::BodyIncomplete => 400,
            Self::Connect => 405,
            Self::HeadTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::BodyTooSlow => 408,
            Self::UpstreamUnreachable | Self::UpstreamLost | Self::UpstreamInvalid => 502,
            Self::UpstreamTimeout => 504,
            Self::Overloaded | Self::Stopping => 503,
            Self::Internal => 500,
        }
    }

    /// What happened and what to do, for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::AbsoluteForm => {
                "absolute-form targets are refused: ask for the path alone, the upstream is configured as waha.url"
            }
            Self::Connect => "CONNECT is refused: this proxy forwards to WAHA only",
            Self::BadRequest => {
                "the request head is malformed: exactly one Host, one framing, an origin-form target"
            }
            Self::HeadTooLarge => "the request head is larger than proxy.max_head",
            Self::BodyTooLarge => "the request body is larger than proxy.max_body; nothing was sent",
            Self::BodyTooSlow => {
                "the request body made no progress within proxy.body_timeout; nothing was sent"
            }
            Self::BodyIncomplete => "the request body broke off; nothing was sent",
            Self::UpstreamUnreachable => "WAHA cannot be reached at waha.url; nothing was sent",
            Self::UpstreamTimeout => {
                "WAHA gave no answer within proxy.response_timeout; the message may have been sent, or may still be"
            }
            Self::UpstreamLost => {
                "the connection to WAHA broke before its answer was whole; the message may have been sent"
            }
            Self::UpstreamInvalid => "WAHA's answer breaks the protocol",
            Self::Overloaded => "more connections than this proxy takes; try again",
            Self::Stopping => {
                "the sidecar stopped before WAHA answered; the message may have been sent, or may still be"
            }
            Self::Internal => "a fault of the sidecar; please report it",
        }
    }
}
