//! Pushes to Alertmanagers that do as they are told.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::super::Settings;
use super::super::testing::outside::{Asked, Reply, Service};
use super::super::testing::{AT, channels};
use super::*;

fn standing(what: Stands) -> Standing {
    Standing { what, session: SessionName::new("ventas").unwrap(), since: AT }
}

/// A pusher at work: what stands is what the test says.
struct Bench {
    clock: Clock,
    stands: Rc<RefCell<Vec<Standing>>>,
    moved: Arc<Notify>,
    metrics: Arc<Metrics>,
    board: Arc<SteadyBoard>,
}

impl Bench {
    /// Starts one before these, inside a `LocalSet`.
    fn new(services: &[&Service]) -> Self {
        let settings = AlertmanagerSettings {
            urls: services.iter().map(|service| service.url("")).collect(),
            labels: vec![("cluster".to_owned(), "shop".to_owned())],
            keep_firing_for: Duration::from_secs(5),
        };
        let channels = Arc::new(channels(Settings { alertmanager: Some(settings), ..Settings::default() }));
        let bench = Self {
            clock: Clock::manual(AT),
            stands: Rc::default(),
            moved: Arc::default(),
            metrics: Arc::new(Metrics::new(&[]).unwrap()),
            board: Arc::default(),
        };
        let (stands, moved) = (Rc::clone(&bench.stands), Arc::clone(&bench.moved));
        let (clock, metrics, board) =
            (bench.clock.clone(), Arc::clone(&bench.metrics), Arc::clone(&bench.board));
        tokio::task::spawn_local(async move {
            let stands = || stands.borrow().clone();
            push_on(|| Arc::clone(&channels), stands, &moved, clock, metrics, board).await;
        });
        bench
    }

    fn stand(&self, what: &[Stands]) {
        *self.stands.borrow_mut() = what.iter().copied().map(standing).collect();
        self.moved.notify_one();
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.moved.notify_one();
    }
}

/// Waits until a service was asked so often, and gives what it was asked last.
async fn pushed(service: &Service, times: usize) -> Value {
    let waiting = async {
        while service.asked().len() < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("a push");
    assert_eq!(service.asked().len(), times);
    service.asked().last().map(Asked::json).unwrap()
}

#[tokio::test]
async fn what_stands_is_said_at_once_again_and_for_a_while_after_its_end() {
    LocalSet::new()
        .run_until(async {
            let service = Service::start(Reply::Status(200, "{}")).await;
            let bench = Bench::new(&[&service]);
            bench.stand(&[Stands::IncommunicadoCritico]);
            let first = pushed(&service, 1).await;
            assert_eq!(
                first[0]["labels"],
                json!({
                    "alertname": "WahaWatchdogBotIncomunicadoCritico", "session": "ventas", "severity": "critical",
                    "cluster": "shop",
                })
            );
            assert_eq!(first[0]["startsAt"], "2025-11-03T14:05:00.000Z");
            assert_eq!(first[0]["endsAt"], "2025-11-03T14:07:00.000Z");
            assert!(first[0]["annotations"]["summary"].as_str().unwrap().contains("ventas"));
            let runbook = first[0]["annotations"]["runbook_url"].as_str().unwrap();
            assert!(runbook.ends_with("/WahaWatchdogBotIncomunicadoCritico.md"), "{runbook}");
            assert_eq!(first[0]["generatorURL"], "https://dog.example.com/panel/orders");
            // Nothing changed, and it is not time yet.
            bench.pass(29);
            bench.pass(1);
            let again = pushed(&service, 2).await;
            assert_eq!(again[0]["endsAt"], "2025-11-03T14:07:30.000Z");
            // It becomes another.
            bench.stand(&[Stands::Incommunicado]);
            let other = pushed(&service, 3).await;
            assert_eq!(other[0]["labels"]["alertname"], "WahaWatchdogBotIncomunicado");
            assert_eq!(other[1]["labels"]["alertname"], "WahaWatchdogBotIncomunicadoCritico");
            assert_eq!(other[1]["endsAt"], "2025-11-03T14:05:35.000Z");
            bench.stand(&[]);
            let end = pushed(&service, 4).await;
            assert_eq!(end.as_array().unwrap().len(), 1);
            assert_eq!(end[0]["endsAt"], "2025-11-03T14:05:35.000Z");
            assert_eq!(bench.board.of(Steady::Alertmanager).waiting, 0);
        })
        .await;
}

#[tokio::test]
async fn one_that_takes_it_is_enough_and_none_is_tried_again() {
    LocalSet::new()
        .run_until(async {
            let (up, down) = (
                Service::start(Reply::Status(200, "{}")).await,
                Service::start(Reply::Status(503, "{}")).await,
            );
            let bench = Bench::new(&[&down, &up]);
            bench.stand(&[Stands::Drill]);
            pushed(&up, 1).await;
            assert_eq!(pushed(&down, 1).await[0]["labels"]["alertname"], "WahaWatchdogSimulacro");
            while bench.board.of(Steady::Alertmanager).reach.last_success.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            up.answer(Reply::Status(500, ""));
            bench.stand(&[]);
            pushed(&up, 2).await;
            while bench.board.of(Steady::Alertmanager).reach.failing_since.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let noted = bench.board.of(Steady::Alertmanager);
            assert_eq!(noted.waiting, 1);
            assert!(noted.reach.why.unwrap().contains("500"), "it says why");
            up.answer(Reply::Status(200, ""));
            bench.pass(2);
            let end = pushed(&up, 3).await;
            assert_eq!(end[0]["labels"]["alertname"], "WahaWatchdogSimulacro");
            let text = String::from_utf8(bench.metrics.encode()).unwrap();
            let series = r#"waha_watchdog_alerts_sent_total{channel="alertmanager",result="retried"} 1"#;
            assert!(text.contains(series), "{text}");
        })
        .await;
}
