//! Incidents, alerts, findings, confirmations, the audit: written twice is written once, and read newest first.

use std::time::Duration;

use crate::domain::confirmation::{Confirmation, Confirmed};
use crate::domain::decide::Change;
use crate::domain::ledger::{Entry, Position};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::store::testing::*;

fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn records_are_read_newest_first_and_open_ones_are_loaded() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let reader = store.reader();
        for _ in 0..2 {
            let mut changes = Vec::new();
            for n in 0..10 {
                // Began in another order than their ids say.
                let end = (n != 4).then(|| later(100));
                changes.push(Change::Incident(Box::new(incident(n, later(n ^ 1), end))));
                changes.push(Change::Alert(Box::new(alert(n, (n < 8).then_some(NOW)))));
                changes.push(Change::Audit(Box::new(audit(n, later(n / 2)))));
            }
            changes.push(Change::Paused(true));
            store.commit(changes, Position(0), Position(1)).await.unwrap();

            let incidents = reader.incidents(None, 3).unwrap();
            let ids: Vec<_> = incidents.iter().map(|incident| incident.id).collect();
            assert_eq!(ids, [record(8), record(9), record(6)]);
            let last = incidents.last().unwrap();
            let next = reader.incidents(Some((last.start.millis(), last.id)), 100).unwrap();
            assert_eq!((next.len(), next[0].id), (7, record(7)));
            assert_eq!(reader.incident(record(4)).unwrap(), Some(incident(4, later(5), None)));
            assert_eq!(reader.incident(record(99)).unwrap(), None);

            let alerts = reader.alerts(2).unwrap();
            assert_eq!(alerts, [alert(9, None), alert(8, None)]);
            let audits = reader.audit(None, 3).unwrap();
            assert_eq!(audits, [audit(9, later(4)), audit(8, later(4)), audit(7, later(3))]);
            let next = reader.audit(Some((later(3).millis(), record(7))), 1).unwrap();
            assert_eq!(next, [audit(6, later(3))]);

            let loaded = reader.load().unwrap();
            assert_eq!(loaded.stored.incidents, [incident(4, later(5), None)]);
            assert_eq!(loaded.stored.alerts, [alert(8, None), alert(9, None)]);
            assert!(loaded.stored.paused);
        }
        // Another start, and told at last.
        let changes = vec![
            Change::Incident(Box::new(incident(4, later(50), Some(later(60))))),
            Change::Alert(Box::new(alert(8, Some(NOW)))),
            Change::Paused(false),
        ];
        store.commit(changes, Position(0), Position(1)).await.unwrap();
        let incidents = reader.incidents(None, 100).unwrap();
        assert_eq!((incidents.len(), incidents[0].id), (10, record(4)));
        let loaded = reader.load().unwrap();
        assert!(loaded.stored.incidents.is_empty() && !loaded.stored.paused);
        assert_eq!(loaded.stored.alerts, [alert(9, None)]);
        store.close().await;
    });
}

#[test]
fn a_confirmed_send_waits_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let heard = |confirmation| Confirmed { send: send(1), confirmation, at: later(1) };
        let changes = || {
            vec![
                Change::Awaiting(Box::new(awaiting(1, NOW))),
                Change::Awaiting(Box::new(awaiting(2, NOW))),
                Change::Confirmed(heard(Confirmation::Server)),
            ]
        };
        let reader = store.reader();
        for _ in 0..2 {
            store.commit(changes(), Position(0), Position(1)).await.unwrap();
            assert_eq!(reader.load().unwrap().stored.awaiting, [awaiting(2, NOW)]);
            assert_eq!(reader.confirmed(send(1)).unwrap(), Some(heard(Confirmation::Server)));
            assert_eq!(reader.confirmed(send(2)).unwrap(), None);
        }
        let read = Change::Confirmed(heard(Confirmation::Read));
        store.commit(vec![read], Position(0), Position(1)).await.unwrap();
        assert_eq!(reader.confirmed(send(1)).unwrap(), Some(heard(Confirmation::Read)));
        store.close().await;
    });
}

#[test]
fn communication_failures_are_listed_by_when_they_were_found() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let found = |n: u64, at: u64| {
            let mut case = open_case(n, NOW);
            case.finding = Some(Box::new(finding(later(at))));
            Change::Case(Box::new(case))
        };
        let mut changes: Vec<_> = (0..5).map(|n| found(n, 10 - n)).collect();
        changes.push(Change::Case(Box::new(open_case(9, NOW))));
        // A diagnosis corrected later stands where its correction stands.
        changes.push(found(3, 20));
        changes.push(found(3, 20));
        store.commit(changes, Position(0), Position(1)).await.unwrap();
        let reader = store.reader();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = reader.communication_failures(after, 2).unwrap();
            seen.extend(page.items.iter().map(|case| case.send));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, [3, 0, 1, 2, 4].map(send));
        store.close().await;
    });
}

#[test]
fn accepted_sends_are_found_from_the_end_of_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let lane = store.lane();
        let at = |n: u64, outcome, seconds| {
            let mut entry = ended(n, 1, outcome);
            entry.ended = later(seconds);
            Entry::Ended(Box::new(entry))
        };
        // Too far back to be looked for.
        lane.note(at(1, Outcome::Accepted, 500));
        for n in 100..1_100 {
            lane.note(accepted(n));
        }
        lane.note(at(2, Outcome::Accepted, 501));
        // Recorded late.
        for n in 0..50 {
            lane.note(accepted(2_000 + n));
        }
        lane.note(at(3, Outcome::Failed, 502));
        lane.note(intent(4, 1));
        assert!(lane.record(at(5, Outcome::Accepted, 503)).await);
        let found = store.reader().accepted_since(later(500)).unwrap();
        let expected = [(what(5), later(503)), (what(2), later(501))];
        assert_eq!(found, expected);
        assert!(store.reader().accepted_since(later(504)).unwrap().is_empty());
        store.close().await;
    });
}

#[test]
fn the_audit_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        for part in 0..11 {
            let lines = part * 10_000..(part * 10_000 + 9_100);
            let changes = lines.map(|n| Change::Audit(Box::new(audit(n, later(n))))).collect();
            store.commit(changes, Position(0), Position(1)).await.unwrap();
        }
        let lines = store.reader().audit(None, 200_000).unwrap();
        assert_eq!(lines.len(), 100_000);
        assert_eq!((lines[0].id, lines[99_999].id), (record(109_099), record(100)));
        store.close().await;
    });
}
