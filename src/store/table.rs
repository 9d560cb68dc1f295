//! Every table and its key encoding, in one list. What the values hold is [`super::row`].

use redb::TableDefinition;

use crate::domain::id::{RecordId, SendId};
use crate::domain::time::Timestamp;

/// The raw form of a [`SendId`].
pub(super) type SendKey = [u8; 16];
/// A moment and a send or a record: sorts by moment.
pub(super) type TimedKey = (i64, SendKey);
/// The raw form of a [`RecordId`].
pub(super) type RecordKey = [u8; 16];

/// Position -> intent or outcome. The only table a bot waits for: ascending keys, no index.
pub(super) const LEDGER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ledger");
/// Positions of intents before `ENDED_TO` that have no recorded outcome.
pub(super) const UNENDED: TableDefinition<'_, u64, ()> = TableDefinition::new("unended");
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
/// Session name -> its latest diagnosis.
pub(super) const DIAGNOSES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("diagnoses");
/// Moment and send of what diagnoses found: the communication failures.
pub(super) const FINDINGS: TableDefinition<'_, TimedKey, ()> = TableDefinition::new("findings");
/// Incident -> the incident.
pub(super) const INCIDENTS: TableDefinition<'_, RecordKey, &[u8]> = TableDefinition::new("incidents");
/// Start and incident.
pub(super) const INCIDENTS_AT: TableDefinition<'_, TimedKey, ()> = TableDefinition::new("incidents_at");
/// Alert -> the alert.
pub(super) const ALERTS: TableDefinition<'_, RecordKey, &[u8]> = TableDefinition::new("alerts");
/// Drill -> the drill.
pub(super) const DRILLS: TableDefinition<'_, RecordKey, &[u8]> = TableDefinition::new("drills");
/// Accepted send -> what is known while its ack is waited for.
pub(super) const AWAITING: TableDefinition<'_, SendKey, &[u8]> = TableDefinition::new("awaiting");
/// Accepted send -> how far it got.
pub(super) const CONFIRMED: TableDefinition<'_, SendKey, &[u8]> = TableDefinition::new("confirmed");
/// Moment and record -> who did what.
pub(super) const AUDIT: TableDefinition<'_, TimedKey, &[u8]> = TableDefinition::new("audit");
/// The numbers below.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// `META`: version of the format.
pub(super) const VERSION: &str = "version";
/// `META`: the ledger position the heart's tables stand for.
pub(super) const APPLIED: &str = "applied";
/// `META`: no attempt before this position still runs.
pub(super) const KEEP_FROM: &str = "keep_from";
/// Where the clock stood at the last commit of the heart: milliseconds, uptime in milliseconds, the boot.
pub(super) const CLOCK: [&str; 3] = ["clock_now", "clock_up", "clock_boot"];
/// `META`: before this position only intents without a recorded outcome are left of all intents.
pub(super) const PRUNED_TO: &str = "pruned_to";
/// `META`: before this position, and from `PRUNED_TO` on, intents have a recorded outcome, except those in `UNENDED`. So a start does not
/// have to read what was not pruned yet.
pub(super) const ENDED_TO: &str = "ended_to";
/// `META`: bytes of the ledger's values before `COUNTED_TO`.
pub(super) const LEDGER_BYTES: &str = "ledger_bytes";
/// `META`: see `LEDGER_BYTES`.
pub(super) const COUNTED_TO: &str = "counted_to";
/// `META`: 1 while replays wait for a person.
pub(super) const RECOVERY_PAUSED: &str = "recovery_paused";
/// `META`: what tells the journal of this store from any other; zero where it has none.
pub(super) const JOURNAL: &str = "journal";
/// `META`: 1 while the file is to be written anew, so that what was taken out of its rows is out of its free pages too.
pub(super) const REWRITE: &str = "rewrite";

/// Opens every table in a transaction, of whichever kind; what a file must hold is listed here and nowhere else.
macro_rules! open_all {
    ($transaction:expr) => {{
        use crate::store::table;
        let transaction = &$transaction;
        transaction.open_table(table::LEDGER)?;
        transaction.open_table(table::UNENDED)?;
        transaction.open_table(table::CASES)?;
        transaction.open_table(table::REQUESTS)?;
        transaction.open_table(table::UNHEARD)?;
        transaction.open_table(table::OPEN)?;
        transaction.open_table(table::FAILED)?;
        transaction.open_table(table::UNSETTLED)?;
        transaction.open_table(table::SESSIONS)?;
        transaction.open_table(table::HISTORY)?;
        transaction.open_table(table::DIAGNOSES)?;
        transaction.open_table(table::FINDINGS)?;
        transaction.open_table(table::INCIDENTS)?;
        transaction.open_table(table::INCIDENTS_AT)?;
        transaction.open_table(table::ALERTS)?;
        transaction.open_table(table::DRILLS)?;
        transaction.open_table(table::AWAITING)?;
        transaction.open_table(table::CONFIRMED)?;
        transaction.open_table(table::AUDIT)?;
        transaction.open_table(table::META)?;
    }};
}
pub(super) use open_all;

/// Calls a macro with the names of all tables; a test holds it to what a file has.
macro_rules! all_tables {
    ($each:ident) => {
        $each! {
            LEDGER UNENDED CASES REQUESTS UNHEARD OPEN FAILED UNSETTLED SESSIONS HISTORY DIAGNOSES FINDINGS INCIDENTS INCIDENTS_AT ALERTS
            DRILLS AWAITING CONFIRMED AUDIT META
        }
    };
}
pub(super) use all_tables;

/// The version this program writes. Fields and tables are added without changing it; it changes when an older program must not write.
pub(super) const FORMAT: u64 = 1;

pub(super) const fn timed(at: Timestamp, send: SendId) -> TimedKey {
    (at.millis(), *send.as_bytes())
}

pub(super) const fn timed_record(at: Timestamp, record: RecordId) -> TimedKey {
    (at.millis(), *record.as_bytes())
}
