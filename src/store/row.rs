//! How values are stored: CBOR maps with numbered fields, and the way to and from the domain's types.
//!
//! Numbers are added, never reused; unknown ones are skipped, missing ones are `None`. Kinds are small integers of this room, so that a
//! word may be renamed in the domain without touching a file. Stored rows are not trusted: whatever does not fit is an error, never a
//! panic.

mod alert;
mod audit;
mod case;
mod confirmation;
mod description;
mod diagnosis;
mod incident;
mod ledger;
mod probe;
mod session;

pub(super) use alert::{alert_of, alert_row, drill_of, drill_row};
pub(super) use audit::{audit_of, audit_row};
pub(super) use case::{case_of, case_row, unheard_of, unheard_row};
pub(super) use confirmation::{awaiting_of, awaiting_row, confirmed_of, confirmed_row};
pub(super) use diagnosis::{diagnosis_of, diagnosis_row};
pub(super) use incident::{incident_of, incident_row};
pub(super) use ledger::{
    Kind, entry_of, entry_row, glance, request_of, request_row, summary_of, without_request,
};
pub(super) use session::{change_of, change_row, session_of, session_row};

use minicbor::bytes::ByteArray;

use crate::domain::id::{RecordId, SendId};
use crate::domain::time::Timestamp;

/// Why a stored row cannot be read, or a value not be stored.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Not what was written.
    #[error("not readable as a stored row: {0}")]
    Unreadable(#[from] minicbor::decode::Error),
    /// Written by a later version, or damaged.
    #[error("unknown {what} {code}; a later version may have written it")]
    Unknown {
        /// What is unknown.
        what: &'static str,
        /// Its number.
        code: u8,
    },
    /// Not a value of its type.
    #[error("invalid {0}")]
    Invalid(&'static str),
}

type Bytes16 = ByteArray<16>;

/// An empty list is not written.
fn listed<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn to_bytes<T: minicbor::Encode<()>>(row: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    write(row, &mut bytes);
    bytes
}

fn write<T: minicbor::Encode<()>>(row: &T, bytes: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, nor do our rows refuse to be written.
    let _infallible = minicbor::encode(row, bytes);
}

fn send_id(bytes: Bytes16) -> SendId {
    SendId::from_bytes(*bytes)
}

fn bytes16(send: SendId) -> Bytes16 {
    (*send.as_bytes()).into()
}

fn record_id(bytes: Bytes16) -> RecordId {
    RecordId::from_bytes(*bytes)
}

fn record16(record: RecordId) -> Bytes16 {
    (*record.as_bytes()).into()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn millis(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::millis)
}

/// `false` is not written.
fn flag(set: bool) -> Option<bool> {
    set.then_some(true)
}

/// Numbers for the variants of a domain enum.
macro_rules! codes {
    ($name:ident: $type:ident { $($variant:ident = $code:literal),+ $(,)? }) => {
        pub(super) mod $name {
            use super::$type;
            use crate::store::row::RowError;

            pub(in crate::store::row) const fn code(value: $type) -> u8 {
                match value { $($type::$variant => $code),+ }
            }

            pub(in crate::store::row) const fn of(code: u8) -> Result<$type, RowError> {
                match code {
                    $($code => Ok($type::$variant),)+
                    code => Err(RowError::Unknown { what: stringify!($name), code }),
                }
            }
        }
    };
}
use codes;

#[cfg(test)]
mod tests;
