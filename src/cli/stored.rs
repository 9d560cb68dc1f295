//! What the store's file says while nothing runs: the heart's state as it was, with what shows it.

use std::time::Duration;

use super::Failure;
use super::source::file;
use crate::admin::view::Sight;
use crate::app::{language_of, policy_of, stored_state};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::decide::{Policy, State};
use crate::domain::time::Timestamp;
use crate::store::Reader;
use crate::words::Language;

/// What was accepted so long before the last start is known to the heart too.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A store that nobody has open.
pub(super) struct Stored {
    pub(super) reader: Reader,
    pub(super) language: Language,
    pub(super) now: Timestamp,
    state: State,
    policy: Policy,
}

impl Stored {
    /// Reads the store of `config`.
    pub(super) fn read(config: &Config) -> Result<Self, Failure> {
        let (reader, now) = (file(config)?, Clock::system().now());
        let loaded = reader.load().map_err(Failure::failed)?;
        let accepted = reader.accepted_since(now - ACCEPTED_WITHIN).map_err(Failure::failed)?;
        let state = stored_state(config, loaded, accepted, now);
        Ok(Self { reader, language: language_of(config), now, state, policy: policy_of(config) })
    }

    /// What records are shown with.
    pub(super) const fn sight(&self) -> Sight<'_> {
        Sight { state: &self.state, policy: &self.policy, language: self.language, now: self.now }
    }
}
