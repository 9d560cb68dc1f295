//! A sidecar between a shop's WhatsApp bot and WAHA: no order is lost silently, no customer gets the same
//! message twice because of us, nobody is paged for nothing.
//!
//! `docs/ARCHITECTURE.md` is the map: storeys, the way of one send, invariants. Reading order for a stranger:
//! [`domain`] (the rules), then [`proxy`] (the bot's side), [`store`], [`watchdog`] (the heart), [`admin`], [`app`].
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod admin;
pub mod app;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
#[allow(clippy::disallowed_methods, reason = "it tells a story as time goes by")]
pub mod demo;
pub mod dial;
pub mod domain;
pub mod errands;
pub mod events;
#[allow(clippy::disallowed_methods, reason = "a program of its own, with its own clock")]
pub mod fake_waha;
pub mod logging;
pub mod metrics;
pub mod panel;
pub mod proxy;
pub mod store;
pub mod waha;
pub mod watchdog;
pub mod words;
