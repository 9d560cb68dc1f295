//! What is wrong right now, for those who are told what stands rather than what happened: Alertmanager (SPEC 10).

use super::id::SessionName;
use super::time::Timestamp;

/// What can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stands {
    /// Nothing goes out, and that is certain.
    IncommunicadoCritico,
    /// Nothing goes out.
    Incommunicado,
    /// A drill pretends so.
    Drill,
}

impl Stands {
    /// All.
    pub const ALL: [Self; 3] = [Self::IncommunicadoCritico, Self::Incommunicado, Self::Drill];
}

/// Something that stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// What.
    pub what: Stands,
    /// Of which session.
    pub session: SessionName,
    /// Since when.
    pub since: Timestamp,
}
