//! Which calls are one send, and when a send is a failed notification (SPEC 4.2, 4.4).

use std::time::Duration;

use serde_json::Value;
use waha_watchdog::fake_waha::{CallOutcome, FakeWaha, Fault, FaultKind};

use super::harness::http;
use super::harness::{Answer, CHAT, Config, Sidecar, pair, until};

/// Longer than these bots wait, shorter than a test may take.
const SLOW: Duration = Duration::from_millis(1000);
const IMPATIENT: Duration = Duration::from_millis(300);

pub fn received(order: &str) -> String {
    format!("🛒 *¡Orden recibida!*\n\n*Orden:* {order}\n*Total:* $45.00\n\nGracias por tu compra.")
}

fn confirmed(order: &str) -> String {
    format!("✅ *Pago confirmado*\n\n*Orden:* {order}\n*Total:* $45.00")
}

/// A bot of many: tries four times, then forgets it.
async fn four_times(sidecar: &Sidecar, chat: &str, text: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(sidecar.bot().text(chat, text).await);
    }
    answers
}

/// Waits until WAHA has ended so many calls.
async fn ended_at_waha(waha: &FakeWaha, count: usize) {
    until("WAHA has ended its calls", async || {
        waha.calls().iter().filter(|call| call.outcome != CallOutcome::Running).count() >= count
    })
    .await;
}

#[tokio::test]
async fn four_refused_attempts_are_one_failed_notification_and_two_messages_of_an_order_are_two() {
    let (mut waha, sidecar) = pair(Config::new()).await;
    let chats = ["551100000001", "551100000002", "551100000003"];
    waha.faults().add(Fault::to_chat(chats[1], FaultKind::Refuse));
    waha.faults().add(Fault::to_chat(chats[2], FaultKind::Status422));
    let expected = [
        (502, "connection_refused", "ORD-1001"),
        (503, "unavailable", "ORD-1002"),
        (422, "session_not_working", "ORD-1003"),
    ];
    for (at, (status, cause, order)) in expected.into_iter().enumerate() {
        let chat = format!("{}@c.us", chats[at]);
        if at == 0 {
            waha.go_down().await;
        }
        for (nth, text) in [received(order), confirmed(order)].iter().enumerate() {
            let answers = four_times(&sidecar, &chat, text).await;
            for answer in &answers {
                assert_eq!((answer.status, answer.outcome(), answer.recorded()), (status, "failed", true));
                assert_eq!(answer.send_id(), answers[0].send_id(), "attempts of one send");
            }
            let failed = sidecar.failed_when(2 * at + nth + 1).await;
            assert_eq!(failed.len(), 2 * at + nth + 1);
            let one =
                failed.iter().find(|one| one["id"] == answers[0].send_id().as_str()).expect("this send");
            let kind = if nth == 0 { "ORDER_RECEIVED" } else { "ORDER_CONFIRMED" };
            assert_eq!(one["attempts"], 4, "{one}");
            assert_eq!(one["order_number"], order);
            assert_eq!(one["order_total"], "$45.00");
            assert_eq!(one["notification_type"], kind);
            assert_eq!(one["cause"], cause);
            assert_eq!(one["customer_phone"], chats[at]);
            assert_eq!((&one["resolved"], &one["replayable"]), (&false.into(), &true.into()));
            let timeline = sidecar.failed_one(&answers[0].send_id()).await["timeline"].clone();
            let numbers: Vec<_> =
                timeline.as_array().unwrap().iter().map(|line| line["number"].clone()).collect();
            assert_eq!(numbers, [1, 2, 3, 4]);
        }
        if at == 0 {
            waha.come_up().await.unwrap();
        }
    }
    let sends = sidecar.sends().await;
    assert_eq!(sends.len(), 6);
    assert!(sends.iter().all(|send| send["attempts"] == 4 && send["outcome"] == "failed"), "{sends:#?}");
    assert_eq!(waha.phones().total(), 0);
    let status = sidecar.status().await;
    assert_eq!((&status["failed_notifications"], &status["orders_unnotified"]), (&6.into(), &3.into()));
}

