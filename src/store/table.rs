//! Every table and its key encoding, in one list. What the values hold is [`super::row`].

use redb::TableDefinition;

use crate::domain::id::SendId;
use crate::domain::time::Timestamp;

/// The raw form of a [`SendId`].
pub(super) type SendKey = [u8; 16];
/// A moment and a send: sorts by moment.
pub(super) type TimedKey = (i64, SendKey);

/// Position -> intent or outcome. The only table a bot waits for: ascending keys, no index.
pub(super) const LEDGER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ledger");
/// Send -> its case.
pub(super) const CASES: TableDefinition<'_, SendKey, &[u8]> = TableDefinition::new("cases");
/// Send -> request to replay.
pub(super) const REQUESTS: TableDefinition<'_, SendKey, &[u8]> = TableDefinition::new("requests");
/// Send -> answer nobody heard yet.
pub(super) const UNHEARD: TableDefinition<'_, SendKey, &[u8]> = TableDefinition::new("unheard");
/// Creation and send of the open notifications.
pub(super) const OPEN: TableDefinition<'_, TimedKey, ()> = TableDefinition::new("open");
/// Creation and send of all notifications, open or settled.
pub(super) const FAILED: TableDefinition<'_, TimedKey, ()> = TableDefinition::new("failed");
/// Sends whose case is not settled.
pub(super) const UNSETTLED: TableDefinition<'_, SendKey, ()> = TableDefinition::new("unsettled");
/// Session name -> its clocks and windows.
pub(super) const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// Moment and session -> status change. Writing one twice changes nothing.
pub(super) const HISTORY: TableDefinition<'_, (i64, &str), &[u8]> = TableDefinition::new("history");
/// The numbers below.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// `META`: version of the format.
pub(super) const VERSION: &str = "version";
/// `META`: the ledger position the heart's tables stand for.
pub(super) const APPLIED: &str = "applied";
/// `META`: no attempt before this position still runs.
pub(super) const KEEP_FROM: &str = "keep_from";
/// `META`: before this position only intents without a recorded outcome are left of all intents.
pub(super) const PRUNED_TO: &str = "pruned_to";
/// `META`: bytes of the ledger's values before `COUNTED_TO`.
pub(super) const LEDGER_BYTES: &str = "ledger_bytes";
/// `META`: see `LEDGER_BYTES`.
pub(super) const COUNTED_TO: &str = "counted_to";

/// The version this program writes. Fields and tables are added without changing it; it changes when an older program must not write.
pub(super) const FORMAT: u64 = 1;

pub(super) const fn timed(at: Timestamp, send: SendId) -> TimedKey {
    (at.millis(), *send.as_bytes())
}
