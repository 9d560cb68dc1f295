//! Drills end to end: the way to the admins is tried, timed and left as it was, whatever dies meanwhile (SPEC 13).

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::channels::{events, hooked_by, paged_by, pager};
use super::harness::outside::{Reply, Service};
use super::harness::{settle, until};
use super::scenario::{Play, knobs, word};

/// Counters and gauges of what is real.
fn real(metrics: &str) -> Vec<String> {
    const REAL: [&str; 9] = [
        "waha_watchdog_bot_status{",
        "waha_watchdog_bot_status_transitions_total",
        "waha_watchdog_sends_total",
        "waha_watchdog_upstream_requests_total",
        "waha_watchdog_failed_notifications",
        "waha_watchdog_orders_unnotified",
        "waha_watchdog_incidents_total",
        "waha_watchdog_incident_open",
        "waha_watchdog_communication_failures",
    ];
    metrics.lines().filter(|line| REAL.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_drill_reaches_everybody_and_touches_nothing() {
    let (pager, hook) = (pager().await, Service::start(Reply::Status(200, "")).await);
    let mut play = Play::start("drill", hooked_by(paged_by(knobs(), &pager), &hook)).await;
    play.status_is("online").await;
    play.place(0..2).await;
    play.probed(2).await;
    let (before, calls) = (real(&play.sidecar.metrics().await), play.waha.phones());
    let customers = [0, 1].map(|number| calls.chat(&super::scenario::chat(number)).len());
    let output = play.sidecar.cli(&["drill", "--for", "2s"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    play.fact("exit code", Some(0), output.status.code());
    for channel in ["pagerduty", "webhook", "whatsapp"] {
        let accepted = said.lines().any(|line| line.starts_with(channel) && line.contains("accepted after"));
        play.holds(channel, "accepted, with the time it took", &said, accepted);
    }
    play.holds("it says that it is over", "last line", &said, said.ends_with("the drill is over\n"));
    until("its end to be told", async || events(&pager).len() == 2 && hook.asked().len() == 2).await;
    let heard = events(&pager);
    play.fact(
        "the pager",
        ["trigger", "resolve"].map(String::from),
        [heard[0].0.clone(), heard[1].0.clone()],
    );
    play.fact("under one key", heard[0].1.clone(), heard[1].1.clone());
    let summary = word(&pager.asked()[0].json()["payload"]["summary"]);
    play.holds("labelled", "DRILL first", &summary, summary.starts_with("DRILL"));
    let drill = play.sidecar.api("/api/drill").await["drill"].clone();
    play.fact("over", (false, false), (drill["active"] == true, drill["ended"].is_null()));
    play.fact("what is real", before, real(&play.sidecar.metrics().await));
    let after = [0, 1].map(|number| play.waha.phones().chat(&super::scenario::chat(number)).len());
    play.fact("messages to customers", customers, after);
    play.fact("incidents", 0, play.incidents().await.len());
    let last = play.sidecar.metric("drill_last_timestamp_seconds").await;
    play.holds("when the last one began", "is known", last, last > 0.0);
    play.end();
}

#[tokio::test]
async fn a_drill_ends_with_its_time_whoever_dies() {
    let pager = pager().await;
    let mut play = Play::start("drill cut off", paged_by(knobs(), &pager)).await;
    play.status_is("online").await;
    let active = async |play: &Play| play.sidecar.metric(r#"drill_active{session="default"}"#).await > 0.5;

    // Ctrl-C ends it at once.
    let mut command = play.sidecar.cli_command(&["drill", "--for", "5m"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    until("the drill to run", async || active(&play).await).await;
    kill(pid, Signal::SIGINT).unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = child;
        child.wait().unwrap()
    })
    .await
    .unwrap();
    play.holds("Ctrl-C ends the command", "with a code", ended, ended.code().is_some());
    play.when("and the drill", false, async |play| active(play).await).await;
    play.when("resolved", 2, async |_| events(&pager).len()).await;

    // The command dies: it ends by its time.
    let mut command = play.sidecar.cli_command(&["drill", "--for", "1s"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the second to run", async || active(&play).await).await;
    child.kill().unwrap();
    child.wait().unwrap();
    play.when("it ends by its time", false, async |play| active(play).await).await;
    play.when("resolved", 4, async |_| events(&pager).len()).await;

    // The watchdog dies.
    let begun = post(&play, "/api/drill", r#"{"lasts":"10m"}"#).await;
    play.fact("a drill begins", 200, begun.0);
    let twice = post(&play, "/api/drill", "{}").await;
    play.fact("one at a time", (409, "drill_runs".to_owned()), (twice.0, word(&twice.1["code"])));
    until("it is told", async || events(&pager).len() == 5).await;
    play.sidecar.kill9();
    play.sidecar.run().await;
    play.when("over after the restart", false, async |play| active(play).await).await;
    let last = settle("its end to be told", async || events(&pager).get(5).cloned()).await;
    play.fact("resolved under its key", ("resolve".to_owned(), events(&pager)[4].1.clone()), last);
    let none = post(&play, "/api/drill/end", "{}").await;
    play.fact("nothing to end", (409, "no_drill".to_owned()), (none.0, word(&none.1["code"])));
    for (body, code) in [
        (r#"{"lasts":"16m"}"#, "bad_parameter"),
        (r#"{"session":"unheard-of"}"#, "unknown_session"),
        (r#"{"last":"1m"}"#, "bad_body"),
    ] {
        let refused = post(&play, "/api/drill", body).await;
        play.fact(body, code.to_owned(), word(&refused.1["code"]));
    }
    play.end();
}

async fn post(play: &Play, path: &str, body: &str) -> (u16, Value) {
    let json = super::harness::http::JSON;
    let answer =
        super::harness::http::call(play.sidecar.admin(), "POST", path, &[json], body.as_bytes()).await;
    let answer = answer.unwrap();
    (answer.status, answer.json())
}
