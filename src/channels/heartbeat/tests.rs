//! A dead man's switch that does as it is told.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::super::Settings;
use super::super::testing::channels;
use super::super::testing::outside::{Reply, Service};
use super::*;

#[tokio::test]
async fn it_is_called_while_all_goes_on_and_not_while_something_is_stuck() {
    LocalSet::new()
        .run_until(async {
            let service = Service::start(Reply::Status(200, "OK")).await;
            let settings = HeartbeatSettings {
                url: service.url("/ping/secret"),
                post: true,
                interval: Duration::from_millis(20),
            };
            let channels = Arc::new(channels(Settings { heartbeat: Some(settings), ..Settings::default() }));
            let (alive, looked) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
            let (board, metrics) = (Arc::<SteadyBoard>::default(), Arc::new(Metrics::new(&[]).unwrap()));
            let (life, looks) = (Rc::clone(&alive), Rc::clone(&looked));
            let beating = beat_on(
                {
                    let channels = Arc::clone(&channels);
                    move || Arc::clone(&channels)
                },
                move || {
                    looks.set(looks.get() + 1);
                    std::future::ready(if life.get() { Ok(()) } else { Err("a test") })
                },
                Clock::system(),
                Arc::clone(&metrics),
                Arc::clone(&board),
            );
            tokio::task::spawn_local(beating);
            let wait_for = async |is_so: &dyn Fn() -> bool| {
                let waiting = async {
                    while !is_so() {
                        sleep(Duration::from_millis(2)).await;
                    }
                };
                timeout(Duration::from_secs(30), waiting).await.expect("in time");
            };
            wait_for(&|| service.asked().len() >= 3).await;
            let first = &service.asked()[0];
            assert_eq!((first.method.as_str(), first.target.as_str()), ("POST", "/ping/secret"));
            assert!(board.of(Steady::Heartbeat).reach.last_success.is_some());
            alive.set(false);
            let from = looked.get() + 2;
            wait_for(&|| looked.get() > from).await;
            let silent = service.asked().len();
            let from = looked.get() + 5;
            wait_for(&|| looked.get() > from).await;
            assert_eq!(service.asked().len(), silent, "a stuck watchdog is silent");
            assert!(board.of(Steady::Heartbeat).reach.failing_since.is_some());
            alive.set(true);
            wait_for(&|| service.asked().len() > silent).await;
            // Whoever checks the way does not pretend to live.
            let before = service.asked().len();
            alive.set(false);
            wait_for(&|| looked.get() > from + 10).await;
            let calls = service.asked().len();
            assert!(channels.reach().await.remove(0).1.is_ok());
            assert!(calls >= before && service.asked().len() == calls);
        })
        .await;
}
