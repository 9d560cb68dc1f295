//! What goes of the heart's records, and what never does.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::confirmation::{Confirmation, Confirmed};
use crate::domain::decide::Change;
use crate::domain::ledger::Position;
use crate::domain::notification::{Method, Resolution};
use crate::store::testing::*;
use crate::store::{NoMeter, Reader, Store};

const DAY: Duration = Duration::from_secs(86_400);

/// Waits until the store looks as it should.
async fn until(store: &Store, fits: impl Fn(&Reader) -> bool) {
    let reader = store.reader();
    for _ in 0..400 {
        if fits(&reader) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {:?}", reader.stats());
}

fn heard(n: u64, days: u32) -> Change {
    Change::Confirmed(Confirmed { send: send(n), confirmation: Confirmation::Read, at: NOW + days * DAY })
}

#[test]
fn what_is_over_goes_in_time_and_what_is_open_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let clock = Clock::manual(NOW);
    on_one_thread(async {
        let (store, _feed) = Store::start(settings(&path), clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        let mut settled = open_case(900, NOW);
        settled.finding = Some(Box::new(finding(NOW)));
        settled.failure.as_mut().unwrap().resolution =
            Some(Resolution { at: NOW, method: Method::Sms, by: None, note: None });
        let mut open = open_case(901, NOW);
        open.finding = Some(Box::new(finding(NOW)));
        let mut changes = vec![
            Change::Case(Box::new(settled)),
            Change::Case(Box::new(open)),
            Change::Awaiting(Box::new(awaiting(801, NOW))),
            Change::Awaiting(Box::new(awaiting(802, NOW + 80 * DAY))),
        ];
        for n in 0..600 {
            changes.push(Change::Incident(Box::new(incident(n, NOW, (n != 5).then_some(NOW)))));
            changes.push(Change::Alert(Box::new(alert(n, (n != 6).then_some(NOW)))));
            changes.push(heard(n, if n == 7 { 80 } else { 0 }));
        }
        changes.push(Change::Incident(Box::new(incident(700, NOW, Some(NOW + 50 * DAY)))));
        changes.push(Change::Alert(Box::new(alert(700, Some(NOW + 50 * DAY)))));
        store.commit(changes, Position(0), Position(1)).await.unwrap();
        store.close().await;
    });
    clock.advance(95 * DAY);
    on_one_thread(async {
        let (store, _feed) = Store::start(settings(&path), clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        until(&store, |reader| reader.confirmed(send(599)).unwrap().is_none()).await;
        until(&store, |reader| reader.stats().unwrap().cases == 1).await;
        let reader = store.reader();
        let incidents = reader.incidents(None, 1_000).unwrap();
        assert_eq!(
            incidents.iter().map(|incident| incident.id).collect::<Vec<_>>(),
            [record(700), record(5)]
        );
        let alerts = reader.alerts(1_000).unwrap();
        assert_eq!(alerts.iter().map(|alert| alert.id).collect::<Vec<_>>(), [record(700), record(6)]);
        assert_eq!(reader.load().unwrap().stored.awaiting, [awaiting(802, NOW + 80 * DAY)]);
        assert!(reader.confirmed(send(7)).unwrap().is_some());
        let failures = reader.communication_failures(None, 10).unwrap().items;
        assert_eq!(failures.iter().map(|case| case.send).collect::<Vec<_>>(), [send(901)]);
        store.close().await;
    });
}

#[test]
fn a_confirmation_goes_with_its_send() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let clock = Clock::manual(NOW);
    on_one_thread(async {
        let (store, _feed) = Store::start(settings(&path), clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        assert!(store.lane().record(accepted(1)).await);
        // Heard so late that by its age alone it would stay.
        store.commit(vec![heard(1, 29), heard(2, 29)], Position(1), Position(2)).await.unwrap();
        store.close().await;
    });
    clock.advance(31 * DAY);
    on_one_thread(async {
        let (store, _feed) = Store::start(settings(&path), clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        until(&store, |reader| reader.stats().unwrap().ledger_rows == 0).await;
        assert_eq!(store.reader().confirmed(send(1)).unwrap(), None);
        assert!(store.reader().confirmed(send(2)).unwrap().is_some());
        store.close().await;
    });
}

#[test]
fn there_is_a_limit_and_it_spares_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let total = 10_300;
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let mut changes = Vec::new();
        for n in 0..total {
            changes.push(Change::Incident(Box::new(incident(n, NOW, (n != 0).then_some(NOW)))));
            changes.push(Change::Alert(Box::new(alert(n, (n != 0).then_some(NOW)))));
        }
        store.commit(changes, Position(0), Position(1)).await.unwrap();
        store.close().await;
    });
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let few = |found: usize| found == 10_000;
        until(&store, |reader| few(reader.alerts(20_000).unwrap().len())).await;
        let reader = store.reader();
        let (incidents, alerts) = (reader.incidents(None, 20_000).unwrap(), reader.alerts(20_000).unwrap());
        assert_eq!(incidents.len(), 10_000);
        assert_eq!((incidents[9_999].id, alerts[9_999].id), (record(0), record(0)));
        assert_eq!((incidents[9_998].id, alerts[9_998].id), (record(301), record(301)));
        store.close().await;
    });
}

#[test]
fn confirmations_do_not_outgrow_the_limit_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    on_one_thread(async {
        let mut settings = settings(&path);
        settings.retention.max_size = 3 << 20;
        let (store, mut feed) = Store::start(settings, Clock::manual(NOW), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        let lane = store.lane();
        for round in 0..60 {
            let sends = || round * 500..(round + 1) * 500;
            for n in sends() {
                lane.note(accepted(n));
            }
            assert!(lane.record(accepted(1_000_000 + round)).await);
            while let Ok(Some(handed)) = tokio::time::timeout(Duration::from_millis(1), feed.next()).await {
                let next = Position(handed.applied.0 + 1);
                let waiting = sends().map(|n| Change::Awaiting(Box::new(awaiting(n, NOW)))).collect();
                store.commit(waiting, handed.applied, next).await.unwrap();
                let heard = sends().map(|n| heard(n, 0)).collect();
                store.commit(heard, handed.applied, next).await.unwrap();
            }
            until(&store, |reader| reader.stats().unwrap().ledger_rows < 7_000).await;
        }
        let rows = store.reader().stats().unwrap().ledger_rows;
        assert!(rows > 1_000 && rows < 12_000, "{rows}");
        assert_eq!(store.reader().confirmed(send(100)).unwrap(), None);
        assert!(store.reader().confirmed(send(60 * 500 - 1)).unwrap().is_some());
        store.close().await;
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= 3 << 20, "{size}");
    });
}
