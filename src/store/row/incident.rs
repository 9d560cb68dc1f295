//! The stored form of incidents.

use minicbor::{Decode, Encode};

use super::description::session_name;
use super::session::{AssessmentRow, status};
use super::{Bytes16, RowError, at, bytes16, flag, millis, record_id, record16, send_id, to_bytes};
use crate::domain::incident::{Announced, Incident, Line};

#[derive(Encode, Decode)]
#[cbor(map)]
struct IncidentRow<'a> {
    #[n(0)]
    id: Bytes16,
    #[b(1)]
    session: &'a str,
    #[n(2)]
    start: i64,
    #[n(3)]
    end: Option<i64>,
    #[n(4)]
    worst: u8,
    #[n(5)]
    timeline: Vec<LineRow>,
    #[n(6)]
    affected: Vec<Bytes16>,
    #[n(7)]
    affected_count: u32,
    #[n(8)]
    replayed: u32,
    #[n(9)]
    left: u32,
    #[n(10)]
    well_since: Option<i64>,
    #[n(11)]
    preventive: Option<bool>,
    #[n(12)]
    loss: Option<bool>,
    #[n(13)]
    restricted: Option<bool>,
    #[n(14)]
    gone: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct LineRow {
    #[n(0)]
    at: i64,
    #[n(1)]
    to: AssessmentRow,
}

pub(in crate::store) fn incident_row(incident: &Incident) -> Vec<u8> {
    to_bytes(&IncidentRow {
        id: record16(incident.id),
        session: incident.session.as_str(),
        start: incident.start.millis(),
        end: millis(incident.end),
        worst: status::code(incident.worst),
        timeline: (incident.timeline.iter())
            .map(|line| LineRow { at: line.at.millis(), to: line.to.into() })
            .collect(),
        affected: incident.affected.iter().map(|send| bytes16(*send)).collect(),
        affected_count: incident.affected_count,
        replayed: incident.replayed,
        left: incident.left,
        well_since: millis(incident.well_since),
        preventive: flag(incident.announced.preventive),
        loss: flag(incident.announced.loss),
        restricted: flag(incident.announced.restricted),
        gone: flag(incident.announced.gone),
    })
}

pub(in crate::store) fn incident_of(bytes: &[u8]) -> Result<Incident, RowError> {
    let row: IncidentRow<'_> = minicbor::decode(bytes)?;
    Ok(Incident {
        id: record_id(row.id),
        session: session_name(row.session)?,
        start: at(row.start),
        end: row.end.map(at),
        worst: status::of(row.worst)?,
        timeline: (row.timeline.iter())
            .map(|line| Ok(Line { at: at(line.at), to: line.to.to_domain()? }))
            .collect::<Result<_, RowError>>()?,
        affected: row.affected.into_iter().map(send_id).collect(),
        affected_count: row.affected_count,
        replayed: row.replayed,
        left: row.left,
        well_since: row.well_since.map(at),
        announced: Announced {
            preventive: row.preventive.unwrap_or(false),
            loss: row.loss.unwrap_or(false),
            restricted: row.restricted.unwrap_or(false),
            gone: row.gone.unwrap_or(false),
        },
    })
}