#[tokio::test]
async fn types_are_guessed_from_texts() {
    let (mut waha, sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    waha.go_down().await;
    let texts = [
        ("📦 *Tu pedido fue enviado*\n*Pedido:* A-1\n*Total:* 10 USD", "ORDER_SHIPPED", "A-1", Some("10")),
        ("*Order confirmed*\n*Order:* A-2", "ORDER_CONFIRMED", "A-2", None),
        (
            "Hola Ana, recibimos tu orden.\n*Orden recibida*\n*Orden:* A-3\n*Total:* Bs. 1.234,50",
            "ORDER_RECEIVED",
            "A-3",
            Some("Bs."),
        ),
        ("Un aviso sobre tu compra\n\n*Orden:* A-4", "OTHER", "A-4", None),
    ];
    for (at, (text, kind, number, total)) in texts.into_iter().enumerate() {
        sidecar.bot().text(CHAT, text).await;
        let failed = sidecar.failed_when(at + 1).await;
        let one = &failed[at];
        assert_eq!(
            (&one["notification_type"], &one["order_number"]),
            (&kind.into(), &number.into()),
            "{text}"
        );
        match total {
            Some(total) => assert!(one["order_total"].as_str().unwrap().contains(total), "{one}"),
            None => assert_eq!(one["order_total"], Value::Null),
        }
    }
    sidecar.bot().text(CHAT, "¿Cómo estás?").await;
    let failed = sidecar.failed_when(5).await;
    assert_eq!(
        (&failed[4]["notification_type"], &failed[4]["order_number"]),
        (&"OTHER".into(), &Value::Null)
    );
}

#[tokio::test]
async fn every_form_of_a_send_names_its_order() {
    let (mut waha, sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    waha.go_down().await;
    let encode = |text: &str| {
        form_urlencoded::Serializer::new(String::new()).append_pair("x", text).finish()[2..].to_owned()
    };
    let form = format!("session=default&chatId=5511%40c.us&text={}", encode(&received("ORD-FORM")));
    let query = format!("/api/sendText?phone=5511&session=default&text={}", encode(&received("ORD-QUERY")));
    let media = serde_json::json!({
        "session": "default", "chatId": "5511@c.us", "file": {"data": "AA"}, "caption": received("ORD-CAPTION"),
    });
    let at = sidecar.proxy();
    let urlencoded = [("Content-Type", "application/x-www-form-urlencoded")];
    http::call(at, "POST", "/api/sendText", &urlencoded, form.as_bytes()).await.unwrap();
    http::call(at, "GET", &query, &[], b"").await.unwrap();
    sidecar.bot().post("/api/sendImage", &[], &media).await.unwrap();
    let failed = sidecar.failed_when(3).await;
    for (one, order) in failed.iter().zip(["ORD-FORM", "ORD-QUERY", "ORD-CAPTION"]) {
        assert_eq!((&one["order_number"], &one["order_total"]), (&order.into(), &"$45.00".into()), "{one}");
        assert_eq!((&one["session"], &one["customer_phone"]), (&"default".into(), &"5511".into()), "{one}");
    }
}

#[tokio::test]
async fn identities_end_with_their_time() {
    let config = Config::new().set("sends.window", "1s").set("recovery.max_age", "1s");
    let (waha, sidecar) = pair(config.set("retry.give_up_after", "1s")).await;
    waha.faults().add(Fault::always(FaultKind::Delay(SLOW)).times(1));
    assert!(sidecar.bot().text_and_give_up(CHAT, "unheard", IMPATIENT).await.is_none());
    waha.faults().add(Fault::to_chat("5512", FaultKind::Status422).times(1));
    let failed = sidecar.bot().text("5512", "failed").await;
    ended_at_waha(&waha, 2).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(sidecar.bot().text(CHAT, "unheard").await.status, 201);
    assert_eq!(waha.phones().times(CHAT, "unheard"), 2, "nobody waits for the first any more");
    assert_ne!(sidecar.bot().text("5512", "failed").await.send_id(), failed.send_id());
}

#[tokio::test]
async fn silence_gives_a_send_up_once() {
    let (waha, sidecar) = pair(Config::new().set("retry.give_up_after", "700ms")).await;
    waha.faults().add(Fault::always(FaultKind::Status422).times(2));
    for _ in 0..2 {
        assert_eq!(sidecar.bot().text(CHAT, &received("ORD-1")).await.outcome(), "failed");
    }
    assert!(sidecar.failed().await.is_empty(), "it may still be tried again");
    let failed = sidecar.failed_when(1).await;
    assert_eq!((&failed[0]["attempts"], &failed[0]["cause"]), (&2.into(), &"session_not_working".into()));
    // Later, and after another look at everything, there is still one.
    sidecar.log_when("a customer was not told").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(sidecar.failed().await.len(), 1);
    sidecar.metric_when(r#"retries_exhausted_total{kind="text",session="default"}"#, 1.0).await;

    // The bot tries once more after all, and succeeds: that settles it.
    let answer = sidecar.bot().text(CHAT, &received("ORD-1")).await;
    assert_eq!((answer.status, answer.send_id().as_str()), (201, failed[0]["id"].as_str().unwrap()));
    until("it is settled", async || sidecar.failed().await[0]["resolved"] == true).await;
    let settled = &sidecar.failed().await[0];
    assert_eq!((&settled["attempts"], &settled["resolution_method"]), (&3.into(), &"bot_recovered".into()));
    assert_eq!(waha.phones().times(CHAT, &received("ORD-1")), 1);
}

#[tokio::test]
async fn silence_gives_a_send_up_across_restarts() {
    let (mut waha, mut sidecar) = pair(Config::new().set("retry.give_up_after", "3s")).await;
    waha.go_down().await;
    let (tried, forgotten) = (received("ORD-TRIED"), received("ORD-FORGOTTEN"));
    let first = sidecar.bot().text(CHAT, &tried).await;
    sidecar.bot().text(CHAT, &forgotten).await;
    sidecar.kill9();
    sidecar.run().await;
    let second = sidecar.bot().text(CHAT, &tried).await;
    assert_eq!(second.send_id(), first.send_id(), "the same send, across the crash");
    sidecar.kill9();
    sidecar.run().await;
    sidecar.failed_when(2).await;
    sidecar.restart().await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let failed = sidecar.failed().await;
    assert_eq!(failed.len(), 2, "{failed:#?}");
    let attempts =
        |order: &str| failed.iter().find(|one| one["order_number"] == order).unwrap()["attempts"].clone();
    assert_eq!(attempts("ORD-TRIED"), 2);
    assert_eq!(attempts("ORD-FORGOTTEN"), 1);
    let stored = sidecar.failed_one(&first.send_id()).await["timeline"].clone();
    assert_eq!(stored.as_array().unwrap().len(), 2, "{stored}");
}

/// What every bot that gave up must find when it asks again: WAHA's own answer, and no second message.
fn assert_same_message(waha: &FakeWaha, answer: &Answer, text: &str) {
    assert_eq!((answer.status, answer.outcome()), (201, "accepted"));
    let shown = waha.phones().chat(CHAT).to_vec();
    let ours: Vec<_> = shown.iter().filter(|shown| shown.text == text).collect();
    assert_eq!(ours.len(), 1, "one message: {shown:#?}");
    assert_eq!(answer.json()["key"]["id"], ours[0].message_id.as_str(), "WAHA's answer to the first call");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn a_retry_while_the_first_call_still_runs_waits_for_it() {
    let (waha, sidecar) = pair(Config::new()).await;
    for text in ["algo", &received("ORD-1")] {
        waha.faults().add(Fault::always(FaultKind::Delay(SLOW)).times(1));
        assert!(sidecar.bot().text_and_give_up(CHAT, text, IMPATIENT).await.is_none());
        let gone = if text == "algo" { 1.0 } else { 2.0 };
        sidecar.metric_when("proxy_clients_gone_total", gone).await;
        let answer = sidecar.bot().text(CHAT, text).await;
        assert_same_message(&waha, &answer, text);
        let send = sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 2).await;
        assert_eq!((&send["outcome"], &send["via"]), (&"accepted".into(), &"latch".into()), "{send}");

        // It has been heard: the same text is now another message.
        let other = sidecar.bot().text(CHAT, text).await;
        assert_ne!(other.send_id(), answer.send_id());
        assert_eq!(waha.phones().times(CHAT, text), 2);
    }
    sidecar.metric_when(r#"sends_latched_total{session="default"}"#, 2.0).await;
    assert_eq!(sidecar.sends().await.len(), 4);
    assert!(sidecar.failed().await.is_empty());
}

#[tokio::test]
async fn a_retry_after_the_first_call_ended_gets_its_answer() {
    let (waha, sidecar) = pair(Config::new()).await;
    for (nth, text) in ["algo", &received("ORD-1")].into_iter().enumerate() {
        waha.faults().add(Fault::always(FaultKind::Delay(SLOW)).times(1));
        assert!(sidecar.bot().text_and_give_up(CHAT, text, IMPATIENT).await.is_none());
        ended_at_waha(&waha, 2 * nth + 1).await;
        until("it is recorded", async || {
            sidecar.sends().await.len() == 2 * nth + 1
                && sidecar.sends().await[2 * nth]["outcome"] == "accepted"
        })
        .await;
        let answer = sidecar.bot().text(CHAT, text).await;
        assert_same_message(&waha, &answer, text);
        sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 2).await;
        assert_eq!(sidecar.bot().text(CHAT, text).await.status, 201);
        assert_eq!(waha.phones().times(CHAT, text), 2, "heard, so the next one is new");
    }
}

#[tokio::test]
async fn an_unheard_answer_is_kept_across_restarts() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    for (nth, text) in ["plain", &received("ORD-1"), "another"].into_iter().enumerate() {
        waha.faults().add(Fault::always(FaultKind::Delay(SLOW)).times(1));
        assert!(sidecar.bot().text_and_give_up(CHAT, text, IMPATIENT).await.is_none());
        ended_at_waha(&waha, nth + 1).await;
        until("it is recorded", async || {
            sidecar.sends().await.get(nth).is_some_and(|send| send["outcome"] == "accepted")
        })
        .await;
        // In peace, by force, and by force as soon as it is recorded.
        match nth {
            0 => sidecar.stop().await,
            1 => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                sidecar.kill9();
            }
            _ => sidecar.kill9(),
        }
        sidecar.run().await;
        let answer = sidecar.bot().text(CHAT, text).await;
        assert_same_message(&waha, &answer, text);
        sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 2).await;
    }
    // What was heard before the end stays heard after it.
    sidecar.kill9();
    sidecar.run().await;
    let answer = sidecar.bot().text(CHAT, "another").await;
    assert_eq!(answer.status, 201);
    assert_eq!(waha.phones().times(CHAT, "another"), 2, "a new message after the old one was heard");
    let send = sidecar.send_when(&answer.send_id(), |_| true).await;
    assert_eq!(send["attempts"], 1);
}

