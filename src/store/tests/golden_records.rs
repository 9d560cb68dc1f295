//! The same for what came later: the new fields of cases and sessions, the heart's further records, and a file with all of them. And what
//! is made of the older ones, which lack them.

use std::fs;
use std::time::Duration;

use super::golden::{golden, then};
use crate::clock::Clock;
use crate::domain::alert::{Alert, OrderLine, Orders, Says, Trouble};
use crate::domain::case::Case;
use crate::domain::confirmation::{Confirmation, Confirmed};
use crate::domain::decide::Change;
use crate::domain::diagnosis::{Diagnosis, Reached, Step, Verdict};
use crate::domain::id::ChatId;
use crate::domain::incident::{Announced, Incident};
use crate::domain::ledger::Position;
use crate::domain::notification::Attention;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{Engine, Health, ProbeResult, Restriction, SessionState};
use crate::domain::session::{Rejection, Session};
use crate::domain::status::{Assessment, Confidence, Reason, Status};
use crate::store::testing::*;
use crate::store::{Opening, Reader, Store, row};

const PROBE: ProbeResult = ProbeResult::State {
    state: SessionState::Working,
    engine: Engine::Gows,
    restriction: Restriction { locked: true, capped: false },
};

fn case() -> Case {
    let mut case = open_case(11, NOW);
    let failure = case.failure.as_mut().unwrap();
    failure.attention = Attention::Manual;
    failure.claimed_by = Some("ana".into());
    case.ours_since = Some(NOW);
    case.doubt = Some(NOW + Duration::from_secs(1));
    case.unlookable = true;
    case.replays = 2;
    case.finding = Some(Box::new(finding(NOW + Duration::from_secs(2))));
    case
}

fn session() -> Session {
    let mut session = Session::new(session_name(), NOW);
    session.health = Health {
        last: Some(PROBE),
        at: Some(NOW),
        last_success: Some(NOW),
        last_failure: Some(NOW),
        consecutive_failures: 2,
        failing: true,
        healthy_since: Some(NOW),
        next: None,
        asking: false,
    };
    let chat = ChatId::new("584240000001").unwrap();
    session.total_loss_at = Some(NOW);
    session.webhook_only_at = Some(NOW + Duration::from_secs(1));
    session.rejections.push_back(Rejection { at: NOW, cause: Cause::ContactRestricted, chat: chat.clone() });
    session.restricted_chats.push((chat, NOW));
    session.last_server_ack = Some(NOW + Duration::from_secs(2));
    session.last_device_ack = Some(NOW + Duration::from_secs(3));
    session.unproven_since = Some(NOW + Duration::from_secs(4));
    session.key_refused_since = Some(NOW + Duration::from_secs(5));
    session
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        id: record(1),
        session: session_name(),
        began: NOW,
        sends: vec![send(11), send(12)],
        customer_chat: ChatId::new("584240000001"),
        // Files of the first versions have none.
        written: Vec::new(),
        customer: Step::Ended(Reached::Unknown(Cause::ResponseTimeout)),
        admin: Step::Running { since: NOW },
        number_exists: Some(false),
        attempts: 4,
        cause: Cause::ConnectionRefused,
        probe: Some(PROBE),
        others_accepted: 1,
        others_failed: 2,
        verdict: Some(Verdict::WebhookOnly),
    }
}

fn bad() -> Assessment {
    Assessment {
        status: Status::IncommunicadoCritico,
        confidence: Confidence::High,
        reason: Reason::TotalLoss,
    }
}

fn outage() -> Incident {
    let mut incident = incident(2, NOW, None);
    incident.note(NOW + Duration::from_secs(60), bad());
    incident.affect(send(11));
    incident.replayed = 1;
    incident.left = 2;
    incident.well_since = Some(NOW + Duration::from_secs(90));
    incident.announced = Announced { preventive: true, loss: true, restricted: false, gone: false };
    incident
}

fn alerts() -> Vec<Alert> {
    let mut orders = Orders::default();
    orders.add(OrderLine { send: send(11), order: Some("ORD-11".into()) });
    orders.add(OrderLine { send: send(12), order: None });
    let says = [
        Says::Preventive(PROBE),
        Says::ManualAttention(orders.clone()),
        Says::TotalLoss { orders: orders.clone(), finding: Some(Box::new(finding(NOW))), assessment: bad() },
        Says::Restricted(orders),
        Says::Recovered {
            start: NOW,
            end: NOW + Duration::from_secs(600),
            worst: Status::Incommunicado,
            affected: 3,
            replayed: 2,
            left: 1,
        },
        Says::Trouble(Trouble::KeyRefused),
        Says::TroubleOver(Trouble::KeyRefused),
    ];
    let alert = |(n, says)| {
        let mut alert = Alert { says, incident: Some(record(2)), ..alert(n, None) };
        alert.deliveries[0].tries = 3;
        alert
    };
    (20..).zip(says).map(alert).collect()
}

fn heard() -> Confirmed {
    Confirmed { send: send(14), confirmation: Confirmation::Device, at: NOW }
}

