//! The stored form of what a probe found.

use minicbor::{Decode, Encode};

use super::{RowError, codes, flag};
use crate::domain::probe::{Engine, ProbeResult, Restriction, SessionState};

codes!(state: SessionState {
    Stopped = 1, Starting = 2, ScanQrCode = 3, PasskeyRequired = 4, Working = 5, Failed = 6, Other = 7,
});
codes!(engine: Engine { Other = 0, Noweb = 1, Gows = 2 });

/// Which of the results it is.
#[derive(Clone, Copy)]
pub(super) enum Found {
    State,
    Missing,
    Unauthorized,
    Unreachable,
    TimedOut,
    Strange,
}
codes!(found: Found { State = 1, Missing = 2, Unauthorized = 3, Unreachable = 4, TimedOut = 5, Strange = 6 });

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct ProbeRow {
    #[n(0)]
    found: u8,
    /// What follows belongs to `State`.
    #[n(1)]
    state: Option<u8>,
    #[n(2)]
    engine: Option<u8>,
    #[n(3)]
    locked: Option<bool>,
    #[n(4)]
    capped: Option<bool>,
}

impl From<ProbeResult> for ProbeRow {
    fn from(result: ProbeResult) -> Self {
        let plain =
            |found| Self { found: found::code(found), state: None, engine: None, locked: None, capped: None };
        match result {
            ProbeResult::State { state, engine, restriction } => Self {
                state: Some(state::code(state)),
                engine: Some(engine::code(engine)),
                locked: flag(restriction.locked),
                capped: flag(restriction.capped),
                ..plain(Found::State)
            },
            ProbeResult::Missing => plain(Found::Missing),
            ProbeResult::Unauthorized => plain(Found::Unauthorized),
            ProbeResult::Unreachable => plain(Found::Unreachable),
            ProbeResult::TimedOut => plain(Found::TimedOut),
            ProbeResult::Strange => plain(Found::Strange),
        }
    }
}

impl ProbeRow {
    pub(super) fn to_domain(&self) -> Result<ProbeResult, RowError> {
        Ok(match found::of(self.found)? {
            Found::State => ProbeResult::State {
                state: state::of(self.state.ok_or(RowError::Invalid("probe: it has no state"))?)?,
                engine: self.engine.map(engine::of).transpose()?.unwrap_or_default(),
                restriction: Restriction {
                    locked: self.locked.unwrap_or(false),
                    capped: self.capped.unwrap_or(false),
                },
            },
            Found::Missing => ProbeResult::Missing,
            Found::Unauthorized => ProbeResult::Unauthorized,
            Found::Unreachable => ProbeResult::Unreachable,
            Found::TimedOut => ProbeResult::TimedOut,
            Found::Strange => ProbeResult::Strange,
        })
    }
}
