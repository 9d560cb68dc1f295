//! `backup FILE`: a copy of the store, beside a running process or without one. Never writes over anything.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::json;

use super::output::print;
use super::source::{Api, file};
use super::{Failure, block_on};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, StoreStats};

/// Copy the store.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the copy goes; must not be there yet.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &BackupArgs, config: &Config) -> Result<(), Failure> {
    let target = create(&args.file)?;
    let copied = copy(config, target).and_then(|()| check(&args.file));
    match copied {
        Ok(stats) => {
            let size = std::fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
            print(&if args.json {
                let (rows, notifications) = (stats.ledger_rows, stats.notifications);
                format!(
                    "{}\n",
                    json!({ "file": args.file, "bytes": size, "ledger_rows": rows, "notifications": notifications })
                )
            } else {
                format!(
                    "{}: {size} bytes, {} rows, {} failed notifications. It names customers: keep it as you keep the store\n",
                    args.file.display(),
                    stats.ledger_rows,
                    stats.notifications
                )
            })
        }
        Err(failure) => {
            // Ours, and half of it is worth nothing.
            let _gone = std::fs::remove_file(&args.file);
            Err(failure)
        }
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Failure::failed(format!("{} is there already; a backup writes over nothing", path.display()))
        } else {
            Failure::failed(format!("{} cannot be made: {error}", path.display()))
        }
    })
}

fn copy(config: &Config, mut target: File) -> Result<(), Failure> {
    let api = Api::for_acting(config)?;
    let streamed = block_on(async {
        let Some(answer) = api.open("/api/backup", &[]).await? else { return Ok(false) };
        let expected = answer.content_length();
        let (mut chunks, mut written) = (answer.bytes_stream(), 0u64);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Failure::failed(format!("the copy broke off: {error}")))?;
            target.write_all(&chunk).map_err(Failure::failed)?;
            written += u64::try_from(chunk.len()).unwrap_or(0);
        }
        if expected.is_some_and(|expected| expected != written) {
            return Err(Failure::failed("the copy broke off"));
        }
        target.sync_all().map_err(Failure::failed)?;
        Ok::<_, Failure>(true)
    })??;
    if streamed {
        return Ok(());
    }
    file(config)?.copy_to(target).map_err(Failure::failed)
}

/// What was copied can be read.
fn check(path: &Path) -> Result<StoreStats, Failure> {
    let copy = Store::open_read_only(path, Clock::system());
    copy.and_then(|copy| copy.stats())
        .map_err(|error| Failure::failed(format!("the copy is no good: {error}")))
}
