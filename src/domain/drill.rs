//! A drill: a labelled incident that is none, to see whether an alert would reach anybody (SPEC 13). It moves no status and no counter.

use std::time::Duration;

use super::id::{RecordId, SessionName};
use super::time::Timestamp;

/// A drill ends by itself at the latest after so long.
pub const LAST_MAX: Duration = Duration::from_secs(15 * 60);

/// One drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Its id; pagers know it by this.
    pub id: RecordId,
    /// The session it pretends to be about.
    pub session: SessionName,
    /// Who wanted it.
    pub who: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}
