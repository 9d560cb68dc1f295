//! The seeded simulation: the real core, the real desk and the real table of live sends, put together as the shells do it, against a
//! modelled bot, WAHA, phones, disk and clock, with faults at every boundary.
//!
//! Virtual time, one queue of events, no threads: a seed is a whole life, and the same seed is the same life.
//!
//! - `plan`: chance, and which faults a seed has; `planted`: bugs the checks must catch
//! - `life`: the loop; `bot`, `people`, `world` (WAHA and the phones), `disk`, `sidecar` (`calls`: the proxy's part): who acts in it
//! - `check`: what must hold (`evidence`: what speaks for and against a session; `pledges`: what people were told); `story`: what happened, for people
//! - `month`: ordinary days with planted outages, `scrape`: what Prometheus sees of them, `pages`: whom the shipped rules wake
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared by a test and an example, which use different parts"
)]

pub mod bot;
pub mod calls;
pub mod check;
pub mod disk;
pub mod evidence;
pub mod life;
pub mod month;
pub mod pages;
pub mod people;
pub mod plan;
pub mod planted;
pub mod pledges;
pub mod scrape;
pub mod sidecar;
pub mod story;
pub mod world;

pub use life::live;
