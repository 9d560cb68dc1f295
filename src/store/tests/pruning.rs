//! What goes, and what never does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::decide::Change;
use crate::domain::ledger::{Entry, Position};
use crate::domain::notification::{Method, Resolution};
use crate::domain::outcome::Outcome;
use crate::store::testing::*;
use crate::store::{NoMeter, Order, Store, StoreStats, query, table};

/// Waits until the store looks as it should.
async fn until(store: &Store, fits: impl Fn(StoreStats) -> bool) -> StoreStats {
    for _ in 0..200 {
        let stats = store.reader().stats().unwrap();
        if fits(stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {:?}", store.reader().stats());
}

#[test]
fn applied_intents_and_requests_go_and_open_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let lane = store.lane();
        for n in 0..1_000 {
            lane.note(intent(n, 1));
            lane.note(accepted(n));
        }
        let mut heavy = ended(5_000, 1, Outcome::Failed);
        heavy.request = Some(request());
        lane.note(Entry::Ended(Box::new(heavy)));
        // Its outcome was lost: the heart knows that it has ended, the ledger does not.
        lane.note(intent(6_000, 1));
        assert!(lane.record(intent(7_000, 1)).await);
        store.commit(Vec::new(), Position(2_003), Position(2_003)).await.unwrap();
        let stats = until(&store, |stats| stats.ledger_rows <= 1_003).await;
        assert_eq!(stats.ledger_rows, 1_003);
        let reader = store.reader();
        until(&store, |_| {
            let left = reader.entries(Position(2_001), Position(2_001), 1).unwrap();
            matches!(&left[0].1, Entry::Ended(ended) if ended.request.is_none())
        })
        .await;
        let page = reader.sends(Order::NewestFirst, None, 2_000, |_| true).unwrap();
        assert_eq!(page.items.len(), 1_003);
        store.close().await;
    });
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let loaded = store.reader().load().unwrap();
        assert_eq!(loaded.intents.len(), 1);
        let page = store.reader().sends(Order::NewestFirst, None, 2_000, |_| true).unwrap();
        assert_eq!(page.items.len(), 1_003, "the same after a restart");
        store.close().await;
    });
}

/// Every step of the pruning makes needless what was noted of what it came to, so it takes a few rounds to see any of it.
#[test]
fn what_has_not_ended_is_noted_so_that_a_start_need_not_look_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let noted = |store: &Store| {
        let reader = store.reader();
        let read = reader.guarded(|_, t| {
            let span = query::meta(t, table::PRUNED_TO)?..query::meta(t, table::ENDED_TO)?;
            Ok((span, query::unended(t)?))
        });
        read.unwrap()
    };
    let mut lost = BTreeSet::new();
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let lane = store.lane();
        while noted(&store).1.is_empty() {
            // The outcome of every other one was lost: the heart knows that it has ended, the ledger does not.
            let n = u64::try_from(lost.len()).unwrap();
            lost.insert(3 * n + 1);
            lane.note(intent(2 * n, 1));
            lane.note(intent(2 * n + 1, 1));
            assert!(lane.record(accepted(2 * n + 1)).await);
            for _ in 0..2 {
                store.commit(Vec::new(), Position(3 * n + 3), Position(3 * n + 4)).await.unwrap();
            }
        }
        let (span, unended) = noted(&store);
        assert!(unended.is_subset(&lost), "{unended:?} of {lost:?}");
        assert!(
            lost.iter().filter(|position| span.contains(position)).all(|position| unended.contains(position))
        );
        store.close().await;
    });
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let page = store.reader().sends(Order::OldestFirst, None, 1_000, |_| true).unwrap();
        let ambiguous = page.items.iter().filter(|send| send.outcome == Outcome::Ambiguous).count();
        assert_eq!((page.items.len(), ambiguous), (2 * lost.len(), lost.len()));
        store.close().await;
    });
}

#[test]
fn old_sends_and_settled_cases_go_and_open_notifications_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let clock = Clock::manual(NOW);
    on_one_thread(async {
        let (store, _feed) = Store::start(settings(&path), clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        let lane = store.lane();
        for n in 0..600 {
            lane.note(accepted(n));
        }
        let mut young = ended(999, 1, Outcome::Accepted);
        young.ended = NOW + Duration::from_secs(40 * 86_400);
        assert!(lane.record(Entry::Ended(Box::new(young))).await);
        let mut settled = open_case(1, NOW);
        settled.failure.as_mut().unwrap().resolution =
            Some(Resolution { at: NOW, method: Method::Sms, by: None, note: None });
        let changes = vec![
            Change::Case(Box::new(settled)),
            Change::Keep(send(1), request()),
            Change::Case(Box::new(open_case(2, NOW))),
        ];
        store.commit(changes, Position(601), Position(602)).await.unwrap();
        store.close().await;
    });
    clock.advance(Duration::from_secs(95 * 86_400));
    on_one_thread(async {
        let mut settings = settings(&path);
        settings.retention.sends_for = Duration::from_secs(60 * 86_400);
        let (store, _feed) = Store::start(settings, clock.clone(), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        let stats = until(&store, |stats| stats.ledger_rows == 1 && stats.cases == 1).await;
        assert_eq!((stats.open, stats.notifications, stats.requests), (1, 1, 0));
        // Positions go on where they were.
        assert!(store.lane().record(accepted(5)).await);
        assert_eq!(store.reader().stats().unwrap().last, Position(602));
        store.close().await;
    });
}

#[test]
fn a_file_stays_below_its_limit_and_stops_growing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    on_one_thread(async {
        let mut settings = settings(&path);
        settings.retention.max_size = 3 << 20;
        let (store, mut feed) = Store::start(settings, Clock::manual(NOW), Arc::new(NoMeter)).unwrap();
        store.ready().await;
        let lane = store.lane();
        store
            .commit(vec![Change::Case(Box::new(open_case(1, NOW)))], Position(0), Position(1))
            .await
            .unwrap();
        for round in 0..60 {
            for n in 0..500 {
                lane.note(accepted(round * 500 + n));
            }
            assert!(lane.record(accepted(round)).await);
            while let Ok(Some(handed)) = tokio::time::timeout(Duration::from_millis(1), feed.next()).await {
                let next = Position(handed.applied.0 + 1);
                store.commit(Vec::new(), handed.applied, next).await.unwrap();
            }
            // So many rows are more than the limit holds.
            until(&store, |stats| stats.ledger_rows < 8_000).await;
        }
        let stats = store.reader().stats().unwrap();
        assert!(stats.ledger_rows > 1_000 && stats.ledger_rows < 20_000, "{stats:?}");
        assert_eq!(stats.open, 1);
        assert_eq!(stats.last.0, 60 * 501);
        store.close().await;
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= 3 << 20, "{size}");
    });
}
