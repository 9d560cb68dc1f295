//! Lines in a file, whatever becomes of the file.

use std::os::unix::fs::PermissionsExt as _;

use super::super::testing::{alert, drill, loss, orders, recovered, tell};
use super::super::{Channels, Settings};
use super::*;
use crate::domain::delivery::Channel;
use crate::domain::outcome::Outcome;

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
    channels: Channels,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failures.log");
        let settings = LogFileSettings { path: path.clone() };
        let channels =
            super::super::testing::channels(Settings { log_file: Some(settings), ..Settings::default() });
        Self { _dir: dir, path, channels }
    }

    async fn tell(&self, alert: &Alert) -> Outcome {
        tell(&self.channels, Channel::LogFile, alert).await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

#[tokio::test]
async fn one_line_for_each_order_as_scripts_expect_it() {
    let place = Place::new();
    assert_eq!(place.tell(&loss(1, &["ORD-1", "ORD|2\n", "ORD-1"])).await, Outcome::Accepted);
    assert_eq!(place.tell(&recovered(2)).await, Outcome::Accepted);
    assert_eq!(
        place.text(),
        "2025-11-03T14:05:00.000Z | INCOMMUNICADO | ORD-1\n\
         2025-11-03T14:05:00.000Z | INCOMMUNICADO | ORD 2\n\
         2025-11-03T14:05:00.000Z | RECOVERED | -\n"
    );
    assert_eq!(std::fs::metadata(&place.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn told_again_after_a_crash_it_is_there_once() {
    let place = Place::new();
    let told = loss(1, &["ORD-1", "ORD-2"]);
    place.tell(&told).await;
    place.tell(&drill(2)).await;
    let whole = place.text();
    assert_eq!(place.tell(&told).await, Outcome::Accepted);
    assert_eq!(place.text(), whole);
    // Cut off anywhere, it is made whole.
    place.tell(&loss(3, &["ORD-8", "ORD-9"])).await;
    let more = place.text();
    for end in whole.len()..more.len() {
        std::fs::write(&place.path, &more[..end]).unwrap();
        place.tell(&loss(3, &["ORD-8", "ORD-9"])).await;
        assert_eq!(place.text(), more, "cut off at {end}");
    }
    // A torn line that is not ours stays, on a line of its own.
    std::fs::write(&place.path, "somebody wrote").unwrap();
    place.tell(&drill(2)).await;
    assert_eq!(place.text(), "somebody wrote\n2025-11-03T14:05:00.000Z | DRILL | -\n");
}

#[tokio::test]
async fn found_again_after_logrotate() {
    let place = Place::new();
    place.tell(&drill(1)).await;
    std::fs::rename(&place.path, place.path.with_extension("log.1")).unwrap();
    place.tell(&recovered(2)).await;
    assert_eq!(place.text(), "2025-11-03T14:05:00.000Z | RECOVERED | -\n");
}

#[tokio::test]
async fn a_disk_in_trouble_is_tried_again() {
    let place = Place::new();
    std::fs::create_dir(&place.path).unwrap();
    assert_eq!(place.tell(&drill(1)).await, Outcome::Failed);
    assert!(place.channels.reach().await.remove(0).1.unwrap_err().contains("cannot be written"));
    std::fs::remove_dir(&place.path).unwrap();
    assert_eq!(place.tell(&drill(1)).await, Outcome::Accepted);
    assert!(place.channels.reach().await.remove(0).1.unwrap().ends_with("can be written"));
}

#[test]
fn more_orders_than_are_named_are_counted() {
    let mut many = orders(&["ORD-1"]);
    many.count = 24;
    let lines = lines(&alert(1, Says::ManualAttention(many)));
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with(" | MANUAL_ATTENTION | (+23)\n"), "{lines:?}");
}
