//! The open call list as a file (`panel.snapshot_file`): a page, and a table beside it, for when this process is not there.
//!
//! Written again within a second of each change, whole or not at all, readable for its owner alone. Its failure is loud and holds up nothing.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::calls::{self, Filter, List};
use super::say::Say;
use super::shown::{self, Stamp};
use super::{Panel, assets};
use crate::words;

/// Several changes within this are one.
const GATHER: Duration = Duration::from_millis(500);
/// Without a change it is looked at this often all the same: a failed write is tried again, a new path is taken.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Most orders written; more are counted.
const ORDERS_MAX: usize = 20_000;

/// An order in the file.
struct Entry {
    order: String,
    customer: String,
    phone: String,
    amount: String,
    since: Stamp,
    cause: &'static str,
    claimed: String,
    attention: &'static str,
}

#[derive(Template)]
#[template(path = "snapshot.html")]
struct SnapshotPage<'a> {
    t: Say,
    style: &'static str,
    at: &'a Stamp,
    entries: &'a [Entry],
    more: usize,
}

/// What was written last.
#[derive(Default)]
struct Written {
    path: Option<PathBuf>,
    digest: [u8; 32],
    failing: bool,
}

/// Keeps the file up to date until `closed`.
pub async fn keep(panel: Arc<Panel>, closed: CancellationToken) {
    let mut moved = panel.admin.heart.written();
    let mut written = Written::default();
    loop {
        match panel.settings.load().snapshot_file.clone() {
            Some(path) => write(&panel, path, &mut written).await,
            None => panel.admin.metrics.snapshot.unwanted(),
        }
        tokio::select! {
            () = closed.cancelled() => return,
            _ = timeout(LOOK_EVERY, moved.changed()) => {}
        }
        sleep(GATHER).await;
        moved.mark_unchanged();
    }
}

async fn write(panel: &Panel, path: PathBuf, written: &mut Written) {
    let (entries, more) = entries(panel);
    let table = table(&entries);
    let digest: [u8; 32] = Sha256::digest(table.as_bytes()).into();
    let (now, t) = (panel.now(), Say(**panel.admin.language.load()));
    let same = written.path.as_ref() == Some(&path) && written.digest == digest && !written.failing;
    // Somebody may have taken it away.
    if same && tokio::fs::try_exists(&path).await.unwrap_or(false) {
        panel.admin.metrics.snapshot.seen_current(now);
        return;
    }
    let at = Stamp::new(now, now, t);
    let page = SnapshotPage { t, style: assets::STYLE, at: &at, entries: &entries, more };
    let page = page.render().unwrap_or_default();
    let target = path.clone();
    let done = tokio::task::spawn_blocking(move || {
        replace(&target.with_extension("csv"), table.as_bytes())?;
        replace(&target, page.as_bytes())
    });
    let done = done.await.unwrap_or_else(|_| Err(std::io::Error::other("it ended by a panic")));
    let metrics = &panel.admin.metrics.snapshot;
    match done {
        Ok(()) => {
            if written.failing {
                tracing::info!(file = %path.display(), "the call list is written to its file again");
            }
            *written = Written { path: Some(path), digest, failing: false };
            metrics.written(now);
        }
        Err(error) => {
            if !written.failing {
                tracing::error!(file = %path.display(), %error, "the call list cannot be written to panel.snapshot_file; trying again");
            }
            written.failing = true;
            metrics.failed();
        }
    }
}

/// All open orders, the oldest first, and how many more there are.
fn entries(panel: &Panel) -> (Vec<Entry>, usize) {
    let language = **panel.admin.language.load();
    let (t, now) = (Say(language), panel.now());
    let policy = panel.admin.heart.policy.load_full();
    let state = panel.admin.heart.state();
    let filter = Filter::default();
    let (mut groups, _) = calls::groups(&state, List::Unnotified, &filter, "", now, &policy);
    let urgent = groups.len();
    groups.extend(calls::groups(&state, List::Manual, &filter, "", now, &policy).0);
    let more = groups.len().saturating_sub(ORDERS_MAX);
    let entries = groups.iter().take(ORDERS_MAX).enumerate().filter_map(|(at, group)| {
        let last = group.cases.last()?;
        let failure = last.failure.as_ref()?;
        let facts = group.facts();
        Some(Entry {
            order: shown::order(&facts).unwrap_or_default(),
            customer: shown::plain(facts.customer_name.as_deref()).unwrap_or_default(),
            phone: group.cases.iter().find_map(|case| shown::phone(case)).map(|it| it.1).unwrap_or_default(),
            amount: shown::plain(facts.order_total.as_deref()).unwrap_or_default(),
            since: Stamp::new(group.since(), now, t),
            cause: words::cause(failure.cause, language),
            claimed: failure.claimed_by.clone().unwrap_or_default(),
            attention: if at < urgent { "unnotified" } else { "manual" },
        })
    });
    (entries.collect(), more)
}

/// As comma-separated values, with a line of names.
fn table(entries: &[Entry]) -> String {
    let mut table = String::from("order,customer,phone,amount,since,cause,claimed_by,attention\r\n");
    for one in entries {
        let cells = [
            &one.order,
            &one.customer,
            &one.phone,
            &one.amount,
            &one.since.iso,
            one.cause,
            &one.claimed,
            one.attention,
        ];
        table.push_str(&cells.map(cell).join(","));
        table.push_str("\r\n");
    }
    table
}

/// A cell: in quotes, and nothing that a spreadsheet would take for a formula. A phone number keeps its plus.
fn cell(text: &str) -> String {
    let is_number = text.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// Puts the file in place at once: whoever reads it sees the old one or the new one, whole.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    // One that a crash left behind may have been somebody else's to read.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/call-list.html");
        replace(&path, b"one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(folder.path().join("deep/call-list.html.new"), b"left behind").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 1);
    }

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(cell("+584241234567"), "\"+584241234567\"");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(cell("+1+cmd"), "\"'+1+cmd\"");
        assert_eq!(cell("@x"), "\"'@x\"");
        assert_eq!(cell("María, \"la\""), "\"María, \"\"la\"\"\"");
    }
}
