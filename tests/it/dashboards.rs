//! The dashboards before a real Prometheus that scrapes a real sidecar: in each of four scenarios every query of every panel gives data,
//! but for those listed here with their reason. What Grafana itself makes of the answers is not seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use waha_watchdog::fake_waha::SessionStatus;

use super::board::{Query, Stand, boards, families_named, family, selectors};
use super::harness::http::{self, JSON};
use super::harness::prometheus::{Prometheus, Rules, Series};
use super::harness::sidecar::Sidecar;
use super::harness::{Config, quick, until};
use super::scenario::{Play, chat, knobs};

/// What stands for Grafana's variables: all sessions, all jobs, and spans that fit a scrape each second.
const STAND: Stand<'_> = Stand { job: ".+", session: ".+", rate_interval: "15s", range: "2m" };
/// As wide as the panels here are.
const WIDTH: u64 = 20;
/// So long a query may take to find what just happened.
const LATE: Duration = Duration::from_secs(20);

/// An alert like those of the shipped rules, which have tests of their own.
const RULE: &str = r#"
groups:
  - name: test
    rules:
      - alert: WahaWatchdogPrueba
        expr: max by (session) (waha_watchdog_bot_status{status=~"incommunicado.*"}) == 1
        labels: {severity: critical}
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scenario {
    Online,
    Degraded,
    Critical,
    Recovered,
}
use Scenario::{Critical, Degraded, Online, Recovered};

const ALL: [Scenario; 4] = [Online, Degraded, Critical, Recovered];

/// Queries that show nothing in these scenarios, and why that is right: (panel, letter, scenarios, why).
const EMPTY: &[(&str, &str, &[Scenario], &str)] = &[
    ("Alertas activas", "A", &[Online, Degraded, Recovered], "no alert fires"),
    ("Causas de los intentos fallidos", "A", &[Online, Degraded], "no attempt has failed"),
    ("Respuestas propias del proxy", "A", &[Online, Degraded], "WAHA answered everything"),
    ("Incidente abierto", "A", &[Online, Recovered], "there is none"),
    ("Duración de los sondeos y diagnósticos (p95)", "B", &[Online, Degraded], "nothing was diagnosed"),
    ("Último simulacro", "A", &[Online, Degraded, Critical, Recovered], "there was no drill yet"),
    ("Cambios de estado", "-", &[Online], "it has been online since the first scrape"),
    ("Sesión WAHA", "A", &[Critical], "WAHA is away and tells of no session"),
    (
        "Alertas por canal",
        "A",
        &[Online, Degraded, Critical],
        "WhatsApp is the only channel here, and does not carry the news of its own death",
    ),
    (
        "Última alerta aceptada por canal",
        "A",
        &[Online, Degraded, Critical],
        "WhatsApp is the only channel, and warnings do not go through what they warn of",
    ),
    ("La más antigua espera", "A", &[Online, Degraded, Recovered], "no order waits"),
    ("La más antigua espera", "B", &[Online, Degraded, Recovered], "no order waits"),
    ("Órdenes", "A", &[Online, Degraded, Recovered], "no order waits"),
    ("Órdenes", "B", &[Online, Degraded, Recovered], "no order waits"),
    ("Tiempo hasta resolver", "A", &[Online, Degraded, Critical], "nothing was resolved"),
    ("Tiempo hasta resolver", "B", &[Online, Degraded, Critical], "nothing was resolved"),
    ("Termina en", "A", &ALL, "nothing goes out at these moments; it is asked for afterwards"),
];

fn panel_queries() -> Vec<Query> {
    let queries: Vec<_> = boards().iter().flat_map(|board| board.queries()).collect();
    assert!(queries.len() > 80, "{} queries", queries.len());
    queries
}