#[tokio::test]
async fn a_send_that_failed_first_keeps_its_unheard_answer_too() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    let text = received("ORD-1");
    waha.faults().add(Fault::always(FaultKind::Status422).times(1));
    assert_eq!(sidecar.bot().text(CHAT, &text).await.outcome(), "failed");
    waha.faults().add(Fault::always(FaultKind::Delay(SLOW)).times(1));
    assert!(sidecar.bot().text_and_give_up(CHAT, &text, IMPATIENT).await.is_none());
    until("it is recorded", async || sidecar.sends().await[0]["outcome"] == "accepted").await;
    sidecar.kill9();
    sidecar.run().await;
    let answer = sidecar.bot().text(CHAT, &text).await;
    assert_same_message(&waha, &answer, &text);
    let send = sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 3).await;
    assert_eq!(send["outcome"], "accepted");
    assert!(sidecar.failed().await.is_empty());
    assert_ne!(sidecar.bot().text(CHAT, &text).await.send_id(), answer.send_id());
    assert_eq!(waha.phones().times(CHAT, &text), 2);
}

#[tokio::test]
async fn a_send_whose_attempt_still_runs_is_not_given_up() {
    let (waha, sidecar) = pair(Config::new().set("retry.give_up_after", "600ms")).await;
    for text in ["hola", &received("ORD-1")] {
        waha.faults().add(Fault::always(FaultKind::Status422).times(1));
        assert_eq!(sidecar.bot().text(CHAT, text).await.outcome(), "failed");
        waha.faults().add(Fault::always(FaultKind::Delay(2 * SLOW)).times(1));
        assert_eq!(sidecar.bot().text(CHAT, text).await.outcome(), "accepted");
    }
    assert!(sidecar.failed().await.is_empty(), "{:?}", sidecar.failed().await);
    assert!(!sidecar.log().has("a customer was not told"));
}

