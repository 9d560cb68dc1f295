//! Signals, restarts, reloads, and stores that are not what they should be (SPEC 4.1, 13).

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::http::Connection;
use super::harness::sidecar::{json_lines, stdout};
use super::harness::{Broken, CHAT, Config, Ended, Sidecar, pair, until};
use super::joining::received;

#[tokio::test]
async fn sigterm_lets_a_send_in_flight_end_and_its_bot_hear_it() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(1000))));
    let (bot, idle) = (sidecar.bot(), Connection::open(sidecar.proxy()).await.unwrap());
    let sending = tokio::spawn(async move { bot.text(CHAT, &received("ORD-1")).await });
    until("it is at WAHA", async || waha.calls().len() == 1).await;
    sidecar.sigterm();
    sidecar.log_when("stopping").await;
    until("nothing new is taken", async || {
        matches!(bot.try_text(CHAT, "too late", &[]).await, Err(Broken::Refused | Broken::NoAnswer))
    })
    .await;
    let answer = sending.await.unwrap();
    assert_eq!((answer.status, answer.outcome(), answer.recorded()), (201, "accepted", true));
    let asked = Instant::now();
    assert_eq!(sidecar.ended().await, Ended::Code(0));
    assert!(asked.elapsed() < Duration::from_secs(15), "an idle connection keeps nobody");
    drop(idle);
    let sends = json_lines(&stdout(&sidecar.cli_alone(&["export"]).await));
    assert_eq!(sends.len(), 1, "{sends:#?}");
    assert_eq!((&sends[0]["outcome"], &sends[0]["attempts"]), (&"accepted".into(), &1.into()));
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once_and_what_was_cut_off_is_ambiguous() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    waha.faults().add(Fault::always(FaultKind::Hang));
    let bot = sidecar.bot();
    let with_order = tokio::spawn(async move { bot.try_text(CHAT, &received("ORD-1"), &[]).await });
    let without = tokio::spawn(async move { bot.try_text(CHAT, "hola", &[]).await });
    until("both are at WAHA", async || waha.calls().len() == 2).await;
    sidecar.sigterm();
    sidecar.log_when("stopping: finishing").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(sidecar.is_running(), "it waits for them");
    let asked = Instant::now();
    sidecar.sigterm();
    assert_eq!(sidecar.ended().await, Ended::Code(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    for call in [with_order, without] {
        let answer = call.await.unwrap();
        assert!(answer.is_err() || answer.as_ref().unwrap().outcome() == "ambiguous", "{answer:?}");
    }
    let sends = json_lines(&stdout(&sidecar.cli_alone(&["export"]).await));
    assert_eq!(sends.len(), 2, "{sends:#?}");
    for send in &sends {
        assert_eq!(
            (&send["outcome"], &send["cause"]),
            (&"ambiguous".into(), &"interrupted".into()),
            "{send}"
        );
    }
    waha.faults().clear();
    sidecar.run().await;
    assert_eq!(sidecar.sends().await.len(), 2);
}

#[tokio::test]
async fn a_crash_leaves_an_open_intent_that_is_ambiguous_and_then_told_to_people() {
    let (waha, mut sidecar) = pair(Config::new().set("retry.give_up_after", "500ms")).await;
    waha.faults().add(Fault::always(FaultKind::Hang));
    let bot = sidecar.bot();
    tokio::spawn(async move { bot.try_text(CHAT, &received("ORD-1"), &[]).await });
    until("it is at WAHA", async || waha.calls().len() == 1).await;
    let running = sidecar.sends().await;
    assert_eq!((running.len(), &running[0]["outcome"]), (1, &"ambiguous".into()), "an open intent");
    sidecar.kill9();
    let export = json_lines(&stdout(&sidecar.cli_alone(&["export"]).await));
    assert_eq!(
        (export.len(), &export[0]["outcome"], &export[0]["order_number"]),
        (1, &"ambiguous".into(), &"ORD-1".into())
    );
    sidecar.run().await;
    let failed = sidecar.failed_when(1).await;
    assert_eq!(
        (&failed[0]["cause"], &failed[0]["outcome"], &failed[0]["attempts"], &failed[0]["replayable"]),
        (&"interrupted".into(), &"ambiguous".into(), &1.into(), &true.into())
    );
    sidecar.restart().await;
    assert_eq!(sidecar.failed().await.len(), 1, "once");
    assert_eq!(sidecar.sends().await.len(), 1);
}

#[tokio::test]
async fn the_configuration_says_which_sends_are_on_disk_before_they_leave() {
    for (intent, known) in [("order", vec!["ORD-1"]), ("always", vec!["ORD-1", "-"]), ("never", vec![])] {
        let (waha, mut sidecar) = pair(Config::new().set("store.intent", intent)).await;
        waha.faults().add(Fault::always(FaultKind::Hang));
        let bot = sidecar.bot();
        tokio::spawn(async move { bot.try_text(CHAT, &received("ORD-1"), &[]).await });
        until("the first is at WAHA", async || waha.calls().len() == 1).await;
        tokio::spawn(async move { bot.try_text(CHAT, "hola", &[]).await });
        until("both are at WAHA", async || waha.calls().len() == 2).await;
        sidecar.kill9();
        let sends = json_lines(&stdout(&sidecar.cli_alone(&["export"]).await));
        let orders: Vec<_> = sends.iter().map(|send| send["order_number"].as_str().unwrap_or("-")).collect();
        assert_eq!(orders, known, "{intent}");
    }
}

#[tokio::test]
async fn sighup_takes_up_new_rules_and_survives_a_bad_file() {
    let (mut waha, mut sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    waha.go_down().await;
    let text = "Su compra nro 555 va bien";
    sidecar.bot().text(CHAT, text).await;
    assert_eq!(sidecar.failed_when(1).await[0]["order_number"], serde_json::Value::Null);
    assert_eq!(sidecar.metric("config_last_reload_successful").await, 1.0);

    let rule = "[[extract]]\ntype = \"ORDER_CONFIRMED\"\npattern = 'compra nro (?P<order_number>\\d+)'\n";
    sidecar.configure(|config| config.tables(rule).set("proxy.listen", "127.0.0.1:1"));
    sidecar.sighup();
    sidecar.log_when("configuration reloaded").await;
    sidecar.bot().text("5512", text).await;
    let failed = sidecar.failed_when(2).await;
    assert_eq!(
        (&failed[1]["order_number"], &failed[1]["notification_type"]),
        (&"555".into(), &"ORDER_CONFIRMED".into())
    );

    sidecar.configure(|config| {
        config.raw("retry.attempts", "0").tables("[[extract]]\ntype = \"OTHER\"\npattern = '('\n")
    });
    sidecar.sighup();
    sidecar.metric_when("config_last_reload_successful", 0.0).await;
    sidecar.log_when("the old one stays in force").await;
    assert!(sidecar.log().has("retry.attempts"), "the log says what is wrong");
    sidecar.bot().text("5513", text).await;
    assert_eq!(sidecar.failed_when(3).await[2]["order_number"], "555", "the old rules");
    std::fs::write(sidecar.config_path(), "waha.ulr = 1\n=").unwrap();
    sidecar.sighup();
    sidecar.bot().text("5514", text).await;
    sidecar.failed_when(4).await;
    std::fs::remove_file(sidecar.config_path()).unwrap();
    sidecar.sighup();
    sidecar.bot().text("5515", text).await;
    assert_eq!(sidecar.failed_when(5).await[4]["order_number"], "555", "still the old rules");
    assert_eq!(sidecar.metric("config_last_reload_successful").await, 0.0);
}

#[tokio::test]
async fn a_broken_store_is_set_aside_and_calls_are_served() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    for nth in 0..50 {
        sidecar.bot().text(CHAT, &received(&format!("ORD-{nth}"))).await;
    }
    sidecar.stop().await;
    let (path, sound) = (sidecar.store_path(), std::fs::read(sidecar.store_path()).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "for its owner alone");
    let breakages: [(&str, Vec<u8>); 4] = [
        ("rubbish", b"this is no database, but it is long enough to look like a file of one".repeat(200)),
        ("empty", Vec::new()),
        ("a head without a body", sound[..sound.len() / 8].to_vec()),
        ("zeros where the head was", [vec![0; 4096], sound[4096..].to_vec()].concat()),
    ];
    for (nth, (name, bytes)) in breakages.into_iter().enumerate() {
        std::fs::write(&path, &bytes).unwrap();
        sidecar.run().await;
        let answer = sidecar.bot().text(CHAT, name).await;
        assert_eq!((answer.status, answer.recorded()), (201, true), "{name}");
        assert_eq!(sidecar.sends().await.len(), 1, "{name}: a new store");
        assert!(sidecar.log().has("the store was broken"), "{name}");
        sidecar.stop().await;
        let directory = std::fs::read_dir(path.parent().unwrap()).unwrap();
        let aside: Vec<_> = directory
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains(".broken-"))
            .collect();
        assert_eq!(aside.len(), nth + 1, "{name}: {aside:?}");
        assert!(aside.iter().any(|path| std::fs::read(path).unwrap() == bytes), "{name}: its bytes are kept");
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn a_second_process_is_refused_and_the_first_goes_on() {
    let (_waha, sidecar) = pair(Config::new()).await;
    let mut second = Sidecar::prepare(sidecar.config().clone());
    assert_eq!(second.run_to_end().await, Ended::Code(3), "{}", second.log().text());
    let log = second.log().text();
    assert!(log.contains("another waha-watchdog has it open") && log.contains("store.path"), "{log}");
    let answer = sidecar.bot().text(CHAT, "hola").await;
    assert!(answer.recorded());

    // Not a store at all: refused too, untouched.
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display().to_string();
    let mut third = Sidecar::prepare(sidecar.config().clone().set("store.path", &place));
    assert_eq!(third.run_to_end().await, Ended::Code(3), "{}", third.log().text());
    assert!(third.log().has("is not a store of waha-watchdog"));
    let below_a_file = sidecar.config_path().join("watchdog.redb").display().to_string();
    let mut fourth = Sidecar::prepare(sidecar.config().clone().set("store.path", &below_a_file));
    assert_eq!(fourth.run_to_end().await, Ended::Code(3), "{}", fourth.log().text());
}

#[tokio::test]
async fn a_log_that_nobody_reads_costs_nothing() {
    let (waha, mut sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    sidecar.log().go_deaf();
    // Each of these is worth a line, and from the second on there is nobody to read it.
    for nth in 1..=4 {
        let answer = sidecar.bot().text(&format!("551{nth}"), &received(&format!("ORD-{nth}"))).await;
        assert_eq!((answer.status, answer.recorded()), (422, true));
        assert_eq!(sidecar.failed_when(nth).await.len(), nth);
    }
    waha.faults().clear();
    assert_eq!(sidecar.bot().text(CHAT, "hola").await.status, 201);
    sidecar.sigterm();
    assert_eq!(sidecar.ended().await, Ended::Code(0));
    assert_eq!(json_lines(&stdout(&sidecar.cli_alone(&["export"]).await)).len(), 5);
}

#[tokio::test]
async fn listeners_that_are_taken_end_with_a_clear_word() {
    let (_waha, sidecar) = pair(Config::new()).await;
    for key in ["proxy.listen", "admin.listen"] {
        let taken = sidecar.proxy().to_string();
        let mut second = Sidecar::prepare(Config::new().upstream("http://127.0.0.1:1").set(key, &taken));
        assert_eq!(second.run_to_end().await, Ended::Code(1), "{}", second.log().text());
        assert!(
            second.log().has(key) && second.log().has("is another process there?"),
            "{}",
            second.log().text()
        );
    }
}
