//! The stored forms of sends that wait for their ack, and of what was heard.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::description::DescriptionRow;
use super::{Bytes16, RowError, at, bytes16, codes, flag, send_id, to_bytes};
use crate::domain::confirmation::{Awaiting, Confirmation, Confirmed, MessageId};
use crate::domain::id::SendId;

codes!(confirmation: Confirmation { None = 0, Server = 1, Device = 2, Read = 3, Error = 4 });

#[derive(Encode, Decode)]
#[cbor(map)]
struct AwaitingRow<'a> {
    #[n(0)]
    send: Bytes16,
    #[n(1)]
    attempts: u32,
    #[b(2)]
    what: DescriptionRow<'a>,
    #[n(3)]
    first_at: i64,
    #[n(4)]
    accepted_at: i64,
    #[b(5)]
    message: &'a str,
    #[n(6)]
    echoed: Option<bool>,
    #[n(7)]
    acked: Option<u8>,
}

/// There is one for each accepted send, so it does not repeat its key.
#[derive(Encode, Decode)]
#[cbor(map)]
struct ConfirmedRow {
    #[n(0)]
    confirmation: u8,
    #[n(1)]
    at: i64,
}

pub(in crate::store) fn awaiting_row(awaiting: &Awaiting) -> Vec<u8> {
    to_bytes(&AwaitingRow {
        send: bytes16(awaiting.send),
        attempts: awaiting.attempts,
        what: DescriptionRow::from(&*awaiting.what),
        first_at: awaiting.first_at.millis(),
        accepted_at: awaiting.accepted_at.millis(),
        message: awaiting.message.as_str(),
        echoed: flag(awaiting.echoed),
        acked: Some(confirmation::code(awaiting.acked)),
    })
}

pub(in crate::store) fn awaiting_of(bytes: &[u8]) -> Result<Awaiting, RowError> {
    let row: AwaitingRow<'_> = minicbor::decode(bytes)?;
    Ok(Awaiting {
        send: send_id(row.send),
        attempts: row.attempts,
        what: Arc::new(row.what.to_domain()?),
        first_at: at(row.first_at),
        accepted_at: at(row.accepted_at),
        message: MessageId::new(row.message).ok_or(RowError::Invalid("message id"))?,
        echoed: row.echoed.unwrap_or(false),
        acked: row.acked.map(confirmation::of).transpose()?.unwrap_or_default(),
    })
}

pub(in crate::store) fn confirmed_row(confirmed: &Confirmed) -> Vec<u8> {
    to_bytes(&ConfirmedRow {
        confirmation: confirmation::code(confirmed.confirmation),
        at: confirmed.at.millis(),
    })
}

pub(in crate::store) fn confirmed_of(send: SendId, bytes: &[u8]) -> Result<Confirmed, RowError> {
    let row: ConfirmedRow = minicbor::decode(bytes)?;
    Ok(Confirmed { send, confirmation: confirmation::of(row.confirmation)?, at: at(row.at) })
}