#[tokio::test]
async fn forty_impatient_bots_at_once_make_forty_messages() {
    let (waha, sidecar) = pair(Config::new()).await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(600))).times(40));
    let bot = sidecar.bot();
    let bots: Vec<_> = (0..40)
        .map(|number| {
            tokio::spawn(async move {
                let (chat, text) = (format!("5511{number:04}"), format!("hola {number}"));
                let patience = Duration::from_millis(30 + 5 * number);
                bot.text_and_give_up(&chat, &text, patience).await;
                bot.text_and_give_up(&chat, &text, patience).await;
                let answer = bot.text(&chat, &text).await;
                assert_eq!(answer.status, 201);
                (chat, text, answer.send_id())
            })
        })
        .collect();
    for bot in bots {
        let (chat, text, id) = bot.await.unwrap();
        assert_eq!(waha.phones().times(&chat, &text), 1, "{text}");
        let send = sidecar.send_when(&id, |_| true).await;
        assert_eq!(send["outcome"], "accepted");
    }
    assert_eq!(waha.phones().total(), 40);
    assert_eq!(sidecar.sends().await.len(), 40);
}

#[tokio::test]
async fn equal_texts_after_a_success_are_two_messages() {
    let (waha, sidecar) = pair(Config::new()).await;
    let first = sidecar.bot().text(CHAT, "ok").await;
    let second = sidecar.bot().text(CHAT, "ok").await;
    assert_ne!(first.send_id(), second.send_id());
    assert_eq!(waha.phones().times(CHAT, "ok"), 2);
    // Also where the bot named both alike: its name ends with the success.
    let named = [("Idempotency-Key", "n-1")];
    sidecar.bot().text_with(CHAT, "named", &named).await;
    sidecar.bot().text_with(CHAT, "named", &named).await;
    assert_eq!(waha.phones().times(CHAT, "named"), 2);
}