#[test]
fn rows_of_the_records_are_read() {
    assert_eq!(row::case_of(&then("case-2.cbor", &row::case_row(&case()))).unwrap(), case());
    assert_eq!(row::session_of(&then("session-2.cbor", &row::session_row(&session()))).unwrap(), session());
    let stored = then("diagnosis.cbor", &row::diagnosis_row(&diagnosis()));
    assert_eq!(row::diagnosis_of(&stored).unwrap(), diagnosis());
    let stored = then("incident.cbor", &row::incident_row(&outage()));
    assert_eq!(row::incident_of(&stored).unwrap(), outage());
    for alert in alerts() {
        let name = format!("alert-{}.cbor", alert.says.as_str());
        assert_eq!(row::alert_of(&then(&name, &row::alert_row(&alert))).unwrap(), alert, "{name}");
    }
    let stored = then("awaiting.cbor", &row::awaiting_row(&awaiting(13, NOW)));
    assert_eq!(row::awaiting_of(&stored).unwrap(), awaiting(13, NOW));
    let stored = then("confirmed.cbor", &row::confirmed_row(&heard()));
    assert_eq!(row::confirmed_of(send(14), &stored).unwrap(), heard());
    let stored = then("audit.cbor", &row::audit_row(&audit(30, NOW)));
    assert_eq!(row::audit_of(&stored).unwrap(), audit(30, NOW));
}

#[test]
fn a_file_with_records_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let now = dir.path().join("now.redb");
    if !golden("store-2.redb").exists() {
        on_one_thread(async {
            let (store, _feed) = start(&now);
            store.ready().await;
            let mut changes = vec![
                Change::Case(Box::new(case())),
                Change::Session(Box::new(session())),
                Change::Diagnosis(Box::new(diagnosis())),
                Change::Incident(Box::new(outage())),
                Change::Incident(Box::new(incident(3, NOW, Some(NOW)))),
                Change::Awaiting(Box::new(awaiting(13, NOW))),
                Change::Awaiting(Box::new(awaiting(14, NOW))),
                Change::Confirmed(heard()),
                Change::Audit(Box::new(audit(30, NOW))),
                Change::Paused(true),
            ];
            changes.extend(alerts().into_iter().map(|alert| Change::Alert(Box::new(alert))));
            store.commit(changes, Position(0), Position(1)).await.unwrap();
            store.close().await;
        });
    }
    let path = dir.path().join("store.redb");
    fs::write(&path, then("store-2.redb", &fs::read(&now).unwrap_or_default())).unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&path);
        assert!(matches!(store.ready().await, Opening::Ready(report) if report.set_aside.is_none()));
        let reader = store.reader();
        let loaded = reader.load().unwrap();
        assert_eq!(loaded.stored.cases, [case()]);
        assert_eq!(loaded.stored.sessions, [session()]);
        assert_eq!(loaded.stored.diagnoses, [diagnosis()]);
        assert_eq!(loaded.stored.incidents, [outage()]);
        assert_eq!(loaded.stored.alerts, alerts());
        assert_eq!(loaded.stored.awaiting, [awaiting(13, NOW)]);
        assert!(loaded.stored.paused);
        assert_eq!(reader.confirmed(send(14)).unwrap(), Some(heard()));
        assert_eq!(reader.audit(None, 10).unwrap(), [audit(30, NOW)]);
        assert_eq!(reader.communication_failures(None, 10).unwrap().items, [case()]);
        store.close().await;
    });
}

fn holds_no_records(reader: &Reader) {
    let loaded = reader.load().unwrap();
    assert_eq!((loaded.stored.cases.len(), loaded.stored.sessions.len()), (1, 1));
    assert!(
        loaded.stored.diagnoses.is_empty()
            && loaded.stored.incidents.is_empty()
            && loaded.stored.alerts.is_empty()
    );
    assert!(loaded.stored.awaiting.is_empty() && !loaded.stored.paused);
    assert!(reader.incidents(None, 10).unwrap().is_empty());
    assert_eq!(reader.incident(record(1)).unwrap(), None);
    assert!(reader.alerts(10).unwrap().is_empty() && reader.audit(None, 10).unwrap().is_empty());
    assert!(reader.communication_failures(None, 10).unwrap().items.is_empty());
    assert_eq!(reader.confirmed(send(1)).unwrap(), None);
    assert_eq!(reader.accepted_since(NOW).unwrap().len(), 1);
}

#[test]
fn a_file_without_these_tables_reads_as_empty_and_gets_them_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let older = fs::read(golden("store.redb")).unwrap();
    fs::write(&path, &older).unwrap();
    holds_no_records(&Store::open_read_only(&path, Clock::manual(NOW)).unwrap());
    assert!(fs::read(&path).unwrap() == older, "reading changed nothing");
    on_one_thread(async {
        let (store, _feed) = start(&path);
        assert!(matches!(store.ready().await, Opening::Ready(report) if report.set_aside.is_none()));
        holds_no_records(&store.reader());
        let change = Change::Incident(Box::new(incident(1, NOW, None)));
        store.commit(vec![change], Position(1), Position(2)).await.unwrap();
        store.close().await;
    });
    let reader = Store::open_read_only(&path, Clock::manual(NOW)).unwrap();
    assert_eq!(reader.load().unwrap().stored.incidents, [incident(1, NOW, None)]);
}

/// Field 13 is what tells an older row from one that knows of no doubt.
#[test]
fn a_case_older_than_its_doubt_is_in_doubt() {
    let ended = ended(9, 1, Outcome::Ambiguous);
    let mut case = Case::open(&ended);
    case.doubt = None;
    let row = row::case_row(&case);
    assert_eq!(row::case_of(&row).unwrap().doubt, None);
    let older = row.strip_suffix(&[0x0d, 0x00]).unwrap();
    let older = [&[older[0] - 1], &older[1..]].concat();
    assert_eq!(row::case_of(&older).unwrap().doubt, Some(ended.ended));
}