/// Asks every query, until it gives data or is late; those that should stay empty are asked once.
async fn ask_all(prometheus: &Prometheus, scenario: Scenario, shown: &mut BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let start = Instant::now();
    let mut pending = panel_queries();
    let mut rounds = 0;
    while !pending.is_empty() {
        let late = start.elapsed() > LATE;
        let mut again = Vec::new();
        for query in pending {
            let filled = STAND.fill(&query.expr);
            let series = if query.instant {
                prometheus.query(&filled).await
            } else {
                prometheus.query_range(&filled, WIDTH).await
            };
            let says = series.iter().any(Series::says_something);
            let listed = EMPTY.iter().any(|(panel, letter, when, _)| {
                *panel == query.title && *letter == query.letter && when.contains(&scenario)
            });
            match (says, listed) {
                (true, true) => {
                    faults.push(format!("{scenario:?}: {} is listed as empty: {series:?}", query.place))
                }
                (true, false) => _ = shown.insert(query.place),
                (false, true) => {}
                (false, false) if late => {
                    faults.push(format!("{scenario:?}: {} is empty: {filled}", query.place))
                }
                (false, false) => again.push(query),
            }
        }
        pending = again;
        rounds += 1;
        if !pending.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    eprintln!("[dashboards] {scenario:?}: {rounds} rounds, {:.1} s", start.elapsed().as_secs_f64());
    faults
}

#[tokio::test]
async fn every_panel_shows_data() {
    let directory = tempfile::tempdir().unwrap();
    let rule = directory.path().join("test.yml");
    std::fs::write(&rule, RULE).unwrap();
    let mut play = Play::start("dashboards", knobs().raw("recovery.pace", "60")).await;
    let rules = Rules { files: vec![rule], alertmanager: None };
    let Some(prometheus) = Prometheus::start(play.sidecar.admin(), &rules).await else { return };
    let (mut faults, mut shown) = (Vec::new(), BTreeSet::new());
    let status =
        |status: &str| format!(r#"waha_watchdog_bot_status{{session="default", status="{status}"}} == 1"#);

    play.status_is("online").await;
    assert_eq!(play.place(10..13).await, [201; 3]);
    prometheus.when(&status("online")).await;
    prometheus
        .when(r#"waha_watchdog_sends_total{session="default", kind="text", result="accepted"} >= 3"#)
        .await;
    faults.extend(ask_all(&prometheus, Online, &mut shown).await);

    play.waha.set_session("default", SessionStatus::Failed);
    prometheus.when(&status("degraded")).await;
    faults.extend(ask_all(&prometheus, Degraded, &mut shown).await);

    play.waha.set_session("default", SessionStatus::Working);
    play.status_is("online").await;
    play.waha.go_down().await;
    assert_eq!(play.place(0..4).await, [502; 4]);
    prometheus.when(&status("incommunicado_critico")).await;
    prometheus.when("sum(waha_watchdog_orders_unnotified) == 4").await;
    // A probe has found out too.
    prometheus.when(r#"sum(waha_watchdog_waha_session_status{session="default"}) == 0"#).await;
    let firing = prometheus.when(r#"ALERTS{alertname="WahaWatchdogPrueba", alertstate="firing"}"#).await;
    assert_eq!(firing[0].labels["session"], "default");
    faults.extend(ask_all(&prometheus, Critical, &mut shown).await);

    play.waha.come_up().await.unwrap();
    prometheus.when(&status("online")).await;
    prometheus.when("sum(waha_watchdog_orders_unnotified) == 0").await;
    prometheus.when(r#"waha_watchdog_incident_open{session="default"} == 0"#).await;
    prometheus.when(r#"sum(waha_watchdog_recovery_runs_total{result="complete"}) >= 1"#).await;
    // What is over has left the panels too.
    until("the alerts to be told", async || {
        play.sidecar.metric(r#"alert_queue_length{channel="whatsapp"}"#).await == 0.0
    })
    .await;
    faults.extend(ask_all(&prometheus, Recovered, &mut shown).await);

    // While replays went out, one a second, it was said when they would be done.
    let named = |title: &str| panel_queries().into_iter().find(|query| query.title == title).unwrap();
    let finish = named("Termina en");
    let said = prometheus.query_range(&STAND.fill(&finish.expr), 60).await;
    if said.iter().any(Series::says_something) {
        shown.insert(finish.place);
    }
    let wish = br#"{"session":"default","lasts":"10s"}"#;
    let begun = http::call(play.sidecar.admin(), "POST", "/api/drill", &[JSON], wish).await.unwrap();
    assert_eq!(begun.status, 200, "{}", begun.text());
    let drill = named("Último simulacro");
    assert!(prometheus.when(&STAND.fill(&drill.expr)).await[0].says_something());
    shown.insert(drill.place);

    assert!(faults.is_empty(), "{faults:#?}");
    let dark: Vec<_> = panel_queries()
        .into_iter()
        .filter(|query| !shown.contains(&query.place))
        .map(|query| query.place)
        .collect();
    assert!(dark.is_empty(), "never seen with data: {dark:#?}");
    play.end();
}

/// Whether or not a Prometheus is installed.
#[tokio::test]
async fn every_metric_and_label_named_is_served() {
    let mut play = Play::with("served", knobs(), quick()).await;
    play.waha.go_down().await;
    let _refused = play.place(0..2).await;
    until("an order that waits", async || play.sidecar.metrics().await.contains("order_unnotified_info{"))
        .await;
    let text = play.sidecar.metrics().await;
    let served = series(&text);
    let boards = boards();
    let missing: Vec<_> = families_named(&boards)
        .into_iter()
        .filter(|name| !served.keys().any(|one| family(one) == name))
        .collect();
    assert!(missing.is_empty(), "the binary serves no {missing:?}");
    for query in boards.iter().flat_map(|board| board.queries()) {
        for selector in selectors(&STAND.fill(&query.expr)).unwrap() {
            let Some(series) = served.get(&selector.metric) else { continue };
            for (label, value, equal) in &selector.matchers {
                if label == "job" {
                    continue;
                }
                let values: BTreeSet<_> = series.iter().filter_map(|one| one.get(label)).collect();
                assert!(!values.is_empty(), "{}: {} has no label {label}", query.place, selector.metric);
                // An alternative that nothing has is a slip of the pen.
                for word in value
                    .split('|')
                    .filter(|word| *equal || word.chars().all(|c| c.is_alphanumeric() || c == '_'))
                {
                    let known = word.is_empty() || values.iter().any(|one| *one == word);
                    assert!(known, "{}: no {}{{{label}={word:?}}}", query.place, selector.metric);
                }
            }
        }
    }
    play.end();
}

type Labels = BTreeMap<String, String>;

/// The labels of each series, by name.
fn series(text: &str) -> BTreeMap<String, Vec<Labels>> {
    let pair = regex::Regex::new(r#"([a-z_]+)="((?:[^"\\]|\\.)*)""#).unwrap();
    let mut all: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = pair.captures_iter(rest).map(|one| (one[1].to_owned(), one[2].to_owned()));
        all.entry(name.to_owned()).or_default().push(labels.collect());
    }
    all
}

#[tokio::test]
async fn a_scrape_stays_what_it_is_whatever_happens() {
    // As many series before anything was sent as after, but for single orders and the admin's own calls.
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        names
            .filter(|name| !name.contains("order_unnotified_info") && !name.contains("_http_requests_total"))
            .collect()
    };
    let mut sidecar =
        Sidecar::prepare(Config::acting().upstream("http://127.0.0.1:1").raw("retry.attempts", "1"));
    sidecar.run().await;
    let before = names(&sidecar.metrics().await);
    for number in 0..30 {
        let text = super::scenario::text(&super::scenario::order(number));
        assert_eq!(sidecar.bot().text(&chat(number), &text).await.status, 502);
    }
    sidecar.failed_when(30).await;
    assert_eq!(names(&sidecar.metrics().await), before);
}
