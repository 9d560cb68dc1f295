//! Seen working: a bot, or a person, that comes back to a send that had passed to us and may have arrived (SPEC 4.4).

use std::time::{Duration, Instant};

use waha_watchdog::fake_waha::{Fault, FaultId, FaultKind, FaultWhen};

use super::harness::{until, without_store};
use super::scenario::{Play, chat, counts, knobs, order, text, word};

/// Looks go this way.
const LOOKS: &str = "/api/default/chats";

/// The message went out, its answer was lost, the bot gave up, and our own look came to nothing.
async fn in_doubt(play: &mut Play, looks: FaultKind) -> FaultId {
    play.status_is("online").await;
    let when = FaultWhen { path: Some(LOOKS.to_owned()), ..FaultWhen::default() };
    let blind = play.waha.faults().add(Fault { when, what: looks });
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::DropAfterProcessing).times(1));
    let answers = play.place(0..1).await;
    play.fact("answer to the bot", vec![502], answers);
    until("our own look was made", async || {
        play.waha.faults().list().iter().any(|(id, _, matched)| *id == blind && *matched > 0)
    })
    .await;
    blind
}

#[tokio::test]
async fn what_had_arrived_is_answered_and_not_sent_again() {
    let mut play = Play::start("late retry, found", knobs().set("events.mode", "off")).await;
    let blind = in_doubt(&mut play, FaultKind::Status500("not now".into())).await;
    play.waha.faults().remove(blind);
    let answer = play.sidecar.bot().text(&chat(0), &text(&order(0))).await;
    play.fact("the bot's late retry", (201, "accepted"), (answer.status, answer.outcome()));
    let named = String::from_utf8_lossy(&answer.body).contains("true_5511700000000@c.us_");
    play.fact("the answer names the message", true, named);
    let resolved = counts(&[("confirmed_late", 1)]);
    play.when("resolved", resolved, async |play| play.failed_by("resolution_method").await).await;
    let shown = play.shown(0..1);
    play.fact("phones that show their message so often", vec![(1, 1)], shown);
    let next = play.sidecar.bot().text(&chat(0), &text(&order(0))).await.status;
    let shown = play.shown(0..1);
    play.fact("an equal text after the success is a new one", (201, vec![(2, 1)]), (next, shown));
    play.end();
}

#[tokio::test]
async fn a_waha_that_hangs_holds_the_bot_for_a_while_only() {
    let mut play = Play::start("late retry, hanging", knobs().set("events.mode", "off")).await;
    in_doubt(&mut play, FaultKind::Hang).await;
    let start = Instant::now();
    let answer = play.sidecar.bot().text(&chat(0), &text(&order(0))).await;
    let took = start.elapsed();
    play.fact("the bot's late retry", (201, "accepted"), (answer.status, answer.outcome()));
    let bounded = (Duration::from_secs(7)..Duration::from_secs(12)).contains(&took);
    play.holds("it took", "8 s", took, bounded);
    let resolved = counts(&[("bot_recovered", 1)]);
    play.when("resolved", resolved, async |play| play.failed_by("resolution_method").await).await;
    play.end();
}

#[tokio::test]
async fn where_waha_cannot_tell_the_bots_wish_counts() {
    let config = knobs().set("events.mode", "off");
    let mut play = Play::with("late retry, impossible", config, without_store()).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::DropAfterProcessing).times(1));
    play.place(0..1).await;
    let held = counts(&[("may_have_arrived", 1)]);
    play.when("held", held, async |play| play.failed_by("held").await).await;
    let answer = play.sidecar.bot().text(&chat(0), &text(&order(0))).await;
    play.fact("the bot's late retry", (201, "accepted"), (answer.status, answer.outcome()));
    let shown = play.shown(0..1);
    play.fact("phones that show their message so often", vec![(2, 1)], shown);
    play.end();
}

#[tokio::test]
async fn a_person_who_retries_what_had_arrived_is_told_so() {
    let mut play = Play::start("retry by hand, found", knobs().set("events.mode", "off")).await;
    let blind = in_doubt(&mut play, FaultKind::Status500("not now".into())).await;
    play.waha.faults().remove(blind);
    let id = word(&play.sidecar.failed().await[0]["id"]);
    let output = play.sidecar.cli(&["failed", "retry", &id]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let so = said.contains("WAHA had sent it already");
    play.holds("the command", "says that it was not sent again", (output.status.code(), said), so);
    let resolved = counts(&[("confirmed_late", 1)]);
    play.when("resolved", resolved, async |play| play.failed_by("resolution_method").await).await;
    let shown = play.shown(0..1);
    play.fact("phones that show their message so often", vec![(1, 1)], shown);
    play.end();
}

#[tokio::test]
async fn a_person_who_retries_what_cannot_be_looked_for_is_told_that_too() {
    let config = knobs().set("events.mode", "off");
    let mut play = Play::with("retry by hand, impossible", config, without_store()).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::DropAfterProcessing).times(1));
    play.place(0..1).await;
    let held = counts(&[("may_have_arrived", 1)]);
    play.when("held", held, async |play| play.failed_by("held").await).await;
    let id = word(&play.sidecar.failed().await[0]["id"]);
    let output = play.sidecar.cli(&["failed", "retry", &id]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let so = said.contains("sent again, and accepted") && said.contains("may have arrived as well");
    play.holds("the command", "says that it could not be checked", (output.status.code(), said), so);
    play.end();
}
