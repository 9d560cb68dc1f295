//! A file for scripts: one line for each order, `timestamp | INCOMMUNICADO | order`.
//!
//! The same alert makes the same lines at every try, and lines that stand at the file's end already are not written again: what a crash cut
//! off between writing and remembering is there once. The file is opened anew each time, and so found again after logrotate.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::told::{Told, Untold};
use super::webhook::moment;
use crate::domain::alert::{Alert, Says};
use crate::domain::status::Status;

/// So much of the file's end is looked at: more than an alert can be, and what came after it meanwhile.
const TAIL: u64 = 256 * 1024;
/// Longest order, in characters.
const ORDER_MAX: usize = 200;

/// What a file needs.
pub struct LogFileSettings {
    /// The file.
    pub path: PathBuf,
}

/// A file.
pub(super) struct LogFile {
    path: PathBuf,
}

impl LogFile {
    pub(super) fn new(settings: LogFileSettings) -> Self {
        Self { path: settings.path }
    }

    pub(super) async fn tell(&self, alert: &Alert) -> Told {
        let (path, lines) = (self.path.clone(), lines(alert));
        // A disk that hangs must not hold the others.
        let written = tokio::task::spawn_blocking(move || append(&path, &lines)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Untold::this_time(error.to_string())),
            Err(_panicked) => Err(Untold::unknown("writing panicked")),
        }
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let there = path.exists();
            open(&path).map(|_file| there)
        });
        match opened.await {
            Ok(Ok(true)) => Ok(format!("{} can be written", self.path.display())),
            Ok(Ok(false)) => Ok(format!("{} was made and can be written", self.path.display())),
            Ok(Err(error)) => Err(format!("{} cannot be written: {error}", self.path.display())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// One line for each order, or one where there is none.
fn lines(alert: &Alert) -> Vec<String> {
    let (at, word) = (moment(alert.at), word(&alert.says));
    let line = |order: &str| format!("{at} | {word} | {order}\n");
    let Some(orders) = alert.says.orders().filter(|orders| orders.count > 0) else { return vec![line("-")] };
    let mut lines = Vec::new();
    for named in &orders.named {
        // Two messages of one order are one line.
        let order = named.order.as_deref().map(plain).filter(|order| !order.is_empty());
        let line = line(order.as_deref().unwrap_or("-"));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let named = u32::try_from(orders.named.len()).unwrap_or(u32::MAX);
    if orders.count > named {
        lines.push(line(&format!("(+{})", orders.count - named)));
    }
    lines
}

/// An order on one line that no script splits wrongly.
fn plain(order: &str) -> String {
    let plain = order.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c });
    plain.take(ORDER_MAX).collect::<String>().trim().to_owned()
}

/// The word in the middle: `INCOMMUNICADO` is the one that scripts of old wait for.
const fn word(says: &Says) -> &'static str {
    match says {
        Says::TotalLoss { .. } | Says::StillLost { .. } => "INCOMMUNICADO",
        Says::Preventive(_) => "PREVENTIVE",
        Says::ManualAttention(_) => "MANUAL_ATTENTION",
        Says::Restricted(_) => "ACCOUNT_RESTRICTED",
        Says::BotGone { .. } => "BOT_GONE",
        Says::Recovered { worst, .. } if worst.badness() >= Status::Incommunicado.badness() => "RECOVERED",
        Says::Recovered { .. } => "RESOLVED",
        Says::Trouble(_) => "WATCHDOG_TROUBLE",
        Says::TroubleOver(_) => "WATCHDOG_TROUBLE_OVER",
        Says::Drill { .. } => "DRILL",
        Says::DrillOver { .. } => "DRILL_OVER",
        Says::Test { .. } => "TEST",
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Appends the lines that are not there yet, and waits until they are on disk.
fn append(path: &Path, lines: &[String]) -> io::Result<()> {
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    io::Read::by_ref(&mut file).take(TAIL).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let there: std::collections::BTreeSet<&str> = tail.split_inclusive('\n').collect();
    let missing: String =
        lines.iter().filter(|line| !there.contains(line.as_str())).map(String::as_str).collect();
    if missing.is_empty() {
        return file.sync_data();
    }
    let torn = tail.rsplit('\n').next().unwrap_or_default();
    let rest = if torn.is_empty() {
        missing
    } else if let Some(rest) = missing.strip_prefix(torn) {
        // What a crash cut off goes on where it ended.
        rest.to_owned()
    } else {
        format!("\n{missing}")
    };
    file.write_all(rest.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
