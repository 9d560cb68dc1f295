//! The stored form of who did what.

use minicbor::{Decode, Encode};

use super::{Bytes16, RowError, at, record_id, record16, to_bytes};
use crate::domain::command::Audit;

#[derive(Encode, Decode)]
#[cbor(map)]
struct AuditRow<'a> {
    #[n(0)]
    id: Bytes16,
    #[n(1)]
    at: i64,
    #[b(2)]
    who: &'a str,
    #[b(3)]
    action: &'a str,
    #[b(4)]
    target: Option<&'a str>,
}

pub(in crate::store) fn audit_row(audit: &Audit) -> Vec<u8> {
    to_bytes(&AuditRow {
        id: record16(audit.id),
        at: audit.at.millis(),
        who: &audit.who,
        action: &audit.action,
        target: audit.target.as_deref(),
    })
}

pub(in crate::store) fn audit_of(bytes: &[u8]) -> Result<Audit, RowError> {
    let row: AuditRow<'_> = minicbor::decode(bytes)?;
    Ok(Audit {
        id: record_id(row.id),
        at: at(row.at),
        who: row.who.to_owned(),
        action: row.action.to_owned(),
        target: row.target.map(str::to_owned),
    })
}
