//! The kill storm: what the bot was told survives every death of the process, what WAHA saw is listed (SPEC 4.5).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind};

use super::harness::sidecar::{json_lines, stdout};
use super::harness::{Bot, Broken, Config, Sidecar, until, without_store};
use super::joining::received;

/// Deaths. `IT_KILLS` asks for more of them.
const KILLS: u64 = 200;
const BOTS: u64 = 4;

/// A small generator, so that a run can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What the bots were told, by order number: the send's id, its outcome.
type Told = Arc<Mutex<HashMap<String, (String, String)>>>;

struct Storm {
    proxy: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
    unanswered: AtomicU64,
    told: Told,
}

async fn bot(number: u64, storm: Arc<Storm>) {
    let mut nth = 0;
    while !storm.over.load(Ordering::Relaxed) {
        let Some(at) = *storm.proxy.lock().unwrap() else {
            sleep(Duration::from_millis(2)).await;
            continue;
        };
        nth += 1;
        let order = format!("ORD-{number}-{nth}");
        match (Bot { at }).try_text(&format!("55119{number}"), &received(&order), &[]).await {
            Ok(answer) => {
                // A complete head with `X-Watchdog-Recorded: 1` is the promise; its body is here as well.
                if answer.header("x-watchdog-recorded") == Some("1") {
                    let told = (answer.send_id(), answer.outcome().to_owned());
                    storm.told.lock().unwrap().insert(order, told);
                } else {
                    panic!("unrecorded without a reason: {} {:?}", answer.status, answer.headers);
                }
            }
            Err(Broken::Truncated { recorded, .. }) => {
                assert_eq!(recorded.as_deref(), Some("1"), "a head that went out says so");
                storm.unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Err(Broken::NoAnswer) => _ = storm.unanswered.fetch_add(1, Ordering::Relaxed),
            // The next number; this one was never heard of.
            Err(Broken::Refused) => sleep(Duration::from_millis(3)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bot_was_told_survives_200_deaths_under_load() {
    let kills = std::env::var("IT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = u64::from(std::process::id());
    let mut chance = Chance(seed);
    // What was cut off stays as it is: nobody can look whether it went out.
    let waha = FakeWaha::start(without_store()).await.unwrap();
    waha.faults().add(Fault::always(FaultKind::LateAnswer(Duration::from_millis(4))));
    let config = Config::new().upstream(&waha.url()).set("retry.give_up_after", "500ms");
    let mut sidecar = Sidecar::prepare(config);
    let told: Told = Arc::default();
    let storm = Arc::new(Storm {
        proxy: Mutex::new(None),
        over: AtomicBool::new(false),
        unanswered: AtomicU64::new(0),
        told: Arc::clone(&told),
    });
    let bots: Vec<_> = (0..BOTS).map(|number| tokio::spawn(bot(number, Arc::clone(&storm)))).collect();
    for life in 0..kills {
        sidecar.run().await;
        *storm.proxy.lock().unwrap() = Some(sidecar.proxy());
        // On a busy machine lives are longer, or hardly anybody would be answered.
        let behind = life.saturating_sub(told.lock().unwrap().len() as u64);
        sleep(Duration::from_millis(2 + chance.below(118 + 10 * behind))).await;
        *storm.proxy.lock().unwrap() = None;
        sidecar.kill9();
    }
    storm.over.store(true, Ordering::Relaxed);
    for bot in bots {
        bot.await.unwrap();
    }

    // From the file as the last death left it, and from a process that took it over.
    let left = json_lines(&stdout(&sidecar.cli_alone(&["export"]).await));
    sidecar.run().await;
    let export = json_lines(&stdout(&sidecar.cli(&["export"]).await));
    assert_eq!(left.len(), export.len(), "seed {seed}");
    let by_order: HashMap<&str, &Value> =
        export.iter().map(|send| (send["order_number"].as_str().unwrap(), send)).collect();
    assert_eq!(by_order.len(), export.len(), "each send is one line; seed {seed}");

    let told = told.lock().unwrap().clone();
    let lost: Vec<_> = told
        .iter()
        .filter(|(order, (id, outcome))| {
            by_order
                .get(order.as_str())
                .is_none_or(|send| send["send_id"] != id.as_str() || send["outcome"] != outcome.as_str())
        })
        .collect();
    let phones = waha.phones();
    let shown: Vec<_> = phones.by_chat.values().flatten().collect();
    let order_of = |text: &str| text.split("*Orden:* ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let unlisted: Vec<_> = shown
        .iter()
        .map(|shown| order_of(&shown.text))
        .filter(|order| !by_order.contains_key(order.as_str()))
        .collect();
    let mut texts = HashSet::new();
    let twice: Vec<_> = shown.iter().filter(|shown| !texts.insert(&shown.text)).collect();
    let ambiguous = export.iter().filter(|send| send["outcome"] == "ambiguous").count();
    let unanswered = storm.unanswered.load(Ordering::Relaxed);
    eprintln!(
        "kill storm: {kills} deaths, {} sends answered, {unanswered} not, {} seen by WAHA, {ambiguous} ambiguous; \
         {} lost, {} unlisted, {} twice; seed {seed}",
        told.len(),
        shown.len(),
        lost.len(),
        unlisted.len(),
        twice.len()
    );
    assert!(lost.is_empty(), "seed {seed}: {lost:#?}");
    assert!(unlisted.is_empty(), "seed {seed}: {unlisted:#?}");
    assert!(twice.is_empty(), "seed {seed}: {twice:#?}");
    assert!(told.len() as u64 > kills, "the storm had weather: {} answers", told.len());

    // Whoever was never answered is told to people, once each.
    until("every open end is a failed notification", async || {
        let failed = sidecar.failed().await;
        let known: HashSet<_> = failed.iter().map(|one| one["order_number"].clone()).collect();
        assert_eq!(known.len(), failed.len(), "once each; seed {seed}");
        failed.len() == ambiguous.min(1000)
    })
    .await;
    let failed = sidecar.failed().await;
    assert!(failed.iter().all(|one| one["cause"] == "interrupted" && one["attempts"] == 1), "{failed:#?}");
}
