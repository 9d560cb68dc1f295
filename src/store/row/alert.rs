//! The stored form of alerts. What one says is a kind and the fields that kind has.

use minicbor::{Decode, Encode};

use super::description::session_name;
use super::diagnosis::FindingRow;
use super::probe::ProbeRow;
use super::session::{AssessmentRow, status};
use super::{Bytes16, RowError, at, bytes16, codes, millis, record_id, record16, send_id, to_bytes};
use crate::domain::alert::{Alert, OrderLine, Orders, Says, Trouble};

codes!(trouble: Trouble { KeyRefused = 1 });

/// Which kind it is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Preventive,
    ManualAttention,
    TotalLoss,
    Restricted,
    Recovered,
    Trouble,
    TroubleOver,
}
codes!(kind: Kind {
    Preventive = 1, ManualAttention = 3, TotalLoss = 4, Restricted = 5, Recovered = 6, Trouble = 7, TroubleOver = 8,
});

#[derive(Encode, Decode)]
#[cbor(map)]
struct AlertRow<'a> {
    #[n(0)]
    id: Bytes16,
    #[b(1)]
    session: &'a str,
    #[n(2)]
    incident: Option<Bytes16>,
    #[n(3)]
    at: i64,
    #[b(4)]
    says: SaysRow<'a>,
    #[n(5)]
    due: i64,
    #[n(6)]
    tries: u32,
    #[n(7)]
    told: Option<i64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SaysRow<'a> {
    #[n(0)]
    kind: u8,
    #[n(1)]
    probe: Option<ProbeRow>,
    #[b(2)]
    orders: Option<OrdersRow<'a>>,
    #[n(3)]
    finding: Option<FindingRow>,
    #[n(4)]
    assessment: Option<AssessmentRow>,
    #[n(5)]
    recovered: Option<RecoveredRow>,
    #[n(6)]
    trouble: Option<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OrdersRow<'a> {
    #[b(0)]
    named: Vec<OrderRow<'a>>,
    #[n(1)]
    count: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OrderRow<'a> {
    #[n(0)]
    send: Bytes16,
    #[b(1)]
    order: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RecoveredRow {
    #[n(0)]
    start: i64,
    #[n(1)]
    end: i64,
    #[n(2)]
    worst: u8,
    #[n(3)]
    affected: u32,
    #[n(4)]
    replayed: u32,
    #[n(5)]
    left: u32,
}

impl<'a> From<&'a Orders> for OrdersRow<'a> {
    fn from(orders: &'a Orders) -> Self {
        let row = |line: &'a OrderLine| OrderRow { send: bytes16(line.send), order: line.order.as_deref() };
        Self { named: orders.named.iter().map(row).collect(), count: orders.count }
    }
}

impl OrdersRow<'_> {
    fn to_domain(&self) -> Orders {
        let line =
            |row: &OrderRow<'_>| OrderLine { send: send_id(row.send), order: row.order.map(str::to_owned) };
        Orders { named: self.named.iter().map(line).collect(), count: self.count }
    }
}

impl<'a> From<&'a Says> for SaysRow<'a> {
    fn from(says: &'a Says) -> Self {
        let plain = |kind| Self {
            kind: kind::code(kind),
            probe: None,
            orders: None,
            finding: None,
            assessment: None,
            recovered: None,
            trouble: None,
        };
        match says {
            Says::Preventive(probe) => Self { probe: Some((*probe).into()), ..plain(Kind::Preventive) },
            Says::ManualAttention(orders) => {
                Self { orders: Some(orders.into()), ..plain(Kind::ManualAttention) }
            }
            Says::TotalLoss { orders, finding, assessment } => Self {
                orders: Some(orders.into()),
                finding: finding.as_deref().map(FindingRow::from),
                assessment: Some((*assessment).into()),
                ..plain(Kind::TotalLoss)
            },
            Says::Restricted(orders) => Self { orders: Some(orders.into()), ..plain(Kind::Restricted) },
            Says::Recovered { start, end, worst, affected, replayed, left } => Self {
                recovered: Some(RecoveredRow {
                    start: start.millis(),
                    end: end.millis(),
                    worst: status::code(*worst),
                    affected: *affected,
                    replayed: *replayed,
                    left: *left,
                }),
                ..plain(Kind::Recovered)
            },
            Says::Trouble(which) => Self { trouble: Some(trouble::code(*which)), ..plain(Kind::Trouble) },
            Says::TroubleOver(which) => {
                Self { trouble: Some(trouble::code(*which)), ..plain(Kind::TroubleOver) }
            }
        }
    }
}

impl SaysRow<'_> {
    fn to_domain(&self) -> Result<Says, RowError> {
        const MISSING: RowError = RowError::Invalid("alert: it lacks a part of what it says");
        let orders = || self.orders.as_ref().map(OrdersRow::to_domain).ok_or(MISSING);
        let trouble = || trouble::of(self.trouble.ok_or(MISSING)?);
        Ok(match kind::of(self.kind)? {
            Kind::Preventive => Says::Preventive(self.probe.as_ref().ok_or(MISSING)?.to_domain()?),
            Kind::ManualAttention => Says::ManualAttention(orders()?),
            Kind::TotalLoss => Says::TotalLoss {
                orders: orders()?,
                finding: self.finding.as_ref().map(FindingRow::to_domain).transpose()?.map(Box::new),
                assessment: self.assessment.as_ref().ok_or(MISSING)?.to_domain()?,
            },
            Kind::Restricted => Says::Restricted(orders()?),
            Kind::Recovered => {
                let row = self.recovered.as_ref().ok_or(MISSING)?;
                Says::Recovered {
                    start: at(row.start),
                    end: at(row.end),
                    worst: status::of(row.worst)?,
                    affected: row.affected,
                    replayed: row.replayed,
                    left: row.left,
                }
            }
            Kind::Trouble => Says::Trouble(trouble()?),
            Kind::TroubleOver => Says::TroubleOver(trouble()?),
        })
    }
}

pub(in crate::store) fn alert_row(alert: &Alert) -> Vec<u8> {
    to_bytes(&AlertRow {
        id: record16(alert.id),
        session: alert.session.as_str(),
        incident: alert.incident.map(record16),
        at: alert.at.millis(),
        says: SaysRow::from(&alert.says),
        due: alert.due.millis(),
        tries: alert.tries,
        told: millis(alert.told),
    })
}

pub(in crate::store) fn alert_of(bytes: &[u8]) -> Result<Alert, RowError> {
    let row: AlertRow<'_> = minicbor::decode(bytes)?;
    Ok(Alert {
        id: record_id(row.id),
        session: session_name(row.session)?,
        incident: row.incident.map(record_id),
        at: at(row.at),
        says: row.says.to_domain()?,
        due: at(row.due),
        tries: row.tries,
        told: row.told.map(at),
    })
}
