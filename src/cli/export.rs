//! `export`: every send as a line of JSON, the oldest first.

use std::io::{self, BufWriter, Write as _};

use clap::Args;
use serde_json::Value;

use super::source::{Api, file};
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;
use crate::store::{Order, Reader};

/// Sends read at a time.
const PAGE: usize = 1_000;

/// Export sends as JSON lines.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// JSON lines is the only format; the flag is there for scripts that always give it.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ExportArgs, config: &Config) -> Result<(), Failure> {
    let _ = args.json;
    let mut out = BufWriter::new(io::stdout().lock());
    let api = Api::new(config)?;
    let written = match block_on(from_api(&api, &mut out))? {
        Ok(true) => Ok(()),
        Ok(false) => from_file(&file(config)?, &mut out),
        Err(error) => Err(error),
    };
    written.and_then(|()| out.flush().map_err(Stopped::from)).or_else(|stopped| match stopped {
        Stopped::ReaderGone => Ok(()),
        Stopped::Failed(failure) => Err(failure),
    })
}

/// Why an export ended early.
enum Stopped {
    /// `| head` has seen enough.
    ReaderGone,
    Failed(Failure),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ReaderGone
        } else {
            Self::Failed(Failure::failed(error))
        }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Page by page from the running process; `false` where none runs.
async fn from_api(api: &Api, out: &mut impl io::Write) -> Result<bool, Stopped> {
    let (limit, mut cursor) = (PAGE.to_string(), String::new());
    loop {
        let query = [("order_by", "oldest"), ("limit", limit.as_str()), ("cursor", cursor.as_str())];
        let Some(page) = api.get("/api/sends", &query).await? else {
            if cursor.is_empty() {
                return Ok(false);
            }
            return Err(Stopped::Failed(Failure::failed(
                "the running process ended before the export was complete",
            )));
        };
        for send in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            writeln!(out, "{send}")?;
        }
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(true),
        }
    }
}

fn from_file(reader: &Reader, out: &mut impl io::Write) -> Result<(), Stopped> {
    let mut cursor = None;
    loop {
        let page = reader.sends(Order::OldestFirst, cursor, PAGE, |_| true).map_err(Failure::failed)?;
        for send in &page.items {
            writeln!(out, "{}", view::json(&view::send(send)))?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
