//! A full disk costs records, never a send, and never silently; space that returns is used without a restart (SPEC 4.1).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::{Answer, CHAT, Config, Sidecar, cannot, pair, until};
use super::joining::received;
use super::scenario::{Play, chat, counts, knobs};

/// A little file system of its own, gone when dropped.
struct Disk {
    place: TempDir,
}

impl Disk {
    /// `None` where this process may not mount.
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs"])
            .arg(place.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self { place }),
            other => {
                cannot(&format!(
                    "a full disk needs a tmpfs, and it cannot be mounted (root is needed): {other:?}"
                ));
                None
            }
        }
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("watchdog.redb")
    }

    fn filler(&self) -> PathBuf {
        self.place.path().join("filler")
    }

    /// Takes the last byte.
    fn fill(&self) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.place.path()).output();
    }
}

fn is_writable(directory: &Path) -> bool {
    File::create(directory.join("probe")).and_then(|mut file| file.write_all(&[0; 4096])).is_ok()
}

async fn sends_until(sidecar: &Sidecar, recorded: bool, orders: &mut Vec<String>) {
    until(if recorded { "recording works again" } else { "recording stops" }, async || {
        let order = format!("ORD-{}", orders.len());
        let answer: Answer = sidecar.bot().text(CHAT, &received(&order)).await;
        orders.push(order);
        assert_eq!((answer.status, answer.outcome()), (201, "accepted"), "the bot never pays");
        answer.recorded() == recorded
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_fills_up_costs_no_send_and_recording_resumes_by_itself() {
    let Some(disk) = Disk::new() else { return };
    let (waha, sidecar) = pair(Config::new().set("store.path", &disk.store().display().to_string())).await;
    let mut orders = Vec::new();
    sends_until(&sidecar, true, &mut orders).await;
    disk.fill();
    assert!(!is_writable(disk.place.path()), "the disk is full");
    sends_until(&sidecar, false, &mut orders).await;

    sidecar.metric_when("store_up", 0.0).await;
    assert!(sidecar.metric("store_waits_missed_total").await >= 1.0);
    let ready = sidecar.admin_get("/readyz").await;
    let ready = (ready.status, ready.json());
    assert_eq!(
        (ready.0, &ready.1["ready"], &ready.1["store"]["recording"]),
        (200, &true.into(), &false.into())
    );
    assert!(ready.1["store"]["reason"].as_str().unwrap().contains("No space left"), "{}", ready.1);
    let status = sidecar.status().await;
    assert!(status["reason"].as_str().unwrap().contains("not being recorded"), "{status}");
    assert_eq!(status["metadata"]["store"]["recording"], false);
    assert!(sidecar.log().lines().iter().any(|line| {
        line["level"] == "ERROR"
            && line["message"].as_str().is_some_and(|message| message.contains("No space left"))
    }));
    for _ in 0..20 {
        sends_until(&sidecar, false, &mut orders).await;
    }

    disk.free();
    sends_until(&sidecar, true, &mut orders).await;
    sidecar.metric_when("store_up", 1.0).await;
    assert_eq!(sidecar.metric("store_unrecorded_total").await, 0.0, "what was missed was written late");
    until("every send is listed", async || {
        let sends = sidecar.sends().await;
        orders.iter().take(1000).all(|order| sends.iter().any(|send| send["order_number"] == order.as_str()))
    })
    .await;
    let status = sidecar.status().await;
    assert!(!status["reason"].as_str().unwrap().contains("not being recorded"), "{status}");
    for order in &orders {
        assert_eq!(waha.phones().times(CHAT, &received(order)), 1, "{order}");
    }
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_keeps_nobody_from_sending() {
    let Some(disk) = Disk::new() else { return };
    disk.fill();
    let (waha, mut sidecar) =
        pair(Config::new().set("store.path", &disk.store().display().to_string())).await;
    let mut orders = Vec::new();
    sends_until(&sidecar, false, &mut orders).await;
    assert!(sidecar.log().has("UNRECORDED"));
    sidecar.metric_when("store_up", 0.0).await;
    disk.free();
    sends_until(&sidecar, true, &mut orders).await;
    sidecar.metric_when("store_up", 1.0).await;
    assert_eq!(waha.phones().total(), orders.len() as u64);
    // What was written late survives as well.
    sidecar.restart().await;
    let sends = sidecar.sends().await;
    assert!(orders.iter().all(|order| sends.iter().any(|send| send["order_number"] == order.as_str())));
}

#[tokio::test]
async fn a_full_disk_keeps_no_admin_in_the_dark_and_writes_to_no_customer() {
    let Some(disk) = Disk::new() else { return };
    let config = knobs().set("store.path", &disk.store().display().to_string());
    let mut play = Play::start("full disk", config).await;
    play.status_is("online").await;
    disk.fill();
    let mut orders = Vec::new();
    sends_until(&play.sidecar, false, &mut orders).await;
    // The channel lives; three customers cannot be reached by the order's own text.
    for number in 0..3 {
        play.waha.faults().add(Fault::to_chat(&chat(number), FaultKind::Status422).times(1));
    }
    let answers = play.place(0..3).await;
    play.fact("answers to the bot", vec![422; 3], answers);
    play.when("the admin is told of an order, with the disk full", true, async |play| {
        play.admin_told("ORD-0") + play.admin_told("ORD-1") + play.admin_told("ORD-2") > 0
    })
    .await;
    play.probed(2).await;
    let full = !is_writable(disk.place.path());
    play.fact("the disk is still full", true, full);
    let written = (0..3).map(|number| play.waha.phones().chat(&chat(number)).len()).sum::<usize>();
    play.fact("messages to the three customers", 0, written);
    disk.free();
    play.sidecar.metric_when("store_up", 1.0).await;
    play.when("sent again once that can be written down", counts(&[("true", 3)]), async |play| {
        play.failed_by("resolved").await
    })
    .await;
    let shown = play.shown(0..3);
    play.fact("phones that show their message so often", vec![(1, 3)], shown);
    play.end();
}
