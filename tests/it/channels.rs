//! Alerts end to end: an outage, and what the pager, the mailbox and the others hear of it (SPEC 10).

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::outside::{Asked, Reply, Service};
use super::harness::smtp::{MailServer, Rules};
use super::harness::{Config, settle, until};
use super::scenario::{ADMIN, Play, chat, knobs, order, word};

const KEY: &str = "R0123456789abcdef0123456789abcde";

/// With the pager ours.
pub fn paged_by(config: Config, pager: &Service) -> Config {
    config
        .set("paging.owner", "direct")
        .set("alerts.pagerduty.routing_key", KEY)
        .set("alerts.pagerduty.url", &pager.url("/v2/enqueue"))
}

pub fn mailed_by(config: Config, server: &MailServer) -> Config {
    config
        .set("alerts.email.host", "127.0.0.1")
        .raw("alerts.email.port", &server.address.port().to_string())
        .set("alerts.email.security", "none")
        .set("alerts.email.from", "dog@shop.example")
        .raw("alerts.email.to", r#"["ana@shop.example"]"#)
}

pub fn hooked_by(config: Config, hook: &Service) -> Config {
    config.set("alerts.webhook.url", &hook.url("/hook")).set("alerts.webhook.secret", "0123456789abcdef")
}

fn texted_by(config: Config, service: &Service) -> Config {
    config
        .set("alerts.sms.url", &service.url(""))
        .set("alerts.sms.account", "AC12")
        .set("alerts.sms.token", "secret")
        .set("alerts.sms.from", "+15550001111")
        .raw("alerts.sms.to", r#"["+15550002222"]"#)
}

pub async fn pager() -> Service {
    Service::start(Reply::Status(202, r#"{"status":"success"}"#)).await
}

/// What the pager was told, and under which key.
pub fn events(pager: &Service) -> Vec<(String, String)> {
    assert!(pager.asked().iter().all(|asked| asked.target == "/v2/enqueue"));
    let event = |asked: &Asked| (word(&asked.json()["event_action"]), word(&asked.json()["dedup_key"]));
    pager.asked().iter().filter(|asked| asked.method == "POST").map(event).collect()
}

/// What the webhook's receiver was told.
fn told(hook: &Service) -> Vec<String> {
    hook.asked().iter().map(|asked| word(&asked.json()["data"]["says"])).collect()
}

/// Nothing waits for a channel any more.
async fn all_told(play: &Play) {
    until("all alerts to be told", async || {
        let channels = play.sidecar.api("/api/alerts").await["channels"].clone();
        channels.as_array().unwrap().iter().all(|channel| channel["queue"] == 0)
    })
    .await;
}

async fn incidents_closed(play: &mut Play) {
    play.when("incidents that are open", 0, async |play| {
        play.incidents().await.iter().filter(|one| one["open"] == true).count()
    })
    .await;
}

#[tokio::test]
async fn a_total_loss_pages_at_once_and_its_end_resolves_it() {
    let (pager, mail) = (pager().await, MailServer::start(Rules::default()).await);
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("failures.log");
    let config = mailed_by(paged_by(knobs(), &pager), &mail)
        .set("alerts.log_file.path", file.to_str().unwrap())
        .set("panel.public_url", "https://dog.example.com");
    let mut play = Play::start("alerts: total loss", config).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    play.place(0..3).await;
    play.status_is("incommunicado_critico").await;
    let paged = settle("a page", async || events(&pager).first().cloned()).await;
    play.fact("the pager's event", "trigger".to_owned(), paged.0.clone());
    all_told_but_whatsapp(&play).await;
    let alerts = play.items("/api/alerts").await;
    let loss = alerts.iter().find(|alert| alert["says"] == "total_loss").unwrap().clone();
    let took = seconds_to(&loss, "pagerduty");
    eprintln!("[alerts] from the verdict to the pager's acceptance: {took:.3} s");
    play.holds("from the verdict to the pager's acceptance", "< 1 s", took, took < 1.0);
    play.when("mails", 1, async |_| mail.mails().len()).await;
    play.when("lines of the file", 3, async |_| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().filter(|line| line.contains(" | INCOMMUNICADO | ORD-")).count()
    })
    .await;
    let summary = word(&pager.asked()[0].json()["payload"]["summary"]);
    play.holds("the page's summary", "names the session", &summary, summary.contains("(session default)"));

    play.waha.come_up().await.unwrap();
    play.status_is("online").await;
    incidents_closed(&mut play).await;
    all_told(&play).await;
    let heard = events(&pager);
    play.fact("pages", vec![("trigger".into(), paged.1.clone()), ("resolve".into(), paged.1)], heard);
    let mails = mail.mails();
    play.fact("mails", 2, mails.len());
    play.fact("of one thread", mails[0].header("References"), mails[1].header("References"));
    play.holds(
        "with an id of their own",
        "two",
        mails.len(),
        mails[0].header("Message-ID") != mails[1].header("Message-ID"),
    );
    let link = mails[0].data.contains("https://dog.example.com/panel/orders");
    play.fact("the mail has a link", true, link);
    // The letter over WhatsApp as well, once that works again.
    play.when("letters to the admin with a link", 1, async |play| {
        play.admin_told("https://dog.example.com/panel/")
    })
    .await;
    play.end();
}

/// From an alert's decision to its acceptance on a channel.
fn seconds_to(alert: &Value, channel: &str) -> f64 {
    let moment = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    let deliveries = alert["deliveries"].as_array().unwrap();
    let one = deliveries.iter().find(|one| one["channel"] == channel).unwrap();
    (moment(&one["settled"]) - moment(&alert["at"])).num_milliseconds() as f64 / 1000.0
}

#[tokio::test]
async fn an_outage_that_the_mail_server_slept_through_is_one_mail() {
    let mut mail = MailServer::start(Rules::default()).await;
    let mut play = Play::start("alerts: mail down", mailed_by(knobs(), &mail)).await;
    play.status_is("online").await;
    mail.go_down().await;
    play.waha.go_down().await;
    play.place(0..3).await;
    play.status_is("incommunicado_critico").await;
    play.when("failing since", true, async |play| {
        let channels = play.sidecar.api("/api/alerts").await["channels"].clone();
        let email =
            channels.as_array().unwrap().iter().find(|one| one["channel"] == "email").unwrap().clone();
        !email["failing_since"].is_null() && email["configured"] == true
    })
    .await;
    play.waha.come_up().await.unwrap();
    incidents_closed(&mut play).await;
    mail.come_up().await;
    all_told(&play).await;
    let mails = mail.mails();
    play.fact("mails", 1, mails.len());
    let text = &mails[0].data;
    let whole = text.contains("cut off for") && text.matches(" UTC (").count() == 2;
    play.holds("the mail tells start, end and duration", "all three", text, whole);
    play.end();
}

#[tokio::test]
async fn killed_between_the_decision_and_the_telling_it_is_told_once() {
    let mut hook = Service::start(Reply::Status(200, "")).await;
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("failures.log");
    let config = hooked_by(knobs(), &hook).set("alerts.log_file.path", file.to_str().unwrap());
    let mut play = Play::start("alerts: killed", config).await;
    play.status_is("online").await;
    hook.go_down().await;
    play.waha.go_down().await;
    // One: a second one that fails a moment later would be an alert of its own, told after a while.
    play.place(0..1).await;
    play.when("decided", 1, async |play| play.alerts("total_loss").await).await;
    play.sidecar.kill9();
    hook.come_up().await;
    play.sidecar.run().await;
    all_told_but_whatsapp(&play).await;
    play.fact("told", vec!["total_loss".to_owned()], told(&hook));
    play.when("lines", 1, async |_| std::fs::read_to_string(&file).unwrap_or_default().lines().count()).await;
    // Cut off while the receiver had it already: a second copy, by the same name.
    hook.answer(Reply::Hang);
    play.waha.come_up().await.unwrap();
    until("the end is being told", async || told(&hook).len() == 2).await;
    // WhatsApp cut off as well would be left alone for minutes: it may have arrived.
    until("the end is told on WhatsApp", async || {
        let alerts = play.items("/api/alerts").await;
        let end = alerts.iter().find(|alert| alert["says"] == "recovery").unwrap();
        let deliveries = end["deliveries"].as_array().unwrap();
        deliveries.iter().any(|one| one["channel"] == "whatsapp" && one["state"] == "told")
    })
    .await;
    // It is answered once it is on disk, and all that was decided before it.
    let paused = play.sidecar.cli(&["recovery", "pause"]).await;
    assert!(paused.status.success(), "{paused:?}");
    play.sidecar.kill9();
    hook.answer(Reply::Status(200, ""));
    play.sidecar.run().await;
    all_told(&play).await;
    let asked = hook.asked();
    let ids: Vec<_> = asked.iter().map(|asked| asked.header("webhook-id").to_owned()).collect();
    play.fact("told", vec!["total_loss".to_owned(), "recovery".into(), "recovery".into()], told(&hook));
    play.fact("the copy has the same id", true, ids[1] == ids[2] && ids[0] != ids[1]);
    let lines = std::fs::read_to_string(&file).unwrap();
    let ends = lines.lines().filter(|line| line.contains("RECOVERED")).count();
    play.fact("lines of the end", 1, ends);
    play.end();
}

#[tokio::test]
async fn killed_between_two_recipients_who_has_it_is_not_told_again() {
    let service = Service::start(Reply::Status(201, "{}")).await;
    let config = texted_by(knobs(), &service).raw("alerts.sms.to", r#"["+15550002222", "+15550003333"]"#);
    let mut play = Play::start("alerts: killed between two recipients", config).await;
    play.status_is("online").await;
    service.answer(Reply::Hang);
    service.answer_next(Reply::Status(201, "{}"));
    play.waha.go_down().await;
    play.place(0..1).await;
    play.status_is("incommunicado_critico").await;
    until("both are being told", async || service.asked().len() == 2).await;
    play.when("recipients that have it", (1, "under_way".to_owned()), async |play| {
        let alerts = play.items("/api/alerts").await;
        let loss = alerts.iter().find(|alert| alert["says"] == "total_loss").unwrap();
        let sms = loss["deliveries"].as_array().unwrap().iter().find(|one| one["channel"] == "sms").unwrap();
        (sms["reached"].as_i64().unwrap(), word(&sms["state"]))
    })
    .await;
    // It is answered once it is on disk, and all that was decided before it.
    let paused = play.sidecar.cli(&["recovery", "pause"]).await;
    assert!(paused.status.success(), "{paused:?}");
    play.sidecar.kill9();
    service.answer(Reply::Status(201, "{}"));
    play.sidecar.run().await;
    until("the other is told", async || service.asked().len() == 3).await;
    all_told_but_whatsapp(&play).await;
    let to: Vec<String> = service.asked().iter().map(recipient).collect();
    play.holds("the first two", "one each", &to, to[0] != to[1]);
    play.fact("told after the crash", vec![to[1].clone()], to[2..].to_vec());
    play.end();
}

/// Whom a short message is for.
fn recipient(asked: &Asked) -> String {
    let mut fields = form_urlencoded::parse(&asked.body);
    fields.find(|(name, _)| name == "To").map(|(_, to)| to.into_owned()).unwrap()
}

#[tokio::test]
async fn a_restart_repeats_nothing() {
    let (pager, hook) = (pager().await, Service::start(Reply::Status(200, "")).await);
    let mut play = Play::start("alerts: restart", hooked_by(paged_by(knobs(), &pager), &hook)).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    play.place(0..2).await;
    play.status_is("incommunicado_critico").await;
    until("both to be told", async || events(&pager).len() == 1 && told(&hook).len() == 1).await;
    all_told_but_whatsapp(&play).await;
    for _ in 0..2 {
        play.sidecar.kill9();
        play.sidecar.run().await;
        play.status_is("incommunicado_critico").await;
        play.probed(3).await;
    }
    play.fact("pages", 1, events(&pager).len());
    play.fact("calls of the webhook", 1, told(&hook).len());
    play.end();
}

/// What cannot be told through a dead WAHA waits.
async fn all_told_but_whatsapp(play: &Play) {
    until("all others to be told", async || {
        let channels = play.sidecar.api("/api/alerts").await["channels"].clone();
        let others = channels.as_array().unwrap().iter().filter(|one| one["channel"] != "whatsapp").cloned();
        others.collect::<Vec<_>>().iter().all(|channel| channel["queue"] == 0)
    })
    .await;
}

#[tokio::test]
async fn five_hundred_failed_orders_are_three_messages_at_most() {
    let (pager, hook, sms) = (
        pager().await,
        Service::start(Reply::Status(200, "")).await,
        Service::start(Reply::Status(201, "{}")).await,
    );
    let mail = MailServer::start(Rules::default()).await;
    let config = texted_by(mailed_by(hooked_by(paged_by(knobs(), &pager), &hook), &mail), &sms)
        // As they come: gathered for half a minute, and a reminder after half an hour.
        .set("alerts.gather_for", "30s")
        .set("alerts.every", "5m");
    let mut play = Play::start("alerts: 500 orders", config).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    let began = Instant::now();
    for from in (0..500).step_by(50) {
        play.place(from..from + 50).await;
    }
    play.when("failed notifications", 500, async |play| play.sidecar.failed().await.len()).await;
    eprintln!("[alerts] 500 orders failed within {:.1} s", began.elapsed().as_secs_f64());
    play.when("the mail of it", true, async |_| !mail.mails().is_empty()).await;
    // What was gathered comes within the half minute.
    tokio::time::timeout(Duration::from_secs(40), async {
        while hook.asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .ok();
    let counts = [
        ("pager", events(&pager).len()),
        ("webhook", told(&hook).len()),
        ("sms", sms.asked().len()),
        ("mail", mail.mails().len()),
    ];
    for (channel, count) in counts {
        play.holds(channel, "1 to 3", count, (1..=3).contains(&count));
    }
    play.end();
}

#[tokio::test]
async fn a_bad_number_and_a_quiet_night_page_nobody() {
    let (pager, sms) = (pager().await, Service::start(Reply::Status(201, "{}")).await);
    let mail = MailServer::start(Rules::default()).await;
    let config = texted_by(mailed_by(paged_by(knobs(), &pager), &mail), &sms).set("offline.after", "2s");
    let mut play = Play::start("alerts: quiet", config).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::NoLid));
    play.waha.set_on_whatsapp(&chat(0), false);
    let good = play.place(10..12).await;
    play.fact("good answers", vec![201; 2], good);
    play.place(0..1).await;
    play.when("the mail about the order", true, async |_| {
        mail.mails().iter().any(|mail| mail.data.contains(&order(0)))
    })
    .await;
    play.status_is("offline").await;
    play.probed(5).await;
    play.fact("pages", 0, events(&pager).len());
    play.fact("short messages", 0, sms.asked().len());
    play.fact("mails", 1, mail.mails().len());
    play.end();
}

#[tokio::test]
async fn a_channel_can_be_tried_and_comes_with_a_reload() {
    let (hook, mut mail) =
        (Service::start(Reply::Status(200, "")).await, MailServer::start(Rules::default()).await);
    let mut play = Play::start("alerts: test", mailed_by(knobs(), &mail)).await;
    play.status_is("online").await;
    let none = play.sidecar.cli(&["alert", "test", "webhook"]).await;
    play.fact("one that is not configured", Some(1), none.status.code());
    let switch = Service::start(Reply::Status(200, "OK")).await;
    play.sidecar.configure(|config| {
        let config =
            config.set("alerts.heartbeat.url", &switch.url("/ping")).set("alerts.heartbeat.interval", "1s");
        hooked_by(config, &hook)
    });
    play.sidecar.signal(Signal::SIGHUP);
    play.sidecar.log_when("configuration reloaded").await;
    let all = play.sidecar.cli(&["alert", "test"]).await;
    let said = String::from_utf8_lossy(&all.stdout).into_owned();
    eprintln!("{said}");
    play.fact("exit code", Some(0), all.status.code());
    for channel in ["whatsapp", "email", "webhook"] {
        let accepted = said.lines().any(|line| line.starts_with(channel) && line.contains("accepted after"));
        play.holds(channel, "accepted", &said, accepted);
    }
    play.fact("told", vec!["test".to_owned()], told(&hook));
    play.when("the dead man's switch is called again and again", true, async |_| switch.asked().len() >= 2)
        .await;
    let admin = play.admin_told("Test message");
    play.fact("letters to the admin", 1, admin);
    mail.go_down().await;
    let output = play.sidecar.cli(&["alert", "test", "email", "webhook", "--json"]).await;
    play.fact("exit code where one did not accept", Some(1), output.status.code());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<_> =
        json.as_array().unwrap().iter().map(|way| (word(&way["channel"]), word(&way["state"]))).collect();
    let mut states = states;
    states.sort();
    play.fact("states", vec![("email".into(), "waiting".into()), ("webhook".into(), "told".into())], states);
    let list = play.sidecar.cli(&["alert", "list"]).await;
    eprintln!("{}", String::from_utf8_lossy(&list.stdout));
    play.fact("exit code of the list", Some(0), list.status.code());
    // `check` tries each way without telling anybody anything.
    let (before, calls) = (mail.mails().len(), told_or_asked(&hook));
    let check = play.sidecar.cli(&["check", "--json"]).await;
    let lines: Value = serde_json::from_slice(&check.stdout).unwrap();
    let level = |name: &str| {
        let line = lines.as_array().unwrap().iter().find(|line| line["check"] == name);
        line.map_or("-".to_owned(), |line| word(&line["level"]))
    };
    play.fact(
        "check",
        ["fail", "ok", "ok"].map(String::from),
        [level("alerts.email"), level("alerts.webhook"), level("alerts.whatsapp")],
    );
    play.fact("and nobody was told", (before, calls), (mail.mails().len(), told_or_asked(&hook)));
    let secrets = play.sidecar.log().text();
    play.fact(
        "the log names no secret and no address",
        false,
        secrets.contains("0123456789abcdef") || secrets.contains("ana@shop"),
    );
    play.holds("the admin's number", "not in the log", ADMIN, !secrets.contains(ADMIN));
    play.end();
}

/// Calls that tell something.
fn told_or_asked(hook: &Service) -> usize {
    hook.asked().iter().filter(|asked| asked.method == "POST").count()
}
