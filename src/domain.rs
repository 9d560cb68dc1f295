//! The rules: what a send is, how an attempt ended, when a send is given up, what the status is.
//!
//! Rules of this floor: no async, no clock, no randomness, no I/O, no serde, none of WAHA's spelling. Moments and chance
//! come in as arguments, so every decision can be repeated exactly.

pub mod alert;
pub mod assess;
pub mod backoff;
pub mod bot;
pub mod case;
pub mod command;
pub mod confirmation;
pub mod day;
pub mod decide;
pub mod delivery;
pub mod diagnosis;
pub mod drill;
pub mod errand;
pub mod extract;
pub mod forget;
pub mod id;
pub mod incident;
pub mod ledger;
pub mod live;
pub mod notification;
pub mod order;
pub mod outcome;
pub mod probe;
mod recent;
pub mod recovery;
pub mod refusal;
pub mod retention;
pub mod send;
pub mod session;
pub mod standing;
pub mod status;
pub mod time;
pub mod window;
