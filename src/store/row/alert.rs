//! The stored form of alerts. What one says is a kind and the fields that kind has.

use minicbor::{Decode, Encode};

use super::description::session_name;
use super::diagnosis::FindingRow;
use super::probe::ProbeRow;
use super::session::{AssessmentRow, status};
use super::{Bytes16, RowError, at, bytes16, codes, millis, record_id, record16, send_id, to_bytes};
use crate::domain::alert::{Alert, OrderLine, Orders, Says, Trouble};
use crate::domain::delivery::{Channel, Delivery, Dropped, Progress, Recipient};
use crate::domain::drill::Drill;

codes!(trouble: Trouble { KeyRefused = 1 });
codes!(channel: Channel { Whatsapp = 1, Email = 2, Sms = 3, Webhook = 4, Pagerduty = 5, LogFile = 6 });
codes!(dropped: Dropped { Withdrawn = 1, Refused = 2, TooOld = 3 });

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
    StillLost,
    BotGone,
    Drill,
    DrillOver,
    Test,
}
codes!(kind: Kind {
    Preventive = 1, ManualAttention = 3, TotalLoss = 4, Restricted = 5, Recovered = 6, Trouble = 7, TroubleOver = 8,
    StillLost = 9, BotGone = 10, Drill = 11, DrillOver = 12, Test = 13,
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
    /// This and the next two are all there was when WhatsApp was the only channel.
    #[n(5)]
    due: i64,
    #[n(6)]
    tries: u32,
    #[n(7)]
    told: Option<i64>,
    #[n(8)]
    deliveries: Option<Vec<DeliveryRow>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct DeliveryRow {
    #[n(0)]
    channel: u8,
    #[n(1)]
    tries: u32,
    #[n(2)]
    due: i64,
    #[n(3)]
    under_way: Option<bool>,
    #[n(4)]
    told: Option<i64>,
    #[n(5)]
    dropped: Option<i64>,
    #[n(6)]
    why: Option<u8>,
    /// Digests of recipients.
    #[n(7)]
    reached: Option<Vec<u64>>,
}

impl From<&Delivery> for DeliveryRow {
    fn from(delivery: &Delivery) -> Self {
        let mut row = Self {
            channel: channel::code(delivery.channel),
            tries: delivery.tries,
            due: delivery.due.millis(),
            under_way: None,
            told: None,
            dropped: None,
            why: None,
            reached: (!delivery.reached.is_empty())
                .then(|| delivery.reached.iter().map(|who| who.number()).collect()),
        };
        match delivery.progress {
            Progress::Waiting => {}
            Progress::UnderWay => row.under_way = Some(true),
            Progress::Told(at) => row.told = Some(at.millis()),
            Progress::Dropped(at, why) => {
                (row.dropped, row.why) = (Some(at.millis()), Some(dropped::code(why)));
            }
        }
        row
    }
}

impl DeliveryRow {
    fn to_domain(&self) -> Result<Delivery, RowError> {
        let progress = match (self.told, self.dropped, self.why) {
            (Some(told), _, _) => Progress::Told(at(told)),
            (None, Some(when), Some(why)) => Progress::Dropped(at(when), dropped::of(why)?),
            _ if self.under_way == Some(true) => Progress::UnderWay,
            _ => Progress::Waiting,
        };
        let channel = channel::of(self.channel)?;
        let reached = self.reached.iter().flatten().copied().map(Recipient::new).collect();
        Ok(Delivery { channel, tries: self.tries, due: at(self.due), progress, reached })
    }
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
    #[n(7)]
    since: Option<i64>,
    #[b(8)]
    who: Option<&'a str>,
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
            since: None,
            who: None,
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
            Says::StillLost { since, orders } => {
                Self { orders: Some(orders.into()), since: Some(since.millis()), ..plain(Kind::StillLost) }
            }
            Says::Restricted(orders) => Self { orders: Some(orders.into()), ..plain(Kind::Restricted) },
            Says::BotGone { since } => Self { since: Some(since.millis()), ..plain(Kind::BotGone) },
            Says::Drill { who } => Self { who: Some(who), ..plain(Kind::Drill) },
            Says::DrillOver { start } => Self { since: Some(start.millis()), ..plain(Kind::DrillOver) },
            Says::Test { who } => Self { who: Some(who), ..plain(Kind::Test) },
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
        let since = || self.since.map(at).ok_or(MISSING);
        let who = || self.who.map(str::to_owned).ok_or(MISSING);
        Ok(match kind::of(self.kind)? {
            Kind::Preventive => Says::Preventive(self.probe.as_ref().ok_or(MISSING)?.to_domain()?),
            Kind::ManualAttention => Says::ManualAttention(orders()?),
            Kind::TotalLoss => Says::TotalLoss {
                orders: orders()?,
                finding: self.finding.as_ref().map(FindingRow::to_domain).transpose()?.map(Box::new),
                assessment: self.assessment.as_ref().ok_or(MISSING)?.to_domain()?,
            },
            Kind::StillLost => Says::StillLost { since: since()?, orders: orders()? },
            Kind::Restricted => Says::Restricted(orders()?),
            Kind::BotGone => Says::BotGone { since: since()? },
            Kind::Drill => Says::Drill { who: who()? },
            Kind::DrillOver => Says::DrillOver { start: since()? },
            Kind::Test => Says::Test { who: who()? },
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
        due: alert.at.millis(),
        tries: alert.tries(),
        told: millis(alert.over()),
        deliveries: Some(alert.deliveries.iter().map(DeliveryRow::from).collect()),
    })
}

pub(in crate::store) fn alert_of(bytes: &[u8]) -> Result<Alert, RowError> {
    let row: AlertRow<'_> = minicbor::decode(bytes)?;
    let deliveries = match &row.deliveries {
        Some(deliveries) => deliveries.iter().map(DeliveryRow::to_domain).collect::<Result<_, _>>()?,
        None => vec![Delivery {
            channel: Channel::Whatsapp,
            tries: row.tries,
            due: at(row.due),
            progress: row.told.map_or(Progress::Waiting, |told| Progress::Told(at(told))),
            reached: Vec::new(),
        }],
    };
    Ok(Alert {
        id: record_id(row.id),
        session: session_name(row.session)?,
        incident: row.incident.map(record_id),
        at: at(row.at),
        says: row.says.to_domain()?,
        deliveries,
    })
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct DrillRow<'a> {
    #[n(0)]
    id: Bytes16,
    #[b(1)]
    session: &'a str,
    #[b(2)]
    who: &'a str,
    #[n(3)]
    began: i64,
    #[n(4)]
    until: i64,
    #[n(5)]
    ended: Option<i64>,
}

pub(in crate::store) fn drill_row(drill: &Drill) -> Vec<u8> {
    to_bytes(&DrillRow {
        id: record16(drill.id),
        session: drill.session.as_str(),
        who: &drill.who,
        began: drill.began.millis(),
        until: drill.until.millis(),
        ended: millis(drill.ended),
    })
}

pub(in crate::store) fn drill_of(bytes: &[u8]) -> Result<Drill, RowError> {
    let row: DrillRow<'_> = minicbor::decode(bytes)?;
    Ok(Drill {
        id: record_id(row.id),
        session: session_name(row.session)?,
        who: row.who.to_owned(),
        began: at(row.began),
        until: at(row.until),
        ended: row.ended.map(at),
    })
}