#[tokio::test]
async fn equal_calls_of_listening_bots_are_two_messages_unless_named_alike() {
    let (waha, sidecar) = pair(Config::new()).await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(400))));
    let bot = sidecar.bot();
    let (first, second) = tokio::join!(bot.text(CHAT, "ok"), bot.text(CHAT, "ok"));
    assert_eq!((first.status, second.status), (201, 201));
    assert_ne!(first.send_id(), second.send_id());
    assert_eq!(waha.phones().times(CHAT, "ok"), 2);

    for (nth, name) in ["Idempotency-Key", "X-Watchdog-Notification-Id"].into_iter().enumerate() {
        let named = [(name, "order-7-received")];
        let text = format!("named by {name}");
        let (first, second, third) = tokio::join!(
            bot.text_with(CHAT, &text, &named),
            bot.text_with(CHAT, &text, &named),
            bot.text_with(CHAT, &text, &named)
        );
        assert_eq!(waha.phones().times(CHAT, &text), 1);
        for answer in [&second, &third] {
            assert_eq!((answer.status, answer.send_id(), &answer.body), (201, first.send_id(), &first.body));
        }
        sidecar.send_when(&first.send_id(), |send| send["attempts"] == 3).await;
        let latched = [2.0, 4.0][nth];
        sidecar.metric_when(r#"sends_latched_total{session="default"}"#, latched).await;
    }
}

#[tokio::test]
async fn a_success_after_an_interrupted_attempt_frees_the_text() {
    let (mut waha, mut sidecar) = pair(Config::new()).await;
    let text = received("ORD-1");
    waha.go_down().await;
    assert_eq!(sidecar.bot().text(CHAT, &text).await.outcome(), "failed");
    waha.come_up().await.unwrap();
    // The heart has written its case; now the second attempt is cut off.
    tokio::time::sleep(Duration::from_millis(700)).await;
    waha.faults().add(Fault::always(FaultKind::Hang).times(1));
    let bot = sidecar.bot();
    let hanging = text.clone();
    let second = tokio::spawn(async move { bot.try_text(CHAT, &hanging, &[]).await });
    until("the second attempt is at WAHA", async || waha.calls().len() == 1).await;
    sidecar.kill9();
    assert!(second.await.unwrap().is_err());
    sidecar.run().await;

    let third = sidecar.bot().text(CHAT, &text).await;
    assert_eq!(third.status, 201);
    let send = sidecar.send_when(&third.send_id(), |send| send["attempts"] == 3).await;
    assert_eq!(send["outcome"], "accepted");
    let other = sidecar.bot().text(CHAT, &text).await;
    assert_ne!(other.send_id(), third.send_id(), "the bot was told of success: the same text is a new send");
    assert_eq!(waha.phones().times(CHAT, &text), 2);
}

#[tokio::test]
async fn large_bodies_pass_and_join_where_they_can() {
    let config = Config::new().set("sends.copy_max", "16KiB").raw("retry.attempts", "2");
    let (waha, sidecar) = pair(config).await;
    waha.faults().add(Fault::always(FaultKind::Status422).times(2));
    let text = format!("{}\n{}", received("ORD-1"), "x".repeat(200_000));
    let first = sidecar.bot().text(CHAT, &text).await;
    let second = sidecar.bot().text(CHAT, &text).await;
    assert_eq!(first.send_id(), second.send_id());
    let failed = sidecar.failed_when(1).await;
    assert_eq!((&failed[0]["attempts"], &failed[0]["order_number"]), (&2.into(), &"ORD-1".into()));
    assert_eq!(failed[0]["replayable"], false, "too large to be kept");
    let answer = sidecar.bot().text(CHAT, &text).await;
    assert_eq!((answer.status, answer.send_id()), (201, first.send_id()));
    assert_eq!(waha.phones().times(CHAT, &text), 1);
}
