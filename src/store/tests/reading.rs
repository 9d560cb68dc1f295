//! Pages of notifications and sends, and what stands where.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::case::Case;
use crate::domain::decide::Change;
use crate::domain::ledger::{Entry, Position};
use crate::domain::notification::{Method, Resolution};
use crate::domain::outcome::Outcome;
use crate::domain::status::{Assessment, Status, StatusChange};
use crate::store::testing::*;
use crate::store::{Notifications, Order, Reader, SendSummary, Store};

fn case(case: Case) -> Change {
    Change::Case(Box::new(case))
}

fn all_sends(reader: &Reader, order: Order, page: usize) -> Vec<SendSummary> {
    let (mut sends, mut after) = (Vec::new(), None);
    loop {
        let found = reader.sends(order, after, page, |_| true).unwrap();
        sends.extend(found.items);
        after = found.next;
        if after.is_none() {
            return sends;
        }
    }
}

#[test]
fn notifications_are_found_by_state_and_age() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let created = |n: u64| NOW + Duration::from_secs(n);
        let mut changes: Vec<_> = (0..60).map(|n| case(open_case(n, created(n)))).collect();
        changes.push(Change::Keep(send(3), request()));
        store.commit(changes, Position(0), Position(1)).await.unwrap();
        let mut settled = open_case(7, created(7));
        settled.failure.as_mut().unwrap().resolution =
            Some(Resolution { at: NOW, method: Method::PhoneCall, by: Some("ana".into()), note: None });
        store.commit(vec![case(settled.clone())], Position(0), Position(1)).await.unwrap();
        let reader = store.reader();
        assert_eq!(reader.stats().unwrap().open, 59);
        assert_eq!(reader.request(send(3)).unwrap().as_ref(), Some(&*request()));
        assert_eq!(reader.case(send(7)).unwrap(), Some(settled));
        assert_eq!(reader.load().unwrap().stored.cases.len(), 59);

        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let page =
                reader.notifications(Notifications::Open, Order::OldestFirst, after, 25, |_| true).unwrap();
            seen.extend(page.items.iter().map(|case| case.send));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..60).filter(|n| *n != 7).map(send).collect::<Vec<_>>());
        let newest = reader.notifications(Notifications::All, Order::NewestFirst, None, 2, |_| true).unwrap();
        assert_eq!(newest.items.iter().map(|case| case.send).collect::<Vec<_>>(), [send(59), send(58)]);
        let settled =
            reader.notifications(Notifications::Settled, Order::NewestFirst, None, 5, |_| true).unwrap();
        assert_eq!((settled.items.len(), settled.next), (1, None));
        let none = reader.notifications(Notifications::Open, Order::NewestFirst, None, 5, |_| false).unwrap();
        assert!(none.items.is_empty() && none.next.is_none());

        // Opened again.
        store.commit(vec![case(open_case(7, created(7)))], Position(0), Position(1)).await.unwrap();
        assert_eq!(reader.stats().unwrap().open, 60);
        store.close().await;
    });
}

#[test]
fn each_send_is_one_line_with_and_without_a_heart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let check = |reader: &Reader| {
        for (order, page) in [(Order::OldestFirst, 100), (Order::OldestFirst, 1), (Order::NewestFirst, 2)] {
            let mut sends = all_sends(reader, order, page);
            if order == Order::NewestFirst {
                sends.reverse();
            }
            let lines: Vec<_> = sends.iter().map(|send| (send.send, send.outcome, send.attempts)).collect();
            let expected = [
                (send(1), Outcome::Accepted, 1),
                (send(2), Outcome::Accepted, 2),
                (send(3), Outcome::Accepted, 1),
                (send(4), Outcome::Failed, 1),
                (send(5), Outcome::Ambiguous, 1),
                (send(6), Outcome::Ambiguous, 2),
            ];
            assert_eq!(lines, expected, "{order:?} {page}");
            assert!(sends[1].message_id.is_some());
        }
    };
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let lane = store.lane();
        let again = Entry::Ended(Box::new(ended(2, 2, Outcome::Accepted)));
        for entry in [
            accepted(1),
            failed(2, 1),
            intent(3, 1),
            intent(2, 2),
            again,
            accepted(3),
            failed(6, 1),
            failed(4, 1),
            intent(5, 1),
        ] {
            lane.note(entry);
        }
        assert!(lane.record(intent(6, 2)).await);
        let reader = store.reader();
        check(&reader);
        assert_eq!(reader.send(send(6)).unwrap().unwrap().attempts, 2);

        // The heart comes up in two steps.
        store
            .commit(vec![case(Case::open(&ended(2, 1, Outcome::Failed)))], Position(3), Position(3))
            .await
            .unwrap();
        check(&reader);
        let mut recovered = Case::open(&ended(2, 1, Outcome::Failed));
        recovered.add(&ended(2, 2, Outcome::Accepted));
        let changes = vec![
            case(recovered),
            case(Case::open(&ended(4, 1, Outcome::Failed))),
            case(Case::open(&ended(6, 1, Outcome::Failed))),
        ];
        store.commit(changes, Position(10), Position(9)).await.unwrap();
        check(&reader);
        store.close().await;
    });
    let offline = Store::open_read_only(&path, Clock::manual(NOW)).unwrap();
    check(&offline);
}

#[test]
fn a_retry_of_a_success_is_still_one_send() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let lane = store.lane();
        lane.note(accepted(1));
        assert!(lane.record(Entry::Ended(Box::new(ended(1, 2, Outcome::Accepted)))).await);
        let lines = all_sends(&store.reader(), Order::NewestFirst, 10);
        assert_eq!((lines.len(), lines[0].attempts), (1, 2));
        let mut latched = Case::open(&ended(1, 1, Outcome::Accepted));
        latched.add(&ended(1, 2, Outcome::Accepted));
        store.commit(vec![case(latched)], Position(2), Position(3)).await.unwrap();
        let lines = all_sends(&store.reader(), Order::NewestFirst, 10);
        assert_eq!((lines.len(), lines[0].attempts), (1, 2));
        store.close().await;
    });
}

#[test]
fn history_is_bounded_and_written_once() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let change = |n: u64| StatusChange {
            session: crate::domain::id::SessionName::new("default").unwrap(),
            at: NOW + Duration::from_millis(n),
            from: Status::Online,
            to: Assessment::UNKNOWN,
        };
        for _ in 0..2 {
            let changes = (0..10_020).map(|n| Change::History(change(n))).collect();
            store.commit(changes, Position(0), Position(1)).await.unwrap();
        }
        let reader = store.reader();
        let newest = reader.history(None, 3).unwrap();
        assert_eq!(newest, [change(10_019), change(10_018), change(10_017)]);
        assert_eq!(reader.history(Some(&newest[2]), 1).unwrap(), [change(10_016)]);
        assert_eq!(reader.history(None, 20_000).unwrap().len(), 10_000);
        store.close().await;
    });
}
