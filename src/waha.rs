//! Everything that spells WAHA: which paths send ([`route`]), what bodies say ([`scan`], [`request`], [`reply`]),
//! what we send ourselves ([`compose`]), what it tells by itself ([`events`]).
//!
//! WAHA's answers are hostile JSON: everything here is bounded and never panics. What the facts rest on is named beside them
//! (WAHA 2025.12.3 as observed, its documents up to 2026.9).

pub mod client;
pub mod compose;
pub mod events;
pub mod reply;
pub mod request;
pub mod route;
pub mod scan;
