//! `paging.owner = "push"` with a real Alertmanager and a real Prometheus: one page, whoever says it first (SPEC 10).

use std::time::{Duration, Instant};

use super::channels::{events, pager};
use super::harness::{cannot, manager, settle, until};
use super::scenario::{Play, knobs};

/// The shipped rules' forms and labels, with short spans.
const RULES: &str = r#"
groups:
  - name: test
    interval: 1s
    rules:
      - alert: WahaWatchdogBotIncomunicadoCritico
        expr: max by (session) (waha_watchdog_bot_status{status="incommunicado_critico"}) == 1
        keep_firing_for: 3s
        labels: {severity: critical}
        annotations: {summary: 'cut off'}
      - alert: WahaWatchdogSimulacro
        expr: max by (session) (waha_watchdog_drill_active) == 1
        labels: {severity: critical}
        annotations: {summary: 'drill'}
"#;

#[tokio::test]
async fn pushed_and_scraped_it_is_one_page() {
    if !manager::are_here() {
        return cannot("no prometheus and prometheus-alertmanager here");
    }
    let pager = pager().await;
    let alertmanager = manager::alertmanager(&pager.url("/v2/enqueue")).await;
    let config = knobs()
        .set("paging.owner", "push")
        .raw("alerts.alertmanager.urls", &format!("[\"{}\"]", alertmanager.url()))
        .set("alerts.alertmanager.keep_firing_for", "5s");
    let mut play = Play::start("alerts: push", config).await;
    let prometheus = manager::prometheus(play.sidecar.admin(), RULES, alertmanager.address).await;
    play.status_is("online").await;
    let firing = async || {
        let answer = super::harness::http::call(
            prometheus.address,
            "GET",
            "/api/v1/alerts",
            &[("Connection", "close")],
            b"",
        );
        answer.await.map(|answer| answer.text().contains("\"firing\"")).unwrap_or(false)
    };
    until("Prometheus to have scraped", async || {
        let target = "/api/v1/query?query=waha_watchdog_bot_status";
        let answer =
            super::harness::http::call(prometheus.address, "GET", target, &[("Connection", "close")], b"");
        answer.await.is_ok_and(|answer| answer.text().contains("online"))
    })
    .await;
    play.waha.go_down().await;
    play.place(0..3).await;
    let began = Instant::now();
    settle("the page", async || events(&pager).first().cloned()).await;
    eprintln!(
        "[alerts] from the bot's answers to the page, over Alertmanager: {:.2} s",
        began.elapsed().as_secs_f64()
    );
    // The silence is pushed as soon as it is seen, the verdict when it has been found: a page may be there before it.
    let verdict = settle("the verdict", async || {
        play.items("/api/alerts").await.into_iter().find(|alert| alert["says"] == "total_loss")
    });
    verdict.await;
    until("Prometheus' rule to fire as well", async || firing().await).await;
    // Both say it for a while.
    tokio::time::sleep(Duration::from_secs(4)).await;
    play.fact("pages", 1, events(&pager).len());
    play.waha.come_up().await.unwrap();
    play.status_is("online").await;
    settle("its end", async || events(&pager).get(1).cloned()).await;
    until("Prometheus' rule to end", async || !firing().await).await;
    // Neither of both brings it back.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let heard = events(&pager);
    let actions: Vec<_> = heard.iter().map(|(action, _)| action.as_str()).collect();
    play.fact("the pager heard", vec!["trigger", "resolve"], actions);
    play.fact("of one thing", heard[0].1.clone(), heard[1].1.clone());

    // A drill shows there too.
    let output = play.sidecar.cli(&["drill", "--for", "3s"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    play.fact("exit code of the drill", Some(0), output.status.code());
    play.holds("the drill", "shown by Alertmanager", &said, said.contains("shows it after"));
    play.end();
}
