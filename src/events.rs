//! WAHA's events, followed (SPEC 4.6): over its WebSocket ([`socket`]), or as webhooks that it delivers ([`webhook`]).
//!
//! Here it is only listened and checked who speaks; what an event says is read by `crate::waha::events`, what follows from it is decided
//! by `crate::domain`. Nothing is replayed by WAHA: what was missed while nobody listened is gone.

mod dial;
pub mod socket;
pub mod webhook;

pub use dial::SocketSettings;
