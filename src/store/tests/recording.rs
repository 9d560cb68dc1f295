//! Recording, handing over, loading.

use futures_util::future::join_all;

use crate::domain::case::Case;
use crate::domain::decide::Change;
use crate::domain::ledger::{Entry, Position};
use crate::domain::outcome::Outcome;
use crate::store::testing::*;
use crate::store::{Opening, Order, StoreState};

#[test]
fn what_was_recorded_is_there_after_a_restart_and_was_handed_over_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deeper").join("store.redb");
    on_one_thread(async {
        let (store, mut feed) = start(&path);
        assert!(matches!(store.opened().await, Opening::Ready(report) if report.set_aside.is_none()));
        assert_eq!(store.state(), StoreState::Recording);
        let (one, other) = (store.lane(), store.lane());
        let records =
            (0..200).map(|n| if n % 2 == 0 { one.record(accepted(n)) } else { other.record(accepted(n)) });
        assert!(join_all(records).await.into_iter().all(|recorded| recorded));
        one.note(intent(1_000, 1));
        one.note(Entry::Begun(ended(1_001, 2, Outcome::Failed).attempt));
        assert!(one.record(failed(1_001, 2)).await);

        let mut handed = Vec::new();
        while handed.len() < 203 {
            handed.extend(feed.next().await.unwrap().entries);
        }
        let positions: Vec<_> = handed.iter().map(|(position, _)| position.0).collect();
        let expected: Vec<_> = (1..=201).chain([0, 202]).collect();
        assert_eq!(positions, expected);
        assert!(store.figures().commits < 100, "sends share commits");

        let case = Case::open(&ended(1_001, 2, Outcome::Failed));
        store.commit(vec![Change::Case(Box::new(case))], Position(202), Position(201)).await.unwrap();
        store.close().await;
        assert!(feed.next().await.is_none());
    });
    on_one_thread(async {
        let (store, _feed) = start(&path);
        assert!(matches!(store.ready().await, Opening::Ready(report) if report.last == Position(202)));
        let reader = store.reader();
        let loaded = reader.load().unwrap();
        assert_eq!((loaded.applied, loaded.last), (Position(202), Position(202)));
        assert_eq!(loaded.stored.cases.len(), 1);
        assert_eq!(loaded.intents.len(), 1);
        assert_eq!(loaded.intents[0].0, Position(201));
        assert_eq!(reader.entries(Position(1), Position(202), 1_000).unwrap().len(), 202);

        let page = reader.sends(Order::NewestFirst, None, 3, |_| true).unwrap();
        let found: Vec<_> = page.items.iter().map(|send| (send.send, send.outcome, send.attempts)).collect();
        assert_eq!(found[0], (send(1_001), Outcome::Failed, 2));
        assert_eq!(found[1], (send(1_000), Outcome::Ambiguous, 1));
        assert_eq!(found[2].1, Outcome::Accepted);
        let lane = store.lane();
        assert!(lane.record(accepted(5_000)).await);
        assert_eq!(reader.stats().unwrap().last, Position(203));
        store.close().await;
    });
}
